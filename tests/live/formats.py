#!/usr/bin/env python3
"""State and snapshots that earlier versions left open for ever: kept samples in tests/data/formats.

    formats.py CARTWHEEL               opens every sample
    formats.py CARTWHEEL --make NAME   makes one, when a format has changed; keep the older ones

A sample is a shop's state on two cores after a checkpoint, more events and a kill -9
(state.tar.xz), the snapshot that was made before (snapshot.cwsnap), and what `inspect --dump` says
of both. When rows come to hold more, the dumps may have to be made anew (--dumps NAME); that a
sample opens may never change.
"""
import os
import shutil
import signal
import sys
import tarfile
import tempfile

import engine
import harness

run = engine.command
SAMPLES = os.path.join(harness.ROOT, "tests", "data", "formats")
PROGRAM = "program.yaml"


def must(*words):
    code, output, said = run(*words)
    if code != 0:
        raise RuntimeError(f"cartwheel {' '.join(words)}: {code} {said}")
    return output


def unpack(sample, folder):
    with tarfile.open(os.path.join(sample, "state.tar.xz")) as tar:
        tar.extractall(folder)
    return os.path.join(folder, "state")


def start(sample, state, cores):
    return engine.Engine("--clock", "event", programs=[os.path.join(sample, PROGRAM)],
                         state=state, cores=cores)


def dumps(sample):
    """(name, where `inspect` finds it, its kept dump) of both things in a sample."""
    program = os.path.join(sample, PROGRAM)
    with tempfile.TemporaryDirectory(prefix="cartwheel-format-") as folder:
        yield "state", must("inspect", "--dump", "--state", unpack(sample, folder), program)
    yield "snapshot", must("inspect", "--dump", os.path.join(sample, "snapshot.cwsnap"), program)


def write_dumps(sample):
    for name, text in dumps(sample):
        with open(os.path.join(sample, name + ".dump"), "w", encoding="utf-8") as file:
            file.write(text)


def make(name):
    sample = os.path.join(SAMPLES, name)
    os.makedirs(sample)
    shutil.copy(engine.PROGRAM, os.path.join(sample, PROGRAM))
    events = must("gen", "--seed", "5", "--events", "240").splitlines(keepends=True)
    with tempfile.TemporaryDirectory(prefix="cartwheel-format-") as folder:
        state = os.path.join(folder, "state")
        with start(sample, state, 2) as live:
            live.post_events("".join(events[:120]).encode())
            status, _, body = live.request("POST", "/v1/snapshot")
            made = os.path.join(state, "snapshots")
            if status != 200 or not os.path.isdir(made):
                raise RuntimeError(f"no snapshot: {status} {body}")
            shutil.move(os.path.join(made, os.listdir(made)[0]),
                        os.path.join(sample, "snapshot.cwsnap"))
            os.rmdir(made)
            live.post_events("".join(events[120:]).encode())
            live.stop(signal.SIGKILL)
        for spare in [n for _, _, names in os.walk(state) for n in names if "spare" in n]:
            for base, _, names in os.walk(state):
                if spare in names:
                    os.remove(os.path.join(base, spare))
        with tarfile.open(os.path.join(sample, "state.tar.xz"), "w:xz") as tar:
            tar.add(state, "state", filter=anonymous)
    write_dumps(sample)


def anonymous(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def candidates(text):
    """The dump's candidates in flight: scheduled (0) or active (1)."""
    return [line for line in text.splitlines()
            if line.startswith("candidate ") and line.split(" ")[3] in "01"]


def check_starts(r, name, sample, state, cores, text):
    with start(sample, state, cores) as live:
        r.equal(int(live.metrics()["cartwheel_candidates_in_flight"]), len(candidates(text)),
                f"{name}: an engine on {cores} cores has its candidates")
        now = 1900000000000
        status, answer = live.post_events([engine.profile("new", now),
                                           engine.abandoned("new", "cart-new", now)])
        r.equal((status, answer["accepted"]), (200, 2),
                f"{name}: and takes events on {cores} cores")
        r.equal(live.stop(), 0, f"{name}: and stops well on {cores} cores")


def check_sample(r, sample):
    base = os.path.basename(sample)
    program = os.path.join(sample, PROGRAM)
    snapshot = os.path.join(sample, "snapshot.cwsnap")
    texts = {}
    for name, text in dumps(sample):
        texts[name] = text
        with open(os.path.join(sample, name + ".dump"), encoding="utf-8") as file:
            kept = file.read()
        r.check(text == kept, f"{base}: the dump of its {name}", harness.difference(text, kept))
        r.check(len(candidates(text)) > 0, f"{base}: its {name} has candidates")
    r.equal(run("verify", snapshot, program)[0], 0, f"{base}: its snapshot is sound")
    code, _, said = run("verify", sample)
    r.equal((code, "--state" in said), (2, True), f"{base}: a directory is no snapshot")
    for cores in (1, 2, 3):
        with tempfile.TemporaryDirectory(prefix="cartwheel-format-") as folder:
            state = unpack(sample, folder)
            r.equal(run("verify", "--state", state, program)[0], 0, f"{base}: its state is sound")
            check_starts(r, f"{base}, state", sample, state, cores, texts["state"])
        with tempfile.TemporaryDirectory(prefix="cartwheel-format-") as folder:
            state = os.path.join(folder, "state")
            r.equal(run("restore", snapshot, "--state", state, "--resume")[0], 0,
                    f"{base}: its snapshot is restored")
            check_starts(r, f"{base}, snapshot", sample, state, cores, texts["snapshot"])


def main():
    if "--make" in sys.argv:
        make(sys.argv[sys.argv.index("--make") + 1])
        return 0
    if "--dumps" in sys.argv:
        write_dumps(os.path.join(SAMPLES, sys.argv[sys.argv.index("--dumps") + 1]))
        return 0
    r = engine.Results()
    samples = sorted(os.listdir(SAMPLES))
    r.check(len(samples) > 0, "samples are kept")
    for name in samples:
        check_sample(r, os.path.join(SAMPLES, name))
    return r.finish()


if __name__ == "__main__":
    sys.exit(main())
