#!/usr/bin/env python3
"""Bad input that files can carry: each bad line is exactly one `invalid` line with a reason that
helps, at the right file and line, and its neighbours come out as if it were not there.

All bad lines stand between good ones in a few large files, so that one replay judges hundreds;
what must be accepted all the same stands in the list of good lines.
"""
import json
import os
import random
import stat
import threading

import harness
from harness import event, execute, line

CARTWHEEL = harness.binary()
PROGRAM = """programId: p
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {filterId: trust, type: trust}
  - {filterId: eligibility, type: eligibility}
channels:
  - {channelId: sms, type: sms, config: {delayMinutes: 60, message: "Your cart: {cartLink}"}}
"""
NOON = "2026-03-02T12:00:00Z"
MIB = 1 << 20

# ---- what every event type is made of ----

ID, TEXT, CURRENCY, ZONE, AMOUNT, UNIT, COUNT, ITEMS, BOOL, STATUS, OPT_OUT, AVAILABLE, RATING, \
    SHORT, LOCALE = range(15)
CART = {"cartValue": AMOUNT, "items": ITEMS}
CART_MORE = {"itemCount": COUNT, "currency": CURRENCY, "abandonmentReason": TEXT,
             "marketplace": SHORT, "cartUrl": TEXT, "category": TEXT, "discountSensitivity": UNIT}
# type: (required fields, optional fields)
SCHEMA = {
    "CartAbandoned": ({"customerId": ID, "cartId": ID, **CART}, CART_MORE),
    "CartUpdated": ({"customerId": ID, "cartId": ID}, {**CART, **CART_MORE}),
    "CartCleared": ({"customerId": ID, "cartId": ID}, {}),
    "OrderPlaced": ({"customerId": ID, "orderId": ID, "orderValue": AMOUNT},
                    {"cartId": ID, "discountAmount": AMOUNT, "discountCode": TEXT,
                     "currency": CURRENCY}),
    "OrderRefunded": ({"customerId": ID, "orderId": ID, "amount": AMOUNT}, {}),
    "CustomerUpdated": ({"customerId": ID},
                        {"name": TEXT, "email": TEXT, "phone": TEXT, "pushToken": TEXT,
                         "accountStatus": STATUS, "paymentMethodOnFile": BOOL,
                         "optedOut": OPT_OUT, "marketplace": SHORT, "timezone": ZONE,
                         "locale": LOCALE, "purchaseHistory": COUNT, "avgOrderValue": AMOUNT,
                         "cartAbandonmentRate": UNIT, "emailEngagement": UNIT,
                         "discountSensitivity": UNIT}),
    "CustomerErased": ({"customerId": ID}, {}),
    "InventoryChanged": ({"productId": ID, "available": AVAILABLE}, {}),
    "FeedbackReceived": ({"customerId": ID, "rating": RATING}, {}),
}
for name in ("Delivered", "Bounced", "Opened", "Clicked", "Complained", "Unsubscribed"):
    SCHEMA[name] = ({"messageId": ID}, {"reason": TEXT})
ITEM = ({"id": ID, "name": TEXT, "price": AMOUNT},
        {"quantity": COUNT, "imageUrl": TEXT, "category": TEXT})

GOOD = {ID: "x", TEXT: "x", CURRENCY: "EUR", ZONE: "Europe/Berlin", AMOUNT: 1.5, UNIT: 0.5,
        COUNT: 2, ITEMS: [{"id": "P", "name": "n", "price": 1}], BOOL: True, STATUS: "active",
        OPT_OUT: {"email": True}, AVAILABLE: 3, RATING: 4, SHORT: "US", LOCALE: "de-DE"}
