"""What is known of one customer: the profile, the facts of carts and orders, what was sent."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from forms import CHANNELS, DAY
from programs import Channel, Program

ADDRESS = {"email": "email", "sms": "phone", "push": "pushToken"}
WEEK = 7 * DAY
ATTRIBUTION = 5 * DAY


@dataclass(frozen=True)
class Abandonment:
    """One abandonment: whose T0 and which content."""
    t0: int
    cart: str
    detail: dict[str, Any]

    @property
    def market(self) -> Optional[str]:
        return self.detail.get("marketplace")

    def content(self) -> tuple[Any, ...]:
        """"Same content = same items (id, price, quantity, in order, compared as numbers) and same
        cartValue." SILENT: a quantity that is not told is 1."""
        items = tuple((i["id"], i["price"], quantity(i)) for i in self.detail["items"])
        return (self.detail["cartValue"], items)


def quantity(item: dict[str, Any]) -> float:
    """"the item's quantity (1 when not told)"."""
    told = item.get("quantity")
    return 1 if told is None else told


FIELDS = ("name", "email", "phone", "pushToken", "marketplace", "timezone", "locale",
          "accountStatus", "paymentMethodOnFile", "purchaseHistory", "avgOrderValue",
          "cartAbandonmentRate", "emailEngagement", "discountSensitivity")


@dataclass
class Standing:
    """"the value with the latest `time` stands, on a tie the later arrival"."""
    time: int
    value: Any
    arrival: int = 0


@dataclass
class Entry:
    """What an accepted abandonment leaves for deduplication."""
    since: int              # the clock at the first acceptance
    ttl: int                # SILENT, where programs share a key: ttlDays of the one that accepted
    t0: int
    content: tuple[Any, ...]


@dataclass
class Touch:
    number: int
    channel: Channel
    delay: int
    due: int
    state: str = "pending"              # sent, skipped
    sent: int = 0
    delivered: Optional[int] = None
    bounced: bool = False
    clicked: list[int] = field(default_factory=list)


@dataclass
class Candidate:
    program: Program
    customer: "Customer"
    cart: str
    first_t0: int
    t0: int
    abandonment: Abandonment
    discount: float
    holdout: bool
    expires: int
    touches: list[Touch]
    currency: Optional[str] = None
    announced: float = 0                # the highest discount that a sent message carried

    def pending(self) -> list[Touch]:
        return [t for t in self.touches if t.state == "pending"]

    @property
    def market(self) -> Optional[str]:
        """"the event's, else the profile's"."""
        return self.abandonment.market or self.customer.get("marketplace")

    def attributed_to(self, t: int) -> Any:
        """"the last touch clicked in [t − 5 days, t], else the last one delivered in it (a send
        counts as its delivery until told otherwise), else organic"."""
        if self.holdout:
            return "holdout"
        sent = [x for x in self.touches if x.state == "sent"]
        clicks = [(at, x.number) for x in sent for at in x.clicked
                  if t - ATTRIBUTION <= at <= t]
        if clicks:
            return max(clicks)[1]
        arrivals = []
        for x in sent:
            at = x.sent if x.delivered is None else x.delivered
            if not x.bounced and t - ATTRIBUTION <= at <= t:
                arrivals.append((at, x.number))
        return max(arrivals)[1] if arrivals else "organic"


@dataclass
class Session:
    """One cart for the session timer (section 4, step 0)."""
    updated: Optional[int] = None       # the last CartUpdated
    armed: list[Program] = field(default_factory=list)      # those that still wait
    content: Optional[Standing] = None


