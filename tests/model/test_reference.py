"""Tests of the reference model: each exact rule on a case whose answer was worked out by hand.

    /usr/bin/python3 -m unittest test_reference
"""
from __future__ import annotations

import copy
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Optional

import yaml

import customers
import hashes
import reference
import shops
from reference import DAY, HOUR, MINUTE, Model, Program, Replay, parse_time, show_time

# The customer's own document, section Program Configuration.
DOCUMENT = """
programId: "abandoned-cart-recovery"
programName: "Abandoned Cart Recovery"
enabled: true
marketplaces: ["US", "UK", "DE", "FR", "JP", "IN", "BR", "AU"]
eventSources:
  - sourceId: "cart-abandonment-events"
    type: "eventbridge"
    config:
      eventBusName: "ecommerce-platform"
      eventPattern:
        source: ["ecommerce.cart"]
        detail-type: ["CartAbandoned"]
        detail:
          cartValue: [50, 999999]
scoringModels:
  - modelId: "purchase-intent-v4"
    endpoint: "sagemaker://purchase-intent-v4"
    features: ["purchase_history", "cart_value", "email_engagement", "discount_sensitivity"]
filterChain:
  - {filterId: "trust", type: "trust", order: 1}
  - {filterId: "cart-value", type: "business-rule", order: 2, parameters: {minCartValue: 50}}
  - {filterId: "eligibility", type: "eligibility", order: 3}
  - {filterId: "frequency-cap", type: "business-rule", order: 4,
     parameters: {maxRecoveryEmailsPerWeek: 2}}
  - {filterId: "inventory", type: "business-rule", order: 5, parameters: {requireInStock: true}}
channels:
  - {channelId: "email", type: "email", enabled: true, priority: 1,
     config: {templateId: "cart-recovery-v3", delayMinutes: 60, subject: "s",
              includeDiscount: true}}
  - {channelId: "sms", type: "sms", enabled: true, priority: 2,
     config: {delayHours: 24, message: "m", onlyIfNotConverted: true}}
  - {channelId: "push", type: "push", enabled: true, priority: 3,
     config: {delayHours: 72, title: "t", body: "b", onlyIfNotConverted: true}}
discountStrategy: {enabled: true, defaultDiscount: 10, dynamicDiscounting: true, maxDiscount: 20}
deduplication: {enabled: true, ttlDays: 7, keyFormat: "{customerId}:{cartId}:{programId}"}
candidateTTLDays: 7
"""
DOCUMENT_PROGRAM = yaml.safe_load(DOCUMENT)
T0_TEXT = "2026-01-18T16:45:00.000Z"
_t0 = parse_time(T0_TEXT)
assert _t0 is not None
T0: int = _t0
LOGIT_078 = math.log(0.78 / 0.22)
ITEMS = [{"id": "P1", "name": "Wireless Headphones", "price": 79.99},
         {"id": "P2", "name": "Phone Case", "price": 29.99},
         {"id": "P3", "name": "Screen Protector", "price": 39.99}]


def model(bias: float = LOGIT_078, features: Any = (), version: str = "1") -> Model:
    return Model({"name": "purchase-intent-v4", "version": version, "bias": bias,
                  "features": list(features)})


def program(name: Optional[str] = None, use: Optional[Model] = None, **changes: Any) -> Program:
    text = copy.deepcopy(DOCUMENT_PROGRAM)
    if name is not None:
        text["programId"] = name
    for key, value in changes.items():
        if value is None:
            text.pop(key, None)
        else:
            text[key] = value
    return Program(text, {"purchase-intent-v4": use or model()})


def chain(**changes: Optional[dict[str, Any]]) -> list[dict[str, Any]]:
    """The document's filter chain with other parameters; None leaves a filter out."""
    found = []
    for f in copy.deepcopy(DOCUMENT_PROGRAM["filterChain"]):
        name = f["filterId"].replace("-", "_")
        if name in changes:
            if changes[name] is None:
                continue
            f["parameters"] = changes[name]
        found.append(f)
    return found


def touches(*minutes: int, **config: Any) -> list[dict[str, Any]]:
    """Channels email, sms, push with these delays."""
    return [{"channelId": c, "type": c, "enabled": True, "priority": n,
             "config": {"delayMinutes": m, **config}}
            for n, (c, m) in enumerate(zip(("email", "sms", "push"), minutes))]


class Shop:
    """A replay that is fed step by step."""

    def __init__(self, *programs: Program) -> None:
        self.replay = Replay(list(programs) or [program()])
        self.count = 0

    def event(self, source: str, kind: str, at: int, detail: dict[str, Any],
              id: Optional[str] = None, bus: Optional[str] = None) -> "Shop":
        self.count += 1
        e = {"id": id or f"id-{self.count}", "source": source, "detail-type": kind,
             "time": show_time(at), "detail": detail}
        if bus is not None:
            e["eventBusName"] = bus
        self.replay.feed_line(json.dumps(e).encode(), "events.ndjson", self.count)
        return self

    def customer(self, at: int = T0 - DAY, who: str = "C456", **more: Any) -> "Shop":
        return self.event("ecommerce.customer", "CustomerUpdated", at,
                          {"customerId": who, **more})

    def healthy(self, at: int = T0 - DAY, who: str = "C456", **more: Any) -> "Shop":
        d = {"email": "c@shop.example", "phone": "+1555", "pushToken": "tok",
             "accountStatus": "active", "paymentMethodOnFile": True, **more}
        return self.customer(at, who, **d)

    def leave(self, at: int, cart: str = "CART-789", value: float = 150, who: str = "C456",
              items: Any = None, id: Optional[str] = None, bus: Optional[str] = None,
              **more: Any) -> "Shop":
        return self.event("ecommerce.cart", "CartAbandoned", at,
                          {"customerId": who, "cartId": cart, "cartValue": value,
                           "items": ITEMS if items is None else items, **more}, id, bus)

    def order(self, at: int, cart: Optional[str] = "CART-789", id: str = "O-1",
              value: float = 135, who: str = "C456", **more: Any) -> "Shop":
        d = {"customerId": who, "orderId": id, "orderValue": value, **more}
        if cart is not None:
            d["cartId"] = cart
        return self.event("ecommerce.order", "OrderPlaced", at, d)

    def cart(self, kind: str, at: int, cart: str = "CART-789", who: str = "C456",
             **more: Any) -> "Shop":
        return self.event("ecommerce.cart", kind, at,
                          {"customerId": who, "cartId": cart, **more})

    def stock(self, at: int, product: str, available: Any) -> "Shop":
        return self.event("ecommerce.inventory", "InventoryChanged", at,
                          {"productId": product, "available": available})

    def message(self, kind: str, at: int, number: int, program_id: str =
                "abandoned-cart-recovery", cart: str = "CART-789", t0: int = T0) -> "Shop":
        found = reference.message_id(program_id, "C456", cart, t0, number)
        return self.event("messaging", kind, at, {"messageId": found})

    def page(self, at: int) -> "Shop":
        """Nothing but the clock moving on."""
        return self.event("shop.other", "PageViewed", at, {})

    def end(self, until: Optional[int] = None) -> list[dict[str, Any]]:
        self.replay.finish(until)
        return [json.loads(x) for x in self.replay.output()]

    def brief(self) -> list[str]:
        """Each line as "+offset kind ..." with the offset from T0 in a readable form."""
        return [brief(d) for d in self.end()]

    def so_far(self) -> list[str]:
        return [brief(json.loads(x)) for x in self.replay.output()]


def brief(d: dict[str, Any]) -> str:
    at = parse_time(d["at"])
    assert at is not None
    words = [ago(at - T0), d["kind"]]
    if d["kind"] == "candidate":
        words += [" ".join(f"{t['touch']}@{ago((parse_time(t['due']) or 0) - T0)}"
                           for t in d["touches"])]
        words += [k for k in ("updated", "holdout") if d.get(k)]
    for key in ("touch", "outcome", "reason", "attributedTo"):
        if key in d and d["kind"] != "invalid":
            words.append(str(d[key]))
    if "until" in d:
        words.append(ago((parse_time(d["until"]) or 0) - T0))
    return " ".join(w for w in words if w)


