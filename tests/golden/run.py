#!/usr/bin/env python3
"""Replays every case of this folder and compares byte for byte.

A case is a folder of program*.yaml, events*.ndjson, expected.ndjson, case.txt (what it is about)
and, if wanted, args (further options). Each is replayed with one core and with three.

The expected lines are derived from the product's reference, not from what the program printed.
A * in the place of a discount code's random part stands for eight digits of Crockford's base 32.

    run.py [CARTWHEEL] [--update] [CASE...]

--update writes what one core prints into expected.ndjson; look at the difference before you
commit it.
"""
import glob
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import harness  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MINTED = re.compile(rb'("discountCode":"[A-Z0-9.]+-)[0-9A-HJKMNP-TV-Z]{8}"')


def replay(program, case, cores):
    """The output of one replay, run in the case's folder so that file names are short."""
    folder = os.path.join(HERE, case)
    options = []
    if os.path.exists(os.path.join(folder, "args")):
        with open(os.path.join(folder, "args"), encoding="utf-8") as file:
            options = shlex.split(file.read())
    names = [os.path.basename(f) for pattern in ("program*.yaml", "events*.ndjson")
             for f in sorted(glob.glob(os.path.join(folder, pattern)))]
    return harness.execute([program, "replay", "--quiet", "--cores", str(cores)] + options + names,
                           cwd=folder)


def masked(output, wanted):
    """Minted codes as *, where the case says so."""
    return MINTED.sub(rb'\1*"', output) if b'-*"' in wanted else output


def main():
    words = [w for w in sys.argv[1:] if w != "--update"]
    update = "--update" in sys.argv[1:]
    program = harness.binary([sys.argv[0]] + words[:1])
    if words and not os.path.isdir(os.path.join(HERE, words[0])):
        words = words[1:]
    else:
        program = harness.binary([sys.argv[0]])
    cases = words or sorted(os.path.basename(os.path.dirname(f))
                            for f in glob.glob(os.path.join(HERE, "*", "case.txt")))
    results = harness.Results()
    for case in cases:
        path = os.path.join(HERE, case, "expected.ndjson")
        wanted = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                wanted = file.read()
        for cores in (1, 3):
            code, output, said = replay(program, case, cores)
            output = masked(output, wanted)
            if update and cores == 1:
                with open(path, "wb") as file:
                    file.write(output)
                wanted = output
            name = f"{case} on {cores} core{'s' if cores > 1 else ''}"
            results.check(code == 0, name + ": exit 0", said.decode("utf-8", "replace"))
            results.equal(output, wanted, name)
    results.finish()


if __name__ == "__main__":
    main()
