#!/usr/bin/env python3
"""Snapshots of an engine under load, and what is restored from them: the same state on any number
of cores, with its sends held until somebody says until when they may have gone out. What is damaged
or in the way is refused, and a kill -9 at any moment leaves a good state."""
import datetime
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import tempfile
import threading
import time

import engine

run, sms = engine.command, engine.sms
CHANCE = random.Random(7)


def digest(folder):
    """Of every file below it: name and bytes."""
    sums = hashlib.sha256()
    for base, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(base, name)
            sums.update(os.path.relpath(path, folder).encode())
            with open(path, "rb") as file:
                sums.update(file.read())
    return sums.hexdigest()


def dump(*where):
    code, output, said = run("inspect", "--dump", *where)
    if code != 0:
        raise RuntimeError(f"inspect --dump {where}: {code} {said}")
    return output


def rows(text):
    """A dump without the line that says whether sends are held."""
    return [line for line in text.splitlines() if not line.startswith("keeps ")]


def customers(text):
    return {bytes.fromhex(line.split(" ")[1]).decode() for line in text.splitlines()
            if line.startswith("customer ")}


def feed(live, name, stop, accepted, count=None):
    number = 0
    while not stop.is_set() and number != count:
        customer = f"{name}-{number}"
        number += 1
        now = int(time.time() * 1000)
        try:
            status, answer = live.post_events([
                engine.profile(customer, now),
                engine.abandoned(customer, "cart-" + customer, now)])
        except Exception:  # it was killed: nothing is known, nothing was promised
            return
        if status == 200 and answer["rejected"] == []:
            accepted.append(customer)