TOO_LONG = "x" * 3000
# Raw JSON of what each kind refuses and accepts.
NOT_STRINGS = ["7", "true", "{}", "[]", "[\"x\"]"]
REFUSED = {
    ID: NOT_STRINGS + ['""', f'"{"x" * 129}"', f'"{"é" * 65}"', '"a\\u0000b"', '"\\u0000"'],
    TEXT: NOT_STRINGS + [f'"{TOO_LONG}"'],
    SHORT: NOT_STRINGS + ['""', '"12345678901234567"'],
    LOCALE: NOT_STRINGS + [f'"{"x" * 36}"'],
    CURRENCY: NOT_STRINGS + ['""', '"eur"', '"EURO"', '"EU"', '"E R"', '"€"'],
    ZONE: NOT_STRINGS + ['""', '"Mars/Olympus"', '"Europe"', '"../../etc/passwd"',
                         '"/etc/localtime"', '"Europe/Berlin\\u0000"', f'"{TOO_LONG}"'],
    AMOUNT: ['"1"', "true", "{}", "[]", "-1", "-0.0001", "1e400", "-1e400", "1.1e12",
             "9" * 400, "-" + "9" * 400],
    UNIT: ['"1"', "true", "{}", "[]", "-0.1", "1.0000001", "2", "1e400"],
    COUNT: ['"1"', "true", "{}", "[]", "-1", "1.5", "1e400", "9" * 30, "9223372036854775808",
            "18446744073709551617"],
    RATING: ['"5"', "true", "{}", "[]", "0", "6", "-1", "4.5", "1e400"],
    ITEMS: ["7", "true", '"x"', "{}", "[7]", "[null]", "[[]]", '["x"]', "[{}]"],
    BOOL: ["0", "1", '"true"', "{}", "[]"],
    STATUS: NOT_STRINGS + ['""', '"ACTIVE"', '"deleted"'],
    OPT_OUT: ["0", '"true"', "[]", '{"email":1}', '{"sms":"yes"}', '{"push":[]}'],
    AVAILABLE: ['"1"', "{}", "[]", "-1", "1.5", "1e400", "9" * 30],
}
ACCEPTED = {
    ID: ['"x"', f'"{"x" * 128}"', f'"{"é" * 64}"', '"\\u0001"', '" "', '"\\ud83d\\ude00"'],
    TEXT: ['""', '"\\u0000"', f'"{"x" * 1024}"'],
    SHORT: ['"X"', '"1234567890123456"'],
    LOCALE: ['""', f'"{"x" * 35}"'],
    CURRENCY: ['"USD"', '"XXX"'],
    ZONE: ['"UTC"', '"America/Argentina/Buenos_Aires"'],
    AMOUNT: ["0", "-0", "-0.0", "1e12", "0.1", "1E2", "1e-400", "0." + "3" * 400],
    UNIT: ["0", "1", "0.5", "1e-400"],
    COUNT: ["1", "2"],
    RATING: ["1", "5"],
    ITEMS: ["[]"],
    BOOL: ["true", "false"],
    STATUS: ['"active"', '"suspended"', '"closed"'],
    OPT_OUT: ["true", "false", "{}", '{"email":null,"fax":7}'],
    AVAILABLE: ["true", "false", "0", "1", "1000000000000"],
}


def raw(kind, fields, source=None, more=""):
    """An envelope with raw JSON values in its detail."""
    detail = ",".join(f'"{k}":{v}' for k, v in fields.items())
    return (f'{{"source":"{harness.SOURCES[kind] if source is None else source}",'
            f'"detail-type":"{kind}","time":"{NOON}"{more},"detail":{{{detail}}}}}')


def complete(kind, customer):
    """All fields of a type with good values, as raw JSON."""
    required, optional = SCHEMA[kind]
    fields = {k: json.dumps(GOOD[v]) for k, v in {**required, **optional}.items()}
    if "customerId" in fields:
        fields["customerId"] = json.dumps(customer)
    return fields


