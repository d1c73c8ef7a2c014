#!/usr/bin/env python3
"""A first start that is killed at any moment begins again; a state whose manifests are gone is
never taken for one: it would be removed."""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import engine


def begin(state):
    return subprocess.Popen([engine.binary(), "run", "--http", "127.0.0.1:0", "--cores", "2",
                             "--state", state],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cut_short(results, folder):
    """By a kill after some milliseconds: in a fast build and a slow one some of them strike."""
    early = 0
    for number in range(16):
        state = os.path.join(folder, f"cut-{number}")
        process = begin(state)
        time.sleep(0.012 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        code, _, said = engine.execute([engine.binary(), "inspect", "--state", state], timeout=60)
        early += code == 1
        results.check(code in (0, 1), "there is a state, or none yet", (number, code, said))
        with engine.Engine(state=state) as live:
            results.equal(live.stop(), 0, f"killed early, it begins again ({number})")
        shutil.rmtree(state)
    results.check(early > 0, "some were killed before there was a state", early)


def contents(state):
    found = {}
    for path in sorted(glob.glob(os.path.join(state, "epoch-*", "*", "*"))):
        with open(path, "rb") as file:
            found[path] = file.read()
    return found


def without_manifests(results, folder):
    state = os.path.join(folder, "state")
    now = int(time.time() * 1000)
    with engine.Engine(state=state) as live:
        status, answer = live.post_events([engine.profile("ann", now),
                                           engine.abandoned("ann", "cart-1", now)])
        results.equal((status, answer["accepted"]), (200, 2), "a cart is acknowledged")
        live.stop(signal.SIGKILL)
    away = os.path.join(folder, "away")
    os.mkdir(away)
    for slot in ("manifest.a", "manifest.b"):
        os.rename(os.path.join(state, slot), os.path.join(away, slot))
    before = contents(state)
    for command in (["run", "--http", "127.0.0.1:0"], ["inspect"], ["verify"]):
        code, _, said = engine.execute([engine.binary(), *command, "--state", state], timeout=60)
        results.equal(code, 78, f"{command[0]} without manifests is refused")
        results.check(b"both manifests are missing" in said and b"bring" in said,
                      "and says what to do", said)
    results.check(contents(state) == before, "nothing is changed")
    for slot in ("manifest.a", "manifest.b"):
        os.rename(os.path.join(away, slot), os.path.join(state, slot))
    with engine.Engine(state=state) as live:
        results.equal(live.get("/v1/candidates/ann:abandoned-cart-recovery")[0], 200,
                      "with them the cart is there")


def start(state, *words):
    code, _, said = engine.command("run", "--http", "127.0.0.1:0", "--state", state, *words,
                                   timeout=20)
    return code, said


def somebodys(results, folder):
    """No state is made among files that are not its own, nor where one was said to be."""
    state = os.path.join(folder, "mine")
    shutil.copytree(os.path.join(engine.harness.ROOT, "tools", "programs"), state)
    before = sorted(os.listdir(state))
    code, said = start(state)
    results.check(code == 2 and any(n in said for n in before) and "--state" in said,
                  "a directory of somebody's files is refused", (code, said))
    results.equal(sorted(os.listdir(state)), before, "and nothing is made in it")
    for place in (os.path.join(folder, "misspelt"), os.path.join(folder, "empty")):
        if place.endswith("empty"):
            os.mkdir(place)
        code, said = start(place, "--accept-loss", "0:17")
        results.check(code == 2 and "there is no state in " + place in said,
                      "no damage is given up where there is no state", (code, said))
        results.equal(os.listdir(place) if os.path.isdir(place) else [], [], "nothing is made")
    os.rmdir(os.path.join(folder, "empty"))
    place = os.path.join(folder, "used")
    os.makedirs(os.path.join(place, "lost+found"))
    os.makedirs(os.path.join(place, "outbox"))
    for name in ("lock", "secret.key.new", ".keep", "decisions.ndjson"):
        with open(os.path.join(place, name), "wb"):
            pass
    with engine.Engine(state=place) as live:
        results.equal(live.stop(), 0, "what starts and file systems leave is no reason")
    with open(os.path.join(place, "notes.txt"), "w", encoding="utf-8") as file:
        file.write("somebody's")
    with engine.Engine(state=place) as live:
        results.equal(live.stop(), 0, "nor what comes to a state later")


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-first-start-")
    try:
        cut_short(results, folder)
        without_manifests(results, folder)
        somebodys(results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
