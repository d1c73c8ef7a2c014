#!/usr/bin/env python3
"""A wall clock that jumps, under a real engine: ahead while it runs and over a restart (sends are
held and time goes on at the machine's own pace, until the wall comes back, the kernel says that it
is synchronised, or an operator resumes), and back (time goes on from where it was). The engine's
wall clock is moved by clock_shim.c, which is preloaded; the machine's is left alone."""
import calendar
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import engine

sms = engine.sms
HERE = os.path.dirname(os.path.abspath(__file__))
SECOND, MINUTE, HOUR, DAY = 1000, 60000, 3600000, 86400000
LOOKS = 70  # seconds within which what was held looks again


class Wall:
    """The wall clock that an engine sees; the machine's is base()."""

    def __init__(self, folder):
        self.shim = os.path.join(folder, "clock_shim.so")
        self.path = os.path.join(folder, "clock")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim,
                        os.path.join(HERE, "clock_shim.c")], check=True)
        self.set(0)

    def set(self, ahead_ms, synchronised=False):
        fresh = not os.path.exists(self.path)
        with open(self.path, "wb" if fresh else "r+b") as file:  # the mapping stays
            file.write(struct.pack("<qq", int(ahead_ms) * 1000000, int(synchronised)))

    def engine(self, program, state, *options, config=None):
        return engine.Engine(*options, programs=[program], state=state, config=config, cores=2,
                             environment={"LD_PRELOAD": self.shim, "CW_TEST_CLOCK": self.path})


def base():
    return int(time.time() * 1000)


def health(live):
    return json.loads(live.get("/healthz")[2])


def clock(live):
    """The engine's time, ms ahead of the machine's."""
    text = health(live)["clock"]
    whole = time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(whole) * 1000 + int(text[20:23]) - base()


def held(live):
    return health(live).get("heldFor", [])


def put(results, live, customer, t0, what):
    status, answer = live.post_events([engine.profile(customer, t0),
                                       engine.abandoned(customer, "cart-" + customer, t0)])
    results.check(status == 200 and answer["rejected"] == [], what, answer)
    return answer


def soon(seconds=3):
    """T0 of a cart whose touch is due in so many seconds."""
    return base() - HOUR + seconds * SECOND


def near(results, got, wanted, name, within=5 * SECOND):
    results.check(abs(got - wanted) <= within, name, f"{got} ms, not {wanted}")


def said(live, words):
    return engine.until(lambda: any(words in line for line in list(live.words)), 10)


def kept(state):
    """True when the state itself says that the clock is suspect."""
    return any("clock_suspect" in content(os.path.join(state, name)) for name in os.listdir(state)
               if name.startswith("manifest"))


def content(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def come_back(results, wall, program, folder):
    """A day ahead by mistake, and back."""
    state = os.path.join(folder, "back")
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "first", soon(6), "carts are taken")
        put(results, live, "later", base(), "one that is due in an hour")
        wall.set(DAY)
        engine.until(lambda: held(live) == ["clock_suspect"], 5)
        results.equal(health(live).get("sends"), "held", "a jump holds sends")
        results.equal(held(live), ["clock_suspect"], "and /healthz says why")
        results.check(said(live, "clock_suspect: the wall clock says") and
                      said(live, "`cartwheel resume`"), "the log says what to do", live.words)
        near(results, clock(live), 0, "the engine's time goes on as it was")
        engine.until(lambda: live.metrics()["cartwheel_clock_suspect"] == 2, 5)
        metrics = live.metrics()
        results.equal([metrics["cartwheel_" + name] for name in
                       ("clock_suspect", "store_sends_held", "clock_steps_total")], [2, 2, 1],
                      "it is counted")
        near(results, metrics["cartwheel_clock_ahead_ms"], DAY, "and measured")
        put(results, live, "meanwhile", soon(1), "events are taken meanwhile")
        put(results, live, "by-the-wall", base() + DAY + 2 * HOUR,
            "also those that agree with the wall, which may be right")
        repeated = put(results, live, "first", soon(6), "a repetition")
        results.check(repeated["accepted"] <= 2, "is answered", repeated)
        time.sleep(8)
        results.equal(sms(state), [], "nothing goes out, neither what is due nor what is not")
        code = live.get("/v1/candidates/later:kept")
        results.equal(json.loads(code[2])["status"], "scheduled", "nothing expires")
        wall.set(0)
        results.check(engine.until(lambda: "sends" not in health(live), 5),
                      "a wall that is back ends it by itself", health(live))
        results.check(said(live, "not suspect any more"), "and it is said", live.words)
        engine.until(lambda: len(sms(state)) == 2, LOOKS)
        results.equal(sms(state), ["first", "meanwhile"], "what is due goes out, nothing else")
        near(results, clock(live), 0, "at the right time")
        results.equal(live.stop(), 0, "it stops in order")


