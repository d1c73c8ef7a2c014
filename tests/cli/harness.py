"""What the tests of the command line share: running cartwheel, events, counting what passed.

Only Python's standard library. Also holds small implementations of their own of what a replay
line says in a coded form (message ids, partitions, scores), so that expectations never come from
the program under test.
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP = 77
DAY_MS = 24 * 3600 * 1000
# The least that a program can say.
SMALL_PROGRAM = """programId: p
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart]}}
channels:
  - {type: sms, config: {delayMinutes: 60, message: "Your cart: {cartLink}"}}
"""


def binary(argv=None):
    """The cartwheel to test: the first argument, else the development build."""
    argv = sys.argv if argv is None else argv
    if len(argv) > 1 and not argv[1].startswith("-"):
        return os.path.abspath(argv[1])
    return os.path.join(ROOT, "build", "dev", "cartwheel")


def execute(command, given=None, timeout=60, cwd=None):
    """Runs a command; returns (exit code, output, words), both as bytes."""
    done = subprocess.run(command, input=given, capture_output=True, timeout=timeout, cwd=cwd,
                          check=False)
    return done.returncode, done.stdout, done.stderr


class Results:
    """Counts checks; finish() prints the last line and ends the process."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.shown = 0

    def check(self, good, name, detail=""):
        if good:
            self.passed += 1
            return True
        self.failed += 1
        self.shown += 1
        if self.shown <= 40:
            print(f"FAILED {name}")
            for line in str(detail)[:4000].splitlines()[:40]:
                print(f"    {line}")
        return False

    def equal(self, got, wanted, name):
        return self.check(got == wanted, name, difference(got, wanted) if got != wanted else "")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def skip(why):
    print(f"SKIPPED: {why}")
    print("0 passed, 0 failed")
    sys.exit(SKIP)


def difference(got, wanted):
    """The first lines in which two outputs differ, for people."""
    if not isinstance(got, (bytes, str)) or not isinstance(wanted, (bytes, str)):
        return f"wanted {wanted!r}\ngot    {got!r}"
    if isinstance(got, bytes):
        got = got.decode("utf-8", "replace")
    if isinstance(wanted, bytes):
        wanted = wanted.decode("utf-8", "replace")
    a = got.splitlines()
    b = wanted.splitlines()
    out = []
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else "(no line)"
        y = b[i] if i < len(b) else "(no line)"
        if x != y:
            out += [f"line {i + 1}", f"  wanted {y}", f"  got    {x}"]
        if len(out) >= 12:
            break
    return "\n".join(out)


class Folder(tempfile.TemporaryDirectory):
    """A temporary directory with write()."""

    def __enter__(self):
        return self

    def write(self, name, content):
        path = os.path.join(self.name, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path


# ---- events ----

SOURCES = {"CartAbandoned": "ecommerce.cart", "CartUpdated": "ecommerce.cart",
           "CartCleared": "ecommerce.cart", "OrderPlaced": "ecommerce.order",
           "OrderRefunded": "ecommerce.order", "CustomerUpdated": "ecommerce.customer",
           "CustomerErased": "ecommerce.customer", "InventoryChanged": "ecommerce.inventory",
           "Delivered": "messaging", "Bounced": "messaging", "Opened": "messaging",
           "Clicked": "messaging", "Complained": "messaging", "Unsubscribed": "messaging",
           "FeedbackReceived": "messaging"}


def event(kind, time, detail, id=None, source=None, bus=None):
    """One envelope as an object."""
    envelope = {}
    if id is not None:
        envelope["id"] = id
    envelope["detail-type"] = kind
    envelope["source"] = SOURCES.get(kind, "other") if source is None else source
    if time is not None:
        envelope["time"] = time
    if bus is not None:
        envelope["eventBusName"] = bus
    envelope["detail"] = detail
    return envelope


def line(envelope):
    """One envelope as a line without its end."""
    return json.dumps(envelope, ensure_ascii=False, separators=(", ", ": "))


def lines(envelopes):
    """Envelopes (or ready lines) as the text of a file."""
    return "".join((e if isinstance(e, str) else line(e)) + "\n" for e in envelopes)


def milliseconds(time):
    """RFC 3339 in UTC to milliseconds since 1970."""
    import datetime
    day, clock = time.rstrip("Z").split("T")
    hour, minute, second = clock.split(":")
    whole, _, fraction = second.partition(".")
    days = (datetime.date.fromisoformat(day) - datetime.date(1970, 1, 1)).days
    return ((days * 24 + int(hour)) * 60 + int(minute)) * 60000 + int(whole) * 1000 + \
        int((fraction + "000")[:3])


def instant(ms):
    """Milliseconds since 1970 as replay prints them."""
    import datetime
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=ms // DAY_MS)
    rest = ms % DAY_MS
    return (f"{day.isoformat()}T{rest // 3600000:02}:{rest // 60000 % 60:02}:"
            f"{rest // 1000 % 60:02}.{rest % 1000:03}Z")


# ---- what lines say in a coded form ----

def murmur2(data, seed=0x9747b28c):
    """murmur2 as Kafka's default partitioner computes it."""
    mask = 0xffffffff
    m = 0x5bd1e995
    h = (seed ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little")
        k = k * m & mask
        k ^= k >> 24
        k = k * m & mask
        h = h * m & mask ^ k
    tail = data[whole:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = h * m & mask
    h ^= h >> 13
    h = h * m & mask
    h ^= h >> 15
    return h


def siphash128(data, k0=0, k1=0):
    """SipHash-2-4 with 128 bits of output."""
    mask = (1 << 64) - 1

    def rotate(x, b):
        return (x << b | x >> (64 - b)) & mask

    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    words = [data[i:i + 8] for i in range(0, whole, 8)]
    words.append(data[whole:] + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 255]))
    for word in words:
        m = int.from_bytes(word, "little")
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xee
    rounds(4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xdd
    rounds(4)
    second = v[0] ^ v[1] ^ v[2] ^ v[3]
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")


def message_id(program, customer, cart, t0_ms, touch, partitions=256):
    """The id of a message: its customer's partition, then a hash of what it is."""
    data = b""
    for part in (program, customer, cart):
        text = part.encode("utf-8")
        data += struct.pack("<I", len(text)) + text
    data += struct.pack("<qI", t0_ms, touch)
    partition = (murmur2(customer.encode("utf-8")) & 0x7fffffff) % partitions
    return f"{partition:04x}" + siphash128(data).hex()


def held_out(program, customer, percent):
    """Whether a customer is in a program's holdout share."""
    data = program.encode("utf-8") + b"\0" + customer.encode("utf-8")
    return (murmur2(data) & 0x7fffffff) % 10000 < int(percent * 100 + 0.5)


def intent(features):
    """Purchase intent by the shipped model; features that are absent are not known."""
    path = os.path.join(ROOT, "tools", "models", "purchase-intent-v4.json")
    with open(path, encoding="utf-8") as file:
        model = json.load(file)
    total = model["bias"]
    for feature in model["features"]:
        value = features.get(feature["name"])
        if "weights" in feature:
            total += feature["weights"].get(value, feature.get("other", 0))
            continue
        if value is None:
            value = feature.get("missing", 0)
        else:
            value = max(feature.get("min", value), min(feature.get("max", value), value))
        if feature.get("transform") == "log1p":
            value = math.log1p(value)
        total += feature["weight"] * (value - feature.get("center", 0)) / feature.get("scale", 1)
    return 1 / (1 + math.exp(-total))
