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

    def log_message(self, *_):
        pass

    def do_GET(self):
        text = self.metrics if self.path == "/metrics" else json.dumps(
            {"status": "ok", "clock": "2026-11-28T18:15:00.000Z", "note": self.note},
            separators=(",", ":"))
        self.send_response(200)
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
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
