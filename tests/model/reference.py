#!/usr/bin/env python3
"""A slow, obvious model of what `cartwheel replay` prints.

    python3 reference.py PROGRAM.yaml... EVENTS.ndjson... [--models DIR] [--until TIME]

Every fact that was ever told is kept in a list, and every answer is found by going through the
lists.  There are no indexes, counters or caches that the rules do not ask for: the only aim is
that each rule can be read beside its sentence.  Sentences in quotation marks are the product reference's;
"D4" and the like are the engine's written decisions where it is silent (pipeline/README.md).
"""
from __future__ import annotations

import argparse
import json
import math
import os
import re
import struct
import sys
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from functools import partial
from typing import Any, Callable, Iterable, Optional
from zoneinfo import ZoneInfo

import yaml

# The readings of the text that another reader could take otherwise (see README.md).
UNSUBSCRIBING_TYPES = ("Unsubscribed", "Complained")  # messaging events that opt a channel out
NEW_CANDIDATE_NEW_WINDOW = True  # a new candidate's dedup entry starts a window of its own
SCORE_CACHE = True              # the score cache is part of the behaviour

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

CHANNEL_TYPES = ("email", "sms", "push")
ADDRESS_FIELD = {"email": "email", "sms": "phone", "push": "pushToken"}

# "US USD, UK GBP, DE FR EUR, JP JPY, IN INR, BR BRL, AU AUD"
MARKET_CURRENCY = {"US": "USD", "UK": "GBP", "DE": "EUR", "FR": "EUR",
                   "JP": "JPY", "IN": "INR", "BR": "BRL", "AU": "AUD"}
# D15: the default zone of each marketplace.
MARKET_ZONE = {"US": "America/New_York", "UK": "Europe/London", "DE": "Europe/Berlin",
               "FR": "Europe/Paris", "JP": "Asia/Tokyo", "IN": "Asia/Kolkata",
               "BR": "America/Sao_Paulo", "AU": "Australia/Sydney"}


# ------------------------------------------------------------------------------------ times

TIME_RE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
                     r"(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# An event's time lies before 9990: what follows it must still be a time that can be written.
LAST_TIME = 253_086_768_000_000

# Candidates in flight, and carts whose session runs, that one customer may have.
IN_FLIGHT_MAX = 1024
WATCHED_MAX = 1024


def parse_time(text: Any) -> Optional[int]:
    """Milliseconds since 1970, or None when it is no time (D1: the fraction is truncated)."""
    if not isinstance(text, str):
        return None
    m = TIME_RE.fullmatch(text)
    if not m:
        return None
    year, month, day, hour, minute, second = (int(m.group(i)) for i in range(1, 7))
    if not 1970 <= year <= 9999:
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    ms = (local - EPOCH) // timedelta(milliseconds=1)
    ms += int((m.group(7) or "0")[:3].ljust(3, "0"))
    if m.group(9):
        off_hours, off_minutes = int(m.group(10)), int(m.group(11))
        if off_hours > 23 or off_minutes > 59:
            return None
        offset = (off_hours * 60 + off_minutes) * MINUTE
        ms += -offset if m.group(9) == "+" else offset
    return ms if ms < LAST_TIME else None


def show_time(ms: int) -> str:
    """"Times are RFC 3339 with milliseconds, UTC"."""
    at = EPOCH + timedelta(milliseconds=ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def zone(name: Any) -> Optional[ZoneInfo]:
    """The IANA zone, or None when there is none of that name."""
    if not isinstance(name, str) or not name or len(name.encode()) > 1024:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


# ----------------------------------------------------------------------------------- hashes

def murmur2(data: bytes) -> int:
    """Kafka's murmur2, masked to 31 bits: "murmur2(customerId) & 0x7fffffff"."""
    mul, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * mul & mask
        k ^= k >> 24
        k = k * mul & mask
        h = h * mul & mask
        h ^= k
    tail = data[whole:]
    if len(tail) >= 3:
        h ^= tail[2] << 16
    if len(tail) >= 2:
        h ^= tail[1] << 8
    if len(tail) >= 1:
        h ^= tail[0]
        h = h * mul & mask
    h ^= h >> 13
    h = h * mul & mask
    h ^= h >> 15
    return h & 0x7FFFFFFF


def siphash128(data: bytes, key: bytes = bytes(16)) -> bytes:
    """SipHash-2-4 with 128 bits of output."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<QQ", key)
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(n: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(n):
            v0 = (v0 + v1) & mask
            v1 = ((v1 << 13 | v1 >> 51) & mask) ^ v0
            v0 = (v0 << 32 | v0 >> 32) & mask
            v2 = (v2 + v3) & mask
            v3 = ((v3 << 16 | v3 >> 48) & mask) ^ v2
            v0 = (v0 + v3) & mask
            v3 = ((v3 << 21 | v3 >> 43) & mask) ^ v0
            v2 = (v2 + v1) & mask
            v1 = ((v1 << 17 | v1 >> 47) & mask) ^ v2
            v2 = (v2 << 32 | v2 >> 32) & mask

    whole = len(data) // 8 * 8
    for (m,) in struct.iter_unpack("<Q", data[:whole]):
        v3 ^= m
        rounds(2)
        v0 ^= m
    last = int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56
    v3 ^= last
    rounds(2)
    v0 ^= last
    v2 ^= 0xEE
    rounds(4)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xDD
    rounds(4)
    return struct.pack("<QQ", first, v0 ^ v1 ^ v2 ^ v3)


def message_id(program_id: str, customer_id: str, cart_id: str, first_t0: int, touch: int) -> str:
    """D10: four digits of the customer's partition, then the hash of what the message is."""
    body = b""
    for part in (program_id, customer_id, cart_id):
        raw = part.encode()
        body += struct.pack("<I", len(raw)) + raw
    body += struct.pack("<qI", first_t0, touch)
    return f"{murmur2(customer_id.encode()) % 256:04x}" + siphash128(body).hex()


# ---------------------------------------------------------------------------------- decoding

class Invalid(Exception):
    """The event is not acceptable; the text says why."""


def is_number(v: Any) -> bool:
    if isinstance(v, bool) or not isinstance(v, (int, float)):
        return False
    return isinstance(v, int) and abs(v) < 1 << 1023 or abs(v) < math.inf


def is_integer(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool)


def is_id(v: Any) -> bool:
    """D2: "ids: string, 1..128 bytes, no U+0000"."""
    return isinstance(v, str) and 1 <= len(v.encode()) <= 128 and "\0" not in v


def is_text(limit: int, at_least: int = 0) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, str) and at_least <= len(v.encode()) <= limit


def is_amount(v: Any) -> bool:
    return is_number(v) and 0 <= v <= 1e12


def is_share(v: Any) -> bool:
    return is_number(v) and 0 <= v <= 1


def is_int(low: int, high: int) -> Callable[[Any], bool]:
    return lambda v: is_integer(v) and low <= v <= high


def is_currency(v: Any) -> bool:
    return isinstance(v, str) and re.fullmatch("[A-Z]{3}", v) is not None


def is_opt_out(v: Any) -> bool:
    if isinstance(v, bool):
        return True
    return isinstance(v, dict) and all(
        k in CHANNEL_TYPES and (x is None or isinstance(x, bool)) for k, x in v.items())


ITEM_FIELDS: dict[str, Callable[[Any], bool]] = {
    "id": is_id, "name": is_text(1024), "price": is_amount, "quantity": is_int(1, 1_000_000),
    "imageUrl": is_text(2048), "category": is_text(1024)}


def is_items(v: Any) -> bool:
    if not isinstance(v, list) or len(v) > 1000:
        return False
    for item in v:
        if not isinstance(item, dict):
            return False
        for name, good in ITEM_FIELDS.items():
            value = item.get(name)
            if value is None and name not in ("id", "name", "price"):
                continue
            if not good(value):
                return False
    return True


