#!/usr/bin/env python3
"""Signs of life end while one loop is stuck, a core's or the control plane's (strace holds its
thread in a system call), and come back with it; while a disk hangs (a real file system that is
frozen) they go on."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import engine
import mounts
from notices import Manager

WATCHDOG_US = 2000000
SILENCE_S = 4.0  # what is heard in this time shows that it lives
WAITS = "io_uring_enter,epoll_wait,epoll_pwait,epoll_pwait2"


def can_attach():
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "20"]) as other:
        log = subprocess.Popen(["strace", "-p", str(other.pid)], stderr=subprocess.PIPE, text=True)
        said = log.stderr.readline()
        other.kill()
        log.wait()
    return "attached" in said


def core_threads(pid, log):
    """Those that wait for the network all the time."""
    subprocess.run(["timeout", "2", "strace", "-f", "-qq", "-e", "trace=" + WAITS, "-o", log,
                    "-p", str(pid)], capture_output=True, check=False)
    counts = {}
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            thread = int(line.split()[0])
            counts[thread] = counts.get(thread, 0) + 1
    return sorted(t for t, count in counts.items() if count > 100)


def stuck(results, manager, thread, name):
    hold = subprocess.Popen(["strace", "-o", "/dev/null", "-e", "inject=all:delay_enter=60000000",
                             "-p", str(thread)], stderr=subprocess.PIPE, text=True)
    try:
        results.check("attached" in hold.stderr.readline(), f"{name} is held")
        time.sleep(1.5 * WATCHDOG_US / 1e6)  # the one that was due when it was
        begin = time.monotonic()
        time.sleep(SILENCE_S)
        results.equal(manager.times("WATCHDOG", begin), [], f"no sign of life while {name} is")
    finally:
        hold.terminate()
        hold.wait(20)
    begin = time.monotonic()
    results.check(engine.until(lambda: manager.times("WATCHDOG", begin)),
                  f"it lives again once {name} does")


def loops(results, folder):
    with Manager(WATCHDOG_US) as manager:
        with engine.Engine(environment=manager.environment) as live:
            cores = core_threads(live.process.pid, os.path.join(folder, "log"))
            results.equal(len(cores), 2, "the threads of two cores are found")
            for number, thread in enumerate(cores):
                stuck(results, manager, thread, f"core {number}")
            stuck(results, manager, live.process.pid, "the control plane")
            results.equal(live.stop(), 0, "it stops as ever")


def state_of(thread):
    with open(f"/proc/{thread}/stat", encoding="utf-8") as file:
        return re.search(r"\) (\w)", file.read()).group(1)


def frozen(results, live, manager, disk):
    """A refused event is to be kept, by the control plane; the disk does not take it."""
    writer = threading.Thread(target=lambda: live.post_events(b'{"no": "event"}\n'), daemon=True)
    subprocess.run(["fsfreeze", "-f", disk], check=True)
    try:
        writer.start()
        waits = engine.until(lambda: state_of(live.process.pid) == "D")
        time.sleep(WATCHDOG_US / 1e6)  # what is heard from now on is not of the time before
        begin = time.monotonic()
        lives = engine.until(lambda: len(manager.times("WATCHDOG", begin)) >= 3)
        results.check(waits and state_of(live.process.pid) == "D",
                      "the control plane waits for a disk that hangs")
    finally:
        subprocess.run(["fsfreeze", "-u", disk], check=True)
    results.check(lives, "and that is no reason to be killed", manager.times("WATCHDOG"))
    writer.join(30)
    letters = os.path.join(live.state, "dead-letters.ndjson")
    results.check(engine.until(lambda: os.path.exists(letters) and os.path.getsize(letters) > 0),
                  "what waited is written once it does not hang any more")


def disk_hangs(results, folder):
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    if shutil.which("fsfreeze") is None or not mounts.ext4(
            disk, os.path.join(folder, "image"), 300):
        print("SKIPPED: no file system of its own can be mounted and frozen here")
        return
    try:
        with Manager(WATCHDOG_US) as manager:
            with engine.Engine(state=os.path.join(disk, "state"),
                               environment=manager.environment) as live:
                frozen(results, live, manager, disk)
                results.equal(live.stop(), 0, "and it stops as ever")
    finally:
        subprocess.run(["umount", disk], capture_output=True, check=False)


def main():
    mounts.enter()  # where there is none, what needs it is skipped
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-stuck-")
    try:
        disk_hangs(results, folder)
        if can_attach():
            loops(results, folder)
        else:
            print("SKIPPED: no strace, or it may not attach here: no loop is held")
        if results.passed + results.failed == 0:
            engine.skip("neither can be done here")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
