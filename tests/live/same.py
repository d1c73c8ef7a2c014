#!/usr/bin/env python3
"""The same file through `replay` and through HTTP (and TCP) to `run --clock event` gives the same
journeys, byte for byte, on one core and on three."""
import json
import os
import socket
import sys

import engine

SHOPS = [(7, 60), (8, 400), (9, 1500)]


def replayed(events, last):
    """What replay decides, with timers up to the last event's own time."""
    code, output, words = engine.execute(
        [engine.binary(), "replay", "--quiet", "--until", last, engine.PROGRAM, events])
    assert code == 0, words
    return output


def last_time(lines):
    """The latest time that any event tells, as the clock would have it."""
    latest = ""
    for line in lines:
        event = json.loads(line)
        latest = max(latest, event["detail"].get("timestamp") or event["time"])
    return latest


def by_http(cartwheel, lines, batch):
    accepted = duplicate = rejected = 0
    for start in range(0, len(lines), batch):
        status, answer = cartwheel.post_events(b"".join(lines[start:start + batch]))
        assert status == 200, answer
        accepted += answer["accepted"]
        duplicate += answer["duplicate"]
        rejected += len(answer["rejected"])
    return accepted, duplicate, rejected


def by_tcp(cartwheel, lines):
    """One stream; reads until the last line is acknowledged."""
    with socket.create_connection(("127.0.0.1", cartwheel.port("tcp")), timeout=60) as stream:
        reader = stream.makefile("rb")
        sums = [0, 0, 0]
        sent = covered = 0
        while covered < len(lines):
            if sent < len(lines):
                stream.sendall(b"".join(lines[sent:sent + 200]))
                sent = min(sent + 200, len(lines))
            while covered < sent:
                answer = json.loads(reader.readline())
                covered = answer["ack"]
                sums[0] += answer["accepted"]
                sums[1] += answer["duplicate"]
                sums[2] += len(answer["rejected"])
        return tuple(sums)


def compare(results, seed, carts, cores, way):
    name = f"shop {seed} of {carts} carts by {way} on {cores} cores"
    _, text, _ = engine.execute([engine.binary(), "gen", "--carts", str(carts), "--seed",
                                 str(seed)])
    lines = text.splitlines(keepends=True)
    with engine.Engine("--clock", "event", "--tcp", "127.0.0.1:0", programs=[engine.PROGRAM],
                       cores=cores) as cartwheel:
        events = os.path.join(cartwheel.folder, "events.ndjson")
        with open(events, "wb") as file:
            file.write(text)
        wanted = replayed(events, last_time(lines))
        if way == "tcp":
            sums = by_tcp(cartwheel, lines)
        else:
            sums = by_http(cartwheel, lines, 500 if way == "http" else 1)
        results.equal(sum(sums), len(lines), f"{name}: every event has one fate")
        results.check(cartwheel.stop() == 0, f"{name}: stops", "\n".join(cartwheel.words[-20:]))
        with open(cartwheel.decisions_file, "rb") as file:
            results.equal(file.read(), wanted, name)


def main():
    results = engine.Results()
    for seed, carts in SHOPS:
        for cores in (1, 3):
            compare(results, seed, carts, cores, "http")
            compare(results, seed, carts, cores, "tcp")
    compare(results, 11, 40, 2, "http one by one")
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
