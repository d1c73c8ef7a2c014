#!/usr/bin/env python3
"""What strangers do to a socket: hostile bytes, slow and vanishing callers, floods, credentials,
reloads and stops under load. After each of them the engine is as healthy as before."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import engine

HOST = b"Host: x\r\n"
CONFIG = "http:\n  headSeconds: 2\ntcp:\n  listen: [\"127.0.0.1:0\"]\n"


def now_ms():
    return int(time.time() * 1000)


def event(number, **more):
    return {**engine.abandoned(f"c-{number}", f"k-{number}", now_ms()), "id": f"e-{number}", **more}


def dial(cartwheel, scheme="http", timeout=10):
    caller = socket.create_connection(("127.0.0.1", cartwheel.port(scheme)), timeout)
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return caller


def read_all(caller):
    """What comes until the other side ends; None in the end: it did not."""
    got = b""
    try:
        while True:
            part = caller.recv(1 << 16)
            if not part:
                return got, True
            got += part
    except socket.timeout:
        return got, False
    except ConnectionError:
        return got, True


def read_answer(caller, kept=b"", head=False):
    """(status, headers, body, what came after it) of one answer."""
    while b"\r\n\r\n" not in kept:
        part = caller.recv(1 << 16)
        if not part:
            return None, {}, kept, b""
        kept += part
    top, _, rest = kept.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    length = 0 if head or status in (100, 204) else int(headers.get("content-length", 0))
    while len(rest) < length:
        part = caller.recv(1 << 16)
        if not part:
            break
        rest += part
    return status, headers, rest[:length], rest[length:]


def statuses(got):
    return [int(n) for n in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def healthy(results, cartwheel, after):
    try:
        status, _, _ = cartwheel.request("GET", "/healthz", timeout=5)
    except OSError as error:
        status = error
    good = cartwheel.process.poll() is None and status == 200
    return results.check(good, f"healthy after {after}", f"{status}\n" + "\n".join(cartwheel.words))


def post(path, body, *headers):
    text = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return (text + "".join(h + "\r\n" for h in headers) + "\r\n").encode() + body


# ---- heads and bodies that are refused ----

def framing_attacks():
    """name, the bytes, the status that they deserve"""
    start = b"POST /v1/events HTTP/1.1\r\n" + HOST
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\n"
    for name, value in (("two lengths", b"5\r\nContent-Length: 5"), ("a list", b"5, 5"),
                        ("a sign", b"+5"), ("minus", b"-5"), ("hexadecimal", b"0x5"),
                        ("underscore", b"1_0"), ("blank inside", b"1 0"), ("nothing", b""),
                        ("nineteen digits", b"0" * 18 + b"5"), ("junk", b"5a"),
                        ("a no-break space", b"\xa05"), ("a fraction", b"5.0"),
                        ("a vertical tab", b"\x0b5"), ("a huge one", b"9" * 400)):
        yield f"Content-Length: {name}", start + b"Content-Length: " + value + b"\r\n\r\nhello", 400
    yield "length and coding", start + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
    yield "coding and length", start + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400
    yield "coding twice", start + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", 400
    yield "chunked in 1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
    for value in (
        b"identity",
        b"gzip, chunked",
        b"chunked, chunked",
        b"xchunked",
        b"Chunked",
            b"chunked;q=1"):
        yield f"coding {value}", start + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n", (400, 501)
    for name, body in (("no digit", b"\r\n"), ("blank before", b" 5\r\nhello"), ("blank after", b"5 \r\nhello"),
                       ("sign", b"+5\r\nhello"), ("prefix", b"0x5\r\nhello"), ("nine digits", b"000000005\r\nhello"),
                       ("bare LF", b"5\nhello\r\n0\r\n\r\n"), ("bare CR", b"5\rhello\r\n0\r\n\r\n"),
                       ("longer data", b"5\r\nhelloo\r\n0\r\n\r\n"), ("LF after data", b"5\r\nhello\n0\r\n\r\n"),
                       ("negative", b"-1\r\n"), ("NUL in extension", b"5;\0\r\nhello"),
                       ("LF in extension", b"5;a\nb\r\nhello"), ("long extension", b"5;" + b"a" * 300 + b"\r\n"),
                       ("trailer without colon", b"0\r\nabc\r\n\r\n"), ("folded trailer", b"0\r\na: b\r\n c\r\n\r\n"),
                       ("long trailers", b"0\r\n" + b"a: b\r\n" * 900 + b"\r\n")):
        yield f"chunks: {name}", chunked + body, 400
    yield "chunks: huge", chunked + b"ffffffff\r\n", 413
    yield "chunks: many extensions", chunked + (b"1;" + b"x" * 200 + b"\r\na\r\n") * 40, 400
    yield "body over the limit", start + b"Content-Length: 1179649\r\n\r\n", 413
    yield "body of 18 digits", start + b"Content-Length: 999999999999999999\r\n\r\n", 413


def head_attacks():
    get = b"GET /healthz HTTP/1.1\r\n"
    yield "bare LF lines", b"GET /healthz HTTP/1.1\nHost: x\n\n", 400
    yield "one bare LF", get + b"Host: x\n\r\n", 400
    yield "bare CR", get + b"Host: x\r\nA: b\rC: d\r\n\r\n", 400
    yield "folding", get + HOST + b"A: b\r\n c\r\n\r\n", 400
    yield "folding by a tab", get + HOST + b"A: b\r\n\tc\r\n\r\n", 400
    yield "a blank before the first header", get + b" A: b\r\n" + HOST + b"\r\n", 400
    yield "a blank before the colon", get + HOST + b"A : b\r\n\r\n", 400
    yield "no name", get + HOST + b": b\r\n\r\n", 400
    yield "no colon", get + HOST + b"abc\r\n\r\n", 400
    for byte in (b"\0", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x7f"):
        yield f"{byte} in a value", get + HOST + b"A: b" + byte + b"c\r\n\r\n", 400
        yield f"{byte} in a name", get + HOST + b"A" + byte + b": c\r\n\r\n", 400
        yield f"{byte} in the target", b"GET /heal" + byte + b"thz HTTP/1.1\r\n" + HOST + b"\r\n", 400
    yield "a name of UTF-8", get + HOST + "ä: b\r\n\r\n".encode(), 400
    yield "no host", get + b"\r\n", 400
    yield "two hosts", get + HOST * 2 + b"\r\n", 400
    yield "two hosts, other case", get + HOST + b"hOsT: x\r\n\r\n", 400
    for value in (b"a, b", b"a b", b"u@h", b"a/b", b"a\\b", b"\xc3\xa4"):
        yield f"host {value}", get + b"Host: " + value + b"\r\n\r\n", 400
    for version, status in ((b"HTTP/0.9", 505), (b"HTTP/1.2", 505), (b"HTTP/2.0", 505), (b"HTTP/1.10", 400),
                            (b"HTTP/1,1", 400), (b"http/1.1", 400), (b"HTTP/ 1.1", 400), (b"HTTP/1.1 ", 400),
                            (b"HTTQ/1.1", 400), (b"", 400), (b"HTTP/11", 400)):
        yield f"version {version}", b"GET / " + version + b"\r\n" + HOST + b"\r\n", status
    yield "HTTP/0.9", b"GET /\r\n\r\n", 400
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)
    yield "two blanks", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400
    yield "a tab", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400
    for method in (b"TRACE", b"CONNECT", b"PATCH", b"get", b"BREW", b"M" * 60):
        yield f"method {method}", method + b" / HTTP/1.1\r\n" + HOST + b"\r\n", 501
    for target in (
        b"http://x/healthz",
        b"*",
        b"x:80",
        b"healthz",
        b"/a#b",
        "/ä".encode(),
            b"/\xff"):
        yield f"target {target}", b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400
    yield "a long target", b"GET /" + b"a" * 4096 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414
    yield "an endless request line", b"GET /" + b"a" * 100000, 414
    yield "many headers", get + HOST + b"A: b\r\n" * 64 + b"\r\n", 431
    yield "a large head", get + HOST + b"A: " + b"b" * 17000 + b"\r\n\r\n", 431
    yield "an endless head", get + HOST + b"A: b\r\n" * 100000, 431
    yield "an unknown expectation", post("/v1/events", b"{}", "Expect: 200-ok"), 417
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400
    yield "two empty lines", b"\r\n\r\n" + get + HOST + b"\r\n", 400
    yield "a proxy's line", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get + HOST + b"\r\n", (400, 501)


def attack_refusals(results, cartwheel):
    smuggled = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    for name, data, wanted in [*framing_attacks(), *head_attacks()]:
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        caller = dial(cartwheel)
        try:
            caller.sendall(data + smuggled)
        except ConnectionError:
            pass
        got, ended = read_all(caller)
        caller.close()
        found = statuses(got)
        # One answer: the request behind a refused one is never looked at.
        results.check(len(found) == 1 and found[0] in wanted and ended, f"refused: {name}",
                      f"wanted {wanted}, got {found}, ended {ended}: {got[:300]!r}")
        results.check(b"onnection: close" in got, f"says that it closes: {name}", got[:300])
    healthy(results, cartwheel, "refusals")


# ---- pieces ----

def blank_ids(answer):
    return re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", b"ID", answer)


def attack_pieces(results, cartwheel):
    entry = {"Source": "ecommerce.cart", "DetailType": "CartAbandoned",
             "Detail": json.dumps(event("pieces")["detail"], ensure_ascii=False)}
    put = post("/", json.dumps({"Entries": [entry, {**entry, "Detail": "{"}]}).encode(),
               "X-Amz-Target: AWSEvents.PutEvents", "Content-Type: application/x-amz-json-1.1")
    rows = (json.dumps(event("pieces")) + "\n{\"broken\n" + json.dumps(event("pieces-2"))).encode()
    lines = post("/v1/events", rows, "Content-Type: application/x-ndjson")
    parts = [rows[i:i + 37] for i in range(0, len(rows), 37)]
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part)
                      for part in parts) + b"0\r\nA: b\r\n\r\n"
    chunked = (b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    for name, request in (("PutEvents", put), ("NDJSON", lines), ("chunks", chunked)):
        caller = dial(cartwheel)
        caller.sendall(request)
        read_answer(caller)
        caller.sendall(request)  # the first one took the events, from now on they are known
        wanted = read_answer(caller)
        other = []
        for at in range(1, len(request)):
            caller.sendall(request[:at])
            time.sleep(0.0004)
            caller.sendall(request[at:])
            status, _, body, _ = read_answer(caller)
            if (status, blank_ids(body)) != (wanted[0], blank_ids(wanted[2])):
                other.append((at, status, body))
        results.check(wanted[0] == 200 and not other, f"{name} cut at each byte",
                      f"wanted {wanted}\n" + "\n".join(map(str, other[:3])))
        for at in range(len(request)):
            caller.sendall(request[at:at + 1])
        status, _, body, _ = read_answer(caller)
        results.equal(
            (status, blank_ids(body)), (200, blank_ids(
                wanted[2])), f"{name} byte by byte")
        caller.close()
    caller = dial(cartwheel, "tcp")
    text = rows + b"\n"
    wrong = []
    for at in range(1, len(text)):
        caller.sendall(text[:at])
        time.sleep(0.0004)
        caller.sendall(text[at:])
        while b'"ack":%d,' % (at * 3) not in (got := caller.recv(1 << 16)):
            if not got or b"error" in got:
                wrong.append((at, got))
                break
    results.check(not wrong, "TCP lines cut at each byte", wrong[:3])
    caller.close()


def attack_manners(results, cartwheel):
    caller = dial(cartwheel)
    body = json.dumps(event("pipe")).encode()
    one = post("/v1/events", body, "Content-Type: application/json")
    caller.sendall((one + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                   * 50 + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    rest, found = b"", []
    for _ in range(101):
        status, _, body, rest = read_answer(caller, rest)
        found.append((status, b"accepted" in body))
    results.equal(found, [(200, True), (200, False)] * 50 +
                  [(404, False)], "100 pipelined requests")
    # HEAD has the length, not the body, and the next answer follows at once.
    for path in ("/healthz", "/metrics", "/nothing", "/v1/events", "/v1/candidates/nobody:none"):
        caller.sendall(
            f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, headers, _, rest = read_answer(caller, head=True)
        after, _, body, rest = read_answer(caller, rest)
        results.check(
            status in (
                200,
                404,
                405) and "content-length" in headers and after == 200 and body.startswith(b'{"status"') and not rest,
            f"HEAD {path}",
            f"{status} {headers} {after} {body}")
    caller.close()
    # 100 Continue comes before the body, and not where the body is there already.
    caller = dial(cartwheel)
    request = post("/v1/events", json.dumps(event("expect")).encode(), "Expect: 100-continue")
    top, _, body = request.partition(b"\r\n\r\n")
    caller.sendall(top + b"\r\n\r\n")
    status, _, _, rest = read_answer(caller)
    caller.sendall(body)
    after, _, _, rest = read_answer(caller, rest)
    results.equal((status, after, rest), (100, 200, b""), "Expect: 100-continue")
    caller.sendall(request)
    status, _, _, rest = read_answer(caller)
    results.equal((status, rest), (200, b""), "Expect with its body")
    caller.sendall(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")
    got, ended = read_all(caller)
    results.equal((statuses(got), ended), ([413], True), "Expect with a body too large")
    caller.close()
    # The caller says that it will send no more, and still gets its answers.
    caller = dial(cartwheel)
    caller.sendall(one * 3)
    caller.shutdown(socket.SHUT_WR)
    got, ended = read_all(caller)
    results.equal((statuses(got), ended), ([200] * 3, True), "half-closed")
    caller.close()
    caller = dial(cartwheel)
    caller.sendall(one[:-5])
    caller.shutdown(socket.SHUT_WR)
    got, ended = read_all(caller)
    results.equal((statuses(got), ended), ([], True), "half-closed in a body")
    caller.close()
    caller = dial(cartwheel)
    caller.sendall(b"GET /healthz HTTP/1.0\r\n\r\n" + b"GET /healthz HTTP/1.0\r\n\r\n")
    got, ended = read_all(caller)
    results.equal((statuses(got), ended), ([200], True), "HTTP/1.0 closes")
    caller.close()
    healthy(results, cartwheel, "manners")


# ---- contents ----

def hostile_texts():
    good = json.dumps(event("good"))
    yield "malformed", b'{"version":'
    yield "two values", good.encode() + b"{}"
    yield "no object", b"[1,2]"
    yield "nothing but a number", b"1e999"
    yield "invalid UTF-8", good.encode().replace(b"Headphones", b"\xc3\x28")
    yield "overlong UTF-8", good.encode().replace(b"Headphones", b"\xc0\xaf")
    yield "a surrogate", good.encode().replace(b"Headphones", b"\xed\xa0\x80")
    yield "a lone escape", good.encode().replace(b"Headphones", b"\\ud800")
    yield "a control character", good.encode().replace(b"Headphones", b"a\x01b")
    yield "a NUL", good.encode().replace(b"Headphones", b"a\0b")
    yield "arrays without end", b'{"detail":' + b"[" * 200000
    yield "deep objects", b'{"a":' * 1100 + b"1" + b"}" * 1100
    yield "deep in the detail", good.encode().replace(b'"items":', b'"z":' + b"[" * 1001 + b"]" * 1001 + b',"items":')
    yield "an id of NUL", good.encode().replace(b"c-good", b"a\\u0000b")
    yield "a long id", good.encode().replace(b"c-good", b"a" * 129)
    yield "an empty id", good.encode().replace(b"c-good", b"")
    yield "an absurd value", good.encode().replace(b"150.0", b"1e300")
    yield "a negative value", good.encode().replace(b"150.0", b"-1")
    yield "a number with thousands of digits", good.encode().replace(b"150.0", b"1" * 5000)
    yield "a value of text", good.encode().replace(b'"cartValue": 150.0', b'"cartValue": "150"')
    yield "the far future", good.encode().replace(b'"time": "2', b'"time": "9').replace(b'"timestamp": "2', b'"timestamp": "9')
    yield "no detail", b'{"version":"0","id":"x","source":"ecommerce.cart","detail-type":"CartAbandoned"}'


def attack_contents(results, cartwheel):
    ndjson = ["Content-Type: application/x-ndjson"]
    number = 0
    for name, text in hostile_texts():
        number += 1
        status, _, body = cartwheel.request(
            "POST", "/v1/events", text, {"content-type": "application/json"})
        results.check(
            status == 400 and b'"error"' in body,
            f"one envelope: {name}",
            f"{status} {body[:300]}")
        pair = [json.dumps(event(f"n-{number}-{i}")).encode() for i in (1, 2, 3, 4)]
        many = pair[0] + b"\n" + text.replace(b"\n", b" ") + b"\n" + pair[1] + b"\n"
        caller = dial(cartwheel)
        caller.sendall(post("/v1/events", many, *ndjson))
        status, _, body, _ = read_answer(caller)
        caller.close()
        told = json.loads(body)
        results.check(
            status == 200 and told["accepted"] == 2 and [
                r["index"] for r in told["rejected"]] == [1],
            f"NDJSON: {name}",
            f"{status} {body[:400]}")
        try:
            detail = text.decode("utf-8")
        except UnicodeDecodeError:
            detail = "{"  # of a PutEvents call all would be malformed
        entry = {"Source": "ecommerce.cart", "DetailType": "CartAbandoned"}
        good = {**entry, "Detail": json.dumps(event(f"p-{number}")["detail"])}
        body = json.dumps({"Entries": [good, {**entry, "Detail": detail}, good]}).encode()
        status, _, body = cartwheel.request("POST", "/", body, {"x-amz-target": "AWSEvents.PutEvents",
                                                                "content-type": "application/x-amz-json-1.1"})
        told = json.loads(body)
        results.check(status == 200 and told["FailedEntryCount"] == 1 and "ErrorCode" in told["Entries"][1] and
                      "EventId" in told["Entries"][0] and "EventId" in told["Entries"][2],
                      f"PutEvents: {name}", f"{status} {body[:400]}")
        cloud = b'{"specversion":"1.0","id":"i","source":"ecommerce.cart","type":"CartAbandoned","data":%s}' % text
        status, _, body = cartwheel.request(
            "POST", "/v1/events", cloud, {"content-type": "application/cloudevents+json"})
        results.check(status == 400, f"CloudEvents: {name}", f"{status} {body[:300]}")
        caller = dial(cartwheel, "tcp")
        caller.sendall(pair[2] + b"\n" + text.replace(b"\n", b" ") + b"\n" + pair[3] + b"\n")
        caller.shutdown(socket.SHUT_WR)
        got, _ = read_all(caller)
        caller.close()
        acks = [json.loads(line) for line in got.splitlines()]
        lines = [r["line"] for a in acks for r in a.get("rejected", [])]
        results.check(sum(a.get("accepted", 0) for a in acks) ==
                      2 and lines == [2], f"TCP: {name}", got[:400])
    for body in (
        b"",
        b"{}",
        b"[]",
        b'{"Entries":[]}',
        b'{"Entries":1}',
        b'{"Entries":[1]}',
        b'{"Entries":[{}]}',
        b'{"Entries":[' + b"{}," * 10 + b"{}]}",
        b'{"Entries":' + b"[" * 5000,
            b"\xff\xfe"):
        status, _, answer = cartwheel.request(
            "POST", "/", body, {"x-amz-target": "AWSEvents.PutEvents"})
        results.check(status == 400 and b'"__type"' in answer and b"Throttling" not in answer,
                      f"PutEvents {body[:30]}", f"{status} {answer[:300]}")
    for kind in (
        "application/xml",
        "",
        "application/json" * 200,
        "text/plain; charset=\"",
            "application/cloudevents+avro"):
        status, _, answer = cartwheel.request("POST", "/v1/events", b"{}", {"content-type": kind})
        results.check(status in (400, 415), f"media type {kind[:40]}", f"{status} {answer[:200]}")
    for text in (b"", b"\n\n \n", b"\r\n"):
        status, _, answer = cartwheel.request(
            "POST", "/v1/events", text, {"content-type": "application/x-ndjson"})
        results.check(status in (200, 400), f"NDJSON {text}", f"{status} {answer[:200]}")
    healthy(results, cartwheel, "hostile contents")


def attack_sizes(results, cartwheel):
    caller = dial(cartwheel)
    big = b"x" * (1 << 20)
    caller.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
    try:
        caller.sendall(big * 3)
    except ConnectionError:
        pass
    got, ended = read_all(caller)
    results.equal((statuses(got), ended), ([413], True),
                  "a body too large is answered while it comes")
    caller.close()
    status, _, answer = cartwheel.request("POST", "/v1/events", json.dumps(
        event("big", pad="x" * (1 << 20))).encode(), {"content-type": "application/json"})
    results.check(status in (400, 413), "an event over 1 MiB", f"{status} {answer[:200]}")
    caller = dial(cartwheel, "tcp")
    first = json.dumps(event("l-1")).encode() + b"\n"
    last = json.dumps(event("l-2")).encode() + b"\n"
    caller.sendall(first + big * 5 + b"\n" + last)
    caller.shutdown(socket.SHUT_WR)
    got, _ = read_all(caller)
    caller.close()
    acks = [json.loads(line) for line in got.splitlines()]
    results.check(sum(a["accepted"] for a in acks) == 2 and acks[-1]["ack"] == 3 and [r["line"]
                  for a in acks for r in a["rejected"]] == [2], "a line of 5 MiB", got[:400])
    healthy(results, cartwheel, "sizes")


def attack_paths(results, cartwheel):
    """Hostile paths, parameters and headers: nothing of them comes back as a header."""
    evil = "%0d%0aSet-Cookie:%20a=b"
    for path in (
        "/c/" + evil,
        "/o/" + evil,
        "/u/" + evil,
        "/v1/candidates/" + evil,
        "/v1/candidates?channel=" + evil,
        "/v1/candidates?limit=-1",
        "/v1/candidates?limit=99999999999999999999",
        "/v1/candidates?from=%ff",
        "/v1/candidates/%",
        "/v1/candidates/%zz",
        "/v1/candidates/%00",
        "/v1/candidates/" + "a" * 4000,
        "/v1/outbox/..%2f..%2fetc%2fpasswd",
        "/v1/outbox/../../etc/passwd",
        "/v1/outbox/%00",
        "/v1/outbox/.",
        "/v1/programs/" + evil + "/pause",
        "//",
        "/../etc/passwd",
        "/v1/",
        "/?" + "a&" * 2000,
        "/c/" + "A" * 4000,
        "/o/" + "A" * 59,
            "/u/-"):
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            status, headers, body = cartwheel.request(method, path)
            results.check(200 <= status < 500 and "set-cookie" not in headers and
                          not headers.get("location", "").startswith("//") and b"root:" not in body,
                          f"{method} {path[:60]}", f"{status} {headers} {body[:200]}")
    for name, value in (("ce-id", "%ff"), ("ce-source", "%00"), ("ce-type", '"' * 500), ("authorization", "Basic !!!"),
                        ("authorization", "AWS4-HMAC-SHA256 Credential="), ("webhook-request-origin", "a\tb<script>"),
                        ("x-amz-target", "AWSEvents." + "x" * 500), ("content-encoding", "gzip"), ("range", "bytes=0-"),
                        ("content-type", "application/json;" * 100), ("accept", "*/*;q=x," * 300)):
        for method, path in (("POST", "/v1/events"), ("POST", "/"),
                             ("OPTIONS", "/v1/events"), ("GET", "/metrics")):
            status, headers, body = cartwheel.request(
                method, path, b"{}" if method == "POST" else None, {
                    "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", name: value})
            results.check(
                200 <= status < 500,
                f"{method} {path} with {name}",
                f"{status} {headers} {body[:200]}")
    healthy(results, cartwheel, "hostile paths and headers")


# ---- connections ----

def reset(caller):
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


def attack_connections(results, cartwheel):
    slow = [dial(cartwheel) for _ in range(200)]
    end = time.monotonic() + 4
    served = 0
    text = b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: bcdefghijklmnopqrstuvwxyz"
    at = 0
    while time.monotonic() < end:
        for caller in slow:
            try:
                caller.send(text[at % len(text):at % len(text) + 1])
            except OSError:
                pass
        at += 1
        served += cartwheel.request("POST", "/v1/events", json.dumps(event(f"slow-{at}")),
                                    {"content-type": "application/json"})[0] == 200
        time.sleep(0.05)
    late = 0
    for caller in slow:
        got, ended = read_all(caller)
        late += statuses(got) == [408] and ended
        caller.close()
    results.equal((served, late), (at, 200), "slow heads end with 408, others are served")
    get = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    for i in range(100):
        caller = dial(cartwheel)
        caller.sendall(
            get *
            64 if i %
            2 else post(
                "/v1/events",
                json.dumps(
                    event(f"reset-{i}")).encode()))
        if i % 3:
            caller.recv(100)
        reset(caller)
    for i in range(1000):
        caller = dial(cartwheel)
        if i % 4 == 1:
            caller.sendall(b"POST / HT")
        if i % 2:
            reset(caller)
        else:
            caller.close()
    for i in range(50):
        caller = dial(cartwheel, "tcp")
        caller.sendall(json.dumps(event(f"reset-tcp-{i}")).encode() + b"\n{\"par")
        reset(caller)
    healthy(results, cartwheel, "dropped connections")
    find = "cartwheel_connections_open"

    def all_gone():
        return sum(v for k, v in cartwheel.metrics().items() if k.startswith(find)) <= 3
    results.check(engine.until(all_gone, 10), "dropped connections are forgotten",
                  {k: v for k, v in cartwheel.metrics().items() if find in k})
    metrics = cartwheel.metrics()
    used = {k: v for k, v in metrics.items() if "request_memory" in k or "requests_unanswered" in k}
    results.check(used and sum(used.values()) < 100000, "no memory is kept for them", used)


def attack_odd_callers(results):
    with engine.Engine(config=CONFIG) as cartwheel:
        for attack in (
                attack_refusals,
                attack_pieces,
                attack_manners,
                attack_contents,
                attack_sizes,
                attack_paths,
                attack_connections):
            began = time.monotonic()
            try:
                attack(results, cartwheel)
            except (OSError, ValueError, KeyError) as error:
                results.check(False, attack.__name__, f"{error!r}\n" + "\n".join(cartwheel.words))
            print(f"{attack.__name__} {time.monotonic() - began:.1f} s")
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))


# ---- starting, credentials, reloads, stopping ----

def refused_start(folder, *options, config=None):
    command = [
        engine.binary(),
        "run",
        "--state",
        os.path.join(
            folder,
            "s"),
        "--cores",
        "1",
        *options]
    if config is not None:
        path = os.path.join(folder, "engine.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        command += ["-c", path]
    try:
        code, _, words = engine.execute(command, timeout=5)
    except subprocess.TimeoutExpired:
        return None, "it started"
    return code, words.decode()


def attack_starts(results):
    with engine.Engine(cores=1) as cartwheel:
        folder = cartwheel.folder
        for address in ("0.0.0.0:0", "[::]:0"):
            code, words = refused_start(folder, "--http", address)
            results.check(
                code == 2 and "credentials" in words,
                f"open at {address}",
                f"{code} {words}")
        code, words = refused_start(folder, "--http", "127.0.0.1:0", "--tcp", "0.0.0.0:0")
        results.check(code == 2 and "credentials" in words, "open lines", f"{code} {words}")
        code, words = refused_start(folder, "--http", f"127.0.0.1:{cartwheel.port()}")
        results.check(
            code == 1 and "in use" in words and str(
                cartwheel.port()) in words,
            "port in use",
            f"{code} {words}")
        for bad in (
            "nonsense",
            "127.0.0.1",
            "127.0.0.1:99999",
            "256.1.1.1:80",
            "127.0.0.1:-1",
            ":80x",
                ""):
            code, words = refused_start(folder, "--http", bad)
            results.check(code == 2 and words, f"--http {bad!r}", f"{code} {words}")
        code, _, words = engine.execute(
            [engine.binary(), "run", "--state", cartwheel.state, "--http", "127.0.0.1:0"], timeout=20)
        results.check(code in (1, 2) and cartwheel.state.encode() in words,
                      "two engines on one state", f"{code} {words}")
        healthy(results, cartwheel, "refused starts")
    with engine.Engine(cores=1, http=None, config="http:\n  listen: [\"0.0.0.0:0\"]\n  allowUnauthenticated: true\n"
                       "links:\n  baseUrl: http://127.0.0.1:1\n") as cartwheel:
        healthy(results, cartwheel, "allowUnauthenticated")


ROLES = "credentials:\n" + "".join(
    f"  - {{type: {kind}, {name}secretEnv: CW_{role.upper()}, role: {role}}}\n" for kind,
    name,
    role in (
        ("bearer",
         "",
         "report"),
        ("apiKey",
         "id: x-key, ",
         "ingest"),
        ("basic",
         "id: root, ",
         "admin")))


def attack_credentials(results):
    import base64
    secrets = {f"CW_{role}": f"the-secret-of-{role}" for role in ("REPORT", "INGEST", "ADMIN")}
    basic = base64.b64encode(b"root:the-secret-of-ADMIN").decode()
    callers = {
        "nobody": {},
        "report": {
            "authorization": "Bearer the-secret-of-REPORT"},
        "ingest": {
            "x-key": "the-secret-of-INGEST"},
        "admin": {
            "authorization": "Basic " +
            basic}}
    asked = [("GET", "/healthz", (200, 200, 200, 200)), ("GET", "/metrics", (401, 200, 200, 200)),
             ("GET", "/v1/programs", (401, 200, 200, 200)), ("POST", "/v1/events", (401, 403, 200, 200)),
             ("GET", "/v1/candidates?program=abandoned-cart-recovery&channel=email", (401, 403, 403, 200)), ("GET", "/v1/outbox", (401, 403, 403, 200)),
             ("GET", "/v1/candidates/a:b", (401, 403, 403, 404)),
             ("POST", "/v1/programs/reload", (401, 403, 403, 200)),
             ("POST", "/v1/programs/abandoned-cart-recovery/pause", (401, 403, 403, 200)),
             ("POST", "/v1/programs/abandoned-cart-recovery/resume", (401, 403, 403, 200))]
    with engine.Engine(config=CONFIG + ROLES, environment=secrets, cores=1) as cartwheel:
        for method, path, wanted in asked:
            body = json.dumps(event("role")) if path == "/v1/events" else None
            found = tuple(
                cartwheel.request(
                    method, path, body, {
                        **headers, "content-type": "application/json"})[0] for headers in callers.values())
            results.equal(found, wanted, f"{method} {path} as {tuple(callers)}")
        for headers in ({"authorization": "Bearer wrong"},
                        {"authorization": "Basic " + basic[:-4]},
                        {"x-key": "x"},
                        {"authorization": "Basic " + base64.b64encode(b"root:the-secret-of-INGEST").decode()},
                        {"authorization": "Bearer the-secret-of-ADMIN"},
                        {"authorization": "AWS4-HMAC-SHA256 x"}):
            status, got, _ = cartwheel.request("GET", "/metrics", None, headers)
            results.check(status == 401 and got.get("connection") ==
                          "close", f"{headers}", f"{status} {got}")
        put = json.dumps({"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]})
        status, _, body = cartwheel.request(
            "POST", "/", put, {"x-amz-target": "AWSEvents.PutEvents"})
        results.check(
            status in (
                400,
                401,
                403) and b"__type" in body,
            "PutEvents by nobody",
            f"{status} {body}")
        for first, good in (({"auth": "the-secret-of-INGEST"}, False), ({"auth": "root:the-secret-of-ADMIN"}, True),
                            ({"auth": "the-secret-of-REPORT"}, False), ({"auth": "x" * 600}, False), ({}, False),
                            (event("tcp"), False)):
            caller = dial(cartwheel, "tcp")
            caller.sendall(
                (json.dumps(first) +
                 "\n" +
                 json.dumps(
                    event("role-tcp")) +
                    "\n").encode())
            caller.shutdown(socket.SHUT_WR)
            got, ended = read_all(caller)
            caller.close()
            results.check(ended and (b'"ack":2' in got) == good and (b'"error"' in got) != good,
                          f"lines of {str(first)[:60]}", got[:300])
        healthy(results, cartwheel, "credentials")


class Load(threading.Thread):
    """Posts events, one after the other, until it is told to stop or nobody listens any more."""

    def __init__(self, cartwheel, name):
        super().__init__(daemon=True)
        self.cartwheel, self.name_of = cartwheel, name
        self.accepted, self.wrong, self.halt = [], [], False

    def run(self):
        caller, number = None, 0
        while not self.halt:
            try:
                caller = caller or dial(self.cartwheel)
                events = [event(f"{self.name_of}-{number}-{i}") for i in range(5)]
                number += 1
                caller.sendall(post("/v1/events", "\n".join(map(json.dumps, events)).encode(),
                                    "Content-Type: application/x-ndjson"))
                status, headers, body, _ = read_answer(caller)
                if status is None:
                    caller = None
                    continue
                if status == 200 and json.loads(body)["accepted"] == 5:
                    self.accepted += [e["detail"]["customerId"] for e in events]
                elif status not in (503, 504):
                    self.wrong.append((status, body[:200]))
                if headers.get("connection") == "close":
                    caller = None
            except ConnectionRefusedError:
                return
            except OSError:
                caller = None
                if self.cartwheel.process.poll() is not None:
                    return


def loads(cartwheel, name):
    started = [Load(cartwheel, f"{name}-{i}") for i in range(4)]
    for load in started:
        load.start()
    return started


def attack_reload(results):
    with engine.Engine(cores=2) as base:  # for its folder
        base.stop()
        path = os.path.join(base.folder, "program.yaml")
        shutil.copy(engine.PROGRAM, path)
        with open(path, encoding="utf-8") as file:
            good = file.read()
        with engine.Engine(programs=[path]) as cartwheel:
            load = loads(cartwheel, "reload")

            def write(text):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)

            def name():
                return json.loads(cartwheel.get("/v1/programs")[2])["programs"][0]["programName"]

            def told(word):
                return sum(word in line for line in cartwheel.words)
            before = name()
            for i, broken in enumerate(
                ("programId: [", "", "programId: x\n", good.replace(
                    "touch", "tuch", 1) + "\nbad: 1\n")):
                write(broken)
                cartwheel.process.send_signal(signal.SIGHUP)
                results.check(engine.until(lambda n=i: told("nothing was reloaded") ==
                              n + 1, 10), f"broken {i} is told", "\n".join(cartwheel.words[-20:]))
                status, _, body = cartwheel.request("POST", "/v1/programs/reload")
                results.check(
                    status == 422 and b'"error"' in body,
                    f"broken {i} over HTTP",
                    f"{status} {body[:200]}")
                results.equal(name(), before, f"broken {i} keeps the old")
            for i in range(10):
                write(re.sub(r'programName:.*', f'programName: "Name {i}"', good))
                if i % 2:
                    cartwheel.process.send_signal(signal.SIGHUP)
                else:
                    status, _, body = cartwheel.request("POST", "/v1/programs/reload")
                    results.check(status == 200, f"reload {i}", f"{status} {body}")
                results.check(
                    engine.until(
                        lambda n=i: name() == f"Name {n}",
                        10),
                    f"reload {i} under load",
                    name())
            for what in ("pause", "resume"):
                url = f"/v1/programs/abandoned-cart-recovery/{what}"
                for query, wanted in (("", 200), ("?channel=sms", 200),
                                      ("?channel=fax", 400), ("?channel=%ff", 400)):
                    status, _, body = cartwheel.request("POST", url + query)
                    results.check(status == wanted, url + query, f"{status} {body}")
                results.check(
                    cartwheel.request(
                        "POST",
                        f"/v1/programs/none/{what}")[0] == 404,
                    f"{what} of none")
                touches = json.loads(cartwheel.get("/v1/programs")[2])["programs"][0]["touches"]
                results.check(all(t["paused"] == (what == "pause") for t in touches), what, touches)
            stop_under_load(results, cartwheel, load)


def stop_under_load(results, cartwheel, load):
    time.sleep(0.5)
    code = cartwheel.stop()
    for one in load:
        one.halt = True
        one.join(10)
    results.check(code == 0, "SIGTERM under load", f"{code}\n" + "\n".join(cartwheel.words[-20:]))
    results.check(not any(one.wrong for one in load),
                  "no wrong answers", [one.wrong[:3] for one in load])
    answered = [customer for one in load for customer in one.accepted]
    decided = {d.get("customerId") for d in cartwheel.decisions()}
    missing = [customer for customer in answered if customer not in decided]
    results.check(
        len(answered) > 100 and not missing,
        "what was answered was decided",
        f"{len(answered)}, missing {missing[:10]}")


def main():
    results = engine.Results()
    for attack in (attack_odd_callers, attack_starts, attack_credentials, attack_reload):
        began = time.monotonic()
        try:
            attack(results)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            results.check(False, attack.__name__, repr(error))
        print(f"{attack.__name__} {time.monotonic() - began:.1f} s")
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