def of_fields():
    """(name, line, words that the reason must hold) for every type and field; and good lines."""
    bad = []
    good = []
    for kind, (required, optional) in SCHEMA.items():
        for field, what in {**required, **optional}.items():
            where = "detail." + field
            for value in REFUSED[what]:
                fields = complete(kind, "bad")
                fields[field] = value
                bad.append((f"{kind}.{field} {value[:30]}", raw(kind, fields), [where]))
            for value in ACCEPTED[what]:
                fields = complete(kind, "good")
                fields[field] = value
                good.append((f"{kind}.{field} {value[:30]}", raw(kind, fields)))
            fields = complete(kind, "bad")
            fields[field] = "null"
            if field in required:
                bad.append((f"{kind}.{field} null", raw(kind, fields), [where]))
                del fields[field]
                bad.append((f"{kind}.{field} missing", raw(kind, fields), [where, "missing"]))
            else:
                good.append((f"{kind}.{field} null", raw(kind, fields)))
                del fields[field]
                good.append((f"{kind}.{field} absent", raw(kind, fields)))
    for number in (0, 2):
        for field, what in {**ITEM[0], **ITEM[1]}.items():
            values = REFUSED[what] + (["0", "1000001"] if field == "quantity" else [])
            values += ["null", None] if field in ITEM[0] else []
            for value in values:
                item = {"id": '"P"', "name": '"n"', "price": "1"}
                item[field] = value
                if value is None:
                    del item[field]
                text = "{" + ",".join(f'"{k}":{v}' for k, v in item.items()) + "}"
                fields = complete("CartAbandoned", "bad")
                fields["items"] = "[" + '{"id":"P","name":"n","price":1},' * number + text + "]"
                bad.append((f"item {number} {field} {str(value)[:30]}",
                            raw("CartAbandoned", fields), [f"detail.items[{number}].{field}"]))
    return bad, good


def of_envelopes():
    bad = []
    good = []
    rest = {"source": '"ecommerce.cart"', "detail-type": '"CartCleared"', "time": f'"{NOON}"',
            "id": '"e"', "detail": '{"customerId":"bad","cartId":"k"}'}

    def envelope(**changes):
        fields = dict(rest)
        for key, value in changes.items():
            fields[key.replace("_", "-")] = value
        return "{" + ",".join(f'"{k}":{v}' for k, v in fields.items() if v is not None) + "}"

    for field in ("source", "detail-type", "detail"):
        for value in (None, "null"):
            bad.append((f"{field} {value}", envelope(**{field: value}), [field, "missing"]))
    for field in ("source", "detail-type", "id"):
        for value in REFUSED[ID]:
            bad.append((f"{field} {value[:20]}", envelope(**{field: value}), [field]))
    for value in ("7", '"{}"', "[]", "true"):
        bad.append((f"detail {value}", envelope(detail=value), ["detail", "object"]))
    times = ['""', "7", "1768754700", "{}", '"yesterday"', '"2026-01-18"', '"16:45:00Z"',
             '"2026-01-18T16:45:00"', '"2026-01-18T16:45Z"', '"2026-02-30T00:00:00Z"',
             '"2025-02-29T00:00:00Z"', '"2026-13-01T00:00:00Z"', '"2026-00-10T00:00:00Z"',
             '"2026-01-18T24:00:00Z"', '"2026-01-18T16:60:00Z"', '"2026-01-18T16:45:61Z"',
             '"2026-01-18T16:45:00+25:00"', '"2026-01-18T16:45:00+01"', '"1969-12-31T23:59:59Z"',
             '"10000-01-01T00:00:00Z"', '"-2026-01-18T16:45:00Z"', '"2026-01-18T16:45:00.Z"',
             '"2026-01-18T16:45:00Z "', '" 2026-01-18T16:45:00Z"', '"2026-01-18T16:45:00ZZ"',
             '"2026-01-18T16:45:00\\u0000Z"', '"٢٠٢٦-01-18T16:45:00Z"', f'"{"2" * 5000}"']
    for value in times:
        bad.append((f"time {value[:30]}", envelope(time=value), ["time", "RFC 3339"]))
        detail = '{"customerId":"bad","cartId":"k","timestamp":' + value + "}"
        bad.append((f"timestamp {value[:30]}", envelope(detail=detail),
                    ["detail.timestamp", "RFC 3339"]))
        bad.append((f"timestamp alone {value[:30]}", envelope(detail=detail, time=None),
                    ["detail.timestamp", "RFC 3339"]))
    bad.append(("no time at all", envelope(time=None), ["time", "timestamp"]))
    bad.append(("null times", envelope(time="null", detail='{"customerId":"bad","cartId":"k",'
                                       '"timestamp":null}'), ["time", "timestamp"]))
    for value in (f'"{NOON}"', '"2026-03-02T12:00:00.000000000Z"', '"2026-03-02T13:00:00+01:00"',
                  '"1970-01-01T00:00:00Z"', '"2024-02-29T00:00:00Z"'):
        good.append((f"time {value}", envelope(time=value, id=None)))
    good.append(("no id", envelope(id=None)))
    good.append(("null id", envelope(id="null")))
    good.append(("unknown keys", envelope(id=None, version="[1,{}]", resources="{}", x="1e400")))
    good.append(("unknown type", envelope(detail_type='"Nothing"', detail='{"customerId":7}')))
    good.append(("unknown type, bad time", envelope(detail_type='"Nothing"', time='"never"')))
    return bad, good


