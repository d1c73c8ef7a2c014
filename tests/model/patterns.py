"""Event patterns: "EventBridge semantics, every operator", as far as the shops write them: values,
prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists and $or.
"""
from __future__ import annotations

import copy
import re
from typing import Any

from forms import is_number

ABSENT = object()
ORDERINGS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "=": lambda a, b: a == b,
             ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


def same(a: Any, b: Any) -> bool:
    """Equal values of one JSON type."""
    if is_number(a) or is_number(b):
        return is_number(a) and is_number(b) and a == b
    return type(a) is type(b) and a == b


def anything_but(rule: Any, value: Any) -> bool:
    if isinstance(rule, dict):
        return not any(operator_matches({name: text}, value) for name, texts in rule.items()
                       for text in (texts if isinstance(texts, list) else [texts]))
    return not any(same(x, value) for x in (rule if isinstance(rule, list) else [rule]))


def operator_matches(rule: dict[str, Any], value: Any) -> bool:
    """One operator, and a leaf value that exists."""
    (name, operand), = rule.items()
    if name == "exists":
        return bool(operand)
    if name == "anything-but":
        return anything_but(operand, value)
    if name == "numeric":
        return is_number(value) and all(ORDERINGS[operand[n]](value, operand[n + 1])
                                        for n in range(0, len(operand), 2))
    if not isinstance(value, str):
        return False
    if isinstance(operand, dict):               # {"prefix": {"equals-ignore-case": ...}}
        value, operand = value.lower(), operand["equals-ignore-case"].lower()
    if name == "prefix":
        return value.startswith(operand)
    if name == "suffix":
        return value.endswith(operand)
    if name == "equals-ignore-case":
        return value.lower() == operand.lower()
    if name == "wildcard":
        return re.fullmatch(".*".join(re.escape(x) for x in operand.split("*")), value,
                            re.DOTALL) is not None
    raise ValueError("no operator: " + name)


def leaf_matches(rules: list[Any], value: Any, ranges: bool) -> bool:
    """"a two-number ascending list such as `[50, 999999]` is an inclusive range"."""
    if ranges and len(rules) == 2 and all(is_number(x) for x in rules) and rules[0] < rules[1]:
        values = value if isinstance(value, list) else [value]
        return any(is_number(x) and rules[0] <= x <= rules[1] for x in values)
    values = value if isinstance(value, list) else [value]
    for rule in rules:
        if isinstance(rule, dict) and "exists" in rule:
            if (value is not ABSENT and not isinstance(value, dict)) == rule["exists"]:
                return True
            continue
        for x in values:
            if x is ABSENT or isinstance(x, dict):
                continue
            if operator_matches(rule, x) if isinstance(rule, dict) else same(rule, x):
                return True
    return False


def alternatives(pattern: dict[str, Any]) -> list[dict[str, Any]]:
    """The pattern without $or: one for each way through. As EventBridge compiles patterns, a field
    that is named again, in an alternative of $or or after it, has only its last rules."""
    found: list[dict[str, Any]] = [{}]
    collect(found, (), pattern)
    return found


def collect(found: list[dict[str, Any]], path: tuple[str, ...], part: dict[str, Any]) -> None:
    for name, wanted in part.items():
        if name == "$or":
            before = copy.deepcopy(found)
            found.clear()
            for branch in wanted:
                way = copy.deepcopy(before)
                collect(way, path, branch)
                found += way
        elif isinstance(wanted, dict):
            collect(found, path + (name,), wanted)
        else:
            for way in found:
                for step in path:
                    way = way.setdefault(step, {})
                way[name] = wanted


def pattern_matches(pattern: dict[str, Any], event: Any, ranges: bool = True) -> bool:
    return any(fields_match(way, event, ranges) for way in alternatives(pattern))


def fields_match(pattern: dict[str, Any], event: Any, ranges: bool) -> bool:
    if isinstance(event, list):                 # objects in a list: one of them
        return any(fields_match(pattern, x, ranges) for x in event)
    for name, wanted in pattern.items():
        value = event.get(name, ABSENT) if isinstance(event, dict) else ABSENT
        if isinstance(wanted, dict):
            if not fields_match(wanted, {} if value is ABSENT else value, ranges):
                return False
        elif not leaf_matches(wanted, value, ranges):
            return False
    return True