class Load:
    """Events on several connections while the body runs."""

    def __init__(self, live, name):
        self.accepted, self.halt = [], threading.Event()
        self.threads = [threading.Thread(target=feed, args=(live, f"{name}{i}", self.halt,
                                                            self.accepted)) for i in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.halt.set()
        for thread in self.threads:
            thread.join(30)


def ask(live, path, method="POST"):
    status, _, body = live.request(method, path)
    while status == 202:
        time.sleep(0.05)
        status, _, body = live.request("GET", path.split("?")[0])
    return status, json.loads(body)


def under_load(results, folder, program):
    """Snapshots while events come in; the last one's path and the engine's own dump."""
    with engine.Engine(programs=[program], cores=2) as live:
        made = []
        with Load(live, "l") as load:
            for number in range(4):
                engine.until(lambda n=number: len(load.accepted) > 40 * (n + 1), 60)
                before = list(load.accepted)
                status, told = ask(live, f"/v1/snapshot?name=under-load-{number}")
                results.equal(status, 200, f"snapshot {number} is made under load")
                size = os.path.getsize(told["file"]) if status == 200 else -1
                results.equal(size, told.get("bytes"), "its size is told")
                made.append((told["file"], before))
        status, told = ask(live, "/v1/snapshot?name=under-load-0")
        results.check(status == 409 and "name" in told["error"], "a name that is taken", told)
        status, told = ask(live, "/v1/snapshot?name=..%2Fx")
        results.equal(status, 400, "a name that leads elsewhere is refused")
        together(results, live)
        code, output, said = run("snapshot", "--to", live.url(), "--name", "by-hand")
        results.check(code == 0 and json.loads(output)["file"].endswith("by-hand.cwsnap"),
                      "cartwheel snapshot --to", output + said)
        metrics = live.metrics()
        results.check(metrics["cartwheel_store_snapshots_total"] >= 5 and
                      metrics["cartwheel_store_commits_total"] > 0, "they are counted", metrics)
        for path, before in made:
            code, output, said = run("verify", path)
            results.check(code == 0 and "good: 2 cores" in output, "it verifies", output + said)
            kept = customers(dump(path))
            missing = [c for c in before if c not in kept]
            results.check(not missing, "what was acknowledged before is in it", missing[:5])
        code, _, said = run("inspect", "--state", live.state)
        results.check(code == 1 and "stop it" in said, "a state in use is not looked into", said)
        results.equal(live.stop(), 0, "the engine stops in order")
        at_rest(results, folder, live.state, program)
        shutil.copy(made[-1][0], os.path.join(folder, "live.cwsnap"))
    return os.path.join(folder, "live.cwsnap")


def together(results, live):
    """Several at once: each is made, or told that one is at work."""
    got = []
    threads = [threading.Thread(target=lambda n=n: got.append(
        live.request("POST", f"/v1/snapshot?name=together-{n}")[0])) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.check(200 in got and set(got) <= {200, 202, 409}, "one at a time", got)


def at_rest(results, folder, state, program):
    before = digest(state)
    code, output, said = run("verify", "--state", state, program)
    results.check(code == 0, "the state verifies", output + said)
    code, output, said = run("inspect", "--state", state, "--json", program)
    told = json.loads(output)
    results.check(told["clean"] and not told["held"] and told["heldFor"] == [] and
                  len(told["cores"]) == 2,
                  "inspect --json tells the manifest and each core", told)
    text = dump("--state", state, program)
    out = os.path.join(folder, "rest.cwsnap")
    code, output, said = run("snapshot", "--state", state, "--out", out, "--json", program)
    told = json.loads(output)
    results.check(code == 0 and told["file"] == out and told["bytes"] == os.path.getsize(out) and
                  told["seconds"] > 0 and not said, "a snapshot at rest, in JSON", output + said)
    cores = json.loads(run("inspect", out, "--json", program)[1])["cores"]
    told = json.loads(run("verify", out, "--json", program)[1])
    results.equal(told, {"snapshot": out, "good": True, "exit": 0, "cores": cores, "rows":
                         sum(sum(core["rows"].values()) for core in cores)}, "verified, in JSON")
    told = json.loads(run("verify", "--state", state, "--json", program)[1])
    results.equal((told["state"], told["good"], told["cores"]), (state, True, cores),
                  "and the state the same")
    results.equal(digest(state), before, "none of them changed a byte")
    results.equal(dump(out), text, "it holds the same")
    told = json.loads(run("inspect", out, "--json", program)[1])
    results.equal((told["held"], told["heldFor"]), (True, ["restored"]),
                  "restored from it, sends are held, and why")
    code, _, said = run("snapshot", "--state", state, "--out", out, program)
    results.check(code == 2 and "already" in said, "no file is written over", said)


def on_cores(results, folder, file, program):
    """Restored and run on 1, 2 and 8 cores: the same rows."""
    given = rows(dump(file, program))
    texts = {}
    for cores in (1, 2, 8):
        state = os.path.join(folder, f"on-{cores}")
        code, output, said = run("restore", file, "--state", state)
        results.check(code == 0 and "HELD" in output, f"restored for {cores}", output + said)
        with engine.Engine(programs=[program], cores=cores, state=state) as live:
            results.check(any("HELD" in word for word in live.words), "the start says it",
                          live.words)
            results.check(any("out of a snapshot: " in word for word in live.words) and
                          not any("CRASH" in word for word in live.words), "nothing crashed",
                          live.words)
            health = json.loads(live.get("/healthz")[2])
            results.equal(health.get("sends"), "held", "so does /healthz")
            results.equal(live.metrics()["cartwheel_store_sends_held"], cores, "and /metrics")
            results.equal(live.stop(), 0, f"{cores} cores stop in order")
        texts[cores] = dump("--state", state, program)
    results.equal(rows(texts[2]), given, "two cores have what the snapshot has")
    results.check(texts[1] == texts[2] == texts[8], "equal on 1, 2 and 8 cores",
                  [len(t) for t in texts.values()])


def refused(results, folder, file):
    """What is damaged, cut off or in the way: refused, and nothing is made."""
    with open(file, "rb") as whole:
        content = whole.read()
    bad, state = os.path.join(folder, "bad.cwsnap"), os.path.join(folder, "bad")
    places = [0, 9, 4096, len(content) // 2, len(content) - 1]
    places += [CHANCE.randrange(len(content)) for _ in range(12)]
    for place in places:
        with open(bad, "wb") as out:
            out.write(content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
        codes = [run("verify", bad)[0], run("restore", bad, "--state", state)[0]]
        want = 78 if place >= 8 else 2  # it does not begin as a snapshot
        results.check(codes == [want, want] and not os.path.exists(state),
                      f"a flipped bit at {place}", codes)
    older = "take an older snapshot that is good; which ones are: cartwheel verify " + folder + "/*"
    for size in (0, 7, 4096, len(content) // 2, len(content) - 1):
        with open(bad, "wb") as out:
            out.write(content[:size])
        for words in (["restore", bad, "--state", state], ["verify", bad], ["inspect", bad]):
            code, _, said = run(*words)
            good = code == 78 and older in said if size > 0 else code == 2 and "is empty" in said
            results.check(good and not os.path.exists(state), f"{words[0]} of one cut to {size}",
                          (code, said))
    with open(bad, "wb") as out:
        out.write(content + b"more")
    results.equal(run("verify", bad)[0], 78, "bytes behind its end")
    with open(bad, "wb") as out:
        out.write(engine.KEPT.encode())
    for words in (["restore", bad, "--state", state], ["verify", bad], ["inspect", bad]):
        code, _, said = run(*words)
        results.check(code == 2 and "is no snapshot of cartwheel: name a file" in said and
                      said.count("\n") == 1 and not os.path.exists(state),
                      f"{words[0]} of a program", (code, said))
    code, _, said = run("verify", os.path.join(folder, "none.cwsnap"))
    results.check(code == 1 and "there is no file" in said and "snapshots/" in said,
                  "no such file", (code, said))
    several(results, folder, file, bad, content)
    results.equal([n for n in os.listdir(folder) if ".new-" in n], [], "nothing is left behind")
    newer = os.path.join(folder, "newer.cwsnap")
    with open(newer, "wb") as out:
        out.write(bytes.fromhex("4357534e415053000200000001000000f0f2484957bfc129") + content[24:])
    for words in (["verify", newer], ["inspect", newer], ["restore", newer, "--state", state]):
        code, _, said = run(*words)
        results.check(code == 2 and "has format 2, this cartwheel reads 1" in said and
                      not os.path.exists(state), f"{words[0]} of a later format", (code, said))
    taken = os.path.join(folder, "on-2")
    before = digest(taken)
    code, _, said = run("restore", file, "--state", taken)
    results.check(code == 2 and "move it away" in said and digest(taken) == before,
                  "a state that is there is not touched", said)


def several(results, folder, file, bad, content):
    """Each of several is verified and has a line; the worst decides."""
    none, cut = (os.path.join(folder, name) for name in ("none.cwsnap", "cut.cwsnap"))
    with open(cut, "wb") as out:
        out.write(content[:-9])
    for files, want in (([file, file], [(file, "good: 2 cores, ")] * 2),
                        ([none, file], [(none, "not read"), (file, "good: ")]),
                        ([bad, none], [(bad, "not read"), (none, "not read")]),
                        ([cut, bad, file, none], [(cut, "DAMAGED"), (bad, "not read"),
                                                  (file, "good: "), (none, "not read")])):
        code, output, said = run("verify", *files)
        lines = output.splitlines()
        results.check(len(lines) == len(want) and all(
            line.startswith(f"{name}: {word}") for line, (name, word) in zip(lines, want)),
            "a line for each", output + said)
        worst = 78 if cut in files else 2 if bad in files else 1 if none in files else 0
        results.equal(code, worst, "and the worst exit code")
        code, output, _ = run("verify", *files, "--json")
        told = [json.loads(line) for line in output.splitlines()]
        exits = [{none: 1, bad: 2, cut: 78}.get(name, 0) for name in files]
        results.equal((code, [(one["snapshot"], one["good"], one["exit"]) for one in told]),
                      (worst, [(name, rc == 0, rc) for name, rc in zip(files, exits)]),
                      "an object for each, too")
    for words in (["verify", file, folder], ["verify", "", file], ["inspect", file, file]):
        code, output, said = run(*words)
        results.check(code == 2 and not output and said.count("\n") == 1, f"refused: {words}",
                      (code, output, said))


def at_its_time(results, folder):
    """What is told when it is restored is when it was made, not when something was last done."""
    with engine.Engine() as live:
        now = int(time.time() * 1000)
        live.post_events([engine.profile("early", now), engine.abandoned("early", "cart", now)])
        time.sleep(3.5)
        before = time.time()
        status, told = ask(live, "/v1/snapshot")
        after = time.time()
        results.equal(status, 200, "a snapshot of an engine at rest")
        code, output, said = run("restore", told["file"], "--state", os.path.join(folder, "timed"))
        as_of = re.search(r"as of (\S+?)Z,", output)
        results.check(code == 0 and as_of, "it is restored", output + said)
        at = datetime.datetime.fromisoformat(as_of.group(1) + "+00:00").timestamp()
        results.check(before - 0.2 <= at <= after + 0.2, "as of when it was made",
                      (before, at, after))
        live.stop(signal.SIGKILL)


def damaged_state(results, folder, file):
    state = os.path.join(folder, "damaged")
    run("restore", file, "--state", state)
    for number, told in enumerate(json.loads(run("inspect", "--state", state, "--json")[1])["cores"]):
        core = os.path.join(state, "epoch-00000001", f"core-{number:03d}")
        log = os.path.join(core, sorted(n for n in os.listdir(core) if n.startswith("log-"))[0])
        found, begin = engine.frames(log), told["begin"]
        if found[0][1] < begin < found[-1][1]:  # else its checkpoint began with a segment
            break
    results.check(found[0][1] < begin < found[-1][1], "a frame before the checkpoint, and behind",
                  (found[0], begin, found[-1]))
    engine.flip(log, found[0][0] + 100)
    code, output, said = run("verify", "--state", state)
    results.check(code == 0 and f"damaged at LSN {found[0][1]}" in output,
                  "damage that the checkpoint stands for is told, and no more", output + said)
    engine.flip(log, 100 + next(at for at, lsn in found if lsn == begin))  # the rest hangs on it
    code, _, said = run("verify", "--state", state)
    results.check(code == 78 and f"core {number}" in said and "LSN" in said,
                  "a damaged log is told", said)
    manifest = os.path.join(state, "manifest.a")
    manifest = manifest if os.path.exists(manifest) else os.path.join(state, "manifest.b")
    with open(manifest, "r+b") as out:
        out.seek(30)
        out.write(b"?")
    code, _, said = run("verify", "--state", state)
    results.check(code == 78 and "manifest" in said, "a damaged manifest is told", said)


def two_copies(results, folder, file, program):
    states = [os.path.join(folder, name) for name in ("copy-1", "copy-2")]
    for state in states:
        run("restore", file, "--state", state)
    with engine.Engine(programs=[program], state=states[0]) as live:
        for state, word in ((states[0], "stop it"), (states[1], "another copy")):
            code, _, said = run("run", "--http", "127.0.0.1:0", "--state", state, program)
            results.check(code == 2 and word in said, f"a second engine: {word}", said)
        results.equal(live.stop(), 0, "the first goes on")


def clock_of(live):
    return json.loads(live.get("/healthz")[2])["clock"]


def put_carts(live, names):
    """Abandoned now, by the engine's clock."""
    at = json.loads(live.get("/healthz")[2])["clock"]
    lines = []
    for name in names:
        for event in (engine.profile(name, 0), engine.abandoned(name, "cart-" + name, 0)):
            event["time"] = at
            event["detail"].pop("timestamp", None)
            lines.append(event)
    status, answer = live.post_events(lines)
    return status == 200 and answer["rejected"] == []


def held(results, folder):
    """The engine is lost after it sent what the snapshot has as pending."""
    program = os.path.join(folder, "soon.yaml")
    engine.write_kept(program, 120, engine.DROPS)
    early, late = [f"early-{i}" for i in range(6)], [f"late-{i}" for i in range(6)]
    with engine.Engine("--clock", "3600x", programs=[program]) as live:
        results.check(put_carts(live, early), "carts are taken")
        status, told = ask(live, "/v1/snapshot?name=before")
        results.equal(status, 200, "a snapshot before they are due")
        engine.until(lambda: len(sms(live.state)) == len(early))
        results.equal(sms(live.state), early, "then all go out")
        lost_at = clock_of(live)
        live.stop(signal.SIGKILL)
        file = os.path.join(folder, "before.cwsnap")
        shutil.copy(told["file"], file)
    state = os.path.join(folder, "held")
    run("restore", file, "--state", state)
    with engine.Engine("--clock", "3600x", programs=[program], state=state) as live:
        results.check(put_carts(live, late), "a held engine takes events")
        time.sleep(5)  # five hours of its clock, and two looks of what is paused
        results.equal(sms(state), [], "nothing goes out while sends are held")
        live.stop(signal.SIGKILL)
    with engine.Engine("--clock", "3600x", programs=[program], state=state) as live:
        results.check(any("a CRASH" in word for word in live.words), "that was one", live.words)
        code, _, said = run("resume", "--to", live.url(), "--assume-sent-until", "yesterday")
        results.equal(code, 2, "a time is wanted")
        code, _, said = run("resume", "--to", live.url(), "--assume-sent-until",
                            "2999-01-01T00:00:00Z")
        results.check(code == 1 and "still to come" in said, "one that has been", said)
        health = json.loads(live.get("/healthz")[2])
        results.equal(health.get("sends"), "held", "then nothing is changed")
        code, output, said = run("resume", "--to", live.url(), "--assume-sent-until", lost_at)
        results.check(code == 0 and json.loads(output)["sends"] == "go", "resumed", output + said)
        live.stop(signal.SIGKILL)
    with engine.Engine("--clock", "3600x", programs=[program], state=state) as live:
        results.check("sends" not in json.loads(live.get("/healthz")[2]),
                      "what was answered survives a kill -9", live.words)
        # Those that were assumed to be sent are unknown; so is what was under way as it was
        # killed, and by `onUnknown: drop` that is not sent again either.
        # It may have arrived all the same: the file was there and its result was not yet.
        def told(status):
            return [c for c in early + late if json.loads(
                live.get(f"/v1/candidates/{c}:kept")[2])["touches"][0]["status"] == status]
        engine.until(lambda: len(told("sent") + told("unknown")) == len(early) + len(late))
        time.sleep(1)
        sent, unknown = told("sent"), told("unknown")
        results.equal(sorted(sent + unknown), early + late,
                      "what was not assumed to be sent goes out, or was under way")
        results.check(set(early) <= set(unknown), "what was assumed to be sent is unknown", unknown)
        results.check(set(sent) <= set(sms(state)) <= set(late), "and nothing else goes out",
                      (sent, sms(state)))
        results.equal(len(sms(state)), len(set(sms(state))), "nor anything twice")
        results.equal(live.stop(), 0, "it stops in order")
    state = os.path.join(folder, "at-once")
    code, output, _ = run("restore", file, "--state", state, "--resume")
    results.check(code == 0 and "not held" in output, "restored with --resume", output)
    again, held = os.path.join(folder, "again"), os.path.join(folder, "again-held")
    told = json.loads(run("restore", file, "--state", again, "--resume", "--json")[1])
    more = json.loads(run("restore", file, "--state", held, "--json")[1])
    found = json.loads(run("inspect", "--state", again, "--json")[1])
    results.equal((told["state"], told["store"], told["coreCount"], told["rows"], told["held"]),
                  (again, found["store"], 2, sum(sum(core["rows"].values())
                                                 for core in found["cores"]), False),
                  "what was restored, in JSON")
    results.check(more["held"] is True and re.match("2[0-9T:.-]+Z$", more["asOf"]),
                  "with sends held, and as of when", more)
    with engine.Engine("--clock", "3600x", programs=[program], state=state) as live:
        engine.until(lambda: len(sms(state)) == len(early))
        results.equal(sms(state), early, "sends go at once")


def paused(results, program):
    """What is answered about a pause is durable, although nothing else was changed."""
    folder = tempfile.mkdtemp(prefix="cartwheel-paused-")
    state = os.path.join(folder, "state")
    try:
        for what in ("pause", "resume", "pause"):
            with engine.Engine(programs=[program], state=state) as live:
                status, _, _ = live.request("POST", f"/v1/programs/kept/{what}")
                live.process.send_signal(signal.SIGKILL)
                live.stop(signal.SIGKILL)
                results.equal(status, 200, what)
            with engine.Engine(programs=[program], state=state) as live:
                told = json.loads(live.get("/v1/programs")[2])["programs"][0]["touches"][0]
                results.equal(told["paused"], what == "pause", f"{what} survives a kill -9")
                live.stop(signal.SIGKILL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def killed(results, folder, program):
    """kill -9 during snapshots."""
    state = os.path.join(folder, "killed")
    accepted = []
    for number in range(8):
        with engine.Engine(programs=[program], state=state, cores=2) as live:
            with Load(live, f"k{number}-") as load:
                engine.until(lambda got=load.accepted: len(got) > 20, 60)
                asker = threading.Thread(target=lambda n=number: quietly(
                    lambda: ask(live, f"/v1/snapshot?name=k{n}")))
                asker.start()
                time.sleep(CHANCE.uniform(0, 0.06))
                live.process.send_signal(signal.SIGKILL)
                asker.join(30)
                live.stop(signal.SIGKILL)
            accepted += load.accepted
        code, output, said = run("verify", "--state", state, program)
        results.check(code == 0, f"kill {number}: the state is good", output + said)
    snapshots = os.path.join(state, "snapshots")
    for name in os.listdir(snapshots) if os.path.isdir(snapshots) else []:
        if name.endswith(".cwsnap"):
            results.equal(run("verify", os.path.join(snapshots, name))[0], 0, f"{name} is whole")
    kept = customers(dump("--state", state, program))
    missing = [c for c in accepted if c not in kept]
    results.check(not missing, f"all of {len(accepted)} acknowledged are there", missing[:5])
    with open(os.path.join(snapshots, "half.cwsnap.new"), "wb") as file:
        file.write(b"what was written of one")
    with engine.Engine(programs=[program], state=state, cores=1) as live:
        left = [n for n in os.listdir(snapshots) if n.endswith(".new")]
        results.equal(left, [], "what was left over is gone at the next start")
        results.equal(ask(live, "/v1/snapshot?name=after")[0], 200, "another one is made")


def counted(results, program):
    """What changes no row is counted all the same, and over a kill, once the log is at rest."""
    folder = tempfile.mkdtemp(prefix="cartwheel-counted-")
    state = os.path.join(folder, "state")
    try:
        with engine.Engine(programs=[program], state=state) as live:
            events = [{"version": "0", "id": f"u{number}", "source": "shop.other", "detail": {},
                       "detail-type": "PageViewed", "time": engine.stamp(int(time.time() * 1000))}
                      for number in range(7)]
            results.equal(live.post_events(events)[0], 200, "events of no use are taken")
            before = fates(live)
            time.sleep(2.5)
            live.stop(signal.SIGKILL)
        with engine.Engine(programs=[program], state=state) as live:
            results.equal(fates(live), before, "their counters survive a kill -9")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fates(live):
    return {name: value for name, value in live.metrics().items()
            if name.startswith("cartwheel_events") and value > 0}


def quietly(call):
    try:
        call()
    except Exception:  # it was killed
        pass


def scheduled(results, program):
    config = """http: {listen: ["127.0.0.1:0"]}
snapshots: {every: 1s, keep: 2, to: kept}
"""
    with engine.Engine(programs=[program], config=config, http=None) as live:
        box = os.path.join(live.folder, "kept")
        ahead = os.path.join(box, "2999-01-01T000000Z.cwsnap")
        os.makedirs(box, exist_ok=True)
        with open(ahead, "wb") as file:
            file.write(b"of a clock that was ahead")
        engine.until(lambda: live.metrics()["cartwheel_store_snapshots_total"] >= 4, 60)
        names = [n for n in os.listdir(box) if n.endswith(".cwsnap")]
        results.check(2 <= len(names) <= 4, "the oldest are removed", names)
        results.check(os.path.exists(ahead), "one that is called by a time to come is left alone")
        os.unlink(ahead)
        results.equal(live.stop(), 0, "it stops in order")
        codes = [run("verify", os.path.join(box, n))[0] for n in os.listdir(box)
                 if n.endswith(".cwsnap")]
        results.check(codes and set(codes) == {0}, "those that stay are whole", codes)


def shared(results, folder, program):
    """Two engines keep their snapshots in one place: each counts and removes its own."""
    box = os.path.join(folder, "shared")
    os.makedirs(box)
    config = """http: {listen: ["127.0.0.1:0"]}
snapshots: {every: 1s, keep: %d, to: %s}
"""

    def made(live):
        return live.metrics()["cartwheel_store_snapshots_total"]

    def owners():
        said = [run("inspect", os.path.join(box, n), "--json") for n in os.listdir(box)
                if n.endswith(".cwsnap") and os.path.isfile(os.path.join(box, n))]
        return [json.loads(output)["store"] for code, output, _ in said if code == 0]

    pipe = os.path.join(box, "2020-01-04T000000Z.cwsnap")

    with engine.Engine(programs=[program], config=config % (50, box), http=None) as one:
        engine.until(lambda: made(one) >= 3, 60)
        results.equal(one.stop(), 0, "the first stops in order")
    mine = owners()
    unread = os.path.join(box, "2020-01-01T000000Z.cwsnap")
    with open(unread, "wb") as file:
        file.write(b"nothing that can be read")
    writing = os.path.join(box, "2020-01-02T000000Z.cwsnap.new")
    left = os.path.join(box, "2020-01-03T000000Z.cwsnap.new")
    for path in (writing, left):
        with open(path, "wb") as file:
            file.write(b"not whole")
    os.mkfifo(pipe)  # nobody will ever write into it
    with open(writing, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as an engine that writes it
        with engine.Engine(programs=[program], config=config % (1, box), http=None) as two:
            engine.until(lambda: made(two) >= 3, 60)
            results.equal(two.stop(), 0, "the second stops in order")
            words = "\n".join(two.words)
        results.check(os.path.exists(writing), "what is being written stays")
    results.check(not os.path.exists(left), "what nobody writes any more goes")
    results.check(os.path.exists(unread) and unread in words, "what is no snapshot is told", words)
    results.check(os.path.exists(pipe) and pipe in words, "nor is a pipe waited for", words)
    there = owners()
    results.check(len(mine) >= 3 and there.count(mine[0]) == len(mine),
                  "the other's all stay", (mine, there))
    results.check(1 <= len(there) - len(mine) <= 2, "its own are removed", there)


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-snapshot-")
    program = os.path.join(folder, "kept.yaml")
    engine.write_kept(program, 600, engine.DROPS)
    try:
        file = under_load(results, folder, program)
        on_cores(results, folder, file, program)
        refused(results, folder, file)
        at_its_time(results, folder)
        damaged_state(results, folder, file)
        two_copies(results, folder, file, program)
        held(results, folder)
        paused(results, program)
        counted(results, program)
        killed(results, folder, program)
        scheduled(results, program)
        shared(results, folder, program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