def of_json():
    """Malformed and undecodable text, as bytes."""
    whole = raw("CartCleared", {"customerId": '"bad"', "cartId": '"k"'})
    bad = [(f"cut at {i}", whole[:i].encode()) for i in range(1, len(whole))]
    texts = ["{", "}", "[", "]", '"', "nul", "tru", "NaN", "{]", "[}", "{}{}", "{} {}", whole + ",",
             whole + "}", whole + whole, "," + whole, "//" + whole, whole + "// end",
             "/* */" + whole, "'" + whole + "'", whole.replace('"', "'"), "\ufeff" + whole,
             whole.replace(":", "=", 1), whole.replace(",", ";", 1), whole.replace(",", ",,", 1),
             whole.replace("{", "{,", 1), whole[:-1] + ",}", "(" + whole + ")"]
    for value in ("NaN", "Infinity", "-Infinity", "nan", "0x10", "01", "-01", "+1", "1.", ".5",
                  "1e", "1e+", "--1", "1 2", "1_000", "0b1", "undefined", "True", "None", "'x'",
                  '"\\x41"', '"\\u12"', '"\\u123g"', '"\\a"', '"\t"', '"\x01"', '"a\x1fb"', "[1,]",
                  '{"a":1,}', '{"a" 1}', '{a:1}', '{"a":1 "b":2}', "[1 2]", '{1:2}', '{"a"}', '"x',
                  '"\\"', "-", "1ee5", "1.2.3", "tru e", "nulll", '"\\ud800"', '"\\udc00"',
                  '"\\ud800x"', '"\\ud800\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\u0041"'):
        texts.append(whole.replace('"k"', value))
        texts.append(whole[:-1] + ',"more":' + value + "}")
    texts.append(whole[:-1] + ',"\\ud800":1}')
    bad += [(text[:40] + "..." + text[-40:], text.encode("utf-8", "surrogatepass"))
            for text in texts]
    for junk in (b"\x80", b"\xff", b"\xfe", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80",
                 b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
                 b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"a\xc3b", b"\x00"):
        for place in ('"k"', '"bad"'):
            bad.append((f"bytes {junk!r} in {place}", whole.encode().replace(
                place.encode(), b'"' + junk + b'"')))
        bad.append((f"bytes {junk!r} alone", junk))
        bad.append((f"bytes {junk!r} in a key", whole[:-1].encode() + b',"' + junk + b'":1}'))
    return [(name, text, ["malformed JSON near byte"]) for name, text in bad] + [
        (f"no object {text}", text.encode(), ["object"])
        for text in ("[]", "null", "7", '"x"', "true", "[{}]", "-0.0", "[" + whole + "]")]


