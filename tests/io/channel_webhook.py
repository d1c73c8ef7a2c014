"""Webhooks: what is posted, how it is signed, and what each kind of answer makes of a message."""
import base64
import email.utils
import hashlib
import hmac
import json
import os
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wire import HANG, Driver, Results, Scratch, Server, certificate, key

results = Results()
NOW = 1768754700123
SECRET = base64.b64encode(bytes(range(24))).decode()


class Hook(ThreadingHTTPServer):
    """Answers as `answer(request number)` says: (status, headers, body), or HANG."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer=lambda n: (200, {}, b"ok")):
        hook = self
        self.requests = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests.append((self.path, self.headers, data, self.client_address))
                given = answer(len(hook.requests))
                if given == HANG:
                    time.sleep(600)
                status, headers, content = given
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_):
        pass

    def close(self):
        self.shutdown()
        self.server_close()


def row(port, **more):
    return {"name": "push", "type": "webhook", "url": f"http://127.0.0.1:{port}/hook?x=1",
            "secret": "whsec_" + SECRET, **more}


def verified(headers, data, secret):
    """The recipe of Standard Webhooks."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + data
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(one, "v1," + wanted)
               for one in headers["webhook-signature"].split(" "))


def what_is_posted():
    hook = Hook()
    post = {"kind": "push", "to": "token\r\nX: y", "title": "Your \"cart\"", "text": "hi\u2028 🎉\0x",
            "link": "https://shop.example/c/1", "subject": None, "html": "<b>x</b>",
            "facts": {"customerId": "c1", "discountPercent": "10"}, "nowMs": NOW,
            "deadlineMs": NOW + 3600000, "from": "me"}
    with Driver(row(hook.port)) as driver:
        for attempt in (1, 2):
            driver.post("abc", attempt=attempt, **post)
            results.equal(driver.result()["outcome"], "sent", "sent")
    bodies = [json.loads(data) for _, _, data, _ in hook.requests]
    results.equal(bodies[0], {
        "type": "touch", "id": key("abc"), "channel": "push", "at": "2026-01-18T16:45:00.123Z",
        "deadline": "2026-01-18T17:45:00.123Z", "to": "token\r\nX: y", "from": "me",
        "html": "<b>x</b>", "text": "hi\u2028 🎉\0x", "title": "Your \"cart\"",
        "link": "https://shop.example/c/1",
        "facts": {"customerId": "c1", "discountPercent": "10"}, "attempt": 1}, "body")
    results.equal(bodies[1]["attempt"], 2, "attempt")
    for path, headers, data, _ in hook.requests:
        results.equal(path, "/hook?x=1", "path")
        results.equal(headers["Content-Type"], "application/json", "type")
        results.equal((headers["webhook-id"], headers["Idempotency-Key"]), (key("abc"),) * 2,
                      "the same key for all attempts")
        results.check(abs(int(headers["webhook-timestamp"]) - time.time()) < 60, "timestamp")
        results.check(verified(headers, data, bytes(range(24))), "signature")
        results.check(headers["Expect"] is None and headers["X"] is None, "no other headers",
                      headers)
    results.equal(hook.requests[0][3], hook.requests[1][3], "one connection")
    hook.close()

    for secret, raw in (("plain secret", b"plain secret"), (None, None)):
        hook = Hook()
        with Driver(row(hook.port, secret=secret)) as driver:
            driver.post("a", kind="sms", to="+491")
            results.equal(driver.result()["outcome"], "sent", "sent")
        _, headers, data, _ = hook.requests[0]
        if raw is None:
            results.check(headers["webhook-signature"] is None, "no secret, no signature")
        else:
            results.check(verified(headers, data, raw), "a secret that is not base64")
        hook.close()


def answers():
    date = "in 100 seconds"
    for status, headers, wanted, retry in (
            (200, {}, "sent", 0), (202, {}, "sent", 0), (204, {}, "sent", 0),
            (301, {"Location": "/other"}, "refused", 0),
            (307, {"Location": "http://127.0.0.1:1/"}, "refused", 0), (304, {}, "refused", 0),
            (400, {}, "refused", 0), (401, {}, "refused", 0), (404, {}, "refused", 0),
            (410, {"Retry-After": "5"}, "refused", 0), (422, {}, "refused", 0),
            (408, {}, "later", 0), (429, {}, "later", 0), (429, {"Retry-After": "7"}, "later", 7),
            (503, {"Retry-After": date}, "later", 100),
            (503, {"Retry-After": "999999999999"}, "later", 86400),
            (503, {"Retry-After": "-5"}, "later", 0), (503, {"Retry-After": "soon"}, "later", 0),
            (500, {}, "later", 0), (502, {}, "later", 0), (599, {}, "later", 0)):
        content = b"" if status in (204, 304) else b"because\r\n\x1b[31m of \xff it"
        if headers.get("Retry-After") == date:
            headers = {"Retry-After": email.utils.formatdate(time.time() + 100, usegmt=True)}
        hook = Hook(lambda n: (status, headers, content))
        with Driver(row(hook.port)) as driver:
            driver.post("a")
            got = driver.result()
        results.equal(got["outcome"], wanted, f"{status} {headers}: outcome")
        results.check(abs(got["retryAfter"] - retry) <= 2, f"{status} {headers}: retry after", got)
        if wanted != "sent":
            results.check(got["reason"].startswith(f"HTTP {status}"), f"{status}: reason", got)
            results.check(status == 304 or "because   [31m of ? it" in got["reason"],
                          f"{status}: its words, harmless", got)
        results.equal(len(hook.requests), 1, f"{status}: no redirect followed, nothing repeated")
        hook.close()


