#!/usr/bin/env python3
"""Damage to what was acknowledged, and the explicit way on: a start refuses and tells a figure,
--accept-loss with another one is refused, with that one the log is cut there, what stood there is
kept aside, and sends are held until they are resumed. Also in the middle of many segments, for two
cores at once, and killed at every step."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import engine

run = engine.command
CARTWHEEL = engine.binary()
HOUR = 3600000


def start(state, program, *words):
    """A start that is refused: (exit code, words)."""
    code, _, said = run("run", "--http", "127.0.0.1:0", "--state", state, "--cores", "2", *words,
                        program)
    return code, said


def put(live, customer, t0):
    status, answer = live.post_events([engine.profile(customer, t0),
                                       engine.abandoned(customer, "cart-" + customer, t0)])
    return status == 200 and answer["rejected"] == []


def content(path):
    with open(path, "rb") as file:
        return file.read()


def log_of(state, core):
    folder = os.path.join(state, "epoch-00000001", f"core-{core:03d}")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.startswith("log-")]


def damage(path, offset):
    engine.flip(path, offset + 70)


def middle(state, core):
    """Damages a frame in the middle of the core's largest segment; (path, offset, LSN)."""
    path = max(log_of(state, core), key=lambda p: len(engine.frames(p)))
    found = engine.frames(path)
    offset, lsn = found[len(found) // 2]
    damage(path, offset)
    return path, offset, lsn


def make(program, state, count=24):
    """A state of that many carts on two cores, whose engine was killed; T0 are in the past, and all
    touches due in an hour of it."""
    with engine.Engine(programs=[program], state=state, cores=2) as live:
        now = int(time.time() * 1000)
        good = all(put(live, f"c{i}", now - HOUR + 600000) for i in range(count))
        time.sleep(1.5)  # a seal
        live.stop(signal.SIGKILL)
    return good


def digest(folder):
    found = {}
    for base, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(base, name), "rb") as file:
                found[os.path.relpath(os.path.join(base, name), folder)] = hash(file.read())
    return found


