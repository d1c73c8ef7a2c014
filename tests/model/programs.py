"""Programs and models: what the YAML and JSON files say (section 3 and the model file's format)."""
from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import time
from typing import Any, Optional

from forms import CHANNELS, DAY, HOUR, MINUTE, shortest
from patterns import pattern_matches

# "`marketplaces` ... gives the default currency (US USD, UK GBP, DE FR EUR, JP JPY, IN INR, BR BRL,
# AU AUD), locale and time zone". SILENT: which zone; each country's largest.
MARKETS = {"US": ("USD", "America/New_York"), "UK": ("GBP", "Europe/London"),
           "DE": ("EUR", "Europe/Berlin"), "FR": ("EUR", "Europe/Paris"),
           "JP": ("JPY", "Asia/Tokyo"), "IN": ("INR", "Asia/Kolkata"),
           "BR": ("BRL", "America/Sao_Paulo"), "AU": ("AUD", "Australia/Sydney")}
CAPS = {"maxRecoveryEmailsPerWeek": "email", "maxRecoverySmsPerWeek": "sms",
        "maxRecoveryPushPerWeek": "push", "maxRecoveryMessagesPerWeek": None}


# --------------------------------------------------------------------------------------- models

class Model:
    """The model file: logistic."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.text = text
        self.name = text["name"]
        self.version = text["version"]

    def score(self, known: dict[str, Any]) -> float:
        """`known` has a value for each feature that is known, and nothing for the others."""
        total = float(self.text["bias"])
        for f in self.text["features"]:
            value = known.get(f["name"])
            if f["name"] == "category":
                total += f["weights"].get(value, f.get("other", 0))
                continue
            # "The value is clamped to [min, max], or is `missing` (not clamped) when unknown"
            if value is None:
                value = f.get("missing", 0)
            else:
                if "min" in f:
                    value = max(value, f["min"])
                if "max" in f:
                    value = min(value, f["max"])
            t = math.log1p(value) if f.get("transform") == "log1p" else value
            # "it adds weight*(t - center)/scale"
            total += f["weight"] * (t - f.get("center", 0)) / f.get("scale", 1)
        return 1 / (1 + math.exp(-total))


# ------------------------------------------------------------------------------------- programs

@dataclass(frozen=True)
class Channel:
    """One touch of the program as the file has it."""
    type: str
    delay: int
    priority: float
    place: int
    include_discount: bool
    variants: tuple[dict[str, Any], ...]
    id: str


def delay_of(config: dict[str, Any], otherwise: int = 0) -> int:
    """"delays as `delayMinutes` or `delayHours` on any channel"."""
    if "delayMinutes" in config:
        return round(config["delayMinutes"] * MINUTE)
    if "delayHours" in config:
        return round(config["delayHours"] * HOUR)
    return otherwise


def clock_of(text: str) -> time:
    return time.fromisoformat(text)


class Program:
    def __init__(self, text: dict[str, Any], models: dict[str, Model]) -> None:
        self.id: str = text["programId"]
        self.enabled: bool = text.get("enabled", True)
        self.marketplaces: Optional[list[str]] = text.get("marketplaces")
        self.sources = [s["config"] for s in text["eventSources"]]

        # "`sagemaker://NAME` or `model://NAME` is the model NAME ... (the shipped one when absent)"
        scoring = text.get("scoringModels") or [{"endpoint": "model://purchase-intent-v4"}]
        self.model = models[scoring[0]["endpoint"].split("://", 1)[1]]

        # "`filterChain[]` runs in `order`"
        chain = list(enumerate(text.get("filterChain") or []))
        chain.sort(key=lambda nf: (nf[1].get("order", nf[0] + 1), nf[0]))
        self.filters: list[dict[str, Any]] = [f for _, f in chain]

        # "touch numbers in the order of their delays; `priority` breaks ties"
        # "`enabled: false` (... channel ...): no touch on it"
        found = []
        for place, c in enumerate(text["channels"]):
            if c.get("enabled", True):
                config = c.get("config", {})
                found.append(Channel(c["type"], delay_of(config), c.get("priority", place + 1),
                                     place, config.get("includeDiscount", True),
                                     tuple(config.get("variants", ())), c["channelId"]))
        found.sort(key=lambda c: (c.delay, c.priority, c.place))
        self.channels: list[Channel] = found
        self.types = [t for t in CHANNELS if any(c.type == t for c in found)]

        self.strategy: dict[str, Any] = text.get("discountStrategy") or {"enabled": False}
        dedup = text.get("deduplication") or {}
        self.dedup: bool = dedup.get("enabled", True)
        self.dedup_ttl = round(dedup.get("ttlDays", 7) * DAY)       # "default 7"
        self.key_format: str = dedup.get("keyFormat", "{customerId}:{cartId}:{programId}")
        self.ttl = round(text.get("candidateTTLDays", 7) * DAY)     # "default 7"
        self.unique_codes = text.get("discountCodes", "shared") == "unique"
        self.on_reabandon: str = text.get("onReabandon", "restart")
        self.on_new_cart: str = text.get("onNewCart", "supersede")
        # "`minGapMinutes` (default 60, or the smallest distance between two touches of the program
        # if that is less)"
        gaps = [b.delay - a.delay for a, b in zip(found, found[1:])]
        self.min_gap = round(text["minGapMinutes"] * MINUTE) if "minGapMinutes" in text \
            else min([HOUR] + gaps)
        quiet = text.get("quietHours")
        self.quiet = (clock_of(quiet["start"]), clock_of(quiet["end"])) if quiet else None
        self.holdout: float = text.get("holdoutPercent", 0)
        detection = text.get("abandonmentDetection") or {}
        minutes = detection.get("sessionTimeoutMinutes")
        self.session = None if minutes is None else round(minutes * MINUTE)

    def matches(self, envelope: dict[str, Any]) -> bool:
        """"`enabled: false`: matches nothing"; "an event that names a bus reaches that bus's
        programs, one that names none reaches all"."""
        if not self.enabled:
            return False
        for config in self.sources:
            bus = envelope.get("eventBusName")
            # SILENT: a source without eventBusName stands on the bus "default".
            if bus is not None and bus != config.get("eventBusName", "default"):
                continue
            if "awsEventPattern" in config:
                if pattern_matches(config["awsEventPattern"], envelope, ranges=False):
                    return True
            elif pattern_matches(config["eventPattern"], envelope):
                return True
        return False

    def key(self, customer: str, cart: str) -> str:
        """"Deduplicate on `keyFormat`"."""
        out = self.key_format
        parts = {"{customerId}": customer, "{cartId}": cart, "{programId}": self.id}
        text = ""
        while out:
            for name, value in parts.items():
                if out.startswith(name):
                    text += value
                    out = out[len(name):]
                    break
            else:
                text += out[0]
                out = out[1:]
        return text

    def discount(self, intent: float, sensitivity: float) -> float:
        """"Rule strategy: default + (max − default) × clamp((s·(1 − p) − 0.2) / 0.6, 0, 1), to
        the nearest multiple of `discountStep` (5; ties down), never above max; ... With
        `dynamicDiscounting: false` always the default."
        """
        s = self.strategy
        if not s.get("enabled", True):          # "discount 0 and no code"
            return 0
        default = s.get("defaultDiscount", 0)
        if not s.get("dynamicDiscounting", False):
            return default
        highest = s.get("maxDiscount", default)
        step = s.get("discountStep", 5)
        share = min(1.0, max(0.0, (sensitivity * (1 - intent) - 0.2) / 0.6))
        wanted = default + (highest - default) * share
        multiple = math.ceil(wanted / step - 0.5)
        while multiple * step > highest:
            multiple -= 1
        return multiple * step


def by_market(value: Any, market: Optional[str]) -> Any:
    """"numbers, or a map by marketplace"; one that the map does not name has none."""
    if isinstance(value, dict):
        return value.get(market) if market is not None else None
    return value


def code_of(percent: float) -> str:
    """"discountCode (`CART10`)"."""
    return f"CART{shortest(percent)}"
