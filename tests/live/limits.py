#!/usr/bin/env python3
"""Limits of connections and of patience: each is met on purpose, told to the caller, and counted
under its name; whoever keeps to them is served meanwhile. Only counts and answers are asserted."""
import http.client
import json
import os
import resource
import select
import shutil
import socket
import sys
import threading
import time

import attacks
import engine

SERVER = "cartwheel_server_"


def counted(cartwheel, name):
    return int(cartwheel.metrics()[SERVER + name])


def config(**http):
    lines = {"listen": '["127.0.0.1:0"]', **http}
    return "http: {" + ", ".join(f"{k}: {v}" for k, v in lines.items()) + "}\n"


def ask(caller, path="/healthz"):
    caller.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return attacks.read_answer(caller)


class Healthy(threading.Thread):
    """One client that keeps to every rule: a connection of its own, one event after the other."""

    def __init__(self, cartwheel, name):
        super().__init__(daemon=True)
        self.cartwheel, self.title = cartwheel, name
        self.sent, self.served, self.odd, self.halt = 0, 0, [], False

    def run(self):
        caller = attacks.dial(self.cartwheel)
        while not self.halt and self.sent < 100000:
            self.sent += 1
            body = json.dumps(attacks.event(f"{self.title}-{self.sent}")).encode()
            try:
                caller.sendall(attacks.post("/v1/events", body, "Content-Type: application/json"))
                status, _, answer, _ = attacks.read_answer(caller)
            except OSError as error:
                self.odd.append(repr(error))
                return
            if status == 200 and json.loads(answer)["accepted"] == 1:
                self.served += 1
            else:
                self.odd.append((status, answer))
        caller.close()

    def end(self, results):
        self.halt = True
        self.join(30)
        results.check(self.served > 0 and self.served == self.sent and not self.odd,
                      f"{self.title}: the healthy client is served each time",
                      f"{self.served} of {self.sent} {self.odd[:3]}")


# ---- bodies that come too slowly ----

def drip(callers, step, end):
    """A piece to each that was not told anything yet, every half second, until the time."""
    while time.monotonic() < end:
        told, _, _ = select.select(callers, [], [], 0)
        for caller in callers:
            if caller not in told:
                caller.sendall(step)
        time.sleep(0.5)


def slow_bodies(results):
    """Below 1 KiB/s a body ends with 408 and the connection with it; one that is just as long but
    faster is taken. The deadline counts from the head, again and again every 5 s."""
    with engine.Engine(config=config(), http=None, cores=1) as cartwheel:
        healthy = Healthy(cartwheel, "beside-slow-bodies")
        healthy.start()
        forms = {"a length": (b"Content-Length: 900000\r\n", b"x" * 64),
                 "chunks": (b"Transfer-Encoding: chunked\r\n", b"20\r\n" + b"x" * 32 + b"\r\n"),
                 "nothing": (b"Content-Length: 900000\r\n", b"")}
        slow = []
        for name, (header, step) in forms.items():
            for _ in range(8):
                caller = attacks.dial(cartwheel, timeout=30)
                caller.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
                slow.append((name, caller, step))
        event = json.dumps(attacks.event("steady", pad="x" * 24000)).encode()
        steady = attacks.dial(cartwheel, timeout=30)
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(event)}\r\n\r\n"
        steady.sendall(head.encode())
        end = time.monotonic() + 7
        threads = [threading.Thread(target=drip, args=([c for n, c, _ in slow if n == name], step,
                                                       end), daemon=True)
                   for name, (_, step) in forms.items() if step]
        for thread in threads:
            thread.start()
        pieces = [event[i:i + 2000] for i in range(0, len(event), 2000)]
        for piece in pieces:  # some 4 KiB/s, six seconds long
            steady.sendall(piece)
            time.sleep(0.5)
        status, _, answer, _ = attacks.read_answer(steady)
        results.check(status == 200 and b'"accepted":1' in answer, "a steady body is taken",
                      f"{status} {answer}")
        for thread in threads:
            thread.join(30)
        wrong = []
        for name, caller, _ in slow:
            got, ended = attacks.read_all(caller)
            caller.close()
            if attacks.statuses(got) != [408] or not ended or b"too slowly" not in got:
                wrong.append((name, got, ended))
        results.check(not wrong, "slow bodies end with 408 and are closed", wrong[:3])
        results.equal(counted(cartwheel, "http_refused_body_late_total"), len(slow),
                      "slow bodies are counted")
        healthy.end(results)
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))


# ---- as many connections as there may be ----

