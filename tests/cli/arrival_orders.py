#!/usr/bin/env python3
"""Journeys of four to six events in every order of arrival: once the latest fact by time is an
order, a clearing or an update and has arrived, no touch comes any more; when it is an abandonment,
its journey runs to its own expiry.

Every permutation has a customer and a span of time of its own in one file. The clock is the running
maximum over the file, so at the start of a permutation it lies before all of that one's events.
"""
import itertools
import json
import sys

import harness
from harness import event, execute, instant, line, message_id, milliseconds

CARTWHEEL = harness.binary()
HOUR = 3600 * 1000
SPAN = 21 * 24 * HOUR
BASE = milliseconds("2026-01-01T19:30:00Z")
PROGRAM = """programId: p
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {filterId: trust, type: trust}
  - {filterId: eligibility, type: eligibility}
channels:
  - {channelId: sms, type: sms, config: {delayMinutes: 60, message: "Your cart: {cartLink}"}}
  - {channelId: email, type: email, config: {delayHours: 24, templateId: cart-recovery-v3, subject: "Your cart"}}
  - {channelId: push, type: push, config: {delayHours: 72, title: "Your cart", body: "It waits."}}
discountStrategy: {defaultDiscount: 10}
"""
POLICIES = {
    "restart": "onReabandon: restart\n",
    "update": "onReabandon: update\n",
    "ignore": "onReabandon: ignore\n",
    "no deduplication": "deduplication: {enabled: false}\n",
    "parallel": "onNewCart: parallel\n",
    "quiet": 'quietHours: {start: "21:00", end: "08:00"}\nminGapMinutes: 180\n',
    "session": "abandonmentDetection: {sessionTimeoutMinutes: 30}\n",
}


# A step is (kind, hours, cart, number); kinds: profile, left, order, cleared, updated, clicked.
JOURNEYS = {
    "order": [("profile", -1, "", 0), ("left", 0, "k", 100), ("order", 2, "k", 0),
              ("clicked", 1.5, "k", 0)],
    "order before the first touch": [("profile", -1, "", 0), ("left", 0, "k", 100),
                                     ("order", .5, "k", 0), ("clicked", 1.5, "k", 0)],
    "order at T0": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", 0, "k", 120),
                    ("order", 0, "k", 0), ("clicked", 3, "k", 0)],
    "order without cart": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", .5, "k", 120),
                           ("order", 30, "", 0), ("clicked", 1.5, "k", 0)],
    "abandoned again, order": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", 3, "k", 120),
                               ("order", 5, "k", 0), ("clicked", 4.5, "k", 0)],
    "thrice, clearing": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", 3, "k", 120),
                         ("left", 6, "k", 140), ("cleared", 26, "k", 0)],
    "clearing at T0": [("profile", -1, "", 0), ("left", 0, "k", 100), ("cleared", 0, "k", 0),
                       ("clicked", 9, "k", 0)],
    "update": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", 3, "k", 120),
               ("updated", 5, "k", 0), ("clicked", 1.5, "k", 0)],
    "update, again, order": [("profile", -1, "", 0), ("left", 0, "k", 100), ("updated", 2, "k", 90),
                             ("left", 3, "k", 100), ("order", 28, "k", 0), ("clicked", 26, "k", 0)],
    "clearing, again, order": [("profile", -1, "", 0), ("left", 0, "k", 100), ("cleared", 2, "k", 0),
                               ("left", 3, "k", 120), ("order", 4.5, "", 0)],
    "two carts, order": [("profile", -1, "", 0), ("left", 0, "k", 100), ("left", 2, "j", 120),
                         ("left", 5, "k", 140), ("order", 30, "", 0)],
    "order, abandoned later": [("profile", -1, "", 0), ("left", 0, "k", 100), ("order", 2, "k", 0),
                               ("left", 5, "k", 120), ("clicked", 1.5, "k", 0)],
    "clearing, abandoned later": [("profile", -1, "", 0), ("left", 0, "k", 100),
                                  ("cleared", 2, "k", 0), ("left", 5, "k", 120)],
    "session, order": [("profile", -1, "", 0), ("updated", 0, "k", 100), ("updated", .2, "k", 0),
                       ("order", 2.5, "k", 0)],
    "session, shop, clearing": [("profile", -1, "", 0), ("updated", 0, "k", 100),
                                ("left", .25, "k", 120), ("updated", 3, "k", 90),
                                ("cleared", 5, "k", 0)],
    "session, order within": [("profile", -1, "", 0), ("updated", 0, "k", 100), ("order", .4, "", 0),
                              ("left", .3, "k", 100)],
}
ENDS = ("order", "cleared", "updated")