def nested(levels):
    """A good event whose deepest value stands `levels` deep, envelope and detail included."""
    return (raw("CartCleared", {"customerId": '"good"', "cartId": '"k"'})[:-2] + ',"deep":' +
            "[" * (levels - 2) + "]" * (levels - 2) + "}}")


def sized(size, customer):
    """A CartAbandoned of exactly that many bytes."""
    text = raw("CartAbandoned", {**complete("CartAbandoned", customer), "pad": '""'})
    return text.replace('"pad":""', '"pad":"' + "x" * (size - len(text)) + '"')


def with_items(count, customer):
    fields = complete("CartAbandoned", customer)
    fields["items"] = "[" + ",".join(['{"id":"P","name":"n","price":1}'] * count) + "]"
    return raw("CartAbandoned", fields)


def of_sizes():
    bad = [("1 MiB and a byte", sized(MIB + 1, "bad"), ["1048576"]),
           ("2 MiB", sized(2 * MIB, "bad"), ["1048576"]),
           ("1,001 items", with_items(1001, "bad"), ["detail.items", "1000"]),
           ("1,001 deep", nested(1001), ["1000"]),
           ("100,000 deep", nested(100000), ["1000"]),
           ("never closed", "[" * 500000, ["malformed JSON"]),
           ("a megabyte of objects", '{"a":' * 200000, ["malformed JSON"])]
    good = [("1 MiB", sized(MIB, "good")), ("1,000 items", with_items(1000, "good")),
            ("1,000 deep", nested(1000))]
    return bad, good


# ---- neighbours ----

def neighbours(count):
    """Good events that together tell a story per customer: profile, abandonment, order."""
    out = []
    for i in range(count):
        customer = f"N{i // 3}"
        minute = f"2026-03-03T{i // 60 % 24:02}:{i % 60:02}:00Z"
        out.append(line([
            event("CustomerUpdated", minute, {"customerId": customer, "phone": "+1555",
                                              "paymentMethodOnFile": True}),
            event("CartAbandoned", minute, {"customerId": customer, "cartId": "k", "cartValue": 60,
                                            "items": []}),
            event("OrderPlaced", minute, {"customerId": customer, "orderId": "o", "cartId": "k",
                                          "orderValue": 9}) if i % 2 else
            event("InventoryChanged", minute, {"productId": customer, "available": 0})][i % 3]))
    return out


def as_bytes(text):
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def replay(arguments, given=None):
    return execute([CARTWHEEL, "replay", "--quiet"] + arguments, given)


def judge(results, folder, name, bad, cores=1):
    """Replays the bad lines between good ones and checks every invalid line."""
    good = neighbours(len(bad) + 1)
    text = bytearray(as_bytes(good[0]) + b"\n")
    for i, (_, wrong, _) in enumerate(bad):
        text += as_bytes(wrong) + b"\n" + as_bytes(good[i + 1]) + b"\n"
    path = folder.write("bad.ndjson", bytes(text))
    clean = folder.write("clean.ndjson", "\n".join(good) + "\n")
    program = folder.write("p.yaml", PROGRAM)
    code, output, said = replay(["--cores", str(cores), program, path])
    results.check(code == 0, f"{name}: exit 0", said.decode())
    _, wanted, _ = replay([program, clean])
    told = []
    others = []
    for text in output.split(b"\n"):
        (told if b'"kind":"invalid"' in text else others).append(text)
    results.equal(b"\n".join(others), wanted, f"{name}: the neighbours are not disturbed")
    by_line = {}
    for text in told:
        parsed = json.loads(text)
        by_line.setdefault(parsed["line"], []).append(parsed)
        results.check(parsed["file"] == path and list(parsed) == [
            "at", "kind", "file", "line", "reason"], f"{name}: {text[:200]}")
    for i, (what, wrong, words) in enumerate(bad):
        mine = by_line.pop(2 * i + 2, [])
        if not results.check(len(mine) == 1, f"{name}: {what}: one invalid line",
                             f"{len(mine)} for {as_bytes(wrong)[:300]!r}"):
            continue
        reason = mine[0]["reason"]
        results.check(all(word in reason for word in words) and len(reason) < 400,
                      f"{name}: {what}: a reason with {words}", reason)
        results.check(mine[0]["at"] == moment(good, i), f"{name}: {what}: at the clock",
                      f'{mine[0]["at"]}, not {moment(good, i)}')
    results.check(not by_line, f"{name}: no invalid line of good ones", by_line)


