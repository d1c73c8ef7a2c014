"""Small engines that answer by script, for the tests of send and load: HTTP with NDJSON and
PutEvents, and lines over TCP. Each keeps what it was sent."""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import socketserver
import struct
import threading
import time

RESET = "reset"      # the connection breaks instead of an answer
CUT = "cut"          # it breaks in the middle of an answer


def counts(accepted, duplicate=0, rejected=()):
    return {"accepted": accepted, "duplicate": duplicate, "rejected": list(rejected)}


def reset(sock):
    """Closes so that the other side sees a reset, not an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def parsed(line):
    """A line as an object, or as it is when it is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return line


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        engine = self.server.engine
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = engine.on_request(self.path, self.headers, body)
        if answer == RESET:
            self.close_connection = True
            reset(self.connection)
            return
        status, headers, content = answer
        if content == CUT:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"acc")
            self.wfile.flush()
            reset(self.connection)
            return
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        chunked = headers.pop("chunked", False)
        for name, value in headers.items():
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(content), 7):
                piece = content[at:at + 7]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class HttpEngine:
    """script: answers for the first requests, one each: None takes everything, RESET, or (status,
    headers, content); content may be a function of the events. After it, all is taken. refuse: a
    function of an event to its reason, or None."""

    def __init__(self, script=(), refuse=None, put_events=False, delay=0):
        self.script = list(script)
        self.refuse = refuse
        self.put_events = put_events
        self.delay = delay
        self.requests = []  # (time, path, headers, events)
        self.taken = []     # events, in order
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.engine = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def events_of(self, body):
        if self.put_events:
            return json.loads(body)["Entries"]
        return [parsed(line) for line in body.split(b"\n") if line]

    def on_request(self, path, headers, body):
        if self.delay:
            time.sleep(self.delay)
        with self.lock:
            events = self.events_of(body)
            self.requests.append((time.monotonic(), path, {k.lower(): v for k, v in headers.items()}, events,
                                  body))
            answer = self.script.pop(0) if self.script else None
            if callable(answer):
                answer = answer(events)
            if answer is not None:
                return answer
            return 200, {"Content-Type": "application/json"}, self.take(events)

    def take(self, events):
        refused = [(i, self.refuse(e)) for i, e in enumerate(events) if self.refuse]
        refused = {i: reason for i, reason in refused if reason}
        self.taken += [e for i, e in enumerate(events) if i not in refused]
        if self.put_events:
            return {"FailedEntryCount": len(refused), "Entries": [
                {"ErrorCode": refused[i][0], "ErrorMessage": refused[i][1]} if i in refused else
                {"EventId": f"id-{i}"} for i in range(len(events))]}
        return counts(len(events) - len(refused),
                      rejected=[{"index": i, "reason": r} for i, r in refused.items()])


class TcpEngine:
    """script: for each connection, the number of lines after which it is reset without an
    acknowledgement of the last `hold` of them; then all is taken. Acknowledges every `every` lines
    and whenever nothing more is there."""

    def __init__(self, script=(), refuse=None, every=7, hold=3, raw=None, raws=()):
        self.script = list(script)
        self.refuse = refuse
        self.every = every
        self.hold = hold
        self.raw = raw      # what is answered instead
        self.raws = list(raws)  # the same of the first connections, one by one
        self.taken = []     # every line that was acknowledged
        self.seen = 0
        self.connections = 0
        engine = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self):
                engine.connections += 1
                try:
                    engine.talk(self.request)
                except OSError:
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Listener(("127.0.0.1", 0), Connection)
        self.url = f"tcp://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def talk(self, sock):
        dies_after = self.script.pop(0) if self.script else None
        raw = self.raws.pop(0) if self.raws else self.raw
        buffer, lines, acked = b"", [], 0
        while True:
            data = sock.recv(65536)
            if not data:
                return
            buffer += data
            *whole, buffer = buffer.split(b"\n")
            lines += whole
            self.seen += len(whole)
            if raw is not None:
                sock.sendall(raw)
                return
            limit = len(lines)
            if dies_after is not None and len(lines) >= dies_after:
                limit = max(acked, dies_after - self.hold)
            while acked < limit:
                acked = self.acknowledge(sock, lines, acked, min(acked + self.every, limit))
            if dies_after is not None and len(lines) >= dies_after:
                time.sleep(0.05)
                reset(sock)
                return

    def acknowledge(self, sock, lines, first, last):
        rejected = []
        for i in range(first, last):
            reason = self.refuse(json.loads(lines[i])) if self.refuse else None
            if reason:
                rejected.append({"line": i + 1, "reason": reason})
            else:
                self.taken.append(lines[i])
        ack = {"ack": last, **counts(last - first - len(rejected), rejected=rejected)}
        text = json.dumps(ack).encode() + b"\n"
        sock.sendall(text[:5])
        sock.sendall(text[5:])
        return last


# ---- Signature Version 4, in an implementation of its own ----

def signature(secret, method, path, headers, body):
    """The Authorization that a request must have, and the one that it has."""
    lower = {name.lower(): value for name, value in headers.items()}
    given = lower["authorization"]
    fields = dict(f.strip().split("=", 1) for f in given.split(" ", 1)[1].split(","))
    scope = fields["Credential"].split("/")[1:]
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join([method, path, ""] + [f"{n}:{lower[n]}" for n in names] +
                          ["", ";".join(names), hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", lower["x-amz-date"], "/".join(scope),
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), "sha256").digest()
    return hmac.new(key, text.encode(), "sha256").hexdigest(), fields["Signature"], names, scope


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
