#!/usr/bin/env python3
"""A real file system that is full under a real engine: the disk (ext4 on a loop device, tmpfs where
there is none), and the tmpfs that tables lie in. New carts are refused with 503, in words and
counters; orders, opt-outs and what was acknowledged stay; who sends again what was refused loses
nothing; and it goes on by itself once there is room. Everything is mounted in a namespace of the
test's own."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import engine
import mounts

MIB = 1 << 20
BATCH = 500
REFUSED = "there is no room for it now"
TCP = ("--tcp", "127.0.0.1:0")


def mount_disk(folder, image, mib):
    """Its kind."""
    if mounts.ext4(folder, image, mib):
        return "ext4"
    if not mounts.mounted("-t", "tmpfs", "-o", f"size={mib}m", "none", folder):
        engine.skip("nothing can be mounted here")
    return "tmpfs"


def carts(name, number, fields=20):
    """New customers with a cart each; what fills."""
    now = int(time.time() * 1000)
    events = []
    for i in range(number * BATCH, (number + 1) * BATCH):
        customer = f"{name}-{i}"
        items = [{"id": f"i-{k}", "name": f"Headphones number {k} of {customer}", "price": 150.0}
                 for k in range(fields)]
        events += [engine.profile(customer, now),
                   engine.abandoned(customer, "c-" + customer, now, items=items)]
    return events


def fill(live, name, most):
    """Posts until something is refused: the customers whose cart was acknowledged, and the answer."""
    kept = []
    for number in range(most):
        events = carts(name, number)
        status, answer = live.post_events(events)
        if status != 200 or answer["rejected"]:
            return kept, json.dumps(answer)
        kept += [e["detail"]["customerId"] for e in events[1::2]]
    return kept, ""


def taken(live, events):
    status, answer = live.post_events(events)
    return status == 200 and not answer["rejected"]


def health(live):
    return json.loads(live.get("/healthz")[2])


def short(live, what):
    return what in health(live).get("shortOf", [])


def goes_on(results, live, customer, what):
    """While new work is refused: an order and an opt-out of somebody whose cart is kept."""
    now = int(time.time() * 1000)
    status, answer = live.post_events([engine.ordered(customer, f"o-{what}-{customer}", now),
                                       engine.profile(customer, now + 1, smsOptOut=True)])
    results.check(status == 200 and answer["accepted"] == 2, f"{what}: an order and an opt-out "
                  "are taken", answer)
    results.check(engine.until(lambda: any(
        d["kind"] == "converted" and d["customerId"] == customer for d in live.decisions())),
        f"{what}: the order ends the journey")


def mixed(customer, name, fresh):
    """An order of somebody whose cart is kept among carts of new customers."""
    now = int(time.time() * 1000)
    events = [engine.ordered(customer, f"o-{name}", now)]
    for cart in fresh:
        events += [engine.profile(cart, now), engine.abandoned(cart, "c-" + cart, now)]
    return events


def over_tcp(live, events):
    """What is heard, line by line, until the engine ends the connection."""
    heard = []
    with socket.create_connection(("127.0.0.1", live.port("tcp")), timeout=10) as caller:
        caller.sendall("".join(json.dumps(e) + "\n" for e in events).encode())
        with caller.makefile("rb") as lines:
            try:
                heard += (json.loads(line) for line in lines)
            except TimeoutError:
                heard.append({"error": "the test: it is open still"})
    return heard


def come_again(results, live, what, kept):
    """A batch with old and new work is told to come again, whatever its caller reads."""
    events = mixed(kept[1], f"{what}-http", [f"{what}-again"])
    for accepted in (2, 0):
        status, headers, body = live.request("POST", "/v1/events",
                                             "".join(json.dumps(e) + "\n" for e in events),
                                             {"content-type": "application/x-ndjson"})
        answer = json.loads(body)
        results.check(status == 503 and headers.get("retry-after") == "1" and
                      answer["accepted"] == accepted and answer["duplicate"] == 2 - accepted and
                      [(r["index"], r.get("retry")) for r in answer["rejected"]] == [(2, True)],
                      f"{what}: a batch in part is a 503", (status, headers, body))
    heard = over_tcp(live, mixed(kept[2], f"{what}-tcp", [f"{what}-again"]))
    results.check(heard and "line 3" in heard[-1].get("error", "") and heard[-1].get("retry") and
                  all(h.get("ack", 9) < 3 for h in heard[:-1]),
                  f"{what}: no line that was refused for now is acknowledged", heard)


class Sender:
    """`cartwheel send` of old and new work to an engine that has no room for the new."""

    def __init__(self, live, folder, what, scheme, customer, *options):
        self.name, self.customer = f"{what}-send-{scheme}", customer
        self.carts = [f"{self.name}-{i}" for i in range(3)]
        file = os.path.join(folder, self.name)
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(e) + "\n" for e in mixed(customer, self.name, self.carts))
        self.process = subprocess.Popen(
            [engine.binary(), "send", file, "--to", live.url(scheme), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def waits(self, results, live):
        results.check(engine.until(lambda: any(
            d["kind"] == "converted" and d["customerId"] == self.customer
            for d in live.decisions())), f"{self.name}: the order in it ends the journey")
        time.sleep(0.5)
        results.check(self.process.poll() is None, f"{self.name}: it waits")

    def ended(self, timeout=60):
        _, said = self.process.communicate(timeout=timeout)
        return self.process.returncode, said.decode()

    def arrived(self, results, live, all_new):
        code, said = self.ended()
        counts = [int(n) for n in re.findall(r"(\d+) (?:accepted|duplicate|rejected)", said)]
        results.check(code == 0 and len(counts) == 3 and counts[0] + counts[1] == 7 and
                      counts[2] == 0 and (counts[0] == 7 or not all_new),
                      f"{self.name}: all is accepted, each once", said)
        results.check(all(live.get(f"/v1/candidates/{cart}:kept")[0] == 200 for cart in self.carts),
                      f"{self.name}: its carts are followed")


def senders(results, live, folder, what, kept):
    """They try until there is room; one that may not try for long says what it has not sent."""
    come_again(results, live, what, kept)
    found = [Sender(live, folder, what, scheme, kept[3 + i], "--retry-for", "120")
             for i, scheme in enumerate(("http", "tcp"))]
    for sender in found:
        sender.waits(results, live)
    for i, scheme in enumerate(("http", "tcp")):
        code, said = Sender(live, folder, what + "-brief", scheme, kept[5 + i], "--retry-for",
                            "1").ended()
        results.check(code == 1 and "stopped before" in said and "there is no room for" in said and
                      said.endswith(" 0 rejected\n"), f"{what}: {scheme} gives up in words", said)
    return found


def all_arrived(results, live, found):
    for sender, all_new in zip(found, (True, False)):  # tcp: what was not acknowledged comes again
        sender.arrived(results, live, all_new)


def told(results, live, what, words, metric):
    results.check(engine.until(lambda: short(live, what)), f"{what}: /healthz says so", health(live))
    results.check(engine.until(lambda: any(words in w for w in live.words)),
                  f"{what}: it is said", live.words)
    results.check(live.metrics()[metric] > 0, f"{what}: it is counted")


def over(results, live, what, words):
    began = time.monotonic()
    results.check(engine.until(lambda: not short(live, what)), f"{what}: there is room again",
                  health(live))
    print(f"{what}: room again after {time.monotonic() - began:.1f} s")
    results.check(engine.until(lambda: any(words in w for w in live.words)),
                  f"{what}: that is said", live.words)
    # A client does what it was told: it sends again.
    results.check(engine.until(lambda: taken(live, carts("after", 0, 1)), step=0.5),
                  f"{what}: new carts are taken again")


def full_disk(results, folder, program):
    place = os.path.join(folder, "disk")
    os.mkdir(place)
    kind = mount_disk(place, os.path.join(folder, "image"), 96)
    ballast = os.path.join(place, "ballast")
    with open(ballast, "wb") as file:
        file.write(os.urandom(MIB) * 32)
    state = os.path.join(place, "state")
    with engine.Engine(programs=[program], state=state, cores=1) as live:
        kept, answer = fill(live, "d", 200)
        results.check(REFUSED in answer, f"a full {kind} refuses new carts", answer[:300])
        told(results, live, "disk", "is full", "cartwheel_store_disk_full")
        goes_on(results, live, kept[0], "disk")
        live.stop(signal.SIGKILL)
    with engine.Engine(*TCP, programs=[program], state=state, cores=1) as live:
        rows = live.metrics()
        results.check(all(rows[f'cartwheel_table_rows{{table="{table}"}}'] >= len(kept)
                          for table in ("customers", "candidates")),
                      "after a kill on a full disk all that was acknowledged is there", len(kept))
        told(results, live, "disk", "is full", "cartwheel_store_disk_full")
        waiting = senders(results, live, folder, "disk", kept)
        os.remove(ballast)
        over(results, live, "disk", "room again")
        all_arrived(results, live, waiting)
        results.equal(live.stop(), 0, "it stops in order")


def fill_up(path):
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def used(path):
    """Where the frames of a segment end."""
    with open(path, "rb") as file:
        data = file.read()
    at = 4096
    while data[at:at + 4] == b"CWFR":
        at += (int.from_bytes(data[at + 4:at + 8], "little") + 4095) // 4096 * 4096
    return at


def crash_loop(results, folder, program):
    """A disk that others have filled, and an engine that is killed again and again: no start uses
    up more than was written."""
    place = os.path.join(folder, "loop")
    os.mkdir(place)
    kind = mount_disk(place, os.path.join(folder, "loop-image"), 160)
    state = os.path.join(place, "state")
    with engine.Engine(programs=[program], state=state, cores=2) as live:
        results.check(taken(live, carts("l", 0, 1)), "carts are acknowledged")
        live.stop(signal.SIGKILL)
    fill_up(os.path.join(place, "ballast"))
    for number in range(6):
        with engine.Engine(programs=[program], state=state, cores=2) as live:
            goes_on(results, live, f"l-{number}", f"{kind} full, start {number}")
            time.sleep(1.5)  # counters, a seal
            live.stop(signal.SIGKILL)
    for core in ("core-000", "core-001"):  # what one gives back, the other may take
        logs = os.path.join(state, "epoch-00000001", core)
        for name in os.listdir(logs):  # what a start could still find there
            if name.startswith("spare-"):
                os.remove(os.path.join(logs, name))
            elif name.startswith("log-"):
                os.truncate(os.path.join(logs, name), used(os.path.join(logs, name)))
    fill_up(os.path.join(place, "more"))
    code, _, said = engine.execute([engine.binary(), "run", "--state", state, "--cores", "2",
                                    "--http", "127.0.0.1:0", program], timeout=60)
    results.check(code == 74 and b"core " in said and b"disk is full" in said and
                  b"Make room" in said, "without any room it says what to do", (code, said))
    os.remove(os.path.join(place, "ballast"))
    with engine.Engine(programs=[program], state=state, cores=2) as live:
        there = sum(live.get(f"/v1/candidates/l-{i}:kept")[0] == 200 for i in range(BATCH))
        results.check(there >= BATCH - 6, "with room again all is there", there)
        results.equal(live.stop(), 0, "and goes on")


def full_memory(results, folder, program):
    place = os.path.join(folder, "memory")
    os.mkdir(place)
    if not mounts.mounted("-t", "tmpfs", "-o", "size=96m", "none", place):
        engine.skip("no tmpfs can be mounted here")
    state = os.path.join(folder, "state")
    config = json.dumps({"memory": os.path.join(place, "tables")})
    with engine.Engine(*TCP, programs=[program], state=state, cores=1, config=config) as live:
        kept, answer = fill(live, "m", 200)
        results.check(REFUSED in answer, "memory nearly out refuses new carts", answer[:300])
        told(results, live, "memory", "memory is nearly out", "cartwheel_memory_low")
        goes_on(results, live, kept[0], "memory")
        for number in range(20):  # whoever does not listen
            live.post_events(carts("m", 300 + number))
        results.equal(live.process.poll(), None, "and it lives")
        waiting = senders(results, live, folder, "memory", kept)
        mounts.mounted("-o", "remount,size=512m", place)
        over(results, live, "memory", "there is memory again")
        all_arrived(results, live, waiting)
        results.equal(live.stop(), 0, "it stops in order")
    for size, ready in ((24, False), (512, True)):  # and comes back where there is less
        subprocess.run(["umount", place], capture_output=True, check=True)
        mounts.mounted("-t", "tmpfs", "-o", f"size={size}m", "none", place)
        path = os.path.join(folder, "engine.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        if ready:
            with engine.Engine(programs=[program], state=state, cores=1, config=config) as live:
                results.equal(live.get(f"/v1/candidates/{kept[0]}:kept")[0], 200, "all is there")
            continue
        code, _, said = engine.execute([engine.binary(), "run", "-c", path, "--state", state,
                                        "--cores", "1", "--http", "127.0.0.1:0", program],
                                       timeout=60)
        results.check(code == 1 and b"no room is left for tables" in said,
                      "too little for what there is ends a start in words", (code, said))


def stop_in_full_memory(results, folder, program):
    """Others fill the file system of the tables: a stop, after which all is durable, takes no page
    that it has not, and the next start takes the tables over."""
    place = os.path.join(folder, "memory")
    subprocess.run(["umount", place], capture_output=True, check=True)
    mounts.mounted("-t", "tmpfs", "-o", "size=96m", "none", place)
    state = os.path.join(folder, "state-full-stop")
    config = json.dumps({"memory": os.path.join(place, "tables")})
    with engine.Engine(programs=[program], state=state, cores=2, config=config) as live:
        results.check(taken(live, carts("s", 0, 1)), "carts are acknowledged")
        rows = live.metrics()['cartwheel_table_rows{table="candidates"}']
        fill_up(os.path.join(place, "ballast"))
        results.equal(live.stop(), 0, "a stop in full memory is in order")
        results.check(not any("no room" in word for word in live.words), "of which it has no word",
                      live.words)
    os.remove(os.path.join(place, "ballast"))
    with engine.Engine(programs=[program], state=state, cores=2, config=config) as live:
        found = live.metrics()
        results.check(found["cartwheel_store_adopted_rows"] >= rows, "the tables are taken over",
                      live.words)
        results.equal(live.stop(), 0, "and it goes on")


def make_group():
    """A control group of the test's own: its folder and the name of its limit; (None, why not)."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        lines = [line.strip().split(":", 2) for line in file]
    group = next((path for _, controllers, path in lines if "memory" in controllers.split(",")), None)
    root, limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
    if group is None:
        group = next((path for number, _, path in lines if number == "0"), "/")
        root, limit = "/sys/fs/cgroup", "memory.max"
    for parent in (root + group, root):
        folder = os.path.join(parent.rstrip("/"), f"cartwheel-test-{os.getpid()}")
        try:
            os.mkdir(folder)
            if os.path.exists(os.path.join(folder, limit)):
                return folder, limit
            os.rmdir(folder)
        except OSError:
            continue
    return None, "no control group with a memory limit can be made here"


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def full_group(results, folder, program):
    """A container's limit: the machine has plenty, and the kernel would end the engine. What the
    machine has is not to be seen, as in many containers."""
    if not mounts.mounted("-t", "proc", "-o", "subset=pid", "none", "/proc"):
        print("/proc/meminfo is not hidden: no such proc can be mounted here")
    group, limit = make_group()
    if group is None:
        print("skipped:", limit)
        return
    try:
        state = os.path.join(folder, "grouped")
        with engine.Engine(programs=[program], state=state, cores=1) as live:
            write(group, "cgroup.procs", str(live.process.pid))
            write(group, limit, str(384 * MIB))
            kept, answer = fill(live, "g", 400)
            results.check(REFUSED in answer, "a group's limit that is near refuses new carts",
                          answer[:300])
            told(results, live, "memory", "under the limit of its control group",
                 "cartwheel_memory_low")
            goes_on(results, live, kept[0], "memory")
            results.equal(live.process.poll(), None, "and it lives")
            write(group, limit, str(1024 * MIB))
            over(results, live, "memory", "there is memory again")
            results.equal(live.stop(), 0, "it stops in order")
    finally:
        os.rmdir(group)


def main():
    why = mounts.enter(anyone=True)
    if why:
        engine.skip(why)
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-full-")
    try:
        program = os.path.join(folder, "kept.yaml")
        engine.write_kept(program, 60)
        full_disk(results, folder, program)
        crash_loop(results, folder, program)
        full_memory(results, folder, program)
        stop_in_full_memory(results, folder, program)
        full_group(results, folder, program)
    finally:
        for name in ("disk", "loop", "memory"):
            subprocess.run(["umount", os.path.join(folder, name)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
