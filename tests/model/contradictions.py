"""Where the engine contradicts the text today, each with its sentence.

The model (reference.py) says what the text says. A shop whose lines differ is replayed once more
with these in place: if the lines agree then, the shop counts as one that differs as known, and the
comparison does not fail for it. Nothing else may be added here than what README.md lists under
"Where the engine contradicts the text"; what the engine mends is deleted here.
"""
from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

from customers import Candidate, Session, Standing
from reference import Replay


def late_content(self: Replay, s: Session, at: int, detail: dict[str, Any]) -> None:
    """"An event takes effect by its own time, whenever it arrives": but the engine ignores the
    content of a CartUpdated that arrives after a later one, even if that one told no content."""
    if detail.get("cartValue") is None or detail.get("items") is None:
        return
    if s.updated is None or at >= s.updated:
        s.content = Standing(at, detail)


def never_expired(self: Replay, c: Candidate) -> bool:
    """"Look again, in this order ...: expired": but the engine sends a touch that is overdue when
    it is made although T0 + candidateTTLDays is over (the filters let it pass only in programs
    without an eligibility filter)."""
    return False


KNOWN = {"learn_content": late_content, "expired": never_expired}


@contextmanager
def in_place() -> Iterator[None]:
    before = {name: getattr(Replay, name) for name in KNOWN}
    for name, instead in KNOWN.items():
        setattr(Replay, name, instead)
    try:
        yield
    finally:
        for name, was in before.items():
            setattr(Replay, name, was)