CART_FIELDS: dict[str, Callable[[Any], bool]] = {
    "customerId": is_id, "cartId": is_id, "cartValue": is_amount, "items": is_items,
    "itemCount": is_int(0, 1_000_000), "currency": is_currency,
    "abandonmentReason": is_text(1024), "marketplace": is_text(16, 1),
    "cartUrl": is_text(2048), "category": is_text(1024), "discountSensitivity": is_share}
CUSTOMER_FIELDS: dict[str, Callable[[Any], bool]] = {
    "name": is_text(1024), "email": is_text(1024), "phone": is_text(1024),
    "pushToken": is_text(1024),
    "accountStatus": lambda v: v in ("active", "suspended", "closed"),
    "paymentMethodOnFile": lambda v: isinstance(v, bool),
    "optedOut": is_opt_out, "marketplace": is_text(16, 1),
    "timezone": lambda v: zone(v) is not None, "locale": is_text(35),
    "purchaseHistory": is_int(0, 10 ** 9), "avgOrderValue": is_amount,
    "cartAbandonmentRate": is_share, "emailEngagement": is_share,
    "discountSensitivity": is_share}
MESSAGE_FIELDS: dict[str, Callable[[Any], bool]] = {
    "messageId": is_id, "reason": is_text(1024)}

# Section 2: (source, detail-type) -> the required fields, and what each field may be.
EVENT_TYPES: dict[tuple[str, str], tuple[tuple[str, ...], dict[str, Callable[[Any], bool]]]] = {
    ("ecommerce.cart", "CartAbandoned"):
        (("customerId", "cartId", "cartValue", "items"), CART_FIELDS),
    ("ecommerce.cart", "CartUpdated"): (("customerId", "cartId"), CART_FIELDS),
    ("ecommerce.cart", "CartCleared"):
        (("customerId", "cartId"), {"customerId": is_id, "cartId": is_id}),
    ("ecommerce.order", "OrderPlaced"):
        (("customerId", "orderId", "orderValue"),
         {"customerId": is_id, "orderId": is_id, "orderValue": is_amount, "cartId": is_id,
          "discountAmount": is_amount, "discountCode": is_text(1024), "currency": is_currency}),
    ("ecommerce.order", "OrderRefunded"):
        (("customerId", "orderId", "amount"),
         {"customerId": is_id, "orderId": is_id, "amount": is_amount}),
    ("ecommerce.customer", "CustomerUpdated"):
        (("customerId",), {"customerId": is_id, **CUSTOMER_FIELDS}),
    ("ecommerce.customer", "CustomerErased"): (("customerId",), {"customerId": is_id}),
    ("ecommerce.inventory", "InventoryChanged"):
        (("productId", "available"),
         {"productId": is_id,
          "available": lambda v: isinstance(v, bool) or is_int(0, 10 ** 12)(v)}),
    **{("messaging", t): (("messageId",), MESSAGE_FIELDS)
       for t in ("Delivered", "Bounced", "Opened", "Clicked", "Complained", "Unsubscribed")},
    ("messaging", "FeedbackReceived"):
        (("customerId", "rating"), {"customerId": is_id, "rating": is_int(1, 5)}),
}


@dataclass
class Event:
    """One valid event.  `type` is empty when its (source, detail-type) means nothing to us; the
    time of such an event may be none, which is -1: never ahead of the clock."""
    raw: dict[str, Any]
    source: str
    type: str
    id: Optional[str]
    time: int
    bus: Optional[str]
    detail: dict[str, Any]


def no_constant(name: str) -> Any:
    raise Invalid(f"{name} is no JSON")


def decode(line: bytes) -> Event:
    """Section 7 and D1, D2: one line to one event, or Invalid."""
    if len(line) > 1 << 20:
        raise Invalid("over 1 MiB")
    try:
        raw = json.loads(line.decode("utf-8"), parse_constant=no_constant)
    except UnicodeDecodeError:
        raise Invalid("not UTF-8") from None
    except (ValueError, RecursionError):
        raise Invalid("not JSON") from None
    if not isinstance(raw, dict):
        raise Invalid("not an object")
    source, detail_type, detail = raw.get("source"), raw.get("detail-type"), raw.get("detail")
    if not isinstance(source, str) or not source:
        raise Invalid("source: a non-empty string is required")
    if not isinstance(detail_type, str) or not detail_type:
        raise Invalid("detail-type: a non-empty string is required")
    if not isinstance(detail, dict):
        raise Invalid("detail: an object is required")

    # "T0: detail.timestamp, else the envelope's time"; D1 has it so for every event.
    told = detail.get("timestamp") if detail.get("timestamp") is not None else raw.get("time")
    when = parse_time(told)
    bus = raw.get("eventBusName")
    if bus is not None and not isinstance(bus, str):
        raise Invalid("eventBusName: not a string")

    if (source, detail_type) not in EVENT_TYPES:
        # D1: "times of unknown types move the clock if valid and are not errors if not"
        return Event(raw, source, "", None, -1 if when is None else when, bus, detail)

    for value in (raw.get("time"), detail.get("timestamp")):
        if value is not None and parse_time(value) is None:
            raise Invalid("not a time")
    if when is None:
        raise Invalid("no time")
    event_id = raw.get("id")
    if event_id is not None and not is_id(event_id):
        raise Invalid("id")
    required, fields = EVENT_TYPES[(source, detail_type)]
    for name in required:
        if detail.get(name) is None:
            raise Invalid(f"{name} is required")
    clean: dict[str, Any] = {}
    for name, good in fields.items():
        if name not in detail:
            continue
        value = detail[name]
        if value is None:
            # D2: null means absent, but in CustomerUpdated it removes the field.
            if detail_type == "CustomerUpdated":
                clean[name] = None
            continue
        if not good(value):
            raise Invalid(f"{name} is not acceptable")
        clean[name] = value
    return Event(raw, source, detail_type, event_id, when, bus, clean)


# ---------------------------------------------------------------------------------- patterns

ABSENT = object()


def same_value(want: Any, have: Any) -> bool:
    """Numbers equal as numbers; a boolean is never a number."""
    if is_number(want) and is_number(have):
        return float(want) == float(have)
    return type(want) is type(have) and want == have


def rule_holds(rule: Any, have: Any) -> bool:
    """One element of a pattern's list against one value (or ABSENT)."""
    if isinstance(rule, dict):
        (op, arg), = rule.items()
        if op == "exists":
            return (have is not ABSENT) == arg
        if have is ABSENT:
            return False
        if op == "prefix":
            return isinstance(have, str) and have.startswith(arg)
        if op == "anything-but":
            if isinstance(arg, dict):
                return isinstance(have, str) and not rule_holds(arg, have)
            wanted = arg if isinstance(arg, list) else [arg]
            return not any(same_value(w, have) for w in wanted)
        if op == "numeric":
            if not is_number(have):
                return False
            tests = {"=": lambda a, b: a == b, "<": lambda a, b: a < b,
                     "<=": lambda a, b: a <= b, ">": lambda a, b: a > b,
                     ">=": lambda a, b: a >= b}
            return all(tests[arg[i]](float(have), float(arg[i + 1]))
                       for i in range(0, len(arg), 2))
        raise ValueError(f"pattern operator {op} is not modelled")
    return have is not ABSENT and same_value(rule, have)


def leaf_matches(rules: list[Any], have: Any, plain: bool) -> bool:
    # "a two-number ascending list such as [50, 999999] is an inclusive range"
    if plain and len(rules) == 2 and all(is_number(r) for r in rules) and rules[0] < rules[1]:
        values = have if isinstance(have, list) else [have]
        return any(is_number(v) and rules[0] <= v <= rules[1] for v in values)
    values = (have or [ABSENT]) if isinstance(have, list) else [have]
    return any(rule_holds(rule, v) for rule in rules for v in values)


def pattern_matches(pattern: dict[str, Any], have: Any, plain: bool = True) -> bool:
    """EventBridge semantics; `plain` when two numbers are a range (eventPattern)."""
    if isinstance(have, list):
        return any(pattern_matches(pattern, one, plain) for one in have)
    for key, sub in pattern.items():
        value = have.get(key, ABSENT) if isinstance(have, dict) else ABSENT
        if isinstance(sub, dict):
            if not pattern_matches(sub, value, plain):
                return False
        elif not leaf_matches(sub, value, plain):
            return False
    return True