def moment(good, i):
    return json.loads(good[i])["time"].replace("Z", ".000Z")


def judge_good(results, folder, good):
    """What must be accepted: no invalid line."""
    text = b"".join(as_bytes(text) + b"\n" for _, text in good)
    code, output, said = replay([folder.write("p.yaml", PROGRAM), folder.write("g.ndjson", text)])
    results.check(code == 0, "accepted: exit 0", said.decode())
    wrong = {json.loads(t)["line"]: json.loads(t)["reason"] for t in output.splitlines()
             if b'"kind":"invalid"' in t}
    for i, (name, text) in enumerate(good):
        results.check(i + 1 not in wrong, f"accepted: {name}", f"{wrong.get(i + 1)}: {text[:300]}")


# ---- files ----

def forms(results, folder):
    """The same events in other clothes: line ends, blank lines, several files, a pipe."""
    program = folder.write("p.yaml", PROGRAM)
    good = neighbours(30)
    plain = folder.write("plain.ndjson", "\n".join(good) + "\n")
    code, wanted, _ = replay([program, plain])
    results.check(code == 0 and wanted.count(b"\n") > 10, "plain file")
    for name, text in (
            ("CRLF", "\r\n".join(good) + "\r\n"), ("no final newline", "\n".join(good)),
            ("blank lines", "\n\n \n\t\n" + "\n\n".join(good) + "\n\n\r\n"),
            ("spaces around", "\n".join(" \t" + g + "  " for g in good)),
            ("CRLF, no final newline", "\r\n".join(good))):
        code, output, said = replay([program, folder.write("form.ndjson", text)])
        results.check(code == 0 and not said, f"{name}: exit 0", said.decode())
        results.equal(output, wanted, name)
        code, output, _ = replay([program, "-"], text.encode())
        results.equal(output, wanted, f"{name} on standard input")
    halves = [folder.write("a.ndjson", "\n".join(good[:7])),
              folder.write("b.ndjson", ""), folder.write("c.ndjson", "\n".join(good[7:20])), ]
    code, output, _ = replay([program] + halves + ["-"], "\n".join(good[20:]).encode())
    results.equal(output, wanted, "three files, one of them empty, and standard input")
    empty = folder.write("empty.ndjson", "")
    results.equal(replay([program, empty]), (0, b"", b""), "an empty file")
    results.equal(replay([program, "-"], b""), (0, b"", b""), "empty standard input")
    results.equal(replay([program, folder.write("n.ndjson", "\n\n\n")])[:2], (0, b""), "newlines")
    fifo = os.path.join(folder.name, "fifo")
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: folder.write("fifo", "\n".join(good) + "\n"))
    writer.start()
    code, output, _ = replay([program, fifo])
    writer.join()
    results.equal(output, wanted, "a FIFO")
    bad = "\n".join(good[:5] + ["{"] + good[5:])
    code, output, _ = replay([program, plain, "-"], bad.encode())
    told = [json.loads(t) for t in output.splitlines() if b'"invalid"' in t]
    results.check(len(told) == 1 and told[0]["line"] == 6 and "input" in told[0]["file"],
                  "a bad line of standard input names it", told)
    file = folder.write("odd \"name\"\té.ndjson", "\n\n{")
    told = [json.loads(t) for t in replay([program, plain, file])[1].splitlines()
            if b'"invalid"' in t]
    results.check(len(told) == 1 and told[0]["line"] == 3 and told[0]["file"] == file,
                  "a bad line of an oddly named second file", told)


