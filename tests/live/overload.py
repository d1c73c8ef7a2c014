#!/usr/bin/env python3
"""More than the engine can take: `cartwheel load` presses, beside it unmodified SDKs put carts in.

    overload.py CARTWHEEL                  a few seconds; asserts counts and answers, never timing
    overload.py CARTWHEEL --seconds 120    besides prints figures: peak, goodput, memory, recovery

Overload is made by maxUnanswered, so that requests are refused on any machine. Afterwards every
event that somebody saw accepted is in the engine exactly once, and nothing of a refused request is.
"""
import json
import os
import subprocess
import sys
import threading
import time

import engine
import peers

HERE = os.path.dirname(os.path.abspath(__file__))
# What SDKs put in is told from the pressure by its category, so its decisions are counted alone.
PROGRAM = """
programId: {name}
eventSources:
  - type: eventbridge
    config:
      eventPattern: {{source: [ecommerce.cart], detail-type: [CartAbandoned], detail: {detail}}}
filterChain:
  - {{type: trust, parameters: {{requirePaymentMethod: false}}}}
  - {{type: eligibility}}
channels:
  - type: sms
    config: {{delayMinutes: 30, message: "Hi {{customerName}}! Your cart is waiting: {{cartLink}}"}}
"""
EXACT, ALL = "{category: [exact]}", "{cartValue: [{numeric: ['>=', 0]}]}"
REFUSED = "cartwheel_server_http_refused_"


def start(unanswered, programs=1):
    """An engine with one core, a program for the SDKs' carts and some for every cart."""
    every = {"exact": EXACT, **{f"all{number}": ALL for number in range(programs)}}

    def write(folder):
        for name, detail in every.items():
            with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as file:
                file.write(PROGRAM.format(name=name, detail=detail))

    config = (f"programs: [{', '.join(name + '.yaml' for name in every)}]\n"
              f"http: {{listen: [\"127.0.0.1:0\"], maxUnanswered: {unanswered}}}\n")
    return engine.Engine("--decisions", os.devnull, cores=1, config=config, http=None,
                         prepare=write)


def load(cartwheel, seconds, rate, connections=32, batch=10, form=("--as", "put-events"), seed=1,
         shop_events=2000):
    """What one run of `cartwheel load` tells; the engine refuses, so it may well end with 1."""
    done = subprocess.run(
        [engine.binary(), "load", "--to", cartwheel.url(), *form, "--json", "--seconds",
         str(seconds), "--rate", str(rate), "--batch", str(batch), "--connections",
         str(connections), "--shop-seed", str(seed), "--shop-events", str(shop_events)],
        capture_output=True, check=False, timeout=seconds + 60)
    try:
        return {**json.loads(done.stdout), "batch": batch}
    except ValueError as error:
        raise RuntimeError(f"load: {done.stdout} {done.stderr}") from error


def settled(told):
    return told["accepted"] + told["duplicate"] + told["rejected"]


class Pressure(threading.Thread):
    """Runs of `load`, one after the other, until it is told to stop. Each run waits for its last
    answer, so what it tells is all that it did."""

    def __init__(self, cartwheel, rate):
        super().__init__(daemon=True)
        self.cartwheel, self.rate = cartwheel, rate
        self.runs, self.halt, self.error = [], False, None

    def run(self):
        try:
            while not self.halt and len(self.runs) < 200:
                number = len(self.runs)
                form = () if number % 2 else ("--as", "put-events")
                self.runs.append(load(self.cartwheel, 1, self.rate, form=form, seed=number + 1))
        except (RuntimeError, subprocess.SubprocessError) as error:
            self.error = error


class Client(threading.Thread):
    """One SDK in a process of its own."""

    def __init__(self, name, command):
        super().__init__(daemon=True)
        self.title, self.command, self.told, self.words = name, command, None, ""

    def run(self):
        try:
            done = subprocess.run(self.command, capture_output=True, timeout=400, check=False)
            self.words = done.stdout.decode() + done.stderr.decode()
            self.told = json.loads(done.stdout.decode().splitlines()[-1])
        except (ValueError, IndexError, subprocess.TimeoutExpired) as error:
            self.words += repr(error)