def ago(ms: int) -> str:
    """5400000 as +1h30m."""
    sign, ms = ("-", -ms) if ms < 0 else ("+", ms)
    out = ""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1000), ("ms", 1)):
        if ms >= size:
            out += f"{ms // size}{unit}"
            ms %= size
    return sign + (out or "0")


JOURNEY = ["+0 candidate 1@+1h 2@+1d 3@+3d", "+1h touch 1 sent", "+1d touch 2 sent",
           "+3d touch 3 sent", "+7d expired"]


class Forms(unittest.TestCase):
    """What is printed, to the byte."""

    def test_the_documents_example(self) -> None:
        shop = Shop()
        shop.healthy(purchaseHistory=12, avgOrderValue=85, cartAbandonmentRate=0.35,
                     emailEngagement=0.75, discountSensitivity=0.8)
        shop.leave(T0, itemCount=3, category="Electronics",
                   abandonmentReason="session_timeout", timestamp=T0_TEXT)
        shop.order(T0 + 2 * HOUR, currency="USD")
        shop.replay.finish()
        mail = reference.message_id("abandoned-cart-recovery", "C456", "CART-789", T0, 1)
        who = '"program":"abandoned-cart-recovery","customerId":"C456","cartId":"CART-789"'
        self.assertEqual(shop.replay.output(), [
            '{"at":"2026-01-18T16:45:00.000Z","kind":"candidate",' + who + ',"score":0.78,'
            '"confidence":"HIGH","discountPercent":10,"touches":['
            '{"touch":1,"channel":"email","due":"2026-01-18T17:45:00.000Z"},'
            '{"touch":2,"channel":"sms","due":"2026-01-19T16:45:00.000Z"},'
            '{"touch":3,"channel":"push","due":"2026-01-21T16:45:00.000Z"}]}',
            '{"at":"2026-01-18T17:45:00.000Z","kind":"touch",' + who + ',"touch":1,'
            '"channel":"email","outcome":"sent","messageId":"' + mail + '",'
            '"discountPercent":10,"discountCode":"CART10"}',
            '{"at":"2026-01-18T18:45:00.000Z","kind":"converted",' + who + ',"orderId":"O-1",'
            '"revenue":135,"currency":"USD","attributedTo":1}'])

    def test_strings_and_numbers(self) -> None:
        shop = Shop()
        shop.healthy(who='Zo\u00eb"\\\t\u0001/').leave(T0, who='Zo\u00eb"\\\t\u0001/')
        shop.order(T0, who='Zo\u00eb"\\\t\u0001/', value=134.50, cart=None)
        shop.replay.finish()
        line = shop.replay.output()[1]
        self.assertIn('"customerId":"Zo\u00eb\\"\\\\\\t\\u0001/"', line)
        self.assertIn('"revenue":134.5,', line)

    def test_hashes(self) -> None:
        # Kafka's Utils.murmur2 ("foobar" is in Kafka's own test) and SipHash's published vectors.
        self.assertEqual(reference.murmur2(b"foobar"), -790332482 & 0x7FFFFFFF)
        self.assertEqual(reference.murmur2(b"21"), -973932308 & 0x7FFFFFFF)
        key = bytes(range(16))
        self.assertEqual(reference.siphash128(b"", key).hex(), "a3817f04ba25a8e66df67214c7550293")
        self.assertEqual(reference.siphash128(bytes(range(15)), key).hex(),
                         "5493e99933b0a8117e08ec0f97cfc3d9")
        body = (b"\x01\0\0\0p\x01\0\0\0c\x02\0\0\0ca" + (1000).to_bytes(8, "little")
                + b"\x03\0\0\0")
        self.assertEqual(reference.message_id("p", "c", "ca", 1000, 3)[4:],
                         reference.siphash128(body, bytes(16)).hex())

    def test_times(self) -> None:
        self.assertEqual(parse_time("2026-01-18T16:45:00Z"), T0)
        self.assertEqual(parse_time("2026-01-18T18:15:00.0009+01:30"), T0)
        self.assertEqual(parse_time("2026-01-18T16:45:00.1239Z"), T0 + 123)
        for bad in ("2026-01-18", "2026-01-18T16:45:00", "2026-02-30T00:00:00Z", "", 7,
                    "1969-12-31T23:59:59Z", "2026-01-18T24:00:00Z"):
            self.assertIsNone(parse_time(bad), bad)

    def test_lines_sort_by_time_then_customer(self) -> None:
        shop = Shop().healthy(who="b").healthy(who="B").leave(T0, who="b").leave(T0, who="B")
        shop.replay.feed_line(b"{", "x.ndjson", 9)
        lines = shop.end()
        self.assertEqual([d.get("customerId") for d in lines[:3]], [None, "B", "b"])
        self.assertEqual(lines[0], {"at": T0_TEXT, "kind": "invalid", "file": "x.ndjson",
                                    "line": 9, "reason": lines[0]["reason"]})

    def test_invalid_events(self) -> None:
        good = {"customerId": "C1", "cartId": "K", "cartValue": 1, "items": []}
        cases: list[dict[str, Any]] = [
            {"customerId": ""}, {"customerId": "x" * 129}, {"cartId": "a\0"}, {"cartValue": -1},
            {"cartValue": "1"}, {"cartValue": True}, {"cartValue": 1e13}, {"items": {}},
            {"items": [{}]}, {"items": None},
            {"items": [{"id": "a", "name": "n", "price": 1, "quantity": 0}]},
            {"timestamp": "now"}, {"currency": "usd"}, {"discountSensitivity": 2}]
        for wrong in cases:
            shop = Shop().event("ecommerce.cart", "CartAbandoned", T0, {**good, **wrong})
            self.assertEqual([d["kind"] for d in shop.end()], ["invalid"], wrong)
        shop = Shop().event("ecommerce.cart", "CartAbandoned", T0, {**good, "category": None})
        self.assertEqual(shop.end(), [])        # below the pattern's 50, and valid
        for raw in (b"", b"[]", b"nul", b"\xff", b'{"source":"s","detail-type":"t"}',
                    b'{"source":"s","detail-type":"t","detail":{"a":NaN}}'):
            with self.assertRaises(reference.Invalid):
                reference.decode(raw)

    def test_command_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            shop = shops.make_shop(7, folder)
            until = reference.parse_time(shop.until) if shop.until else None
            want = reference.replay_files(shop.programs + shop.events, shop.models, until)
            command = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(
                reference.__file__)), "reference.py"), *shop.programs, *shop.events]
            command += ["--models", shop.models]
            command += ["--until", shop.until] if shop.until else []
            have = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(have.decode().splitlines(), want)


class Clock(unittest.TestCase):
    def test_a_whole_journey(self) -> None:
        self.assertEqual(Shop().healthy().leave(T0).brief(), JOURNEY)

    def test_events_of_an_instant_come_before_its_timers(self) -> None:
        shop = Shop().healthy().leave(T0).order(T0 + HOUR)
        self.assertEqual(shop.brief(), [JOURNEY[0], "+1h converted organic"])
        shop = Shop().healthy().leave(T0).order(T0 + HOUR + 1)
        self.assertEqual(shop.brief()[1:], ["+1h touch 1 sent", "+1h1ms converted 1"])

    def test_a_late_abandonment_has_overdue_touches(self) -> None:
        # touches 1 and 2 are due at once: 1 is late, 2 goes
        shop = Shop().healthy().page(T0 + 2 * DAY).leave(T0)
        self.assertEqual(shop.brief(), [
            "+2d candidate 1@+1h 2@+1d 3@+3d", "+2d touch 1 skipped late", "+2d touch 2 sent",
            "+3d touch 3 sent", "+7d expired"])
        # ... and not before all events of this instant
        shop = Shop().healthy().page(T0 + 2 * DAY).leave(T0).order(T0 + DAY)
        self.assertEqual(shop.brief()[1:], ["+2d converted organic"])

    def test_until(self) -> None:
        shop = Shop().healthy().leave(T0)
        self.assertEqual([brief(d) for d in shop.end(T0 + DAY)], JOURNEY[:3])

    def test_timers_of_an_instant_by_due_program_cart(self) -> None:
        policy: dict[str, Any] = {"onNewCart": "parallel",
                                  "filterChain": chain(frequency_cap=None)}
        one, two = program("a", **policy), program("B", **policy)
        shop = Shop(one, two).healthy().leave(T0, "k2").leave(T0, "k1")
        lines = [d for d in shop.end() if d["kind"] == "expired"]
        self.assertEqual([(d["program"], d["cartId"]) for d in lines],
                         [("B", "k1"), ("B", "k2"), ("a", "k1"), ("a", "k2")])

    def test_expiry_comes_before_a_touch_of_its_instant(self) -> None:
        shop = Shop(program(candidateTTLDays=1)).healthy().leave(T0)
        self.assertEqual(shop.brief()[1:], ["+1h touch 1 sent", "+1d expired"])

    def test_repeated_ids(self) -> None:
        shop = Shop().healthy().leave(T0, id="x")
        shop.cart("CartCleared", T0 + 1)                # so that only the id can stop it
        shop.leave(T0 + 2, id="x", value=99).leave(T0 + 7 * DAY - 1, id="x", value=98)
        shop.leave(T0 + 7 * DAY, id="x", value=97)
        self.assertEqual(shop.brief()[:3], [
            JOURNEY[0], "+1ms cancelled cart-cleared",
            "+7d candidate 1@+7d1h 2@+8d 3@+10d"])
        # another customer's same id is another event
        shop = Shop().healthy().healthy(who="C2").leave(T0, id="x").leave(T0, id="x", who="C2")
        self.assertEqual(len([d for d in shop.end() if d["kind"] == "candidate"]), 2)


