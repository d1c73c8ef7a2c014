"""The long overload: figures. Run by `overload.py CARTWHEEL --seconds N`.

Peak: as many connections as may be unanswered, so nothing is refused. Overload: ten times that rate
offered over many more connections, with the SDKs beside it. Then a fifth of the peak again. Eight
programs and large requests make the engine slower than the load, else one machine could not offer
so much. Each figure is told twice, by the clock and by the engine's own processor time: on a
machine that others use too only the second compares. State grows under load, since load has new
customers all the time; so memory is told with the rows that it holds, before and after.
"""
import os
import statistics
import threading
import time

import overload

UNANSWERED, CONNECTIONS, PROGRAMS, BATCH = 16, 128, 8, 100
TICK = os.sysconf("SC_CLK_TCK")


class Watch(threading.Thread):
    """Looks at the engine once a second. A look that is refused is counted and tried again."""

    def __init__(self, cartwheel):
        super().__init__(daemon=True)
        self.cartwheel, self.looks, self.halt, self.refused = cartwheel, [], False, 0

    def look(self):
        pid = self.cartwheel.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            parts = file.read().rpartition(")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))
        for _ in range(200):
            status, _, body = self.cartwheel.get("/metrics")
            if status == 200:
                break
            self.refused += 1
            time.sleep(0.005)
        found = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        fates = {k: v for k, v in found.items() if k.startswith("cartwheel_events_total{")}
        return {"at": time.monotonic(), "rss": rss, "files": files,
                "cpu": (int(parts[11]) + int(parts[12])) / TICK,
                "events": sum(fates.values()),
                "rows": sum(v for k, v in found.items() if k.startswith("cartwheel_table_rows")),
                "tables": sum(v for k, v in found.items() if k.startswith("cartwheel_table_bytes")),
                "unanswered": found.get("cartwheel_server_requests_unanswered", 0),
                "memory": found.get("cartwheel_server_request_memory_bytes", 0),
                "all": found}

    def run(self):
        while not self.halt:
            try:
                self.looks.append(self.look())
            except (OSError, UnboundLocalError, ValueError):
                self.refused += 1
            time.sleep(1)


def quantile(before, after, share, name="cartwheel_event_to_answer_seconds"):
    """Of the answers between two looks, by the engine's histogram: the end of its bucket, in ms."""
    count = after[name + "_count"] - before.get(name + "_count", 0)
    for key, value in after.items():  # in the order of the exposition: ascending
        if key.startswith(name + "_bucket") and count > 0:
            if value - before.get(key, 0) >= share * count:
                end = key.split('le="')[1].split('"')[0]
                return float("inf") if end == "+Inf" else float(end) * 1000
    return 0.0


def rates(looks):
    """Events a second between neighbours: (by the clock, by the engine's processor time)."""
    found = []
    for a, b in zip(looks, looks[1:]):
        if b["cpu"] > a["cpu"]:
            events = b["events"] - a["events"]
            found.append((events / (b["at"] - a["at"]), events / (b["cpu"] - a["cpu"])))
    return found


def phase(watch, what):
    """Runs something; what it gave, and the looks meanwhile."""
    first = len(watch.looks)
    told = what()
    return told, watch.looks[max(first, 1):]


def spread(values):
    return f"{statistics.median(values):,.0f} (from {min(values):,.0f} to {max(values):,.0f})"


def describe(name, looks, told):
    seconds = rates(looks)[:int(told["seconds"]) or 1]
    clock = statistics.median(r[0] for r in seconds)
    own = statistics.median(r[1] for r in seconds)
    errors = {k: v for k, v in told["errors"].items() if v}
    print(f"{name}: offered {told['offeredPerSecond']:,.0f}/s; events/s "
          f"{spread([r[0] for r in seconds])}; a processor second of the engine "
          f"{spread([r[1] for r in seconds])}; not taken: {errors}")
    return clock, own


def memory_limit(rss):
    """What the engine has, and of what the machine can still give most: a run whose state grows to
    it ends early."""
    with open("/proc/meminfo", encoding="ascii") as file:
        left = next(int(line.split()[1]) for line in file if line.startswith("MemAvail")) * 1024
    return rss + 0.85 * left


def in_parts(press, watch, length):
    """Runs of ten seconds, as one; fewer when the state has grown to the limit."""
    parts, limit = [], memory_limit(watch.looks[-1]["rss"])
    each = min(length, 10)  # seconds of sending; waiting for the last answers comes on top
    while len(parts) * each < length:
        parts.append(press(each))
        if watch.looks[-1]["rss"] > limit:
            print(f"  ended early, after {len(parts) * each} s: the state "
                  f"has grown to {limit / 2**30:.1f} GiB")
            break
    seconds = sum(part["seconds"] for part in parts)
    offered = sum(part["offered"] for part in parts)
    return {"seconds": seconds, "offered": offered,
            "offeredPerSecond": offered / (each * len(parts)),
            "errors": {k: sum(part["errors"][k] for part in parts) for k in parts[0]["errors"]}}


def recovery(watch, ended_at, limit_ms):
    """Seconds after the load until P99 of answers is, and stays, under the limit."""
    after = [look for look in watch.looks if look["at"] > ended_at]
    bad = ended_at
    for a, b in zip(after, after[1:]):
        if quantile(a["all"], b["all"], 0.99) > limit_ms:
            bad = b["at"]
    return bad - ended_at


def run(results, seconds):
    with overload.start(UNANSWERED, PROGRAMS) as cartwheel:
        watch = Watch(cartwheel)
        watch.start()
        runs = []

        def press(length, rate, at_once):
            told = overload.load(cartwheel, length, int(rate), connections=at_once, form=(),
                                 seed=len(runs) + 1, batch=BATCH, shop_events=20000)
            runs.append(told)
            return told

        press(5, 500000, UNANSWERED)  # pages of the tables are touched for the first time
        told, looks = phase(watch, lambda: press(max(5, seconds / 10), 500000, UNANSWERED))
        peak, own_peak = describe("peak", looks, told)
        normal, looks = phase(watch, lambda: press(5, peak / 5, UNANSWERED))
        describe("a fifth of it", looks, normal)
        usual = quantile(looks[0]["all"], looks[-1]["all"], 0.99)
        found, _ = overload.clients(cartwheel.url(), 0, 100000, seconds)
        for client in found:
            client.start()
        before = watch.looks[-1]
        told, looks = phase(watch, lambda: in_parts(
            lambda length: press(length, peak * 10, CONNECTIONS), watch, seconds))
        clock, own = describe("ten times it", looks, told)
        ended_at = looks[0]["at"] + told["seconds"]
        after = watch.looks[-1]
        sent = told["offered"] - told["errors"]["unsent"]
        print(f"  {100 * sent / told['offered']:.0f} % of that could be sent; goodput "
              f"{100 * clock / peak:.0f} % of the peak by the clock, {100 * own / own_peak:.0f} % "
              "by processor time")
        print(f"  unanswered at most {max(k['unanswered'] for k in looks):.0f}, memory of requests "
              f"at most {max(k['memory'] for k in looks) / 2**20:.1f} MiB, descriptors at most "
              f"{max(k['files'] for k in looks)}")
        grown, rows = after["rss"] - before["rss"], after["rows"] - before["rows"]
        print(f"  RSS {before['rss'] / 2**20:.0f} -> {after['rss'] / 2**20:.0f} MiB; rows "
              f"{before['rows']:,.0f} -> {after['rows']:,.0f}; their bytes grew by "
              f"{(after['tables'] - before['tables']) / 2**20:.0f} MiB; "
              f"{grown / rows if rows else 0:.0f} bytes of RSS a new row")
        print(f"  own looks refused meanwhile: {watch.refused}")
        again, looks = phase(watch, lambda: press(8, peak / 5, UNANSWERED))
        describe("a fifth of it again", looks, again)
        last = watch.looks[-1]
        late = quantile(looks[0]["all"], last["all"], 0.99)
        print(f"  P99 of answers: {usual:g} ms before, {late:g} ms after; twice the usual was last "
              f"seen {recovery(watch, ended_at, 2 * usual):.0f} s after the load")
        ends = overload.ended(results, found)
        watch.halt = True
        watch.join(10)
        settle(results, cartwheel, runs, ends, watch)
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words[-20:]))


def settle(results, cartwheel, runs, ends, watch):
    """What was accepted is there. A load that gave up waiting knows nothing of its last ones."""
    unknown = sum(r["errors"]["timeout"] + r["errors"]["broken"] for r in runs)
    metrics = cartwheel.metrics()
    received = metrics["cartwheel_events_received_total"] - metrics["cartwheel_events_made_total"]
    accepted = ends[2] + sum(overload.settled(r) for r in runs)
    print(f"accepted {accepted:,}, in the engine {received:,.0f}, of unknown fate {unknown:,}")
    results.check(accepted <= received <= accepted + unknown, "what was accepted is there",
                  f"{accepted} {received} {unknown}")
    kinds = overload.decided(cartwheel, "exact")
    results.check(kinds["candidate"] == len(ends[0]) and kinds["duplicate"] == 0, "exactly once",
                  f"{kinds} for {len(ends[0])}")
    missing = [c for c in ends[0] if overload.status_of(cartwheel, c) != "k-" + c]
    stored = [c for c in ends[1] if overload.status_of(cartwheel, c) != 404]
    results.check(not missing and not stored, "each cart", f"{missing[:5]} {stored[:5]}")
    results.check(watch.looks, "the engine was looked at")