def clients(url, enough, calls, seconds):
    """The SDKs that can be had, and the names of those that cannot."""
    limits = [str(enough), str(calls), str(seconds)]
    python, node = peers.python(), peers.node()
    found, skipped = [], []
    if python:
        script = os.path.join(HERE, "overload_boto3.py")
        found += [Client(f"boto3 {mode}", [python, script, url, mode, f"b-{mode}", *limits])
                  for mode in ("standard", "legacy")]
    else:
        skipped.append("boto3")
    if node:
        found.append(Client("aws-sdk", ["node", os.path.join(HERE, "overload_sdk.mjs"), url, node,
                                        "js", *limits]))
    else:
        skipped.append("@aws-sdk/client-eventbridge")
    return found, skipped


# ---- a burst on one connection: which requests were refused is known one by one ----

def request(path, body, *headers):
    head = "".join(h + "\r\n" for h in ("Host: x", f"Content-Length: {len(body)}", *headers))
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def exact_event(customer):
    """A profile and a cart as envelopes."""
    now = int(time.time() * 1000)
    return [engine.profile(customer, now),
            engine.abandoned(customer, "k-" + customer, now, category="exact")]


def dialects(customer):
    """(name, request, what a refusal says) for each dialect of HTTP."""
    events = exact_event(customer)
    put = {"Entries": [{"Source": e["source"], "DetailType": e["detail-type"],
                        "Detail": json.dumps(e["detail"])} for e in events]}
    rows = "".join(json.dumps(e) + "\n" for e in events).encode()
    cloud = json.dumps([{"specversion": "1.0", "id": e["id"], "source": e["source"],
                         "time": e["time"], "type": e["detail-type"], "data": e["detail"]}
                        for e in events]).encode()
    yield "PutEvents", request("/", json.dumps(put).encode(), "X-Amz-Target: AWSEvents.PutEvents",
                               "Content-Type: application/x-amz-json-1.1")
    yield "NDJSON", request("/v1/events", rows, "Content-Type: application/x-ndjson")
    yield "CloudEvents", request("/v1/events", cloud,
                                 "Content-Type: application/cloudevents-batch+json")


def proper_refusal(name, status, headers, body):
    if name == "PutEvents":
        return status == 400 and json.loads(body).get("__type") == "ThrottlingException"
    return status == 503 and int(headers.get("retry-after", "0")) >= 1


def bursts(results, cartwheel):
    """Three requests of three customers in one segment, of which one fits: the first is taken, the
    others are refused whole. Returns (customers taken, refused, how many refusals)."""
    import attacks
    taken, refused, wrong = [], [], []
    for number in range(12):
        kinds = list(dialects("x"))
        name = kinds[number % 3][0]
        customers = [f"burst-{number}-{i}" for i in range(3)]
        data = b"".join(next(r for n, r in dialects(c) if n == name) for c in customers)
        caller = attacks.dial(cartwheel)
        caller.sendall(data)
        rest = b""
        for customer in customers:
            status, headers, body, rest = attacks.read_answer(caller, rest)
            if status == 200 and (b'"accepted":2,' in body or b'"FailedEntryCount":0' in body):
                taken.append(customer)
            elif status is not None and proper_refusal(name, status, headers, body):
                refused.append(customer)
            else:
                wrong.append((name, status, headers, body))
        caller.close()
    results.check(not wrong, "refusals in the caller's own dialect", wrong[:3])
    results.check(len(taken) >= 12 and len(refused) >= 12, "of each burst one is taken",
                  f"{len(taken)} taken, {len(refused)} refused")
    return taken, refused, len(refused)


# ---- what is in the engine afterwards ----

def status_of(cartwheel, customer):
    status, _, body = cartwheel.get(f"/v1/candidates/{customer}:exact")
    return json.loads(body)["cartId"] if status == 200 else status


def decided(cartwheel, program):
    programs = json.loads(cartwheel.get("/v1/programs")[2])["programs"]
    return next(p["decisions"] for p in programs if p["programId"] == program)


