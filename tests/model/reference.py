#!/usr/bin/env python3
"""A slow, obvious model of the product's exact rules: what `cartwheel replay` must print.

    python3 reference.py PROGRAM.yaml... EVENTS.ndjson... [--models DIR] [--until TIME]

It was written from the text of the product's reference alone; each rule stands beside its sentence,
in quotes. What the text leaves open is marked SILENT and listed in README.md.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import time
from typing import Any, Iterable, Optional

import yaml

from customers import Abandonment, Candidate, Customer, Entry, Session, Standing, Touch
from customers import confidence, quantity
from forms import DAY, HOUR, MINUTE, Event, Invalid, decode, line_text, local, murmur2
from forms import next_local, parse_time, shortest, show_time, zone
from hashes import held_out, message_id, siphash128, variant_of
from patterns import pattern_matches
from programs import CAPS, MARKETS, Model, Program, by_market, code_of, delay_of

__all__ = ["Abandonment", "DAY", "HOUR", "Invalid", "MINUTE", "Model", "Program", "Replay",
           "decode", "message_id", "murmur2", "next_local", "parse_time", "pattern_matches",
           "replay_files", "show_time", "siphash128", "time", "zone"]

SCORE_CACHE = 7 * DAY       # "The score is cached under `customerId:cartId` for 7 days"
REPEAT = 7 * DAY            # "the same (source, id) of a customer within 7 days changes nothing"


@dataclass
class Line:
    at: int
    customer: bytes
    serial: int
    fields: dict[str, Any]


@dataclass
class Timer:
    """One thing that happens by itself: an expiry, a touch or a session's end."""
    due: int
    order: tuple[Any, ...]
    customer: Customer
    candidate: Optional[Candidate] = None
    touch: Optional[Touch] = None
    cart: str = ""
    program: Optional[Program] = None


