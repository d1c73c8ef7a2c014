#!/usr/bin/env python3
"""`cartwheel explain` says what `cartwheel replay` does.

    explain.py [CARTWHEEL] [--seeds A..B]

On random shops (tests/model/shops.py, left out where PyYAML is absent) every abandonment is
explained, and its verdict in each program must be the line that replay prints. Then usage, the
engine file, hostile text and the table of stages.
"""
import collections
import json
import os
import shutil
import sys
import tempfile
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "model"))
try:
    import shops
except ImportError:
    shops = None

VERDICTS = {"candidate": "candidate", "updated": "candidate", "rejected": "rejected",
            "duplicate": "duplicate", "superseded": "superseded"}


def expected_line(program):
    """The part of replay's line that a verdict tells."""
    verdict = program["verdict"]
    line = {"kind": VERDICTS[verdict]}
    if verdict == "rejected":
        line.update(filter=program["filter"], reason=program["reason"])
    if verdict in ("candidate", "updated"):
        stages = {s["stage"]: s for s in program["stages"]}
        line.update(score=stages["score"]["score"], confidence=stages["score"]["confidence"],
                    discountPercent=stages["score"]["discountPercent"],
                    touches=stages["schedule"]["touches"])
        if verdict == "updated":
            line["updated"] = True
        if stages["candidate"]["holdout"]:
            line["holdout"] = True
    return line


def key_of(line):
    return line["at"], line["program"], line["customerId"], line["cartId"]


def told(line):
    return {k: v for k, v in line.items()
            if k not in ("at", "program", "customerId", "cartId")}


def is_subsequence(short, long):
    rest = iter(long)
    return all(any(x == y for y in rest) for x in short)


def check_stages(results, name, program):
    """What the stages say must agree with the verdict as a whole."""
    stages = program["stages"]
    filters = {s["stage"]: s for s in stages}["filter"]["filters"]
    failing = [f for f in filters if not f["passes"]]
    for f in filters:
        checks = [c for c in f["checks"] if not c["passes"]]
        results.equal(f.get("reason"), checks[0]["reason"] if checks else None,
                      f"{name}: {f['filter']}'s reason is its first failing check's")
    if program["verdict"] == "rejected":
        results.equal((program["filter"], program["reason"]),
                      (failing[0]["filter"], failing[0]["reason"]) if failing else None,
                      f"{name}: the first failing filter rejects")
    ends = [s["stage"] for s in stages if s["verdict"] != "goes-on"]
    results.equal(program["endsAt"], ends[0], f"{name}: the path ends at the first stage that ends it")


def check_text(results, name, text):
    for line in text.decode().splitlines():
        wide = sum(0 if unicodedata.combining(c) else 1 for c in line)
        if not results.check(wide <= 100 and not any(ord(c) < 32 or 127 <= ord(c) < 160
                                                     for c in line),
                             f"{name}: lines are short and plain", repr(line)):
            return


