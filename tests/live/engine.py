"""A live cartwheel for tests: started on a port of its own, with a state directory of its own."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import harness  # noqa: E402  (found through the path above)

Results, skip, binary, execute = harness.Results, harness.skip, harness.binary, harness.execute
PROGRAM = os.path.join(harness.ROOT, "tools", "programs", "abandoned-cart-recovery.yaml")

KEPT = """programId: kept
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
channels:
  - type: sms
%s    config: {delayMinutes: %s, message: "Hi {customerName}, {cartLink}"}
"""
DROPS = "    onUnknown: drop\n"  # a message of which nobody knows whether it went is not sent again


def on_loop(config):
    """The engine file's text with `io: epoll` where CW_TEST_IO says so; None: no file is needed."""
    loop = os.environ.get("CW_TEST_IO")
    if not loop:
        return config
    if config is not None and config.lstrip().startswith("{"):
        return json.dumps({**json.loads(config), "io": loop})
    return f"io: {loop}\n" + (config or "")


class Engine:
    """`cartwheel run` in the background; use as a context."""

    def __init__(self, *options, programs=(), config=None, cores=2, http="127.0.0.1:0",
                 environment=None, state=None, prepare=None, before=None):
        self.folder = tempfile.mkdtemp(prefix="cartwheel-live-")
        if prepare is not None:  # files that the configuration names
            prepare(self.folder)
        self.state = state or os.path.join(self.folder, "state")
        self.decisions_file = os.path.join(self.folder, "decisions.ndjson")
        command = [binary(), "run", "--state", self.state, "--cores", str(cores),
                   "--decisions", self.decisions_file]
        config = on_loop(config)
        if config is not None:
            path = os.path.join(self.folder, "engine.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            command += ["-c", path]
        if http is not None:
            command += ["--http", http]
        command += list(options) + list(programs)
        self.words = []
        self.ready = threading.Event()
        self.addresses = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(environment or {})},
                                        preexec_fn=before)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.words.append(text)
            if text.startswith("ready "):
                self.addresses = text.split()[1:]
                self.ready.set()
        self.ready.set()

    def __enter__(self):
        if not self.ready.wait(60) or not self.addresses:
            self.process.kill()
            raise RuntimeError("the engine did not get ready:\n" + "\n".join(self.words))
        return self

    def __exit__(self, kind, *_):
        if kind is not None:  # what it said of itself belongs to what the test says of it
            ended = self.process.poll()
            print(f"The engine {'runs' if ended is None else f'had ended with {ended}'} and said:",
                  *self.words, sep="\n  ", file=sys.stderr)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, scheme="http"):
        return next(a for a in self.addresses if a.startswith(scheme + "://"))

    def port(self, scheme="http"):
        return int(re.search(r":(\d+)$", self.url(scheme)).group(1))

    def stop(self, how=signal.SIGTERM, timeout=30):
        """Stops it and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        return self.process.returncode

    def request(self, method, path, body=None, headers=None, timeout=30):
        """(status, headers by lower-case name, body) of one request on its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def post_events(self, lines, form="application/x-ndjson"):
        """Puts events in; the parsed answer."""
        text = lines if isinstance(lines, (bytes, str)) else "".join(
            json.dumps(e) + "\n" for e in lines)
        status, _, body = self.request("POST", "/v1/events", text, {"content-type": form})
        return status, json.loads(body)

    def metrics(self):
        """{name with labels: value}"""
        _, _, body = self.get("/metrics")
        found = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def decisions(self):
        with open(self.decisions_file, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def outbox(self):
        """Names of the files in the outbox, oldest first."""
        folder = os.path.join(self.state, "outbox")
        if not os.path.isdir(folder):
            return []
        return sorted(n for n in os.listdir(folder) if not n.startswith("."))

    def outbox_text(self, name):
        with open(os.path.join(self.state, "outbox", name), "rb") as file:
            return file.read()


def command(*words, timeout=120):
    """(exit code, output, words on standard error) of a command of cartwheel."""
    code, output, said = execute([binary(), *words], timeout=timeout)
    return code, output.decode(), said.decode()


def write_kept(path, minutes, more=""):
    """The program `kept`: an SMS so long after each abandonment, to whomever it concerns."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(KEPT % (more, minutes))


def sms(state):
    """Whom the messages in a state's outbox are for."""
    box = os.path.join(state, "outbox")
    found = []
    for name in os.listdir(box) if os.path.isdir(box) else []:
        if name.endswith(".json"):
            with open(os.path.join(box, name), encoding="utf-8") as file:
                found.append(json.load(file)["facts"]["customerId"])
    return sorted(found)


def frames(log):
    """(offset, LSN) of each frame of a segment of a log, in order."""
    with open(log, "rb") as file:
        data = file.read()
    at, found = 4096, []
    while data[at:at + 4] == b"CWFR":
        found.append((at, int.from_bytes(data[at + 16:at + 24], "little")))
        at += (int.from_bytes(data[at + 4:at + 8], "little") + 4095) // 4096 * 4096
    return found


def flip(path, offset):
    """Changes a bit of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def until(check, seconds=20.0, step=0.02):
    """Waits until check() is true; what it gave last."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got or time.monotonic() > end:
            return got
        time.sleep(step)


def stamp(ms):
    """RFC 3339 of milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + f".{int(ms) % 1000:03d}Z"


def profile(customer, at, **more):
    return {"version": "0", "id": f"p-{customer}-{at}", "source": "ecommerce.customer",
            "detail-type": "CustomerUpdated", "time": stamp(at),
            "detail": {"customerId": customer, "name": "Ada", "email": f"{customer}@example.com",
                       "phone": "+14155550100", "pushToken": f"push-{customer}",
                       "accountStatus": "active", "paymentMethodOnFile": True,
                       "purchaseHistory": 5, "avgOrderValue": 120.0, "cartAbandonmentRate": 0.3,
                       "emailEngagement": 0.6, "marketplace": "US", **more}}


def abandoned(customer, cart, at, **more):
    return {"version": "0", "id": f"a-{customer}-{cart}-{at}", "source": "ecommerce.cart",
            "detail-type": "CartAbandoned", "time": stamp(at),
            "detail": {"customerId": customer, "cartId": cart, "cartValue": 150.0,
                       "items": [{"id": "i-1", "name": "Headphones", "price": 150.0}],
                       "marketplace": "US", "timestamp": stamp(at),
                       "abandonmentReason": "price_concern",
                       "cartUrl": "https://shop.example/cart/" + cart, **more}}


def ordered(customer, order, at, value=135.0, **more):
    return {"version": "0", "id": f"o-{order}", "source": "ecommerce.order",
            "detail-type": "OrderPlaced", "time": stamp(at),
            "detail": {"customerId": customer, "orderId": order, "orderValue": value, **more}}