# ------------------------------------------------------------------------------------- model

class Model:
    """D5: a logistic model in its file's own arithmetic order."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.name: str = text["name"]
        self.version: Any = text["version"]
        self.bias: float = float(text["bias"])
        self.features: list[dict[str, Any]] = text["features"]

    @property
    def identity(self) -> str:
        return f"{self.name}@{self.version}"

    def intent(self, known: dict[str, Any]) -> float:
        """`known` has only what is known; p = 1 / (1 + exp(-sum))."""
        total = self.bias
        for f in self.features:
            value = known.get(f["name"])
            if "weights" in f:
                weights: dict[str, float] = f["weights"]
                total += float(weights[value] if value in weights else f.get("other", 0.0))
                continue
            if value is None:
                x = float(f.get("missing", 0.0))
            else:
                x = float(value)
                if f.get("min") is not None:
                    x = max(x, float(f["min"]))
                if f.get("max") is not None:
                    x = min(x, float(f["max"]))
            t = math.log1p(x) if f.get("transform") == "log1p" else x
            total += (float(f["weight"]) * (t - float(f.get("center", 0.0)))
                      / float(f.get("scale", 1.0)))
        if total < -700:
            return 0.0
        return 1.0 / (1.0 + math.exp(-total))


# ---------------------------------------------------------------------------------- programs

@dataclass
class Channel:
    id: str
    type: str
    number: int
    delay: int
    includes_discount: bool


@dataclass
class Filter:
    id: str
    type: str
    parameters: dict[str, Any]


CAP_KEYS = (("maxRecoveryEmailsPerWeek", "email"), ("maxRecoverySmsPerWeek", "sms"),
            ("maxRecoveryPushPerWeek", "push"), ("maxRecoveryMessagesPerWeek", None))


class Program:
    """Section 3: one YAML file."""

    def __init__(self, text: dict[str, Any], models: dict[str, Model]) -> None:
        self.id: str = text["programId"]
        self.enabled: bool = text.get("enabled", True)
        self.marketplaces: Optional[list[str]] = text.get("marketplaces")
        self.sources: list[dict[str, Any]] = [s["config"] for s in text.get("eventSources", [])]
        scoring = text["scoringModels"][0]
        self.model = models[scoring["endpoint"].split("://", 1)[1]]

        # "runs in `order`"
        chain = sorted(text.get("filterChain", []), key=lambda f: f["order"])
        self.filters = [Filter(f["filterId"], f["type"], f.get("parameters") or {})
                        for f in chain]

        # "touch numbers in the order of their delays; `priority` breaks ties";
        # D16: a channel with `enabled: false` has no touch and takes no number.
        listed = []
        for place, c in enumerate(text["channels"]):
            config = c.get("config") or {}
            delay = (config["delayMinutes"] * MINUTE if "delayMinutes" in config
                     else config["delayHours"] * HOUR)
            if c.get("enabled", True):
                listed.append((round(delay), c.get("priority", 0), place, c, config))
        listed.sort(key=lambda x: x[:3])
        self.channels = [Channel(c["channelId"], c["type"], n + 1, delay,
                                 config.get("includeDiscount", True) is not False)
                         for n, (delay, _, _, c, config) in enumerate(listed)]

        # D7: "discountStrategy absent = enabled false"
        discount = text.get("discountStrategy") or {"enabled": False}
        self.discount_enabled: bool = discount.get("enabled", True)
        self.discount_default: float = discount.get("defaultDiscount", 0)
        self.discount_dynamic: bool = discount.get("dynamicDiscounting", False)
        self.discount_max: float = discount.get("maxDiscount", self.discount_default)
        self.discount_step: float = discount.get("discountStep", 5)

        dedup = text.get("deduplication") or {}
        self.dedup_enabled: bool = dedup.get("enabled", True)
        self.dedup_window: int = round(dedup.get("ttlDays", 7) * DAY)
        self.key_format: str = dedup.get("keyFormat", "{customerId}:{cartId}:{programId}")
        self.candidate_ttl: int = round(text.get("candidateTTLDays", 7) * DAY)

        self.on_reabandon: str = text.get("onReabandon", "restart")
        self.on_new_cart: str = text.get("onNewCart", "supersede")
        detection = text.get("abandonmentDetection") or {}
        timeout = detection.get("sessionTimeoutMinutes")
        self.session_timeout: Optional[int] = None if timeout is None else round(timeout * MINUTE)

        # "default 60, or the smallest distance between two touches of the program if that is
        # less"
        delays = [c.delay for c in self.channels]
        distances = [b - a for a, b in zip(delays, delays[1:])]
        gap = text.get("minGapMinutes")
        self.min_gap: int = (round(gap * MINUTE) if gap is not None
                             else min([60 * MINUTE] + distances))

        quiet = text.get("quietHours")
        self.quiet: Optional[tuple[time, time]] = None
        if quiet:
            self.quiet = (time.fromisoformat(quiet["start"]), time.fromisoformat(quiet["end"]))
        self.holdout_percent: float = text.get("holdoutPercent", 0)

    def sees(self, event: dict[str, Any], bus: Optional[str]) -> bool:
        """"Match the event against each program's pattern"; "an event that names a bus reaches
        that bus's programs, one that names none reaches all"; a disabled program "matches
        nothing"."""
        if not self.enabled:
            return False
        for config in self.sources:
            if bus is not None and config.get("eventBusName") != bus:
                continue
            plain = "eventPattern" in config
            pattern = config["eventPattern"] if plain else config["awsEventPattern"]
            if pattern_matches(pattern, event, plain):
                return True
        return False

    def dedup_key(self, customer_id: str, cart_id: str) -> str:
        values = {"customerId": customer_id, "cartId": cart_id, "programId": self.id}
        return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], self.key_format)

    def holds_out(self, customer_id: str) -> bool:
        """D11."""
        share = murmur2(self.id.encode() + b"\0" + customer_id.encode()) % 10000
        return share < round(self.holdout_percent * 100)

    def caps(self, marketplace: Optional[str]) -> Iterable[tuple[Filter, Optional[str], float]]:
        """Every cap of the chain: (its filter, channel type or None for all, the number)."""
        for f in self.filters:
            for cap in caps_of(f, marketplace):
                yield (f, *cap)


def by_market(value: Any, marketplace: Optional[str]) -> Any:
    """"numbers, or a map by marketplace"; no entry for it: None."""
    return value.get(marketplace) if isinstance(value, dict) else value


def caps_of(f: Filter, marketplace: Optional[str]) -> list[tuple[Optional[str], float]]:
    """D17: in the order emails, sms, push, messages; "absent means no cap"."""
    found = []
    for key, channel in CAP_KEYS:
        cap = by_market(f.parameters.get(key), marketplace)
        if cap is not None:
            found.append((channel, cap))
    return found


# ------------------------------------------------------------------------------------- facts

@dataclass
class Told:
    """One value of one profile field (None: removed), or of one product's stock."""
    time: int
    arrival: int
    value: Any


@dataclass
class Order:
    time: int
    arrival: int
    seen: int               # the clock when it arrived
    order_id: str
    cart_id: Optional[str]
    value: float
    currency: Optional[str]


@dataclass
class CartFact:
    """A CartCleared, a CartUpdated or the shop's CartAbandoned."""
    time: int
    seen: int
    cart_id: str
    detail: dict[str, Any] = field(default_factory=dict)
    late: bool = False      # a CartUpdated that was older than another when it arrived

    @property
    def has_content(self) -> bool:
        return "cartValue" in self.detail and "items" in self.detail


