#!/usr/bin/env python3
"""A disk that hangs: its flushes do not return until this test lets them. Nothing is acknowledged,
/healthz, /metrics, top and standard error say why, nobody who asks them waits for the disk; then it
comes back, and all goes on with nothing lost."""
import json
import re
import shutil
import subprocess
import sys
import threading
import time

import engine

HANGS_S = 300  # far longer than the test: it ends by detaching
POSTS = 24     # more than the batches that a core may have on their way to another


class Hang:
    """Every flush of the engine hangs while the context lasts."""

    def __init__(self, live):
        self.process = subprocess.Popen(
            ["strace", "-f", "-p", str(live.process.pid), "-o", "/dev/null", "-e",
             "trace=fdatasync", "-e", f"inject=fdatasync:delay_enter={HANGS_S}000000"],
            stderr=subprocess.PIPE, text=True)
        self.said = self.process.stderr.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()  # what it stopped goes on
        self.process.wait(30)
        self.process.stderr.close()


def can_hang():
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as victim:
        tried = subprocess.Popen(["strace", "-p", str(victim.pid), "-o", "/dev/null"],
                                 stderr=subprocess.PIPE, text=True)
        attached = "attached" in tried.stderr.readline()
        tried.terminate()
        tried.communicate(timeout=30)
        victim.kill()
    return attached


def health(live):
    status, _, body = live.get("/healthz")
    return status, json.loads(body) if body.startswith(b'{"status"') else {}


def stalled(live):
    status, said = health(live)
    return said if status == 503 and said.get("status") == "disk does not answer" else None


def events(number):
    now = int(time.time() * 1000)
    return [engine.profile(f"c{number}", now), engine.abandoned(f"c{number}", "cart", now)]


def metrics(live):
    """Names of what is told, and the whole of it."""
    status, _, body = live.get("/metrics")
    return status, body.decode()


def before(live, results):
    results.equal(live.post_events(events("before"))[0], 200, "events are taken")
    status, said = health(live)
    results.equal((status, said["status"], said["durability"]), (200, "ok", "fsync"), "all is well")
    found = live.metrics()
    results.equal(found["cartwheel_disk_stalled_seconds"], 0, "so says /metrics")
    results.check(found["cartwheel_disk_flush_seconds_count"] > 0, "flushes are counted", found)
    results.check(any(re.match(r"  disk: two threads.*fdatasync", line) for line in live.words),
                  "the start says what it runs on", live.words)


def meanwhile(live, results):
    answers = []
    posts = [threading.Thread(target=lambda n=n: answers.append(live.post_events(events(n))[0]))
             for n in range(POSTS)]
    for post in posts:
        post.start()
        time.sleep(0.02)  # each a chunk of its own, so that the core runs out of batches
    for post in posts:
        post.join(60)
    results.equal(answers, [504] * POSTS, "no event is acknowledged")
    results.check(engine.until(lambda: stalled(live), 60), "/healthz says so", live.words)
    for _ in range(8):  # whichever core is asked
        began = time.monotonic()
        said = stalled(live)
        results.check(said and said["diskStalledSeconds"] >= 10, "with the seconds", said)
        results.check(time.monotonic() - began < 3, "and does not wait for the disk")
        status, text = metrics(live)
        seconds = re.search(r"^cartwheel_disk_stalled_seconds (\d+)$", text, re.M)
        results.check(status == 200 and seconds and int(seconds[1]) >= 10, "so does /metrics", text)
        results.check("cartwheel_events" not in text, "which tells nothing that may be lost", text)
    results.check(engine.until(lambda: any(
        re.search(r'core \d: the disk has not answered for 10 s .*"write".*OPERATING.md', line)
        for line in live.words)), "standard error does", live.words)
    code, page, said = engine.command("top", "--once", "--every", "0.1", "--to", live.url())
    results.check(code == 0 and "NOT ANSWERED for" in page, "and top", page + said)


def after(live, results):
    results.check(engine.until(lambda: health(live)[0] == 200, 60), "it is well again", live.words)
    results.equal(health(live)[1].get("status"), "ok", "and says so")
    again = [line for line in live.words if "the disk answers again, after" in line]
    results.check(engine.until(lambda: any("the disk answers again, after" in line
                                           for line in live.words)), "so does stderr", live.words)
    results.check(all(float(re.search(r"after ([\d.]+) s", line)[1]) >= 10 for line in again),
                  "with how long it took", again)
    results.equal(live.post_events(events("after"))[0], 200, "events are taken")
    for number in range(POSTS):  # as callers do that got 504
        status, said = live.post_events(events(number))
        results.equal((status, said["accepted"] + said["duplicate"]), (200, 2), f"{number} again")
    results.equal(live.metrics()["cartwheel_candidates_in_flight"], POSTS + 2, "each counts once")
    results.equal(live.metrics()["cartwheel_disk_stalled_seconds"], 0, "all is well")
    results.equal(live.stop(), 0, "it ends, and its sums reconcile")


def main():
    if not can_hang():
        engine.skip("strace is not here, or may not attach")
    results = engine.Results()
    with engine.Engine() as live:
        before(live, results)
        with Hang(live) as hang:
            results.check("attached" in hang.said, "strace is attached", hang.said)
            meanwhile(live, results)
        after(live, results)
    results.finish()


sys.exit(main())
