#!/usr/bin/env python3
"""Random small shops for the comparison of the engine with the reference model.

    python3 shops.py --seed N --out DIR

writes program-*.yaml, events-*.ndjson and models/*.json into DIR.  The same seed writes the same
bytes.  Few customers, carts, products and instants make everything collide with everything.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass
from typing import Any, Optional

import yaml

import reference
from shop_programs import CATEGORIES, ProgramMaker
from reference import DAY, HOUR, MINUTE, parse_time, show_time

# Days on which clocks change in some zone, and ordinary ones.
BASES = ["2026-01-18T16:45:00Z", "2026-03-07T20:00:00Z", "2026-03-28T22:00:00Z",
         "2026-06-15T00:00:00Z", "2026-10-24T21:30:00Z", "2026-10-31T23:00:00Z",
         "2026-12-31T22:00:00Z", "2026-04-04T10:00:00Z"]
# Nights of a clock change: when to begin, the customers' zone, quiet hours whose end comes twice
# or not at all.
CHANGES = [("2026-03-08T04:30:00Z", "America/New_York", ("22:00", "02:30")),
           ("2026-11-01T03:30:00Z", "America/New_York", ("22:00", "01:30")),
           ("2026-03-28T23:00:00Z", "Europe/Berlin", ("23:00", "02:15")),
           ("2026-10-24T22:00:00Z", "Europe/Berlin", ("23:00", "02:30")),
           ("2026-04-04T12:30:00Z", "Australia/Lord_Howe", ("22:00", "01:45")),
           ("2026-10-03T12:00:00Z", "Australia/Lord_Howe", ("22:00", "02:15"))]
ZONES = ["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Kolkata",
         "America/Sao_Paulo", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Chatham",
         "UTC"]
CUSTOMER_IDS = ["C456", "C1", "c-2", "Zoë", "客戶九", "a\"b\\c", "tab\tid", "0", "C10",
                "ZZ top"]
CART_IDS = ["CART-789", "K1", "K2", "k-3", "Körbchen"]
PROGRAM_IDS = ["abandoned-cart-recovery", "B-late", "a", "winback/2", "Ärmel", "z9", "ab"]


@dataclass
class Shop:
    """Where a shop was written, as the command line names it."""
    programs: list[str]
    events: list[str]
    models: str
    until: Optional[str] = None


@dataclass
class Planned:
    """One line of an event file on its way there."""
    time: int
    order: float                        # sorts the lines; the time, unless moved
    envelope: Optional[dict[str, Any]]
    raw: bytes = b""                    # a malformed line, when there is no envelope
    repeat: bool = False

    @property
    def customer(self) -> Any:
        return self.envelope["detail"].get("customerId") if self.envelope else None

    @property
    def type(self) -> Any:
        return self.envelope["detail-type"] if self.envelope else None


class Maker(ProgramMaker):
    """Makes the events of one shop as well."""

    # ---------------------------------------------------------------------------- helpers

    def money(self, values: list[int]) -> float:
        v = self.pick(values)
        return v if self.whole_money or not v else v - self.pick([0, 0, 0.01, 0.5])

    def stamp(self, ms: int) -> str:
        """One of the ways in which a time can be written."""
        way = self.rng.randrange(8)
        if way == 0 and ms % 1000 == 0:
            return show_time(ms)[:-5] + "Z"
        if way == 1:
            return show_time(ms + 2 * HOUR)[:-1] + "+02:00"
        if way == 2:
            return show_time(ms - 90 * MINUTE)[:-1] + "-01:30"
        if way == 3:
            return show_time(ms)[:-1] + "999Z"      # a fraction beyond milliseconds
        return show_time(ms)

    def event(self, source: str, kind: str, time: int, detail: dict[str, Any]) -> Planned:
        self.serial += 1
        detail = dict(detail)
        e: dict[str, Any] = {"version": "0", "id": f"e-{self.serial}", "detail-type": kind,
                             "source": source}
        if self.chance(0.06):
            del e["id"]                 # PutEvents entries carry no id
        elif self.chance(0.01):
            e["id"] = f"e-{self.rng.randrange(1, self.serial + 1)}"     # known already
        if self.chance(0.3):
            detail["timestamp"] = self.stamp(time)
            if self.chance(0.7):        # the envelope's time must not matter then
                e["time"] = self.stamp(time + self.pick([0, 0, 1000, -MINUTE, HOUR]))
        else:
            e["time"] = self.stamp(time)
        if self.chance(0.1):
            e["account"], e["region"], e["resources"] = "123456789012", "eu-west-1", []
        e["detail"] = detail
        return Planned(time, time, e)

    # ----------------------------------------------------------------------------- events

    def profile(self, customer: str, time: int, healthy: bool) -> Planned:
        d: dict[str, Any] = {"customerId": customer}
        if healthy:
            d.update({"email": f"{len(customer)}@shop.example", "accountStatus": "active",
                      "paymentMethodOnFile": True})
            if self.chance(0.8):
                d["phone"] = "+15550100"
            if self.chance(0.8):
                d["pushToken"] = "tok-1"
        options = {
            "name": [None, "Ann", "Bö"], "email": [None, "x@shop.example"],
            "phone": [None, "+4930123"], "pushToken": [None, "tok-2"],
            "accountStatus": ["active", "active", "suspended", "closed", None],
            "paymentMethodOnFile": [True, True, False, None],
            "optedOut": [False, True, None, {"email": True}, {"sms": True, "push": False},
                         {"email": False}, {"push": True},
                         {"email": True, "sms": True, "push": True}, {}],
            "marketplace": self.markets + [None],
            "timezone": ZONES + [None], "locale": ["en-US", "de-DE", None],
            "purchaseHistory": [0, 3, 12, None], "avgOrderValue": [0, 85, 40.5, None],
            "cartAbandonmentRate": [0, 0.35, 1, None], "emailEngagement": [0.75, 0.1, None],
            "discountSensitivity": [0.8, 0.1, 1, None]}
        if healthy:
            wanted = [f for f in ("purchaseHistory", "avgOrderValue", "cartAbandonmentRate",
                                  "emailEngagement", "discountSensitivity", "marketplace",
                                  "timezone", "name", "locale") if self.chance(0.45)]
        else:
            wanted = self.rng.sample(sorted(options), self.pick([1, 1, 2, 3]))
        for name in wanted:
            d[name] = self.pick(options[name])
        if self.night is not None and self.chance(0.8):
            d["timezone"] = self.night[1]
        return self.event("ecommerce.customer", "CustomerUpdated", time, d)

    def content(self) -> dict[str, Any]:
        """A cart's content: few kinds, so that the same one comes again often."""
        items = []
        for p in self.rng.sample(self.products, min(self.pick([1, 1, 2, 3]), len(self.products))):
            item = {"id": p["id"], "name": p["name"], "price": p["price"]}
            if self.chance(0.3):
                item["quantity"] = self.pick([1, 2, 3])
            if self.chance(0.2):
                item["category"] = self.pick(CATEGORIES)
            if self.chance(0.05):
                item["imageUrl"] = "https://shop.example/p.png"
            items.append(item)
        if self.chance(0.03):
            items = []
        return {"cartValue": self.money([30, 50, 60, 80, 100, 150, 150, 200]), "items": items}

    def cart_extras(self) -> dict[str, Any]:
        d: dict[str, Any] = {}
        if self.chance(0.3):
            d["marketplace"] = self.pick(self.markets)
        if self.chance(0.2):
            d["itemCount"] = self.pick([0, 1, 3, 7])
        if self.chance(0.2):
            d["currency"] = self.pick(["USD", "EUR"] + (["JPY"] if self.whole_money else []))
        if self.chance(0.2):
            d["category"] = self.pick(CATEGORIES)
        if self.chance(0.3):
            d["discountSensitivity"] = self.pick([0, 0.3, 0.8, 1])
        if self.chance(0.2):
            d["abandonmentReason"] = self.pick(["session_timeout", "test-run"])
        if self.chance(0.05):
            d[self.pick(["cartUrl", "currency", "marketplace", "category", "itemCount"])] = None
        return d

    def abandonment(self, customer: str, cart: str, time: int,
                    content: dict[str, Any]) -> Planned:
        p = self.event("ecommerce.cart", "CartAbandoned", time,
                       {"customerId": customer, "cartId": cart, **content,
                        **self.cart_extras()})
        if p.envelope is not None and self.chance(0.15):
            p.envelope["eventBusName"] = self.pick(self.buses + ["default"])
        return p

    def order(self, customer: str, cart: Optional[str], time: int) -> Planned:
        order_id = f"O-{len(self.known_orders)}"
        if self.known_orders and self.chance(0.1):
            order_id = self.pick(self.known_orders)
        self.known_orders.append(order_id)
        d: dict[str, Any] = {"customerId": customer, "orderId": order_id,
                             "orderValue": self.money([0, 27, 135, 135, 90])}
        if cart is not None:
            d["cartId"] = cart
        if self.chance(0.3):
            d["currency"] = self.pick(["USD", "GBP"])
        if self.chance(0.2):
            d["discountCode"], d["discountAmount"] = "CART10", 15
        return self.event("ecommerce.order", "OrderPlaced", time, d)

    def cart_event(self, kind: str, customer: str, cart: str, time: int) -> Planned:
        d: dict[str, Any] = {"customerId": customer, "cartId": cart}
        if kind == "CartUpdated" and self.chance(0.7):
            d.update(self.content())
            d.update(self.cart_extras())
        return self.event("ecommerce.cart", kind, time, d)

    def near(self, time: int) -> int:
        """An instant at, beside or soon after one that matters."""
        return time + self.pick([-1, 0, 1, -1, 0, 1, self.grid, 2 * self.grid, HOUR, 3 * HOUR,
                                 DAY, 25 * HOUR, 3 * DAY, -self.grid])

    def walk(self, count: int) -> list[Planned]:
        """The shop's own events, in the order of their times as they were thought of."""
        events: list[Planned] = []
        for c in self.customers:
            if not self.chance(0.1):
                events.append(self.profile(c, self.base, True))
        now = self.base
        contents = [self.content() for _ in range(3)]
        while len(events) < count:
            if self.chance(0.55):
                now += self.grid * self.pick([1, 1, 1, 2, 3])
            if self.chance(0.04):
                now += DAY * self.pick([1, 1, 2, 3, 7])
            c = self.pick(self.customers)
            cart = self.pick(self.carts[c])
            roll = self.rng.random()
            if roll < 0.42:
                events.append(self.abandonment(c, cart, now, self.pick(contents)))
                follow = self.rng.random()
                cart2 = cart if self.chance(0.8) else None
                if follow < 0.12:
                    events.append(self.cart_event("CartUpdated", c, cart, self.near(now)))
                elif follow < 0.2:
                    events.append(self.cart_event("CartCleared", c, cart, self.near(now)))
                elif follow < 0.34:
                    events.append(self.order(c, cart2, self.near(now)))
                elif follow < 0.44:     # abandoned again, later or at the same time
                    events.append(self.abandonment(c, cart, self.near(now),
                                                   self.pick(contents)))
            elif roll < 0.56:
                events.append(self.cart_event("CartUpdated", c, cart, now))
            elif roll < 0.59:
                events.append(self.cart_event("CartCleared", c, cart, now))
            elif roll < 0.64:
                events.append(self.order(c, self.pick([cart, cart, None, "other"]), now))
            elif roll < 0.75:
                events.append(self.profile(c, now, self.chance(0.35)))
            elif roll < 0.86:
                p = self.pick(self.products)
                events.append(self.event(
                    "ecommerce.inventory", "InventoryChanged", now,
                    {"productId": p["id"],
                     "available": self.pick([0, 1, 2, 5, 100, 100, True, True, False])}))
            elif roll < 0.87:
                events.append(self.event("ecommerce.customer", "CustomerErased", now,
                                         {"customerId": c}))
            elif roll < 0.90:
                events.append(self.event("ecommerce.order", "OrderRefunded", now,
                                         {"customerId": c, "orderId": "O-0", "amount": 5}))
            elif roll < 0.93:
                events.append(self.event("messaging", "FeedbackReceived", now,
                                         {"customerId": c, "rating": self.pick([1, 5])}))
            elif roll < 0.96:
                events.append(self.event("shop.other", "PageViewed", now, {"customerId": c}))
            else:
                events.append(self.event("messaging", "Opened", now,
                                         {"messageId": "00ff" + "0" * 32}))
        return events

    def echoes(self, events: list[Planned]) -> list[Planned]:
        """What meets the very ends of the windows: something that concerns an earlier event
        arrives when the clock stands a whole window after it, or 1 ms beside."""
        found: list[Planned] = []
        kinds = ("CartAbandoned", "OrderPlaced", "CartCleared", "CartUpdated")
        for p in self.rng.sample(events, min(len(events), self.pick([2, 4, 8]))):
            if p.type not in kinds or p.envelope is None:
                continue
            then = p.time + DAY * self.pick([1, 2, 7, 7, 7, 30]) + self.pick([-1, 0, 0, 1])
            found.append(self.event("shop.other", "PageViewed", then, {}))
            detail = {k: v for k, v in p.envelope["detail"].items() if k != "timestamp"}
            customer: str = detail["customerId"]
            cart: str = detail.get("cartId") or self.pick(self.carts[customer])
            way = self.rng.randrange(4)
            if way == 0:                # the same id
                echo = Planned(p.time, then, json.loads(json.dumps(p.envelope)), repeat=True)
            elif way == 1 and p.type == "OrderPlaced":
                echo = self.event("ecommerce.order", "OrderPlaced", then, detail)
            elif p.type == "CartAbandoned" and way < 3:
                # the same cart again: now, or told late
                content = {k: detail[k] for k in ("cartValue", "items")}
                if self.chance(0.4):
                    content = self.content()
                echo = self.abandonment(customer, cart, self.pick([p.time, then]), content)
            else:                       # left before (or just after) that fact, told late
                echo = self.abandonment(customer, cart, p.time + self.pick([-1, 0, 0, 1]),
                                        self.content())
            echo.order = then + 0.25
            echo.repeat = True          # keeps its place
            found.append(echo)
        return found

    def engagement(self, sent: list[dict[str, Any]]) -> list[Planned]:
        """Deliveries, opens, clicks and the like of messages that were sent."""
        found: list[Planned] = []
        for line in sent:
            at = parse_time(line["at"])
            assert at is not None
            if self.chance(0.06):       # the caps' week: another cart at and beside its end
                c = line["customerId"]
                found.append(self.abandonment(c, self.pick(self.carts[c]),
                                              at + 7 * DAY + self.pick([-1, 0, 0, 1]),
                                              self.content()))
            if self.chance(0.45):
                continue
            kinds = [k for k, p in (("Delivered", 0.6), ("Opened", 0.4), ("Clicked", 0.4),
                                    ("Bounced", 0.12), ("Complained", 0.04),
                                    ("Unsubscribed", 0.06)) if self.chance(p)]
            for kind in kinds:
                when = at + (0 if self.chance(0.03) else self.pick(
                    [1, 1, MINUTE, MINUTE, self.grid, HOUR, DAY, 3 * DAY]))
                again = 2 if self.chance(0.12) else 1
                for _ in range(again):
                    found.append(self.event("messaging", kind, when,
                                            {"messageId": line["messageId"]}))
                    when += self.pick([0, 1, HOUR, 3 * DAY, 5 * DAY])
                if kind in ("Clicked", "Delivered") and self.chance(0.35):
                    # "[t - 5 days, t]": orders at and beside both ends
                    then = when + self.pick([0, -1, 1, MINUTE, 5 * DAY, 5 * DAY,
                                             5 * DAY + 1, 5 * DAY - 1])
                    cart = None if self.chance(0.2) else line["cartId"]
                    found.append(self.order(line["customerId"], cart, then))
        return found

    def disorder(self, events: list[Planned]) -> list[Planned]:
        """Late, early and repeated arrivals."""
        span = self.grid * self.pick([1, 2, 5, 30])
        for p in events:
            if p.repeat:
                continue                # has its place already
            if self.chance(0.12):
                p.order = p.time + self.rng.uniform(0, span)
            elif self.chance(0.04):
                p.order = p.time - self.rng.uniform(0, span)
            elif self.chance(0.03):
                p.order = p.time + self.rng.uniform(0, 4 * DAY)
            else:
                p.order = p.time + self.rng.uniform(0, 0.5)     # ties in any order
        for p in list(events):
            if not p.repeat and self.chance(0.05):
                later = p.order + self.pick([0, 1, self.grid, 2 * self.grid, DAY, 6 * DAY,
                                             7 * DAY, 8 * DAY])
                envelope = json.loads(json.dumps(p.envelope))
                if self.chance(0.3) and "id" in envelope:
                    self.serial += 1    # the same thing told again under another id
                    envelope["id"] = f"e-{self.serial}"
                events.append(Planned(p.time, later, envelope, repeat=True))
        events.sort(key=lambda p: p.order)
        return events

    def malformed(self) -> bytes:
        good = {"id": "bad", "source": "ecommerce.cart", "detail-type": "CartAbandoned",
                "time": show_time(self.base),
                "detail": {"customerId": "C1", "cartId": "K1", "cartValue": 150,
                           "items": [{"id": "P1", "name": "n", "price": 1}]}}

        def without(*path: str) -> bytes:
            e = json.loads(json.dumps(good))
            del (e["detail"] if len(path) == 2 else e)[path[-1]]
            return json.dumps(e).encode()

        def having(**changes: Any) -> bytes:
            e = json.loads(json.dumps(good))
            e["detail"].update(changes)
            return json.dumps(e).encode()

        return self.pick([
            b"{", b"[]", b"null", b"7", b'{"a":1}', b'"text"', b"\xff\xfe{}", b"{'a':1}",
            json.dumps(good).encode()[:-1], json.dumps(good).encode() + b"}",
            without("source"), without("detail-type"), without("detail"), without("time"),
            without("detail", "customerId"), without("detail", "items"),
            without("detail", "cartValue"), having(cartValue="150"), having(cartValue=-1),
            having(cartValue=1e300), having(items={}), having(items=[{"id": "P1"}]),
            having(customerId=""), having(customerId="x" * 129), having(cartId="a\0b"),
            having(customerId=7), having(timestamp="yesterday"), having(timestamp=12),
            having(items=[{"id": "P1", "name": "n", "price": 1, "quantity": 0}]),
            having(currency="usd"), having(discountSensitivity=1.5), having(itemCount=-1),
            json.dumps(good).encode().replace(b"150", b"NaN"),
            json.dumps(good).encode().replace(b'"C1"', b'"\xc3\x28"'),
            json.dumps({"source": "ecommerce.customer", "detail-type": "CustomerUpdated",
                        "time": show_time(self.base),
                        "detail": {"customerId": "C1", "timezone": "Moon/Base"}}).encode(),
            json.dumps({"source": "ecommerce.customer", "detail-type": "CustomerUpdated",
                        "time": show_time(self.base),
                        "detail": {"customerId": "C1", "accountStatus": "asleep"}}).encode(),
            json.dumps({"source": "messaging", "detail-type": "FeedbackReceived",
                        "time": show_time(self.base),
                        "detail": {"customerId": "C1", "rating": 6}}).encode()])

    def text(self, p: Planned) -> bytes:
        if p.envelope is None:
            return p.raw
        text = json.dumps(p.envelope, ensure_ascii=self.chance(0.3))
        if self.chance(0.1):            # the same number in other clothes
            for plain, other in (('"cartValue": 150,', '"cartValue": 1.5e2,'),
                                 ('"price": 30}', '"price": 30.00}'),
                                 ('"cartValue": 80,', '"cartValue": 80.000,')):
                text = text.replace(plain, other)
        return text.encode()