class Dedup(unittest.TestCase):
    def test_same_content_or_not_later(self) -> None:
        shop = Shop().healthy().leave(T0)
        shop.leave(T0 + 1)                              # same content
        shop.leave(T0, value=99)                        # other content, not later
        shop.leave(T0 - 1, value=99)
        # the clock is at +1 ms when the two late ones arrive
        self.assertEqual(shop.so_far()[1:], ["+1ms duplicate"] * 3)

    def test_numbers_compare_as_numbers(self) -> None:
        one = [{"id": "P1", "name": "a", "price": 30}]
        two = [{"id": "P1", "name": "b", "price": 30.0, "quantity": 1, "category": "Toys"}]
        shop = Shop().healthy().leave(T0, items=one, value=150)
        shop.leave(T0 + 1, items=two, value=150.0)
        self.assertEqual(shop.so_far()[1:], ["+1ms duplicate"])
        two[0]["quantity"] = 2
        shop.leave(T0 + 2, items=two)
        self.assertEqual(shop.so_far()[2:], ["+2ms candidate 1@+1h2ms 2@+1d2ms 3@+3d2ms updated"])

    def test_window_counts_by_the_clock_from_the_first_acceptance(self) -> None:
        # 1 day of dedup, 7 of candidate: outside the window the same content restarts
        p = program(deduplication={"enabled": True, "ttlDays": 1,
                                   "keyFormat": "{customerId}:{cartId}:{programId}"})
        shop = Shop(p).healthy().page(T0 + HOUR).leave(T0)
        shop.leave(T0 + 25 * HOUR - 1)
        self.assertEqual(shop.so_far()[-1], "+1d59m59s999ms duplicate")
        shop.leave(T0 + 25 * HOUR)
        self.assertEqual(shop.so_far()[-1], "+1d1h candidate 3@+4d1h updated")
        # ... and with no later T0 it is a duplicate of the candidate's
        shop.page(T0 + 3 * DAY).leave(T0 + 25 * HOUR, value=77)
        self.assertEqual(shop.so_far()[-1], "+3d duplicate")

    def test_a_rejection_leaves_no_entry(self) -> None:
        shop = Shop().leave(T0).healthy(T0 + 1).leave(T0, id="again")
        self.assertEqual(shop.brief()[:2], [
            "+0 rejected unknown-customer", "+1ms candidate 1@+1h 2@+1d 3@+3d"])

    def test_cart_updated_forgets_the_entry(self) -> None:
        shop = Shop().healthy().leave(T0)
        shop.cart("CartUpdated", T0)                    # not after T0: nothing
        shop.cart("CartUpdated", T0 + 1).leave(T0 + 2)
        self.assertEqual(shop.so_far()[1:], [
            "+1ms cancelled active-again", "+2ms candidate 1@+1h2ms 2@+1d2ms 3@+3d2ms"])
        # candidate or not
        shop = Shop().healthy().leave(T0).order(T0 + 1).cart("CartUpdated", T0 + 2).leave(T0 + 3)
        self.assertEqual(shop.so_far()[2:], ["+3ms candidate 1@+1h3ms 2@+1d3ms 3@+3d3ms"])
        shop = Shop().healthy().leave(T0).order(T0 + 1).leave(T0 + 3)
        self.assertEqual(shop.so_far()[2:], ["+3ms duplicate"])

    def test_disabled(self) -> None:
        p = program(deduplication={"enabled": False})
        shop = Shop(p).healthy().leave(T0).leave(T0 + 1).leave(T0)
        self.assertEqual(shop.so_far()[1:], [
            "+1ms candidate 1@+1h1ms 2@+1d1ms 3@+3d1ms updated", "+1ms duplicate"])


class AbandonedAgain(unittest.TestCase):
    def test_restart(self) -> None:
        shop = Shop().healthy().leave(T0).leave(T0 + 2 * HOUR, value=99)
        self.assertEqual(shop.brief(), [
            JOURNEY[0], "+1h touch 1 sent", "+2h candidate 2@+1d2h 3@+3d2h updated",
            "+1d2h touch 2 sent", "+3d2h touch 3 sent", "+7d2h expired"])

    def test_update(self) -> None:
        shop = Shop(program(onReabandon="update")).healthy().leave(T0)
        shop.leave(T0 + 2 * HOUR, value=99)
        shop.leave(T0 + 2 * HOUR, value=98)             # the entry knows the later T0
        self.assertEqual(shop.brief(), [
            JOURNEY[0], "+1h touch 1 sent", "+2h candidate 2@+1d 3@+3d updated",
            "+2h duplicate", "+1d touch 2 sent", "+3d touch 3 sent", "+7d expired"])

    def test_ignore(self) -> None:
        shop = Shop(program(onReabandon="ignore")).healthy().leave(T0).leave(T0 + 1, value=99)
        self.assertEqual(shop.so_far()[1:], ["+1ms duplicate"])

    def test_a_rejection_ends_the_candidate(self) -> None:
        p = program(eventSources=[{"config": {"eventPattern": {"source": ["ecommerce.cart"]}}}])
        shop = Shop(p).healthy().leave(T0).leave(T0 + 1, value=49)
        self.assertEqual(shop.brief()[1:], ["+1ms rejected below-minimum"])
        # the entry stayed as it was: the first content is still a duplicate
        shop.leave(T0 + 2)
        self.assertEqual(shop.so_far()[2:], ["+2ms duplicate"])

    def test_an_announced_discount_is_never_lowered(self) -> None:
        # p = 0.5: s = 1 gives x = (0.5 - 0.2) / 0.6 = 0.5, 15 %; s = 0 gives 10 %
        p = program(use=model(bias=0.0))
        shop = Shop(p).healthy().leave(T0, discountSensitivity=1)
        shop.leave(T0 + 1, value=99, discountSensitivity=0)     # nothing announced yet
        shop.leave(T0 + 2, value=98, discountSensitivity=1)
        shop.leave(T0 + 2 * HOUR, value=97, discountSensitivity=0)
        lines = [d["discountPercent"] for d in shop.end() if d["kind"] == "candidate"]
        self.assertEqual(lines, [15, 10, 15, 15])