@dataclass
class Abandonment:
    """A CartAbandoned on its way through one or more programs."""
    t0: int
    cart_id: str
    detail: dict[str, Any]

    @property
    def content(self) -> tuple[Any, ...]:
        """"Same content = same items (id, price, quantity, in order, compared as numbers) and
        same cartValue"; D2: an absent quantity is 1."""
        items = tuple((i["id"], float(i["price"]), quantity(i)) for i in self.detail["items"])
        return (float(self.detail["cartValue"]), items)


def quantity(item: dict[str, Any]) -> int:
    q = item.get("quantity")
    return 1 if q is None else q


@dataclass
class DedupEntry:
    """What an accepted abandonment leaves behind."""
    until: int              # the end of its window, by the clock
    t0: int
    content: tuple[Any, ...]


@dataclass
class CachedScore:
    until: int
    model: str
    content: tuple[Any, ...]
    intent: float


@dataclass
class Touch:
    channel: Channel
    due: int
    done: bool = False
    sent_at: Optional[int] = None
    message_id: Optional[str] = None
    announced: float = 0    # the percent that its message carried
    told: dict[str, int] = field(default_factory=dict)   # messaging type -> its own time

    @property
    def number(self) -> int:
        return self.channel.number

    @property
    def sent_time(self) -> int:
        """The send of a touch that was sent."""
        assert self.sent_at is not None
        return self.sent_at


@dataclass
class Candidate:
    program: Program
    cart_id: str
    first_t0: int
    t0: int
    event: Abandonment
    currency: Optional[str]
    holdout: bool
    discount: float = 0
    touches: list[Touch] = field(default_factory=list)
    ended: Optional[int] = None     # the clock at its end

    @property
    def in_flight(self) -> bool:
        return self.ended is None

    @property
    def expires(self) -> int:
        return self.t0 + self.program.candidate_ttl

    @property
    def pending(self) -> list[Touch]:
        return [t for t in self.touches if not t.done]


@dataclass
class SessionTimer:
    due: int
    detail: dict[str, Any]


@dataclass
class Timer:
    """Something that will happen; `key` is D8's order at one instant of one customer."""
    due: int
    key: tuple[int, bytes, bytes, int, int]
    fire: Callable[[], None]


class Customer:
    """Everything ever told about one customer."""

    def __init__(self, customer_id: str) -> None:
        self.id = customer_id
        self.exists = False
        self.profile: list[tuple[str, Told]] = []      # (field or "optedOut.email", value)
        self.orders: list[Order] = []
        self.cleared: list[CartFact] = []
        self.updated: list[CartFact] = []
        self.abandoned: list[CartFact] = []            # the shop's own, for the session timer
        self.abandonments = 0                          # D4's A
        self.seen_ids: list[tuple[str, str, int]] = []
        self.entries: dict[str, DedupEntry] = {}
        self.scores: dict[str, CachedScore] = {}
        self.candidates: list[Candidate] = []
        self.sessions: dict[tuple[str, str], SessionTimer] = {}

    # -- profile

    def standing(self, name: str) -> Optional[Told]:
        """"per profile field (and opted-out channel) ... the value with the latest `time`
        stands, on a tie the later arrival"."""
        best: Optional[Told] = None
        for told_name, told in self.profile:
            if told_name == name and (best is None or told.time >= best.time):
                best = told
        return best

    def value(self, name: str) -> Any:
        told = self.standing(name)
        return None if told is None else told.value

    def opted_out(self, channel: str) -> bool:
        return self.value("optedOut." + channel) is True

    def address(self, channel: str) -> Any:
        """"Address: email, phone, pushToken"."""
        return self.value(ADDRESS_FIELD[channel])

    # -- what was sent

    def all_touches(self) -> list[Touch]:
        return [t for c in self.candidates for t in c.touches]

    def sent(self) -> list[Touch]:
        return [t for t in self.all_touches() if t.sent_at is not None]

    def in_flight(self) -> list[Candidate]:
        """Those in flight, by program, then cart (bytes)."""
        found = [c for c in self.candidates if c.in_flight]
        return sorted(found, key=lambda c: (c.program.id.encode(), c.cart_id.encode()))


# ------------------------------------------------------------------------------------ replay

@dataclass
class Line:
    at: int
    customer: Optional[bytes]       # None for `invalid`
    fields: dict[str, Any]


def shortest(x: float) -> float:
    """150 and not 150.0."""
    return int(x) if isinstance(x, float) and x.is_integer() else x


