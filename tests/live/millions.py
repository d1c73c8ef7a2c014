#!/usr/bin/env python3
"""Live candidates, as many as one asks for: started anew after clean stops and after kill -9, and
all still there. With ten million of them it tells how long a start takes on this machine:

  tests/live/millions.py build/release/cartwheel --customers 2500000 --tables /dev/shm

wants 18 GB of memory and 40 GB of disk (the state and what a checkpoint adds), under --folder."""
import argparse
import glob
import http.client
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import engine

CARTS = 4  # of each customer, all in flight at once
AT_ONCE = 400  # customers a request
PROGRAM = """programId: millions
onNewCart: parallel
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
channels:
  - type: email
    config: {delayMinutes: 1440, templateId: cart-recovery-v3, subject: "Your cart"}
"""
# Written by hand: json.dumps would take longer than the engine.
PROFILE = ('{"source":"ecommerce.customer","detail-type":"CustomerUpdated","id":"p%d","time":"%s",'
           '"detail":{"customerId":"C%d","email":"c%d@example.org"}}\n')
CART = ('{"source":"ecommerce.cart","detail-type":"CartAbandoned","id":"a%d","time":"%s","detail":'
        '{"customerId":"C%d","cartId":"K%d","cartValue":112.99,"currency":"USD","items":[{"id":"P1",'
        '"name":"Shoe","price":112.99,"quantity":1}]}}\n')


def lines(first, end, at):
    found = []
    for number in range(first, end):
        found.append(PROFILE % (number, at, number, number))
        found += [CART % (cart, at, number, cart)
                  for cart in range(number * CARTS, number * CARTS + CARTS)]
    return "".join(found)


def feed(port, first, end):
    """Puts those customers in, each request again until it is taken."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    at = engine.stamp(time.time() * 1000)
    for number in range(first, end, AT_ONCE):
        body = lines(number, min(number + AT_ONCE, end), at)
        for _ in range(6000):
            connection.request("POST", "/v1/events", body, {"content-type": "application/x-ndjson"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                break
            if answer.status not in (429, 503):
                sys.exit(f"{answer.status} {said[:300]}")
            time.sleep(0.05)
        else:
            sys.exit("not taken in five minutes")


def feed_all(port, customers):
    parts = os.cpu_count()
    bounds = [customers * part // parts for part in range(parts + 1)]
    running = [multiprocessing.Process(target=feed, args=(port, *pair))
               for pair in zip(bounds, bounds[1:])]
    for process in running:
        process.start()
    for process in running:
        process.join()
    return all(process.exitcode == 0 for process in running)


def rows(live):
    found = {}
    for name, value in live.metrics().items():
        table = re.fullmatch(r'cartwheel_table_rows\{table="(\w+)"\}', name)
        if table:
            found[table.group(1)] = int(value)
    return found


def disk_speed(state):
    """GB/s at which the disk gives the newest checkpoints of all cores, past the cache"""
    newest = []
    for core in glob.glob(os.path.join(state, "epoch-*", "core-*")):
        newest += sorted(glob.glob(os.path.join(core, "checkpoint-" + "[0-9a-f]" * 16)))[-1:]
    began = time.monotonic()
    reading = [subprocess.Popen(["dd", f"if={path}", "of=/dev/null", "bs=2M", "iflag=direct"],
                                stderr=subprocess.DEVNULL) for path in newest]
    if any(process.wait() != 0 for process in reading) or not reading:
        return None  # a file system that has no such reads
    return sum(os.path.getsize(path) for path in newest) / 1e9 / (time.monotonic() - began)


class Place:
    def __init__(self, options):
        self.folder = tempfile.mkdtemp(prefix="cartwheel-millions-", dir=options.folder)
        self.memory = tempfile.mkdtemp(prefix="cartwheel-millions-", dir=options.tables)
        self.program = os.path.join(self.folder, "millions.yaml")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        self.config = f"memory: {self.memory}/tables\n"
        self.cores = options.cores

    def start(self):
        """(the engine, seconds from the command to `ready`, what it said of its state)"""
        began = time.monotonic()
        live = engine.Engine("--decisions", os.devnull, programs=[self.program],
                             cores=self.cores, config=self.config,
                             state=os.path.join(self.folder, "state"))
        live.ready.wait(600)
        seconds = time.monotonic() - began
        said = [w for w in live.words if "adopted " in w or "recovered " in w]
        return live, seconds, said

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.memory, ignore_errors=True)


def restarts(results, place, before, how, word, count):
    """(seconds of each start; of each that read its state, GB/s by its checkpoints, by all that it
    read, and of the disk just before)"""
    seconds, checkpoints, everything, disk = [], [], [], []
    for _ in range(count):
        disk.append(disk_speed(os.path.join(place.folder, "state")))
        live, took, said = place.start()
        with live:
            results.equal(rows(live), before, f"{word}: every row is there")
            results.check(any(word in line for line in said), word, live.words)
            read = re.search(r"in ([\d.]+) s after a CRASH: ([\d.]+) MB.*log \(([\d.]+) MB",
                             "\n".join(said))
            if read and float(read.group(2)) > 100:  # less is no figure
                took_s, checkpoint_mb, log_mb = (float(part) for part in read.groups())
                checkpoints.append(checkpoint_mb / 1000 / took_s)
                everything.append((checkpoint_mb + log_mb) / 1000 / took_s)
            live.stop(how, 120)
        seconds.append(took)
    return seconds, checkpoints, everything, [speed for speed in disk if speed]


def told(what, numbers, unit):
    if numbers:
        print(f"  {what}: {statistics.median(numbers):.3f} {unit} "
              f"[{min(numbers):.3f}-{max(numbers):.3f}], {len(numbers)} starts", flush=True)


def measured(results, place, options):
    live, _, _ = place.start()
    with live:
        began = time.monotonic()
        results.check(feed_all(live.port(), options.customers), "every event is taken")
        before = rows(live)
        print(f"  {before['candidates']} candidates of {options.customers} customers, "
              f"{sum(before.values())} rows, in {time.monotonic() - began:.0f} s", flush=True)
        results.equal(before["candidates"], CARTS * options.customers, "each cart is a candidate")
        results.equal(live.stop(timeout=120), 0, "it stops in order")
    clean = restarts(results, place, before, signal.SIGTERM, "adopted ", options.restarts)[0]
    told("from the command to ready, after a clean stop", clean, "s")
    restarts(results, place, before, signal.SIGKILL, "adopted ", 1)
    crash, checkpoints, everything, disk = restarts(results, place, before, signal.SIGKILL,
                                                    "after a CRASH", options.restarts)
    told("after kill -9", crash, "s")
    told("checkpoints, by all of the recovery's time", checkpoints, "GB/s")
    told("checkpoints and log, by the same", everything, "GB/s")
    told("the disk alone gives the checkpoints at", disk if checkpoints else [], "GB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--restarts", type=int, default=2, help="of each kind")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--tables", default="/dev/shm", help="on tmpfs or hugetlbfs")
    parser.add_argument("--folder", help="where the state is to lie")
    parser.add_argument("cartwheel", nargs="?", help="the program to test")
    options = parser.parse_args()
    results = engine.Results()
    place = Place(options)
    try:
        measured(results, place, options)
    finally:
        place.remove()
    results.finish()


main()
