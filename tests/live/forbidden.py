#!/usr/bin/env python3
"""Where a container's seccomp profile forbids io_uring the engine runs all the same, on epoll, and
says so first; told to use io_uring and nothing else, it does not start and says why. And where a
file system has no O_DIRECT."""
import ctypes
import errno
import os
import platform
import socket
import struct
import subprocess
import sys
import tempfile
import time

import engine

SYSCALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
            "epoll_pwait2": 441}  # the same on every machine
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_EQUAL, JUMP_ANY, RETURN = 0x20, 0x15, 0x45, 0x06  # of classic BPF
NUMBER, THIRD_ARGUMENT = 0, 32  # where they stand in what a filter sees
OPENAT = {"x86_64": 257, "aarch64": 56}
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LIBC = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbids(names, error):
    """What makes those system calls fail in a process to be; for Popen's preexec_fn."""
    rows = [(LOAD_WORD, 0, 0, NUMBER)]
    for i, name in enumerate(names):
        rows.append((JUMP_EQUAL, len(names) - i, 0, SYSCALLS[name]))
    return filters(rows + [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | error)])


def refuses_direct():
    """As on a file system that has no O_DIRECT: tmpfs before Linux 6.6, some in user space."""
    return filters([(LOAD_WORD, 0, 0, NUMBER),
                    (JUMP_EQUAL, 0, 2, OPENAT[platform.machine()]),
                    (LOAD_WORD, 0, 0, THIRD_ARGUMENT),
                    (JUMP_ANY, 1, 0, os.O_DIRECT),
                    (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | errno.EINVAL)])


def filters(rows):
    code = b"".join(struct.pack("HBBI", *row) for row in rows)
    program = Program(len(rows), code)

    def install():
        if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            os._exit(99)
        if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
            os._exit(99)
    return install


def can_filter():
    pid = os.fork()
    if pid == 0:
        forbids(["io_uring_setup"], errno.EPERM)()
        made = LIBC.syscall(SYSCALLS["io_uring_setup"], 1, None)
        os._exit(0 if made == -1 and ctypes.get_errno() == errno.EPERM else 98)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def by_tcp(cartwheel, text):
    with socket.create_connection(("127.0.0.1", cartwheel.port("tcp")), timeout=10) as caller:
        caller.sendall(text)
        caller.shutdown(socket.SHUT_WR)
        return caller.makefile("rb").read()


def survives(results, names, error, wanted):
    case = f"{'+'.join(names)} {errno.errorcode[error]}"
    with engine.Engine("--tcp", "127.0.0.1:0", programs=[engine.PROGRAM],
                       before=forbids(names, error)) as cartwheel:
        results.check(cartwheel.words[0].endswith(wanted), f"{case}: said in the first line",
                      cartwheel.words[0])
        now = int(time.time() * 1000)
        status, answer = cartwheel.post_events([engine.profile("ada", now - 1000),
                                                engine.abandoned("ada", "k-1", now)])
        results.check(status == 200 and answer["accepted"] == 2, f"{case}: events are taken",
                      f"{status} {answer}")
        got = by_tcp(cartwheel, engine.json.dumps(engine.abandoned("bob", "k-2", now)).encode())
        results.check(b'"ack":1' in got, f"{case}: and lines", got)
        decided = engine.until(lambda: {d.get("customerId") for d in cartwheel.decisions()} >=
                               {"ada", "bob"})
        results.check(decided, f"{case}: and decided", cartwheel.decisions())
        results.check(cartwheel.stop() == 0, f"{case}: stops", "\n".join(cartwheel.words))


def refuses(results):
    """`io: uring` is an order, not a wish."""
    try:
        with engine.Engine(programs=[engine.PROGRAM], config="io: uring\n",
                           before=forbids(["io_uring_setup"], errno.EPERM)) as cartwheel:
            results.check(False, "uring where it is forbidden", cartwheel.words)
    except RuntimeError as error:
        results.check("io_uring" in str(error) and "Operation not permitted" in str(error),
                      "uring where it is forbidden is told", str(error))


def asked_for(results):
    with engine.Engine(programs=[engine.PROGRAM], config="io: epoll\n") as cartwheel:
        results.check(cartwheel.words[0].endswith(", epoll"), "epoll where it is asked for",
                      cartwheel.words[0])


def without_direct(results, folder):
    """Everything that reads a state works there, as the engine does."""
    state, file = os.path.join(folder, "state"), os.path.join(folder, "it.cwsnap")

    def does(*words):
        done = subprocess.run([engine.binary(), *words], capture_output=True, check=False,
                              timeout=60, preexec_fn=refuses_direct())
        results.equal(done.returncode, 0, f"without O_DIRECT: {words[0]}, {done.stderr[-500:]}")
        return done.stdout

    with engine.Engine(programs=[engine.PROGRAM], state=state,
                       before=refuses_direct()) as cartwheel:
        now = int(time.time() * 1000)
        cartwheel.post_events([engine.profile("ada", now - 1000),
                               engine.abandoned("ada", "k-1", now)])
        results.equal(cartwheel.stop(), 0, "it stops in order")
    wanted = engine.command("inspect", "--dump", "--state", state, engine.PROGRAM)[1]
    results.check("k-1" in wanted or b"k-1".hex() in wanted, "a cart is there", wanted[:500])
    does("verify", "--state", state)
    does("snapshot", "--state", state, "--out", file)
    does("verify", file)
    results.equal(does("inspect", "--dump", file, engine.PROGRAM).decode(), wanted,
                  "the snapshot holds the same")
    does("restore", file, "--state", os.path.join(folder, "restored"))
    with engine.Engine(programs=[engine.PROGRAM], state=state, cores=3,
                       before=refuses_direct()) as cartwheel:
        results.equal(cartwheel.stop(), 0, "on another number of cores")


def main():
    results = engine.Results()
    os.environ.pop("CW_TEST_IO", None)  # which loop is used is what is tested here
    if platform.system() != "Linux" or not can_filter():
        engine.skip("seccomp filters cannot be installed here")
    forbidden = "epoll (io_uring is forbidden here: Operation not permitted)"
    survives(results, ["io_uring_setup", "io_uring_enter", "io_uring_register"], errno.EPERM,
             forbidden)
    survives(results, ["io_uring_register"], errno.EPERM, forbidden)
    survives(results, ["io_uring_setup", "epoll_pwait2"], errno.ENOSYS,
             "epoll, sleeps of whole milliseconds "
             "(io_uring is not in this kernel: Function not implemented)")
    refuses(results)
    asked_for(results)
    if platform.machine() in OPENAT:
        with tempfile.TemporaryDirectory(prefix="cartwheel-direct-") as folder:
            without_direct(results, folder)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