def broken_servers():
    """What is known when there is no answer."""
    def after(bytes_read, action):
        def serve(connection, number):
            got = 0
            while got < bytes_read:
                got += len(connection.recv(min(65536, bytes_read - got)))
            action(connection)
        return serve

    def hang(connection):
        time.sleep(600)

    def partial(connection):
        connection.sendall(b"HTTP/1.1 200 O")
        connection.close()

    def headers_only(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")
        connection.close()

    def endless(connection):
        connection.sendall(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"ffff\r\n" + b"x" * 0xffff + b"\r\n")

    def garbage(connection):
        connection.sendall(b"SSH-2.0-hello\r\n" * 3)
        connection.close()

    def small_letters(connection):
        connection.sendall(b"http/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    for name, action, wanted in (("closed after the request", lambda c: c.close(), "unknown"),
                                 ("silent after the request", hang, "unknown"),
                                 ("half a status line", partial, "unknown"),
                                 ("not HTTP", garbage, "unknown"),
                                 ("not quite HTTP", small_letters, "unknown"),
                                 ("half an answer", headers_only, "sent"),
                                 ("an endless answer", endless, "later")):
        server = Server(after(500, action))
        with Driver(row(server.port, timeoutMs=800)) as driver:
            driver.post("a", text="x" * 300)
            got = driver.result()
        results.equal(got["outcome"], wanted, f"{name} ({got['reason']})")
        server.close()

    early = Server(lambda c, n: (c.recv(10), c.sendall(answer("200 OK")), time.sleep(600)),
                   receive_bytes=4096)
    with Driver(row(early.port, timeoutMs=800)) as driver:
        driver.post("a", html="\1" * 3000000)
        got = driver.result()
    results.equal(got["outcome"], "unknown", f"200 to the beginning of a request ({got['reason']})")
    early.close()

    server = Server(lambda c, n: (c.recv(10), time.sleep(0.3), c.close()), receive_bytes=4096)
    with Driver(row(server.port)) as driver:
        driver.post("a", html="\1" * 3000000)  # six bytes each in JSON
        got = driver.result()
    results.equal(got["outcome"], "later", f"closed in the middle of the request ({got['reason']})")
    server.close()

    with Driver(row(server.port)) as driver:
        for i in range(5):
            driver.post("a")
            results.equal(driver.result()["outcome"], "later", "nobody there")
        driver.post("a")
        got = driver.result()
        results.check(got["untried"] and got["retryAfter"] >= 1, "the breaker is open", got)


def kept_until(serve):
    """(server, what it heard: (key, number of the connection)): each request is read whole, and
    serve(connection, key, times) answers it; what is false ends the connection."""
    heard = []

    def run(connection, number):
        stream = connection.makefile("rb")
        while stream.readline():
            head = dict(line.decode().strip().lower().split(": ", 1)
                        for line in iter(stream.readline, b"\r\n"))
            body = stream.read(int(head["content-length"]))
            if len(body) < int(head["content-length"]):
                return
            name = json.loads(body)["id"].rstrip("0")
            heard.append((name, number))
            if not serve(connection, name, sum(1 for one, _ in heard if one == name)):
                stream.close()
                connection.shutdown(socket.SHUT_RDWR)
                return
    return Server(run), heard


def answer(status, *headers):
    lines = [f"HTTP/1.1 {status}", "Content-Length: 0", *headers]
    return "".join(line + "\r\n" for line in [*lines, ""]).encode()


def dies_with_a_message():
    """A receiver has a message whole on a kept connection and dies before it answers: nobody knows,
    and libcurl, which sends anew what a kept connection died with, must not do it here: what the
    second one is told would pass for all that is known."""
    for again in ("200 OK", "503 Service Unavailable", "400 Bad Request"):
        def serve(connection, name, times):
            if name == "b" and times == 1:
                return False
            connection.sendall(answer(again if name == "b" else "200 OK"))
            return True
        server, heard = kept_until(serve)
        with Driver(row(server.port, underWayMax=1)) as driver:
            for name, wanted in (("a", "sent"), ("b", "unknown"), ("c", "sent")):
                driver.post(name)
                got = driver.result()
                results.equal(got["outcome"], wanted, f"{name}, {again} to a second ({got})")
        results.equal([name for name, _ in heard], ["a", "b", "c"], f"{again}: each is sent once")
        results.equal(heard[1][1], 1, f"{again}: and that one over the connection that was kept")
        server.close()


def words_on_an_idle_connection():
    """What a server says on a connection that rests, as balancers do before they close it, is no
    answer to the next message, which goes over another connection."""
    cases = (("408 Request Timeout", True), ("400 Bad Request", True), ("200 OK", True),
             ("408 Request Timeout", False), ("200 OK", False))
    servers = []
    for status, closes in cases:
        def serve(connection, name, times, status=status, closes=closes):
            connection.sendall(answer("200 OK"))
            if name.startswith("a"):
                time.sleep(0.2)  # by then the answer has been read
                connection.sendall(answer(status, *["Connection: close"] * closes))
                return not closes
            return True
        servers.append(kept_until(serve))
    with Driver(*(row(server.port) for server, _ in servers)) as driver:
        for name in ("a", "b"):
            for channel in range(len(cases)):
                driver.post(f"{name}{channel + 1}", channel=channel)
            outcomes = {k: r["outcome"] for k, r in driver.results(len(cases)).items()}
            results.equal(outcomes, {f"{name}{i + 1}": "sent" for i in range(len(cases))},
                          f"{name}: sent")
            if name == "a":
                time.sleep(6)  # longer than a connection may rest, counted in whole seconds
    for number, ((status, closes), (server, heard)) in enumerate(zip(cases, servers), 1):
        results.equal(heard, [(f"a{number}", 1), (f"b{number}", 2)],
                      f"{status}, {closes}: both were heard, on a connection each")
        server.close()


def slow_and_many():
    """Slow answers are waited for side by side, and stop when they must."""
    hook = Hook(lambda n: (time.sleep(0.8), (200, {}, b""))[1])
    with Driver(row(hook.port, underWayMax=32)) as driver:
        begun = time.monotonic()
        driver.post("a", times=32)
        found = driver.results(32)
        results.equal({r["outcome"] for r in found.values()}, {"sent"}, "32 at once")
        spread = [r["at"] for r in found.values()]
        results.check(max(spread) - min(spread) < 5000, "side by side", spread)
        driver.post("b", times=64)
        time.sleep(0.4)
        found = driver.stop(0)
        kinds = [r["outcome"] for r in found.values()]
        results.equal((len(kinds), kinds.count("unknown"), kinds.count("later")), (64, 32, 32),
                      "stopped at once: handed over unknown, queued later")
        results.check(time.monotonic() - begun < 30, "without waiting")
    hook.close()


def over_tls():
    with Scratch() as directory:
        pair = certificate(directory)
        if pair is None:
            print("SKIPPED: no openssl command, https not tested")
            return
        hook = Hook()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        hook.socket = context.wrap_socket(hook.socket, server_side=True)
        url = f"https://localhost:{hook.port}/"
        with Driver(row(0, url=url, caFile=pair[0])) as driver:
            driver.post("a")
            results.equal(driver.result()["outcome"], "sent", "https, our CA")
        for name, more in (("a CA we do not know", {"url": url}),
                           ("another name", {"url": url.replace("localhost", "127.0.0.1"),
                                             "caFile": pair[0]})):
            with Driver(row(0, **more)) as driver:
                driver.post("a")
                results.equal(driver.result()["outcome"], "later", name)
        results.equal(len(hook.requests), 1, "one request")
        hook.close()


def the_environment_changes_nothing():
    hook = Hook()
    trap = Server(lambda c, n: c.close())
    proxy = f"http://127.0.0.1:{trap.port}"
    with Driver(row(hook.port), environment={"http_proxy": proxy, "ALL_PROXY": proxy,
                                             "all_proxy": proxy}) as driver:
        driver.post("a")
        results.equal(driver.result()["outcome"], "sent", "no proxy of the environment")
    results.equal(trap.connections, 0, "the proxy was not asked")
    trap.close()
    hook.close()
    for name, more in (("ftp", {"url": "ftp://a/"}), ("a user", {"user": "x"}),
                       ("bad base64", {"secret": "whsec_!!!"}), ("an empty key", {"secret": "whsec_"}),
                       ("a file", {"url": "file:///etc/passwd"})):
        driver = Driver(row(1, **more))
        results.check("fault" in driver.read(), f"{name} does not open")
        driver.process.wait()


os.environ.pop("SSL_CERT_FILE", None)
what_is_posted()
answers()
broken_servers()
dies_with_a_message()
words_on_an_idle_connection()
slow_and_many()
over_tls()
the_environment_changes_nothing()
results.finish()
