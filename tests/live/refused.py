#!/usr/bin/env python3
"""A start that is refused changes nothing: the state is the same to the last byte, so that what is
put back afterwards is taken. Where a log, a directory, a manifest or the key of links is missing or
damaged, what is said is one instruction, and the right one."""
import fcntl
import hashlib
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


def manifests(results, folder):
    """One instruction, not two that contradict each other."""
    state = make(folder)
    for slot, other in (("manifest.a", "manifest.b"), ("manifest.b", "manifest.a")):
        first_bytes(os.path.join(state, slot))
        before = tree(state)
        code, said = start(state)
        results.check(code == 78 and f"remove {slot}" in said and "snapshot" not in said and
                      "--accept-loss" not in said, f"{slot} is damaged: it is to be removed", said)
        shutil.move(os.path.join(state, other), state + ".other")
        code, said = start(state)
        results.check(code == 78 and f"remove {slot}" not in said and
                      said.count("snapshot") == 1, f"{slot} is the only one: a snapshot", said)
        shutil.move(state + ".other", os.path.join(state, other))
        results.equal(differ(before, tree(state)), [], "nothing is changed")
        first_bytes(os.path.join(state, slot))
    for slot in ("manifest.a", "manifest.b"):
        first_bytes(os.path.join(state, slot))
    code, said = start(state)
    results.check(code == 78 and "remove" not in said and said.count("snapshot") == 1,
                  "both are damaged: a snapshot", said)
    for slot in ("manifest.a", "manifest.b"):
        first_bytes(os.path.join(state, slot))
    goes_on(results, state, 2, "manifests that are mended")


def newest_manifest(state):
    def generation(slot):
        with open(os.path.join(state, slot), encoding="utf-8") as file:
            return int(re.search(r"^generation (\d+)$", file.read(), re.M).group(1))
    return max(("manifest.a", "manifest.b"), key=generation)


def advice_on_manifests(results, folder):
    """Who removes the damaged one, as told, finds all that matters in the other."""
    state = make(folder)
    for cores in (3, 2):  # a new epoch, and the one before is gone
        with engine.Engine(state=state, cores=cores) as live:
            live.stop(signal.SIGKILL)
        slot = newest_manifest(state)
        first_bytes(os.path.join(state, slot))
        code, said = start(state, cores=cores)
        results.check(code == 78 and f"remove {slot}" in said, f"{cores} cores: it is told", said)
        os.unlink(os.path.join(state, slot))
        with engine.Engine(state=state, cores=cores) as live:
            results.check(any("one was missing" in word for word in live.words),
                          "that one was missing is told", live.words)
            live.stop(signal.SIGKILL)
        goes_on(results, state, cores, f"{cores} cores and the other manifest")


def held_in_both(results, folder):
    """A hold outlives the loss of either."""
    state = make(folder)
    file = os.path.join(folder, "held.cwsnap")
    results.equal(engine.command("snapshot", "--state", state, "--out", file)[0], 0, "a snapshot")
    for lost in ("manifest.a", "manifest.b"):
        copy = os.path.join(folder, f"held-{lost}")
        results.equal(engine.command("restore", file, "--state", copy)[0], 0, "restored")
        with engine.Engine(state=copy, cores=2) as live:
            live.stop(signal.SIGKILL)
        os.unlink(os.path.join(copy, lost))
        with engine.Engine(state=copy, cores=2) as live:
            health = json.loads(live.get("/healthz")[2])
            results.equal(health.get("heldFor"), ["restored"], f"held without {lost}")
            live.stop(signal.SIGKILL)


