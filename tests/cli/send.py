#!/usr/bin/env python3
"""send: events from files arrive, all of them, whatever the engine on the other side does: it is
overloaded, breaks off, refuses some, or is not there."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import harness
from engines import CUT, RESET, HttpEngine, TcpEngine, counts, signature

CARTWHEEL = harness.binary()
THROTTLED = (400, {}, {"__type": "ThrottlingException", "message": "Rate exceeded"})
CLEAN = {k: v for k, v in os.environ.items()
         if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}


def send(arguments, given=None, environment=None, timeout=60):
    done = subprocess.run([CARTWHEEL, "send"] + arguments, input=given, capture_output=True,
                          timeout=timeout, env={**CLEAN, **(environment or {})}, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def summary(accepted, duplicate=0, rejected=0):
    return f"{accepted} accepted, {duplicate} duplicate, {rejected} rejected\n"


def shop(count, start=0):
    return [harness.event("CartAbandoned", harness.instant(1768754700000 + i * 1000),
                          {"customerId": f"C{i}", "cartId": f"K{i}", "n": i}, id=f"e{i}")
            for i in range(start, start + count)]


def numbers(events):
    return [json.loads(e["Detail"])["n"] if "Detail" in e else e["detail"]["n"] for e in events]


def plain(results, folder):
    file = folder.write("e.ndjson", "\n" + harness.lines(shop(1234)) + "  \r\n")
    with HttpEngine() as engine:
        code, output, said = send([file, "--to", engine.url])
        results.check(code == 0 and not output and said == summary(1234), "all accepted", said)
        results.equal(numbers(engine.taken), list(range(1234)), "in order")
        results.equal([len(r[3]) for r in engine.requests], [500, 500, 234], "batches of 500")
        results.check(all(r[1] == "/v1/events" and r[2]["content-type"] == "application/x-ndjson"
                          for r in engine.requests), "posted as NDJSON")
    with HttpEngine() as engine:
        code, output, said = send(["-", "--to", engine.url + "/other?x=1", "--batch", "100",
                                   "--json"], harness.lines(shop(250)).encode())
        counted = json.loads(output)
        results.check(code == 0 and counted["accepted"] == 250 and counted["retries"] == 0,
                      "from standard input, as JSON", output)
        results.equal([(r[1], len(r[3])) for r in engine.requests],
                      [("/other?x=1", n) for n in (100, 100, 50)], "--batch, path")
    for name, text, expected in (
            ("one.json", json.dumps(shop(1)[0], indent=2), 1),
            ("list.json", json.dumps(shop(7), indent=1), 7), ("empty.json", "[]", 0),
            ("lines.json", harness.lines(shop(3)), 3), ("none.ndjson", "", 0),
            ("unended.ndjson", harness.lines(shop(2))[:-1], 2)):
        with HttpEngine() as engine:
            code, _, said = send([folder.write(name, text), "--to", engine.url])
            results.check(code == 0 and said == summary(expected) and
                          numbers(engine.taken) == list(range(expected)), name, said)
    with HttpEngine() as engine:
        code, _, said = send([folder.write("bad.json", "[{]"), "--to", engine.url])
        results.check(code == 1 and "bad.json" in said and not engine.requests, "bad.json", said)
        code, _, said = send([file, os.path.join(folder.name, "absent"), "--to", engine.url])
        results.check(code == 1 and "absent" in said and len(engine.taken) == 1234 and
                      said.endswith(summary(1234)), "a missing file stops it, visibly", said)


def pipe(results):
    """What is written into a pipe is sent while it stays open."""
    with HttpEngine() as engine:
        process = subprocess.Popen([CARTWHEEL, "send", "-", "--to", engine.url], env=CLEAN,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(3):
            process.stdin.write(harness.lines(shop(1, i)).encode())
            process.stdin.flush()
            end = time.monotonic() + 20
            while len(engine.taken) <= i and time.monotonic() < end:
                time.sleep(0.01)
            results.check(len(engine.taken) == i + 1, f"line {i} arrives before the end")
        _, said = process.communicate(timeout=30)
        results.check(process.returncode == 0 and said.decode() == summary(3), "pipe", said)


def now(results, folder):
    events = shop(50)
    events[3]["detail"]["timestamp"] = "2026-01-19T00:00:00.5+01:00"  # the latest
    events[4]["time"] = "not a time"
    file = folder.write("e.ndjson", harness.lines(events) + "{not json\n")
    before = time.time() * 1000
    for arguments, given in (([file], None), (["-"], open(file, "rb").read())):
        with HttpEngine() as engine:
            code, output, said = send(arguments + ["--now", "--json", "--to", engine.url], given)
            results.check(code == 0, "--now", said)
            after = time.time() * 1000
            shift = json.loads(output)["shiftMs"]
            latest = harness.milliseconds("2026-01-18T23:00:00.500Z") + shift
            results.check(before - 1 <= latest <= after, "the latest is now", f"{latest} {after}")
            good = [e for e in engine.taken if isinstance(e, dict)]
            results.check(all(harness.milliseconds(e["time"]) - 1768754700000 - i * 1000 == shift
                              for i, e in enumerate(good) if i != 4), "all by the same amount")
            results.equal(good[3]["detail"]["timestamp"], harness.instant(latest), "timestamp")
            results.equal(good[4]["time"], "not a time", "what is no time stays")
            results.equal(engine.taken[-1], b"{not json", "what is no JSON is the engine's")


def hardships(results, folder):
    """Overload, broken connections, strange answers: everything arrives all the same."""
    file = folder.write("e.ndjson", harness.lines(shop(40)))
    for name, script in (
            ("429", [(429, {}, b"slow down")]), ("503", [(503, {}, b""), (503, {}, b"")]),
            ("throttled", [THROTTLED, THROTTLED]), ("500", [None, (500, {}, b"<html>")]),
            ("reset", [None, RESET, RESET, None]), ("cut", [None, (200, {}, CUT), None]),
            ("chunked", [lambda events: (200, {"chunked": True}, counts(len(events)))])):
        with HttpEngine(script) as engine:
            code, _, said = send([file, "--to", engine.url, "--batch", "10"])
            results.check(code == 0 and said.endswith(summary(40)), name, said)
            taken = 30 if name == "chunked" else 40
            results.equal(sorted(set(numbers(engine.taken))), list(range(40 - taken, 40)), name)
    with HttpEngine([None, (429, {"Retry-After": "2"}, b"")]) as engine:
        code, _, said = send([file, "--to", engine.url, "--batch", "20"])
        waited = engine.requests[2][0] - engine.requests[1][0]
        results.check(code == 0 and waited >= 2, "Retry-After", waited)
    with HttpEngine([(503, {}, b"")] * 9) as engine:
        code, _, said = send([file, "--to", engine.url, "--retry-for", "1"])
        results.check(code == 1 and "e.ndjson:1: status 503" in said and said.endswith(summary(0)),
                      "gives up, and says before which event", said)
    with HttpEngine([None, (401, {}, {"error": "who are you?"})]) as engine:
        code, _, said = send([file, "--to", engine.url, "--batch", "15"])
        results.check(code == 1 and "e.ndjson:16: status 401: who are you?" in said and
                      said.endswith(summary(15)) and len(engine.requests) == 2, "401 stops", said)
        results.check("--api-key-file" in said, "401 names the option that gives a key", said)
    with HttpEngine([(403, {}, {"error": "not you"})]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 1 and "status 403: not you" in said and "--api-key-file" in said,
                      "403 too", said)
    for answer in (b"<html>", {}, counts(39), counts(41), counts(-1, 41),
                   counts(39, 0, [{"index": 40, "reason": "x"}])):
        with HttpEngine([(200, {}, answer)]) as engine:
            code, _, said = send([file, "--to", engine.url])
            results.check(code == 1 and "e.ndjson:" in said and "the answer" in said and
                          len(engine.requests) == 1, f"an answer of no engine: {answer}", said)
    with HttpEngine() as engine:
        url = engine.url
    code, _, said = send([file, "--to", url, "--retry-for", "1"])
    results.check(code == 1 and "e.ndjson:1:" in said and said.endswith(summary(0)),
                  "nobody is there", said)
    for address in (url, url.replace("http:", "tcp:")):
        waits(results, file, address)


def waits(results, file, url):
    """Who waits says so before the first wait, and for how long, and how to wait less."""
    with subprocess.Popen([CARTWHEEL, "send", file, "--to", url], stderr=subprocess.PIPE) as waiting:
        line = waiting.stderr.readline().decode()  # would be the summary, minutes later
        results.check(waiting.poll() is None and "trying again for up to 300 s" in line and
                      "--retry-for" in line and url.partition("//")[2] in line,
                      f"{url} waits and says so", line)
        waiting.send_signal(signal.SIGINT)
        waiting.stderr.read()
    results.equal(waiting.returncode, 1, "interrupted while it waits")


def rejections(results, folder):
    file = folder.write("e.ndjson", harness.lines(shop(60)))
    with HttpEngine(refuse=lambda e: "no \x1b[31mgood" if e["detail"]["n"] % 2 else None) as engine:
        code, _, said = send([file, "--to", engine.url, "--batch", "16"])
        rows = re.findall(r"e\.ndjson:(\d+): rejected: no \?\[31mgood\n", said)
        results.check(code == 1 and rows == [str(n) for n in range(2, 42, 2)] and
                      "... and 10 more" in said and said.endswith(summary(30, 0, 30)),
                      "the first 20 rejections are named", said)
    with HttpEngine([lambda events: (200, {}, counts(1, 59))]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 0 and said == summary(1, 59), "duplicates are no failure", said)

    def too_large(events):
        return (413, {}, b"too large") if len(events) > 7 else \
            (400, {}, {"error": "bad event"}) if 30 in numbers(events) else None
    with HttpEngine([too_large] * 100) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 1 and said == "%s:31: rejected: status 400: bad event\n" % file +
                      summary(59, 0, 1), "a batch that is refused whole is sent in parts", said)
        results.equal(numbers(engine.taken), [n for n in range(60) if n != 30], "nothing is lost")


def no_room(results, folder):
    """What found no room comes again, and nothing else; it is no rejection."""
    file = folder.write("e.ndjson", harness.lines(shop(30)))

    def full(events, *these, also=(), duplicate=0, headers=None):
        taken = len(events) - len(these) - len(also) - duplicate
        return 503, headers or {}, {"error": "full", **counts(taken, duplicate, [
            {"index": i, "reason": "no room", "retry": True} for i in these] + list(also))}

    def some(events):
        return full(events, 1, 5, also=[{"index": 3, "reason": "bad"}], duplicate=1,
                    headers={"Retry-After": "1"})
    with HttpEngine([some, lambda events: full(events, 0)]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 1 and said == "%s:4: rejected: bad\n" % file + summary(28, 1, 1),
                      "what found no room is accepted later", said)
        results.equal([numbers(r[3]) for r in engine.requests[1:]], [[1, 5], [1]],
                      "only that is sent again")
        waited = engine.requests[1][0] - engine.requests[0][0]
        results.check(waited >= 1, "Retry-After of a batch in part", waited)
    with HttpEngine([lambda events: full(events, 1, 5)] +
                    [lambda events: full(events, 0, 1)] * 9) as engine:
        code, _, said = send([file, "--to", engine.url, "--retry-for", "1"])
        results.check(code == 1 and "stopped before %s:2: no room" % file in said,
                      "it gives up, and says before which event", said)
    with HttpEngine([lambda events: full(events[:7], 0)]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 0 and said == summary(30),
                      "a 503 of other events is one of the whole", said)
    refusal = b'{"error":"there is no room for line 3 now","retry":true}\n'
    with TcpEngine([], raws=[refusal, refusal]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 0 and said == summary(30) and engine.connections == 3,
                      "tcp: all after the last acknowledgement is sent again", said)
    with TcpEngine([], raws=[refusal] * 20) as engine:
        code, _, said = send([file, "--to", engine.url, "--retry-for", "1"])
        results.check(code == 1 and "e.ndjson:1: there is no room for line 3 now" in said,
                      "tcp: it gives up, in the engine's words", said)
    with TcpEngine([], raws=[b'{"error":"who are you?"}\n']) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 1 and "e.ndjson:1: who are you?" in said and engine.connections == 1,
                      "tcp: what is refused for good stops", said)


def put_events(results, folder):
    events = shop(25)
    events[7]["eventBusName"] = "bus"
    events[8]["resources"] = ["arn:x"]
    lines = [harness.line(e) for e in events] + ["{not json", '{"source":"x"}']
    file = folder.write("e.ndjson", harness.lines(lines))
    calls = 0

    def some_fail(entries):
        nonlocal calls
        calls += 1
        if calls > 1:
            return None
        return 200, {}, {"FailedEntryCount": 3, "Entries": [
            {"ErrorCode": "InternalFailure", "ErrorMessage": "later"} if i in (2, 5) else
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."} if i == 4 else
            {"EventId": str(i)} for i in range(len(entries))]}
    with HttpEngine([THROTTLED, some_fail], put_events=True) as engine:
        code, _, said = send([file, "--to", engine.url, "--as", "put-events"])
        results.check(code == 1 and said.endswith(summary(24, 0, 3)) and
                      "e.ndjson:5: rejected: Detail is malformed." in said and
                      "e.ndjson:26: rejected" in said and "e.ndjson:27: rejected" in said,
                      "put-events", said)
        results.equal(numbers(engine.taken), [2, 5] + list(range(10, 25)),
                      "entries that failed for now are sent again, alone")
        request = engine.requests[0]
        results.check(request[1] == "/" and request[2]["x-amz-target"] == "AWSEvents.PutEvents" and
                      request[2]["content-type"] == "application/x-amz-json-1.1" and
                      "authorization" not in request[2], "put-events headers", request[2])
        entry = request[3][7]
        results.equal({k: entry[k] for k in ("Source", "DetailType", "Time", "EventBusName")},
                      {"Source": "ecommerce.cart", "DetailType": "CartAbandoned",
                       "Time": 1768754707.0, "EventBusName": "bus"}, "an entry")
        results.equal(request[3][8]["Resources"], ["arn:x"], "resources")
    secret = folder.write("secret", "a secret\n")
    for arguments, environment, region in (
            (["--key-id", "AKID", "--secret-file", secret], {}, "us-east-1"),
            (["--region", "eu-west-1"], {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SESSION_TOKEN": "tok en",
                                         "AWS_SECRET_ACCESS_KEY": "a secret"}, "eu-west-1")):
        with HttpEngine(put_events=True) as engine:
            code, _, said = send([file, "--as", "put-events", "--to", engine.url] + arguments,
                                 environment=environment)
            for _, path, headers, _, body in engine.requests:
                wanted, got, names, scope = signature("a secret", "POST", path, headers, body)
                results.check(wanted == got and scope[1:3] == [region, "events"] and
                              {"host", "content-type", "x-amz-target"} <= set(names) and
                              ("x-amz-security-token" in names) == bool(environment),
                              "a signature that holds", headers)
            results.check(len(engine.requests) == 3, "signed", said)
    key = folder.write("key", "the-key\r\n")
    with HttpEngine() as engine:
        send([file, "--to", engine.url, "--api-key-file", key])
        results.equal(engine.requests[0][2].get("x-api-key"), "the-key", "--api-key-file")


def tcp(results, folder):
    file = folder.write("e.ndjson", harness.lines(shop(1300)))
    with TcpEngine() as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 0 and said == summary(1300) and engine.connections == 1, "tcp", said)
        results.equal(numbers(json.loads(e) for e in engine.taken), list(range(1300)), "tcp order")
    with TcpEngine([100, 2, 3, 555]) as engine:
        code, _, said = send([file, "--to", engine.url])
        results.check(code == 0 and said.endswith(summary(1300)) and engine.connections == 5,
                      "tcp, broken off four times", said)
        results.equal(numbers(json.loads(e) for e in engine.taken), list(range(1300)),
                      "what was not acknowledged is sent again, nothing else")
    with TcpEngine([40], refuse=lambda e: "bad" if e["detail"]["n"] in (9, 39, 700) else None) as e:
        code, _, said = send([file, "--to", e.url])
        results.equal(re.findall(r"e\.ndjson:(\d+): rejected: bad", said), ["10", "40", "701"],
                      "tcp rejections have the file's line")
        results.check(code == 1 and said.endswith(summary(1297, 0, 3)), "tcp rejections", said)
    for raw in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"ack":9999999,"accepted":1}\n', b"{}\n",
                b'{"ack":2,"accepted":3,"duplicate":0,"rejected":[]}\n'):
        with TcpEngine(raw=raw) as engine:
            code, _, said = send([file, "--to", engine.url, "--retry-for", "1"])
            results.check(code == 1 and "e.ndjson:1:" in said, f"no engine: {raw}", said)


def rate(results, folder):
    file = folder.write("e.ndjson", harness.lines(shop(100)))
    with HttpEngine() as engine:
        start = time.monotonic()
        code, _, said = send([file, "--to", engine.url, "--rate", "100"])
        results.check(code == 0 and time.monotonic() - start > 0.85 and len(engine.requests) > 8,
                      "--rate spreads events", said)


def usage(results, folder):
    file = folder.write("e.ndjson", harness.lines(shop(1)))
    two = folder.write("two", "a\nb\n")
    for arguments, word in (
            ([], "no events"), ([file], "--to"), (["--to", "http://127.0.0.1:1"], "no events"),
            ([file, "--to", "127.0.0.1:80"], "address"), ([file, "--to", "ftp://x"], "address"),
            ([file, "--to", "http://"], "address"), ([file, "--to", "tcp://x"], "port"),
            ([file, "--to", "tcp://x:1/path"], "path"), ([file, "--to", "http://u:p@x"], "users"),
            ([file, "--to", "http://x:99999"], "address"), ([file, "--ot", "x"], "--to"),
            ([file, "--to", "http://x", "--as", "kafka"], "--as"),
            ([file, "--to", "tcp://x:1", "--as", "put-events"], "--as"),
            ([file, "--to", "http://x", "--batch", "0"], "--batch"),
            ([file, "--to", "http://x", "--batch", "10001"], "--batch"),
            ([file, "--to", "http://x", "--rate", "fast"], "--rate"),
            ([file, "--to", "http://x", "--as", "put-events", "--batch", "11"], "--batch"),
            ([file, "--to", "http://x", "--as", "put-events", "--key-id", "A"], "--secret-file"),
            ([file, "--to", "http://x", "--key-id", "A", "--secret-file", two], "put-events"),
            ([file, "--to", "http://x", "--api-key-file", two], "one secret"),
            ([file, "--to", "tcp://x:1", "--api-key-file", two], "http"),
            ([file, "--to", "http://x", "--as", "put-events", "--region", "a/b"], "region"),
            (["-", "-", "--to", "http://x"], "once")):
        code, output, said = send(arguments, given=b"")
        results.check(code == 2 and not output and word in said and said.count("\n") == 1,
                      f"usage: {arguments[:4]}", f"{code} {said}")


def main():
    results = harness.Results()
    with harness.Folder() as folder:
        plain(results, folder)
        pipe(results)
        now(results, folder)
        hardships(results, folder)
        rejections(results, folder)
        no_room(results, folder)
        put_events(results, folder)
        tcp(results, folder)
        rate(results, folder)
        usage(results, folder)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