class OtherCarts(unittest.TestCase):
    def carts(self, lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(d["kind"], d["cartId"]) for d in lines
                if d["kind"] in ("candidate", "superseded", "rejected")]

    def test_the_later_t0_goes_on(self) -> None:
        shop = Shop().healthy().leave(T0, "A").leave(T0 + 1, "B")
        self.assertEqual(self.carts(shop.end()), [
            ("candidate", "A"), ("superseded", "A"), ("candidate", "B")])

    def test_on_a_tie_the_later_arrival(self) -> None:
        shop = Shop().healthy().leave(T0, "A").leave(T0, "B")
        self.assertEqual(self.carts(shop.end()), [
            ("candidate", "A"), ("superseded", "A"), ("candidate", "B")])

    def test_a_late_older_one_prints_only_superseded(self) -> None:
        shop = Shop().healthy().leave(T0 + 1, "B").leave(T0, "A").leave(T0, "A")
        self.assertEqual(self.carts(shop.end()), [
            ("candidate", "B"), ("superseded", "A"), ("superseded", "A")])

    def test_after_the_filters(self) -> None:
        p = program(eventSources=[{"config": {"eventPattern": {"source": ["ecommerce.cart"]}}}])
        shop = Shop(p).healthy().leave(T0, "A").leave(T0 + 1, "B", value=49)
        self.assertEqual(self.carts(shop.end()), [("candidate", "A"), ("rejected", "B")])

    def test_parallel(self) -> None:
        shop = Shop(program(onNewCart="parallel")).healthy().leave(T0, "A").leave(T0, "B")
        self.assertEqual(self.carts(shop.end()), [("candidate", "A"), ("candidate", "B")])

    def test_programs_share_carts(self) -> None:
        shop = Shop(program("b"), program("a")).healthy().leave(T0)
        lines = [d for d in shop.end() if d["at"] == T0_TEXT]
        self.assertEqual([d["program"] for d in lines], ["a", "b"])


class Filters(unittest.TestCase):
    def verdict(self, shop: Shop, at: int = T0, **more: Any) -> str:
        shop.leave(at, id="last", **more)
        d = [json.loads(x) for x in shop.replay.output() if '"duplicate"' not in x][-1]
        return str(d.get("reason", d["kind"]))

    def test_trust(self) -> None:
        self.assertEqual(self.verdict(Shop()), "unknown-customer")
        self.assertEqual(self.verdict(Shop().customer()), "no-payment-method")
        self.assertEqual(self.verdict(Shop().healthy(accountStatus="closed")),
                         "account-not-active")
        self.assertEqual(self.verdict(Shop().healthy(accountStatus=None)), "candidate")
        self.assertEqual(self.verdict(Shop().healthy().customer(paymentMethodOnFile=None)),
                         "no-payment-method")
        p = program(filterChain=chain(trust={"allowUnknown": True}))
        self.assertEqual(self.verdict(Shop(p)), "no-address")
        p = program(filterChain=chain(trust={"requirePaymentMethod": False}))
        self.assertEqual(self.verdict(Shop(p).healthy(paymentMethodOnFile=False)), "candidate")

    def test_the_latest_time_stands(self) -> None:
        shop = Shop().healthy(T0 - 5).customer(T0 - 9, accountStatus="closed")
        self.assertEqual(self.verdict(shop), "candidate")
        shop = Shop().healthy(T0 - 5).customer(T0 - 5, accountStatus="closed")
        self.assertEqual(self.verdict(shop), "account-not-active")

    def test_cart_value(self) -> None:
        source = [{"config": {"eventPattern": {"source": ["ecommerce.cart"]}}}]
        p = program(eventSources=source)
        self.assertEqual(self.verdict(Shop(p).healthy(), value=49.99), "below-minimum")
        self.assertEqual(self.verdict(Shop(p).healthy(), value=50), "candidate")
        p = program(eventSources=source,
                    filterChain=chain(cart_value={"minCartValue": {"DE": 60}}))
        self.assertEqual(self.verdict(Shop(p).healthy(), value=55), "candidate")
        self.assertEqual(self.verdict(Shop(p).healthy(), value=55, marketplace="DE"),
                         "below-minimum")
        self.assertEqual(self.verdict(Shop(p).healthy(marketplace="DE"), value=55),
                         "below-minimum")

    def test_purchased(self) -> None:
        self.assertEqual(self.verdict(Shop().healthy().order(T0)), "purchased")
        self.assertEqual(self.verdict(Shop().healthy().order(T0 - 1)), "candidate")
        self.assertEqual(self.verdict(Shop().healthy().order(T0, cart=None)), "purchased")
        self.assertEqual(self.verdict(Shop().healthy().order(T0, cart="other")), "candidate")

    def test_cart_not_active(self) -> None:
        for kind, at, want in (("CartCleared", T0, "cart-not-active"),
                               ("CartCleared", T0 - 1, "candidate"),
                               ("CartUpdated", T0, "candidate"),
                               ("CartUpdated", T0 + 1, "cart-not-active")):
            self.assertEqual(self.verdict(Shop().healthy().cart(kind, at)), want, (kind, at))

    def test_memory(self) -> None:
        p = program(candidateTTLDays=1, deduplication={"ttlDays": 3})
        shop = Shop(p).healthy().order(T0 + 1).page(T0 + 3 * DAY)
        self.assertEqual(self.verdict(shop), "purchased")
        shop = Shop(p).healthy().order(T0 + 1).page(T0 + 3 * DAY + 1)
        self.assertEqual(self.verdict(shop), "cart-expired")
        # Never forgotten while the cart could still be reminded, however short the dedup window.
        p = program(candidateTTLDays=30, deduplication={"ttlDays": 1})
        shop = Shop(p).healthy().order(T0 + 1).page(T0 + 29 * DAY)
        self.assertEqual(self.verdict(shop), "purchased")

    def test_cart_expired(self) -> None:
        self.assertEqual(self.verdict(Shop().healthy().page(T0 + 7 * DAY)), "cart-expired")
        self.assertEqual(self.verdict(Shop().healthy().page(T0 + 7 * DAY - 1)), "candidate")

    def test_marketplace(self) -> None:
        self.assertEqual(self.verdict(Shop().healthy(marketplace="CA")), "marketplace")
        self.assertEqual(self.verdict(Shop().healthy(marketplace="CA"), marketplace="US"),
                         "candidate")
        self.assertEqual(self.verdict(Shop().healthy(), marketplace="CA"), "marketplace")

    def test_address_and_opt_out(self) -> None:
        shop = Shop().customer(paymentMethodOnFile=True)
        self.assertEqual(self.verdict(shop), "no-address")
        shop = Shop().customer(paymentMethodOnFile=True, optedOut=True)
        self.assertEqual(self.verdict(shop), "no-address")
        shop = Shop().customer(paymentMethodOnFile=True, phone="1", optedOut={"sms": True})
        self.assertEqual(self.verdict(shop), "opted-out")
        shop = Shop().customer(paymentMethodOnFile=True, phone="1", optedOut={"email": True})
        self.assertEqual(self.verdict(shop), "candidate")
        channels = touches(60, 120)
        channels[1]["enabled"] = False
        shop = Shop(program(channels=channels)).customer(paymentMethodOnFile=True, phone="1")
        self.assertEqual(self.verdict(shop), "no-address")

    def test_frequency_cap(self) -> None:
        p = program(onNewCart="parallel")
        shop = Shop(p).healthy().leave(T0, "A").leave(T0, "B")
        self.assertEqual(self.verdict(shop, cart="C"), "frequency-cap")     # two pending
        # the one that would be superseded does not count
        shop = Shop(program(filterChain=chain(
            frequency_cap={"maxRecoveryEmailsPerWeek": 1}))).healthy().leave(T0, "A")
        self.assertEqual(self.verdict(shop, cart="B"), "candidate")
        # nor the one abandoned again; but what it sent does
        shop = Shop(program(filterChain=chain(
            frequency_cap={"maxRecoveryEmailsPerWeek": 1}))).healthy().leave(T0)
        self.assertEqual(self.verdict(shop, T0 + 1, value=99), "candidate")
        shop.leave(T0 + 2 * HOUR, value=98)
        self.assertEqual(shop.so_far()[-1], "+2h rejected frequency-cap")
        p = program(filterChain=chain(frequency_cap={"maxRecoveryPushPerWeek": 0}))
        self.assertEqual(self.verdict(Shop(p).healthy()), "frequency-cap")

    def test_a_week_is_seven_days(self) -> None:
        p = program(channels=touches(0), minGapMinutes=0,
                    filterChain=chain(frequency_cap={"maxRecoveryEmailsPerWeek": 1}))
        shop = Shop(p).healthy().leave(T0, "A").order(T0 + 1, "A")
        self.assertEqual(self.verdict(shop, T0 + 7 * DAY - 1, cart="B"), "frequency-cap")
        shop = Shop(p).healthy().leave(T0, "A").order(T0 + 1, "A")
        self.assertEqual(self.verdict(shop, T0 + 7 * DAY, cart="B"), "candidate")

    def test_stock(self) -> None:
        two = [{"id": "P1", "name": "n", "price": 1, "quantity": 2}]
        for available, want in ((1, "out-of-stock"), (2, "candidate"), (True, "candidate"),
                                (False, "out-of-stock")):
            shop = Shop().healthy().stock(T0 - 9, "P1", available)
            self.assertEqual(self.verdict(shop, items=two), want, available)
        shop = Shop().healthy().stock(T0 - 5, "P1", 0).stock(T0 - 9, "P1", 5)
        self.assertEqual(self.verdict(shop, items=two), "out-of-stock")
        p = program(filterChain=chain(inventory={"requireInStock": False}))
        shop = Shop(p).healthy().stock(T0 - 5, "P1", 0)
        self.assertEqual(self.verdict(shop), "candidate")

    def test_order_of_the_chain(self) -> None:
        f = chain()
        f[0]["order"] = 9               # trust last
        shop = Shop(program(filterChain=f)).customer(accountStatus="closed")
        self.assertEqual(self.verdict(shop), "no-address")


