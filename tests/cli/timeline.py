#!/usr/bin/env python3
"""replay --timeline: an event that nothing followed has a line that says why, on any number of
cores; JSON lines know nothing of it."""
import json
import os
import sys
import tempfile

import harness
from harness import execute

CARTWHEEL = harness.binary()
PROGRAM = """programId: p
eventSources:
  - config:
      eventPattern:
        source: [ecommerce.cart]
        detail-type: [CartAbandoned]
        detail: {cartValue: [50, 999999]}
filterChain: [{type: trust}]
channels:
  - {type: sms, config: {delayMinutes: 60, message: "Your cart: {cartLink}"}}
"""


def event(source, kind, second, **detail):
    return json.dumps({"source": source, "detail-type": kind,
                       "time": f"2026-01-18T16:45:{second:02}Z", "detail": detail}) + "\n"


def cart(second, customer, value):
    return event("ecommerce.cart", "CartAbandoned", second, customerId=customer, cartId="K",
                 cartValue=value, items=[{"id": "P", "name": "x", "price": value}])


def main():
    results = harness.Results()
    messages = [f"{n:04x}-none" for n in (5, 2, 7, 1, 6)]
    lines = [cart(0, "C1", 20), cart(1, "C2", 150),
             event("ecommerce.cart", "CartAbandond\u001b[2J", 2, customerId="C3", cartId="K"),
             *(event("messaging", "Opened", 3, messageId=m) for m in messages)]
    with tempfile.TemporaryDirectory() as work:
        program = os.path.join(work, "p.yaml")
        events = os.path.join(work, "e.ndjson")
        with open(program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        with open(events, "w", encoding="utf-8") as file:
            file.writelines(lines)
        code, one, _ = execute([CARTWHEEL, "replay", "--timeline", "--quiet", program, events])
        at = "Sun 2026-01-18 16:45:"
        nobody = " " * 28
        results.equal((code, one.decode().splitlines()),
                      (0, [f"{at}00  C1         K              not followed: unmatched, "
                           "an abandonment that no program's pattern matches",
                           f"{at}01  C2         K              not followed: unknown-customer",
                           f"{at}02{nobody}ignored: unknown-type ecommerce.cart/CartAbandond?[2J,"
                           " its source and detail-type mean nothing here"]
                       + [f"{at}03{nobody}ignored: unknown-message {m}, "
                          "its messageId was never sent" for m in sorted(messages)]),
                      "each event that came to nothing has its line")
        _, four, _ = execute([CARTWHEEL, "replay", "--timeline", "--quiet", "--cores", "4",
                              program, events])
        results.equal(four, one, "the same on four cores")
        _, output, _ = execute([CARTWHEEL, "replay", "--quiet", program, events])
        results.equal([json.loads(row)["kind"] for row in output.splitlines()], ["rejected"],
                      "JSON lines are decisions alone")
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
