"""Erasure reaches the disk: after CustomerErased nothing of the customer is found in any file of the
state, a stop and a start later neither; others' rows stay.
"""
import os
import sys
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
        status, answer = live.post_events([{
            "version": "0", "id": "gone-1", "source": "ecommerce.customer",
            "detail-type": "CustomerErased", "time": engine.stamp(now + 1),
            "detail": {"customerId": "erase-me-please"}}])
        results.equal((status, answer["accepted"]), (200, 1), "the erasure is accepted")
        # Its own id is kept for a week, so that its repetition changes nothing: the customer's id
        # is part of that one row. All else goes.
        gone = engine.until(lambda: not found_in(files[0], MARKS[1:]), 30)
        results.check(gone, "nothing else of it is in any file", found_in(files[0], MARKS[1:]))
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
    results.finish()


sys.exit(main())
