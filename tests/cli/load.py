#!/usr/bin/env python3
"""load: everything that was offered is accounted for, whatever the engine does; events are all
different; latency counts from the time a request was due."""
import json
import os
import re
import subprocess
import sys
import time

import harness
from engines import CUT, RESET, HttpEngine, TcpEngine, counts, signature

CARTWHEEL = harness.binary()
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}


def load(arguments, environment=None):
    done = subprocess.run([CARTWHEEL, "load"] + arguments, capture_output=True, timeout=60,
                          env={**CLEAN, **(environment or {})}, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def figures(results, name, arguments, code, environment=None):
    got, output, said = load(arguments + ["--json"], environment)
    results.check(got == code and not said, f"{name}: exit {code}", f"{got} {output} {said}")
    told = json.loads(output) if output else {"errors": {}}
    settled = told.get("accepted", 0) + told.get("duplicate", 0) + told.get("rejected", 0)
    results.check(output and settled == told["answered"] and
                  settled + sum(told["errors"].values()) == told["offered"],
                  f"{name}: the sums hold", output)
    return told


def dialects(results):
    with HttpEngine() as engine:
        told = figures(results, "http", ["--to", engine.url, "--rate", "500", "--seconds", "1",
                                         "--batch", "5"], 0)
        results.check(told["offered"] == told["accepted"] == len(engine.taken) == 500 and
                      told["latencyUs"]["requests"] == 100 and {len(r[3]) for r in
                                                                engine.requests} == {5},
                      "all is accepted", told)
        results.equal(len({e["id"] for e in engine.taken}), 500, "ids are all different")
        now = time.time() * 1000
        results.check(all(now - 30000 < harness.milliseconds(e["time"]) < now + 1000
                          for e in engine.taken), "times are now")
        times = [r[0] for r in engine.requests]
        results.check(times[-1] - times[0] > 0.5, "requests are spread", times[-1] - times[0])
    with HttpEngine() as engine:
        figures(results, "repeat", ["--to", engine.url, "--rate", "500", "--seconds", "1",
                                    "--shop-events", "100", "--repeat"], 0)
        ids = [e["id"] for e in engine.taken]
        results.equal((len(set(ids)), {ids.count(one) for one in ids}), (100, {5}),
                      "--repeat goes round the same ids")
        names = {(e["id"], e["detail"].get("customerId")) for e in engine.taken}
        results.equal(len(names), 100, "--repeat keeps the customers")
    with HttpEngine(put_events=True) as engine:
        told = figures(results, "put-events", ["--to", engine.url, "--as", "put-events", "--rate",
                                               "400", "--seconds", "0.5", "--batch", "10"], 0,
                       {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"})
        results.check(told["accepted"] == len(engine.taken) == 200, "put-events", told)
        for _, path, headers, _, body in engine.requests:
            wanted, got, _, _ = signature("secret", "POST", path, headers, body)
            results.check(wanted == got, "put-events are signed", headers)
        results.check(all("customerId" not in e["Detail"] or
                          json.loads(e["Detail"])["customerId"][0] == "L" for e in engine.taken),
                      "details are JSON")
    with TcpEngine() as engine:
        told = figures(results, "tcp", ["--to", engine.url, "--rate", "2000", "--seconds", "0.5",
                                        "--batch", "4", "--connections", "3"], 0)
        results.check(told["accepted"] == len(engine.taken) == 1000 and engine.connections == 4,
                      "tcp", told)  # one of them only looked whether it is there
    with HttpEngine() as engine:
        told = figures(results, "threads", ["--to", engine.url, "--rate", "300", "--seconds", "0.5",
                                            "--threads", "3", "--shop-events", "100"], 0)
        results.equal(len({e["id"] for e in engine.taken}), 150, "ids over threads and rounds")
        kinds = [e for e in engine.taken if "customerId" in e["detail"]]
        results.check(len({e["detail"]["customerId"].split("-")[1] for e in kinds}) == 3,
                      "each thread has its own customers")


def hardships(results):
    slow = (400, {}, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    script = [slow, (429, {}, b""), (503, {}, b""), RESET, (200, {}, CUT), (200, {}, b"<html>"),
              (401, {}, {"error": "who?"}), (500, {}, b""), (200, {}, counts(7)),
              (200, {"Connection": "close"}, counts(1)), (200, {"chunked": True}, counts(0, 1)),
              (200, {}, counts(0, 0, [{"index": 0, "reason": "bad"}]))]
    with HttpEngine(script) as engine:
        told = figures(results, "errors", ["--to", engine.url, "--rate", "60", "--seconds", "1"], 1)
        errors = {k: v for k, v in told["errors"].items() if v}
        results.equal(errors, {"throttled": 3, "broken": 2, "misunderstood": 2, "refused": 1,
                               "failed": 1}, "errors by kind")
        results.check(told["duplicate"] == 1 and told["rejected"] == 1 and told["accepted"] == 49,
                      "the rest is accepted", told)
    with HttpEngine([(401, {}, {"error": "who are you?"})] * 50) as engine:
        code, output, _ = load(["--to", engine.url, "--rate", "50", "--seconds", "0.2"])
        results.check(code == 1 and "refused" in output and "status 401 who are you?" in output and
                      re.search(r"offered +10 events", output), "words", output)
    with TcpEngine([0, 10, 20]) as engine:
        told = figures(results, "tcp resets", ["--to", engine.url, "--rate", "200", "--seconds",
                                               "1", "--connections", "1"], 1)
        results.check(told["errors"]["broken"] >= 3 and told["accepted"] > 20, "tcp resets", told)
    with TcpEngine(raw=b"220 hello\r\n") as engine:
        told = figures(results, "tcp nonsense", ["--to", engine.url, "--rate", "50", "--seconds",
                                                 "0.2", "--connections", "2"], 1)
        results.check(told["errors"]["misunderstood"] >= 2 and not told["accepted"], "nonsense",
                      told)
    with HttpEngine() as engine:
        url = engine.url
    code, output, said = load(["--to", url])
    results.check(code == 1 and not output and "connecting to" in said, "nobody is there", said)


def omission(results):
    """One connection and an engine that needs 50 ms: at 40 requests a second it can do but half of
    them, so the later half of the second's requests wait about half a second or more."""
    with HttpEngine(delay=0.05) as engine:
        told = figures(results, "omission", ["--to", engine.url, "--rate", "40", "--seconds", "1",
                                             "--connections", "1"], 0)
        latency = told["latencyUs"]
        results.check(latency["requests"] == 40 and latency["p50"] > 400e3 and
                      latency["max"] > 800e3, "waiting counts", told)


def usage(results):
    for arguments, word in (
            ([], "--to"), (["--to", "https://x"], "https"), (["--to", "udp://x:1"], "address"),
            (["--to", "http://x", "--rate", "0"], "--rate"),
            (["--to", "http://x", "--seconds", "0"], "--seconds"),
            (["--to", "http://x", "--seconds", "nan"], "--seconds"),
            (["--to", "http://x", "--batch", "x"], "--batch"),
            (["--to", "http://x", "--as", "put-events", "--batch", "11"], "--batch"),
            (["--to", "http://x", "--threads", "2", "--connections", "1"], "connection"),
            (["--to", "http://x", "events.ndjson"], "events.ndjson"),
            (["--to", "http://x", "--shop-sed", "1"], "--shop-seed")):
        code, output, said = load(arguments)
        results.check(code == 2 and not output and word in said and said.count("\n") == 1,
                      f"usage: {arguments}", f"{code} {said}")


def main():
    results = harness.Results()
    dialects(results)
    hardships(results)
    omission(results)
    usage(results)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
