"""Hashes that name and divide (all SILENT: the text only says "by hash")."""
from __future__ import annotations


def siphash128(data: bytes, key: bytes) -> bytes:
    raise NotImplementedError


def message_id(program: str, customer: str, cart: str, t0: int, touch: int) -> str:
    return f"{program}/{customer}/{cart}/{t0}/{touch}"


def holdout_point(program: str, customer: str) -> float:
    return 100.0


def variant_point(program: str, customer: str, touch: int) -> float:
    return 0.0
