"""Times, numbers, hashes and events: how things are written, read and told apart.

Sentences in quotes are the product's reference; what it leaves open is marked SILENT and listed in
README.md.
"""
from __future__ import annotations

import json
import re
from datetime import datetime, time, timedelta, timezone
from typing import Any, Optional
from zoneinfo import ZoneInfo

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ABSURD = 1e12           # SILENT: "an absurd number": from here on
CHANNELS = ("email", "sms", "push")
MAX_EVENT = 1 << 20     # "an event over 1 MiB"


class Invalid(Exception):
    """Section 7: "that one event gets a clear error"."""


# ------------------------------------------------------------------------------------- times

TIME_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
                       r"(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def parse_time(text: Any) -> Optional[int]:
    """Milliseconds since 1970 of an RFC 3339 time; None when it is none."""
    found = TIME_FORM.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    year, month, day, hour, minute, second = (int(x) for x in found.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    ms = (at - EPOCH) // timedelta(milliseconds=1)
    ms += int(((found.group(7) or "0") + "00")[:3])     # the rest of a fraction is cut off
    if found.group(8):
        hours, minutes = int(found.group(9)), int(found.group(10))
        if hours > 23 or minutes > 59:
            return None
        ahead = hours * HOUR + minutes * MINUTE
        ms += ahead if found.group(8) == "-" else -ahead
    return ms if ms >= 0 else None


def show_time(ms: int) -> str:
    """"Times are RFC 3339 with milliseconds, UTC"."""
    at = EPOCH + timedelta(milliseconds=ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local(ms: int, where: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(milliseconds=ms)).astimezone(where)


def instants(day: datetime, clock: time, where: ZoneInfo) -> list[int]:
    """When it is `clock` on this local day: once, twice, or, "a local time that does not exist
    runs at the next instant that does"."""
    wanted = datetime.combine(day.date(), clock)
    found = []
    for fold in (0, 1):
        at = wanted.replace(tzinfo=where, fold=fold).astimezone(timezone.utc)
        found.append((at - EPOCH) // timedelta(milliseconds=1))
    if local(found[0], where).replace(tzinfo=None) == wanted:
        return sorted(set(found))
    # In a gap: the two readings lie on both sides of the change; look for it between them.
    low, high = min(found), max(found)
    before = local(low, where).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if local(middle, where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return [high]


def next_local(now: int, where: ZoneInfo, clock: time) -> int:
    """The first instant after `now` at which it is `clock` there.
    SILENT: where that time comes twice, each of the two counts."""
    today = local(now, where)
    found = [at for days in (-1, 0, 1, 2)
             for at in instants(today.replace(tzinfo=None) + timedelta(days=days), clock, where)]
    return min(at for at in found if at > now)


# ----------------------------------------------------------------------- numbers and lines

def shortest(x: Any) -> Any:
    """"numbers in their shortest form"."""
    if isinstance(x, float) and x == int(x):
        return int(x)
    return x


def line_text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def is_whole(x: Any) -> bool:
    return is_number(x) and x == int(x)


# -------------------------------------------------------------------------------------- hashes

def murmur2(data: bytes) -> int:
    """Kafka's murmur2 of its default partitioner, & 0x7fffffff (section 1, partition)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for n in range(0, whole, 4):
        k = int.from_bytes(data[n:n + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return h & 0x7FFFFFFF


# -------------------------------------------------------------------------------------- events

TYPES = {"ecommerce.cart": ("CartAbandoned", "CartUpdated", "CartCleared"),
         "ecommerce.order": ("OrderPlaced", "OrderRefunded"),
         "ecommerce.customer": ("CustomerUpdated", "CustomerErased"),
         "ecommerce.inventory": ("InventoryChanged",),
         "messaging": ("Delivered", "Bounced", "Opened", "Clicked", "Complained", "Unsubscribed",
                       "FeedbackReceived")}


def refuse(text: str) -> Any:
    raise Invalid("not a number: " + text)


def parse_json(raw: bytes) -> Any:
    if len(raw) > MAX_EVENT:
        raise Invalid("over 1 MiB")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")   # half a surrogate pair
    except (ValueError, RecursionError) as e:
        raise Invalid(str(e)) from e
    return value


class Fields:
    """Reads typed fields of one object; a null in an optional field is an absent one."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.detail = detail

    def get(self, name: str, required: bool) -> Any:
        value = self.detail.get(name)
        if value is None and required:
            raise Invalid(f"{name} is missing")
        return value

    def identity(self, name: str, required: bool = True) -> None:
        """"ids are opaque UTF-8 strings, 1 to 128 bytes"; "a too-long id or one with U+0000"."""
        value = self.get(name, required)
        if value is not None and not (isinstance(value, str) and "\0" not in value
                                      and 1 <= len(value.encode()) <= 128):
            raise Invalid(f"{name} is no id")

    def text(self, name: str, required: bool = False) -> None:
        value = self.get(name, required)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{name} is no string")

    def number(self, name: str, required: bool = False, low: float = 0, high: float = ABSURD,
               whole: bool = False) -> None:
        value = self.get(name, required)
        if value is None:
            return
        if not is_number(value) or not low <= value <= high or whole and not is_whole(value):
            raise Invalid(f"{name} is no number of this kind")

    def truth(self, name: str) -> None:
        value = self.get(name, False)
        if value is not None and not isinstance(value, bool):
            raise Invalid(f"{name} is neither true nor false")

    def currency(self) -> None:
        value = self.get("currency", False)
        if value is not None and not (isinstance(value, str)
                                      and re.fullmatch("[A-Z]{3}", value)):
            raise Invalid("currency is no currency")


def check_cart(f: Fields, required: bool) -> None:
    f.identity("cartId")
    f.number("cartValue", required)
    items = f.get("items", required)
    if items is not None:
        if not isinstance(items, list):
            raise Invalid("items is no list")
        for item in items:
            if not isinstance(item, dict):
                raise Invalid("an item is no object")
            i = Fields(item)
            i.identity("id")
            i.text("name", True)
            i.number("price", True)
            i.number("quantity", low=1, whole=True)
            i.text("imageUrl")
            i.text("category")
    f.number("itemCount", whole=True)
    for name in ("abandonmentReason", "marketplace", "cartUrl", "category"):
        f.text(name)
    f.currency()
    f.number("discountSensitivity", high=1)


def check_customer(f: Fields) -> None:
    for name in ("name", "email", "phone", "pushToken", "marketplace", "locale"):
        f.text(name)
    if f.get("accountStatus", False) not in (None, "active", "suspended", "closed"):
        raise Invalid("accountStatus is unknown")
    f.truth("paymentMethodOnFile")
    out = f.get("optedOut", False)
    if isinstance(out, dict):
        for channel, value in out.items():
            if channel not in CHANNELS or not (value is None or isinstance(value, bool)):
                raise Invalid("optedOut names no channel")
    elif out is not None and not isinstance(out, bool):
        raise Invalid("optedOut is neither true nor false")
    name = f.get("timezone", False)
    if name is not None:
        try:
            zone(name)
        except Exception as e:
            raise Invalid("timezone is unknown") from e
    f.number("purchaseHistory", whole=True)
    f.number("avgOrderValue")
    for name in ("cartAbandonmentRate", "emailEngagement", "discountSensitivity"):
        f.number(name, high=1)


def check_detail(kind: str, detail: dict[str, Any]) -> None:
    """The table of section 2: "a missing or ill-typed required field, an absurd number".
    SILENT: an optional field of a wrong type or value is an error too."""
    f = Fields(detail)
    if kind in ("InventoryChanged",):
        f.identity("productId")
        value = f.get("available", True)
        if not isinstance(value, bool):
            f.number("available", True, whole=True)
        return
    if kind in TYPES["messaging"] and kind != "FeedbackReceived":
        f.identity("messageId")
        f.text("reason")
        return
    f.identity("customerId")
    if kind in ("CartAbandoned", "CartUpdated"):
        check_cart(f, kind == "CartAbandoned")
    elif kind == "CartCleared":
        f.identity("cartId")
    elif kind == "OrderPlaced":
        f.identity("orderId")
        f.number("orderValue", True)
        f.identity("cartId", False)
        f.number("discountAmount")
        f.text("discountCode")
        f.currency()
    elif kind == "OrderRefunded":
        f.identity("orderId")
        f.number("amount", True)
    elif kind == "CustomerUpdated":
        check_customer(f)
    elif kind == "FeedbackReceived":
        f.number("rating", True, 1, 5)


class Event:
    """One valid event; `kind` is "" for a type that nobody knows."""

    def __init__(self, envelope: dict[str, Any], kind: str, at: Optional[int]) -> None:
        self.envelope = envelope
        self.kind = kind
        self.at = at            # its own time; None only where the type is unknown
        self.detail: dict[str, Any] = envelope.get("detail") or {}
        self.source: str = envelope["source"]
        self.id: Optional[str] = envelope.get("id")

    @property
    def customer(self) -> Any:
        return self.detail.get("customerId")


def decode(raw: bytes) -> Event:
    """"Malformed JSON, invalid UTF-8, a missing or ill-typed required field, ..."."""
    e = parse_json(raw)
    if not isinstance(e, dict):
        raise Invalid("an event is a JSON object")
    f = Fields(e)
    for name in ("source", "detail-type"):
        f.text(name, True)
    detail = f.get("detail", True)
    if not isinstance(detail, dict):
        raise Invalid("detail is no object")
    f.text("id")
    f.text("eventBusName")
    kind = e["detail-type"] if e["detail-type"] in TYPES.get(e["source"], ()) else ""
    # "the abandonment time: `detail.timestamp`, else the envelope's `time`"
    # SILENT: so for every type, named in its row of the table or not.
    stamp = detail.get("timestamp")
    told = stamp if stamp is not None else e.get("time")
    at = parse_time(told)
    if kind:
        if at is None:
            raise Invalid("it has no time")
        if e.get("time") is not None and parse_time(e["time"]) is None:
            raise Invalid("time is no time")
        check_detail(kind, detail)
    return Event(e, kind, at)
