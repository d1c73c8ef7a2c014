#!/usr/bin/env python3
"""Tables in memory with a name: taken over after a clean stop, with the same rows and timers, and
nothing sent twice; after anything else the state is read from the disk, and the start says why."""
import glob
import json
import os
import random
import shutil
import signal
import tempfile
import time

import engine

run = engine.command
CHANCE = random.Random(11)


def rows(*where):
    code, output, said = run("inspect", "--dump", *where)
    if code != 0:
        raise RuntimeError(f"inspect --dump {where}: {code} {said}")
    return output


class Place:
    """A state directory, a memory directory and programs, that engines are started on."""

    def __init__(self, folder, shared):
        self.folder, self.number = folder, 0
        self.state, self.memory = os.path.join(folder, "state"), os.path.join(shared, "memory")
        self.seal = os.path.join(self.state, "memory.seal")
        self.program = os.path.join(folder, "kept.yaml")
        self.delay(30)

    def delay(self, minutes):
        engine.write_kept(self.program, minutes)

    def start(self, cores=2, memory=True, options=()):
        config = json.dumps({"memory": self.memory}) if memory else None
        return engine.Engine(*options, programs=[self.program], cores=cores, state=self.state,
                             config=config)

    def dump(self):
        return rows("--state", self.state, self.program)

    def now_in_memory(self, live):
        """Rows as the engine has them: a snapshot is made of its tables."""
        self.number += 1
        status, _, body = live.request("POST", f"/v1/snapshot?name=look-{self.number}")
        while status == 202:
            time.sleep(0.05)
            status, _, body = live.request("GET", "/v1/snapshot")
        return rows(json.loads(body)["file"], self.program)


def said(live, text):
    return any(text in word for word in live.words)


def feed(live, name, count):
    now = int(time.time() * 1000)
    events = []
    for number in range(count):
        customer = f"{name}-{number}"
        events += [engine.profile(customer, now), engine.abandoned(customer, "c-" + customer, now)]
    status, answer = live.post_events(events)
    if status != 200 or answer["rejected"]:
        raise RuntimeError(f"{status} {answer}")


def adopted(results, place):
    with place.start() as live:
        results.check(said(live, "tables in") and not said(live, "not adopted"),
                      "a new state has nothing to adopt", live.words)
        feed(live, "a", 300)
        results.equal(live.stop(), 0, "it stops in order")
    before = place.dump()
    results.check(os.path.exists(place.seal), "a clean stop leaves a seal")
    for turn in range(3):
        with place.start() as live:
            results.check(said(live, "adopted ") and not said(live, "not adopted"),
                          f"adopted, turn {turn}", live.words)
            results.check(not os.path.exists(place.seal), "the seal is gone while it runs")
            metrics = live.metrics()
            results.check(metrics["cartwheel_store_adopted_rows"] > 900 and
                          metrics["cartwheel_store_not_adopted"] == 0, "counted", metrics)
            results.equal(place.now_in_memory(live), before, "the tables hold the same rows")
            now = int(time.time() * 1000)
            status, answer = live.post_events([engine.profile(f"a-{turn}", now),
                                               engine.ordered(f"a-{turn}", f"o-{turn}", now)])
            results.check(status == 200 and answer["accepted"] == 2, "events go on", answer)
            results.check(engine.until(lambda t=turn: any(
                d["kind"] == "converted" and d.get("customer", d.get("customerId")) == f"a-{t}"
                for d in live.decisions())), "an order ends the journey that was adopted",
                live.decisions()[-3:])
            feed(live, f"t{turn}", 50)
            results.equal(live.stop(), 0, "and it stops in order")
        before = place.dump()


def crashed(results, place):
    """kill -9 while the tables that were adopted change: the disk has everything."""
    with place.start() as live:
        results.check(said(live, "adopted "), "adopted once more", live.words)
        feed(live, "k", 200)
        live.stop(signal.SIGKILL)
    before = place.dump()
    results.equal(sum(line.startswith(f"customer {b'k-7'.hex()} ") for line in
                      before.splitlines()), 1, "what was acknowledged is on the disk")
    with place.start() as live:
        results.check(said(live, "not adopted") and said(live, "no clean stop"),
                      "after a kill the state is read", live.words)
        results.equal(live.metrics()["cartwheel_store_not_adopted"], 1, "counted")
        results.equal(place.now_in_memory(live), before, "and is what it was")
        results.equal(live.stop(), 0, "it stops in order")
    with place.start() as live:
        results.check(said(live, "adopted "), "the next clean stop is adopted again", live.words)
        results.equal(place.now_in_memory(live), before, "with the same rows")
        results.equal(live.stop(), 0, "it stops in order")


