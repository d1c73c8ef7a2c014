#!/usr/bin/env python3
"""Snapshots and restores where something is not as it should be: templates and models that are not
at hand, programs that are bad on the disk, places that are mounted, full, shared or interrupted. A
good state is never lost to what is only beside it, and no kill leaves half of one."""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import engine
import mounts

run = engine.command
OWN = """programId: own
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
scoringModels:
  - {endpoint: "model://mine"}
channels:
  - type: email
    config: {delayMinutes: 600, templateId: mine, subject: "Your cart"}
"""
HERE = os.path.dirname(os.path.abspath(__file__))
KEYLESS = 'http: {listen: ["127.0.0.1:0"]}\n'


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def get(path):
    with open(path, "rb") as file:
        return file.read()


def snapshot(live, name):
    status, _, body = live.request("POST", f"/v1/snapshot?name={name}")
    while status == 202:
        time.sleep(0.05)
        status, _, body = live.request("GET", "/v1/snapshot")
    return status, json.loads(body)


def put_carts(live, names):
    now = int(time.time() * 1000)
    lines = [event for name in names for event in (
        engine.profile(name, now), engine.abandoned(name, "cart-" + name, now))]
    status, answer = live.post_events(lines)
    return status == 200 and answer["rejected"] == []


def own_assets(folder):
    """Templates and models that are the user's own; the engine file that names them."""
    tools = os.path.join(engine.harness.ROOT, "tools")
    model = json.loads(get(os.path.join(tools, "models", "purchase-intent-v4.json")))
    model["name"] = "mine"
    put(os.path.join(folder, "models", "mine.json"), json.dumps(model))
    put(os.path.join(folder, "templates", "mine.html"), "<p>{{customerName}} {{cartLink}}</p>")
    put(os.path.join(folder, "templates", "mine.txt"), "{{customerName}} {{cartLink}}")
    put(os.path.join(folder, "own.yaml"), OWN)
    text = KEYLESS + "models: models\ntemplates: templates\nprograms: [own.yaml]\n"
    return put(os.path.join(folder, "own-engine.yaml"), text), text


def own_templates(results, folder):
    """A snapshot is good without the templates and models that its programs need."""
    config, text = own_assets(folder)
    with engine.Engine(config=text, http=None, prepare=own_assets) as live:
        results.check(put_carts(live, [f"own-{i}" for i in range(20)]), "carts are taken")
        status, told = snapshot(live, "own")
        results.equal(status, 200, "a snapshot")
        file = shutil.copy(told["file"], os.path.join(folder, "own.cwsnap"))
        results.equal(live.stop(), 0, "it stops in order")
    code, output, said = run("verify", file)
    results.check(code == 0 and "good: 2 cores" in output,
                  "it verifies without them", output + said)
    results.check("programs/1-own.yaml" in said and '"mine"' in said and "warning" in said and
                  "start" in said, "and says what a start needs", said)
    _, with_them, _ = run("verify", file, "-c", config)
    results.equal(output, with_them, "it finds what it finds with them")
    code, output, said = run("inspect", "--dump", file)
    results.check(code == 0 and "candidate " in output, "inspect tells the rows", output + said)
    results.equal(output, run("inspect", "--dump", file, "-c", config)[1], "the same as with them")
    state = os.path.join(folder, "own-state")
    code, output, said = run("restore", file, "--state", state)
    results.check(code == 0 and "HELD" in output and "warning" in said, "it is restored",
                  output + said)
    results.check(state + ".new" not in said, "no name is told that is gone", said)
    code, output, said = run("verify", "--state", state)
    results.check(code == 0 and "warning" in said, "and verifies", output + said)
    again = os.path.join(folder, "own-again.cwsnap")
    code, output, said = run("snapshot", "--state", state, "--out", again)
    results.check(code == 0 and run("verify", again)[0] == 0, "and is archived", output + said)
    with engine.Engine("-c", config, state=state, http=None) as live:
        results.equal(live.stop(), 0, "a start with them goes on with it")


