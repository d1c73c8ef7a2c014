#!/usr/bin/env python3
"""Long work on a terminal shows how far it is, on one line of 80 columns that is gone at its end;
into a file or a pipe it says nothing of it."""
import os
import pty
import re
import subprocess
import threading
import time

import harness

CARTWHEEL = harness.binary()
PROGRAM = os.path.join(harness.ROOT, "tools", "programs", "abandoned-cart-recovery.yaml")
CLEAR = "\033[K"
SLOW, PIECE, PAUSE_S = 6, 1 << 20, 0.15  # a bar is drawn a tenth of a second after another


def hear(terminal, said):
    try:
        while piece := os.read(terminal, 65536):
            said.append(piece)
    except OSError:  # the other end is closed
        pass


def on_terminal(words, output):
    """(exit code, what the terminal got). The first of what it makes is taken so slowly that it is
    long at work, however fast it is."""
    parent, child = pty.openpty()
    said = []
    with open(output, "wb") as file, subprocess.Popen(
            [CARTWHEEL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=child) as process:
        os.close(child)
        listener = threading.Thread(target=hear, args=(parent, said))
        listener.start()
        for _ in range(SLOW):
            file.write(process.stdout.read(PIECE))
            time.sleep(PAUSE_S)
        while piece := process.stdout.read(PIECE):
            file.write(piece)
        code = process.wait(60)
        listener.join()
    os.close(parent)
    return code, b"".join(said).decode()


def shows(results, name, words, output, form):
    code, said = on_terminal(words, output)
    results.equal(code, 0, f"{name}: exit")
    drawn = re.findall(r"\r([^\r\n]*?)\033\[K", said)
    bars = [line for line in drawn if line]
    results.check(len(bars) >= 2 and all(re.fullmatch(form, line) for line in bars),
                  f"{name}: it shows how far it is", said[:400])
    results.check(max(map(len, bars), default=0) < 80, f"{name}: in one line", bars)
    shares = [int(share) for line in bars for share in re.findall(r"\] (\d+) %", line)]
    results.check(shares == sorted(shares) and max(shares, default=0) <= 100,
                  f"{name}: and never goes back", shares)
    last = said.rfind("\r" + CLEAR)
    results.check(last >= 0 and "] " not in said[last:], f"{name}: it is gone at the end",
                  said[last - 200:])
    code, _, said = harness.execute([CARTWHEEL, *words])
    results.check(code == 0 and b"\r" not in said and b"\033" not in said,
                  f"{name}: a pipe gets none of it", said[:400])


def main():
    results = harness.Results()
    with harness.Folder() as folder:
        events = os.path.join(folder.name, "events.ndjson")
        bar = r"\[#* *\] \d+ %, "
        shows(results, "gen", ["gen", "--events", "60000"], events, bar + r"\d+ events")
        shows(results, "gen, without an end", ["gen", "--carts", "25000"], events, r"\d+ events")
        shows(results, "replay", ["replay", PROGRAM, events], os.devnull, bar + r"\d+ decisions")
    results.finish()


main()
