#!/usr/bin/env python3
"""top on a terminal of 80 columns and 24 rows: no line is wider, nothing scrolls away, and what is
too long for its line goes on below instead of being cut."""
import fcntl
import http.server
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time

import harness

CARTWHEEL = harness.binary()
NOTE = ("sends are held: restored from a snapshot; what is due waits until somebody says what was "
        "sent, with cartwheel resume --to http://127.0.0.1:8080 --assume-sent-until TIME")
WORD = "w" * 100


class Handler(http.server.BaseHTTPRequestHandler):
    note = ""
    metrics = ""
    status, more = 200, {}  # of /healthz

    def log_message(self, *_):
        pass

    def do_GET(self):
        text = self.metrics if self.path == "/metrics" else json.dumps(
            {"status": "ok", "clock": "2026-11-28T18:15:00.000Z", **self.more, "note": self.note},
            separators=(",", ":"))
        self.send_response(200 if self.path == "/metrics" else self.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def family(name, labels, label, value):
    return "".join(f'cartwheel_{name}{{{label}="{one}"}} {value}\n' for one in labels)


def metrics(value):
    reasons = ["unknown-customer", "account-not-active", "no-payment-method", "below-minimum",
               "purchased", "cart-not-active", "cart-expired", "marketplace", "no-address"]
    return (f"cartwheel_events_received_total {value}\n" +
            family("events_total", ["applied", "repeated", "unknown-type", "unknown-message",
                                    "unmatched", "invalid", "refused"], "fate", value) +
            family("abandonments_total", ["candidate", "updated", "rejected", "duplicate",
                                          "superseded"], "fate", value) +
            family("rejections_total", reasons, "reason", value) +
            family("touches_skipped_total", reasons, "reason", value) +
            family("touches_deferred_total", reasons, "reason", value) +
            family("conversions_total", ["organic", "holdout", "1", "2", "3"], "to", value))


def screen(url, columns, rows):
    """The rows of the last whole page that top draws."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen([CARTWHEEL, "top", "--every", "0.1", "--to", url], stdout=child,
                          stderr=child, stdin=child) as process:
        os.close(child)
        said, end = b"", time.monotonic() + 10
        while said.count(b"\033[H") < 4 and time.monotonic() < end:
            if select.select([parent], [], [], 0.2)[0]:
                said += os.read(parent, 65536)
        process.terminate()
        os.close(parent)
        process.wait(10)
    page = said.split(b"\033[H")[-2].decode().split("\033[J")[0]
    return re.sub("\033\\[K", "", page).replace("\r", "").split("\n")


def stopped(results, url):
    """Sends that are held and work that is refused, in both views; nothing where all is well."""
    held = {"sends": "held", "heldFor": ["restored", "clock_suspect"]}
    full = "cartwheel_store_disk_full 2\ncartwheel_memory_low 1\n"
    HELD = "sends        HELD: restored, clock_suspect;  cartwheel resume lets them go"
    FULL = "new work     REFUSED on 2 cores: the disk is full"
    LOW = "new work     REFUSED on 1 core: memory is nearly out"
    for more, counted, wanted in (
            ({}, "cartwheel_store_disk_full 0\ncartwheel_memory_low 0\n", []),
            (held, "", [HELD]), ({}, full, [FULL, LOW]), (held, full, [HELD, FULL, LOW]),
            ({}, "cartwheel_store_sends_held 1\n",
             ["sends        HELD;  cartwheel resume lets them go"])):
        Handler.note, Handler.more, Handler.metrics = "", more, metrics(7) + counted
        output = harness.execute([CARTWHEEL, "top", "--once", "--every", "0.1", "--to", url])[1]
        for name, page in (("--once", output.decode().split("\n")), ("live", screen(url, 80, 24))):
            said = [row.rstrip() for row in page if re.match("sends|new work", row)]
            results.equal(said, wanted, f"{name}: {wanted}")
        results.check(len(page) <= 24 and max(map(len, page)) <= 80, "the screen has room", page)
    Handler.more = {}


def stalled(results, url):
    """A disk that does not answer: the engine tells nothing else, and neither does top."""
    Handler.note, Handler.metrics = "", "cartwheel_disk_stalled_seconds 14\n"
    Handler.status, Handler.more = 503, {"status": "disk does not answer"}
    code, output, _ = harness.execute([CARTWHEEL, "top", "--once", "--to", url])
    results.equal(code, 0, "an engine that is ill is shown")
    for name, page in (("--once", output.decode().split("\n")), ("live", screen(url, 80, 24))):
        said = [row.rstrip() for row in page][1:]
        results.equal(said[:1], ["disk         has NOT ANSWERED for 14 s: events are refused until it "
                                 "does"], name)
        results.check(not "".join(said[1:]), f"{name}: and nothing else", said)
    Handler.status, Handler.more = 200, {}


def main():
    results = harness.Results()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for note in ("", NOTE, WORD, "x " + WORD):
        for value in (0, 7, 123456789012):
            Handler.note, Handler.metrics = note, metrics(value)
            for columns, rows in ((80, 24), (80, 60), (60, 24)):
                page = screen(url, columns, rows)
                results.check(max(map(len, page)) <= columns and len(page) <= rows,
                              f"{columns}x{rows}, {value}, {note[:10]!r}", "\n".join(page))
                if rows == 60 or value == 0:
                    text = re.sub(r"\s+", "", "".join(page))
                    results.check(note.replace(" ", "") in text,
                                  f"{columns}x{rows}, {value}: all of {note[:10]!r}",
                                  "\n".join(page))
    stopped(results, url)
    stalled(results, url)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