def middle_of_a_log(place):
    """Damages a frame between the first and the last of some core's last segment."""
    for log in sorted(glob.glob(os.path.join(place.state, "epoch-*", "core-*", "log-*")))[::-1]:
        found = engine.frames(log)
        if len(found) > 3:
            engine.flip(log, found[1][0] + 100)
            return
    raise RuntimeError("no log has so many frames")


def damaged_log(results, place):
    """The tables have what the log has lost: it becomes a checkpoint before anything else can."""
    with place.start() as live:
        for turn in range(6):
            feed(live, f"d{turn}", 5)
        results.equal(live.stop(), 0, "it stops in order")
    before = place.dump()
    middle_of_a_log(place)
    with place.start() as live:
        results.check(said(live, "adopted ") and said(live, "damage to the log was passed over"),
                      "adopted, and told", live.words)
        results.check(engine.until(lambda: live.metrics()["cartwheel_store_checkpoints_total"] > 0),
                      "a checkpoint is made at once")
        live.stop(signal.SIGKILL)
    with place.start() as live:
        results.check(said(live, "after a CRASH"), "then it is read", live.words)
        results.equal(place.now_in_memory(live), before, "and is what it was")
        results.equal(live.stop(), 0, "it stops in order")


def read_instead(results, place, why, change, cores=2, again=True):
    """After a clean stop something is changed: the state is read, and is the same."""
    before = place.dump()
    change()
    with place.start(cores) as live:
        results.check(said(live, "not adopted") and said(live, why), f"read: {why}", live.words)
        results.equal(place.now_in_memory(live), before, "nothing is lost")
        results.equal(live.stop(), 0, "it stops in order")
    if again:
        with place.start(cores) as live:
            results.check(said(live, "adopted ") and not said(live, "not adopted"),
                          "the next one is adopted", live.words)
            results.equal(live.stop(), 0, "it stops in order")


def changed(results, place):
    read_instead(results, place, "number of cores", lambda: None, cores=3)
    results.equal(sorted(n for n in os.listdir(place.memory) if n.startswith("core")),
                  ["core-000", "core-001", "core-002"], "a folder of each core")
    read_instead(results, place, "number of cores", lambda: None, cores=2)
    results.equal(sorted(n for n in os.listdir(place.memory) if n.startswith("core")),
                  ["core-000", "core-001"], "those that are no more go")
    read_instead(results, place, "programs have changed", lambda: place.delay(31))
    with open(place.seal, "rb") as file:
        size = len(file.read())
    for at in [0, 9, 20, size - 1, *(CHANCE.randrange(size) for _ in range(2))]:
        read_instead(results, place, "damaged", lambda n=at: engine.flip(place.seal, n), again=False)
    read_instead(results, place, "damaged", lambda: os.truncate(place.seal, 100), again=False)
    read_instead(results, place, "is gone", lambda: shutil.rmtree(place.memory))
    read_instead(results, place, "no seal", lambda: os.unlink(place.seal), again=False)


def newest_checkpoint(place, core):
    folder = glob.glob(os.path.join(place.state, "epoch-*", f"core-{core:03}"))
    names = sorted(glob.glob(os.path.join(folder[0], "checkpoint-*")))
    return names[-1] if len(names) > 1 else None


def damaged(results, place):
    """The end of a checkpoint is damaged, which shows when nearly all of it is in the tables: they
    are made anew, in the same memory, from the one before."""
    for turn in range(2):
        with place.start() as live:
            feed(live, f"d{turn}", 1500)
            place.now_in_memory(live)  # a snapshot makes a checkpoint first
            results.equal(live.stop(), 0, "it stops in order")
    before = place.dump()
    for core in range(2):
        newest = newest_checkpoint(place, core)
        results.check(newest is not None, f"core {core} has two checkpoints")
        size = os.path.getsize(newest)
        results.check(size > 4 * 256 * 1024, "its first blocks are in the tables by then", size)
        engine.flip(newest, size - 4096 - 8)
    os.unlink(place.seal)
    with place.start() as live:
        results.check(said(live, "not adopted") and said(live, "damaged"),
                      "the damage is told, and what was taken instead", live.words)
        results.equal(place.now_in_memory(live), before, "nothing is lost, nothing is there twice")
        feed(live, "after", 50)
        results.equal(live.stop(), 0, "it stops in order")
    with place.start() as live:
        results.check(said(live, "adopted ") and not said(live, "not adopted"),
                      "and is adopted then", live.words)
        results.equal(live.stop(), 0, "it stops in order")