class Patterns(unittest.TestCase):
    def seen(self, detail: dict[str, Any], pattern: dict[str, Any]) -> bool:
        return reference.pattern_matches({"detail": pattern}, {"detail": detail})

    def test_operators(self) -> None:
        self.assertTrue(self.seen({"v": 50}, {"v": [50, 999999]}))
        self.assertTrue(self.seen({"v": 999999.0}, {"v": [50, 999999]}))
        self.assertFalse(self.seen({"v": 49.99}, {"v": [50, 999999]}))
        self.assertTrue(self.seen({"v": 5}, {"v": [7, 5]}))         # not ascending: a set
        self.assertFalse(self.seen({"v": 6}, {"v": [7, 5]}))
        self.assertFalse(self.seen({"v": True}, {"v": [1]}))
        self.assertTrue(self.seen({"v": 5}, {"v": [{"numeric": [">", 4, "<=", 5]}]}))
        self.assertFalse(self.seen({"v": "5"}, {"v": [{"numeric": ["=", 5]}]}))
        self.assertTrue(self.seen({"v": "abc"}, {"v": [{"prefix": "ab"}]}))
        self.assertTrue(self.seen({}, {"v": [{"exists": False}]}))
        self.assertFalse(self.seen({}, {"v": [{"anything-but": "a"}]}))
        self.assertTrue(self.seen({"v": "b"}, {"v": [{"anything-but": ["a", "c"]}]}))
        self.assertFalse(self.seen({"v": "ab"}, {"v": [{"anything-but": {"prefix": "a"}}]}))

    def test_or(self) -> None:
        # as EventBridge compiles it: a field named again has only its last rules
        p = {"a": [{"numeric": [">", 5]}], "$or": [{"a": [1]}, {"b": [{"exists": True}]}]}
        for event, wanted in (({"a": 1}, True), ({"a": 6}, False), ({"a": 6, "b": 0}, True),
                              ({"a": 4, "b": 0}, False)):
            self.assertEqual(self.seen(event, p), wanted, event)

    def test_buses(self) -> None:
        def candidates(bus: Optional[str]) -> int:
            lines = Shop().healthy().leave(T0, bus=bus).end()
            return sum(1 for d in lines if d["kind"] == "candidate")

        self.assertEqual([candidates(b) for b in (None, "ecommerce-platform", "other")],
                         [1, 1, 0])

    def test_a_disabled_program_matches_nothing(self) -> None:
        self.assertEqual(Shop(program(enabled=False)).healthy().leave(T0).end(), [])


class Touches(unittest.TestCase):
    def test_numbers_follow_delays_then_priority(self) -> None:
        channels = touches(60, 30, 60)
        channels[2]["priority"] = -1
        p = program(channels=channels)
        self.assertEqual([c.type for c in p.channels], ["sms", "push", "email"])
        self.assertEqual(p.min_gap, 0)          # the smallest distance between two touches
        self.assertEqual(program(channels=touches(0, 30)).min_gap, 30 * MINUTE)
        self.assertEqual(program().min_gap, HOUR)

    def test_equal_delays_the_earlier_is_late(self) -> None:
        shop = Shop(program(channels=touches(60, 60))).healthy().leave(T0)
        self.assertEqual(shop.brief()[1:3], ["+1h touch 1 skipped late", "+1h touch 2 sent"])

    def test_opted_out_before_no_address(self) -> None:
        shop = Shop().healthy().leave(T0).customer(T0 + 1, email=None, phone=None,
                                                   optedOut={"email": True})
        self.assertEqual(shop.brief()[1:4], [
            "+1h touch 1 skipped opted-out", "+1d touch 2 skipped no-address",
            "+3d touch 3 sent"])

    def test_cap_and_stock_at_the_touch(self) -> None:
        shop = Shop().healthy().leave(T0).stock(T0 + 1, "P1", 0).stock(T0 + 2 * HOUR, "P1", 1)
        self.assertEqual(shop.brief()[1:3], ["+1h touch 1 skipped out-of-stock",
                                             "+1d touch 2 sent"])
        p = program(channels=touches(60, 120), minGapMinutes=0,
                    filterChain=chain(frequency_cap={"maxRecoveryMessagesPerWeek": 3}))
        shop = Shop(p, program("z", channels=touches(30, 50), minGapMinutes=0)).healthy()
        shop.leave(T0)
        # z sends two by 50 min, 1 at 60 min is the third, 2 at 120 min would be the fourth
        self.assertEqual([brief(d) for d in shop.end() if d["kind"] == "touch"], [
            "+30m touch 1 sent", "+50m touch 2 sent", "+1h touch 1 sent",
            "+2h touch 2 skipped frequency-cap"])

    def test_min_gap(self) -> None:
        p, q = program("p", channels=touches(60)), program("q", channels=touches(90))
        shop = Shop(p, q).healthy().leave(T0)
        self.assertEqual([brief(d) for d in shop.end() if d["kind"] == "touch"], [
            "+1h touch 1 sent", "+1h30m touch 1 deferred min-gap +2h", "+2h touch 1 sent"])

    def test_an_exact_gap_is_enough(self) -> None:
        p, q = program("p", channels=touches(60)), program("q", channels=touches(120))
        shop = Shop(p, q).healthy().leave(T0)
        self.assertEqual([brief(d) for d in shop.end() if d["kind"] == "touch"], [
            "+1h touch 1 sent", "+2h touch 1 sent"])

    def test_a_deferred_touch_is_late_when_the_next_is_due(self) -> None:
        p = program("p", channels=touches(60))
        q = program("q", channels=touches(90, 120), minGapMinutes=60)
        shop = Shop(p, q).healthy().leave(T0)
        self.assertEqual([brief(d) for d in shop.end() if d["kind"] == "touch"], [
            "+1h touch 1 sent", "+1h30m touch 1 deferred min-gap +2h",
            "+2h touch 1 skipped late", "+2h touch 2 sent"])

    def test_expiry_ends_a_deferred_touch(self) -> None:
        p = program(channels=touches(60), candidateTTLDays=1, minGapMinutes=3000)
        q = program("q", channels=touches(30))
        shop = Shop(p, q).healthy().leave(T0)
        lines = [brief(d) for d in shop.end() if d["program"] != "q"]
        self.assertEqual(lines[1:], ["+1h touch 1 deferred min-gap +2d2h30m", "+1d expired"])

    def test_quiet_hours(self) -> None:
        # T0 is 16:45 UTC: the mail is due at 17:45 UTC, 18:45 in Berlin
        def mail(start: str, end: str, **profile: Any) -> list[str]:
            p = program(channels=touches(60), quietHours={"start": start, "end": end})
            shop = Shop(p).healthy(**profile).leave(T0)
            return [brief(d) for d in shop.end() if d["kind"] == "touch"]

        self.assertEqual(mail("17:45", "08:00"),
                         ["+1h touch 1 deferred quiet-hours +15h15m", "+15h15m touch 1 sent"])
        self.assertEqual(mail("17:46", "08:00"), ["+1h touch 1 sent"])
        self.assertEqual(mail("16:00", "17:45"), ["+1h touch 1 sent"])
        self.assertEqual(mail("17:00", "18:00"),
                         ["+1h touch 1 deferred quiet-hours +1h15m", "+1h15m touch 1 sent"])
        self.assertEqual(mail("18:00", "19:00", timezone="Europe/Berlin")[0],
                         "+1h touch 1 deferred quiet-hours +1h15m")
        self.assertEqual(mail("18:00", "19:00", marketplace="DE")[0],
                         "+1h touch 1 deferred quiet-hours +1h15m")
        self.assertEqual(mail("18:00", "19:00", marketplace="DE", timezone="UTC"),
                         ["+1h touch 1 sent"])

    def test_clock_changes(self) -> None:
        zone = reference.zone("America/New_York")
        assert zone is not None
        clock = reference.time.fromisoformat

        def following(text: str, wanted: str) -> str:
            at = parse_time(text)
            assert at is not None
            return show_time(reference.next_local(at, zone, clock(wanted)))

        # 8 March 2026, 02:00 becomes 03:00 (07:00 UTC): 02:30 does not exist
        self.assertEqual(following("2026-03-08T05:00:00Z", "02:30"), "2026-03-08T07:00:00.000Z")
        self.assertEqual(following("2026-03-08T07:00:00Z", "02:30"), "2026-03-09T06:30:00.000Z")
        # 1 November 2026, 01:30 comes twice (05:30 and 06:30 UTC)
        self.assertEqual(following("2026-11-01T05:00:00Z", "01:30"), "2026-11-01T05:30:00.000Z")
        self.assertEqual(following("2026-11-01T05:30:00Z", "01:30"), "2026-11-01T06:30:00.000Z")

    def test_discount_in_messages(self) -> None:
        channels = touches(60, 120)
        channels[1]["config"]["includeDiscount"] = False
        lines = Shop(program(channels=channels)).healthy().leave(T0).end()
        sent = [d for d in lines if d["kind"] == "touch"]
        self.assertEqual([d.get("discountCode") for d in sent], ["CART10", None])
        lines = Shop(program(discountStrategy=None)).healthy().leave(T0).end()
        self.assertEqual(lines[0]["discountPercent"], 0)
        self.assertNotIn("discountPercent", lines[1])


