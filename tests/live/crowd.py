#!/usr/bin/env python3
"""Many connections at once: wrk on 64 and 1,000 of them without an error, and slow ones beside a
healthy one, which must be served all the while.

    crowd.py CARTWHEEL                   2 s of wrk, 500 slow ones; asserts answers, never timing
    crowd.py CARTWHEEL --seconds 30      and 10,000 slow ones; prints rates and that one's P99

The slow ones are real processes' sockets: each sends a request's head a byte at a time, in time for
headSeconds, takes the answer and begins anew.
"""
import http.client
import json
import multiprocessing
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time

import engine

EACH, PARTS = 6, 600  # seconds between the bytes of one; groups of them
HEAD = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
CONFIG = "http: {listen: [\"127.0.0.1:0\"], headSeconds: 300, maxConnections: 20000, " \
    "maxConnectionsPerAddress: 20000}\n"
LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local n = 0
local tag = tostring(wrk)
request = function()
  n = n + 1
  wrk.body = string.format('{"source":"ecommerce.customer","detail-type":"CustomerUpdated",' ..
    '"id":"%s-%d","time":"2026-01-05T00:00:00Z","detail":{"customerId":"c%d","name":"Ada"}}',
    tag, n, n % 1000)
  return wrk.format()
end
"""


def wrk(results, live, connections, seconds):
    path = os.path.join(live.folder, "post.lua")
    with open(path, "w", encoding="ascii") as file:
        file.write(LUA)
    code, output, said = engine.execute(
        ["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s", "--latency", "-s", path,
         "--timeout", "60s",  # two seconds by itself, and a late answer would be an error
         live.url() + "/v1/events"], timeout=seconds + 60)
    text = output.decode()
    name = f"wrk, {connections} connections, {seconds} s"
    rate = re.search(r"Requests/sec: *([0-9.]+)", text)
    results.check(code == 0 and rate is not None, f"{name}: it runs", text + said.decode())
    results.check("Socket errors" not in text and "Non-2xx" not in text, f"{name}: no error", text)
    p99 = re.search(r"99% *(\S+)", text)
    print(f"{name}: {float(rate.group(1)):,.0f} requests/s, P99 {p99.group(1)}")


def crawl(port, count, ready, halt, told):
    """A process with slow connections; tells answers taken and connections that were broken."""
    os.nice(19)  # elsewhere they would have processors of their own
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for one in sockets:
        one.setblocking(False)
    ready.release()
    answers = broken = 0
    at = [n % len(HEAD) for n in range(count)]
    for n, one in enumerate(sockets):  # all at different places of their heads
        one.send(HEAD[:at[n]])
    answered = [False] * count
    groups = [list(enumerate(sockets))[part::PARTS] for part in range(PARTS)]
    due, turn = time.monotonic(), 0
    while not halt.is_set():  # a few at a time: callers are not in step either
        due, turn = due + EACH / PARTS, (turn + 1) % PARTS
        for n, one in groups[turn]:
            try:
                if at[n] == 0 and answered[n]:  # the answer of EACH seconds ago
                    broken += one.recv(4096) == b""
                one.send(HEAD[at[n]:at[n] + 1])
            except OSError:  # BlockingIOError too: it was not answered
                broken += 1
                continue
            at[n] = (at[n] + 1) % len(HEAD)
            answered[n] |= at[n] == 0
            answers += at[n] == 0
        halt.wait(max(0.0, due - time.monotonic()))
    told.put((answers, broken))


def healthy(live, seconds):
    """Milliseconds that one keep-alive caller waits for each of its answers, and wrong ones."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port(), timeout=30)
    times, wrong, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        wrong += answer.status != 200 or json.loads(answer.read())["status"] != "ok"
        times.append((time.monotonic() - began) * 1000)
        time.sleep(0.002)
    connection.close()
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100], wrong


def slow(results, live, count, seconds):
    alone = healthy(live, seconds)
    processes, halt, ready = [], multiprocessing.Event(), multiprocessing.Semaphore(0)
    told = multiprocessing.Queue()
    for _ in range(2):
        processes.append(multiprocessing.Process(
            target=crawl, args=(live.port(), count // 2, ready, halt, told)))
        processes[-1].start()
    for _ in processes:
        ready.acquire()
    beside = healthy(live, seconds)
    open_now = live.metrics()["cartwheel_server_connections_open"]
    halt.set()
    counts = [told.get() for _ in processes]
    for process in processes:
        process.join()
    results.check(open_now >= count, f"{count} slow connections are open", open_now)
    results.equal([broken for _, broken in counts], [0, 0], "none of them is broken off")
    results.equal((alone[2], beside[2]), (0, 0), "the healthy one is answered well")
    print(f"beside {count} slow connections: P50 {beside[0]:.2f} ms, P99 {beside[1]:.2f} ms; alone "
          f"{alone[0]:.2f} and {alone[1]:.2f}; their answers: {sum(a for a, _ in counts)}")


def main():
    long = "--seconds" in sys.argv
    seconds = int(sys.argv[sys.argv.index("--seconds") + 1]) if long else 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(10000 if long else 500, most - 500)
    results = engine.Results()
    with engine.Engine("--decisions", os.devnull, config=CONFIG, http=None) as live:
        if shutil.which("wrk") is None:
            print("SKIPPED: wrk is not installed")
        else:
            for connections in (64, 1000):
                wrk(results, live, connections, seconds)
        slow(results, live, count, seconds)
    results.finish()


if __name__ == "__main__":
    main()