def over_the_limit(results, name, http, allowed, dial):
    """The first `allowed` connections are served, the next three are told 503 and closed; when one
    of the first goes there is room again."""
    with engine.Engine(config=config(**http), http=None, cores=1) as cartwheel:
        first = [dial(cartwheel) for _ in range(allowed)]
        results.equal([ask(c)[0] for c in first], [200] * allowed, f"{name}: within the limit")
        wrong = []
        for kind in ("GET", "PutEvents", "NDJSON"):
            caller = dial(cartwheel)
            caller.sendall({"GET": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                            "PutEvents": attacks.post("/", b"{}",
                                                      "X-Amz-Target: AWSEvents.PutEvents"),
                            "NDJSON": attacks.post("/v1/events", b"{}\n")}[kind])
            got, ended = attacks.read_all(caller)
            caller.close()
            status, words = (400, b'"__type":"ThrottlingException"') if kind == "PutEvents" else \
                (503, b"\r\nRetry-After: ")
            if attacks.statuses(got) != [status] or not ended or words not in got:
                wrong.append((kind, got, ended))
        results.check(not wrong, f"{name}: more are told so and closed", wrong)
        results.equal([ask(c)[0] for c in first], [200] * allowed, f"{name}: the others stay")
        status, _, text, _ = ask(first[0], "/metrics")
        values = dict(line.rsplit(" ", 1) for line in text.decode().splitlines()
                      if line.startswith(SERVER))
        results.equal((status, values[SERVER + "connections_refused_total"],
                       values[SERVER + "http_refused_connections_total"]), (200, "3", "3"),
                      f"{name}: counted by name")
        first.pop().close()

        def room():
            caller = dial(cartwheel)
            try:
                return ask(caller)[0] == 200
            except OSError:
                return False
            finally:
                caller.close()
        results.check(engine.until(room, 10), f"{name}: room again when one has gone")
        for caller in first:
            caller.close()
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))


def dial_from(address):
    def dial(cartwheel):
        caller = socket.socket()
        caller.settimeout(10)
        caller.bind((address, 0))
        caller.connect(("127.0.0.1", cartwheel.port()))
        return caller
    return dial


