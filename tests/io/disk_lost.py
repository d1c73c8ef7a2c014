"""A disk that really does not take a write: ext4 over a loop device in a memory that is full. The
flush fails, and the pages stay, clean, as if they were on the disk: whoever opens the file next
must be told what the disk has, without O_DIRECT too (the driver asks for none)."""
import errno
import mmap
import os
import re
import subprocess
import sys
import tempfile

from wire import Results, skip
import mounts  # noqa: E402  (beside harness, which wire finds)

BLOCK = 8192  # the driver's
OVER = 77     # what it writes over the first


def driver(state, *words):
    """Lines by (kind, number)."""
    ended = subprocess.run([sys.argv[1], state, *words], stdout=subprocess.PIPE, text=True,
                           timeout=60, check=False)
    return {(kind, int(number)): int(value)
            for kind, number, value in map(str.split, ended.stdout.splitlines())}


def first_blocks(path):
    """Where in its file system the file's first BLOCK bytes are, in bytes; None: it does not say."""
    said = subprocess.run(["filefrag", "-v", "-b4096", path], capture_output=True, text=True,
                          check=False).stdout
    found = re.search(r"^ *0: +0\.\. *\d+: +(\d+)\.\.", said, re.M)
    return int(found.group(1)) * 4096 if found else None


def fill(path):
    with open(path, "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(1 << 16))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def on_disk(path):
    """The first byte, past the page cache."""
    page = mmap.mmap(-1, 4096)
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        os.preadv(file, [page], 0)
    finally:
        os.close(file)
    return page[0]


def cached(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(1)[0]


def lose(results, memory, disk):
    image, state = os.path.join(memory, "image"), os.path.join(disk, "state")
    file, ballast = os.path.join(state, "file"), os.path.join(memory, "ballast")
    results.equal(driver(state)["write", 7], 0, "written while there is room")
    place = first_blocks(file)
    if place is None:
        skip("filefrag does not say where the file is")
    os.sync()
    subprocess.run(["fallocate", "-p", "-o", str(place), "-l", str(BLOCK), image], check=True)
    fill(ballast)
    said = driver(state, "over")
    results.check(said["write", 0] in (errno.EIO, errno.ENOSPC), "the flush fails", said)
    os.remove(ballast)
    results.equal((cached(file), on_disk(file)), (OVER, 0),
                  "the page cache has what the disk has not")
    said = driver(state, "look")
    results.equal(said["byte", 0], 0, "who opens it next reads what the disk has")
    results.equal([said["whole", i] for i in range(1, 8)], [0] * 7, "and the rest as it was")
    said = driver(state, "over")
    results.equal(said["write", 0], 0, "with room it is written")
    results.equal((driver(state, "look")["byte", 0], on_disk(file)), (OVER, OVER), "and is there")


def main():
    why = mounts.enter()
    if why:
        skip(why)
    results = Results()
    with tempfile.TemporaryDirectory(prefix="cartwheel-lost-") as folder:
        memory, disk = os.path.join(folder, "memory"), os.path.join(folder, "disk")
        os.mkdir(memory)
        os.mkdir(disk)
        # Without a journal: nothing but the blocks themselves needs room then.
        if not mounts.mounted("-t", "tmpfs", "-o", "size=24m", "none", memory):
            skip("no tmpfs can be mounted here")
        try:
            if not mounts.ext4(disk, os.path.join(memory, "image"), 16, "-O", "^has_journal", "-E",
                               "lazy_itable_init=0"):
                skip("no ext4 in a file can be mounted here")
            try:
                lose(results, memory, disk)
            finally:
                subprocess.run(["umount", disk], capture_output=True, check=False)
        finally:
            subprocess.run(["umount", memory], capture_output=True, check=False)
    results.finish()


main()