def reconcile(results, cartwheel, taken, refused, events, refusals):
    """taken, refused: customers; events: settled in all; refusals: requests refused in all."""
    metrics = cartwheel.metrics()
    fates = sum(v for k, v in metrics.items() if k.startswith("cartwheel_events_total{"))
    received = metrics["cartwheel_events_received_total"] - metrics["cartwheel_events_made_total"]
    results.equal(int(received), events, "every event that was answered is counted, and no other")
    results.equal(int(fates), int(metrics["cartwheel_events_received_total"]), "fates sum up")
    told = sum(v for k, v in metrics.items() if k.startswith(REFUSED))
    results.equal(int(told), refusals, "every refusal is counted")
    results.equal(int(metrics[REFUSED + "unanswered_total"]), refusals, "by its name")
    missing = [c for c in taken if status_of(cartwheel, c) != "k-" + c]
    results.check(not missing, "what was accepted is there", f"{len(missing)}: {missing[:10]}")
    stored = [c for c in refused if status_of(cartwheel, c) != 404]
    results.check(not stored, "nothing of what was refused is", f"{len(stored)}: {stored[:10]}")
    kinds = decided(cartwheel, "exact")
    results.check(kinds["candidate"] == len(taken) and kinds["duplicate"] == kinds["rejected"] == 0,
                  "exactly once", f"{kinds} for {len(taken)}")


def ended(results, found):
    """Waits for the SDKs; (customers taken, refused, entries, throttled)."""
    taken, refused, entries, throttled = [], [], 0, 0
    for client in found:
        client.join(420)
        told = client.told
        if not results.check(told is not None, f"{client.title} ends", client.words):
            continue
        results.check(not told["odd"], f"{client.title} met nothing else", told["odd"][:5])
        results.check(told["retried"] > 0 and told["accepted"],
                      f"{client.title} retried by itself", client.words[-300:])
        print(f"{client.title}: {len(told['accepted'])} carts accepted, {told['throttled']} calls "
              f"throttled, {told['retried']} retries that led on, {len(told['refused'])} carts of "
              "calls given up")
        taken += told["accepted"]
        refused += told["refused"]
        entries += told["entries"]
        throttled += told["throttled"]
    return taken, refused, entries, throttled


def quiet(cartwheel):
    """All is answered, and requests hold no memory but that of the one who asks."""
    metrics = cartwheel.metrics()
    return metrics["cartwheel_server_requests_unanswered"] <= 1 and \
        metrics["cartwheel_server_request_memory_bytes"] < 65536


def short(results):
    """Everything that is counted, in a few seconds."""
    with start(unanswered=1) as cartwheel:
        taken, refused, refusals = bursts(results, cartwheel)
        pressure = Pressure(cartwheel, rate=100000)
        found, skipped = clients(cartwheel.url(), enough=2, calls=6000, seconds=0)
        pressure.start()
        for client in found:
            client.start()
        more = ended(results, found)
        if not found:
            time.sleep(2)
        pressure.halt = True
        pressure.join(120)
        runs = pressure.runs
        results.check(runs and pressure.error is None, "the load ran", pressure.error)
        errors = {k: v for r in runs for k, v in r["errors"].items()
                  if v and k not in ("throttled", "unsent")}
        results.check(not errors, "the load saw answers and refusals, nothing else", errors)
        throttled = sum(r["errors"]["throttled"] // r["batch"] for r in runs)
        results.check(throttled > 0, "the load was too much", runs[:1])
        results.check(engine.until(lambda: quiet(cartwheel), 10), "no request is kept",
                      cartwheel.metrics())
        events = 2 * len(taken) + more[2] + sum(settled(r) for r in runs)
        reconcile(results, cartwheel, taken + more[0], refused + more[1], events,
                  refusals + more[3] + throttled)
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words[-20:]))
    if skipped:
        print(f"SKIPPED: {', '.join(skipped)} could not be had")


def main():
    results = engine.Results()
    if "--seconds" in sys.argv:
        import overload_soak
        seconds = float(sys.argv[sys.argv.index("--seconds") + 1])
        overload_soak.run(results, seconds)
    else:
        short(results)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
