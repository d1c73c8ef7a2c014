#!/usr/bin/env python3
"""Compare `cartwheel replay` with the reference model on random shops.

    python3 compare.py --cartwheel PATH --seeds A..B [--jobs 2] [--cores 1,3] [--keep DIR]

For each seed a shop is made (shops.py), the model says what must be printed (reference.py) and
the engine is run once for each number of cores.  Every byte must agree, but for the `reason` of
an `invalid` line, whose wording is the engine's own, and the rest of a unique code.  Exit code 0
only when all agree and, over 300 seeds or more, everything that replay can print was seen.
"""
from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Optional

import reference
import shops

# What a run over many seeds must have seen (section 6; a replay has no provider failure, pause
# or rate limit).
WANTED = (
    [f"kind {k}" for k in ("candidate", "rejected", "duplicate", "superseded", "expired", "touch",
                           "converted", "cancelled", "invalid")]
    + ["candidate updated", "candidate holdout"]
    + [f"confidence {c}" for c in ("HIGH", "MEDIUM", "LOW")]
    + [f"rejected {r}" for r in (
        "unknown-customer", "account-not-active", "no-payment-method", "below-minimum",
        "purchased", "cart-not-active", "cart-expired", "marketplace", "no-address", "opted-out",
        "frequency-cap", "out-of-stock")]
    + ["touch sent"]
    + [f"touch skipped {r}" for r in ("opted-out", "no-address", "frequency-cap", "out-of-stock",
                                      "late")]
    + [f"touch deferred {r}" for r in ("min-gap", "quiet-hours")]
    + [f"cancelled {r}" for r in ("cart-cleared", "active-again", "erased", "opted-out")]
    + [f"attributed {a}" for a in ("touch", "organic", "holdout")])


@dataclass
class Job:
    """What a worker needs to know."""
    seed: int
    cartwheel: str
    cores: list[str]
    keep: Optional[str]
    timeout: float


@dataclass
class Result:
    seed: int
    report: str = ""                    # empty: agreed
    seen: collections.Counter[str] = field(default_factory=collections.Counter)
    lines: int = 0


def seen_in(line: str) -> list[str]:
    """The coverage entries that one line hits."""
    d = json.loads(line)
    kind = d["kind"]
    found = [f"kind {kind}"]
    if kind == "candidate":
        found += [f"candidate {flag}" for flag in ("updated", "holdout") if d.get(flag)]
        found.append(f"confidence {d['confidence']}")
    elif kind in ("rejected", "cancelled"):
        found.append(f"{kind} {d['reason']}")
    elif kind == "touch":
        found.append(f"touch {d['outcome']} {d.get('reason', '')}".rstrip())
    elif kind == "converted":
        to = d["attributedTo"]
        found.append("attributed " + ("touch" if isinstance(to, int) else to))
    return found


MINTED = re.compile(r'("discountCode":"[A-Z0-9.]+-)([0-9A-HJKMNP-TV-Z]{8}|\*)"')


def comparable(line: str) -> str:
    """The line without what may differ: the wording of an invalid line's reason, and the eight
    digits of a unique code."""
    if '"kind":"invalid"' in line:
        return line.split(',"reason":', 1)[0]
    return MINTED.sub(r'\1*"', line)


def first_difference(want: list[str], have: list[str]) -> Optional[int]:
    for n in range(max(len(want), len(have))):
        if n >= len(want) or n >= len(have) or comparable(want[n]) != comparable(have[n]):
            return n
    return None


def describe(want: list[str], have: list[str], at: int) -> str:
    """The first difference, with the lines before it and the customer's earlier ones."""
    out = [f"  line {at + 1} differs (model {len(want)} lines, engine {len(have)})"]
    out += [f"    both    {line}" for line in want[max(0, at - 3):at]]
    for name, lines in (("model", want), ("engine", have)):
        shown = lines[at:at + 2] or ["(no more lines)"]
        out += [f"    {name:7} {line}" for line in shown]
    line = want[at] if at < len(want) else have[at]
    who = json.loads(line).get("customerId") if line.startswith("{") else None
    if who is not None:
        mark = '"customerId":' + json.dumps(who, ensure_ascii=False)
        out.append("  what this customer had before:")
        out += [f"    {x}" for x in want[:at] if mark in x][-8:]
    return "\n".join(out)


