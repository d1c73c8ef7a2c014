"""Erasure reaches the disk: after CustomerErased nothing of the customer is found in any file of
the state, a stop and a start later neither; others' rows stay. A receipt says so, also where the
engine was killed in between.
"""
import json
import os
import signal
import sys
import tempfile
import time

import engine

MARKS = [b"erase-me-please", b"zelda.erased@example.com"]


def found_in(folder, marks):
    """Files under the folder that hold one of the marks."""
    hits = []
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError:  # a segment that has just been removed
                continue
            hits += [(os.path.relpath(path, folder), mark) for mark in marks if mark in data]
    return hits


def erased(customer, event, at):
    return {"version": "0", "id": event, "source": "ecommerce.customer",
            "detail-type": "CustomerErased", "time": engine.stamp(at),
            "detail": {"customerId": customer}}


def refuse(live, customer, now):
    """Two events that are refused: one as an envelope, one quoted in a PutEvents call."""
    bad = engine.profile(customer, now, avgOrderValue="a lot")
    live.post_events([bad])
    entry = {"Source": bad["source"], "DetailType": bad["detail-type"],
             "Detail": json.dumps(bad["detail"])}
    live.request("POST", "/", json.dumps({"Entries": [entry]}),
                 {"content-type": "application/x-amz-json-1.1",
                  "x-amz-target": "AWSEvents.PutEvents"})


def letters(state):
    """How many dead letters there are of the two customers."""
    with open(os.path.join(state, "dead-letters.ndjson"), "rb") as file:
        lines = file.read().splitlines()
    return [sum(name in line for line in lines) for name in (b"erase-me-please", b"stays-3")]


def receipts(live):
    return [json.loads(line) for line in live.get("/v1/erasures")[2].splitlines()]


def cut_short(results, cores, cores_after, how=signal.SIGKILL, config=None):
    """Ended as soon as the erasure is acknowledged: the next process sees it through."""
    now = int(time.time() * 1000)
    customers = [f"cut-short-{number}" for number in range(40)]
    with engine.Engine(cores=cores, config=config) as live:
        live.post_events([engine.profile(name, now, email=name + "@erased.example.com")
                          for name in customers])
        status, answer = live.post_events([erased(name, "gone-" + name, now + 1)
                                           for name in customers])
        live.stop(how)
        results.equal((status, answer["accepted"]), (200, 40), "forty erasures are acknowledged")
        with engine.Engine(cores=cores_after, state=live.state, config=config) as again:
            files = [os.path.join(live.state, name) for name in os.listdir(live.state)
                     if name.startswith("epoch-")][-1]
            name = f"signal {how:d}, from {cores} cores to {cores_after}"
            if config is not None:
                results.check(any("adopted " in word for word in again.words),
                              f"{name}: tables are adopted", again.words)
            done = engine.until(lambda: len({r["event"] for r in receipts(again)}) == 40, 30)
            results.check(done, f"{name}: every receipt is written", receipts(again))
            results.equal(found_in(files, [b"@erased.example.com"]), [], f"{name}: all are gone")
            results.equal(engine.until(
                lambda: again.metrics()["cartwheel_store_erasures_pending"] == 0), True,
                          f"{name}: nothing is pending")


def told_again(results, folder):
    """What was told before the erasure is delivered once more, or late: nothing of it comes back,
    also after a kill and on other cores. What is told later counts."""
    program, state = os.path.join(folder, "kept.yaml"), os.path.join(folder, "again")
    engine.write_kept(program, 60, engine.DROPS)
    names = [f"again-{number}" for number in range(6)]

    def refused_again(live, when):
        """Were a cart taken, its message would go at once: it was due before."""
        late = [engine.abandoned(name, when, left + 1) for name in names]
        for what, events in (("first", first), ("late", late), ("first", first)):
            status, answer = live.post_events(events)
            results.equal((status, answer["accepted"], answer["duplicate"]),
                          (200, 0, len(events)), f"{when}: {what} events are repetitions")
        found = {live.get(f"/v1/candidates/{name}:kept")[0] for name in names}
        results.equal(found, {404}, f"{when}: no candidate is made")

    with engine.Engine(programs=[program], cores=2, state=state) as live:
        left = int(time.time() * 1000) - 3600000 + 2000
        first = [event for name in names for event in (
            engine.profile(name, left - 1000), engine.abandoned(name, "c", left))]
        live.post_events(first)
        results.equal(engine.until(lambda: engine.sms(state) == names), True, "all are sent")
        status, answer = live.post_events([erased(name, "gone-" + name, int(time.time() * 1000))
                                           for name in names])
        results.equal((status, answer["accepted"]), (200, len(names)), "all are erased")
        refused_again(live, "erased")
        live.stop(signal.SIGKILL)
    with engine.Engine(programs=[program], cores=3, state=state) as live:
        refused_again(live, "killed")
        later = int(time.time() * 1000)
        status, answer = live.post_events([event for name in names for event in (
            engine.profile(name, later), engine.abandoned(name, "c", later))])
        results.equal((status, answer["accepted"]), (200, 2 * len(names)), "later ones count")
        found = {live.get(f"/v1/candidates/{name}:kept")[0] for name in names}
        results.equal(found, {200}, "and make candidates, as if there had been none")
        results.equal(engine.sms(state), names, "nobody got a second message")