def check_shop(results, cartwheel, seed, folder):
    shop = shops.make_shop(seed, folder)
    events = os.path.join(folder, "all.ndjson")
    with open(events, "wb") as out:
        for name in shop.events:
            with open(name, "rb") as part:
                text = part.read()
            out.write(text if text.endswith(b"\n") or not text else text + b"\n")
    base = ["--models", shop.models] + shop.programs + [events]
    code, output, words = harness.execute([cartwheel, "replay", "--quiet"] + base)
    if not results.equal(code, 0, f"seed {seed}: replay"):
        print(words.decode()[-500:])
        return collections.Counter()
    lines = [json.loads(x) for x in output.decode().splitlines()]
    groups = collections.defaultdict(list)
    for line in lines:
        if line["kind"] in ("candidate", "rejected", "duplicate", "superseded"):
            groups[key_of(line)].append(told(line))
    sessions = any("sessionTimeoutMinutes" in open(p, encoding="utf-8").read()
                   for p in shop.programs)
    explained = collections.defaultdict(list)
    seen = collections.Counter()
    with open(events, "rb") as file:
        numbered = list(enumerate(file.read().split(b"\n")[:-1], 1))
    for number, raw in numbered:
        if b"CartAbandoned" not in raw:
            continue
        name = f"seed {seed}, line {number}"
        code, output, words = harness.execute([cartwheel, "explain", "--json", "--at", str(number)]
                                              + base)
        if not results.equal(code, 0, f"{name}: explains"):
            print(words.decode()[-500:])
            continue
        found = json.loads(output)
        event = found["event"]
        seen[event["fate"]] += 1
        if event["fate"] in ("repeated", "invalid"):
            results.check(all("stages" not in p for p in found["programs"]),
                          f"{name}: a {event['fate']} event goes through no stage")
            continue
        results.check(all(x in lines for x in found["journey"]),
                      f"{name}: what followed is what replay printed")
        for program in found["programs"]:
            results.equal("stages" in program, program["match"]["matches"],
                          f"{name}: what matches goes through the stages")
            if "stages" in program:
                seen[program["verdict"]] += 1
                check_stages(results, name, program)
                explained[event["clock"], program["program"], event["customerId"],
                          event["cartId"]].append(expected_line(program))
    for key, wanted in explained.items():
        results.check(is_subsequence(wanted, groups[key]), f"seed {seed}: {key}",
                      f"explained {wanted}\nreplayed  {groups[key]}")
    if not sessions:
        for kind in ("candidate", "rejected", "duplicate"):
            results.equal(sum(x["kind"] == kind for v in explained.values() for x in v),
                          sum(x["kind"] == kind for x in lines),
                          f"seed {seed}: every {kind} line of replay is explained")
    code, output, words = harness.execute([cartwheel, "explain"] + base)
    if code == 0:
        check_text(results, f"seed {seed}", output)
        found = json.loads(harness.execute([cartwheel, "explain", "--json"] + base)[1])
        seen["made"] += found["event"]["made"]
        for program in found["programs"]:
            if "stages" in program:
                key = (found["event"]["clock"], program["program"], found["event"]["customerId"],
                       found["event"]["cartId"])
                results.check(expected_line(program) in groups[key],
                              f"seed {seed}: the last abandonment", (key, expected_line(program)))
    return seen


PROGRAM = """programId: "p\\u009b1"
eventSources: [{config: {eventPattern: {source: [shop.cart]}}}]
scoringModels: []
filterChain: [{filterId: trust, type: trust, parameters: {allowUnknown: true}}]
channels: [{type: sms, config: {delayHours: 1, message: "hi {shopName}"}}]
"""
ENGINE = """programs: [programs/p.yaml]
eventBytesMax: 4096
partitions: 16
shopName: Shop
shopUrl: https://shop.example
events:
  CartAbandoned: {source: shop.cart, detailType: Left}
"""


def abandoned(customer, cart, **more):
    event = {"source": "shop.cart", "detail-type": "Left", "time": "2026-01-18T16:45:00Z",
             "detail": {"customerId": customer, "cartId": cart, "cartValue": 150,
                        "items": [{"id": "P\u001b[31m1", "name": "x", "price": 150}]}}
    event["detail"].update(more)
    return json.dumps(event) + "\n"


