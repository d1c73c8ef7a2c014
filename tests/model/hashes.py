"""Hashes that name and divide. SILENT: the text only says "by hash" and that messages have ids; all
of this file is adopted from the engine's written readings, so that bytes can be compared.
"""
from __future__ import annotations

from typing import Any, Optional, Sequence

from forms import murmur2

MASK = (1 << 64) - 1
PARTITIONS = 256            # "default 256"


def rotate(x: int, by: int) -> int:
    return (x << by | x >> (64 - by)) & MASK


def sip_round(v: list[int]) -> None:
    v[0] = (v[0] + v[1]) & MASK
    v[1] = rotate(v[1], 13) ^ v[0]
    v[0] = rotate(v[0], 32)
    v[2] = (v[2] + v[3]) & MASK
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = (v[0] + v[3]) & MASK
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = (v[2] + v[1]) & MASK
    v[1] = rotate(v[1], 17) ^ v[2]
    v[2] = rotate(v[2], 32)


def siphash128(data: bytes, key: bytes) -> bytes:
    """SipHash-2-4 with 128 bits, as its authors published it."""
    k0, k1 = (int.from_bytes(key[n:n + 8], "little") for n in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[n:n + 8], "little") for n in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for m in words:
        v[3] ^= m
        sip_round(v)
        sip_round(v)
        v[0] ^= m
    out = b""
    for byte in (2, 1):
        v[byte] ^= 0xEE if byte == 2 else 0xDD
        for _ in range(4):
            sip_round(v)
        out += (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")
    return out


def message_id(program: str, customer: str, cart: str, t0: int, touch: int) -> str:
    """Four digits of the partition, then a hash of (program, customer, cart, first T0, touch)."""
    body = b""
    for text in (program, customer, cart):
        raw = text.encode()
        body += len(raw).to_bytes(4, "little") + raw
    body += t0.to_bytes(8, "little") + touch.to_bytes(4, "little")
    partition = murmur2(customer.encode()) % PARTITIONS
    return f"{partition:04x}" + siphash128(body, bytes(16)).hex()


def held_out(program: str, customer: str, percent: float) -> bool:
    """"A holdout share of customers (`holdoutPercent`, by hash)"."""
    point = murmur2(program.encode() + b"\0" + customer.encode()) % 10000
    return point < round(percent * 100)


def variant_of(program: str, channel: str, customer: str,
               variants: Sequence[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """The first variant whose cumulative share exceeds the customer's point."""
    point = murmur2(b"\0".join(x.encode() for x in (program, channel, customer))) % 10000 / 10000
    total = 0.0
    for v in variants:
        total += v["share"]
        if point < total:
            return v
    return variants[-1] if variants else None