class Endings(unittest.TestCase):
    def test_conversion(self) -> None:
        for at, cart, want in ((T0, "CART-789", 1), (T0 - 1, "CART-789", 0), (T0, None, 1),
                               (T0, "other", 0)):
            shop = Shop().healthy().page(T0 + 1).leave(T0).order(at, cart)
            kinds = [d["kind"] for d in shop.end()]
            self.assertEqual(kinds.count("converted"), want, (at, cart))

    def test_every_candidate_of_the_customer(self) -> None:
        policy: dict[str, Any] = {"onNewCart": "parallel",
                                  "filterChain": chain(frequency_cap=None)}
        shop = Shop(program("p", **policy), program("a", **policy)).healthy()
        shop.leave(T0, "B").leave(T0, "A").order(T0 + 1, None)
        lines = [(d["program"], d["cartId"]) for d in shop.end() if d["kind"] == "converted"]
        self.assertEqual(lines, [("a", "A"), ("a", "B"), ("p", "A"), ("p", "B")])

    def attributed(self, shop: Shop) -> Any:
        return [d["attributedTo"] for d in shop.end() if d["kind"] == "converted"][0]

    def test_attribution(self) -> None:
        sent = T0 + HOUR + 1            # the first instant at which its mail can be clicked
        shop = Shop().healthy().leave(T0).page(T0 + 2 * DAY).order(T0 + 30 * MINUTE)
        self.assertEqual(self.attributed(shop), "organic")      # ordered before the mail
        shop = Shop().healthy().leave(T0).order(sent + 2 * DAY)
        self.assertEqual(self.attributed(shop), 2)
        shop = Shop().healthy().leave(T0).message("Clicked", sent + 5, 1).order(sent + 2 * DAY)
        self.assertEqual(self.attributed(shop), 1)              # a click wins over a delivery
        shop = Shop().healthy().leave(T0).message("Clicked", sent, 1)
        self.assertEqual(self.attributed(shop.order(sent + 5 * DAY)), 1)
        shop = Shop().healthy().leave(T0).message("Clicked", sent, 1)
        self.assertEqual(self.attributed(shop.order(sent + 5 * DAY + 1)), 3)
        shop = Shop().healthy().leave(T0).page(T0 + 2 * DAY).message("Bounced", T0 + DAY, 2)
        self.assertEqual(self.attributed(shop.order(T0 + 2 * DAY)), 1)
        shop = Shop().healthy().leave(T0).message("Delivered", T0 + 3 * HOUR, 1)
        self.assertEqual(self.attributed(shop.order(T0 + 2 * HOUR)), "organic")

    def test_touches_within_five_days_only(self) -> None:
        p = program(channels=touches(60))
        shop = Shop(p).healthy().leave(T0).order(T0 + HOUR + 5 * DAY)
        self.assertEqual(self.attributed(shop), 1)
        shop = Shop(p).healthy().leave(T0).order(T0 + HOUR + 5 * DAY + 1)
        self.assertEqual(self.attributed(shop), "organic")

    def test_the_same_order_again(self) -> None:
        shop = Shop().healthy().leave(T0).order(T0 + 1).leave(T0 + 2, value=99).order(T0 + 3)
        self.assertEqual(shop.so_far()[1:], [
            "+1ms converted organic", "+2ms candidate 1@+1h2ms 2@+1d2ms 3@+3d2ms"])

    def test_currency(self) -> None:
        def currency(**more: Any) -> Any:
            shop = Shop().healthy(marketplace="JP").leave(T0, **more).order(T0 + 1)
            return shop.end()[1].get("currency")

        self.assertEqual(currency(), "JPY")
        self.assertEqual(currency(marketplace="UK"), "GBP")
        self.assertEqual(currency(currency="CHF", marketplace="UK"), "CHF")
        shop = Shop().healthy().leave(T0).order(T0 + 1)
        self.assertNotIn("currency", shop.end()[1])

    def test_cancellations(self) -> None:
        for kind, at, want in (("CartCleared", T0, "cart-cleared"), ("CartCleared", T0 - 1, None),
                               ("CartUpdated", T0 + 1, "active-again"), ("CartUpdated", T0, None)):
            shop = Shop().healthy().page(T0 + 1).leave(T0).cart(kind, at)
            reasons = [d["reason"] for d in shop.end() if d["kind"] == "cancelled"]
            self.assertEqual(reasons, [want] if want else [], (kind, at))
        shop = Shop().healthy().leave(T0).customer(T0 + 1, optedOut={"email": True, "sms": True})
        self.assertEqual(shop.so_far()[1:], [])
        shop.customer(T0 + 2, optedOut={"push": True})
        self.assertEqual(shop.so_far()[1:], ["+2ms cancelled opted-out"])

    def test_unsubscribing(self) -> None:
        shop = Shop(program(channels=touches(60))).healthy().leave(T0)
        shop.message("Unsubscribed", T0 + 2 * HOUR, 1)
        self.assertEqual(shop.brief()[1:], ["+1h touch 1 sent", "+2h cancelled opted-out"])
        # in again, and out once more by the same message
        shop = Shop(program(channels=touches(60))).healthy().leave(T0)
        shop.message("Unsubscribed", T0 + 2 * HOUR, 1)
        shop.customer(T0 + 3 * HOUR, optedOut={"email": False})
        shop.message("Unsubscribed", T0 + 4 * HOUR, 1)
        shop.leave(T0 + 5 * HOUR, cart="other")
        self.assertEqual(shop.brief()[3:], ["+5h rejected opted-out"])

    def test_erasure(self) -> None:
        shop = Shop().healthy().leave(T0)
        shop.event("ecommerce.customer", "CustomerErased", T0 + 1, {"customerId": "C456"})
        shop.leave(T0 + 2)
        self.assertEqual(shop.brief()[1:], ["+1ms cancelled erased",
                                            "+2ms rejected unknown-customer"])

    def test_what_was_told_before_an_erasure(self) -> None:
        def erase(shop: Shop, at: int) -> Shop:
            return shop.event("ecommerce.customer", "CustomerErased", at, {"customerId": "C456"})
        # again, late, and of that instant; then later
        shop = erase(Shop(program(channels=touches(60))).healthy().leave(T0, id="a"), T0 + 1)
        shop.healthy().leave(T0, id="a").leave(T0 + 1).order(T0).leave(T0 + 2)
        self.assertEqual(shop.brief()[1:], ["+1ms cancelled erased",
                                            "+2ms rejected unknown-customer"])
        # up to the latest that was told, also where the erasure is older
        shop = erase(Shop().healthy(T0 + 5), T0)
        shop.leave(T0 + 5).leave(T0 + 6)
        self.assertEqual(shop.brief(), ["+6ms rejected unknown-customer"])
        # a second erasure does not go behind the first
        shop = erase(erase(Shop(), T0 + 5), T0)
        shop.leave(T0 + 5).leave(T0 + 6)
        self.assertEqual(shop.brief(), ["+6ms rejected unknown-customer"])
        # for seven days by the clock
        for after, want in ((7 * DAY - 1, []), (7 * DAY, ["+7d rejected unknown-customer"])):
            shop = erase(Shop(program(candidateTTLDays=30)), T0)
            shop.customer(T0 + after, who="other").leave(T0)
            self.assertEqual(shop.brief(), want)

    def test_holdout(self) -> None:
        shop = Shop(program(holdoutPercent=100)).healthy().leave(T0).order(T0 + DAY)
        lines = shop.end()
        self.assertEqual([brief(d) for d in lines], ["+0 candidate holdout",
                                                     "+1d converted holdout"])
        self.assertEqual(lines[0]["touches"], [])
        shop = Shop(program(holdoutPercent=100)).healthy().leave(T0)
        self.assertEqual(shop.brief(), ["+0 candidate holdout", "+7d expired"])
        # held out from the first hundredth of a percent above its own share on
        share = reference.murmur2(b"p\0C1") % 10000
        self.assertFalse(hashes.held_out("p", "C1", share / 100))
        self.assertTrue(hashes.held_out("p", "C1", (share + 1) / 100))