def make(step, customer, base):
    kind, hours, cart, number = step
    time = instant(base + round(hours * HOUR))
    detail = {"customerId": customer}
    if cart:
        detail["cartId"] = cart
    if kind == "profile":
        detail.update(email="a@example.com", phone="+1555", pushToken="t", paymentMethodOnFile=True)
        return event("CustomerUpdated", time, detail)
    if kind in ("left", "updated"):
        if number:
            detail.update(cartValue=number, items=[{"id": "P", "name": "n", "price": number}])
        return event("CartAbandoned" if kind == "left" else "CartUpdated", time, detail)
    if kind == "order":
        return event("OrderPlaced", time, {**detail, "orderId": "o", "orderValue": 9})
    if kind == "cleared":
        return event("CartCleared", time, detail)
    return event("Clicked", time, {"messageId": message_id("p", customer, cart, base, 1)})


def over(steps, policy):
    """The step that ends it all: the latest fact by time, when that is an end."""
    left = max((s[1] for s in steps if s[0] == "left"), default=-99)
    if policy == "session":
        # What cartwheel makes of an update with no end after it within half an hour.
        left = max([left] + [s[1] + .5 for s in steps if s[0] == "updated"])
    ends = [s for s in steps if s[0] in ENDS and s[1] >= left and
            (s[0] != "updated" or s[1] > left)]
    if policy == "session":
        ends = [s for s in ends if s[0] != "updated"]
    return max(ends, key=lambda s: s[1]) if ends else None


def build(journey, steps, first):
    """All permutations as events, and what is to be known of each: customer, base, order."""
    events = []
    told = []
    for i, order in enumerate(itertools.permutations(steps)):
        customer = f"{journey}-{i}"
        base = BASE + (first + i) * SPAN
        events += [make(step, customer, base) for step in order]
        told.append((customer, base, order))
    return events, told


def judge(results, policy, journey, steps, told, rows):
    end = over(steps, policy)
    sent = 0
    for customer, base, order in told:
        mine = rows.get(customer, [])
        sent += sum(1 for row in mine if row.get("outcome") == "sent")
        name = f"{policy}: {journey}: " + ", ".join(f"{s[0]} {s[1]:g}" for s in order)
        shown = "\n".join(json.dumps(row) for row in mine)
        orders = [(row["cartId"], row["orderId"]) for row in mine if row["kind"] == "converted"]
        results.check(len(orders) == len(set(orders)), name + ": converts once", shown)
        touches = [(row["messageId"]) for row in mine if row.get("outcome") == "sent"]
        results.check(len(touches) == len(set(touches)), name + ": sends once", shown)
        if end is not None:
            at = order.index(end)
            clock = instant(base + round(max(s[1] for s in order[:at + 1]) * HOUR))
            late = [row for row in mine if row["kind"] == "touch" and row["at"] >= clock]
            results.check(not late, f"{name}: no touch from {clock} on", shown)
            last = instant(base + round(max(s[1] for s in order) * HOUR))
            results.check(not [row for row in mine if row["at"] > last],
                          name + ": nothing after all has arrived", shown)
        elif policy == "restart" and order[0][0] == "profile":
            wanted = instant(base + round(max(s[1] for s in steps if s[0] == "left") * HOUR) +
                             7 * 24 * HOUR)
            results.check(mine and mine[-1]["kind"] == "expired" and mine[-1]["at"] == wanted,
                          f"{name}: the later journey runs until {wanted}", shown)
    # Not an empty proof: some orders of arrival do let touches go out first.
    if not (policy != "session" and not any(s[0] == "left" for s in steps)) and journey not in (
            "order at T0", "clearing at T0", "order before the first touch",
            "session, order within"):
        results.check(sent > 0, f"{policy}: {journey}: some touches are sent", "none at all")
    return len(told)


def main():
    results = harness.Results()
    permutations = 0
    only = sys.argv[2:]
    with harness.Folder() as folder:
        for policy, text in POLICIES.items():
            if only and policy not in only:
                continue
            program = folder.write("p.yaml", PROGRAM + text)
            events = []
            told = {}
            count = 0
            for number, (journey, steps) in enumerate(JOURNEYS.items()):
                more, told[journey] = build(f"J{number}", steps, count)
                count += len(told[journey])
                events += more
            path = folder.write("e.ndjson", "".join(line(e) + "\n" for e in events))
            code, output, said = execute([CARTWHEEL, "replay", "--quiet", program, path])
            results.check(code == 0, f"{policy}: exit 0", said.decode())
            results.equal(execute([CARTWHEEL, "replay", "--quiet", "--cores", "3", program, path])[1],
                          output, f"{policy}: on three cores")
            rows = {}
            for text_row in output.splitlines():
                row = json.loads(text_row)
                if results.check(row["kind"] != "invalid", f"{policy}: valid", row):
                    rows.setdefault(row["customerId"], []).append(row)
            for journey, steps in JOURNEYS.items():
                permutations += judge(results, policy, journey, steps, told[journey], rows)
    print(f"{permutations} orders of arrival")
    results.finish()


if __name__ == "__main__":
    main()