class Replay:
    """The state of one replay."""

    def __init__(self, programs: Iterable[Program]) -> None:
        self.programs = sorted(programs, key=lambda p: p.id.encode())
        self.clock = 0
        self.customers: dict[str, Customer] = {}
        self.stock: dict[str, Standing] = {}
        self.products = Customer("")            # only for the ids of events about products
        self.messages: dict[str, tuple[Customer, Candidate, Touch]] = {}
        self.lines: list[Line] = []
        self.arrivals = 0

    # -------------------------------------------------------------------------------- input

    def feed_line(self, raw: bytes, file: str, number: int) -> None:
        if not raw.strip():
            return
        try:
            event = decode(raw)
        except Invalid as e:
            # "`at` is the clock, no ids, sorted first"
            self.put(b"", {"at": show_time(self.clock), "kind": "invalid", "file": file,
                           "line": number, "reason": str(e)})
            return
        self.feed(event)

    def feed(self, event: Event) -> None:
        """"the clock is the running maximum of their T0 or `time`; timers fire between events"."""
        if event.at is not None and event.at > self.clock:
            self.run_timers(lambda at: at < event.at)
            self.clock = event.at
        if event.kind:
            self.arrivals += 1
            self.take(event)

    def finish(self, until: Optional[int] = None) -> None:
        """"and, after the last, until none is left (or `--until TIME`)"."""
        self.run_timers(lambda at: until is None or at <= until)

    def output(self) -> list[str]:
        """"Order of lines: by time, then customerId (bytes), then the order in which one
        customer's events and timers happened.\""""
        return [line_text(x.fields) for x in
                sorted(self.lines, key=lambda x: (x.at, x.customer, x.serial))]

    # ------------------------------------------------------------------------------- output

    def put(self, customer: bytes, fields: dict[str, Any]) -> None:
        self.lines.append(Line(self.clock, customer, len(self.lines), fields))

    def say(self, kind: str, program: Program, customer: Customer, cart: str,
            **more: Any) -> None:
        self.put(customer.id.encode(), {
            "at": show_time(self.clock), "kind": kind, "program": program.id,
            "customerId": customer.id, "cartId": cart,
            **{k: shortest(v) for k, v in more.items() if v is not None}})

    # ------------------------------------------------------------------------------- timers

    def timers(self) -> list[Timer]:
        """All that are set. "timers of one customer at one instant run by due time, program, cart,
        touch". "expired" is the first thing looked at at a touch's time: expiry goes before
        touches, as touch 0. SILENT: a session's timer goes before both."""
        found = []
        for customer in self.customers.values():
            for c in customer.candidates:
                place = (c.program.id.encode(), c.cart.encode())
                found.append(Timer(c.expires, (*place, 0), customer, c))
                found += [Timer(t.due, (*place, t.number), customer, c, t)
                          for t in c.pending()]
            for cart, s in customer.sessions.items():
                for p in self.programs:
                    if p in s.armed and s.updated is not None:
                        found.append(Timer(s.updated + (p.session or 0),
                                           (p.id.encode(), cart.encode(), -1), customer,
                                           cart=cart, program=p))
        return found

    def run_timers(self, within: Any) -> None:
        """Fire what is due, one after the other, while `within` says so of the instant. A timer
        that is overdue when it is made fires at the present instant."""
        while True:
            waiting = [(max(t.due, self.clock), t.customer.id.encode(), t.due, t.order, n, t)
                       for n, t in enumerate(self.timers())]
            if not waiting:
                return
            first = min(waiting)
            if not within(first[0]):
                return
            self.clock = first[0]
            timer = first[-1]
            if timer.touch is not None and timer.candidate is not None:
                self.fire_touch(timer.candidate, timer.touch)
            elif timer.candidate is not None:
                # "Expiry at T0 + candidateTTLDays, also when all touches are done"
                self.end(timer.candidate, "expired")
            else:
                self.fire_session(timer)

    # ------------------------------------------------------------------------------- events

    def customer(self, name: str) -> Customer:
        return self.customers.setdefault(name, Customer(name))

    def take(self, event: Event) -> None:
        """The effect of one valid event of a known type."""
        assert event.at is not None
        if event.kind == "InventoryChanged":
            # "per product, the value with the latest `time` stands, on a tie the later arrival"
            # SILENT: a repeated (source, id) changes nothing of a product either.
            if self.repeated(self.products, event):
                return
            name = event.detail["productId"]
            standing = self.stock.get(name)
            if standing is None or event.at >= standing.time:
                self.stock[name] = Standing(event.at, event.detail["available"])
            return
        if event.kind in ("Delivered", "Bounced", "Opened", "Clicked", "Complained",
                          "Unsubscribed"):
            self.engagement(event)
            return
        customer = self.customer(event.customer)
        # SILENT: what was told before an erasure does not come back with a repetition, or late.
        if event.kind != "CustomerErased" and customer.erased is not None \
                and event.at is not None and event.at <= customer.erased \
                and self.clock < customer.erased + REPEAT:
            return
        if self.repeated(customer, event):
            return
        getattr(self, "on_" + event.kind)(customer, event)

    def repeated(self, customer: Customer, event: Event) -> bool:
        """"the same (source, id) of a customer within 7 days changes nothing"; SILENT: by the clock
        from the first sight."""
        if event.id is None:
            return False
        key = (event.source, event.id)
        if key in customer.seen and self.clock < customer.seen[key] + REPEAT:
            return True
        customer.seen[key] = self.clock
        return False

    def on_FeedbackReceived(self, customer: Customer, event: Event) -> None:
        """Prints nothing."""

    def on_OrderRefunded(self, customer: Customer, event: Event) -> None:
        """"a negative entry of its own": prints nothing."""

    def on_CustomerUpdated(self, customer: Customer, event: Event) -> None:
        assert event.at is not None
        customer.merge(event.at, event.detail, self.arrivals)
        self.cancel_opted_out(customer)

    def cancel_opted_out(self, customer: Customer) -> None:
        """Cancel: "opting out of every enabled channel (`opted-out`)". SILENT: looked at after
        every change of the profile."""
        for c in self.in_flight(customer):
            if c.program.types and all(customer.opted_out(t) for t in c.program.types):
                self.end(c, "cancelled", reason="opted-out")

    def on_CustomerErased(self, customer: Customer, event: Event) -> None:
        for c in self.in_flight(customer):
            self.end(c, "cancelled", reason="erased")
        for name in [n for n, m in self.messages.items() if m[0] is customer]:
            del self.messages[name]
        assert event.at is not None
        told = customer.field_times()
        if customer.erased is not None and self.clock < customer.erased + REPEAT:
            told.append(customer.erased)
        customer.forget()
        customer.erased = max(event.at, *told) if told else event.at
        # Seen ids are history too; the erasing event's own stays.
        customer.seen = {(event.source, event.id): self.clock} if event.id is not None else {}

    def in_flight(self, customer: Customer) -> list[Candidate]:
        """In the order in which one event's lines go: by program, then cart."""
        return sorted(customer.candidates,
                      key=lambda c: (c.program.id.encode(), c.cart.encode()))

    def end(self, c: Candidate, kind: str, **more: Any) -> None:
        """"ends the journey at once: no later line for its touches"."""
        c.customer.candidates.remove(c)
        self.say(kind, c.program, c.customer, c.cart, **more)

    def on_OrderPlaced(self, customer: Customer, event: Event) -> None:
        """"an OrderPlaced at or after T0 converts every candidate in flight of that cart (without
        cartId: of that customer). Revenue is orderValue.\""""
        assert event.at is not None
        d = event.detail
        # "within 7 days changes nothing, nor does the same orderId ... again". SILENT: the 7 days
        # are meant for the orderId too, by the clock.
        if self.clock < customer.order_ids.get(d["orderId"], -REPEAT) + REPEAT:
            return
        customer.order_ids[d["orderId"]] = self.clock
        cart = d.get("cartId")
        customer.orders.append((event.at, cart, d["orderValue"], self.arrivals))
        if cart is not None:
            self.tell(customer, cart, event.at)
        for c in self.in_flight(customer):
            if cart in (None, c.cart) and event.at >= c.t0:
                self.end(c, "converted", orderId=d["orderId"], revenue=d["orderValue"],
                         currency=d.get("currency") or c.currency,
                         attributedTo=c.attributed_to(event.at))
        for name in customer.sessions:
            if cart in (None, name):
                self.disarm(customer, name, event.at)

    def currency(self, customer: Customer, ab: Abandonment) -> Optional[str]:
        """"currency where known": the cart's, else the marketplace's. SILENT: the marketplace is
        the one known when the cart was abandoned."""
        told = ab.detail.get("currency")
        if told is not None:
            return str(told)
        market = self.market(customer, ab)
        return MARKETS[market][0] if market in MARKETS else None

    def on_CartCleared(self, customer: Customer, event: Event) -> None:
        """Cancel: "CartCleared at or after T0 (`cart-cleared`)"."""
        assert event.at is not None
        cart = event.detail["cartId"]
        customer.cleared.append((event.at, cart))
        self.tell(customer, cart, event.at)
        for c in self.in_flight(customer):
            if c.cart == cart and event.at >= c.t0:
                self.end(c, "cancelled", reason="cart-cleared")
        self.disarm(customer, cart, event.at)

    def on_CartUpdated(self, customer: Customer, event: Event) -> None:
        assert event.at is not None
        cart = event.detail["cartId"]
        customer.updated.append((event.at, cart))
        # "a CartUpdated after the T0 that the dedup entry knows forgets the entry, candidate or
        # not, so leaving again is a new abandonment"
        for p in self.programs:
            entry = customer.entries.get(p.key(customer.id, cart))
            if entry is not None and event.at > entry.t0:
                del customer.entries[p.key(customer.id, cart)]
        for c in self.in_flight(customer):
            if c.cart == cart and event.at > c.t0:
                self.end(c, "cancelled", reason="active-again")
        self.arm(customer, event)

    # ----------------------------------------------------------------------- session timeout

    def arm(self, customer: Customer, event: Event) -> None:
        """"CartUpdated arms a timer per cart"; "T0 = last CartUpdated + timeout"."""
        assert event.at is not None
        cart = event.detail["cartId"]
        self.tell(customer, cart, event.at)
        s = customer.sessions.setdefault(cart, Session())
        self.learn_content(s, event.at, event.detail)
        if s.updated is not None and event.at < s.updated:
            return
        s.updated = event.at
        # What disarms may have come before: "An event takes effect by its own time, whenever it
        # arrives." It is remembered as long as for the filters. "`enabled: false`: matches nothing"
        ends = [at for at, c, _, _ in customer.orders if c in (None, cart)]
        ends += [at for at, c in customer.cleared + customer.abandoned if c == cart]
        s.armed = [p for p in self.programs if p.enabled and p.session is not None
                   and not any(at >= event.at and customer.remembered(p, at, self.clock)
                               for at in ends)]

    def tell(self, customer: Customer, cart: str, at: int) -> None:
        """Something is told of a cart. SILENT: one of which nothing was told for as long as
        anything is remembered (the longest ttlDays or candidateTTLDays of all enabled programs, at
        least 7 days) is as one never heard of."""
        longest = max([7 * DAY] + [max(p.dedup_ttl, p.ttl) for p in self.programs if p.enabled])
        s = customer.sessions.get(cart)
        last = customer.told_of.get(cart, 0)
        if s is not None and not s.armed and self.clock >= last + longest:
            s.updated = s.content = None
        customer.told_of[cart] = max(at, last)

    def learn_content(self, s: Session, at: int, detail: dict[str, Any]) -> None:
        """"with the cart's last content". SILENT: as CartUpdated told it."""
        if detail.get("cartValue") is None or detail.get("items") is None:
            return
        if s.content is None or at >= s.content.time:
            s.content = Standing(at, detail)

    def disarm(self, customer: Customer, cart: str, at: int) -> None:
        """"when it runs out with no order"; a clearing and the shop's own abandonment end it
        too, from the update's own time on."""
        s = customer.sessions.get(cart)
        if s is not None and s.updated is not None and at >= s.updated:
            s.armed = []

    def fire_session(self, timer: Timer) -> None:
        """"when it runs out with no order, cartwheel itself makes the CartAbandoned event with the
        cart's last content". SILENT: abandonmentReason, and that the event is for the program
        alone whose `abandonmentDetection` it is."""
        assert timer.program is not None
        s = timer.customer.sessions[timer.cart]
        s.armed.remove(timer.program)
        if s.content is None:
            return
        detail = dict(s.content.value)
        detail["timestamp"] = show_time(timer.due)
        detail["abandonmentReason"] = "session_timeout"
        envelope = {"version": "0", "source": "ecommerce.cart", "detail-type": "CartAbandoned",
                    "time": show_time(timer.due), "detail": detail}
        ab = Abandonment(timer.due, timer.cart, detail)
        self.abandoned(timer.customer, ab, envelope, [timer.program])

    # -------------------------------------------------------------------------- abandonments

    def on_CartAbandoned(self, customer: Customer, event: Event) -> None:
        assert event.at is not None
        ab = Abandonment(event.at, event.detail["cartId"], event.detail)
        self.tell(customer, ab.cart, event.at)
        self.disarm(customer, ab.cart, event.at)
        self.abandoned(customer, ab, event.envelope, self.programs)
        customer.abandoned.append((ab.t0, ab.cart))

    def abandoned(self, customer: Customer, ab: Abandonment, envelope: dict[str, Any],
                  programs: list[Program]) -> None:
        """"runs the pipeline of every program whose pattern matches"."""
        for p in programs:
            if p.matches(envelope):
                self.pipeline(customer, p, ab)
        customer.abandonments += 1

    def pipeline(self, customer: Customer, p: Program, ab: Abandonment) -> None:
        own = next((c for c in customer.candidates if c.program is p and c.cart == ab.cart), None)
        if self.duplicate(customer, p, ab, own):
            self.say("duplicate", p, customer, ab.cart)
            return
        other = None
        if p.on_new_cart == "supersede" and own is None:
            # "at most one, unless `onNewCart: parallel`"
            other = next((c for c in customer.candidates if c.program is p), None)
        newer = other is not None and ab.t0 >= other.t0     # "on a tie the later arrival"
        replaced = own if own is not None else other if newer else None
        failed = self.first_failure(customer, p, ab, replaced)
        if failed is not None:
            # "A rejected abandonment leaves no entry and changes none."
            # "a rejection ends the candidate as `rejected`"
            if own is not None:
                customer.candidates.remove(own)
            self.say("rejected", p, customer, ab.cart, filter=failed[0], reason=failed[1])
            return
        if other is not None and not newer:
            # "a late older one prints only `superseded`, never becomes a candidate and leaves no
            # entry"
            self.say("superseded", p, customer, ab.cart)
            return
        if other is not None:           # "(its line before the new candidate's)"
            self.end(other, "superseded")
        score, certain, discount = self.score(customer, p, ab)
        self.remember(customer, p, ab, again=own is not None)
        if own is not None:
            c = own
            self.again(c, ab, discount)
        else:
            c = self.new_candidate(customer, p, ab, discount)
        c.currency = self.currency(customer, ab)
        fields: dict[str, Any] = {
            "score": float(f"{score:.4f}"), "confidence": certain,
            "discountPercent": c.discount,
            "touches": [{"touch": t.number, "channel": t.channel.type, "due": show_time(t.due)}
                        for t in c.pending()]}
        if own is not None:
            fields["updated"] = True
        if c.holdout:
            fields["holdout"] = True
        self.say("candidate", p, customer, ab.cart, **fields)

    def entry(self, customer: Customer, p: Program, cart: str) -> Optional[Entry]:
        """The dedup entry, if its "window [t, t + ttlDays)", by the clock, is not over."""
        entry = customer.entries.get(p.key(customer.id, cart))
        if not p.dedup or entry is None or self.clock >= entry.since + entry.ttl:
            return None
        return entry

    def duplicate(self, customer: Customer, p: Program, ab: Abandonment,
                  own: Optional[Candidate]) -> bool:
        """"Inside the window, the same cart again with the same content, or with a T0 not later
        than the known one, is a `duplicate`." "Abandoned again ... a T0 later than the candidate's,
        while it is in flight (not later: `duplicate`)". "`ignore`: `duplicate`.\""""
        entry = self.entry(customer, p, ab.cart)
        if entry is not None and (ab.content() == entry.content or ab.t0 <= entry.t0):
            return True
        return own is not None and (ab.t0 <= own.t0 or p.on_reabandon == "ignore")

    def remember(self, customer: Customer, p: Program, ab: Abandonment, again: bool) -> None:
        """"An accepted abandonment (one that became a candidate) leaves a dedup entry; its window
        ... counts by the clock from that first acceptance". "`enabled: false`: no dedup"."""
        if not p.dedup:
            return
        entry = self.entry(customer, p, ab.cart)
        since = entry.since if again and entry is not None else self.clock
        customer.entries[p.key(customer.id, ab.cart)] = Entry(since, p.dedup_ttl, ab.t0,
                                                              ab.content())

    def again(self, c: Candidate, ab: Abandonment, discount: float) -> None:
        """"`restart`: new content, T0 becomes the new one, touches not yet done are due at the new
        T0 plus their delay, done ones are not repeated. `update`: new content, T0 and all times
        stay. ... A discount once announced is never lowered.\""""
        c.abandonment = ab
        c.discount = max(discount, c.announced)
        if c.program.on_reabandon == "restart":
            c.t0 = ab.t0
            c.expires = ab.t0 + c.program.ttl
            for t in c.pending():
                t.due = ab.t0 + t.delay

    def new_candidate(self, customer: Customer, p: Program, ab: Abandonment,
                      discount: float) -> Candidate:
        """"Schedule each touch at T0 plus its delay." "A holdout share of customers ... gets no
        touches and is followed all the same"."""
        held = held_out(p.id, customer.id, p.holdout)
        touches = [] if held else self.plan(customer, p, ab.t0)
        c = Candidate(p, customer, ab.cart, ab.t0, ab.t0, ab, discount, held, ab.t0 + p.ttl,
                      touches)
        customer.candidates.append(c)
        return c

    def plan(self, customer: Customer, p: Program, t0: int) -> list[Touch]:
        """"`variants: [{name, share, and any text, template or delay of the channel}]`". SILENT:
        touch numbers stay those of the channels' own delays."""
        touches = []
        for n, c in enumerate(p.channels):
            variant = variant_of(p.id, c.id, customer.id, c.variants)
            delay = delay_of(variant or {}, c.delay)
            touches.append(Touch(n + 1, c, delay, t0 + delay))
        return touches

    # ------------------------------------------------------------------------------- filters

    def first_failure(self, customer: Customer, p: Program, ab: Abandonment,
                      replaced: Optional[Candidate]) -> Optional[tuple[str, str]]:
        """"runs in `order`; the first failure is the reason"."""
        for f in p.filters:
            parameters = f.get("parameters") or {}
            if f["type"] == "trust":
                reason = self.trust(customer, parameters)
            elif f["type"] == "eligibility":
                reason = self.eligibility(customer, p, ab)
            else:
                reason = self.business_rule(customer, p, ab, parameters, replaced)
            if reason is not None:
                return f["filterId"], reason
        return None

    def trust(self, customer: Customer, parameters: dict[str, Any]) -> Optional[str]:
        """"a customer exists once a CustomerUpdated was seen; a status never told counts as active,
        a payment method never told as none"."""
        if not customer.known:
            # SILENT: of a customer that may be unknown nothing else is asked.
            return None if parameters.get("allowUnknown", False) else "unknown-customer"
        if customer.get("accountStatus") not in (None, "active"):
            return "account-not-active"
        if parameters.get("requirePaymentMethod", True) \
                and not customer.get("paymentMethodOnFile"):
            return "no-payment-method"
        return None

    def eligibility(self, customer: Customer, p: Program, ab: Abandonment) -> Optional[str]:
        """"Eligibility checks in the order of this list." "Filters use the abandonment's own
        T0.\""""
        if customer.purchased(p, ab, self.clock):
            return "purchased"
        if customer.not_active(p, ab, self.clock):
            return "cart-not-active"
        if self.clock >= ab.t0 + p.ttl:     # "now ≥ T0 + candidateTTLDays"
            return "cart-expired"
        market = self.market(customer, ab)
        # "none told passes, one not listed rejects"
        if market is not None and p.marketplaces is not None and market not in p.marketplaces:
            return "marketplace"
        # "None on any enabled channel: `no-address`; some, but each such channel opted out:
        # `opted-out`."
        reachable = [t for t in p.types if customer.address(t) is not None]
        if not reachable:
            return "no-address"
        if all(customer.opted_out(t) for t in reachable):
            return "opted-out"
        return None

    def market(self, customer: Customer, ab: Abandonment) -> Optional[str]:
        """"the event's, else the profile's"."""
        return ab.market or customer.get("marketplace")

    def business_rule(self, customer: Customer, p: Program, ab: Abandonment,
                      parameters: dict[str, Any],
                      replaced: Optional[Candidate]) -> Optional[str]:
        """"A `business-rule` is known by its parameters"; several in one filter in the order of
        section 4: cart value, frequency cap, inventory."""
        market = self.market(customer, ab)
        least = by_market(parameters.get("minCartValue"), market)
        if least is not None and ab.detail["cartValue"] < least:
            return "below-minimum"
        for name, channel in CAPS.items():
            cap = by_market(parameters.get(name), market)
            if cap is None:
                continue
            # "e-mails sent after now − 7 days plus e-mail touches still pending of the customer's
            # other candidates in flight (not of the one that would be superseded or
            # re-abandoned) ≥ the cap rejects"
            waiting = sum(channel in (None, t.channel.type) for c in customer.candidates
                          if c is not replaced for t in c.pending())
            if customer.sent_within_week(channel, self.clock) + waiting >= cap:
                return "frequency-cap"
        if parameters.get("requireInStock") and not self.in_stock(ab):
            return "out-of-stock"
        return None

    def in_stock(self, ab: Abandonment) -> bool:
        """"count ≥ the item's quantity"; "an unknown product counts as in stock"."""
        for i in ab.detail["items"]:
            standing = self.stock.get(i["id"])
            if standing is None:
                continue
            if isinstance(standing.value, bool):
                if not standing.value:
                    return False
            elif standing.value < quantity(i):
                return False
        return True

    # ------------------------------------------------------------------------------- scoring

    def score(self, customer: Customer, p: Program, ab: Abandonment) -> tuple[float, str, float]:
        """Section 4, step 5: (purchase intent, confidence, discount)."""
        known = customer.features(ab)
        # "The score is cached under `customerId:cartId` for 7 days; model version and content are
        # part of the value, a mismatch is a miss."
        identity = (p.model.name, p.model.version, ab.content())
        cached = customer.scores.get(ab.cart)
        if cached is not None and cached[1] == identity and self.clock < cached[0] + SCORE_CACHE:
            intent = cached[2]
        else:
            intent = p.model.score(known)
            customer.scores[ab.cart] = (self.clock, identity, intent)
        return intent, confidence(known), p.discount(intent, known.get("discount_sensitivity", 0.5))

    # ------------------------------------------------------------------------------- touches

    def fire_touch(self, c: Candidate, t: Touch) -> None:
        """"At a touch's time: Look again, in this order, and record the reason for anything not
        sent".\""""
        if self.expired(c):
            self.end(c, "expired")
            return
        reason = self.skip_reason(c, t)
        if reason is not None:
            t.state = "skipped"
            self.say_touch(c, t, outcome="skipped", reason=reason)
            return
        deferred = self.deferral(c)
        if deferred is not None:
            t.due = deferred[1]
            self.say_touch(c, t, outcome="deferred", reason=deferred[0],
                           until=show_time(t.due))
            return
        t.state, t.sent = "sent", self.clock        # "In `replay` a send always succeeds at once"
        name = message_id(c.program.id, c.customer.id, c.cart, c.first_t0, t.number)
        c.customer.sends.append((self.clock, t.channel.type, name))
        self.messages[name] = (c.customer, c, t)
        offer: dict[str, Any] = {}
        # "no code in that message"; "discount 0 and no code"
        if t.channel.include_discount and c.discount > 0:
            c.announced = max(c.announced, c.discount)
            # `discountCodes: unique`: the rest of such a code is not for anybody to guess
            rest = "-*" if c.program.unique_codes else ""
            offer = {"discountPercent": c.discount, "discountCode": code_of(c.discount) + rest}
        self.say_touch(c, t, outcome="sent", messageId=name, **offer)

    def say_touch(self, c: Candidate, t: Touch, **more: Any) -> None:
        self.say("touch", c.program, c.customer, c.cart, touch=t.number, channel=t.channel.type,
                 **more)

    def expired(self, c: Candidate) -> bool:
        """The first thing that is looked at: "expired"."""
        return self.clock >= c.expires

    def skip_reason(self, c: Candidate, t: Touch) -> Optional[str]:
        channel, customer = t.channel.type, c.customer
        # "when a touch fires (due ≤ now) and a later touch of the same candidate is due too, the
        # earlier is skipped as `late`, whatever becomes of the later one"
        if any(x.number > t.number and x.due <= self.clock for x in c.pending()):
            return "late"
        if customer.opted_out(channel):
            return "opted-out"
        if customer.address(channel) is None:
            return "no-address"
        for f in c.program.filters:
            for name, which in CAPS.items():
                cap = by_market((f.get("parameters") or {}).get(name), c.market)
                # "At the touch: sent after now − 7 days ≥ the cap skips."
                if cap is not None and which in (None, channel) \
                        and customer.sent_within_week(which, self.clock) >= cap:
                    return "frequency-cap"
        if any((f.get("parameters") or {}).get("requireInStock") for f in c.program.filters) \
                and not self.in_stock(c.abandonment):
            return "out-of-stock"
        return None

    def deferral(self, c: Candidate) -> Optional[tuple[str, int]]:
        # "less than `minGapMinutes` since the customer's last sent touch in any program defers to
        # exactly that distance"
        sent = [at for at, _, _ in c.customer.sends]
        if sent and self.clock - max(sent) < c.program.min_gap:
            return "min-gap", max(sent) + c.program.min_gap
        # "quiet hours (in the customer's time zone)"
        if c.program.quiet is not None:
            start, end = c.program.quiet
            where = zone(self.zone_name(c))
            now = local(self.clock, where).time()
            quiet = start <= now < end if start < end else now >= start or now < end
            if quiet:
                return "quiet-hours", next_local(self.clock, where, end)
        return None

    def zone_name(self, c: Candidate) -> str:
        told = c.customer.get("timezone")
        if told is not None:
            return str(told)
        return MARKETS[c.market][1] if c.market in MARKETS else "UTC"

    # ---------------------------------------------------------------------------- engagement

    def engagement(self, event: Event) -> None:
        """"delivery and engagement of one touch"."""
        assert event.at is not None
        found = self.messages.get(event.detail["messageId"])
        if found is None:
            return
        customer, _, t = found
        if self.repeated(customer, event):
            return
        if event.kind in ("Unsubscribed", "Complained"):
            # SILENT: out of that touch's channel, at the event's own time, each time that it is told
            customer.opt(event.at, t.channel.type, True)
            self.cancel_opted_out(customer)
        key = (event.detail["messageId"], event.kind)
        if key in customer.told:        # "the same (messageId, type) again"
            return
        customer.told.add(key)
        customer.engaged.append((event.at, event.kind, key[0], self.arrivals))
        if event.kind == "Delivered":
            t.delivered = event.at
        elif event.kind == "Bounced":
            t.bounced = True
        elif event.kind == "Clicked":
            t.clicked.append(event.at)