class Replay:
    """The clock, the customers and the lines."""

    def __init__(self, programs: list[Program]) -> None:
        # D8: "Order of programs within one event or instant: by programId bytes."
        self.programs = sorted((p for p in programs if p.enabled), key=lambda p: p.id.encode())
        self.now = 0
        self.arrivals = 0
        self.customers: dict[str, Customer] = {}
        self.stock: list[tuple[str, Told]] = []
        self.seen_product_ids: list[tuple[str, str, int]] = []
        # A cart is forgotten when no program asks for the last fact about it any more.
        self.cart_memory = max([7 * DAY] + [max(p.dedup_window, p.candidate_ttl)
                                            for p in self.programs])
        self.watches_sessions = any(p.session_timeout is not None for p in self.programs)
        self.lines: list[Line] = []

    # -- input

    def feed_line(self, raw: bytes, file: str, number: int) -> None:
        try:
            event = decode(raw)
        except Invalid as why:
            # "`at` is the clock, no ids, sorted first"
            self.lines.append(Line(self.now, None, {
                "at": show_time(self.now), "kind": "invalid", "file": file, "line": number,
                "reason": str(why)}))
            return
        self.feed(event)

    def feed(self, event: Event) -> None:
        if event.time > self.now:
            # "the clock is the running maximum of their T0 or `time`; timers fire between
            # events"; "At one instant of the clock all events come before timers"
            self.fire_timers(lambda due, instant: instant < event.time)
            self.now = event.time
        if not event.type:
            return      # "Unknown event types are counted and ignored."
        self.arrivals += 1
        self.apply(event)

    def finish(self, until: Optional[int] = None) -> None:
        """"after the last, until none is left (or `--until TIME`)"."""
        self.fire_timers(lambda due, instant: until is None or due <= until)

    def output(self) -> list[str]:
        """"Order of lines: by time, then customerId (bytes), then the order in which one
        customer's events and timers happened"; invalid lines first at their instant."""
        ordered = sorted(self.lines, key=lambda x: (x.at, x.customer is not None,
                                                    x.customer or b""))
        return [json.dumps(x.fields, ensure_ascii=False, separators=(",", ":"))
                for x in ordered]

    def emit(self, customer: Customer, kind: str, program: Program, cart_id: str,
             **more: Any) -> None:
        fields = {"at": show_time(self.now), "kind": kind, "program": program.id,
                  "customerId": customer.id, "cartId": cart_id, **more}
        self.lines.append(Line(self.now, customer.id.encode(), fields))

    # -- timers

    def timers(self) -> list[Timer]:
        found: list[Timer] = []
        for cu in self.customers.values():
            for (program_id, cart_id), s in cu.sessions.items():
                found.append(Timer(
                    s.due, (s.due, program_id.encode(), cart_id.encode(), 0, 0),
                    partial(self.session_runs_out, cu, (program_id, cart_id))))
            for ca in cu.candidates:
                if not ca.in_flight:
                    continue
                where = (ca.program.id.encode(), ca.cart_id.encode())
                # D8: "expiry counts as touch 0; the session timer ... before an expiry"
                found.append(Timer(ca.expires, (ca.expires, *where, 0, 1),
                                   partial(self.expire, cu, ca)))
                for t in ca.pending:
                    found.append(Timer(t.due, (t.due, *where, t.number, 0),
                                       partial(self.fire_touch, cu, ca, t)))
        return found

    def fire_timers(self, wanted: Callable[[int, int], bool]) -> None:
        """Fire, one after the other, every timer that `wanted(due, instant)` takes.

        A timer fires at its due time; one that was overdue when it was made, at the present
        instant (D8), in the order of its own due time.
        """
        while True:
            best: Optional[Timer] = None
            for t in self.timers():
                instant = max(t.due, self.now)
                if not wanted(t.due, instant):
                    continue
                if best is None or (instant, t.key) < (max(best.due, self.now), best.key):
                    best = t
            if best is None:
                return
            self.now = max(best.due, self.now)
            best.fire()

    # -- events

    def customer(self, customer_id: str) -> Customer:
        if customer_id not in self.customers:
            self.customers[customer_id] = Customer(customer_id)
        return self.customers[customer_id]

    def repeated(self, seen: list[tuple[str, str, int]], event: Event) -> bool:
        """"the same (source, id) of a customer within 7 days changes nothing"; D3: by the clock,
        from the first arrival; no id: no check."""
        if event.id is None:
            return False
        for source, event_id, when in seen:
            if (source, event_id) == (event.source, event.id) and self.now < when + 7 * DAY:
                return True
        seen.append((event.source, event.id, self.now))
        return False

    def apply(self, event: Event) -> None:
        d = event.detail
        if event.type == "InventoryChanged":
            # D3: "Product events: (source,id) likewise, globally."
            if not self.repeated(self.seen_product_ids, event):
                self.stock.append((d["productId"], Told(event.time, self.arrivals,
                                                        d["available"])))
            return
        if event.source == "messaging" and event.type != "FeedbackReceived":
            self.messaging(event)
            return
        cu = self.customer(d["customerId"])
        if self.repeated(cu.seen_ids, event):
            return
        if event.type == "CartAbandoned":
            self.cart_abandoned(cu, event)
        elif event.type == "CartUpdated":
            self.cart_updated(cu, event)
        elif event.type == "CartCleared":
            self.cart_cleared(cu, event)
        elif event.type == "OrderPlaced":
            self.order_placed(cu, event)
        elif event.type == "CustomerUpdated":
            self.customer_updated(cu, event)
        elif event.type == "CustomerErased":
            self.customer_erased(cu, event)
        # OrderRefunded and FeedbackReceived are for the reports alone.

    # -- what is remembered

    def remembered(self, fact: Any, program: Program) -> bool:
        """"Both are remembered for the dedup window"; and as long as a candidate of theirs could
        live, else a journey could be reminded after its order."""
        return self.now < fact.time + max(program.dedup_window, program.candidate_ttl)

    def forget_cart(self, cu: Customer, cart_id: str) -> None:
        """What was told of a cart is forgotten when the last of it counts for no program any
        more and no session of it runs."""
        if any(key[1] == cart_id for key in cu.sessions):
            return
        facts: list[Any] = [f for f in cu.updated + cu.cleared if f.cart_id == cart_id]
        facts += [o for o in cu.orders if o.cart_id == cart_id]
        if self.watches_sessions:
            facts += [f for f in cu.abandoned if f.cart_id == cart_id]
        if any(self.now < f.time + self.cart_memory for f in facts):
            return
        cu.updated = [f for f in cu.updated if f.cart_id != cart_id]
        cu.cleared = [f for f in cu.cleared if f.cart_id != cart_id]
        cu.abandoned = [f for f in cu.abandoned if f.cart_id != cart_id]

    def purchased(self, cu: Customer, program: Program, cart_id: str, since: int) -> bool:
        """"Purchased: an OrderPlaced of this cart, or of this customer without cartId, at or
        after T0. An order of another cart does not count."""
        return any(o.time >= since and o.cart_id in (None, cart_id)
                   and self.remembered(o, program) for o in cu.orders)

    def cleared(self, cu: Customer, program: Program, cart_id: str, since: int) -> bool:
        """"CartCleared at or after T0"."""
        return any(f.time >= since and f.cart_id == cart_id and self.remembered(f, program)
                   for f in cu.cleared)

    def updated_after(self, cu: Customer, program: Program, cart_id: str, since: int) -> bool:
        """"CartUpdated after T0"."""
        return any(f.time > since and f.cart_id == cart_id and self.remembered(f, program)
                   for f in cu.updated)

    def in_stock(self, item: dict[str, Any]) -> bool:
        """"In stock: count >= the item's quantity (1 when not told)"; "an unknown product counts
        as in stock"; "per product, the value with the latest `time` stands"."""
        best: Optional[Told] = None
        for product_id, told in self.stock:
            if product_id == item["id"] and (best is None or told.time >= best.time):
                best = told
        if best is None:
            return True
        if isinstance(best.value, bool):
            return best.value           # D2: true is unlimited, false is 0
        return best.value >= quantity(item)

    def marketplace(self, cu: Customer, event: Abandonment) -> Optional[str]:
        """"Marketplace: the event's, else the profile's"."""
        told = event.detail.get("marketplace")
        return told if told is not None else cu.value("marketplace")

    # -- the pipeline

    def cart_abandoned(self, cu: Customer, event: Event) -> None:
        ab = Abandonment(event.time, event.detail["cartId"], event.detail)
        # D9: "A CartAbandoned from the shop for that cart with T0 >= the last CartUpdated's time
        # disarms it too."
        self.forget_cart(cu, ab.cart_id)
        cu.abandoned.append(CartFact(event.time, self.now, ab.cart_id))
        self.disarm(cu, lambda cart_id: cart_id == ab.cart_id, event.time)
        for program in self.programs:
            if program.sees(event.raw, event.bus):
                self.run(cu, program, ab)
        cu.abandonments += 1            # D4: "before the current one"

    def run(self, cu: Customer, program: Program, ab: Abandonment) -> None:
        """Steps 2 to 7 of section 4 for one program whose pattern matched."""
        key = program.dedup_key(cu.id, ab.cart_id)
        entry = cu.entries.get(key)
        if entry is not None and self.now >= entry.until:
            entry = None                # outside the window
        flying = [c for c in cu.in_flight() if c.program is program]
        mine = next((c for c in flying if c.cart_id == ab.cart_id), None)

        # "Inside the window, the same cart again with the same content, or with a T0 not later
        # than the known one, is a `duplicate`."
        if program.dedup_enabled and entry is not None:
            if entry.content == ab.content or ab.t0 <= entry.t0:
                self.emit(cu, "duplicate", program, ab.cart_id)
                return
        # "Abandoned again ... and a T0 later than the candidate's, while it is in flight (not
        # later: `duplicate`)"; "`ignore`: `duplicate`". D13: both before the filters.
        if mine is not None and (ab.t0 <= mine.t0 or program.on_reabandon == "ignore"):
            self.emit(cu, "duplicate", program, ab.cart_id)
            return

        # "Another cart of the customer in flight in the same program"; D12: not with `parallel`.
        other: Optional[Candidate] = None
        if mine is None and program.on_new_cart == "supersede" and flying:
            other = flying[0]
        superseded = other if other is not None and ab.t0 >= other.t0 else None

        verdict = self.first_rejection(cu, program, ab, mine or superseded)
        if verdict is not None:
            self.emit(cu, "rejected", program, ab.cart_id, filter=verdict[0], reason=verdict[1])
            if mine is not None:
                mine.ended = self.now  # "a rejection ends the candidate as `rejected`"
            return

        if superseded is not None:
            # "the cart with the later T0 goes on (on a tie the later arrival), the other is
            # `superseded` (its line before the new candidate's)"
            superseded.ended = self.now
            self.emit(cu, "superseded", program, superseded.cart_id)
        elif other is not None:
            # "a late older one prints only `superseded`, never becomes a candidate and leaves
            # no entry"
            self.emit(cu, "superseded", program, ab.cart_id)
            return

        if mine is None and len(cu.in_flight()) >= IN_FLIGHT_MAX:
            return      # refused: a bound on state was reached

        known = self.features(cu, ab)
        intent = self.score(cu, program, ab, known)
        discount = self.discount(program, intent, known)
        more: dict[str, Any] = {}
        market = self.marketplace(cu, ab)
        # D18: the event's currency, else the marketplace's default
        currency = ab.detail.get("currency") or MARKET_CURRENCY.get(market or "")
        if mine is not None:
            ca = mine
            # "A discount once announced is never lowered."
            announced = max([t.announced for t in ca.touches], default=0)
            ca.discount = max(discount, announced)
            ca.event = ab               # "`restart`: new content"; "`update`: new content"
            ca.currency = currency
            if program.on_reabandon == "restart":
                # "T0 becomes the new one, touches not yet done are due at the new T0 plus their
                # delay, done ones are not repeated"; "`update`: ... T0 and all times stay"
                ca.t0 = ab.t0
                for t in ca.pending:
                    t.due = ab.t0 + t.channel.delay
            more["updated"] = True
        else:
            ca = Candidate(program, ab.cart_id, ab.t0, ab.t0, ab, currency,
                           program.holds_out(cu.id), discount)
            if not ca.holdout:          # D11: a held-out candidate has no touches
                # "Schedule each touch at T0 plus its delay."
                ca.touches = [Touch(c, ab.t0 + c.delay) for c in program.channels]
            cu.candidates.append(ca)
        if ca.holdout:
            more["holdout"] = True
        self.leave_entry(cu, program, key, entry, ab, is_new=mine is None)

        touches = [{"touch": t.number, "channel": t.channel.id, "due": show_time(t.due)}
                   for t in ca.pending]
        self.emit(cu, "candidate", program, ab.cart_id, score=shortest(round(intent, 4)),
                  confidence=self.confidence(known), discountPercent=shortest(ca.discount),
                  touches=touches, **more)

    def leave_entry(self, cu: Customer, program: Program, key: str,
                    entry: Optional[DedupEntry], ab: Abandonment, is_new: bool) -> None:
        """"An accepted abandonment (one that became a candidate) leaves a dedup entry; its
        window [t, t + ttlDays) counts by the clock from that first acceptance."""
        if not program.dedup_enabled:
            return
        if entry is None or (is_new and NEW_CANDIDATE_NEW_WINDOW):
            cu.entries[key] = DedupEntry(self.now + program.dedup_window, ab.t0, ab.content)
        else:
            entry.t0, entry.content = ab.t0, ab.content

    # -- filters

    def first_rejection(self, cu: Customer, program: Program, ab: Abandonment,
                        leaving: Optional[Candidate]) -> Optional[tuple[str, str]]:
        """"`filterChain[]` runs in `order`; the first failure is the reason".  `leaving` is the
        candidate "that would be superseded or re-abandoned"."""
        for f in program.filters:
            if f.type == "trust":
                reason = self.trust(cu, f)
            elif f.type == "eligibility":
                reason = self.eligibility(cu, program, ab)
            else:
                reason = self.business_rule(cu, f, ab, leaving)
            if reason is not None:
                return (f.id, reason)
        return None

    def trust(self, cu: Customer, f: Filter) -> Optional[str]:
        # "a customer exists once a CustomerUpdated was seen; a status never told counts as
        # active, a payment method never told as none"
        if not cu.exists:
            return None if f.parameters.get("allowUnknown", False) else "unknown-customer"
        if cu.value("accountStatus") not in (None, "active"):
            return "account-not-active"
        if f.parameters.get("requirePaymentMethod", True):
            if cu.value("paymentMethodOnFile") is not True:
                return "no-payment-method"
        return None

    def eligibility(self, cu: Customer, program: Program, ab: Abandonment) -> Optional[str]:
        # "Eligibility checks in the order of this list."; "Filters use the abandonment's own T0."
        if self.purchased(cu, program, ab.cart_id, ab.t0):
            return "purchased"
        if (self.cleared(cu, program, ab.cart_id, ab.t0)
                or self.updated_after(cu, program, ab.cart_id, ab.t0)):
            return "cart-not-active"
        if self.now >= ab.t0 + program.candidate_ttl:
            return "cart-expired"       # "now >= T0 + candidateTTLDays"
        market = self.marketplace(cu, ab)
        if market is not None and program.marketplaces is not None:
            if market not in program.marketplaces:
                return "marketplace"    # "none told passes, one not listed rejects"
        reachable = [c for c in program.channels if cu.address(c.type) is not None]
        if not reachable:
            return "no-address"         # "None on any enabled channel"
        if all(cu.opted_out(c.type) for c in reachable):
            return "opted-out"          # "some, but each such channel opted out"
        return None

    def business_rule(self, cu: Customer, f: Filter, ab: Abandonment,
                      leaving: Optional[Candidate]) -> Optional[str]:
        """"A `business-rule` is known by its parameters"."""
        market = self.marketplace(cu, ab)
        minimum = by_market(f.parameters.get("minCartValue"), market)
        if minimum is not None and ab.detail["cartValue"] < minimum:
            return "below-minimum"
        for channel, cap in caps_of(f, market):
            # "e-mails sent after now - 7 days plus e-mail touches still pending of the customer's
            # other candidates in flight (not of the one that would be superseded or
            # re-abandoned) >= the cap rejects"
            pending = sum(1 for c in cu.in_flight() if c is not leaving
                          for t in c.pending if channel in (None, t.channel.type))
            if self.sent_this_week(cu, channel) + pending >= cap:
                return "frequency-cap"
        if f.parameters.get("requireInStock", False):
            if not all(self.in_stock(i) for i in ab.detail["items"]):
                return "out-of-stock"   # "(`requireInStock`: every item)"
        return None

    def sent_this_week(self, cu: Customer, channel: Optional[str]) -> int:
        """"trailing 7 days over all programs": sent after now - 7 days."""
        return sum(1 for t in cu.sent() if t.sent_time > self.now - 7 * DAY
                   and channel in (None, t.channel.type))

    # -- features, score, discount

    def features(self, cu: Customer, ab: Abandonment) -> dict[str, Any]:
        """D4.  Only what is known is in the answer."""
        known: dict[str, Any] = {}

        def counted(name: str) -> list[Order]:
            # "orders with time > the time it was told (all, when never told); counting restarts
            # ... whenever it is told anew" (a removal restarts it as well)
            told = cu.standing(name)
            return [o for o in cu.orders if told is None
                    or (o.arrival > told.arrival and o.time > told.time)]

        history = cu.value("purchaseHistory")
        n = len(counted("purchaseHistory"))
        if history is not None or n:
            known["purchase_history"] = (history or 0) + n

        average = cu.value("avgOrderValue")
        orders = counted("avgOrderValue")
        weight = 0 if average is None else (history if history else 1)
        if weight + len(orders) > 0:
            known["avg_order_value"] = (((average or 0) * weight + sum(o.value for o in orders))
                                        / (weight + len(orders)))

        rate = cu.value("cartAbandonmentRate")
        a, o = cu.abandonments, len(cu.orders)
        if rate is not None:
            known["cart_abandonment_rate"] = rate
        elif a + o > 0:
            known["cart_abandonment_rate"] = a / (a + o)

        engagement = cu.value("emailEngagement")
        mails = [t for t in cu.sent() if t.channel.type == "email"]
        if engagement is not None:
            known["email_engagement"] = engagement
        elif mails:
            engaged = [t for t in mails if "Opened" in t.told or "Clicked" in t.told]
            known["email_engagement"] = len(engaged) / len(mails)

        # "s the discountSensitivity (cart's, else customer's, ...)"
        s = ab.detail.get("discountSensitivity")
        if s is None:
            s = cu.value("discountSensitivity")
        if s is not None:
            known["discount_sensitivity"] = s

        known["cart_value"] = ab.detail["cartValue"]
        count = ab.detail.get("itemCount")
        known["item_count"] = (count if count is not None
                               else sum(quantity(i) for i in ab.detail["items"]))
        category = ab.detail.get("category")
        if category is None:
            category = next((i["category"] for i in ab.detail["items"]
                             if i.get("category") is not None), None)
        if category is not None:
            known["category"] = category
        return known

    @staticmethod
    def confidence(known: dict[str, Any]) -> str:
        """D6."""
        n = sum(1 for f in ("purchase_history", "avg_order_value", "cart_abandonment_rate",
                            "email_engagement") if f in known)
        return "HIGH" if n == 4 else "MEDIUM" if n >= 2 else "LOW"

    def score(self, cu: Customer, program: Program, ab: Abandonment,
              known: dict[str, Any]) -> float:
        """"The score is cached under `customerId:cartId` for 7 days; model version and content
        are part of the value, a mismatch is a miss."""
        cached = cu.scores.get(ab.cart_id)
        if SCORE_CACHE and cached is not None:
            if (self.now < cached.until and cached.model == program.model.identity
                    and cached.content == ab.content):
                return cached.intent
        intent = program.model.intent(known)
        cu.scores[ab.cart_id] = CachedScore(self.now + 7 * DAY, program.model.identity,
                                            ab.content, intent)
        return intent

    @staticmethod
    def discount(program: Program, p: float, known: dict[str, Any]) -> float:
        """"default + (max - default) x clamp((s(1 - p) - 0.2) / 0.6, 0, 1), to the nearest
        multiple of `discountStep` (5; ties down), never above max"."""
        if not program.discount_enabled:
            return 0                    # "discount 0 and no code"
        if not program.discount_dynamic:
            return program.discount_default
        s = known.get("discount_sensitivity", 0.5)
        x = min(max((s * (1 - p) - 0.2) / 0.6, 0.0), 1.0)
        low, high, step = program.discount_default, program.discount_max, program.discount_step
        raw = low + (high - low) * x
        multiples = math.floor(raw / step)
        if raw / step - multiples > 0.5:
            multiples += 1
        # D7: "at most the largest multiple that is <= maxDiscount"
        return shortest(min(multiples, math.floor(high / step)) * step)

    # -- a touch's time

    def fire_touch(self, cu: Customer, ca: Candidate, t: Touch) -> None:
        program, channel = ca.program, t.channel

        def line(outcome: str, **more: Any) -> None:
            self.emit(cu, "touch", program, ca.cart_id, touch=t.number, channel=channel.id,
                      outcome=outcome, **more)

        def skip(reason: str) -> None:
            t.done = True
            line("skipped", reason=reason)

        def defer(reason: str, until: int) -> None:
            t.due = until
            line("deferred", reason=reason, until=show_time(until))

        # "when a touch fires (due <= now) and a later touch of the same candidate is due too, the
        # earlier is skipped as `late`"
        if any(later.number > t.number and later.due <= self.now for later in ca.pending):
            skip("late")
            return
        if cu.opted_out(channel.type):
            skip("opted-out")
            return
        if cu.address(channel.type) is None:
            skip("no-address")
            return
        # "At the touch: sent after now - 7 days >= the cap skips."; D17: its own channel's cap and
        # that of all messages
        market = self.marketplace(cu, ca.event)
        for _, kind, cap in program.caps(market):
            if kind in (None, channel.type) and self.sent_this_week(cu, kind) >= cap:
                skip("frequency-cap")
                return
        if any(f.parameters.get("requireInStock", False) for f in program.filters):
            if not all(self.in_stock(i) for i in ca.event.detail["items"]):
                skip("out-of-stock")
                return
        # "less than `minGapMinutes` since the customer's last sent touch in any program defers to
        # exactly that distance"
        last = max((s.sent_time for s in cu.sent()), default=None)
        if last is not None and self.now - last < program.min_gap:
            defer("min-gap", last + program.min_gap)
            return
        if program.quiet is not None:
            where = self.zone_of(cu, market)
            if is_quiet(self.now, where, program.quiet):
                defer("quiet-hours", next_local(self.now, where, program.quiet[1]))
                return

        t.done = True
        t.sent_at = self.now
        t.message_id = message_id(program.id, cu.id, ca.cart_id, ca.first_t0, t.number)
        more: dict[str, Any] = {"messageId": t.message_id}
        if channel.includes_discount and ca.discount > 0:
            t.announced = ca.discount
            more["discountPercent"] = shortest(ca.discount)
            more["discountCode"] = f"CART{shortest(ca.discount)}"
        line("sent", **more)

    @staticmethod
    def zone_of(cu: Customer, market: Optional[str]) -> ZoneInfo:
        """D15: the profile's zone, else the marketplace's, else UTC."""
        name = cu.value("timezone") or MARKET_ZONE.get(market or "") or "UTC"
        return ZoneInfo(name)

    def expire(self, cu: Customer, ca: Candidate) -> None:
        """"Expiry at T0 + candidateTTLDays, also when all touches are done."""
        ca.ended = self.now
        self.emit(cu, "expired", ca.program, ca.cart_id)

    # -- other events

    def cart_updated(self, cu: Customer, event: Event) -> None:
        d, u = event.detail, event.time
        self.forget_cart(cu, d["cartId"])
        earlier = [f for f in cu.updated if f.cart_id == d["cartId"]]
        fact = CartFact(u, self.now, d["cartId"], d, any(f.time > u for f in earlier))
        cu.updated.append(fact)
        for program in self.programs:
            # "CartUpdated after T0 (`active-again`)"
            for ca in cu.in_flight():
                if ca.program is program and ca.cart_id == fact.cart_id and u > ca.t0:
                    self.cancel(cu, ca, "active-again")
            # "a CartUpdated after the T0 that the dedup entry knows forgets the entry, candidate
            # or not"
            key = program.dedup_key(cu.id, fact.cart_id)
            if key in cu.entries and u > cu.entries[key].t0:
                del cu.entries[key]

        # D9: "A late (older) CartUpdated does not re-arm or replace content."
        if fact.late:
            return
        # D9: armed by one "that carries cartValue and items (others re-arm with the last known
        # content; without content known nothing is armed)"
        content = latest_content(earlier + [fact])
        watched = {key[1] for key in cu.sessions} - {fact.cart_id}
        for program in self.programs:
            if program.session_timeout is None:
                continue
            cu.sessions.pop((program.id, fact.cart_id), None)
            if content is None or len(watched) >= WATCHED_MAX:
                continue
            # "An event takes effect by its own time, whenever it arrives": what disarms the timer
            # may have arrived first.
            if (self.purchased(cu, program, fact.cart_id, u)
                    or self.cleared(cu, program, fact.cart_id, u)
                    or any(f.time >= u and f.cart_id == fact.cart_id
                           and self.remembered(f, program) for f in cu.abandoned)):
                continue
            cu.sessions[(program.id, fact.cart_id)] = SessionTimer(
                u + program.session_timeout, content.detail)

    def session_runs_out(self, cu: Customer, key: tuple[str, str]) -> None:
        """"when it runs out with no order, cartwheel itself makes the CartAbandoned event with
        the cart's last content"; "T0 = last CartUpdated + timeout"."""
        timer = cu.sessions.pop(key)
        detail = dict(timer.detail)
        detail["timestamp"] = show_time(timer.due)
        detail["abandonmentReason"] = "session_timeout"
        envelope = {"source": "ecommerce.cart", "detail-type": "CartAbandoned",
                    "detail": detail}
        program = next(p for p in self.programs if p.id == key[0])
        # D9: it "reaches only that program, through its pattern"
        if program.sees(envelope, None):
            self.run(cu, program, Abandonment(timer.due, key[1], detail))
        cu.abandonments += 1

    def disarm(self, cu: Customer, concerns: Callable[[str], bool], at: int) -> None:
        """D9: what happened "at or after the last CartUpdated's time disarms"."""
        for program_id, cart_id in list(cu.sessions):
            last = max(f.time for f in cu.updated if f.cart_id == cart_id)
            if concerns(cart_id) and at >= last:
                del cu.sessions[(program_id, cart_id)]

    def cart_cleared(self, cu: Customer, event: Event) -> None:
        cart_id = event.detail["cartId"]
        self.forget_cart(cu, cart_id)
        cu.cleared.append(CartFact(event.time, self.now, cart_id))
        # "CartCleared at or after T0 (`cart-cleared`)"
        for ca in cu.in_flight():
            if ca.cart_id == cart_id and event.time >= ca.t0:
                self.cancel(cu, ca, "cart-cleared")
        self.disarm(cu, lambda c: c == cart_id, event.time)

    def cancel(self, cu: Customer, ca: Candidate, reason: str) -> None:
        ca.ended = self.now
        self.emit(cu, "cancelled", ca.program, ca.cart_id, reason=reason)

    def order_placed(self, cu: Customer, event: Event) -> None:
        d = event.detail
        # D3: "The same orderId of the same customer again within 7 days of the clock: changes
        # nothing"
        if any(o.order_id == d["orderId"] and self.now < o.seen + 7 * DAY for o in cu.orders):
            return
        if d.get("cartId") is not None:
            self.forget_cart(cu, d["cartId"])
        order = Order(event.time, self.arrivals, self.now, d["orderId"], d.get("cartId"),
                      d["orderValue"], d.get("currency"))
        cu.orders.append(order)
        # "an OrderPlaced at or after T0 converts every candidate in flight of that cart (without
        # cartId: of that customer). Revenue is orderValue."
        for ca in cu.in_flight():
            if order.time >= ca.t0 and order.cart_id in (None, ca.cart_id):
                ca.ended = self.now
                more: dict[str, Any] = {"orderId": order.order_id,
                                        "revenue": shortest(order.value)}
                currency = order.currency or ca.currency
                if currency is not None:
                    more["currency"] = currency
                more["attributedTo"] = attribution(ca, order.time)
                self.emit(cu, "converted", ca.program, ca.cart_id, **more)
        self.disarm(cu, lambda c: order.cart_id in (None, c), order.time)

    def customer_updated(self, cu: Customer, event: Event) -> None:
        """"merged into the profile: an absent field keeps its value, null removes it; optedOut as
        an object changes the channels that it names, as a bool all"."""
        cu.exists = True
        for name, value in event.detail.items():
            if name == "customerId":
                continue
            if name == "optedOut":
                named = value if isinstance(value, dict) else dict.fromkeys(CHANNEL_TYPES, value)
                for channel, out in named.items():
                    cu.profile.append(("optedOut." + channel,
                                       Told(event.time, self.arrivals, out)))
            else:
                cu.profile.append((name, Told(event.time, self.arrivals, value)))
        self.cancel_opted_out(cu)

    def cancel_opted_out(self, cu: Customer) -> None:
        """"opting out of every enabled channel (`opted-out`)" cancels."""
        for ca in cu.in_flight():
            if all(cu.opted_out(c.type) for c in ca.program.channels):
                self.cancel(cu, ca, "opted-out")

    def customer_erased(self, cu: Customer, event: Event) -> None:
        """"erasure: profile, candidates, scores, history" - everything that was told so far."""
        for ca in cu.in_flight():
            self.cancel(cu, ca, "erased")
        del self.customers[cu.id]
        if event.id is not None:
            # a repetition of this very event must change nothing
            self.customer(cu.id).seen_ids.append((event.source, event.id, self.now))

    def messaging(self, event: Event) -> None:
        """"delivery and engagement of one touch"."""
        # An ended candidate and its messages are remembered for 90 days.
        touches = [(cu, t) for cu in self.customers.values() for ca in cu.candidates
                   if ca.ended is None or self.now < ca.ended + 90 * DAY
                   for t in ca.touches if t.message_id == event.detail["messageId"]]
        if not touches:
            return
        cu, t = max(touches, key=lambda x: x[1].sent_time)
        if self.repeated(cu.seen_ids, event):
            return
        # "nor does ... the same (messageId, type) again"
        if any(event.type in other.told for _, other in touches):
            return
        t.told[event.type] = event.time
        if event.type in UNSUBSCRIBING_TYPES:
            cu.profile.append(("optedOut." + t.channel.type,
                               Told(event.time, self.arrivals, True)))
            self.cancel_opted_out(cu)