def refusals(results, folder):
    """Files that cannot be read, programs that are wrong."""
    program = folder.write("p.yaml", PROGRAM)
    good = folder.write("good.ndjson", "\n".join(neighbours(3)))
    secret = folder.write("secret.ndjson", "\n".join(neighbours(3)))
    os.chmod(secret, 0)
    missing = os.path.join(folder.name, "missing.ndjson")
    cases = [(1, [program, missing], "missing.ndjson"), (1, [program, good, missing], "missing"),
             (1, [program, folder.name], folder.name)]
    if os.geteuid() != 0:
        cases.append((1, [program, secret], "secret.ndjson"))
    wrong = folder.write("wrong.yaml", PROGRAM.replace("delayMinutes", "delayMinuts"))
    binary = folder.write("binary.yaml", bytes(range(256)) * 10)
    cases += [(2, [wrong, good], "delayMinutes"), (2, [binary, good], "binary.yaml"),
              (2, [folder.write("empty.yaml", ""), good], "empty.yaml"),
              (2, [program, program, good], "programId"), (2, [program], "no events"),
              (2, [good], "no program")]
    for expected, arguments, word in cases:
        code, output, said = replay(arguments)
        results.check(code == expected and not output and word in said.decode("utf-8", "replace"),
                      f"exit {expected} naming {word}", f"{code} {output[:200]} {said[:400]}")
    for file in ("nothing.yaml", "folder.yaml"):
        path = os.path.join(folder.name, file)
        if file == "folder.yaml":
            os.mkdir(path)
        code, output, said = replay([path, good])
        results.check(code in (1, 2) and not output and file in said.decode(),
                      f"a program that cannot be read: {file}", f"{code} {said[:300]}")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            import subprocess
            done = subprocess.run([CARTWHEEL, "replay", program, good], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        results.check(done.returncode == 1 and b"standard output" in done.stderr,
                      "a full disk is told", done.stderr)


def huge(results, folder):
    """A line of 50 MB, and binary garbage."""
    good = neighbours(12)
    clean = replay([folder.write("p.yaml", PROGRAM),
                    folder.write("clean.ndjson", "\n".join(good))])[1]
    for name, junk in (("50 MB of text", b'{"x":"' + b"x" * 50_000_000 + b'"}'),
                       ("50 MB of blanks and a brace", b" " * 50_000_000 + b"{"),
                       ("50 MB of brackets", b"[" * 50_000_000)):
        text = "\n".join(good[:6]).encode() + b"\n" + junk + b"\n" + "\n".join(good[6:]).encode()
        path = folder.write("huge.ndjson", text)
        for cores in (1, 3):
            code, output, _ = replay(["--cores", str(cores), os.path.join(folder.name, "p.yaml"),
                                      path])
            told = [json.loads(t) for t in output.splitlines() if b'"kind":"invalid"' in t]
            results.check(code == 0 and len(told) == 1 and told[0]["line"] == 7 and
                          "1048576" in told[0]["reason"], f"{name} on {cores}: one invalid line",
                          told[:3])
            rest = b"".join(t + b"\n" for t in output.splitlines() if b'"invalid"' not in t)
            results.equal(rest, clean, f"{name} on {cores}: neighbours")
        os.unlink(path)
    chance = random.Random(7)
    junk = bytearray(chance.randbytes(300_000))
    rows = [bytes(row) for row in junk.split(b"\n")]
    wanted = sum(1 for row in rows if row.strip(b" \t\r"))
    text = "\n".join(good[:6]).encode() + b"\n" + bytes(junk) + b"\n" + "\n".join(good[6:]).encode()
    for cores in (1, 3):
        code, output, _ = replay(["--cores", str(cores), os.path.join(folder.name, "p.yaml"),
                                  folder.write("junk.ndjson", text)])
        told = [json.loads(t)["line"] for t in output.splitlines() if b'"kind":"invalid"' in t]
        rest = b"".join(t + b"\n" for t in output.splitlines() if b'"invalid"' not in t)
        results.equal((code, len(told), told), (0, wanted, sorted(
            7 + i for i, row in enumerate(rows) if row.strip(b" \t\r"))), f"garbage on {cores}")
        results.equal(rest, clean, f"garbage on {cores}: neighbours")


def duplicate_keys(results, folder):
    """The decoder takes the last value, patterns see every one."""
    program = folder.write("d.yaml", PROGRAM.replace(
        "detail-type: [CartAbandoned]", "detail-type: [CartAbandoned], detail: {cartValue: [50, 99]}"))
    start = ('{"source":"ecommerce.cart","detail-type":"CartAbandoned","time":"' + NOON +
             '","detail":{"customerId":"A","cartId":"k","items":[],')
    texts = [line(event("CustomerUpdated", NOON, {"customerId": c, "phone": "1",
                                                  "paymentMethodOnFile": True})) for c in "AB"]
    texts += [start + '"cartValue":60,"cartValue":10}}', start + '"cartValue":10,"cartValue":20}}',
              start + '"cartValue":"x","cartValue":60,"cartId":7,"cartId":"k2"}}',
              start + '"cartValue":60,"cartValue":"x"}}',
              start + '"cartValue":60,"customerId":"B","customerI\\u0064":"A","cartId":"k3"}}',
              start[:-len('"customerId":"A","cartId":"k","items":[],')] + '},"detail":{'
              '"customerId":"B","cartId":"k","items":[],"cartValue":60}}']
    _, output, _ = replay([program, folder.write("d.ndjson", "\n".join(texts))])
    got = [(d["kind"], d.get("customerId"), d.get("cartId"), d.get("line"))
           for d in map(json.loads, output.splitlines()) if d["at"] == "2026-03-02T12:00:00.000Z"]
    results.equal(got, [("invalid", None, None, 6), ("candidate", "A", "k", None),
                        ("superseded", "A", "k", None), ("candidate", "A", "k2", None),
                        ("superseded", "A", "k2", None), ("candidate", "A", "k3", None),
                        ("candidate", "B", "k", None)], "duplicate keys")


def test_suite(results, folder):
    """The public collection of JSON documents, where it is at hand."""
    root = os.path.join(harness.ROOT, "..", "shared", "data", "json-test-suite")
    bad = []
    for path, _, files in os.walk(root):
        for file in sorted(files):
            with open(os.path.join(path, file), "rb") as content:
                text = content.read()
            if file.startswith("n_") and b"\n" not in text and text.strip(b" \t\r"):
                bad.append((file, text, ["1000"] if len(text) > 50000 else ["malformed JSON"]))
    if not bad:
        print("SKIPPED: no collection of JSON documents here")
        return
    judge(results, folder, "json documents", [b if b[0] != "n_structure_open_array_object.json"
                                              else (b[0], b[1], ["JSON"]) for b in bad])


def main():
    results = harness.Results()
    with harness.Folder() as folder:
        bad, good = of_fields()
        more = of_envelopes()
        sizes = of_sizes()
        judge(results, folder, "fields", bad)
        judge(results, folder, "fields on 3 cores", bad, 3)
        judge(results, folder, "envelopes", more[0])
        judge(results, folder, "json", of_json())
        judge(results, folder, "sizes", sizes[0])
        judge(results, folder, "sizes on 3 cores", sizes[0], 3)
        judge_good(results, folder, good + more[1] + sizes[1])
        forms(results, folder)
        refusals(results, folder)
        huge(results, folder)
        duplicate_keys(results, folder)
        test_suite(results, folder)
    results.finish()


if __name__ == "__main__":
    main()
