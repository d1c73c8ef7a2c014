#!/usr/bin/env python3
"""Durability none, which is for measuring: it serves, sends and ends as ever, says loudly that
nothing is kept, makes no snapshot, and does not touch a state that is there."""
import json
import os
import shutil
import sys
import tempfile
import time

import engine

NONE = "durability: none\n"


def serve(state, results):
    with engine.Engine("--clock", "3600x", config=NONE, state=state) as live:
        results.check(any("NOTHING outlives a stop" in line for line in live.words),
                      "it warns", live.words)
        _, _, health = live.get("/healthz")
        results.check("nothing outlives a stop" in json.loads(health)["note"], "and in /healthz")
        now = int(time.time() * 1000)
        status, answer = live.post_events([engine.profile("ann", now),
                                           engine.abandoned("ann", "cart-1", now)])
        results.equal((status, answer["accepted"]), (200, 2), "events are taken")
        results.equal(live.get("/v1/candidates/ann:abandoned-cart-recovery")[0], 200, "followed")
        results.check(engine.until(live.outbox), "and a message leaves")
        results.equal(live.request("POST", "/v1/snapshot")[0], 409, "there is nothing to snapshot")
        results.equal(live.request("POST", "/v1/resume")[0], 409, "nor to resume")
        results.equal(live.stop(), 0, "it ends, and its sums reconcile")
        results.check(live.decisions(), "decisions were told")
    results.check(not any(name.startswith(("manifest", "epoch")) for name in os.listdir(state)),
                  "no log was made", os.listdir(state))


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-unkept-")
    state = os.path.join(folder, "state")
    try:
        serve(state, results)
        with engine.Engine(config=NONE, state=state) as live:
            results.equal(live.get("/v1/candidates/ann:abandoned-cart-recovery")[0], 404,
                          "all is forgotten")
        with engine.Engine(state=state) as live:
            results.equal(live.stop(), 0, "a state begins there")
        config = os.path.join(folder, "engine.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(NONE)
        code, _, said = engine.execute([engine.binary(), "run", "-c", config, "--http",
                                        "127.0.0.1:0", "--state", state], timeout=60)
        results.equal(code, 2, "which it does not pass over")
        results.check(b"holds a state" in said, "and says so", said)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
