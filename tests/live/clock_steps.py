#!/usr/bin/env python3
"""A wall clock that jumps, under a real engine: ahead while it runs and over a restart (sends are
held and time goes on at the machine's own pace, until the wall comes back, the kernel says that it
is synchronised, or an operator resumes), and back (time goes on from where it was). What comes
meanwhile holds once the time is known, and no end of the engine forgets the jump. The engine's
wall clock is moved by clock_shim.c, which is preloaded; the machine's is left alone."""
import calendar
import email
import json
import os
import re
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
MAIL = """programId: mail
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
  - {type: eligibility}
channels:
  - {type: email, config: {delayMinutes: 60, templateId: cart-recovery-v3, subject: Hi}}
"""
LOOKS = 70  # seconds within which what was held looks again


class Wall:
    """The wall clock that an engine sees; the machine's is base()."""

    def __init__(self, folder):
        self.shim = os.path.join(folder, "clock_shim.so")
        self.path = os.path.join(folder, "clock")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim,
                        os.path.join(HERE, "clock_shim.c")], check=True)
        self.set(0)

    def set(self, ahead_ms, synchronised=False, passed_ms=0, hangs=False):
        """How far it is ahead; how much time has passed on all clocks; that snapshots hang."""
        fresh = not os.path.exists(self.path)
        with open(self.path, "wb" if fresh else "r+b") as file:  # the mapping stays
            file.write(struct.pack("<qqqq", int(ahead_ms) * 1000000, int(synchronised),
                                   int(passed_ms) * 1000000, int(hangs)))

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
    """True when the state itself says that the clock is suspect; manifest.new says nothing yet."""
    return any("clock_suspect" in content(os.path.join(state, name)) for name in os.listdir(state)
               if name.startswith("manifest") and not name.endswith(".new"))


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
        results.equal(held(live), ["start_grace"], "a synchronised wall is believed")
        near(results, clock(live), 20 * DAY, "however long it was")
        live.request("POST", "/v1/resume")
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


def unsubscribe_path(live):
    """Of the first message that went out, which is waited for."""
    engine.until(lambda: any(name.endswith(".eml") for name in live.outbox()))
    name = next(name for name in live.outbox() if name.endswith(".eml"))
    link = email.message_from_bytes(live.outbox_text(name))["List-Unsubscribe"]
    return re.search(r"https?://[^/]*([^>\s]*)", link).group(1)


def doubted(results, wall, _, folder):
    """What happens while nobody believes a wall that is right is of the wall's time: it holds when
    the clock leaps to there."""
    program, state = os.path.join(folder, "mail.yaml"), os.path.join(folder, "doubted")
    with open(program, "w", encoding="utf-8") as file:
        file.write(MAIL)
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "ada", soon(1), "a cart")
        path = unsubscribe_path(live)
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(8 * DAY)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["clock_suspect"], "eight days off are not believed")
        now = base() + 8 * DAY
        put(results, live, "ada", now - 2 * SECOND, "a cart of that time")
        put(results, live, "bob", now, "and somebody else's")
        status, _, _ = live.request("POST", path, "List-Unsubscribe=One-Click",
                                    {"content-type": "application/x-www-form-urlencoded"})
        results.equal(status, 200, "she unsubscribes by the link of a message")
        cancelled = engine.until(lambda: [line for line in live.decisions()
                                          if line.get("reason") == "opted-out"], 10)
        results.equal([line["kind"] for line in cancelled], ["cancelled"], "which ends the cart's")
        live.request("POST", "/v1/resume")
        results.check(engine.until(lambda: "sends" not in health(live)), "resumed", live.words)
        near(results, clock(live), 8 * DAY, "the clock leaps to the wall's time")
        answer = put(results, live, "bob", now, "what was told is told again")
        results.equal(answer["duplicate"], 2, "and is known beyond the leap")
        live.post_events([engine.profile("ada", now - SECOND, optedOut=False),
                          engine.abandoned("ada", "another", base() + 8 * DAY)])
        refused = engine.until(lambda: [line for line in live.decisions()
                                        if line["kind"] == "rejected"], 10)
        results.equal([line["reason"] for line in refused], ["opted-out"],
                      "an older profile that comes late does not take the unsubscription back")
        results.equal(live.stop(), 0, "it stops in order")


def during_snapshot(results, wall, program, folder):
    """A snapshot may take long, and a jump meanwhile is noted for the next start all the same."""
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        name, state = f"signal {how:d}", os.path.join(folder, f"snapshot-{how:d}")
        wall.set(0)
        with wall.engine(program, state) as live:
            put(results, live, "later", base(), f"{name}: a cart")
            wall.set(0, hangs=True)
            results.equal(live.request("POST", "/v1/snapshot")[0], 202, f"{name}: it takes long")
            wall.set(DAY, hangs=True)
            results.check(engine.until(lambda: held(live) == ["clock_suspect"], 5), f"{name}: held")
            results.check(engine.until(lambda: kept(state), 5), f"{name}: and noted", live.words)
            live.process.send_signal(how)
            time.sleep(0.5)  # a stop waits for what is written
            wall.set(DAY)
            live.process.wait(30)
            results.equal(live.stop(), code, f"{name}: it ends")
        with wall.engine(program, state) as live:
            results.equal(held(live), ["clock_suspect"], f"{name}: and is held after a start")
            near(results, clock(live), 0, f"{name}: time goes on where it was", 30 * SECOND)
            results.equal(live.stop(), 0, f"{name}: it stops in order")