def bad_on_disk(results, folder):
    """What ran is in the snapshot, whatever is on the disk by then."""
    program = os.path.join(folder, "ran.yaml")
    engine.write_kept(program, 600)
    ran = get(program)
    for word, content in (("broken", "programId: kept\nchannels: ["), ("gone", None)):
        with engine.Engine(programs=[program]) as live:
            results.check(put_carts(live, ["disk-1", "disk-2"]), "carts are taken")
            if content is None:
                os.unlink(program)
            else:
                put(program, content)
            status, _, _ = live.request("POST", "/v1/programs/reload")
            results.equal(status, 422, f"{word}: nothing is reloaded")
            status, told = snapshot(live, word)
            results.equal(status, 200, f"{word}: a snapshot is made")
            file = shutil.copy(told["file"], os.path.join(folder, word + ".cwsnap"))
            results.equal(live.stop(), 0, "it stops in order")
        put(program, ran)
        results.equal(run("verify", file)[0], 0, f"{word}: it verifies")
        state = os.path.join(folder, word)
        code, output, said = run("restore", file, "--state", state)
        results.check(code == 0 and said == "", f"{word}: it is restored", output + said)
        results.equal(get(os.path.join(state, "programs", "1-ran.yaml")), ran,
                      f"{word}: with the programs that ran")
    state = os.path.join(folder, "broken")
    put(os.path.join(state, "programs", "1-ran.yaml"), "programId: kept\nchannels: [")
    code, output, said = run("verify", "--state", state)
    results.check(code == 0 and "programs/1-ran.yaml" in said and "warning" in said,
                  "a bad program that came along is left out", output + said)
    code, output, said = run("verify", "--state", state, put(program, "programId: ["))
    results.check(code == 2 and "ran.yaml" in said, "a bad program that is named is refused", said)
    put(program, ran)


def what_ran(results, folder):
    """A snapshot at rest has the programs that the state ran with, or is not made."""
    first, other = (os.path.join(folder, n + ".yml") for n in ("first", "second"))
    engine.write_kept(first, 600)
    put(other, get(first).replace(b"kept", b"second"))
    state, out = os.path.join(folder, "ran-state"), os.path.join(folder, "rest.cwsnap")
    for programs, told in (([first], 'program "kept": name its file'),
                           ([first, other], 'programs "kept", "second": name their files')):
        with engine.Engine(programs=programs, state=state) as live:
            results.check(put_carts(live, ["ran-1"]), "carts are taken")
            results.equal(live.stop(), 0, "it stops in order")
        for words in ([], [engine.PROGRAM], [other], [*programs, engine.PROGRAM]):
            code, output, said = run("snapshot", "--state", state, "--out", out, *words)
            results.check(code == 2 and f"the state ran the {told}, or the engine file with -c" in
                          said and not output and not os.path.exists(out),
                          f"programs that did not run: {words}", (code, said))
    config = put(os.path.join(folder, "ran-engine.yaml"),
                 KEYLESS + "programs: [first.yml, again]\n")
    put(os.path.join(folder, "again"), get(other))
    for number, words in enumerate((["-c", config], [other, first])):
        made = os.path.join(folder, f"rest-{number}.cwsnap")
        code, output, said = run("snapshot", "--state", state, "--out", made, *words)
        results.check(code == 0 and said == "", f"those that ran: {words}", output + said)
    back = os.path.join(folder, "ran-back")
    code, output, said = run("restore", os.path.join(folder, "rest-0.cwsnap"), "--state", back)
    results.check(code == 0 and said == "", "it is restored", output + said)
    results.equal(sorted(os.listdir(os.path.join(back, "programs"))),
                  ["1-first.yml", "2-again.yaml"], "with what ran")
    code, output, said = run("snapshot", "--state", back, "--out", out)
    results.check(code == 0 and said == "", "those that came along ran", output + said)
    for cores in (2, 3):
        with engine.Engine(state=back, cores=cores) as live:
            told = [word for word in live.words if "not loaded" in word]
            results.check(len(told) == 2 and 'candidate in flight is of program "second"' in
                          "\n".join(told) and "skipped as paused" in told[0],
                          f"on {cores} cores it goes on with the shipped program, loudly",
                          live.words)
            results.equal(live.stop(), 0, "and stops in order")
    with engine.Engine(programs=[first, other], state=back) as live:
        results.check(not any("not loaded" in word for word in live.words), "not with its own",
                      live.words)
        results.equal(live.stop(), 0, "and stops in order")
    with engine.Engine(state=back) as live:
        results.equal(live.stop(), 0, "with the shipped one once more")
    old = os.path.join(folder, "old.cwsnap")
    code, _, said = run("snapshot", "--state", back, "--out", old)
    results.check(code == 2 and "abandoned-cart-recovery" in said and not os.path.exists(old),
                  "what came with an earlier restore is not packed", (code, said))