# --------------------------------------------------------------------------------- command line

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "models")


def load_models(folder: Optional[str]) -> dict[str, Model]:
    """The shipped models, and those of the folder in their place."""
    models = {}
    for where in (SHIPPED, folder):
        for name in sorted(os.listdir(where)) if where is not None else ():
            if name.endswith(".json"):
                with open(os.path.join(where or "", name), encoding="utf-8") as f:
                    models[name[:-5]] = Model(json.load(f))
    return models


def replay_files(paths: Iterable[str], models: Optional[str] = None,
                 until: Optional[int] = None) -> list[str]:
    """"Arguments ending in .yaml or .yml are programs, the others events.\""""
    paths = list(paths)
    known = load_models(models)
    programs = []
    for path in paths:
        if path.endswith((".yaml", ".yml")):
            with open(path, encoding="utf-8") as f:
                programs.append(Program(yaml.safe_load(f), known))
    replay = Replay(programs)
    for path in paths:
        if not path.endswith((".yaml", ".yml")):
            with open(path, "rb") as f:
                for number, raw in enumerate(f.read().split(b"\n"), 1):
                    replay.feed_line(raw, path, number)
    replay.finish(until)
    return replay.output()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--models")
    parser.add_argument("--until", type=parse_time)
    args = parser.parse_args()
    for line in replay_files(args.files, args.models, args.until):
        sys.stdout.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