def not_its_users(results, folder):
    """A directory that is somebody else's is no failed disk."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return
    for path in (folder, os.path.dirname(folder)):
        os.chmod(path, 0o755)
    state = make(folder)
    for path, _, names in os.walk(state):
        for name in ["", *names]:
            os.chown(os.path.join(path, name), 65534, 65534)
    os.chown(os.path.join(state, EPOCH, "core-001"), 0, 0)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           engine.binary(), "run", "--http", "127.0.0.1:0", "--state", state,
                           "--cores", "2"], capture_output=True, check=False, timeout=60)
    said = done.stderr.decode()
    results.check(done.returncode == 2 and "chown" in said and
                  said.count("Permission denied") == 1, "it is told as such",
                  (done.returncode, said))
    os.chown(os.path.join(state, "lock"), 0, 0)
    code = subprocess.run(done.args, capture_output=True, check=False, timeout=60).returncode
    results.equal(code, 2, "so is a lock of somebody else")


def secret(results, folder):
    """The key that signs links: never replaced unasked."""
    state = make(folder)
    key = os.path.join(state, "secret.key")
    with open(key, "rb") as file:
        whole = file.read()
    for what, content, word in (("gone", None, "missing"), ("empty", b"", "damaged"),
                                ("short", whole[:31], "damaged"), ("long", whole * 2, "damaged")):
        os.remove(key)
        if content is not None:
            with open(key, "wb") as file:
                file.write(content)
        before = tree(state)
        code, said = start(state)
        results.check(code == 78 and word in said and "secret.key" in said and
                      "--new-secret" in said and "unsubscribe" in said,
                      f"a key that is {what} is told", (code, said))
        code, _, said = run("verify", "--state", state)
        results.check(code == 78 and word in said and "--new-secret" in said,
                      "by verify, too", (code, said))
        code, _, said = run("snapshot", "--state", state, "--out",
                            os.path.join(folder, what + ".cwsnap"))
        results.check(code == 0 and word in said and "WARNING" in said,
                      "a snapshot is made with a warning", (code, said))
        results.equal(differ(before, tree(state)), [], "nothing is changed")
        with open(key, "wb") as file:
            file.write(whole)
    code, said = start(state, "--new-secret")
    results.check(code == 2 and "leave that option out" in said, "a whole one is kept", said)
    code, said = start(os.path.join(folder, "none"), "--new-secret")
    results.check(code == 2 and "no state" in said, "where there is no state there is none to lose",
                  said)
    os.remove(key)
    os.rename(os.path.join(state, EPOCH), state + ".lost")
    before = tree(state)
    for words in ((), ("--new-secret",)):
        results.equal(start(state, *words)[0], 78, "refused for another reason")
    results.equal(differ(before, tree(state)), [], "no key is made")
    os.rename(state + ".lost", os.path.join(state, EPOCH))
    with engine.Engine("--new-secret", state=state) as live:
        results.check(any("secret.key was lost" in w for w in live.words), "it is told", live.words)
        results.equal(live.stop(), 0, "with a new one it goes on")
    with open(key, "rb") as file:
        fresh = file.read()
    results.check(len(fresh) == 32 and fresh != whole, "which is another")
    results.equal(run("verify", "--state", state)[0], 0, "and good")
    goes_on(results, state, 2, "a new key")
    os.remove(key)
    path = os.path.join(folder, "links")
    with open(path, "w", encoding="utf-8") as file:
        file.write("of the configuration")
    config = "links: {baseUrl: 'https://shop.example', secretFile: %s}\n" % path
    with engine.Engine(state=state, config=config) as live:
        results.check(any("configured secret" in w for w in live.words),
                      "where links are signed with another one it is made anew", live.words)
        results.equal(live.stop(), 0, "and goes on")


def lookers(results, folder):
    """A start waits for who looks, and says who it is; two may look at once."""
    state = make(folder)
    with open(os.path.join(state, "lock"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        results.equal(run("verify", "--state", state)[0], 0, "two may look at once")
        began = time.monotonic()
        code, said = start(state)
        results.check(code == 1 and "verify, inspect or snapshot" in said and
                      "another engine" not in said, "a start does not wait for ever", (code, said))
        print(f"a start waited {time.monotonic() - began:.1f} s for who looks")
        late = subprocess.Popen([engine.binary(), "run", "--http", "127.0.0.1:0", "--state", state,
                                 "--cores", "2"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
        first = late.stderr.readline()
        results.check(b"waits for its end" in first, "it says that it waits", first)
        late.send_signal(signal.SIGTERM)
        results.equal(late.wait(10), 1, "a stop ends that")
        late.stderr.close()
        waiting = engine.Engine(state=state)
        results.check(engine.until(lambda: any("waits for its end" in w for w in waiting.words)),
                      "the next one waits", waiting.words)
        fcntl.flock(lock, fcntl.LOCK_UN)
        with waiting as live:
            code, _, said = run("verify", "--state", state)
            results.check(code == 1 and "an engine uses" in said, "and goes on, alone", said)
            code, said = start(state)
            results.check(code == 2 and "another engine" in said, "a second engine is none who "
                          "looks", said)
            live.stop(signal.SIGKILL)
    goes_on(results, state, 2, "after it")


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-refused-")
    try:
        for part in (missing_logs, damaged_log, manifests, advice_on_manifests, held_in_both,
                     not_its_users, secret, lookers):
            place = os.path.join(folder, part.__name__)
            os.mkdir(place)
            part(results, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
