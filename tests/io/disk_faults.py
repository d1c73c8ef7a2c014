"""Disks that fail, by strace's fault injection: each error comes back from the operation that it
struck, nothing is reported done without its flush, and after a failed flush nothing is tried again."""
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile

from wire import Results

results = Results()
ROUNDS = 8
NAMES = 3
CALLS = "pwrite64,pread64,fdatasync,fsync,openat"


class Run:
    """One run of the driver: `done`, errors by (kind, number); `calls`, the thread's system calls
    with their results, in order."""

    def __init__(self, *inject, limit=None):
        with tempfile.TemporaryDirectory() as scratch:
            log = os.path.join(scratch, "log")
            driver = [sys.argv[1], os.path.join(scratch, "state")]
            if limit is not None:
                driver.append(str(limit))
            command = ["strace", "-f", "-qq", "-o", log, "-e", "trace=" + CALLS]
            for what in inject:
                command += ["-e", "inject=" + what]
            ended = subprocess.run(command + driver, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, timeout=60)
            self.code, self.stderr, self.done = ended.returncode, ended.stderr, {}
            for line in ended.stdout.splitlines():
                kind, number, error = line.split()
                self.done[kind, int(number)] = int(error)
            with open(log) as lines:
                self.calls = re.findall(r"^\d+ +(\w+)\((.*)\) += (-?\d+)", lines.read(), re.M)

    def of(self, name):
        return [int(result) for call, _, result in self.calls if call == name]

    def writes(self):
        return [self.done.get(("write", i)) for i in range(ROUNDS)]


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"],
                          stderr=subprocess.DEVNULL).returncode == 0


def without_faults():
    run = Run()
    results.equal(run.code, 0, f"no fault: exit ({run.stderr})")
    results.equal(set(run.done.values()), {0}, "no fault: no error")
    results.equal(len(run.done), 3 + NAMES + 3 * ROUNDS, "no fault: every operation is reported")
    results.equal(len(run.of("fdatasync")), ROUNDS, "no fault: a flush for each write")
    results.equal(len(run.of("fsync")), 2 + NAMES + 1,
                  "no fault: fsync is called for directory, parent, names, file")


def failed_flush():
    for when in (1, 2, ROUNDS):
        for error in ("EIO", "ENOSPC", "EINTR"):
            run = Run(f"fdatasync:error={error}:when={when}")
            number = getattr(errno, error)
            name = f"flush {when} fails with {error}"
            results.equal(run.code, 0, f"{name}: exit ({run.stderr})")
            results.equal(run.writes(), [0] * (when - 1) + [number] * (ROUNDS - when + 1),
                          f"{name}: writes")
            results.equal(len(run.of("fdatasync")), when, f"{name}: no flush is tried after it")
            results.equal(len(run.of("pwrite64")), when, f"{name}: nothing is written after it")
            results.equal(run.done["names", 0], number, f"{name}: names")
            results.equal(run.done["again", 0], number, f"{name}: opening")


def failed_write():
    for when in (1, 3, ROUNDS):
        for error in ("EIO", "ENOSPC"):
            run = Run(f"pwrite64:error={error}:when={when}")
            wanted = [0] * ROUNDS
            wanted[when - 1] = getattr(errno, error)
            name = f"write {when} fails with {error}"
            results.equal(run.writes(), wanted, f"{name}: writes")
            results.equal(len(run.of("fdatasync")), ROUNDS - 1, f"{name}: it is not flushed")
    run = Run("pwrite64:error=ENOSPC:when=3+")
    results.equal(run.writes(), [0, 0] + [errno.ENOSPC] * (ROUNDS - 2), "full from 3 on: writes")
    results.equal(run.done["read", 1], 0, "full from 3 on: what is there can be read")
    results.equal(run.done["whole", 1], 0, "full from 3 on: and is whole")
    run = Run("pwrite64:error=EINTR:when=2")
    results.equal(run.writes(), [0] * ROUNDS, "interrupted: gone on with")
    results.equal(len(run.of("pwrite64")), ROUNDS + 1, "interrupted: once more")


def short_write():
    """Blocks of 8192: the limit falls into the middle of the fourth."""
    run = Run(limit=3 * 8192 + 4096)
    results.equal(run.writes(), [0, 0, 0] + [errno.EFBIG] * (ROUNDS - 3), "file limit: writes")
    results.equal(run.of("pwrite64")[3:5], [4096, -1], "file limit: the short one is gone on with")
    results.equal(len(run.of("fdatasync")), 3, "file limit: no flush without all of the bytes")
    results.equal(run.code, 0, f"file limit: no signal ends the program ({run.stderr})")


def other_calls():
    """strace counts calls by thread. The first one flushes the directory and the one above, the
    disk's own the names and the file that it opens; and the first one reads libraries."""
    for when, first, count in ((1, ("open", 0), 1), (2, ("open", 0), 2), (3, ("names", 2), 5),
                               (4, ("again", 0), 6)):
        run = Run(f"fsync:error=EIO:when={when}")
        failed = [key for key, error in run.done.items() if error == errno.EIO]
        results.equal(failed[:1], [first], f"fsync {when} fails: what it strikes")
        results.equal(run.code, 1 if when < 3 else 0, f"fsync {when} fails: exit")
        results.equal(len(run.of("fsync")), count, f"fsync {when} fails: none after it")
    run = Run(f"pread64:error=EIO:when={ROUNDS}")
    reads = [run.done["read", i] for i in range(ROUNDS)]
    results.equal(reads, [0] * (ROUNDS - 1) + [errno.EIO], "a read fails: that one alone")
    run = Run(f"pread64:error=EINTR:when={ROUNDS}")
    results.equal({run.done["whole", i] for i in range(ROUNDS)}, {0}, "a read is interrupted")


if not can_trace():
    print("strace is not here, or may not trace")
    sys.exit(77)
without_faults()
failed_flush()
failed_write()
short_write()
other_calls()
results.finish()
