"""kill -9 in the middle, again and again: what was acknowledged is all there, nothing is sent twice.

Requests of PutEvents carry a customer and an abandoned cart each; e-mails go to a real SMTP server
that counts them by Message-ID. After each kill the engine comes up on the same state, on another
number of cores now and then. At the end every acknowledged cart has its candidate, and each touch
that is told as sent has arrived once; one that was in doubt arrived once or not at all.

    crash.py CARTWHEEL [--rounds N] [--boto3] [--seed N]     default 6 rounds
"""
import glob
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import engine
import peers
from deliver_peers import Mailbox

ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 6
SEED = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 1
BOTO3 = "--boto3" in sys.argv
THREADS = 8
QUEUE, CONCURRENCY = 16, 16
# Each round is hours of the engine's clock, and a fast machine takes more carts than the SMTP server
# mails: in many rounds touches wait for weeks, which is no reason here to end their journeys.
PROGRAM = """programId: crash
candidateTTLDays: 365
eventSources:
  - type: eventbridge
    config:
      eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
channels:
  - type: email
    config:
      delayMinutes: 30
      templateId: cart-recovery-v3
      subject: "Your cart, {customerName}"
"""
CONFIG = """http: {listen: ["127.0.0.1:0"]}
clock: 3600x
checkpointBytes: 1048576
channels:
  email: {type: smtp, url: "smtp://127.0.0.1:%d", from: "Shop <shop@example.com>",
          queue: %d, concurrency: %d}
"""


def entries(customer, now_ms):
    profile = engine.profile(customer, now_ms)
    cart = engine.abandoned(customer, "cart-" + customer, now_ms)
    return [{"Source": e["source"], "DetailType": e["detail-type"], "Time": now_ms / 1000,
             "Detail": json.dumps(e["detail"])} for e in (profile, cart)]


class Plain:
    """PutEvents by hand: what is not answered is not acknowledged."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def put(self, given):
        self.connection.request("POST", "/", json.dumps({"Entries": given}), {
            "content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"})
        answer = self.connection.getresponse()
        body = json.loads(answer.read())
        return answer.status == 200 and body["FailedEntryCount"] == 0


class Sdk:
    """An unmodified boto3; it retries by itself, so an answer counts whatever came before."""

    def __init__(self, port):
        import boto3  # of the peers' environment, see main()
        from botocore.config import Config
        self.client = boto3.client(
            "events", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret",
            config=Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=2,
                          read_timeout=5))

    def put(self, given):
        return self.client.put_events(Entries=given)["FailedEntryCount"] == 0


def feed(port, name, clock_ms, stop, accepted):
    """Puts carts in until the engine is gone."""
    client = (Sdk if BOTO3 else Plain)(port)
    number = 0
    while not stop.is_set():
        customer = f"{name}-{number}"
        number += 1
        try:
            if client.put(entries(customer, clock_ms)):
                accepted.append(customer)
        except Exception:  # the connection broke: nothing is known, nothing was promised
            return


def clock_of(live):
    """The engine's clock as milliseconds."""
    text = json.loads(live.get("/healthz")[2])["clock"]
    whole = time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    import calendar
    return calendar.timegm(whole) * 1000 + int(text[20:23])


def candidate(live, customer):
    status, _, body = live.get(f"/v1/candidates/{customer}:crash")
    return json.loads(body) if status == 200 else None


def look(live, accepted):
    """(customer, candidate or None) of each."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda c: (c, candidate(live, c)), accepted))


def check(results, live, mailbox, accepted, numbers):
    engine.until(lambda: all(got is None or
                             got["touches"][0]["status"] not in ("pending", "sending")
                             for _, got in look(live, accepted)), 60, 0.5)
    time.sleep(1)  # for what would come once too often
    counts = {}
    for _, _, content in list(mailbox.mails):
        name = next(line for line in content.splitlines() if line.lower().startswith(b"message-id:"))
        counts[name] = counts.get(name, 0) + 1
    twice = [name for name, count in counts.items() if count > 1]
    results.check(not twice, "no message was sent twice", twice[:5])
    found = look(live, accepted)
    lost = [c for c, got in found if got is None]
    results.check(not lost, f"each of {len(accepted)} acknowledged carts is there", lost[:10])
    told = [(c, got["touches"][0]["status"]) for c, got in found if got is not None]
    sent = [c for c, status in told if status == "sent"]
    unknown = [c for c, status in told if status == "unknown"]
    arrived = {to[0].split("@")[0] for _, to, _ in list(mailbox.mails)}
    results.check(not [c for c in sent if c not in arrived], "what is told as sent has arrived",
                  [c for c in sent if c not in arrived][:10])
    other = [(c, s) for c, s in told if s not in ("sent", "unknown")]
    results.check(not other, "every touch has come to its end", other[:10])
    # A queue is cut among the cores and rounded up; each core may have all attempts.
    bound = ROUNDS * (QUEUE + 3 * CONCURRENCY + 3)
    results.check(len(unknown) <= bound, "a crash leaves no more in doubt than it may",
                  f"{len(unknown)} of {len(told)}, {bound} may be")
    results.check(len(sent) > 0, "messages were sent", f"{len(sent)} of {len(told)}")
    numbers.update(acknowledged=len(accepted), sent=len(sent), in_doubt=len(unknown),
                   mails=len(mailbox.mails))


def main():
    if BOTO3:  # this interpreter has the mail server, another one the SDK
        python = peers.python()
        if python is None:
            engine.skip("boto3 cannot be had")
        sys.path += glob.glob(os.path.join(os.path.dirname(python), "..", "lib", "python3*",
                                           "site-packages"))
    results = engine.Results()
    chance = random.Random(SEED)
    folder = tempfile.mkdtemp(prefix="cartwheel-crash-")
    state = os.path.join(folder, "state")
    program = os.path.join(folder, "crash.yaml")
    with open(program, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    mailbox = Mailbox()
    config = CONFIG % (mailbox.port, QUEUE, CONCURRENCY)
    accepted, numbers = [], {}
    try:
        for round_number in range(ROUNDS):
            cores = chance.choice([1, 2, 2, 3])
            with engine.Engine(programs=[program], config=config, cores=cores, state=state,
                               http=None) as live:
                stop = threading.Event()
                now = clock_of(live)
                threads = [threading.Thread(target=feed, args=(
                    live.port(), f"r{round_number}t{i}", now, stop, accepted))
                    for i in range(THREADS)]
                for thread in threads:
                    thread.start()
                time.sleep(chance.uniform(0.1, 1.5))
                live.process.send_signal(signal.SIGKILL)
                stop.set()
                for thread in threads:
                    thread.join(30)
                live.stop(signal.SIGKILL)
        results.check(len(accepted) > ROUNDS, "carts were acknowledged", len(accepted))
        with engine.Engine(programs=[program], config=config, cores=2, state=state,
                           http=None) as live:
            check(results, live, mailbox, accepted, numbers)
            results.equal(live.stop(), 0, "it stops in order")
        with engine.Engine(programs=[program], config=config, cores=1, state=state,
                           http=None) as live:
            before = len(mailbox.mails)
            results.check(any("a clean stop" in word for word in live.words),
                          "a clean stop is told", live.words)
            time.sleep(1)
            results.equal(len(mailbox.mails), before, "nothing is sent again after a clean stop")
    finally:
        mailbox.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{ROUNDS} rounds, seed {SEED}: " +
          ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in numbers.items()))
    results.finish()


main()
