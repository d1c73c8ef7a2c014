#!/usr/bin/env python3
"""The same events give the same bytes, whatever the cores and however they are cut into files; and
the synthetic shop gives the document's rates.

    determinism.py [CARTWHEEL] [EVENTS]     about EVENTS events (200000; the soak takes 1000000)
"""
import hashlib
import json
import os
import random
import sys

import harness
from harness import execute

CARTWHEEL = harness.binary()
EVENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 200000
PROGRAM = os.path.join(harness.ROOT, "tools", "programs", "abandoned-cart-recovery.yaml")
OTHERS = [os.path.join(harness.ROOT, "tools", "programs", name)
          for name in ("second-chance.yaml", "electronics-push.yaml")]
EVENTS_A_CART = 7.23


def digest(data):
    return hashlib.sha256(data).hexdigest()


def replay(arguments, given=None):
    return execute([CARTWHEEL, "replay", "--json"] + arguments, given, timeout=600)


def generated(results, folder):
    """The stream, with its plan; the same options give the same bytes."""
    carts = str(max(100, round(EVENTS / EVENTS_A_CART)))
    path = os.path.join(folder.name, "shop.ndjson")
    code, _, plan = execute([CARTWHEEL, "gen", "--carts", carts, "--plan", "-o", path])
    results.check(code == 0, "gen: exit 0", plan.decode())
    small = ["gen", "--carts", "500", "--seed"]
    results.equal(execute([CARTWHEEL] + small + ["9"])[1], execute([CARTWHEEL] + small + ["9"])[1],
                  "gen: the same seed, the same shop")
    results.check(execute([CARTWHEEL] + small + ["9"])[1] != execute([CARTWHEEL] + small + ["8"])[1],
                  "gen: another seed, another shop")
    return path, json.loads(plan)


def cores(results, path):
    """1, 2, 3 and 8 cores; returns the output and the summary."""
    first = None
    for count in (1, 2, 3, 8):
        code, output, said = replay(["--cores", str(count), PROGRAM, path])
        results.check(code == 0, f"{count} cores: the sums reconcile, exit 0", said[-500:])
        summary = json.loads(said)
        if first is None:
            first = (output, summary)
        results.equal(digest(output), digest(first[0]), f"{count} cores: the same bytes")
        results.equal(summary, first[1], f"{count} cores: the same summary")
    return first


def pieces(results, folder, path, output):
    """The same lines cut into several files, and through standard input."""
    with open(path, "rb") as file:
        rows = file.read().splitlines(keepends=True)
    chance = random.Random(11)
    for count, on in ((2, 1), (7, 3), (40, 2)):
        cuts = sorted(chance.randrange(len(rows) + 1) for _ in range(count - 1))
        names = []
        for i, (start, end) in enumerate(zip([0] + cuts, cuts + [len(rows)])):
            names.append(folder.write(f"piece{i:02}.ndjson", b"".join(rows[start:end])))
        code, got, said = replay(["--cores", str(on), PROGRAM] + names)
        results.check(code == 0, f"{count} files: exit 0", said[-500:])
        results.equal(digest(got), digest(output), f"{count} files on {on} cores: the same bytes")
        for name in names:
            os.unlink(name)
    _, got, _ = replay(["--cores", "2", PROGRAM, "-"], b"".join(rows))
    results.equal(digest(got), digest(output), "standard input: the same bytes")


def several(results, path):
    """Three programs at once with holdout, variants, quiet hours and session timeouts."""
    digests = set()
    for count in (1, 3):
        code, output, said = replay(["--cores", str(count), PROGRAM] + OTHERS + [path])
        results.check(code == 0 and json.loads(said), f"three programs on {count} cores", said[-500:])
        digests.add(digest(output))
    _, output, _ = replay(["--cores", "2"] + OTHERS[::-1] + [path, PROGRAM])
    digests.add(digest(output))
    results.equal(len(digests), 1, "three programs in any order on any cores: the same bytes")


def order(results, output):
    """Lines by time, invalid first, then the customer's bytes."""
    last = ("", b"")
    wrong = 0
    for row in output.splitlines():
        parsed = json.loads(row)
        key = (parsed["at"], parsed.get("customerId", "").encode("utf-8"))
        wrong += key < last
        last = key
    results.equal(wrong, 0, "lines in order")


def rates(results, summary, plan):
    """The document's rates, and the plan's own counts to the last one."""
    made = summary["candidates"]["created"]
    fates = summary["abandonments"]
    events = summary["events"]
    touch = {row["touch"]: row for row in summary["byTouch"]}

    def near(name, part, whole, wanted, within):
        share = 100 * part / whole
        results.check(abs(share - wanted) <= within, name, f"{share:.2f} %, not {wanted}")

    near("60 % of the matched pass the filters", made, fates["matched"] - fates["duplicate"] -
         fates["updated"], 60, 1)
    for number, field, wanted in ((1, "opened", 40), (1, "clicked", 25), (2, "clicked", 35),
                                  (3, "opened", 20)):
        near(f"touch {number} {field}", touch[number][field], touch[number]["sent"], wanted, 1.5)
    for number, wanted in ((1, 15), (2, 10), (3, 5)):
        near(f"touch {number} converted", touch[number]["converted"], made, wanted, 1.5)
    for number, wanted in ((1, 100), (2, 85), (3, 75)):
        near(f"touch {number} sent", touch[number]["sent"], made, wanted, 1.5)
    for number, wanted in ((1, 98), (2, 95), (3, 97)):
        near(f"touch {number} delivered", touch[number]["delivered"], touch[number]["sent"], wanted,
             1.5)
    results.equal(events["received"], sum(events[k] for k in events if k not in (
        "received", "made")), "every event has one fate")
    results.equal(made, sum(summary["candidates"][k] for k in (
        "converted", "cancelled", "superseded", "rejected", "expired", "in-flight")),
        "every candidate has one end")
    results.equal(summary["candidates"]["in-flight"], 0, "no journey is left")
    results.equal(events["received"], plan["events"], "events as planned")
    results.equal(made, plan["candidates"], "candidates as planned")
    results.equal({k: v for k, v in summary["rejections"].items() if v},
                  {k: v for k, v in plan["rejected"].items() if v}, "rejections as planned")
    for number, row in enumerate(plan["touches"], 1):
        results.equal([touch[number][k] for k in ("sent", "delivered", "opened", "clicked",
                                                  "converted")],
                      [row[k] for k in ("sent", "delivered", "opened", "clicked", "converted")],
                      f"touch {number} as planned")


def main():
    results = harness.Results()
    with harness.Folder() as folder:
        path, plan = generated(results, folder)
        output, summary = cores(results, path)
        order(results, output)
        rates(results, summary, plan)
        pieces(results, folder, path, output)
        several(results, path)
        results.check(EVENTS * .9 < plan["events"] < EVENTS * 1.1, "about as many events as asked for",
                      plan["events"])
    results.finish()


if __name__ == "__main__":
    main()