def confirmed(results, wall, program, folder):
    """A day ahead, and the kernel says that it is right."""
    state = os.path.join(folder, "kernel")
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "later", base(), "a cart")
        wall.set(DAY)
        results.check(engine.until(lambda: held(live) == ["clock_suspect"], 5), "held", live.words)
        wall.set(DAY, synchronised=True)
        results.check(engine.until(lambda: "sends" not in health(live), 5), "released", live.words)
        results.check(said(live, "the kernel says"), "the kernel's word is told", live.words)
        near(results, clock(live), DAY, "time is what the wall says")
        results.check(engine.until(lambda: sms(state) == ["later"], LOOKS), "what is overdue goes")
        wall.set(DAY + 4 * MINUTE)
        time.sleep(1)
        results.check("sends" not in health(live), "a step of minutes is followed", health(live))
        near(results, clock(live), DAY + 4 * MINUTE, "at once")
        results.equal(live.stop(), 0, "it stops in order")


def crashed(results, wall, program, folder):
    """A restart does not launder a jump: what was suspect is suspect still."""
    state = os.path.join(folder, "crashed")
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "later", base(), "a cart")
        os.mkdir(os.path.join(state, "manifest.new"))  # which it cannot write then
        wall.set(DAY)
        results.check(engine.until(lambda: held(live) == ["clock_suspect"], 5), "held", live.words)
        results.check(said(live, "a restart will not know of the clock"), "not kept, so it is said")
        os.rmdir(os.path.join(state, "manifest.new"))
        results.check(engine.until(lambda: kept(state), 5), "and kept as soon as may be")
        live.stop(signal.SIGKILL)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["clock_suspect"], "and held after a kill -9")
        results.check(said(live, "clock_suspect"), "which the start says", live.words)
        near(results, clock(live), 0, "time goes on where it was", 30 * SECOND)
        code, output, words = engine.command("resume", "--to", live.url())
        told = json.loads(output or "{}")
        results.check(code == 0 and told["sends"] == "go" and
                      told["wereHeldFor"] == ["clock_suspect"] and told["clockConfirmed"],
                      "an operator resumes", output + words)
        results.check("sends" not in health(live), "sends go", health(live))
        near(results, clock(live), DAY, "time is what the wall says")
        results.check(engine.until(lambda: sms(state) == ["later"], LOOKS), "what is overdue goes")
        live.stop(signal.SIGKILL)
    with wall.engine(program, state) as live:
        results.check("sends" not in health(live), "what was confirmed is kept", live.words)
        results.equal(live.stop(), 0, "it stops in order")


