#!/usr/bin/env python3
"""A newcomer's first day: README.md's own program and events, live, and the usual mistakes, each of
which has to be explained by the engine's words or answer."""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import engine


def blocks(kind):
    """Code blocks of README.md."""
    with open(os.path.join(engine.harness.ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"```" + kind + r"\n(.*?)```", file.read(), re.S)


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def says(results, cartwheel, word, what):
    found = engine.until(lambda: any(word in line for line in list(cartwheel.words)), 10)
    results.check(found, what, "\n".join(cartwheel.words))


def rates(results, cartwheel):
    """One look of top tells what comes in now: here events that come all the time."""
    halt = threading.Event()

    def put():
        for number in range(100000):
            if halt.is_set():
                return
            cartwheel.post_events([engine.profile(f"r-{number}", time.time() * 1000)])

    putting = threading.Thread(target=put, daemon=True)
    putting.start()
    code, page, said = engine.execute([engine.binary(), "top", "--once", "--every", "1", "--to",
                                       cartwheel.url()])
    halt.set()
    putting.join(30)
    found = re.findall(rb"^(events|requests) +a second ([0-9,]+)", page, re.MULTILINE)
    results.check(code == 0 and [n for n, _ in found] == [b"events", b"requests"] and
                  all(v != b"0" for _, v in found), "top --once has rates", page + said)


def readme(results, program, events):
    """The first event, live."""
    with engine.Engine("--clock", "3600x", "--timeline", programs=[program]) as cartwheel:
        code, _, said = engine.execute([engine.binary(), "send", events, "--now", "--to",
                                        cartwheel.url()])
        results.check(code == 0 and b"2 accepted, 0 duplicate, 0 rejected" in said, "send", said)
        status, _, body = cartwheel.get("/v1/candidates/C456:first")
        results.check(status == 200, "the candidate by its key", body)
        code, page, said = engine.execute([engine.binary(), "top", "--once", "--to",
                                           cartwheel.url()])
        results.check(code == 0 and b"received 2" in page, "top", page + said)
        rates(results, cartwheel)
        results.check(engine.until(cartwheel.outbox), "the SMS is in the outbox")
        _, _, body = cartwheel.get("/v1/outbox")
        results.check(cartwheel.outbox()[0].encode() in body, "and listed", body)
        limits(results, cartwheel)
        results.equal(cartwheel.stop(), 0, "stops cleanly")


def limits(results, cartwheel):
    """The outbox's list is as long as asked for, within bounds."""
    now = engine.harness.milliseconds(json.loads(cartwheel.get("/healthz")[2])["clock"])
    cartwheel.post_events([engine.profile("ann", now), engine.abandoned("ann", "cart-1", now)])
    results.check(engine.until(lambda: len(cartwheel.outbox()) == 2), "a second message leaves")
    for limit, wanted in (("1", 1), ("2", 2), ("1000", 2)):
        status, _, body = cartwheel.get(f"/v1/outbox?limit={limit}")
        results.check(status == 200 and len(json.loads(body)) == wanted, f"limit={limit}", body)
    for limit in ("", "0", "-1", "x", "1x", "1001", "99999999999999999999"):
        status, _, body = cartwheel.get(f"/v1/outbox?limit={limit}")
        results.equal((status, json.loads(body)),
                      (400, {"error": "limit is a number from 1 to 1000"}), f"limit={limit}")


def ahead(results, program, events):
    """--now is the engine's now, also where its clock has run weeks ahead of ours."""
    with engine.Engine("--clock", "200000x", programs=[program], cores=1) as cartwheel:
        started = time.time() * 1000

        def weeks():
            clock = json.loads(cartwheel.get("/healthz")[2])["clock"]
            return engine.harness.milliseconds(clock) > started + 15 * 86400_000

        results.check(engine.until(weeks, 60), "the clock runs ahead")
        code, _, said = engine.execute([engine.binary(), "send", events, "--now", "--to",
                                        cartwheel.url()])
        results.check(code == 0 and b"2 accepted" in said, "send", said)
        results.check(engine.until(cartwheel.outbox), "a cart of the engine's now is followed")


def silent(results, program):
    """What is taken and comes to nothing is explained, even when there is one of it."""
    now = time.time() * 1000
    old = engine.abandoned("ada", "k-1", now - 60 * 86400_000)
    small = engine.abandoned("ada", "k-2", now, cartValue=5)
    for events, word, what in (
            ([engine.abandoned("nobody", "k-0", now)], "send a CustomerUpdated", "no profile"),
            ([engine.profile("ada", now), old], "look at the events' times", "an old date"),
            ([small], "cartwheel explain PROGRAM.yaml", "no program matches"),
            ([{**small, "detail-type": "CartAbandonned"}],
             "(ecommerce.cart, CartAbandonned), and no cart is followed yet: look at their spelling",
             "a typo"),
            ([engine.profile("ada", now), small,
              {**small, "id": "t", "detail-type": "CartAbandonned"}],
             "look at their spelling", "a typo beside carts that no program wants")):
        with engine.Engine(programs=[program], cores=1) as cartwheel:
            _, answer = cartwheel.post_events(events)
            results.equal(answer["accepted"], len(events), f"{what} is taken")
            says(results, cartwheel, word, what)


def refused(results, program):
    """What is refused says why, in the answer and in the dead letters; a full disk is said once."""
    now = time.time() * 1000
    with engine.Engine(programs=[program]) as cartwheel:
        letters = os.path.join(cartwheel.state, "dead-letters.ndjson")
        bad = [(engine.abandoned("ada", "k", now, cartValue="150"), "cartValue is not a number"),
               (engine.abandoned("ada", "k", now + 40 * 86400_000), "a day ahead of the clock")]
        for event, reason in bad:
            _, answer = cartwheel.post_events([event])
            results.check(reason in json.dumps(answer), reason, answer)
            kept = engine.until(lambda r=reason: r in open(letters, encoding="utf-8").read(), 5)
            results.check(kept, f"a dead letter: {reason}")
    folder = engine.tempfile.mkdtemp(prefix="cartwheel-full-")
    os.symlink("/dev/full", os.path.join(folder, "dead-letters.ndjson"))
    with engine.Engine(programs=[program], state=folder) as cartwheel:
        for i in range(5):
            cartwheel.post_events([{"n": i}])
            time.sleep(0.2)
        says(results, cartwheel, "make room on the disk", "a full disk")
        results.equal(sum("cannot be written" in w for w in cartwheel.words), 1, "is said once")
    engine.shutil.rmtree(folder)


def starts(results, folder, program):
    """Starts that cannot be end with words and an exit code, not with a signal."""
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    unknown = write(folder, "bad.yaml", "programs: [first.yaml]\nhttp: {listn: []}\n")
    for options, word in ((["--http", f"127.0.0.1:{port}"], "or name another"),
                          (["--http", "8080"], "ADDRESS:PORT"),
                          (["--tcp", "foo"], "ADDRESS:PORT"),
                          (["--http", "0.0.0.0:0"], "configure credentials"),
                          (["-c", unknown], 'did you mean "listen"?'),
                          (["--state", "/proc/none"], "state directory")):
        run = subprocess.run([engine.binary(), "run", "--state", os.path.join(folder, "s"), program] +
                             options, capture_output=True, timeout=30, check=False)
        results.check(run.returncode in (1, 2) and word.encode() in run.stderr,
                      f"run {options}", f"{run.returncode} {run.stderr[-500:]!r}")
    taken.close()
    with open("/dev/full", "wb") as full:
        run = subprocess.Popen([engine.binary(), "run", "--http", "127.0.0.1:0", "--state",
                                os.path.join(folder, "s"), "--decisions", "-", program],
                               stdout=full, stderr=subprocess.PIPE, text=True)
        url = ""
        while not url.startswith("ready "):
            url = run.stderr.readline()
        events = write(folder, "e.ndjson", json.dumps(
            engine.abandoned("x", "k", time.time() * 1000)) + "\n")
        engine.execute([engine.binary(), "send", events, "--to", url.split()[1]])
        time.sleep(0.5)
        run.terminate()
        said = run.communicate(timeout=30)[1]
        results.check(run.returncode == 1 and "decisions cannot be written (No space" in said,
                      "decisions that find no room", f"{run.returncode} {said}")


def main():
    results = engine.Results()
    folder = engine.tempfile.mkdtemp(prefix="cartwheel-first-")
    program = write(folder, "first.yaml", blocks("yaml")[0])
    events = write(folder, "events.ndjson", blocks("json")[0])
    readme(results, program, events)
    ahead(results, program, events)
    silent(results, program)
    refused(results, program)
    starts(results, folder, program)
    engine.shutil.rmtree(folder)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
