"""SMTP servers that refuse, break off, stay silent or lie: what becomes of a message, and what does
not become of another channel's."""
import socket
import subprocess
import threading
import time

from wire import CLOSE, HANG, Driver, Results, Scratch, ScriptedSmtp, Server, smtp

results = Results()


def one(name, wanted, reason, retry=0, timeout=30000, connections=None, **answers):
    """One message against one server."""
    server = ScriptedSmtp(**answers)
    with Driver(smtp(server.port, timeoutMs=timeout)) as driver:
        driver.post("m")
        got = driver.result()
    results.equal(got["outcome"], wanted, f"{name}: outcome ({got['reason']})")
    results.check(reason in got["reason"], f"{name}: reason", got["reason"])
    results.equal(got["retryAfter"], retry, f"{name}: retry after")
    if connections is not None:
        results.equal(server.server.connections, connections, f"{name}: connections")
    server.close()
    return server


def every_stage():
    one("good", "sent", "")
    for stage, words in (("MAIL", "MAIL FROM"), ("RCPT", "RCPT TO"), ("DATA", "DATA"),
                         ("body", "the message")):
        one(f"5xx at {stage}", "refused", words + ": 550 5.1.1 no", **{stage: b"550 5.1.1 no\r\n"})
        one(f"4xx at {stage}", "later", words + ": 451 4.3.0 busy", **{stage: b"451 4.3.0 busy\r\n"})
        one(f"throttled at {stage}", "later", "454", retry=5,
            **{stage: b"454 Throttling failure: Maximum sending rate exceeded\r\n"})
        one(f"421 at {stage}", "later", "421", connections=1, **{stage: b"421 4.7.0 bye\r\n"})
        lost = "unknown" if stage == "body" else "later"
        one(f"closed at {stage}", lost, "closed the connection", connections=1, **{stage: CLOSE})
        one(f"silent at {stage}", lost, "no answer in time", timeout=400, **{stage: HANG})
        one(f"nonsense at {stage}", lost, "not SMTP", **{stage: b"hello\r\n"})
        one(f"a code SMTP has not at {stage}", lost, "SMTP", **{stage: b"150 well\r\n"})
        one(f"endless line at {stage}", lost, "not SMTP", **{stage: b"250-" + b"x" * 5000})
        one(f"many lines at {stage}", "refused", "550 last",
            **{stage: b"550-first\r\n" * 500 + b"550 last\r\n"})
        one(f"control characters at {stage}", "refused", "550 a b?? c",
            **{stage: b"550 a\x1bb\xc3\xa4\rc\r\n"})
    one("we must log in", "later", "530", MAIL=b"530 5.7.0 Authentication required\r\n")
    one("greeting 554", "later", "554 no", greeting=b"554 no\r\n")
    one("greeting silent", "later", "", timeout=400, greeting=HANG)
    one("greeting closed", "later", "", greeting=CLOSE)
    one("EHLO refused", "later", "", EHLO=b"550 no\r\n", HELO=b"550 no\r\n")
    one("an answer too many", "later", "SMTP does not have",
        MAIL=b"250 ok\r\n250 ok\r\n250 ok\r\n")


def nobody_there():
    server = Server(lambda c, n: None)
    port = server.port
    server.close()
    with Driver(smtp(port)) as driver:
        for i in range(5):
            driver.post(f"m{i}")
            got = driver.result()
            results.equal((got["outcome"], got["untried"]), ("later", False), f"refused {i}")
        results.check(driver.look()["broken"], "five failures open the breaker")
        driver.post("x")
        got = driver.result()
        results.equal((got["outcome"], got["untried"]), ("later", True), "an open breaker tries not")
        results.check(1 <= got["retryAfter"] <= 2, "and says when", got)
        # Somebody moves in; the probe closes the breaker.
        again = ScriptedSmtp(port)
        for attempt in range(100):
            driver.post(f"p{attempt}")
            got = driver.result()
            if got["outcome"] == "sent":
                break
            time.sleep(0.1)
        results.equal(got["outcome"], "sent", "the probe goes through")
        results.check(not driver.look()["broken"], "and closes the breaker")
        again.close()