def behind(results, wall, program, folder):
    """A machine that comes up without the time, until it is told: its engine goes on from its mark,
    and how long it was off nobody knows. What is told meanwhile must not be lost."""
    state = os.path.join(folder, "behind")
    wall.set(0)
    with wall.engine(program, state) as live:
        put(results, live, "bob", base(), "a cart")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(-365 * DAY)
    with wall.engine(program, state) as live:
        near(results, clock(live), 0, "time goes on from the mark", 30 * SECOND)
        order = engine.ordered("bob", "now", base() + 2 * DAY)
        for event, wanted in ((order, (1, 0)),
                              (engine.ordered("bob", "near", base() + 34 * DAY), (1, 0)),
                              (engine.ordered("bob", "far", base() + 37 * DAY), (0, 1))):
            _, answer = live.post_events([event])
            results.equal((answer["accepted"], len(answer["rejected"])), wanted,
                          "orders are taken of the weeks that it may have been off for")
        wall.set(-2 * MINUTE)
        engine.until(lambda: live.metrics()["cartwheel_clock_behind_ms"] < 3 * MINUTE, 5)
        _, answer = live.post_events([engine.ordered("bob", "early", base() + 2 * DAY)])
        results.equal(len(answer["rejected"]), 1, "a wall that is right, more or less, bounds them")
        wall.set(2 * DAY, synchronised=True)
        engine.until(lambda: clock(live) > DAY, 5)
        _, answer = live.post_events([order])
        results.equal(answer["duplicate"], 1, "and one that was taken is there when the time is")
        results.equal(live.stop(), 0, "it stops in order")


def rested(results, wall, program, folder):
    """An engine at rest notes the time often enough that its end, an instant ago, looks like no
    downtime that is not trusted."""
    state, config = os.path.join(folder, "rested"), "maxTrustedDowntime: 30m\n"
    wall.set(0)
    with wall.engine(program, state, config=config) as live:
        put(results, live, "later", base() + HOUR, "a cart")
        time.sleep(2)  # what it brought about is written
        wall.set(0, passed_ms=29 * MINUTE)
        time.sleep(3)
        live.stop(signal.SIGKILL)
    wall.set(0, passed_ms=54 * MINUTE)
    with wall.engine(program, state, config=config) as live:
        results.equal(held(live), ["start_grace"], "25 minutes off are trusted")
        near(results, clock(live), 54 * MINUTE, "the wall is right", 30 * SECOND)
        results.equal(live.stop(), 0, "it stops in order")


def grace(results, wall, program, folder):
    """What came due while the engine was off waits until sources have delivered what they kept."""
    state, names = os.path.join(folder, "grace"), ("buys", "waits", "held", "none")
    wall.set(0)
    with wall.engine(program, state) as live:
        for name in names:
            put(results, live, name, base(), name + ": a cart, due in an hour")
        live.stop(signal.SIGKILL)
    wall.set(0, passed_ms=59 * SECOND)
    with wall.engine(program, state) as live:
        results.check("sends" not in health(live), "a minute off holds nothing", live.words)
        live.stop(signal.SIGKILL)
    wall.set(0, passed_ms=2 * HOUR)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["start_grace"], "an hour off does")
        results.check(said(live, "sends are HELD for 60 s"), "and the start says so", live.words)
        results.equal(live.metrics()["cartwheel_store_sends_held"], 2, "it is counted")
        _, answer = live.post_events([engine.ordered("buys", "meanwhile", base() + HOUR // 2)])
        results.equal(answer["accepted"], 1, "an order of that time comes")
        wall.set(0, passed_ms=2 * HOUR + 40 * SECOND)
        time.sleep(1)
        results.equal(held(live), ["start_grace"], "not over before the minute is")
        live.stop(signal.SIGKILL)
    wall.set(0, passed_ms=2 * HOUR + 50 * SECOND)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["start_grace"], "it was cut short and begins again")
        wall.set(0, passed_ms=2 * HOUR + 105 * SECOND)
        time.sleep(1)
        results.equal((held(live), sms(state)), (["start_grace"], []), "whole")
        wall.set(0, passed_ms=2 * HOUR + 111 * SECOND)
        results.check(engine.until(lambda: "sends" not in health(live), 5), "sends go after it")
        results.check(said(live, "sends go"), "and it is said", live.words)
        results.check(engine.until(lambda: len(sms(state)) == 3, LOOKS), "what is overdue goes",
                      sms(state))
        results.equal(sms(state), ["held", "none", "waits"], "but to who has bought")
        put(results, live, "more", base() + 2 * HOUR, "one more cart")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(0, passed_ms=5 * HOUR)
    with wall.engine(program, state) as live:
        results.equal(held(live), ["start_grace"], "after a clean stop, too")
        code, output, words = engine.command("resume", "--to", live.url())
        results.check(code == 0 and json.loads(output)["wereHeldFor"] == ["start_grace"],
                      "an operator ends it", output + words)
        results.check("sends" not in health(live), "sends go", health(live))
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(0, passed_ms=8 * HOUR)
    with wall.engine(program, state, config="startGrace: 0s\n") as live:
        results.check("sends" not in health(live), "0s: there is none", live.words)
        results.check(engine.until(lambda: "more" in sms(state), 10), "and it goes at once")
        results.equal(live.stop(), 0, "it stops in order")
    wall.set(0, passed_ms=8 * HOUR + HOUR // 2)
    with wall.engine(program, state, config="startGrace: 1h\n") as live:
        results.check("sends" not in health(live), "half an hour off is not longer than that",
                      live.words)
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
        for part in (come_back, confirmed, crashed, downtime, doubted, during_snapshot, behind,
                     rested, grace, other_clocks, unkept):
            part(results, wall, program, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