def downtime(results, wall, program, folder):
    """A start that finds the wall clock days ahead of the log, or behind it."""
    state = os.path.join(folder, "downtime")
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "later", base(), "a cart")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(6 * DAY)
    with wall.engine(program, state, config="maxTrustedDowntime: 5d\n", ) as live:
        results.equal(held(live), ["clock_suspect"], "the key is heeded")
        results.check("by themselves" not in "\n".join(live.words), "no more is told than is so")
        wall.set(10 * MINUTE)
        results.check(said(live, "10 min more than passed here"), "set anew, it is told anew",
                      live.words)
        results.equal(held(live), ["clock_suspect"], "how long it was off is not known")
        wall.set(6 * DAY)
        live.stop(signal.SIGKILL)
    wall.set(8 * DAY)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["clock_suspect"], "eight days ahead are not believed")
        near(results, clock(live), 0, "time goes on from the log's mark", 30 * SECOND)
        put(results, live, "new", base() + 8 * DAY - MINUTE, "events of that time are taken")
        status = json.loads(live.get("/v1/candidates/later:kept")[2])["status"]
        results.equal(status, "scheduled", "nothing expired")
        results.equal(live.stop(), 0, "it stops in order")
    with wall.engine(program, state) as live:
        results.equal(held(live), ["clock_suspect"], "nor after one more start")
        status, _, body = live.request("POST", "/v1/resume")
        results.check(status == 200 and json.loads(body)["sends"] == "go", "resumed", body)
        near(results, clock(live), 8 * DAY, "now it is that time")
        def ended():
            body = live.get("/v1/candidates/later:kept")[2]
            return json.loads(body)["status"] == "expired"
        results.check(engine.until(ended, 10), "and what is past its time has expired")
        results.equal(sms(state), [], "without a message")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(20 * DAY, synchronised=True)
    with wall.engine(program, state) as live:
        results.check("sends" not in health(live), "a synchronised wall is believed", live.words)
        near(results, clock(live), 20 * DAY, "however long it was")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(20 * DAY - 2 * HOUR)
    with wall.engine(program, state) as live:
        results.check(said(live, "behind the engine's"), "a wall behind it is told", live.words)
        results.check("sends" not in health(live), "and holds nothing")
        near(results, clock(live), 20 * DAY, "time goes on from the mark", 30 * SECOND)
        near(results, live.metrics()["cartwheel_clock_behind_ms"], 2 * HOUR, "it is measured",
             30 * SECOND)
        wall.set(20 * DAY)
        results.check(said(live, "has caught up"), "until the wall is right again", live.words)
        wall.set(20 * DAY - HOUR)
        engine.until(lambda: 0 < live.metrics()["cartwheel_clock_behind_ms"] < 1.5 * HOUR, 5)
        near(results, live.metrics()["cartwheel_clock_behind_ms"], HOUR, "so at run time", 30000)
        results.equal(live.stop(), 0, "it stops in order")


def other_clocks(results, wall, program, folder):
    """Where the wall is not the engine's clock, nothing of this applies."""
    for mode in ("event", "3600x"):
        wall.set(0)
        with wall.engine(program, os.path.join(folder, mode), "--clock", mode) as live:
            put(results, live, "one", base() - DAY, f"{mode}: a cart")
            wall.set(3 * DAY)
            time.sleep(1)
            results.check("sends" not in health(live), f"{mode}: nothing is held", health(live))
            results.equal(live.metrics()["cartwheel_clock_suspect"], 0, f"{mode}: nor counted")
            results.equal(live.stop(), 0, f"{mode}: it stops in order")
        wall.set(30 * DAY)
        with wall.engine(program, os.path.join(folder, mode), "--clock", mode) as live:
            results.check("sends" not in health(live), f"{mode}: nor after a restart", live.words)
            results.equal(live.stop(), 0, f"{mode}: it stops in order")


def unkept(results, wall, program, folder):
    state = os.path.join(folder, "none")
    wall.set(0)
    with wall.engine(program, state, config="durability: none\n") as live:
        put(results, live, "later", base(), "none: a cart")
        put(results, live, "after", base() + 2 * HOUR, "none: one that is due later")
        wall.set(DAY)
        results.check(engine.until(lambda: held(live) == ["clock_suspect"], 5), "none: held")
        until = engine.stamp(base() + 2 * HOUR)
        status, _, body = live.request("POST", "/v1/resume?assumeSentUntil=" + until)
        results.check(status == 200 and json.loads(body)["sends"] == "go", "none: resumed", body)
        near(results, clock(live), DAY, "none: time is what the wall says")
        states = [json.loads(live.get(f"/v1/candidates/{customer}:kept")[2])["touches"][0]["status"]
                  for customer in ("later", "after")]
        results.check(sms(state) == [] and states[0] != "sent",
                      "none: what may have been sent is not", (sms(state), states))
        results.equal(live.stop(), 0, "none: it stops in order")


def main():
    results = engine.Results()
    if shutil.which("cc") is None:
        engine.skip("no C compiler for the clock that is preloaded")
    folder = tempfile.mkdtemp(prefix="cartwheel-clock-")
    program = os.path.join(folder, "kept.yaml")
    engine.write_kept(program, 60, engine.DROPS)
    try:
        wall = Wall(folder)
        for part in (come_back, confirmed, crashed, downtime, other_clocks, unkept):
            part(results, wall, program, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