def what_lacks(results, folder, file, skipped):
    """Of a state a core's directory, of the machine its time zones: what to do is told."""
    state, gone = os.path.join(folder, "lacks"), os.path.join(folder, "lacks-zones")
    results.equal(run("restore", file, "--state", state)[0], 0, "restored")
    zones = "/usr/share/zoneinfo"
    if mounts.mounted("-t", "tmpfs", "none", zones):
        try:
            for words in (["verify", "--state", state], ["verify", file], ["inspect", file],
                          ["restore", file, "--state", gone],
                          ["run", "--http", "127.0.0.1:0", "--state", state]):
                code, output, said = run(*words)
                results.check(code == 1 and "install the package tzdata" in said and
                              "no state" not in said and not output and not os.path.exists(gone),
                              f"{words[0]} without time zones", (code, said))
        finally:
            subprocess.run(["umount", zones], check=True)
    else:
        skipped.append("a machine without time zones")
    shutil.rmtree(os.path.join(state, "epoch-00000001", "core-001"))
    for words in (["run", "--http", "127.0.0.1:0"], ["verify"], ["inspect"],
                  ["snapshot", "--out", os.path.join(folder, "lacks.cwsnap")]):
        code, _, said = run(*words, "--state", state)
        results.check(code == 78 and "core-001" in said and
                      "restore the newest snapshot that verifies into a new directory" in said,
                      f"{words[0]} without a core's directory", (code, said))


class Places:
    """Directories that cannot be replaced, each made anew with nothing in it."""

    def __init__(self, folder, skipped):
        self.folder, self.kinds = folder, ["absent", "empty", "link", "lost+found"]
        for kind, words in (("tmpfs", ("-t", "tmpfs", "none")), ("bind", ("--bind", folder))):
            place = os.path.join(folder, "try-" + kind)
            os.makedirs(place)
            if mounts.mounted(*words, place):
                self.kinds.append(kind)
                subprocess.run(["umount", "-l", place], check=True)
            else:
                skipped.append(f"restores into a mount point ({kind})")

    def make(self, kind):
        place, disk = (os.path.join(self.folder, "place-" + word + kind) for word in ("", "disk-"))
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)
        for path in (place, disk):
            if os.path.islink(path):
                os.unlink(path)
            shutil.rmtree(path, ignore_errors=True)
        if kind == "absent":
            return place
        if kind == "link":
            os.makedirs(disk)
            os.symlink(disk, place)
            return place
        os.makedirs(place)
        if kind == "lost+found":
            os.makedirs(os.path.join(place, "lost+found"))
        elif kind == "tmpfs":
            assert mounts.mounted("-t", "tmpfs", "none", place)
        elif kind == "bind":
            os.makedirs(disk)
            assert mounts.mounted("--bind", disk, place)
        return place