class Sessions(unittest.TestCase):
    def setUp(self) -> None:
        self.program = program(abandonmentDetection={"sessionTimeoutMinutes": 30},
                               channels=touches(60))

    def update(self, shop: Shop, at: int, value: float = 150) -> Shop:
        return shop.cart("CartUpdated", at, cartValue=value, items=ITEMS)

    def test_it_runs_out(self) -> None:
        shop = self.update(Shop(self.program).healthy(), T0)
        self.assertEqual(shop.brief(), ["+30m candidate 1@+1h30m", "+1h30m touch 1 sent",
                                        "+7d30m expired"])

    def test_re_armed_with_the_last_content(self) -> None:
        shop = self.update(Shop(self.program).healthy(), T0).cart("CartUpdated", T0 + 20 * MINUTE)
        self.assertEqual(shop.brief()[0], "+50m candidate 1@+1h50m")
        shop = self.update(Shop(self.program).healthy(), T0)
        shop.cart("CartUpdated", T0 - 20 * MINUTE)      # a late one does not re-arm
        self.assertEqual(shop.brief()[0], "+30m candidate 1@+1h30m")
        shop = Shop(self.program).healthy().cart("CartUpdated", T0)
        self.assertEqual(shop.brief(), [])              # no content known

    def test_disarmed(self) -> None:
        for step in (lambda s: s.order(T0, id="z"), lambda s: s.order(T0 + 1, None),
                     lambda s: s.cart("CartCleared", T0)):
            shop = self.update(Shop(self.program).healthy(), T0)
            self.assertEqual(step(shop).brief(), [])
            # in the other order of arrival as well
            shop = step(Shop(self.program).healthy())
            self.assertEqual(self.update(shop, T0).brief(), [])
        shop = self.update(Shop(self.program).healthy(), T0).order(T0, "other")
        self.assertEqual(len(shop.brief()), 3)
        shop = self.update(Shop(self.program).healthy(), T0).order(T0 - 1)
        self.assertEqual(len(shop.brief()), 3)
        shop = self.update(Shop(self.program).healthy(), T0).leave(T0)
        self.assertEqual(shop.brief()[0], "+0 candidate 1@+1h")
        self.assertEqual(len(shop.brief()), 3)

    def test_the_last_content_in_any_order_of_arrival(self) -> None:
        value = {"cartValue": 150, "items": ITEMS}
        steps = [lambda s: s.cart("CartUpdated", T0, cartValue=99, items=ITEMS),
                 lambda s: s.cart("CartUpdated", T0 + 5 * MINUTE, **value),
                 lambda s: s.cart("CartUpdated", T0 + 9 * MINUTE)]
        p = program(abandonmentDetection={"sessionTimeoutMinutes": 30},
                    use=model(0.0, [{"name": "cart_value", "weight": 0.01}]))
        for order in itertools.permutations(range(3)):
            shop = Shop(p).healthy()
            for n in order:
                steps[n](shop)
            line = shop.end()[0]
            self.assertEqual(line["score"], 0.8176, order)      # 1/(1 + exp(-1.5)): of 150

    def test_through_the_pattern(self) -> None:
        shop = self.update(Shop(self.program).healthy(), T0, value=49)
        self.assertEqual(shop.brief(), [])