def make_shop(seed: int, out: str) -> Shop:
    """Write the shop of this seed into the folder `out`."""
    m = Maker(random.Random(seed))
    m.night = m.pick(CHANGES) if m.chance(0.08) else None
    parsed = parse_time(m.night[0] if m.night else m.pick(BASES))
    assert parsed is not None
    m.base = parsed
    m.grid = m.pick([MINUTE, 10 * MINUTE, 30 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR])
    if m.night is not None:
        m.grid = m.pick([MINUTE, 5 * MINUTE, 10 * MINUTE])
    m.whole_money = m.chance(0.5)
    m.markets = ["US", "DE", "UK", "AU", "BR", "IN", "CA", "FR"] \
        + (["JP"] if m.whole_money else [])
    m.rng.shuffle(m.markets)
    m.markets = m.markets[:m.pick([2, 3, 5])]
    m.buses = ["ecommerce-platform", "other-bus"]
    m.customers = m.rng.sample(CUSTOMER_IDS, m.pick([1, 2, 2, 3, 4]))
    m.carts = {c: m.rng.sample(CART_IDS, m.pick([1, 2, 3])) for c in m.customers}
    m.products = [{"id": f"P{n}", "name": f"Thing {n}", "price": m.money([30, 40, 80])}
                  for n in range(m.pick([2, 3, 5]))]

    os.makedirs(os.path.join(out, "models"), exist_ok=True)
    names = ["purchase-intent-v4"] + (["lean-v1"] if m.chance(0.3) else [])
    models: dict[str, reference.Model] = {}
    for name in names:
        text = m.model(name)
        models[name] = reference.Model(text)
        with open(os.path.join(out, "models", name + ".json"), "w", encoding="utf-8") as f:
            json.dump(text, f, indent=1)

    shop = Shop([], [], os.path.join(out, "models"))
    programs = []
    for n, program_id in enumerate(m.rng.sample(PROGRAM_IDS, m.pick([1, 1, 2, 2, 3, 4]))):
        text = m.program(program_id, names)
        programs.append(reference.Program(text, models))
        path = os.path.join(out, f"program-{n + 1}.yaml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.dump(text, f, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
                      sort_keys=False, allow_unicode=True, width=1000)
        shop.programs.append(path)

    events = m.walk(m.pick([30, 40, 60, 60, 80, 100, 150]) if not m.chance(0.02) else 300)
    # What would be sent decides which messages can be opened.
    trial = reference.Replay(programs)
    for p in sorted(events, key=lambda p: p.time):
        trial.feed(reference.decode(m.text(p)))
    trial.finish()
    sent = [x.fields for x in trial.lines if x.fields.get("outcome") == "sent"]
    events += m.engagement(sent[:40])
    if m.chance(0.7):
        events += m.echoes(events)
    events = m.disorder(events)
    if m.chance(0.3):
        for _ in range(m.pick([1, 2, 4])):
            events.insert(m.rng.randrange(len(events) + 1), Planned(0, 0, None, m.malformed()))

    files = [events]
    if m.chance(0.3):
        if m.chance(0.4):               # the profiles and the stock in a file of their own
            early = ("CustomerUpdated", "InventoryChanged")
            files = [[p for p in events if p.type in early],
                     [p for p in events if p.type not in early]]
        else:
            cut = m.rng.randrange(len(events) + 1)
            files = [events[:cut], events[cut:]]
    for n, rows in enumerate(files):
        path = os.path.join(out, f"events-{n + 1}.ndjson")
        with open(path, "wb") as f:
            f.write(b"".join(m.text(p) + b"\n" for p in rows))
        shop.events.append(path)
    if m.chance(0.25):
        times = [p.time for p in events if p.envelope] or [m.base]
        last = max(times)
        # after the last event, or anywhere inside the period
        shop.until = show_time(last + m.pick([0, -1, 1, HOUR, DAY, 3 * DAY]) if m.chance(0.5)
                               else m.pick(times) + m.pick([0, -1, 1, HOUR]))
    return shop


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    shop = make_shop(args.seed, args.out)
    until = ["--until", shop.until] if shop.until else []
    print(" ".join(shop.programs + shop.events + ["--models", shop.models] + until))
    return 0


if __name__ == "__main__":
    sys.exit(main())