def latest_content(facts: list[CartFact]) -> Optional[CartFact]:
    """The last CartUpdated that carried cartValue and items and was not late (D9)."""
    return next((f for f in reversed(facts) if f.has_content and not f.late), None)


def attribution(ca: Candidate, t: int) -> Any:
    """"Attribution by the order's own time t: the last touch clicked in [t - 5 days, t], else the
    last one delivered in it (a send counts as its delivery until told otherwise), else
    organic."""
    if ca.holdout:
        return "holdout"
    sent = [x for x in ca.touches if x.sent_at is not None]
    clicked = [(x.told["Clicked"], x.number) for x in sent if "Clicked" in x.told]
    delivered = [(x.told.get("Delivered", x.sent_time), x.number) for x in sent
                 if "Bounced" not in x.told]
    for times in (clicked, delivered):
        inside = [x for x in times if t - 5 * DAY <= x[0] <= t]
        if inside:
            return max(inside)[1]
    return "organic"


# ------------------------------------------------------------------------------- quiet hours

def local_time(ms: int, where: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(milliseconds=ms)).astimezone(where)


def is_quiet(ms: int, where: ZoneInfo, quiet: tuple[time, time]) -> bool:
    """D15: "start inclusive, end exclusive, over midnight allowed"."""
    clock = local_time(ms, where).time()
    start, end = quiet
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end