def around(place):
    """What is in it, and what is left beside it."""
    folder, name = os.path.split(place)
    inside = os.listdir(place) if os.path.isdir(place) else []
    return sorted(n for n in inside if n != "lost+found"), sorted(
        n for n in os.listdir(folder) if n.startswith(name + ".new"))


def into_places(results, folder, file, places, program):
    for kind in places.kinds:
        place = places.make(kind)
        code, output, said = run("restore", file, "--state", place)
        results.check(code == 0 and said == "", f"restored into {kind}", output + said)
        inside, beside = around(place)
        results.equal(os.stat(place).st_mode & 0o777, 0o700, f"{kind}: nobody else looks into it")
        results.check(not beside and not [n for n in inside if "new" in n],
                      f"{kind}: nothing is left", (inside, beside))
        results.equal(run("verify", "--state", place)[0], 0, f"{kind}: it verifies")
        with engine.Engine(programs=[program], state=place) as live:
            results.check(any("HELD" in word for word in live.words), f"{kind}: it starts",
                          live.words)
            results.equal(live.stop(), 0, "it stops in order")
        code, _, said = run("restore", file, "--state", place)
        results.check(code == 2 and "move it away" in said, f"{kind}: a state is not touched", said)


def by_any_name(results, folder, file):
    """What is told can be pasted, whatever the directory is called."""
    spaced = os.path.join(folder, "it's a place")
    code, output, said = run("restore", file, "--state", os.path.join(spaced, "state") + "/")
    results.check(code == 1 and "in " + spaced + ":" in said and "XXXX" not in said,
                  "a parent that is missing is named", output + said)
    os.makedirs(spaced)
    words = "'" + folder + "/it'\\''s a place/state'"
    code, output, said = run("restore", file, "--state", os.path.join(spaced, "state") + "/")
    results.check(code == 0 and f"--state {words}\n" in output and "//" not in output,
                  "restored into a name with blanks", output + said)
    started = output.split("cartwheel run ")[1].splitlines()[0]
    shown = subprocess.run(["bash", "-c", f"printf '%s\\n' {started}"], capture_output=True,
                           check=True, text=True).stdout.splitlines()
    results.equal(shown, [os.path.join(spaced, "state", "programs", "1-ran.yaml"), "--state",
                          os.path.join(spaced, "state")], "the start that is told names them")
    here = os.path.join(spaced, "here")
    os.makedirs(here)
    for place, expected in ((".", 0), (".", 2), ("../state", 2), ("a b", 0), ("a b", 2)):
        done = subprocess.run([engine.binary(), "restore", file, "--state", place],
                              cwd=here if place != "a b" else folder,
                              capture_output=True, check=False, text=True)
        results.check(done.returncode == expected and "mv . " not in done.stderr,
                      f"restored into {place}, once", done.stderr)
    results.check("(mv 'a b' 'a b.old')" in done.stderr, "and told how to move it away",
                  done.stderr)
    results.equal(run("verify", "--state", here)[0], 0, "it verifies")


def with_a_lock(results, folder, file, places):
    """A start that was refused leaves its lock: no reason to refuse a restore as well."""
    for kind in [k for k in places.kinds if k != "absent"]:
        place = places.make(kind)
        lock = put(os.path.join(place, "lock"), b"")
        with open(lock, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            code, _, said = run("restore", file, "--state", place)
            results.check(code == 2 and "stop it" in said, f"{kind}: an engine is at it", said)
        code, output, said = run("restore", file, "--state", place)
        results.check(code == 0, f"{kind}: a lock that nobody has is nothing", output + said)
        results.equal(run("verify", "--state", place)[0], 0, f"{kind}: it verifies")
        results.equal(left(place), [], f"{kind}: nothing is left")


def make_shim(folder):
    """None: nothing can be preloaded here."""
    shim = os.path.join(folder, "kill_shim.so")
    if shutil.which("cc") is None:
        return None
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim,
                    os.path.join(HERE, "kill_shim.c")], check=True)
    tried = subprocess.run([engine.binary(), "config"], capture_output=True, check=False,
                           env={**os.environ, "LD_PRELOAD": shim})
    return shim if tried.returncode == 0 else None


