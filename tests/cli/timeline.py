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


def unknown_message(results, work):
    """What tells of a message that was never sent is not remembered: sent again later, it counts."""
    program = os.path.join(work, "q.yaml")
    events = os.path.join(work, "f.ndjson")
    with open(program, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    lines = [event("ecommerce.customer", "CustomerUpdated", 0, customerId="C2", phone="+15550100",
                   paymentMethodOnFile=True), cart(1, "C2", 150)]
    with open(events, "w", encoding="utf-8") as file:
        file.writelines(lines)
    _, output, _ = execute([CARTWHEEL, "replay", "--quiet", program, events])
    sent = [row["messageId"] for row in map(json.loads, output.splitlines()) if "messageId" in row]
    opened = json.loads(event("messaging", "Opened", 2, messageId=sent[0])) | {"id": "o-1"}
    later = opened | {"time": "2026-01-18T18:00:00Z"}
    with open(events, "w", encoding="utf-8") as file:
        file.writelines(lines + [json.dumps(e) + "\n" for e in (opened, opened, later, later)])
    _, _, said = execute([CARTWHEEL, "replay", "--json", program, events])
    counts = json.loads(said)
    results.equal((counts["events"]["unknown-message"], counts["events"]["repeated"],
                   counts["byTouch"][0]["opened"]), (2, 1, 1),
                  "an event of a message is repeated only once the message is known")


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
        unknown_message(results, work)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