def the_way_on(results, folder, program):
    state = os.path.join(folder, "state")
    results.check(make(program, state), "a state of some carts")
    path, offset, lsn = middle(state, 0)
    last = max(l for p in log_of(state, 0) for _, l in engine.frames(p))
    with open(path, "rb") as file:
        damaged = file.read()
    before = digest(state)
    code, said = start(state, program)
    results.equal(code, 78, "a start refuses damage")
    for word in ("core 0", os.path.basename(path), f"offset {offset}", f"LSN {lsn}",
                 f"--accept-loss 0:{lsn}"):
        results.check(word in said, f"and says {word}", said)
    code, _, told = run("verify", "--state", state, program)
    results.check(code == 78 and f"--accept-loss 0:{lsn}" in told, "verify says the same", told)
    results.check(re.search(rf"LSN {lsn} to {last}\b", told), "and how far it goes", told)
    for words in (["inspect"], ["snapshot", "--out", os.path.join(folder, "never.cwsnap")]):
        code, _, told = run(*words, "--state", state, program)
        results.check(code == 78 and f"--accept-loss 0:{lsn}" in told, f"so does {words[0]}", told)
    for figure, word in ((f"0:{lsn + 1}", f"at LSN {lsn}"), (f"1:{lsn}", "is whole"),
                         (f"7:{lsn}", "cores 0 to 1"), ("0", "CORE:LSN"), ("0:", "CORE:LSN"),
                         (f"0:{lsn}x", "CORE:LSN"), ("-1:3", "CORE:LSN")):
        code, said = start(state, program, "--accept-loss", figure)
        results.check(code == 2 and word in said, f"--accept-loss {figure} is refused", said)
    results.check(before == digest(state), "nothing was changed, of the other core neither")
    with engine.Engine("--accept-loss", f"0:{lsn}", programs=[program], state=state,
                       cores=2) as live:
        health = json.loads(live.get("/healthz")[2])
        results.equal((health.get("sends"), health.get("heldFor")), ("held", ["log_loss"]),
                      "it comes up with sends held")
        words = "\n".join(live.words)
        results.check("GIVEN UP" in words and f"LSN {lsn} to {last}" in words and
                      "cartwheel resume" in words, "loudly", words)
        results.check(put(live, "new", int(time.time() * 1000)), "events are taken")
        there = sum(live.get(f"/v1/candidates/c{i}:kept")[0] == 200 for i in range(24))
        results.check(0 < there < 24, "what was before is there, what was after is not", there)
        live.stop(signal.SIGKILL)
    with open(os.path.join(state, "losses.ndjson"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    results.equal([(l["core"], l["lsn"], l["lastLsn"], l["offset"]) for l in lines],
                  [(0, lsn, last, offset)], "it is written down")
    kept = os.path.join(lines[0]["keptIn"], os.path.basename(path))
    with open(kept, "rb") as file:
        results.check(file.read() == damaged, "the damaged segment is kept as it was")
    code, said = start(state, program, "--accept-loss", f"0:{lsn}")
    results.check(code == 2 and "is whole" in said, "said again it is refused", said)
    with engine.Engine(programs=[program], state=state, cores=2) as live:
        health = json.loads(live.get("/healthz")[2])
        results.equal(health.get("heldFor"), ["log_loss"], "held after one more start")
        results.equal(live.get("/v1/candidates/new:kept")[0], 200, "what came since is there")
        code, output, said = run("resume", "--to", live.url(), "--assume-sent-until",
                                 engine.stamp(int(time.time() * 1000)))
        told = json.loads(output or "{}")
        results.check(code == 0 and told["sends"] == "go" and told["wereHeldFor"] == ["log_loss"],
                      "resume releases", output + said)
        results.check("sends" not in json.loads(live.get("/healthz")[2]), "sends go")
        results.equal(live.stop(), 0, "it stops in order")
    code, output, said = run("verify", "--state", state, program)
    results.check(code == 0, "the state is good", said)
    with engine.Engine(programs=[program], state=state, cores=1) as live:
        results.equal(live.get("/v1/candidates/new:kept")[0], 200, "on another number of cores too")


def two_cores(results, folder, program):
    """Both cores are damaged; one of them is started on another number of cores."""
    state = os.path.join(folder, "two")
    results.check(make(program, state), "a state of some carts")
    figures = [f"{core}:{middle(state, core)[2]}" for core in (0, 1)]
    code, said = start(state, program, "--accept-loss", figures[0], "--accept-loss", figures[0])
    results.equal(code, 2, "a core is named once")
    code, said = start(state, program, "--accept-loss", figures[0])
    results.check(code == 78 and f"--accept-loss {figures[1]}" in said, "one after the other", said)
    with engine.Engine("--accept-loss", figures[1], programs=[program], state=state,
                       cores=3) as live:
        results.equal(json.loads(live.get("/healthz")[2]).get("heldFor"), ["log_loss"], "held")
        results.equal(live.stop(), 0, "it stops in order")
    with open(os.path.join(state, "losses.ndjson"), encoding="utf-8") as file:
        results.equal([json.loads(line)["core"] for line in file], [0, 1], "both are written down")
    results.equal(run("verify", "--state", state, program)[0], 0, "the state is good")


def segments(results, folder, program):
    """Damage in an early one of many segments: all later ones go aside as well."""
    state = os.path.join(folder, "many")
    for _ in range(4):
        results.check(make(program, state, 12), "a state of several segments")
    logs = log_of(state, 0)
    results.check(len(logs) >= 4, "which there are", logs)
    offset, lsn = engine.frames(logs[1])[2]
    damage(logs[1], offset)
    last = max(l for p in logs for _, l in engine.frames(p))
    behind = {os.path.basename(p): content(p) for p in logs[1:]}
    with engine.Engine("--accept-loss", f"0:{lsn}", programs=[program], state=state,
                       cores=2) as live:
        results.check(f"LSN {lsn} to {last}" in "\n".join(live.words), "it says how far",
                      live.words)
        live.stop(signal.SIGKILL)
    aside = os.path.join(state, "given-up", os.listdir(os.path.join(state, "given-up"))[0])
    kept = {name: content(os.path.join(aside, name)) for name in os.listdir(aside)}
    results.check(kept == behind, "all of them are kept as they were", sorted(kept))
    results.equal(run("verify", "--state", state, program)[0], 0, "the state is good")
    with engine.Engine(programs=[program], state=state, cores=2) as live:
        results.equal(live.stop(), 0, "and goes on")


def killed(results, folder, program):
    """Killed at any moment: refused with the same figure again, or cut; held either way."""
    whole = os.path.join(folder, "whole")
    results.check(make(program, whole), "a state of some carts")
    _, _, lsn = middle(whole, 0)
    state = os.path.join(folder, "killed")
    for slot in ("manifest.a", "manifest.b"):
        shutil.copytree(whole, state)
        damage(os.path.join(state, slot), 0)
        code, said = start(state, program)
        results.check(code == 78 and f"remove {slot}" in said, f"{slot} is to be removed", said)
        os.remove(os.path.join(state, slot))
        code, said = start(state, program)
        results.check(code == 78 and f"--accept-loss 0:{lsn}" in said, "then all is there", said)
        shutil.rmtree(state)
    cut = 0
    for number in range(14):
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(whole, state)
        process = subprocess.Popen([CARTWHEEL, "run", "--http", "127.0.0.1:0", "--state", state,
                                    "--cores", "2", "--accept-loss", f"0:{lsn}", program],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 * (number + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        code, _, said = run("verify", "--state", state, program)
        cut += code == 0
        if code == 78:
            results.check(f"--accept-loss 0:{lsn}" in said, "the same figure again", said)
            words = ("--accept-loss", f"0:{lsn}")
        else:
            results.equal(code, 0, "or it is cut")
            words = ()
        with engine.Engine(*words, programs=[program], state=state, cores=2) as live:
            results.equal(json.loads(live.get("/healthz")[2]).get("heldFor"), ["log_loss"],
                          f"kill {number}: sends are held")
            live.stop(signal.SIGKILL)
    print(f"killed 14 times, {cut} of them after the cut")


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-loss-")
    program = os.path.join(folder, "kept.yaml")
    engine.write_kept(program, 60, engine.DROPS)
    try:
        for part in (the_way_on, two_cores, segments, killed):
            part(results, folder, program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