def kept_connections():
    """One connection carries many messages, also after refusals; a server's limit is no failure."""
    server = ScriptedSmtp(RCPT=lambda n, i: b"550 no\r\n" if i % 3 == 0 else b"250 ok\r\n")
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        driver.post("m", times=10)  # the last one is sent: after it nothing is to be answered
        found = driver.results(10)
    server.server.all_heard()
    outcomes = [found[k]["outcome"] for k in sorted(found)]
    results.equal(outcomes.count("sent"), 7, "seven of ten sent")
    results.equal(outcomes.count("refused"), 3, "three of ten refused")
    results.equal(server.server.connections, 1, "over one connection")
    results.equal(server.commands()[0].count(b"RSET"), 3, "RSET after each refusal")
    results.equal(server.commands()[0][-1], b"QUIT", "which ends politely")
    server.close()

    server = ScriptedSmtp(MAIL=lambda n, i: b"250 ok\r\n" if i <= 2 else
                          b"421 Maximum message count per session reached\r\n")
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        driver.post("m", times=6)
        found = driver.results(6)
    results.equal({r["outcome"] for r in found.values()}, {"sent"}, "421 between messages is no failure")
    results.equal(server.server.connections, 3, "two messages a connection")
    server.close()

    server = ScriptedSmtp(MAIL=lambda n, i: b"250 ok\r\n" if i <= 1 else CLOSE)
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        driver.post("m", times=4)
        found = driver.results(4)
    results.equal({r["outcome"] for r in found.values()}, {"sent"}, "a dead kept connection is no failure")
    server.close()

    server = ScriptedSmtp(body=lambda n, i: b"250 ok\r\n" if i <= 1 else CLOSE)
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        driver.post("m", times=2)
        found = driver.results(2)
    results.equal(sorted(r["outcome"] for r in found.values()), ["sent", "unknown"],
                  "but after the end of a message nobody knows, and nothing is repeated")
    results.equal(len(server.messages), 2, "each message once")
    server.close()


def refused_resets():
    """A server that has no RSET, or no time for it: that says nothing of the next message, which
    goes over another connection."""
    for words in (b"502 5.5.1 no such command\r\n", b"451 4.3.0 busy\r\n", b"354 go\r\n"):
        server = ScriptedSmtp(RCPT=lambda n, i: b"550 no\r\n" if n == i == 1 else b"250 ok\r\n",
                              RSET=lambda n, i: (time.sleep(0.3), words)[1])
        with Driver(smtp(server.port, underWayMax=1)) as driver:
            driver.post("m", times=4)  # the second waits for the answer to RSET
            found = driver.results(4)
        outcomes = [found[k]["outcome"] for k in sorted(found)]
        results.equal(sorted(outcomes), ["refused", "sent", "sent", "sent"],
                      f"{words}: the one that was refused, and no other ({found})")
        results.equal((server.server.connections, len(server.messages)), (2, 3),
                      f"{words}: over another connection, each once")
        server.close()


def answers_without_end():
    """A server that goes on with the lines of one answer as fast as they are read: it keeps neither
    another channel's messages waiting nor the end. Where nothing ends this, the driver is killed."""
    for stage, wanted in (("greeting", "later"), ("EHLO", "later"), ("MAIL", "later"),
                          ("DATA", "later"), ("body", "unknown")):
        def flood(connection, number, stage=stage):
            stream = connection.makefile("rb")
            for step in ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "body"):
                while step == "body" and stream.readline() != b".\r\n":
                    pass
                if step == stage:
                    break
                connection.sendall(ScriptedSmtp.GOOD[step])
                if step != "DATA":
                    stream.readline()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
            line = ScriptedSmtp.GOOD[stage][:3].decode() + "-"
            subprocess.run(["yes", line], stdout=connection,  # there is always more to read
                           stderr=subprocess.DEVNULL, check=False)
        server, fast = Server(flood), ScriptedSmtp()
        with Driver(smtp(server.port, timeoutMs=2000, underWayMax=1), smtp(fast.port)) as driver:
            patience = threading.Timer(20, driver.process.kill)
            patience.start()
            driver.post("m", channel=0)
            time.sleep(0.3)
            driver.post("f", channel=1, times=5)
            found = driver.results(6)
            results.equal(found.pop("m")["outcome"], wanted, f"{stage}: what is known of it")
            results.equal([r["outcome"] for r in found.values()], ["sent"] * 5,
                          f"{stage}: another channel goes on")
            driver.post("n", channel=0)
            time.sleep(0.1)
            found = driver.stop(0)
            results.equal(set(found), {"n"}, f"{stage}: it stops")
            patience.cancel()
        server.close()
        fast.close()