class Customer:
    def __init__(self, name: str) -> None:
        self.id = name
        self.seen: dict[tuple[str, str], int] = {}      # (source, id): the clock at first sight
        self.erased: Optional[int] = None       # up to when all that was told is gone
        self.forget()

    def forget(self) -> None:
        """"erasure: profile, candidates, scores, history"."""
        self.known = False
        self.profile: dict[str, Standing] = {}
        self.out: dict[str, Standing] = {}
        self.order_ids: dict[str, int] = {}             # the clock when one was seen
        self.told: set[tuple[str, str]] = set()         # (messageId, type)
        self.orders: list[tuple[int, Optional[str], float, int]] = []   # time, cart, value, arrival
        self.cleared: list[tuple[int, str]] = []
        self.updated: list[tuple[int, str]] = []
        self.abandoned: list[tuple[int, str]] = []              # as the shop told it
        self.abandonments = 0                                   # with those that were made here
        self.entries: dict[str, Entry] = {}
        self.scores: dict[str, tuple[int, Any, float]] = {}     # cart: since, identity, score
        self.candidates: list[Candidate] = []                   # in flight
        self.sessions: dict[str, Session] = {}
        self.told_of: dict[str, int] = {}       # cart: the latest time that anything told of it
        self.sends: list[tuple[int, str, str]] = []             # time, channel, messageId
        self.engaged: list[tuple[int, str, str, int]] = []      # time, kind, messageId, arrival

    # ------------------------------------------------------------------------------ profile

    def get(self, name: str) -> Any:
        standing = self.profile.get(name)
        return None if standing is None else standing.value

    def merge(self, at: int, detail: dict[str, Any], arrival: int) -> None:
        """"merged into the profile: an absent field keeps its value, null removes it; optedOut as
        an object changes the channels that it names, as a bool all"; "per profile field (and
        opted-out channel) ... the value with the latest `time` stands"."""
        self.known = True           # "a customer exists once a CustomerUpdated was seen"
        for name, value in detail.items():
            if name == "optedOut":
                named = value if isinstance(value, dict) else {c: value for c in CHANNELS}
                for channel, off in named.items():
                    self.opt(at, channel, bool(off))
            elif name not in ("customerId", "timestamp"):
                standing = self.profile.get(name)
                if standing is None or at >= standing.time:
                    self.profile[name] = Standing(at, value, arrival)

    def field_times(self) -> list[int]:
        """Of what the field table names."""
        return [x.time for x in self.out.values()] + [
            x.time for name, x in self.profile.items() if name in FIELDS]

    def opt(self, at: int, channel: str, off: bool) -> None:
        standing = self.out.get(channel)
        if standing is None or at >= standing.time:
            self.out[channel] = Standing(at, off)

    def opted_out(self, channel: str) -> bool:
        standing = self.out.get(channel)
        return standing is not None and standing.value

    def address(self, channel: str) -> Any:
        """"Address: email, phone, pushToken." An empty one is none."""
        return self.get(ADDRESS[channel]) or None

    # -------------------------------------------------------------------------------- facts

    def remembered(self, program: Program, at: int, now: int) -> bool:
        """"Both are remembered for the dedup window." SILENT: counted from the fact's own time, and
        for candidateTTLDays if that is longer, as "an OrderPlaced that arrives before its
        CartAbandoned still prevents every touch"."""
        return now < at + max(program.dedup_ttl, program.ttl)

    def purchased(self, program: Program, ab: Abandonment, now: int) -> bool:
        """"an OrderPlaced of this cart, or of this customer without cartId, at or after T0"."""
        return any(at >= ab.t0 and cart in (None, ab.cart) and self.remembered(program, at, now)
                   for at, cart, _, _ in self.orders)

    def not_active(self, program: Program, ab: Abandonment, now: int) -> bool:
        """"CartCleared at or after T0, or CartUpdated after T0"."""
        return any(at >= ab.t0 and cart == ab.cart and self.remembered(program, at, now)
                   for at, cart in self.cleared) \
            or any(at > ab.t0 and cart == ab.cart and self.remembered(program, at, now)
                   for at, cart in self.updated)

    def sent_within_week(self, channel: Optional[str], now: int) -> int:
        """"sent after now − 7 days"."""
        return sum(at > now - WEEK and channel in (None, which) for at, which, _ in self.sends)

    # ----------------------------------------------------------------------------- features

    def later(self, name: str) -> list[float]:
        """The values of the orders that count beside the told value of that field: those of a later
        time that came after it (tests/golden/features), or after its removal."""
        standing = self.profile.get(name)
        return [value for at, _, value, arrival in self.orders
                if standing is None or at > standing.time and arrival > standing.arrival]

    def told_number(self, name: str) -> Optional[Standing]:
        standing = self.profile.get(name)
        return None if standing is None or standing.value is None else standing

    def features(self, ab: Abandonment) -> dict[str, Any]:
        """"Features from the customer's row and the cart". SILENT: what the stream adds to the row:
        orders after the told values, the average weighted with the told number of orders, else 1;
        abandonments / (abandonments + orders); e-mails opened or clicked / e-mails sent."""
        known: dict[str, Any] = {}
        history = self.told_number("purchaseHistory")
        orders = len(self.later("purchaseHistory"))
        if history is not None or orders:
            known["purchase_history"] = (history.value if history else 0) + orders
        average = self.told_number("avgOrderValue")
        values = self.later("avgOrderValue")
        weight = 0.0
        if average is not None:
            weight = history.value if history is not None and history.value > 0 else 1
        if weight + len(values) > 0:
            total = (average.value * weight if average is not None else 0) + sum(values)
            known["avg_order_value"] = total / (weight + len(values))
        rate = self.told_number("cartAbandonmentRate")
        if rate is not None:
            known["cart_abandonment_rate"] = rate.value
        elif self.abandonments or self.orders:
            known["cart_abandonment_rate"] = self.abandonments / (self.abandonments
                                                                  + len(self.orders))
        engaged = self.told_number("emailEngagement")
        mails = {m for _, which, m in self.sends if which == "email"}
        if engaged is not None:
            known["email_engagement"] = engaged.value
        elif mails:
            seen = {m for _, kind, m, _ in self.engaged if kind in ("Opened", "Clicked")}
            known["email_engagement"] = len(mails & seen) / len(mails)
        return known | cart_features(ab, self.get("discountSensitivity"))


INTENT = ("purchase_history", "avg_order_value", "cart_abandonment_rate", "email_engagement")


def confidence(known: dict[str, Any]) -> str:
    """"confidence HIGH, MEDIUM or LOW by how much is known of the customer": all four features, two
    or three, less (tests/golden/confidence)."""
    told = sum(name in known for name in INTENT)
    return "HIGH" if told == 4 else "MEDIUM" if told >= 2 else "LOW"


def cart_features(ab: Abandonment, sensitivity: Any) -> dict[str, Any]:
    """"itemCount, else the sum of quantities. A category of the cart, else of the first item that
    has one" (a case of tests/golden)."""
    d = ab.detail
    known = {"cart_value": d["cartValue"], "discount_sensitivity": d.get("discountSensitivity")}
    if known["discount_sensitivity"] is None:       # "(cart's, else customer's, else 0.5)"
        known["discount_sensitivity"] = sensitivity
    known["item_count"] = d.get("itemCount")
    if known["item_count"] is None:
        known["item_count"] = sum(quantity(i) for i in d["items"])
    known["category"] = d.get("category")
    for i in d["items"]:
        if known["category"] is None:
            known["category"] = i.get("category")
    return {k: v for k, v in known.items() if v is not None}