def killed_at(shim, number, everybody, *words, how=signal.SIGKILL, **more):
    """A command that kills itself; None: it came to its end before."""
    environment = {**os.environ, "LD_PRELOAD": shim, "CW_TEST_KILL_AT": str(number),
                   "CW_TEST_KILL_WITH": str(int(how)), **more}
    if everybody:
        environment["CW_TEST_KILL_ALL"] = "yes"
    done = subprocess.run([engine.binary(), *words], capture_output=True, env=environment,
                          start_new_session=True, timeout=60, check=False)
    return None if done.returncode == 0 else done.returncode


def killed_everywhere(results, shim, file, places, program):
    """kill -9 at every call that changes the disk, alone or with what looks after it: a whole
    state, or none, and no start that begins an empty one in its place."""
    whole = [places.kinds[0], places.kinds[-1]]  # by a new name, and within
    for kind in places.kinds:
        number, found = 0, {"whole": 0, "refused": 0}
        while True:
            number += 1 if kind in whole else 5
            place = places.make(kind)
            got = killed_at(shim, number, number % 4 > 0, "restore", file, "--state", place)
            if got is None:
                break
            found[after_kill(results, place, file, f"{kind} {number}", program, got)] += 1
        results.check(number > 10 and found["refused"] > 2, f"{kind}: it was killed",
                      (number, found))


def left(place):
    """What a restore left of itself."""
    inside, beside = around(place)
    return [n for n in inside if n.startswith("restore.new-")] + beside


def start_is_refused(results, place, name, program):
    before = around(place), os.path.exists(place)
    code, _, said = run("run", "--http", "127.0.0.1:0", "--state", place, program, timeout=9)
    results.check(code == 2 and "cartwheel restore" in said, f"{name}: a start is refused", said)
    results.equal((around(place), os.path.exists(place)), before, f"{name}: and makes nothing")


def after_kill(results, place, file, name, program, got):
    results.equal(got, -signal.SIGKILL, f"{name}: it was killed")
    time.sleep(0.1)  # what looks after it is killed as well, or does so
    if run("verify", "--state", place)[0] == 0:
        return "whole"
    results.check(left(place), f"{name}: it can be seen", around(place))
    start_is_refused(results, place, name, program)
    code, output, said = run("restore", file, "--state", place)
    results.check(code == 0, f"{name}: the next restore makes it", output + said)
    results.equal(run("verify", "--state", place)[0], 0, f"{name}: and it verifies")
    results.equal(left(place), [], f"{name}: nothing is left over")
    return "refused"


def seen_by_any_name(results, folder, shim, file, program):
    """A restore that was killed, and a start that calls the directory otherwise; a state that came
    there meanwhile."""
    place, other = (os.path.join(folder, "place-" + word) for word in ("own", "other"))
    os.makedirs(place)
    os.symlink("place-own", other)
    killed_at(shim, 6, True, "restore", file, "--state", place)
    results.check(around(place)[1], "all of it was killed", around(place))
    for name in (place, place + "//", other):
        start_is_refused(results, name, name, program)
    mine = os.path.join(folder, "place-own.new-backup")
    os.makedirs(os.path.join(mine, "of-somebody"))
    shutil.copytree(os.path.join(folder, "broken"), place, dirs_exist_ok=True)
    with engine.Engine(programs=[program], state=place) as live:
        results.equal(live.stop(), 0, "with a state there it starts")
    code, _, said = run("restore", file, "--state", place)
    results.check(code == 2 and "not empty" in said and "removed" in said,
                  "a restore that is refused removes what is left of another", said)
    results.equal(around(place)[1], ["place-own.new-backup"], "and nothing else")