def run_one(job: Job) -> Result:
    result = Result(job.seed)
    # The same folder name in every run, so that the reproducing command stays valid.
    root = job.keep or tempfile.mkdtemp(prefix="cartwheel-shop-")
    folder = os.path.join(root, f"shop-{job.seed}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shop = shops.make_shop(job.seed, folder)
        until = reference.parse_time(shop.until) if shop.until else None
        want = reference.replay_files(shop.programs + shop.events, shop.models, until)
        result.lines = len(want)
        for line in want:
            result.seen.update(seen_in(line))
        for cores in job.cores:
            command = [job.cartwheel, "replay", "--models", shop.models, "--cores", cores]
            if shop.until:
                command += ["--until", shop.until]
            command += shop.programs + shop.events
            problem = check(command, want, job.timeout)
            if problem:
                again = (f"{shlex.quote(sys.executable)} {shlex.quote(sys.argv[0])}"
                         f" --cartwheel {shlex.quote(job.cartwheel)}"
                         f" --seeds {job.seed}..{job.seed} --cores {cores} --keep /tmp/shops")
                result.report = (f"seed {job.seed}, cores {cores}: DIFFERS\n{problem}\n"
                                 f"  reproduce: {again}")
                if job.keep:
                    result.report += f"\n  by hand:   {shlex.join(command)}"
                break
    finally:
        if not job.keep:
            shutil.rmtree(root, ignore_errors=True)
        elif not result.report:
            shutil.rmtree(folder, ignore_errors=True)       # keep only what differs
        else:
            with open(os.path.join(folder, "expected.ndjson"), "w", encoding="utf-8") as f:
                f.write("".join(line + "\n" for line in want))
    return result


def check(command: list[str], want: list[str], timeout: float) -> str:
    """Run the engine; empty when it prints what it must."""
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"  no end within {timeout:g} s"
    words = run.stderr.decode("utf-8", "replace").strip()[-1500:]
    have = run.stdout.decode("utf-8", "backslashreplace").split("\n")
    if have[-1] == "":
        have.pop()
    else:
        have[-1] += " (no newline at the end)"
    at = first_difference(want, have)
    if run.returncode != 0:
        return f"  exit code {run.returncode}; it said: {words}" + (
            "" if at is None else "\n" + describe(want, have, at))
    return "" if at is None else describe(want, have, at)


def seeds_of(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cartwheel", required=True, help="the executable")
    parser.add_argument("--seeds", type=seeds_of, required=True, help="A..B, both included")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cores", default="1,3", help="run the engine with each of these")
    parser.add_argument("--keep", help="folder in which shops that differ are kept")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one run")
    parser.add_argument("--show", type=int, default=5, help="differences shown in full")
    args = parser.parse_args()
    cartwheel = os.path.abspath(args.cartwheel) if os.sep in args.cartwheel else args.cartwheel
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)

    jobs = [Job(s, cartwheel, args.cores.split(","), args.keep, args.timeout)
            for s in args.seeds]
    seen: collections.Counter[str] = collections.Counter()
    passed = failed = lines = 0
    started = time.monotonic()
    with multiprocessing.Pool(max(1, args.jobs)) as pool:
        for result in pool.imap(run_one, jobs, chunksize=4):
            seen.update(result.seen)
            lines += result.lines
            if result.report:
                failed += 1
                print(result.report if failed <= args.show else result.report.split("\n")[0],
                      flush=True)
            else:
                passed += 1
            done = passed + failed
            if sys.stderr.isatty():
                print(f"\r{done}/{len(jobs)} shops, {failed} differ", end="", file=sys.stderr,
                      flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)

    print(f"{lines} lines in {time.monotonic() - started:.1f} s; what they were:")
    for name in sorted(set(WANTED) | set(seen)):
        print(f"  {seen[name]:8} {name}")
    missing = [name for name in WANTED if not seen[name]]
    if missing and len(jobs) >= 300:
        print("never seen: " + ", ".join(missing))
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