def old_seal(results, place):
    """A seal of an earlier stop, put back: after a clean stop, after a kill, after a run
    without memory."""
    saved = os.path.join(place.folder, "old.seal")
    for how in (signal.SIGTERM, signal.SIGKILL):
        shutil.copy(place.seal, saved)
        with place.start() as live:
            results.check(said(live, "adopted "), "adopted", live.words)
            feed(live, f"s{how}", 20)
            live.stop(how)
        read_instead(results, place, "went on without it",
                     lambda: shutil.copy(saved, place.seal), again=False)
    with place.start(memory=False) as live:
        feed(live, "without", 20)
        results.equal(live.stop(), 0, "it runs without as well")
    read_instead(results, place, "went on without it", lambda: None)


def refused(results, place):
    with place.start() as live:
        code, _, words = run("run", "--http", "127.0.0.1:0", "--state", place.state,
                             place.program)
        results.check(code == 2 and "stop it" in words, "a second engine on the state", words)
        other = os.path.join(place.folder, "other.yaml")
        with open(other, "w", encoding="utf-8") as out:
            json.dump({"memory": place.memory, "state": place.state + "-2"}, out)
        code, _, words = run("run", "--http", "127.0.0.1:0", "-c", other, place.program)
        results.check(code == 2 and "in use by another engine" in words,
                      "a second engine in the memory", words)
        results.equal(live.stop(), 0, "the first goes on")
    for where, why in (("/proc/sys", "not on tmpfs"), ("/no/such/place", "cannot be made")):
        with open(other, "w", encoding="utf-8") as out:
            json.dump({"memory": where, "state": place.state + "-3"}, out)
        code, _, words = run("run", "--http", "127.0.0.1:0", "-c", other, place.program)
        results.check(code == 2 and why in words, f"{where}: {why}", words)
    mine, open_to_all, box = (os.path.join(os.path.dirname(place.memory), name)
                              for name in ("mine", "open", "box"))
    os.mkdir(mine)
    with open(os.path.join(mine, "notes.txt"), "wb"):
        pass
    os.mkdir(open_to_all)
    os.chmod(open_to_all, 0o777)
    on_disk = os.path.join(place.folder, "on-disk")
    for where, why in ((mine, "notes.txt"), (open_to_all, "mode 0777"), (on_disk, "not on tmpfs"),
                       (box, None)):
        before = os.listdir(where) if os.path.isdir(where) else None
        with open(other, "w", encoding="utf-8") as out:
            json.dump({"memory": where, "state": place.state + "-4"}, out)
        if why is None:
            with engine.Engine("-c", other, state=place.state + "-4") as live:
                results.equal(live.stop(), 0, "one that is not there yet is made")
            continue
        code, _, words = run("run", "--http", "127.0.0.1:0", "-c", other, place.program)
        results.check(code == 2 and why in words, f"{where}: {why}", words)
        results.equal(os.listdir(where) if os.path.isdir(where) else None, before,
                      f"{where}: nothing is left there")


def timers(results, folder, shared):
    """Touches that are due after the restart go out once each, from timers that were adopted."""
    place = Place(os.path.join(folder, "t"), shared)
    fast = ["--clock", "600x"]
    with place.start(options=fast) as live:
        feed(live, "f", 100)
        results.equal(live.outbox(), [], "nothing is due yet")
        results.equal(live.stop(), 0, "it stops in order")
    for _ in range(2):
        with place.start(options=fast) as live:
            results.check(said(live, "adopted "), "adopted", live.words)
            results.equal(live.stop(), 0, "it stops in order")
    with place.start(options=fast) as live:
        results.check(said(live, "adopted "), "adopted", live.words)
        engine.until(lambda: len(live.outbox()) >= 100, 60)
        time.sleep(1)
        results.equal(len(live.outbox()), 100, "each message once")
        results.equal(len({live.outbox_text(n) for n in live.outbox()}), 100, "to each customer")
        results.equal(live.stop(), 0, "it stops in order")
    with place.start(options=fast) as live:
        time.sleep(1)
        results.equal(len(live.outbox()), 100, "and never again")
        results.equal(live.stop(), 0, "it stops in order")


def main():
    if not os.path.isdir("/dev/shm"):
        engine.skip("no tmpfs in /dev/shm")
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-adopt-")
    shared = tempfile.mkdtemp(prefix="cartwheel-adopt-", dir="/dev/shm")
    try:
        os.mkdir(os.path.join(folder, "t"))
        place = Place(folder, shared)
        adopted(results, place)
        crashed(results, place)
        damaged_log(results, place)
        changed(results, place)
        damaged(results, place)
        old_seal(results, place)
        refused(results, place)
        timers(results, folder, os.path.join(shared))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(shared, ignore_errors=True)
    results.finish()


main()
