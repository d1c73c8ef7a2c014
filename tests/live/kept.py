#!/usr/bin/env python3
"""Snapshots that are made by themselves where something is in the way: engines that share a place
in the same second, a place that cannot be written, files that are no snapshots. Each is told, and
tried again soon."""
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile

import engine

run = engine.command
HERE = os.path.dirname(os.path.abspath(__file__))
MADE, FAILED = "cartwheel_store_snapshots_total", "cartwheel_store_snapshots_failed_total"
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z-[0-9a-f]{8}\.cwsnap$")


def config(every, keep, to):
    return f"""http: {{listen: ["127.0.0.1:0"]}}
snapshots: {{every: {every}, keep: {keep}, to: {to}}}
"""


class Time:
    """An engine whose time a test moves on."""

    def __init__(self, folder):
        self.shim, self.path = (os.path.join(folder, name) for name in ("clock.so", "clock"))
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim,
                        os.path.join(HERE, "clock_shim.c")], check=True)
        with open(self.path, "wb") as file:
            file.write(bytes(24))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 24)
        self.environment = {"LD_PRELOAD": self.shim, "CW_TEST_CLOCK": self.path}

    def passes(self, seconds):
        ahead = int.from_bytes(self.map[16:24], "little") + seconds * 10**9
        self.map[16:24] = ahead.to_bytes(8, "little")


def together(results, folder):
    """Two engines that make one every second, in one directory."""
    box = os.path.join(folder, "box")
    os.makedirs(box)
    text = config("1s", 3, box)
    with engine.Engine(config=text, http=None) as one, engine.Engine(config=text, http=None) as two:
        both = (one, two)
        engine.until(lambda: all(live.metrics()[MADE] >= 5 for live in both), 60)
        for live in both:
            metrics = live.metrics()
            results.check(metrics[MADE] >= 5 and metrics[FAILED] == 0,
                          "neither is in the other's way", (metrics[MADE], live.words))
            results.equal(live.stop(), 0, "it stops in order")
    names = sorted(os.listdir(box))
    results.check(all(NAME.match(n) for n in names), "called by time and store", names)
    of = {}
    for name in names:
        code, output, _ = run("inspect", os.path.join(box, name), "--json")
        store = json.loads(output)["store"] if code == 0 else None
        results.check(store and name.endswith(f"Z-{store[:8]}.cwsnap"), f"{name} is whose it says")
        of[store] = of.get(store, 0) + 1
    results.check(len(of) == 2 and all(1 <= count <= 4 for count in of.values()),
                  "each counts its own", of)


def at_once(results):
    """By hand and without a name: nobody's name can be taken."""
    with engine.Engine() as live:
        got = [live.request("POST", "/v1/snapshot") for _ in range(4)]
        results.equal([status for status, _, _ in got], [200] * 4, "four in a second")
        files = [json.loads(body).get("file") for _, _, body in got]
        results.check(len(set(files)) == 4 and files == sorted(files), "each its own", files)
        old = os.path.join(live.state, "snapshots", "2020-01-01T000000Z.cwsnap")
        shutil.copy(files[0], old)
        results.equal(live.stop(), 0, "it stops in order")
        text = config("1s", 2, os.path.join(live.state, "snapshots"))
        with engine.Engine(config=text, http=None, state=live.state) as again:
            engine.until(lambda: again.metrics()[MADE] >= 2, 60)
            results.check(engine.until(lambda: not os.path.exists(old)),
                          "one that is called as they were before is counted, and goes")
            results.equal(again.stop(), 0, "it stops in order")


def in_the_way(results, folder):
    """A place that is not there yet."""
    box = os.path.join(folder, "later", "box")
    time = Time(folder)
    with engine.Engine(config=config("6h", 3, box), http=None,
                       environment=time.environment) as live:
        results.check(any("WARNING" in w and box in w and "No such file" in w for w in live.words),
                      "a start says that it cannot be written", live.words)
        results.equal(live.get("/v1/snapshot")[0], 404, "none was asked for yet")
        time.passes(61)
        engine.until(lambda: live.metrics()[FAILED] == 1, 20)
        results.equal(live.metrics()[FAILED], 1, "the first one fails")
        status, _, body = live.get("/v1/snapshot")
        results.check(status == 500 and box.encode() in body, "who asks is told", (status, body))
        results.check(any("snapshot failed" in w and "60 s" in w for w in live.words),
                      "and when it is tried again", live.words)
        os.makedirs(os.path.dirname(box))
        time.passes(50)
        results.equal(engine.until(lambda: live.metrics()[MADE] > 0, 0.5), False, "not at once")
        time.passes(11)
        engine.until(lambda: live.metrics()[MADE] == 1, 20)
        results.equal(live.metrics()[MADE], 1, "but after a minute, not after six hours")
        results.equal(live.get("/v1/snapshot")[0], 200, "and who asks is told")
        os.rename(box, box + ".away")
        with open(box, "wb"):
            pass
        time.passes(6 * 3600 + 1)
        engine.until(lambda: live.metrics()[FAILED] == 2, 20)
        os.unlink(box)
        time.passes(61)
        results.check(engine.until(lambda: live.metrics()[MADE] == 2, 20), "so with a later one",
                      live.words)
        results.equal(live.stop(), 0, "it stops in order")


def no_snapshots(results, folder):
    """What only is called like one is told once, not with each that is made."""
    box = os.path.join(folder, "strange")
    os.makedirs(box)
    for name in ("2020-01-01T000000Z.cwsnap", "2020-01-02T000000Z-0123abcd.cwsnap",
                 "2999-01-01T000000Z.cwsnap"):
        with open(os.path.join(box, name), "wb") as file:
            file.write(b"no snapshot")
    with engine.Engine(config=config("1s", 1, box), http=None) as live:
        engine.until(lambda: live.metrics()[MADE] >= 4, 60)
        results.equal(live.stop(), 0, "it stops in order")
        told = [w for w in live.words if "not counted" in w]
        results.equal(len(told), 3, "each is told once: " + "\n".join(told))


def main():
    if shutil.which("cc") is None:
        engine.skip("no compiler for a clock that can be moved")
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-kept-")
    try:
        together(results, folder)
        at_once(results)
        in_the_way(results, folder)
        no_snapshots(results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
