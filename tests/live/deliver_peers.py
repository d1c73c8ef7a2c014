"""Peers of a live engine's channels: a real SMTP server, scripted ones, a webhook's receiver; the
programs and engine files that send to them."""
import base64
import calendar
import email
import email.policy
import hashlib
import hmac
import json
import os
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import engine

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "io"))
import wire  # noqa: E402  (found through the path above)

try:
    from aiosmtpd.controller import Controller
except ImportError:
    engine.skip("python3-aiosmtpd is not installed")

ScriptedSmtp, Server, CLOSE, HANG = wire.ScriptedSmtp, wire.Server, wire.CLOSE, wire.HANG
SECRET = base64.b64encode(bytes(range(24))).decode()
BASE = "https://go.example"  # where links lead; tests fetch their paths from the engine itself


class Mailbox(Controller):
    """A real SMTP server that keeps what it is sent."""

    def __init__(self):
        self.mails = []  # (sender, recipients, bytes)
        super().__init__(self, hostname="127.0.0.1", port=0)
        self.start()

    def _trigger_server(self):
        """aiosmtpd connects to its own port once, to see whether it works; 0 is none."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 taken"

    def to(self, address):
        """The mails to one address, parsed."""
        return [parsed(content) for _, to, content in list(self.mails) if to == [address]]

    def close(self):
        self.stop()


class Hook(ThreadingHTTPServer):
    """A webhook's receiver; answer(body, number) gives (status, headers), CLOSE, or seconds to
    wait before a 200."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer=lambda body, number: (200, {})):
        hook = self
        self.requests = []  # (headers, bytes, parsed body, monotonic seconds)
        self.counts = {}
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(data)
                with hook.lock:
                    hook.requests.append((self.headers, data, body, time.monotonic()))
                    number = hook.counts[body["id"]] = hook.counts.get(body["id"], 0) + 1
                given = answer(body, number)
                if given == CLOSE:
                    self.close_connection = True
                    return
                if isinstance(given, (int, float)):
                    time.sleep(given)
                    given = (200, {})
                self.send_response(given[0])
                for name, value in given[1].items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_):
        pass

    def of(self, customer):
        return [r for r in list(self.requests) if r[2]["facts"]["customerId"] == customer]

    def close(self):
        self.shutdown()
        self.server_close()


class BlackHole:
    """Takes connections and never says a word."""

    def __init__(self):
        self.server = Server(lambda connection, number: time.sleep(600))
        self.port = self.server.port

    def close(self):
        self.server.close()


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def verified(headers, data):
    """The recipe of Standard Webhooks."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + data
    digest = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(one, wanted)
               for one in headers["webhook-signature"].split(" "))


def touch(kind, minutes, **more):
    """A channel of a program, as one line of YAML (which takes JSON)."""
    texts = {"email": {"templateId": "cart-recovery-v3",
                       "subject": "{customerName}, {discountPercent}% off inside"},
             "sms": {"message": "Hi {customerName}! {discountCode}: {cartLink}"},
             "push": {"title": "Last chance, {customerName}", "body": "{discountPercent}% off"}}
    config = {**texts[kind], "delayMinutes": minutes, **more.pop("config", {})}
    return {"channelId": more.pop("channelId", kind), "type": kind, "config": config, **more}


def program(*touches, name="p", **more):
    return json.dumps({
        "programId": name,
        "eventSources": [{"config": {"eventPattern": {"source": ["ecommerce.cart"],
                                                      "detail-type": ["CartAbandoned"]}}}],
        "filterChain": [{"type": "trust", "order": 1}, {"type": "eligibility", "order": 2}],
        "channels": list(touches), "minGapMinutes": 0,
        "discountStrategy": {"enabled": True, "defaultDiscount": 10}, **more})


class Live(engine.Engine):
    """An engine whose channels lead to peers: ports of an SMTP server and of webhooks."""

    def __init__(self, *programs, email=None, sms=None, push=None, clock=3600, cores=1, **more):
        self.clock = clock
        self.paths = []
        channels = {}
        if email is not None:
            channels["email"] = {"type": "smtp", "url": f"smtp://127.0.0.1:{email}",
                                 "from": "Shop <shop@example.com>", **more.get("email_row", {})}
        for name, port in (("sms", sms), ("push", push)):
            if port is not None:
                channels[name] = {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook",
                                  "secretEnv": "CW_TEST_SECRET", **more.get(name + "_row", {})}
        self.own = tempfile.TemporaryDirectory(prefix="cartwheel-deliver-")
        for number, text in enumerate(programs):
            path = os.path.join(self.own.name, f"p{number}.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.paths.append(path)
        self.began = time.time()
        super().__init__("--clock", f"{clock}x", programs=self.paths, cores=cores,
                         config=json.dumps({"channels": channels, "links": {"baseUrl": BASE}}),
                         environment={"CW_TEST_SECRET": "whsec_" + SECRET})

    def __exit__(self, *more):
        super().__exit__(*more)
        self.own.cleanup()

    def now(self):
        """The engine's clock, or a little after it, in milliseconds."""
        return int((self.began + (time.time() - self.began) * self.clock) * 1000)

    def decided(self, **wanted):
        return [d for d in self.decisions()
                if all(d.get(key) == value for key, value in wanted.items())]

    def outcomes(self, customer, channel=None):
        """(outcome, reason) of a customer's touches, in order."""
        return [(d["outcome"], d.get("reason")) for d in self.decisions()
                if d["kind"] == "touch" and d["customerId"] == customer and
                channel in (None, d["channel"])]

    def leave(self, *customers, at=None, profile=None, cart=None):
        at = self.now() if at is None else at
        events = []
        for customer in customers:
            events.append(engine.profile(customer, at, **(profile or {})))
            events.append(engine.abandoned(customer, "k-" + customer, at, **(cart or {})))
        status, answer = self.post_events(events)
        if status != 200 or answer["accepted"] != len(events):
            raise RuntimeError(f"not taken: {status} {answer}")
        return at


def instant(text):
    """Milliseconds of a decision's time."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(text[20:23])