def check_usage(results, cartwheel, folder):
    os.makedirs(os.path.join(folder, "conf", "programs"))
    with open(os.path.join(folder, "conf", "programs", "p.yaml"), "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    with open(os.path.join(folder, "conf", "engine.yaml"), "w", encoding="utf-8") as file:
        file.write(ENGINE)
    with open(os.path.join(folder, "e.ndjson"), "w", encoding="utf-8") as file:
        file.write(abandoned("C\u0007456", "K1") + "\n" + abandoned("C2", "\u009b2J", currency="USD")
                   + abandoned("C3", "K" * 128, category="x" * 5000) + "{\n")

    def run(*words):
        code, output, errors = harness.execute([cartwheel] + list(words), cwd=folder)
        return code, output.decode(), errors.decode()

    code, output, errors = run("check", "conf/engine.yaml")
    results.equal((code, errors), (0, "conf/engine.yaml: ok\nconf/programs/p.yaml: ok\n"), "check")
    code, output, _ = run("replay", "--quiet", "-c", "conf/engine.yaml", "e.ndjson")
    results.equal([json.loads(x)["kind"] for x in output.splitlines()][:1], ["invalid"],
                  "the engine file's bound on events holds in replay")
    results.check('"kind":"candidate"' in output, "the engine file's names and programs hold")
    code, output, _ = run("explain", "-c", "conf/engine.yaml", "e.ndjson")
    results.equal(code, 0, "explain with an engine file")
    results.check(output.startswith("CartAbandoned, line 3 of e.ndjson\n"), "the last valid one",
                  output)
    check_text(results, "hostile", output.encode())
    code, output, _ = run("explain", "-c", "conf/engine.yaml", "--customer", "C\u0007456", "e.ndjson")
    results.check("customer     C?456\n" in output, "control characters are ?", output)
    check_text(results, "hostile", output.encode())
    code, output, _ = run("explain", "-c", "conf/engine.yaml", "--json", "--at", "5", "e.ndjson")
    results.equal(json.loads(output)["event"]["type"], "invalid", "--at explains any line")
    for words, wanted in (
            (("--at", "2"), 'line 2 of e.ndjson is blank'),
            (("--at", "6"), 'there is no line 6 in e.ndjson; it has 5'),
            (("--customer", "C4"), 'did you mean "C2"?'),
            (("--customer", "unheard-of"), 'seen are "C?456", "C2"'),
            (("--customer", "C2", "--cart", "K1"), 'of customer "C2" is of cart "K1"; '),
            (("--program", "q"), 'no program "q"; ')):
        code, output, errors = run("explain", "-c", "conf/engine.yaml", *words, "e.ndjson")
        results.check(code == 1 and output == "" and wanted in errors, f"explain {words}",
                      f"{code} {errors}")
    for words in ((), ("e.ndjson",), ("p.yaml",), ("--dot",), ("--at", "0", "p.yaml", "e.ndjson"),
                  ("--at", "1", "--cart", "K", "p.yaml", "e.ndjson"), ("--nonsense",),
                  ("-c", "nowhere.yaml", "e.ndjson"), ("nowhere.yaml", "e.ndjson")):
        code, output, errors = run("explain", *words)
        results.equal((code, output), (2, ""), f"usage {words}")
    code, output, _ = run("explain", "--graph")
    results.check(code == 0 and "deduplicate  event " in output, "--graph")
    code, output, _ = run("explain", "--graph", "--json")
    results.equal([s["stage"] for s in json.loads(output)["stages"]],
                  ["deduplicate", "candidate", "filter", "place", "score", "store", "schedule"],
                  "--graph --json")
    code, output, _ = run("explain", "--graph", "--dot")
    results.check(code == 0 and output.startswith("digraph"), "--graph --dot")


def main():
    cartwheel = harness.binary()
    seeds = range(1, 11)
    if "--seeds" in sys.argv:
        first, _, last = sys.argv[sys.argv.index("--seeds") + 1].partition("..")
        seeds = range(int(first), int(last or first) + 1)
    results = harness.Results()
    seen = collections.Counter()
    root = tempfile.mkdtemp(prefix="cartwheel-explain-")
    try:
        check_usage(results, cartwheel, root)
        for seed in seeds if shops is not None else ():
            seen.update(check_shop(results, cartwheel, seed, os.path.join(root, f"shop-{seed}")))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("explained: " + ", ".join(f"{n} {k}" for k, n in sorted(seen.items())))
    results.finish()


if __name__ == "__main__":
    main()
