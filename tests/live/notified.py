#!/usr/bin/env python3
"""What systemd is told (sd_notify): READY=1 once the port answers and not before, signs of life as
long as it runs, a reload's begin and end, what it is doing, STOPPING=1; nothing where nobody asks."""
import http.client
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

import engine
from notices import Manager

WATCHDOG_US = 2000000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def health(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except OSError as error:
        return str(error)


def whole_life(results, folder):
    port, answers = free_port(), []
    program = os.path.join(folder, "kept.yaml")
    engine.write_kept(program, 60)
    with Manager(WATCHDOG_US) as manager:
        manager.at_ready = lambda: answers.append(health(port))
        with engine.Engine(http=f"127.0.0.1:{port}", programs=[program],
                           environment=manager.environment) as live:
            engine.until(lambda: answers)
            results.equal(answers, [200], "the port answers when READY=1 comes")
            results.equal(manager.keys(), ["READY", "STATUS"], "nothing comes before that")
            results.equal(manager.values("STATUS"), ["ready"], "and it says so")
            begin = time.monotonic()
            results.check(engine.until(lambda: len(manager.times("WATCHDOG", begin)) >= 4),
                          "an engine with nothing to do shows that it lives",
                          manager.times("WATCHDOG", begin))
            live.process.send_signal(signal.SIGHUP)
            engine.until(lambda: len(manager.times("READY")) == 2)
            results.equal(manager.keys()[2:], ["RELOADING", "MONOTONIC_USEC", "READY"],
                          "a reload begins and ends")
            with open(program, "w", encoding="utf-8") as file:
                file.write("programId: [")
            live.process.send_signal(signal.SIGHUP)
            engine.until(lambda: len(manager.times("READY")) == 3)
            results.equal(manager.keys()[5:], ["RELOADING", "MONOTONIC_USEC", "READY"],
                          "one that is refused ends, too")
            results.equal(live.stop(), 0, "it stops")
        results.equal(manager.keys()[8:], ["STOPPING", "STATUS"], "and says that first")
        results.equal(manager.values("STATUS")[1:], ["stopping"], "in words")


def holds(results, folder):
    """The status tells why sends are held, and when they go again. No watchdog: no signs of life."""
    state, restored = os.path.join(folder, "state"), os.path.join(folder, "restored")
    with engine.Engine(state=state) as live:
        live.stop()
    snapshot = os.path.join(folder, "one.cwsnap")
    for words in (["snapshot", "--state", state, "--out", snapshot],
                  ["restore", snapshot, "--state", restored]):
        code, _, said = engine.command(*words)
        results.equal(code, 0, f"{words[0]}: {said}")
    with Manager() as manager:
        with engine.Engine(state=restored, environment=manager.environment) as live:
            results.check(engine.until(lambda: manager.values("STATUS")), "it is ready")
            results.equal(manager.values("STATUS"), ["sends held: restored"], "what is held")
            status, _, body = live.request("POST", "/v1/resume")
            results.equal(status, 200, f"resumed: {body}")
            engine.until(lambda: len(manager.values("STATUS")) > 1)
            live.stop()
        results.equal(manager.values("STATUS")[1:], ["ready", "stopping"], "and that it goes")
        results.equal(manager.times("WATCHDOG"), [], "nobody asked for signs of life")


def not_ready(results, folder):
    """A start that is refused never was ready; and nothing is said where nobody listens."""
    program = os.path.join(folder, "bad.yaml")
    with open(program, "w", encoding="utf-8") as file:
        file.write("programId: [")
    with Manager(WATCHDOG_US) as manager:
        with engine.Engine() as live:
            alone = len(live.words)
            live.stop()
        live = engine.Engine(programs=[program], environment=manager.environment)
        results.equal(live.process.wait(30), 2, "a bad program")
        shutil.rmtree(live.folder, ignore_errors=True)
        results.equal(manager.keys(), [], "was never ready")
    for where in ({}, {"NOTIFY_SOCKET": os.path.join(folder, "nowhere")}):
        with engine.Engine(environment={"WATCHDOG_USEC": "1000", **where}) as live:
            results.equal(len(live.words), alone, "no word more, whoever does not listen")
            time.sleep(0.3)
            results.equal(live.stop(), 0, "and it runs as ever")


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-notified-")
    os.environ.pop("NOTIFY_SOCKET", None)
    os.environ.pop("WATCHDOG_USEC", None)
    try:
        whole_life(results, folder)
        holds(results, folder)
        not_ready(results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