def interrupted(results, folder, shim, file):
    """What a look unpacks does not outlive it, however it ends."""
    box = os.path.join(folder, "box")
    os.makedirs(box)
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        number = 0
        while True:
            number += 1
            got = killed_at(shim, number, how != signal.SIGKILL, "verify", file, how=how,
                            TMPDIR=box)
            if got is None:
                break
            results.equal(got, -how, f"verify is ended by {how} at {number}")
            results.check(engine.until(lambda: os.listdir(box) == [], 1),
                          f"{how} at {number}: nothing stays", os.listdir(box))
        results.check(number > 10, f"{how}: it was ended", number)
    got = killed_at(shim, 12, True, "verify", file, TMPDIR=box)
    results.check(got == -signal.SIGKILL and os.listdir(box) != [], "with all that looks after it")
    os.makedirs(os.path.join(box, "cartwheel-look-mine00", "of-somebody"))
    code, output, said = engine.execute(["env", "TMPDIR=" + box, engine.binary(), "verify", file])
    results.check(code == 0 and b"removed" in said, "the next one removes it", said)
    results.equal(os.listdir(box), ["cartwheel-look-mine00"], "and nothing else")


def called_alike(results, folder, file):
    """An engine's own directory that is called as what a restore leaves is nobody's to remove."""
    place, other = os.path.join(folder, "alike"), os.path.join(folder, "alike.new-server", "state")
    os.makedirs(os.path.dirname(other))
    with engine.Engine(state=other) as live:
        with engine.Engine(state=place) as first:
            results.equal(first.stop(), 0, "a first start beside it is none of a restore's")
        code, _, said = run("restore", file, "--state", place)
        results.check(code == 2 and "removed" not in said, "nor a restore that is refused", said)
        shutil.rmtree(place)
        code, _, said = run("restore", file, "--state", place)
        results.check(code == 0 and "removed" not in said, "nor one that is not", said)
        results.equal(live.stop(), 0, "it runs on")
    results.equal(run("verify", "--state", other)[0], 0, "and is whole")
    shutil.rmtree(os.path.dirname(other))
    shutil.rmtree(place)


def no_room(results, folder, file, skipped):
    box = os.path.join(folder, "place-small")
    os.makedirs(box)
    if not mounts.mounted("-t", "tmpfs", "-o", "size=16k", "none", box):
        skipped.append("a TMPDIR that is full")
        return
    for command in ("verify", "inspect"):
        code, _, said = engine.execute(["env", "TMPDIR=" + box, engine.binary(), command, file])
        results.check(code == 1 and b"TMPDIR" in said and b"No space left" in said and
                      box.encode() in said, f"{command}: which place is full is told", said)
    results.equal(os.listdir(box), [], "nothing stays")


def main():
    mounts.enter()  # where there is none, what needs it is skipped
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-restored-")
    skipped = []
    try:
        own_templates(results, folder)
        bad_on_disk(results, folder)
        what_ran(results, folder)
        program = os.path.join(folder, "ran.yaml")
        file = os.path.join(folder, "gone.cwsnap")
        what_lacks(results, folder, file, skipped)
        places = Places(folder, skipped)
        into_places(results, folder, file, places, program)
        with_a_lock(results, folder, file, places)
        by_any_name(results, folder, file)
        called_alike(results, folder, file)
        no_room(results, folder, file, skipped)
        shim = make_shim(folder)
        if shim is None:
            skipped.append("kills at every step")
        else:
            interrupted(results, folder, shim, file)
            killed_everywhere(results, shim, file, places, program)
            seen_by_any_name(results, folder, shim, file, program)
    finally:
        subprocess.run(["umount", "-l", *(os.path.join(folder, n) for n in os.listdir(folder)
                                          if n.startswith("place-"))], capture_output=True,
                       check=False)
        shutil.rmtree(folder, ignore_errors=True)
    for what in skipped:
        print(f"SKIPPED {what}: it cannot be done here")
    results.finish()


main()
