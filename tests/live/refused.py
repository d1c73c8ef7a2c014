#!/usr/bin/env python3
"""A start that is refused changes nothing: the state is the same to the last byte, so that what is
put back afterwards is taken. Where a log, a directory, a manifest or the key of links is missing or
damaged, what is said is one instruction, and the right one."""
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import engine

run = engine.command
EPOCH = "epoch-00000001"


def start(state, *words, cores=2):
    """A start that is refused: (exit code, words)."""
    code, _, said = run("run", "--http", "127.0.0.1:0", "--state", state, "--cores", str(cores),
                        *words)
    return code, said


def tree(folder):
    """Every name in it, and what each file holds."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(base, name), folder)] = None
        for name in files:
            with open(os.path.join(base, name), "rb") as file:
                found[os.path.relpath(os.path.join(base, name), folder)] = hashlib.sha256(
                    file.read()).hexdigest()
    return found


def differ(before, after):
    return sorted(n for n in before.keys() | after.keys() if before.get(n, 0) != after.get(n, 0))


def make(folder, cores=2):
    """A state of some carts, killed."""
    state = os.path.join(folder, f"made-{cores}")
    with engine.Engine(state=state, cores=cores) as live:
        now = int(time.time() * 1000)
        for i in range(8):
            live.post_events([engine.profile(f"c{i}", now),
                              engine.abandoned(f"c{i}", f"cart-{i}", now)])
        time.sleep(1.5)  # a seal
        live.stop(signal.SIGKILL)
    return state


def goes_on(results, state, cores, what):
    with engine.Engine(state=state, cores=cores) as live:
        there = sum(live.get(f"/v1/candidates/c{i}:abandoned-cart-recovery")[0] == 200
                    for i in range(8))
        results.equal(there, 8, f"{what}: put back, all is there")
        live.stop(signal.SIGKILL)


def lose(state, path, keep):
    """Moves a directory aside; keep: leaves an empty one."""
    os.rename(os.path.join(state, path), state + ".lost")
    if keep:
        os.mkdir(os.path.join(state, path))


def put_back(state, path):
    os.makedirs(os.path.join(state, path), exist_ok=True)
    shutil.copytree(state + ".lost", os.path.join(state, path), dirs_exist_ok=True)
    shutil.rmtree(state + ".lost")


def missing_logs(results, folder):
    made = {cores: make(folder, cores) for cores in (1, 2)}
    cases = [(1, 1, f"{EPOCH}/core-000", False), (1, 1, f"{EPOCH}/core-000", True),
             (1, 1, EPOCH, False), (1, 2, f"{EPOCH}/core-000", False),
             (2, 2, f"{EPOCH}/core-000", False), (2, 2, f"{EPOCH}/core-001", True),
             (2, 2, EPOCH, False), (2, 2, EPOCH, True), (2, 1, f"{EPOCH}/core-001", False)]
    for cores, now, path, keep in cases:
        what = f"{cores} cores, now {now}, {path} {'empty' if keep else 'gone'}"
        state = os.path.join(folder, "state")
        shutil.copytree(made[cores], state)
        lose(state, path, keep)
        before = tree(state)
        for _ in range(3):
            code, said = start(state, cores=now)
            results.check(code == 78 and "missing" in said and "snapshot" in said,
                          f"{what}: it is refused", (code, said))
        results.equal(differ(before, tree(state)), [], f"{what}: nothing is changed")
        put_back(state, path)
        goes_on(results, state, now, what)
        shutil.rmtree(state)


def first_bytes(path):
    with open(path, "r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def damaged_log(results, folder):
    """Of one core: the other one's is left alone, too."""
    state = make(folder)
    core = os.path.join(state, EPOCH, "core-001")
    log = os.path.join(core, min(n for n in os.listdir(core) if n.startswith("log-")))
    first_bytes(log)
    before = tree(state)
    for cores in (2, 3):
        code, said = start(state, cores=cores)
        results.check(code == 78 and "core 1" in said, "damage of a core is refused", (code, said))
    results.equal(differ(before, tree(state)), [], "and nothing is changed, of the other neither")
    first_bytes(log)
    goes_on(results, state, 2, "damage that is mended")


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-refused-")
    try:
        for part in (missing_logs, damaged_log):
            place = os.path.join(folder, part.__name__)
            os.mkdir(place)
            part(results, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