def main():
    results = engine.Results()
    now = int(time.time() * 1000)
    with engine.Engine(cores=2) as live:
        files = [os.path.join(live.state, name) for name in os.listdir(live.state)
                 if name.startswith("epoch-")]
        events = [engine.profile("erase-me-please", now, email="zelda.erased@example.com"),
                  engine.abandoned("erase-me-please", "c1", now)]
        for number in range(50):
            events += [engine.profile(f"stays-{number}", now),
                       engine.abandoned(f"stays-{number}", f"k{number}", now)]
        status, answer = live.post_events(events)
        results.equal((status, answer["accepted"]), (200, len(events)), "all are accepted")
        results.check(found_in(files[0], MARKS), "what is to be erased is in the files before")
        for customer in ("erase-me-please", "stays-3"):
            refuse(live, customer, now)
        results.equal(engine.until(lambda: letters(live.state) == [2, 2]), True,
                      "refused events of two customers are dead letters")
        status, _, body = live.request("POST", "/v1/snapshot?name=before")
        results.equal(status, 200, "a snapshot is made before")
        results.equal(live.get("/v1/erasures")[::2], (200, b""), "there is no receipt")
        status, answer = live.post_events([erased("erase-me-please", "gone-1", now + 1)])
        results.equal((status, answer["accepted"]), (200, 1), "the erasure is accepted")
        # Its own id is kept for a week, so that its repetition changes nothing: the customer's id
        # is part of that one row. All else goes.
        gone = engine.until(lambda: not found_in(files[0], MARKS[1:]), 30)
        results.check(gone, "nothing else of it is in any file", found_in(files[0], MARKS[1:]))
        receipt = engine.until(lambda: receipts(live), 30)
        results.equal([(r["event"], r["askedAt"] <= r["completeAt"], r["deadLetters"],
                        [os.path.basename(name) for name in r["snapshots"]]) for r in receipt],
                      [("gone-1", True, 2, ["before.cwsnap"])], "its receipt says what it reached")
        results.equal(letters(live.state), [0, 2], "its dead letters are gone, others' are not")
        refuse(live, "stays-3", now)
        results.equal(engine.until(lambda: letters(live.state) == [0, 4]), True,
                      "and more are written")
        results.check(found_in(files[0], [b"stays-7"]), "others are there")
        status, _, _ = live.get("/v1/candidates/stays-7:abandoned-cart-recovery")
        results.equal(status, 200, "and are followed")
        status, _, _ = live.get("/v1/candidates/erase-me-please:abandoned-cart-recovery")
        results.equal(status, 404, "the erased one is not")
        state = live.state
        results.equal(live.stop(), 0, "it stops")
        results.check(not found_in(files[0], MARKS[1:]), "nothing after the stop")
        with engine.Engine(cores=2, state=state) as again:
            results.equal(again.get("/v1/candidates/stays-7:abandoned-cart-recovery")[0], 200,
                          "others come back")
            results.check(not found_in(files[0], MARKS[1:]), "nothing after the start")
    cut_short(results, 2, 2)
    cut_short(results, 2, 1)
    cut_short(results, 1, 3)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        cut_short(results, 2, 2, signal.SIGTERM, f"memory: {memory}/tables\n")
    with tempfile.TemporaryDirectory() as folder:
        told_again(results, folder)
    results.finish()


sys.exit(main())