def other_addresses(results):
    """One address at its limit takes nothing from another."""
    http = {"maxConnectionsPerAddress": 2, "maxConnections": 6}
    with engine.Engine(config=config(**http), http=None, cores=1) as cartwheel:
        kept = []
        for address in ("127.0.0.1", "127.0.0.2"):
            callers = [dial_from(address)(cartwheel) for _ in range(3)]
            found = [attacks.statuses(attacks.read_all(c)[0]) if i == 2 else [ask(c)[0]]
                     for i, c in enumerate(callers) if i < 2 or not c.sendall(
                         b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")]
            results.equal(found, [[200], [200], [503]], f"two from {address}, not three")
            kept += callers[:2]
        third = dial_from("127.0.0.3")(cartwheel)
        results.equal(ask(third)[0], 200, "a third address has its own room")
        for caller in [*kept, third]:
            caller.close()


# ---- IPv6 ----

def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def ipv6(results):
    http = {"listen": '["[::1]:0", "127.0.0.1:0"]', "maxConnectionsPerAddress": 2}
    with engine.Engine(config=config(**http), http=None, cores=1) as cartwheel:
        results.check(cartwheel.addresses[0].startswith("http://[::1]:"), "ready names it",
                      cartwheel.addresses)
        port = cartwheel.port()
        callers = []
        for number in range(2):
            caller = socket.create_connection(("::1", port), 10)
            body = json.dumps(attacks.event(f"six-{number}")).encode()
            caller.sendall(attacks.post("/v1/events", body, "Content-Type: application/json"))
            status, _, answer, _ = attacks.read_answer(caller)
            results.check(status == 200 and b'"accepted":1' in answer, "an event over IPv6",
                          f"{status} {answer}")
            callers.append(caller)
        caller = socket.create_connection(("::1", port), 10)
        caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        found = attacks.statuses(attacks.read_all(caller)[0])
        results.equal(found, [503], "its address is counted")
        four = int(cartwheel.addresses[1].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", four), 10) as caller:
            results.equal(ask(caller)[0], 200, "IPv4 beside it is another address")
        for caller in callers:
            caller.close()

        def top():
            code, told, _ = engine.execute([engine.binary(), "top", "--once", "--to",
                                            cartwheel.url()])
            return code == 0 and b"received 2" in told
        results.check(engine.until(top, 10), "top over IPv6", cartwheel.url())
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))


# ---- beside idle and silent connections ----

def beside_silent(results):
    """Connections that never say a word are closed after idleSeconds, and counted."""
    with engine.Engine(config=config(idleSeconds=1), http=None, cores=1) as cartwheel:
        silent = [attacks.dial(cartwheel, timeout=30) for _ in range(300)]
        healthy = Healthy(cartwheel, "beside-silence")
        healthy.start()
        ends = [attacks.read_all(c) for c in silent]
        results.check(all(got == b"" and ended for got, ended in ends), "silence is ended",
                      [e for e in ends if e != (b"", True)][:3])
        healthy.end(results)
        results.equal(counted(cartwheel, "connections_idle_total"), len(silent),
                      "silent connections are counted")
        for caller in silent:
            caller.close()


# ---- fewer descriptors than callers ----

def with_files(count):
    """What limits the engine to so many open files."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return limit


def few_files(results):
    """A crowd cannot take the descriptor that the log's next file needs, without which the engine
    would end: there are fewer connections then."""
    with engine.Engine(programs=[engine.PROGRAM], cores=1, before=with_files(700)) as cartwheel:
        results.check(any("the limit of open files leaves no more" in w for w in cartwheel.words),
                      "fewer connections: it says so", cartwheel.words)
        healthy = http.client.HTTPConnection("127.0.0.1", cartwheel.port(), timeout=60)
        healthy.connect()
        crowd = [attacks.dial(cartwheel) for _ in range(750)]
        engine.until(lambda: crowd[-1] in select.select(crowd, [], [], 0)[0], 5)
        kept = len(os.listdir(f"/proc/{cartwheel.process.pid}/fd"))
        results.check(kept < 700, "descriptors are left", kept)
        at, fields = int(time.time() * 1000), {"name": "x" * 250, "pushToken": "z" * 250}
        for part in range(26):  # more than a file of the log holds
            lines = [engine.profile(f"c{part}-{i}", at, email="y" * 180 + "@example.com", **fields)
                     for i in range(800)]
            body = "".join(json.dumps(line) + "\n" for line in lines)
            try:
                healthy.request("POST", "/v1/events", body,
                                {"content-type": "application/x-ndjson"})
                answer = healthy.getresponse()
                told = answer.status, json.loads(answer.read())["accepted"]
            except OSError as error:
                told = repr(error)
            results.equal(told, (200, 800), f"events beside the crowd, part {part}")
            if told != (200, 800):
                break
        for caller in crowd:
            caller.close()
        healthy.close()
        results.equal(cartwheel.stop(), 0, "stops cleanly")

    refused = engine.Engine(programs=[engine.PROGRAM], cores=1, before=with_files(100))
    refused.ready.wait(60)
    said = "\n".join(refused.words)
    results.equal(refused.stop(), 2, "with 100 files it does not start")
    results.check("the limit of open files is 100" in said and "ulimit -n" in said, "and says why",
                  said)
    results.check(not os.path.exists(refused.state), "nothing was made")
    shutil.rmtree(refused.folder, ignore_errors=True)


# ---- whoever asks again and again ----

def sanitized():
    with open(engine.binary(), "rb") as file:
        found = file.read()
    return b"__asan_init" in found or b"__tsan_init" in found


def resident(process):
    """MiB."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def asked_often(results):
    """Metrics of an engine at rest, asked for often, leave nothing behind in its memory."""
    if sanitized():
        print("SKIPPED: memory that sanitizers keep back cannot be told from what is lost")
        return
    with engine.Engine(programs=[engine.PROGRAM], cores=1) as cartwheel:
        caller = http.client.HTTPConnection("127.0.0.1", cartwheel.port(), timeout=30)
        first, asked = 0.0, 2500
        for number in range(asked):
            caller.request("GET", "/metrics")
            caller.getresponse().read()
            if number == 100:
                first = resident(cartwheel.process)
        grown = resident(cartwheel.process) - first
        results.check(grown < 30, f"metrics, {asked} times: memory stays as it is", f"{grown} MiB")
        caller.close()
        results.equal(cartwheel.stop(), 0, "stops cleanly")


def main():
    results = engine.Results()
    slow_bodies(results)
    over_the_limit(results, "maxConnections", {"maxConnections": 4}, 4, attacks.dial)
    over_the_limit(results, "maxConnectionsPerAddress", {"maxConnectionsPerAddress": 3}, 3,
                   attacks.dial)
    other_addresses(results)
    beside_silent(results)
    few_files(results)
    asked_often(results)
    if has_ipv6():
        ipv6(results)
    else:
        print("SKIPPED: no IPv6 on this machine")
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