def next_local(ms: int, where: ZoneInfo, wanted: time) -> int:
    """D15: "the next instant at which local time is `end` (a local time that does not exist: the
    first instant after the gap)"."""
    today = local_time(ms, where).date()
    found = []
    for days in range(-1, 4):
        naive = datetime.combine(today + timedelta(days=days), wanted)
        instants = []
        for fold in (0, 1):
            aware = naive.replace(tzinfo=where, fold=fold)
            instant = (aware - EPOCH) // timedelta(milliseconds=1)
            instants.append(instant)
            if local_time(instant, where).replace(tzinfo=None) == naive:
                found.append(instant)
        if local_time(instants[0], where).replace(tzinfo=None) != naive:
            # In a gap: fold 1 reads it with the offset after it (too early), fold 0 with the one
            # before (too late); the change lies between.
            low, high = min(instants), max(instants)
            after = local_time(high, where).utcoffset()
            while high - low > 1:
                middle = (low + high) // 2
                if local_time(middle, where).utcoffset() == after:
                    high = middle
                else:
                    low = middle
            found.append(high)
    return min(x for x in found if x > ms)


# ------------------------------------------------------------------------------ command line

def load_models(directory: str) -> dict[str, Model]:
    models = {}
    if os.path.isdir(directory):
        for name in sorted(os.listdir(directory)):
            if name.endswith(".json"):
                with open(os.path.join(directory, name), encoding="utf-8") as f:
                    models[name[:-5]] = Model(json.load(f))
    return models