def half_a_message():
    """The connection breaks in the middle of a long message: it surely was not taken."""
    def serve(connection, number):
        stream = connection.makefile("rb")
        connection.sendall(b"220 hi\r\n")
        for answer in (b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            stream.readline()
            connection.sendall(answer)
        connection.recv(1000)
        time.sleep(0.2)
        connection.close()
    server = Server(serve, receive_bytes=4096)
    with Driver(smtp(server.port)) as driver:
        driver.post("m", html="é" * 1400000)  # more than any socket buffers
        got = driver.result()
    results.equal(got["outcome"], "later", f"half a message is none ({got['reason']})")
    server.close()


def a_slow_channel_delays_no_other():
    """Everything of one channel hangs; another one's messages go out meanwhile."""
    black = ScriptedSmtp(greeting=HANG)
    slow = ScriptedSmtp(body=lambda n, i: (time.sleep(3), b"250 ok\r\n")[1])
    fast = ScriptedSmtp()
    with Scratch() as directory, \
            Driver(smtp(black.port, timeoutMs=6000, underWayMax=16),
                   smtp(slow.port, underWayMax=16), smtp(fast.port),
                   {"name": "sms", "type": "outbox", "directory": directory}) as driver:
        driver.post("b", channel=0, times=40)
        driver.post("s", channel=1, times=16)
        time.sleep(0.3)
        driver.post("f", channel=2, times=50)
        driver.post("o", channel=3, kind="sms", times=50)
        first = driver.results(100)
        results.equal({k[0] for k in first}, {"f", "o"}, "the others' messages come home first")
        results.equal({r["outcome"] for r in first.values()}, {"sent"}, "and are sent")
        rest = driver.results(56)
        late = [r["outcome"] for k, r in rest.items() if k[0] == "s"]
        results.equal(late, ["sent"] * 16, "slow answers are waited for side by side")
        spread = [r["at"] for k, r in rest.items() if k[0] == "s"]
        results.check(max(spread) - min(spread) < 2500, "not one after the other", spread)
        silent = {r["outcome"] for k, r in rest.items() if k[0] == "b"}
        results.equal(silent, {"later"}, "nothing was handed to the silent one")
        tried = sum(not r["untried"] for k, r in rest.items() if k[0] == "b")
        results.check(tried < 40, "and soon nothing more is tried", tried)
    for server in (black, slow, fast):
        server.close()


def stopping():
    hang = ScriptedSmtp(body=HANG)
    mute = ScriptedSmtp(RCPT=HANG)
    with Driver(smtp(hang.port, underWayMax=2), smtp(mute.port, underWayMax=2)) as driver:
        driver.post("h", channel=0, times=4)
        driver.post("m", channel=1, times=4)
        time.sleep(0.5)
        found = driver.stop(200)
        outcomes = {k: r["outcome"] for k, r in found.items()}
        results.equal(len(found), 8, "every message has a result")
        results.equal(sorted(v for k, v in outcomes.items() if k[0] == "h"),
                      ["later", "later", "unknown", "unknown"], "handed over: unknown; queued: later")
        results.equal({v for k, v in outcomes.items() if k[0] == "m"}, {"later"},
                      "not handed over: later")
    hang.close()
    mute.close()


def deadlines_and_limits():
    slow = ScriptedSmtp(body=lambda n, i: (time.sleep(0.5), b"250 ok\r\n")[1])
    now = 1700000000000
    with Driver(smtp(slow.port, underWayMax=1, queueMax=4)) as driver:
        driver.post("a", nowMs=now, deadlineMs=now + 60000)
        driver.post("b", nowMs=now, deadlineMs=now + 100)
        found = driver.results(2)
        results.equal(found["a"]["outcome"], "sent", "in time")
        results.equal((found["b"]["outcome"], found["b"]["untried"]), ("later", True),
                      "too late once it is its turn")
        driver.post("c", times=10)
        driver.results(10)
        state = driver.look()
        results.check(state["full"] > 0, "a full queue says so", state)
        driver.post("d", text="x" * (4 << 20))
        got = driver.result()
        results.equal(got["outcome"], "refused", "a message over 3 MiB")
        results.check("3 MiB" in got["reason"], "and why", got)
        driver.post("e", facts={f"f{i}": "x" for i in range(65)})
        results.equal(driver.result()["outcome"], "refused", "too many facts")
    slow.close()


every_stage()
nobody_there()
kept_connections()
refused_resets()
answers_without_end()
half_a_message()
a_slow_channel_delays_no_other()
stopping()
deadlines_and_limits()
results.finish()
