#!/usr/bin/env python3
"""Input made to hurt: it may be refused, it may never end the program, and it never costs others.

    hostile.py [CARTWHEEL]
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import event, instant, lines  # noqa: E402

CARTWHEEL = harness.binary()
R = harness.Results()
MINUTE = 60000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = harness.milliseconds("2026-03-02T00:00:00Z")


def program(name="p", more="", ttl=7, dedup="", dedup_ttl=7):
    """A program with an e-mail after an hour and an sms after a day, and no filters."""
    return f'''programId: "{name}"
eventSources:
  - sourceId: "carts"
    type: "eventbridge"
    config:
      eventPattern: {{detail-type: ["CartAbandoned"]}}
channels:
  - {{channelId: "email", type: "email",
     config: {{delayMinutes: 60, subject: "x", templateId: "cart-recovery-v3"}}}}
  - {{channelId: "sms", type: "sms", config: {{delayHours: 24, message: "x"}}}}
candidateTTLDays: {ttl}
deduplication:
  enabled: true
  ttlDays: {dedup_ttl}
{dedup}
{more}
'''


def cart(customer="c", cart="k", value=100, item="i"):
    return {"customerId": customer, "cartId": cart, "cartValue": value,
            "items": [{"id": item, "name": "n", "price": value}]}


def profile(customer="c"):
    return {"customerId": customer, "email": "a@example.com", "phone": "+1"}


def replay(text, programs, *options, cores=1, timeout=300):
    """Replays events (text) through programs; returns (exit code, decisions, words)."""
    folder = harness.Folder()
    with folder:
        names = [folder.write(f"{i}.yaml", p) for i, p in enumerate(programs)]
        file = folder.write("events.ndjson", text)
        rc, out, err = harness.execute(
            [CARTWHEEL, "replay", "--quiet", "--cores", str(cores), *options, *names, file],
            timeout=timeout)
        return rc, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "replace")


def decisions(out):
    return [json.loads(x) for x in out.splitlines()]


def shown(out):
    """kind (and reason) of each decision, for short expectations."""
    return [d["kind"] + ("/" + d["reason"] if "reason" in d else "") for d in decisions(out)]


def the_last_years():
    """What follows an event must still be a time that can be written."""
    for more in ("", "abandonmentDetection: {sessionTimeoutMinutes: 30}"):
        rc, out, err = replay(lines([
            event("CustomerUpdated", "9989-12-31T23:59:59.999Z", profile()),
            event("CartAbandoned", "9990-01-01T00:00:00Z", cart()),
            event("CartUpdated", "9999-12-31T23:59:00Z", cart()),
            event("CartAbandoned", "9989-12-31T23:59:59.999Z", cart())]),
            [program(more=more, ttl=365)])
        R.equal(rc, 0, f"times near the year 10000 end well {err}")
        got = decisions(out)
        R.equal([d["kind"] for d in got][:3], ["invalid", "invalid", "candidate"],
                "times after 9989 are invalid, the last before is not")
        R.equal(got[-1]["at"][:19] if got else "", "9990-12-31T23:59:59", "and expires a year on")


def long_keys():
    """Eight of the longest ids are longer than a key may be; seven are not."""
    long = "x" * 128
    text = lines([event("CartAbandoned", instant(START), cart(long, long))])
    for parts, good in ((8, False), (7, True)):
        keys = "{customerId}" * parts
        rc, _, err = replay(text, [program(dedup=f'  keyFormat: "{keys}"')])
        R.equal(rc, 0 if good else 2, f"a key format of {parts} ids {err}")
        R.check(good or "longer than 1024 bytes" in err, "the problem is told", err)


def padding(ms, chunks=3):
    """Events that mean nothing, each as large as what is read at once: cleaning runs between."""
    return [event("Nothing", instant(ms), {"x": "x" * 300000}) for _ in range(chunks)]


def check_cleaning(name, before, after, at, programs, wanted):
    """The same with and without cleaning between."""
    for gap in ([], padding(at)):
        rc, out, err = replay(lines(before + gap + after), programs)
        R.equal(rc, 0, f"{name} {err}")
        R.equal(shown(out), wanted, f"{name}, {'not ' * (not gap)}cleaned")


def cleaning_decides_nothing():
    """What is cleaned away could not have been asked for."""
    day = 100
    at = START + day * DAY
    journey = ["candidate", "touch", "touch", "expired"]
    sent = [event("CustomerUpdated", instant(START), profile()),
            event("CartAbandoned", instant(START), cart())]
    messages = [harness.message_id("p", "c", "k", START, n) for n in (1, 2)]
    check_cleaning("a message is known for 90 days after its candidate's end", sent,
                   [event("Unsubscribed", instant(at), {"messageId": m}) for m in messages] +
                   [event("CartAbandoned", instant(at), cart())], at, [program()],
                   journey + journey)
    check_cleaning("erasure takes dedup entries of any age",
                   sent, [event("CustomerErased", instant(at), {"customerId": "c"}),
                          event("CustomerUpdated", instant(at + 1), profile()),
                          event("CartAbandoned", instant(at + 1), cart())], at,
                   [program(dedup_ttl=365)], journey + journey)
    watching = program(more="abandonmentDetection: {sessionTimeoutMinutes: 30}")
    before = [event("CustomerUpdated", instant(START), profile()),
              event("CartUpdated", instant(START), cart()),
              event("CartCleared", instant(START), cart())]
    check_cleaning("a cart's content is forgotten with its last fact", before,
                   [event("CartUpdated", instant(at), {"customerId": "c", "cartId": "k"}),
                    event("CartAbandoned", instant(at + DAY), cart("c", "other"))], at,
                   [watching], journey)


def lines_and_pieces():
    """Files are read in pieces of 256 KiB: no line is lost or read twice at their edges."""
    piece = 256 << 10
    text = ""
    wanted = []
    number = 0
    for size in (1, 2, piece - 1, piece, piece + 1, 3 * piece, 40 * piece, 5, piece - 6, piece):
        text += "x" * (size - 1) + "\n"
        number += 1
        wanted += [number] if size > 1 else []
    text += "\n" * (2 * piece + 1) + "last"
    wanted.append(number + 2 * piece + 2)
    for cores in (1, 3):
        rc, out, err = replay(text, [program()], cores=cores)
        R.equal(rc, 0, f"lines of all lengths {err}")
        R.equal([d["line"] for d in decisions(out)], wanted, f"their numbers, {cores} cores")


def pipes():
    """A named pipe is opened once: opened again, its writer would break."""
    folder = harness.Folder()
    with folder:
        name = os.path.join(folder.name, "pipe")
        os.mkfifo(name)
        rules = folder.write("p.yaml", program())
        text = lines([event("CustomerUpdated", instant(START), profile()),
                      event("CartAbandoned", instant(START), cart())]).encode() * 1000
        with subprocess.Popen([CARTWHEEL, "replay", "--quiet", rules, name],
                              stdout=subprocess.PIPE) as run:
            broken = ""
            try:
                with open(name, "wb") as pipe:
                    pipe.write(text)
            except BrokenPipeError:
                broken = "broken"
                run.kill()
            out = run.communicate(timeout=60)[0]
        R.equal((broken, out.count(b"\n")), ("", 1003), "a named pipe is read")
    rc, out, err = replay(b"", [program()])
    R.equal((rc, out, err), (0, "", ""), "an empty file is no error")
    for name in ("/", "/nowhere"):
        rc, out, err = harness.execute([CARTWHEEL, "replay", "--quiet", "x.yaml", name])
        R.check(rc in (1, 2) and not out and err, f"{name} is told to be no file", err)


def one_customer_with_many_carts():
    """1,024 candidates in flight and 1,024 watched carts at most; the rest is refused, counted and
    costs nobody else."""
    count = 1100
    at = [instant(START + i) for i in range(count)]
    text = lines([event("CustomerUpdated", at[0], profile())] +
                 [event("CartAbandoned", at[i], cart(cart=f"k{i}")) for i in range(count)] +
                 [event("OrderPlaced", instant(START + MINUTE),
                        {"customerId": "c", "orderId": "o", "orderValue": 1}),
                  event("CartAbandoned", instant(START + 2 * MINUTE), cart(cart="after")),
                  event("CartCleared", instant(START + 3 * MINUTE),
                        {"customerId": "c", "cartId": "after"})])
    rc, out, err = replay(text, [program(more="onNewCart: parallel")])
    R.equal(rc, 0, f"many parallel carts {err}")
    kinds = shown(out)
    R.equal((kinds.count("candidate"), kinds.count("converted"), kinds[-1]),
            (1025, 1024, "cancelled/cart-cleared"), "candidates in flight are bounded")
    updates = [event("CartUpdated", at[i], cart(cart=f"k{i}")) for i in range(count)]
    # Those that are watched already are watched anew; an order makes room.
    text = lines([event("CustomerUpdated", at[0], profile())] + updates + updates[:900] +
                 [event("OrderPlaced", instant(START + MINUTE),
                        {"customerId": "c", "orderId": "o", "orderValue": 1, "cartId": "k5"}),
                  event("CartUpdated", instant(START + MINUTE), cart(cart="room"))])
    rc, out, err = replay(text, [program(
        more="onNewCart: parallel\nabandonmentDetection: {sessionTimeoutMinutes: 30}")],
        "--until", instant(START + HOUR))
    R.equal(rc, 0, f"many watched carts {err}")
    R.equal(shown(out).count("candidate"), 1024, "watched carts are bounded")
    R.check('"room"' in out and '"k5"' not in out, "an order makes room")


def main():
    for test in (the_last_years, long_keys, cleaning_decides_nothing, lines_and_pieces, pipes,
                 one_customer_with_many_carts):
        test()
    R.finish()


if __name__ == "__main__":
    main()