def replay_files(arguments: list[str], models: Optional[str] = None,
                 until: Optional[int] = None) -> list[str]:
    """The lines for these arguments: "ending in .yaml or .yml are programs, the others
    events"."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    programs = []
    for path in arguments:
        if path.endswith((".yaml", ".yml")):
            folder = models or os.path.join(os.path.dirname(path) or ".", "models")
            with open(path, encoding="utf-8") as f:
                programs.append(Program(yaml.load(f, loader), load_models(folder)))
    replay = Replay(programs)
    for path in arguments:
        if path.endswith((".yaml", ".yml")):
            continue
        with open(path, "rb") as f:
            text = f.read()
        rows = text.split(b"\n")
        if rows and rows[-1] == b"":
            rows.pop()
        for number, row in enumerate(rows, 1):
            replay.feed_line(row, path, number)
    replay.finish(until)
    return replay.output()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", help="programs (.yaml, .yml) and event files")
    parser.add_argument("--models", help="folder of model files (default: models beside each"
                        " program)")
    parser.add_argument("--until", help="let timers run no further than this time")
    # taken and ignored, so that the model can stand in for the engine
    parser.add_argument("--cores", help=argparse.SUPPRESS)
    args = parser.parse_args()
    until = None
    if args.until is not None:
        until = parse_time(args.until)
        if until is None:
            parser.error("--until: not an RFC 3339 time")
    for line in replay_files(args.files, args.models, until):
        sys.stdout.buffer.write(line.encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
