#!/usr/bin/env python3
"""Where a container's seccomp profile forbids io_uring the engine runs all the same, on epoll, and
says so first; told to use io_uring and nothing else, it does not start and says why."""
import ctypes
import errno
import os
import platform
import socket
import struct
import sys
import time

import engine

SYSCALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
            "epoll_pwait2": 441}  # the same on every machine
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LIBC = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbids(names, error):
    """What makes those system calls fail in a process to be; for Popen's preexec_fn."""
    rows = [(LOAD_WORD, 0, 0, 0)]  # the number of the call
    for i, name in enumerate(names):
        rows.append((JUMP_EQUAL, len(names) - i, 0, SYSCALLS[name]))
    rows += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | error)]
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
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
