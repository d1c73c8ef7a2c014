"""The programs and models of random small shops (shops.py)."""
from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Optional

from forms import HOUR

CATEGORIES = ["Electronics", "Books", "Toys", "Grocery"]
CHANNELS = ("email", "sms", "push")


def loadable(p: dict[str, Any]) -> dict[str, Any]:
    """What a program must be to load: a value by marketplace only for listed ones, and no touch
    that its candidate could not live to see."""
    for f in p["filterChain"]:
        for key, value in list(f.get("parameters", {}).items()):
            if isinstance(value, dict):
                listed = {m: v for m, v in value.items() if m in p["marketplaces"]}
                f["parameters"][key] = listed or next(iter(value.values()))
    delays = [x for c in p["channels"] for x in (c["config"], *c["config"].get("variants", ()))]
    longest = max(x.get("delayMinutes", 0) + 60 * x.get("delayHours", 0) for x in delays)
    if longest >= p.get("candidateTTLDays", 7) * 1440:
        p["candidateTTLDays"] = int(longest // 1440 + 1)
    return p


@dataclass
class ProgramMaker:
    """The state of one shop while it is made."""
    rng: random.Random
    base: int = 0
    grid: int = HOUR
    whole_money: bool = True
    customers: list[str] = field(default_factory=list)
    carts: dict[str, list[str]] = field(default_factory=dict)
    products: list[dict[str, Any]] = field(default_factory=list)
    markets: list[str] = field(default_factory=list)
    buses: list[str] = field(default_factory=list)
    night: Optional[tuple[str, str, tuple[str, str]]] = None
    known_orders: list[str] = field(default_factory=list)
    serial: int = 0

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, options: Any) -> Any:
        return self.rng.choice(options)

    def model(self, name: str) -> dict[str, Any]:
        r = self.rng

        def weight() -> float:
            return round(r.uniform(-1.5, 1.5), 3)

        features: list[dict[str, Any]] = [
            {"name": "purchase_history", "weight": weight(), "center": 1.5, "scale": 0.8,
             "transform": "log1p", "min": 0, "max": 50, "missing": 2},
            {"name": "avg_order_value", "weight": weight(), "center": 80, "scale": 40,
             "max": 500, "missing": 75.5},
            {"name": "cart_abandonment_rate", "weight": weight(), "center": 0.5, "scale": 0.25,
             "missing": 0.5},
            {"name": "email_engagement", "weight": weight(), "center": 0.4, "scale": 0.3,
             "transform": "identity"},
            {"name": "discount_sensitivity", "weight": weight(), "min": 0.1, "max": 0.9,
             "missing": 0.5},
            {"name": "cart_value", "weight": weight(), "center": 4.5, "scale": 1,
             "transform": "log1p"},
            {"name": "item_count", "weight": weight(), "center": 2, "max": 6},
            {"name": "category", "weights": {c: weight() for c in CATEGORIES[:3]},
             "other": weight()}]
        if self.chance(0.5):
            r.shuffle(features)
        return {"format": "cartwheel-model", "formatVersion": 1, "name": name,
                "version": f"{r.randrange(1, 9)}.{r.randrange(10)}", "kind": "logistic",
                "bias": weight(), "features": features}

    def pattern(self) -> dict[str, Any]:
        p: dict[str, Any] = {"source": ["ecommerce.cart"], "detail-type": ["CartAbandoned"]}
        if self.chance(0.1):
            p = {"detail-type": ["CartAbandoned", "CartUpdated"]}
        detail: dict[str, Any] = {}
        if self.chance(0.6):
            detail["cartValue"] = self.pick([
                [50, 999999], [30, 999999], [{"numeric": [">=", 40]}],
                [{"numeric": [">", 20, "<=", 200]}], [20, 1000]])
        if self.chance(0.15):
            name, rules = self.pick([
                ("category", [{"exists": False}, {"anything-but": ["Toys"]}]),
                ("category", [{"exists": True}]),
                ("cartId", [{"prefix": "K"}, {"prefix": "CART"}]),
                ("currency", [{"exists": False}, "USD", "EUR", "JPY"]),
                ("abandonmentReason", [{"anything-but": {"prefix": "test"}},
                                       {"exists": False}]),
                ("itemCount", [{"exists": False}, 1, 2, 3]),
                ("customerId", [{"anything-but": "ZZ top"}])])
            detail[name] = rules
        if self.chance(0.1):
            detail["$or"] = self.pick([
                [{"cartValue": [{"numeric": ["<", 60]}]}, {"category": [{"exists": True}]}],
                [{"items": {"id": ["P0", "P1"]}}, {"cartId": [{"suffix": "9"}]}],
                [{"cartId": [{"wildcard": "K*"}]}, {"customerId": [{"prefix": "C"}]}]])
        if detail:
            p["detail"] = detail
        return p

    def aws_pattern(self) -> dict[str, Any]:
        """Without the exception for two numbers."""
        value = self.pick([[50, 150], [30, 80], [{"numeric": [">=", 50, "<=", 999999]}],
                           [{"numeric": ["=", 150]}, 60], [{"anything-but": [150, 80]}]])
        detail: dict[str, Any] = {"cartValue": value}
        if self.chance(0.4):
            detail["category"] = [{"equals-ignore-case": "ELECTRONICS"}, {"exists": False},
                                  {"anything-but": {"suffix": "s"}}]
        return {"source": [{"prefix": "ecommerce."}], "detail-type": ["CartAbandoned"],
                "detail": detail}

    def caps(self) -> dict[str, Any]:
        keys = ["maxRecoveryEmailsPerWeek", "maxRecoverySmsPerWeek", "maxRecoveryPushPerWeek",
                "maxRecoveryMessagesPerWeek"]
        chosen = self.rng.sample(keys, self.pick([1, 1, 1, 2, 3]))
        caps: dict[str, Any] = {}
        for key in keys:
            if key in chosen:
                many = 5 if key.endswith("MessagesPerWeek") else 2
                value: Any = self.pick([1, 2, 2, 3, 4]) + self.rng.randrange(many)
                if self.chance(0.05):
                    value = 0
                if self.chance(0.2):
                    value = {m: self.pick([0, 1, 2, 5])
                             for m in self.rng.sample(self.markets, min(2, len(self.markets)))}
                caps[key] = value
        return caps

    def filters(self) -> list[dict[str, Any]]:
        chain: list[dict[str, Any]] = []
        if self.chance(0.85):
            trust: dict[str, Any] = {"filterId": "trust", "type": "trust"}
            parameters: dict[str, Any] = {}
            if self.chance(0.25):
                parameters["allowUnknown"] = self.chance(0.7)
            if self.chance(0.3):
                parameters["requirePaymentMethod"] = self.chance(0.2)
            if parameters:
                trust["parameters"] = parameters
            chain.append(trust)
        if self.chance(0.7):
            minimum: Any = self.pick([50, 40, 60, 100, 49.99, 150])
            if self.chance(0.3):
                minimum = {m: self.pick([30, 60, 120]) for m in self.markets[:2]}
            chain.append({"filterId": self.pick(["cart-value", "min-value"]),
                          "type": "business-rule", "parameters": {"minCartValue": minimum}})
        if not self.chance(0.05):
            chain.append({"filterId": self.pick(["eligibility", "eligible"]),
                          "type": "eligibility"})
        if self.chance(0.65):
            chain.append({"filterId": "frequency-cap", "type": "business-rule",
                          "parameters": self.caps()})
        if self.chance(0.6):
            chain.append({"filterId": "inventory", "type": "business-rule",
                          "parameters": {"requireInStock": self.chance(0.9)}})
        if self.chance(0.15):           # several rules in one filter
            rules = [f for f in chain if f["type"] == "business-rule"]
            for f in rules[1:]:
                rules[0]["parameters"].update(f["parameters"])
                chain.remove(f)
        orders = [n + 1 for n in range(len(chain))]
        if self.chance(0.25):
            orders = sorted(self.rng.sample(range(1, 40), len(chain)))
        numbered = []
        places = list(range(len(chain)))
        if self.chance(0.2):
            self.rng.shuffle(places)    # another order of evaluation
        for f, place in zip(chain, places):
            f = {"filterId": f["filterId"], "type": f["type"], "order": orders[place],
                 **({"parameters": f["parameters"]} if "parameters" in f else {})}
            numbered.append(f)
        if self.chance(0.2):
            self.rng.shuffle(numbered)  # `order` counts, not the place in the file
        if self.chance(0.1):            # ... unless nobody orders
            for f in numbered:
                del f["order"]
        return numbered

    def variants(self, kind: str, minutes: int, talk: bool) -> list[dict[str, Any]]:
        """Texts and delays to compare."""
        shares = self.pick([[0.5, 0.5], [0.3, 0.7], [0.25, 0.25, 0.5], [1], [0.1, 0.9],
                            [0.3333, 0.3333, 0.3334]])
        found = []
        for n, share in enumerate(shares):
            v: dict[str, Any] = {"name": f"v{n}", "share": share}
            if self.chance(0.5):
                name = {"email": "subject", "sms": "message", "push": "title"}[kind]
                link = " {cartLink}" if kind == "sms" else ""
                v[name] = f"Variant {n}" + (", {discountPercent}% off" if talk else "") + link
            if self.chance(0.5):
                if self.chance(0.3):
                    v["delayHours"] = self.pick([1, 2, 25, 48])
                else:
                    v["delayMinutes"] = max(0, minutes + self.pick([-60, -30, -5, 0, 5, 30, 90]))
            found.append(v)
        return found

    def channels(self, talk_of_discount: bool) -> list[dict[str, Any]]:
        kinds = list(CHANNELS)
        if self.chance(0.3):
            self.rng.shuffle(kinds)
        kinds = kinds[:self.pick([1, 2, 3, 3, 3, 3])]
        if self.chance(0.2):            # more touches than channels
            kinds += [self.pick(CHANNELS) for _ in range(self.pick([1, 1, 2]))]
        delays = [(60, 24 * 60, 72 * 60), (30, 60, 90), (60, 120, 24 * 60), (5, 10, 15),
                  (60, 60, 120), (1440, 2880, 4320), (90, 60, 30), (0, 30, 60), (120, 60, 60)]
        chosen = self.pick(delays if self.chance(0.6) else delays[:1])
        if self.night is not None:
            chosen = self.pick([(5, 10, 15), (30, 60, 90), (0, 30, 60), (60, 120, 180)])
        chosen += tuple(chosen[n % 3] + self.pick([0, 5, 60, 1440])
                        for n in range(len(kinds) - len(chosen)))
        numbers = [n + 1 for n in range(len(chosen))]
        priorities = self.rng.sample(numbers, len(numbers)) if self.chance(0.3) else numbers
        enabled = [not self.chance(0.08) for _ in kinds]
        if not any(enabled):
            enabled[0] = True
        found = []
        for kind, minutes, priority, on in zip(kinds, chosen, priorities, enabled):
            config: dict[str, Any] = {}
            if kind == "email":
                config["templateId"] = "cart-recovery-v3"
            if minutes and minutes % 60 == 0 and self.chance(0.6):
                config["delayHours"] = minutes // 60
            else:
                config["delayMinutes"] = minutes
            talk = talk_of_discount
            if kind != "email" and self.chance(0.25):
                config["includeDiscount"] = False
                talk = False
            elif self.chance(0.2):
                config["includeDiscount"] = True
            if kind == "email":
                config["subject"] = ("You left something behind! {discountPercent}% off inside"
                                     if talk else "You left something behind!")
            elif kind == "sms":
                config["message"] = (
                    "Hi {customerName}! Your cart is waiting. Use code {discountCode} for"
                    " {discountPercent}% off. Shop now: {cartLink}" if talk else
                    "Hi {customerName}! Your cart is waiting. Shop now: {cartLink}")
            else:
                config["title"] = "Last Chance!"
                config["body"] = ("Your cart expires soon. {discountPercent}% off ends today!"
                                  if talk else "Your cart expires soon.")
            if self.chance(0.3):
                config["onlyIfNotConverted"] = True
            if self.chance(0.15):
                config.update(self.pick([{"costPerMessage": 0.04}, {"retries": 5},
                                         {"ratePerSecond": 1}, {"onUnknown": "drop"}]))
            if self.chance(0.25):
                config["variants"] = self.variants(kind, minutes, talk)
            name = kind if kinds.count(kind) == 1 and self.chance(0.8) else \
                f"{kind}-{len(found)}"
            found.append({"channelId": name, "type": kind, "enabled": on,
                          "priority": priority, "config": config})
        return found

    def program(self, program_id: str, models: list[str]) -> dict[str, Any]:
        p: dict[str, Any] = {"programId": program_id, "programName": f"Program {program_id}",
                             "enabled": not self.chance(0.04)}
        p["marketplaces"] = [m for m in self.markets if m != "CA" and not self.chance(0.2)] \
            or ["US"]
        sources = []
        for n in range(1 if self.chance(0.9) else 2):
            config: dict[str, Any] = {}
            if self.chance(0.5):
                config["eventBusName"] = self.pick(self.buses)
            if self.chance(0.1):
                config["awsEventPattern"] = self.aws_pattern()
            else:
                config["eventPattern"] = self.pattern()
            sources.append({"sourceId": f"events-{n}", "type": "eventbridge", "config": config})
        p["eventSources"] = sources
        model = self.pick(models)
        p["scoringModels"] = [{"modelId": model,
                               "endpoint": self.pick(["sagemaker://", "model://"]) + model,
                               "features": ["purchase_history", "cart_value",
                                            "email_engagement", "discount_sensitivity"]}]
        if model == "purchase-intent-v4" and self.chance(0.1):
            del p["scoringModels"]
        p["filterChain"] = self.filters()

        strategy: Optional[dict[str, Any]] = self.pick([
            {"enabled": True, "defaultDiscount": 10, "dynamicDiscounting": True,
             "maxDiscount": 20},
            {"enabled": True, "defaultDiscount": 10, "dynamicDiscounting": True,
             "maxDiscount": 40, "discountStep": 1},
            {"enabled": True, "defaultDiscount": 7, "dynamicDiscounting": True,
             "maxDiscount": 33, "discountStep": 2},
            {"enabled": True, "defaultDiscount": 10, "dynamicDiscounting": True,
             "maxDiscount": 28, "discountStep": 5},
            {"enabled": True, "defaultDiscount": 15, "dynamicDiscounting": False,
             "maxDiscount": 20},
            {"enabled": True, "defaultDiscount": 0, "dynamicDiscounting": True,
             "maxDiscount": 30, "discountStep": 10},
            {"enabled": False, "defaultDiscount": 10, "dynamicDiscounting": True,
             "maxDiscount": 20},
            {"defaultDiscount": 12.5, "dynamicDiscounting": False},
            {"defaultDiscount": 5, "dynamicDiscounting": True, "maxDiscount": 33,
             "discountStep": 7},
            {"defaultDiscount": 10, "dynamicDiscounting": True, "maxDiscount": 20,
             "discountStep": 2.5},
            None])
        talk = bool(strategy and strategy.get("enabled", True)
                    and strategy["defaultDiscount"] > 0)
        p["channels"] = self.channels(talk)
        if strategy is not None:
            p["discountStrategy"] = strategy

        key = "{customerId}:{cartId}:{programId}"
        if self.chance(0.2):
            key = self.pick(["{programId}/{customerId}/{cartId}", "{customerId}:{programId}",
                             "{customerId}:{cartId}", "x-{cartId}~{customerId}~{programId}"])
        p["deduplication"] = {"enabled": not self.chance(0.1),
                              "ttlDays": self.pick([1, 2, 7, 7, 7, 30, 0.5]), "keyFormat": key}
        p["candidateTTLDays"] = self.pick([1, 2, 4, 7, 7, 7, 14, 0.5])
        if self.chance(0.05):
            del p["deduplication"]
        if self.chance(0.05):
            del p["candidateTTLDays"]
        if self.chance(0.7):
            p["onReabandon"] = self.pick(["restart", "restart", "update", "ignore"])
        if self.chance(0.6):
            p["onNewCart"] = self.pick(["supersede", "parallel"])
        if self.chance(0.4):
            p["minGapMinutes"] = self.pick([0, 1, 30, 60, 180, 1440, 3000])
        if self.chance(0.35):
            start, end = self.pick([("21:00", "08:00"), ("00:00", "06:30"), ("12:00", "13:00"),
                                    ("01:30", "02:30"), ("22:00", "02:30"), ("16:00", "01:45")])
            p["quietHours"] = {"start": start, "end": end}
        if self.night is not None:
            p["quietHours"] = dict(zip(("start", "end"), self.night[2]))
            p["minGapMinutes"] = self.pick([0, 1, 30])
        if self.chance(0.3):
            p["holdoutPercent"] = self.pick([0, 20, 50, 12.5, 33.33])
        if self.chance(0.35):
            p["abandonmentDetection"] = {"sessionTimeoutMinutes": self.pick([15, 30, 60, 1440])}
        if self.chance(0.1):
            p["codeValidHours"] = 48
        if self.chance(0.1):
            p["discountCodes"] = self.pick(["shared", "unique"])
        return loadable(p)
