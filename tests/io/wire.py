"""What the tests of channels share: the driver, and servers that behave badly on purpose."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from harness import Results, skip  # noqa: E402,F401  (for those who import this)

KEY_BYTES = 36


def driver_path():
    if len(sys.argv) > 1:
        return os.path.abspath(sys.argv[1])
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "dev",
                        "channel_driver")


def key(name):
    return name.ljust(KEY_BYTES, "0")


class Driver:
    """One run of channel_driver; say() a line, results(n) waits for that many more."""

    def __init__(self, *rows, shards=1, environment=None):
        env = dict(os.environ)
        env.update(environment or {})
        self.process = subprocess.Popen([driver_path()], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=env)
        self.seen = 0
        self.say({"open": list(rows), "shards": shards})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def say(self, line):
        self.process.stdin.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.process.stdin.flush()

    def post(self, name, channel=0, times=1, **post):
        post = {"kind": "email", "to": "ada@example.com", "subject": "Your cart", "text": "hello",
                **post}
        self.say({"post": {"key": key(name), "channel": channel, **post}, "times": times})

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"channel_driver ended with {self.process.wait()}")
        return json.loads(line)

    def results(self, count):
        """The next results by key, without the zeros at its end."""
        self.seen += count
        self.say({"wait": self.seen})
        found = [self.read() for _ in range(count)]
        return {r["key"].rstrip("0"): r for r in found}

    def result(self):
        return next(iter(self.results(1).values()))

    def look(self, channel=0):
        self.say({"look": channel})
        return self.read()

    def stop(self, grace_ms=0):
        self.say({"stop": grace_ms})
        found = {}
        while True:
            line = self.read()
            if line.get("stopped"):
                self.seen += len(found)
                return found
            found[line["key"].rstrip("0")] = line

    def close(self):
        """Ends it; its exit status (of a sanitizer, too) must be 0."""
        self.process.stdin.close()
        rest = self.process.stdout.read()
        code = self.process.wait(timeout=60)
        if code != 0:
            raise RuntimeError(f"channel_driver ended with {code}; {rest[:500]}")


def smtp(port, **more):
    return {"name": "email", "type": "smtp", "url": f"smtp://127.0.0.1:{port}",
            "from": "Shop <shop@example.com>", "host": "shop.example", **more}


class Server(threading.Thread):
    """Accepts connections and gives each to a thread that runs serve(connection, number)."""

    def __init__(self, serve, port=0, receive_bytes=None):
        super().__init__(daemon=True)
        self.serve = serve
        self.socket = socket.create_server(("127.0.0.1", port))
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        self.open = []
        self.threads = []
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            self.threads.append(threading.Thread(target=self.guard, daemon=True,
                                                 args=(connection, self.connections)))
            self.threads[-1].start()

    def guard(self, connection, number):
        try:
            self.serve(connection, number)
        except OSError:
            pass

    def all_heard(self):
        """Waits until the peers have hung up and all that they said is kept."""
        for thread in self.threads:
            thread.join(60)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # else accept() would still take one
        self.socket.close()
        for connection in self.open:
            connection.close()


CLOSE = b"<close>"
HANG = b"<hang>"


class ScriptedSmtp:
    """An SMTP server with an answer for each stage: greeting, EHLO, MAIL, RCPT, DATA, body, QUIT.

    An answer is bytes, CLOSE, HANG, or a function of (connection number, how often this stage came
    on it) that gives one. Everything that comes in is kept in `heard`, per connection.
    """

    GOOD = {"greeting": b"220 test ESMTP\r\n", "EHLO": b"250-test\r\n250 SIZE 10000000\r\n",
            "MAIL": b"250 2.1.0 ok\r\n", "RCPT": b"250 2.1.5 ok\r\n", "DATA": b"354 go\r\n",
            "body": b"250 2.0.0 taken\r\n", "RSET": b"250 ok\r\n", "QUIT": b"221 bye\r\n"}

    def __init__(self, port=0, **answers):
        self.answers = {**self.GOOD, **answers}
        self.heard = {}
        self.messages = []
        self.server = Server(self.serve, port)
        self.port = self.server.port

    def close(self):
        self.server.close()

    def answer(self, connection, number, stage, counts):
        counts[stage] = counts.get(stage, 0) + 1
        answer = self.answers.get(stage, b"500 what?\r\n")
        if callable(answer):
            answer = answer(number, counts[stage])
        if answer == HANG:
            time.sleep(600)
        if answer == CLOSE:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            return False
        connection.sendall(answer)
        return answer

    def serve(self, connection, number):
        counts = {}
        heard = self.heard.setdefault(number, [])
        stream = connection.makefile("rb")
        if not self.answer(connection, number, "greeting", counts):
            return
        while line := stream.readline():
            heard.append(line)
            stage = line[:4].decode("latin-1").upper()
            given = self.answer(connection, number, stage, counts)
            if not given or stage == "QUIT":
                connection.close()
                return
            if stage == "DATA" and given.startswith(b"354"):
                body = []
                while (line := stream.readline()) not in (b".\r\n", b""):
                    body.append(line)
                heard.append(b"<message>")
                self.messages.append(b"".join(body))
                if not self.answer(connection, number, "body", counts):
                    return

    def commands(self):
        """Of all connections: the verbs, in order."""
        return [[line.split()[0].split(b":")[0] for line in lines]
                for _, lines in sorted(self.heard.items())]


class Scratch(tempfile.TemporaryDirectory):
    pass


def certificate(directory):
    """A self-signed certificate for localhost and its key, as two paths; None without openssl."""
    cert = os.path.join(directory, "cert.pem")
    secret = os.path.join(directory, "key.pem")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", secret, "-out", cert,
                        "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return cert, secret