class Scoring(unittest.TestCase):
    def features(self, shop: Shop, **more: Any) -> dict[str, Any]:
        ab = reference.Abandonment(T0, "K", {"cartValue": 150, "items": ITEMS, **more})
        return shop.replay.customer("C456").features(ab)

    def test_nothing_known(self) -> None:
        self.assertEqual(self.features(Shop()), {"cart_value": 150, "item_count": 3})
        self.assertEqual(customers.confidence({}), "LOW")
        self.assertEqual(customers.confidence({"purchase_history": 0, "email_engagement": 1}),
                         "MEDIUM")

    def test_kept_up_from_the_stream(self) -> None:
        shop = Shop().customer(T0, purchaseHistory=12, avgOrderValue=85, cartAbandonmentRate=0.35,
                               emailEngagement=0.75, discountSensitivity=0.8)
        shop.order(T0 + 1, id="a", value=100).order(T0, id="b", value=999)
        known = self.features(shop, itemCount=7, category="Toys", discountSensitivity=0.1)
        self.assertEqual(known["purchase_history"], 13)         # b is not after the telling
        self.assertAlmostEqual(known["avg_order_value"], (85 * 12 + 100) / 13)
        self.assertEqual((known["cart_abandonment_rate"], known["email_engagement"],
                          known["discount_sensitivity"], known["item_count"], known["category"]),
                         (0.35, 0.75, 0.1, 7, "Toys"))

    def test_never_told(self) -> None:
        shop = Shop().order(T0, id="a", value=100).order(T0, id="b", value=50)
        shop.leave(T0, "x").leave(T0, "y")
        known = self.features(shop)
        self.assertEqual((known["purchase_history"], known["avg_order_value"],
                          known["cart_abandonment_rate"]), (2, 75, 0.5))

    def test_removed(self) -> None:
        shop = Shop().customer(T0, purchaseHistory=5, avgOrderValue=10).order(T0 + 1, id="a")
        shop.customer(T0 + 2, purchaseHistory=None, avgOrderValue=None)
        self.assertNotIn("purchase_history", self.features(shop))
        self.assertNotIn("avg_order_value", self.features(shop))
        known = self.features(shop.order(T0 + 3, id="b", value=60))
        self.assertEqual((known["purchase_history"], known["avg_order_value"]), (1, 60))

    def test_engagement(self) -> None:
        shop = Shop().healthy().leave(T0).page(T0 + 2 * HOUR)
        self.assertEqual(self.features(shop)["email_engagement"], 0)
        shop.message("Opened", T0 + 2 * HOUR, 1).message("Clicked", T0 + 2 * HOUR, 1)
        self.assertEqual(self.features(shop)["email_engagement"], 1)

    def test_categories(self) -> None:
        items = [{"id": "a", "name": "a", "price": 1, "quantity": 2},
                 {"id": "b", "name": "b", "price": 1, "category": "Books"}]
        known = self.features(Shop(), items=items)
        self.assertEqual((known["category"], known["item_count"]), ("Books", 3))

    def test_model(self) -> None:
        m = model(0.5, [
            {"name": "purchase_history", "weight": 2, "center": 1, "scale": 4,
             "transform": "log1p", "min": 0, "max": 3, "missing": 0},
            {"name": "item_count", "weight": -1, "missing": 0.25},
            {"name": "category", "weights": {"Toys": 0.125}, "other": -0.125}])

        def logit(known: dict[str, Any]) -> float:
            p = m.score(known)
            return math.log(p / (1 - p))

        self.assertAlmostEqual(logit({}), 0.5 + 2 * (0 - 1) / 4 - 0.25 - 0.125)
        self.assertAlmostEqual(logit({"purchase_history": 9, "item_count": 2,
                                      "category": "Toys"}),
                               0.5 + 2 * (math.log(4) - 1) / 4 - 2 + 0.125)

    def test_discount(self) -> None:
        def discount(p: float, s: Optional[float], **changes: Any) -> float:
            strategy = {"enabled": True, "defaultDiscount": 10, "dynamicDiscounting": True,
                        "maxDiscount": 20, **changes}
            return program(discountStrategy=strategy).discount(p, 0.5 if s is None else s)

        self.assertEqual(discount(0.78, 0.8), 10)
        self.assertEqual(discount(0.0, 1.0), 20)
        self.assertEqual(discount(0.5, 1.0), 15)        # x = 0.5
        self.assertEqual(discount(0.5, None), 10)       # 0.25: x = 0.083, 10.8
        self.assertEqual(discount(0.0, None), 15)       # 0.5: x = 0.5
        self.assertEqual(discount(0.0, 1.0, maxDiscount=24), 20)
        self.assertEqual(discount(0.9, 0.1, defaultDiscount=7.5), 5)    # a tie, down
        self.assertEqual(discount(0.0, 1.0, dynamicDiscounting=False), 10)
        self.assertEqual(discount(0.0, 1.0, enabled=False), 0)
        self.assertEqual(discount(0.0, 1.0, maxDiscount=19, discountStep=2), 18)

    def test_cache(self) -> None:
        m = model(0.0, [{"name": "purchase_history", "weight": 1}])

        def scores(**more: Any) -> list[float]:
            shop = Shop(program(use=m)).healthy(purchaseHistory=0).leave(T0)
            shop.cart("CartUpdated", T0 + 1).order(T0 + 2, "other").leave(T0 + 3, **more)
            return [d["score"] for d in shop.end() if d["kind"] == "candidate"]

        self.assertEqual(scores(), [0.5, 0.5])          # the same content: the cached intent
        self.assertEqual(scores(value=99), [0.5, 0.7311])


class MoreTouches(unittest.TestCase):
    """Variants, unique codes and what happens at the edges of a journey."""

    def variants(self, **second: Any) -> Program:
        channels = touches(60, 180)
        channels[0]["config"]["variants"] = [{"name": "a", "share": 0.5, "delayMinutes": 90},
                                             {"name": "b", "share": 0.5, **second}]
        return program(channels=channels)

    def test_a_variant_has_its_own_delay(self) -> None:
        point = reference.murmur2(b"abandoned-cart-recovery\0email\0C456") % 10000 / 10000
        own = "90m" if point < 0.5 else "2h"
        shop = Shop(self.variants(delayHours=2)).healthy().leave(T0)
        wanted = "+1h30m" if own == "90m" else "+2h"
        self.assertEqual(shop.brief()[0], f"+0 candidate 1@{wanted} 2@+3h")

    def test_numbers_stay_those_of_the_channels(self) -> None:
        # both variants come after the second touch, and are the first all the same
        channels = touches(60, 180)
        channels[0]["config"]["variants"] = [{"name": "a", "share": 1, "delayHours": 5}]
        shop = Shop(program(channels=channels)).healthy().leave(T0)
        self.assertEqual(shop.brief()[:3], ["+0 candidate 1@+5h 2@+3h", "+3h touch 2 sent",
                                            "+5h touch 1 sent"])

    def test_shares_add_up(self) -> None:
        variants = [{"name": n, "share": s} for n, s in (("a", 0.25), ("b", 0.25), ("c", 0.5))]
        seen = [(hashes.variant_of("p", "email", f"c{n}", variants) or {})["name"]
                for n in range(4000)]
        for name, share in (("a", 0.25), ("b", 0.25), ("c", 0.5)):
            self.assertAlmostEqual(seen.count(name) / 4000, share, delta=0.03)
        self.assertIsNone(hashes.variant_of("p", "email", "c", []))

    def test_unique_codes(self) -> None:
        lines = Shop(program(discountCodes="unique")).healthy().leave(T0).end()
        self.assertEqual(lines[1]["discountCode"], "CART10-*")

    def test_an_expired_candidate_gets_no_touch(self) -> None:
        # nothing but the eligibility filter keeps a cart out that expired before it was told
        shop = Shop(program(filterChain=[])).healthy().page(T0 + 8 * DAY).leave(T0)
        self.assertEqual(shop.brief(), ["+8d candidate 1@+1h 2@+1d 3@+3d", "+8d expired"])

    def test_until_before_the_last_event(self) -> None:
        # events all count, and what is due between them; after the last nothing that is later
        # than the time given, and so nothing that is overdue there either
        shop = Shop().healthy().leave(T0).page(T0 + 2 * HOUR)
        self.assertEqual([brief(d) for d in shop.end(T0)], JOURNEY[:2])
        shop = Shop().healthy().page(T0 + 2 * HOUR).leave(T0)
        self.assertEqual([brief(d) for d in shop.end(T0 + HOUR)],
                         ["+2h candidate 1@+1h 2@+1d 3@+3d"])


class NoTouchAfterTheEnd(unittest.TestCase):
    """"an OrderPlaced that arrives before its CartAbandoned still prevents every touch": once the
    fact that is the latest by its own time is an order or a clearing and has arrived, no touch is
    sent, in whatever order the others arrive."""

    def check(self, p: Program, last: str) -> None:
        value = {"cartValue": 150, "items": ITEMS}
        steps = [
            lambda s: s.healthy(T0 - DAY),
            lambda s: s.cart("CartUpdated", T0 - 10 * MINUTE, **value),
            lambda s: s.leave(T0),
            lambda s: s.cart("CartUpdated", T0 + 5 * MINUTE, **value),
            lambda s: s.leave(T0 + 4 * HOUR, value=99),
            (lambda s: s.order(T0 + 5 * HOUR)) if last == "order" else
            (lambda s: s.order(T0 + 5 * HOUR, None)) if last == "any order" else
            (lambda s: s.cart("CartCleared", T0 + 5 * HOUR))]
        for count in (3, 4, 5, 6):
            for some in itertools.combinations(range(5), count - 1):
                for order in itertools.permutations((*some, 5)):
                    shop = Shop(p)
                    sent_before = 0
                    for n in order:
                        steps[n](shop)
                        if n == 5:      # arrived: from here on nothing may be sent
                            sent_before = sum("sent" in x for x in shop.so_far())
                    after = sum("sent" in x for x in shop.brief())
                    self.assertEqual(after, sent_before, (last, order, shop.so_far()))

    def test_all_orders_of_arrival(self) -> None:
        for policy in ("restart", "update", "ignore"):
            p = program(onReabandon=policy, channels=touches(60, 180, 600),
                        abandonmentDetection={"sessionTimeoutMinutes": 30})
            for last in ("order", "any order", "clearing"):
                self.check(p, last)


class Shops(unittest.TestCase):
    def test_the_same_seed_writes_the_same_bytes(self) -> None:
        def written(folder: str) -> dict[str, bytes]:
            shop = shops.make_shop(11, folder)
            found = {}
            for path in shop.programs + shop.events:
                with open(path, "rb") as f:
                    found[os.path.relpath(path, folder)] = f.read()
            return found

        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            self.assertEqual(written(a), written(b))


if __name__ == "__main__":
    unittest.main()
