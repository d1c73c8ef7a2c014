#!/usr/bin/env python3
"""Delivery by the live engine: e-mail to a real SMTP server, SMS and push to a webhook's receiver,
on an accelerated clock; peers that answer badly, late or never; and the way back by the links."""
import json
import logging
import os
import re
import socket
import statistics
import subprocess
import sys
import time

import engine
from deliver_peers import (BASE, CLOSE, BlackHole, Hook, Live, Mailbox, ScriptedSmtp, Server,
                           instant, parsed, program, touch, verified)

until = engine.until
results = engine.Results()


def text_of(message, kind):
    return message.get_body((kind,)).get_content()


def links(message):
    found = {}
    for kind in ("plain", "html"):
        for which, rest in re.findall(re.escape(BASE) + r"/([ocu])/([A-Za-z0-9_.-]+)",
                                      text_of(message, kind)):
            found[which] = f"/{which}/{rest}"
    return found


def ended(cartwheel, name):
    code = cartwheel.stop()
    results.check(code == 0, f"{name}: stops with its sums right", "\n".join(cartwheel.words))


# ---- e-mail and the way back ----

def look_at_mail(content):
    message = parsed(content)
    head = content.split(b"\r\n\r\n")[0]
    results.equal(message.defects, [], "no defects")
    results.equal(message.get_content_type(), "multipart/alternative", "type")
    results.equal([p.get_content_type() for p in message.iter_parts()], ["text/plain", "text/html"],
                  "plain first")
    results.equal(message["subject"], "Ada, 10% off inside", "subject")
    results.equal(message["list-unsubscribe-post"], "List-Unsubscribe=One-Click", "RFC 8058")
    # Who acts on a header may not unfold it: every value begins on the line of its name.
    results.check(not re.search(rb"(?m)^[A-Za-z-]+:[ \t]*\r?$", head), "values begin at once", head)
    one_line = re.search(rb"(?m)^List-Unsubscribe: <([^>\r\n]+)>\r?$", head)
    results.check(one_line and one_line.group(1).decode().startswith(BASE + "/u/"),
                  "List-Unsubscribe is one line", head)
    for kind in ("plain", "html"):
        for words in ("Hi Ada, we saved your cart", "Headphones", "$150", "CART10"):
            results.check(words in text_of(message, kind), f"{kind} says {words!r}")
    found = links(message)
    results.equal(set(found), {"o", "c", "u"}, "links of all kinds")
    return found


def way_back():
    """Opened, clicked and bought; unsubscribed with one click; only asked."""
    box, hook = Mailbox(), Hook()
    two = program(touch("email", 60), touch("email", 300, channelId="again"), touch("sms", 360))
    with Live(two, email=box.port, sms=hook.port) as cartwheel:
        cartwheel.leave("ada", "bob", "cyd", at=cartwheel.now())
        results.check(until(lambda: len(box.mails) >= 3), "three mails", cartwheel.words)
        found = {to[0].split("@")[0]: look_at_mail(content) for _, to, content in box.mails[:3]}
        message = box.to("bob@example.com")[0]
        one_click = message["list-unsubscribe"].strip("<>").removeprefix(BASE)
        status, _, _ = cartwheel.request("POST", one_click, "List-Unsubscribe=One-Click",
                                         {"content-type": "application/x-www-form-urlencoded"})
        results.equal(status, 200, "one click")
        browser = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0"}
        status, headers, body = cartwheel.request("GET", found["ada"]["o"], None, browser)
        results.check(status == 200 and headers["content-type"] == "image/gif" and
                      body.startswith(b"GIF"), "the pixel", f"{status} {headers}")
        status, headers, _ = cartwheel.request("GET", found["ada"]["c"], None, browser)
        results.equal((status, headers.get("location")), (302, "https://shop.example/cart/k-ada"),
                      "a click leads to the cart")
        order = engine.ordered("ada", "o-1", cartwheel.now(), cartId="k-ada")
        results.equal(cartwheel.post_events([order])[0], 200, "an order")
        status, _, body = cartwheel.request("GET", found["cyd"]["u"], None, browser)
        results.check(status == 200 and b"<form" in body, "GET asks")
        results.check(until(lambda: len(cartwheel.decided(channel="sms", outcome="sent")) >= 2),
                      "SMS to those who did not buy", cartwheel.decisions())
        converted = cartwheel.decided(kind="converted")
        results.equal([(d["customerId"], d["attributedTo"]) for d in converted], [("ada", 1)],
                      "the order is the first mail's")
        results.equal(cartwheel.outcomes("ada"), [("sent", None)], "nothing more for ada")
        results.equal(cartwheel.outcomes("bob"),
                      [("sent", None), ("skipped", "opted-out"), ("sent", None)],
                      "no further e-mail for bob, his SMS comes")
        results.equal(cartwheel.outcomes("cyd"), [("sent", None)] * 3, "asking changes nothing")
        results.equal(sorted(r[2]["facts"]["customerId"] for r in hook.requests), ["bob", "cyd"],
                      "SMS")
        ended(cartwheel, "the way back")
    box.close()
    hook.close()


NASTY = ["\r\nRCPT TO:<victim@example.net>\r\n", "\r\n.\r\nMAIL FROM:<x@y.z>\r\n", "\r", "\n.\n",
         "\r\nBcc: victim@example.net", "\"; DROP", "'\\", "<script>alert(1)</script>", "</td><b>",
         "{{discountCode}}", "{{{shopName}}}", "{{#items}}", "{{/items}}", "{{> x}}", "{{=<% %>=}}",
         "{cartLink}", "{customerName}", "&lt;&amp;", "\u2028", "\u202e", "\x1b[31m", "\x7f", "🎉",
         "=?UTF-8?Q?x?=", "From me", "..", "é" * 400, "x" * 1000, "%0d%0a"]


def hostile_fields():
    """Whatever customers and items are called: one MAIL, one RCPT, and the words come out."""
    server, hook = ScriptedSmtp(), Hook()
    all_ways = program(touch("email", 10), touch("sms", 300), touch("push", 600))
    with Live(all_ways, email=server.port, sms=hook.port, push=hook.port, clock=7200) as cartwheel:
        at = cartwheel.now()
        for number, nasty in enumerate(NASTY):
            item = {"id": "i" + nasty[:60], "name": "a" + nasty + "z", "price": 150.0,
                    "imageUrl": "https://shop.example/" + nasty}
            cartwheel.leave(f"n{number}", at=at, profile={"name": "q" + nasty + "p"},
                            cart={"items": [item], "category": nasty, "currency": "USD",
                                  "cartUrl": "https://shop.example/c" + nasty})
        for number, address in enumerate(("a\r\nRCPT TO:<v@x.y>@b.c", "a@b.c>\r\nDATA", "a b@c.d")):
            cartwheel.leave(f"bad{number}", at=at, profile={"email": address})
        good = until(lambda: len(cartwheel.decided(kind="touch")) >= 3 * len(NASTY) + 9)
        results.check(good, "all hostile mails", f"{len(server.messages)} {cartwheel.decisions()}")
        results.equal(len(cartwheel.decided(outcome="sent")), 3 * len(NASTY) + 6, "all are sent")
        ended(cartwheel, "hostile fields")
        for number in range(3):
            results.equal(cartwheel.outcomes(f"bad{number}", "email"), [("failed", "provider")],
                          "a bad address is refused")
    spoken = sum(server.commands(), [])
    count = len(NASTY)
    results.equal([spoken.count(v) for v in (b"MAIL", b"RCPT", b"DATA", b"<message>")], [count] * 4,
                  "one of each order a mail")
    results.equal(set(spoken) - {b"EHLO", b"MAIL", b"RCPT", b"DATA", b"<message>", b"QUIT"}, set(),
                  "no order that nobody gave")
    heard = [line for lines in server.heard.values() for line in lines]
    wanted = {b"RCPT TO:<n%d@example.com>\r\n" % i for i in range(count)}
    results.equal({line for line in heard if line.startswith(b"RCPT")}, wanted, "recipients")
    results.equal({line for line in heard if line.startswith(b"MAIL")},
                  {b"MAIL FROM:<shop@example.com>\r\n"}, "sender")
    for content in server.messages:
        look_at_hostile(content)
    server.close()
    for headers, data, body, _ in hook.requests:
        results.check(verified(headers, data), "signature", headers)
        number = body["facts"]["customerId"]
        words = plain_words("q" + NASTY[int(number[1:])] + "p" if number[0] == "n" else "Ada")
        field = "text" if body["channel"] == "sms" else "title"
        results.check(words[:40] in plain_words(body[field]), f"{words[:20]!r} in a {field}", body)
    hook.close()


def plain_words(text):
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def look_at_hostile(content):
    message = parsed(content.replace(b"\r\n..", b"\r\n."))
    number = int(re.match(r"n(\d+)@", message["to"]).group(1))
    nasty = NASTY[number]
    results.equal(sorted(k.lower() for k in message.keys()),
                  ["content-type", "date", "from", "list-unsubscribe", "list-unsubscribe-post",
                   "message-id", "mime-version", "subject", "to"], f"{nasty[:20]!r}: headers")
    head = content.split(b"\r\n\r\n")[0]
    results.check(not re.search(rb"(?m)^[A-Za-z-]+:[ \t]*\r?$", head), "values begin at once", head)
    results.check(plain_words("q" + nasty + "p")[:100] in plain_words(message["subject"]) or
                  len(nasty) > 300, f"{nasty[:20]!r}: subject", message["subject"])
    plain, html = text_of(message, "plain"), text_of(message, "html")
    results.check(plain_words("a" + nasty + "z")[:60] in plain_words(plain),
                  f"{nasty[:20]!r}: the item as it is called", plain)
    results.check("<script" not in html and "</td><b>" not in html, f"{nasty[:20]!r}: escaped",
                  html)
    results.check("$150" in plain and "CART10" in plain and "victim" not in str(message.keys()),
                  f"{nasty[:20]!r}: the mail is whole", plain)
    results.equal(len(list(message.iter_parts())), 2, f"{nasty[:20]!r}: two parts")


# ---- webhooks ----

def webhooks():
    """Signed; the same id over retries; what each answer makes of a message."""
    def answer(body, number):
        customer = body["facts"]["customerId"]
        told = {"s503": (503, {}), "s429": (429, {"Retry-After": "7200"}), "lost": CLOSE,
                "s500": (500, {})}
        if customer == "s400" and body["channel"] == "sms":
            return (400, {})
        if customer == "never" and body["channel"] == "sms":
            return (503, {})
        return told[customer] if number == 1 and customer in told else (200, {})

    hook = Hook(answer)
    box = program(touch("sms", 10, retries=2), touch("push", 240))
    names = ("fine", "s503", "s429", "s500", "s400", "never", "lost")
    with Live(box, sms=hook.port, push=hook.port) as cartwheel:
        at = cartwheel.leave(*names)
        until(lambda: len(cartwheel.decided(channel="push", outcome="sent")) >= len(names))
        sms = {n: cartwheel.outcomes(n, "sms") for n in names}
        once = [("deferred", "provider"), ("sent", None)]
        results.equal(sms, {"fine": [("sent", None)], "s503": once, "s429": once, "s500": once,
                            "s400": [("failed", "provider")], "lost": once,
                            "never": [("deferred", "provider")] * 2 + [("failed", "provider")]},
                      "what became of the SMS")
        results.equal({n: cartwheel.outcomes(n, "push")[-1:] for n in names},
                      {n: [("sent", None)] for n in names},
                      "the next touch still comes")
        asked = cartwheel.decided(kind="touch", customerId="s429", outcome="deferred")
        if asked:
            waits = instant(asked[0]["until"]) - instant(asked[0]["at"])
            results.check(waits >= 7200_000, "Retry-After is kept to", waits)
        gave_up = cartwheel.decided(kind="touch", customerId="never", outcome="deferred")
        waits = [instant(d["until"]) - instant(d["at"]) for d in gave_up]
        results.check(len(waits) == 2 and 22_000 <= waits[0] <= 38_000 and
                      45_000 <= waits[1] <= 75_000, "waits grow", waits)
        results.check(all(instant(d["at"]) >= at for d in gave_up), "in the engine's time")
        ended(cartwheel, "webhooks")
    for headers, data, body, _ in hook.requests:
        results.check(verified(headers, data), "signature", headers)
        results.check(headers["webhook-id"] == headers["idempotency-key"] == body["id"], "ids")
        results.check(abs(int(headers["webhook-timestamp"]) - time.time()) < 300, "timestamp")
    for name in names:
        of_sms = [r for r in hook.of(name) if r[2]["channel"] == "sms"]
        results.equal(len({r[0]["webhook-id"] for r in of_sms}), 1, f"{name}: one id")
        results.equal([r[2]["attempt"] for r in of_sms], list(range(1, len(of_sms) + 1)),
                      f"{name}: attempts")
        address = re.search(r"https?://\S+", of_sms[0][2]["text"]).group(0)
        results.check(len(address) <= 40 and address.startswith(BASE + "/c/"), "short link",
                      address)
    results.equal(len({r[0]["webhook-id"] for r in hook.requests}), len({
        (r[2]["facts"]["customerId"], r[2]["channel"]) for r in hook.requests}), "ids differ")
    hook.close()


def dropped_or_resent():
    """A server that is gone after the message's end: unknown, or sent again under the same id."""
    gone = ScriptedSmtp(body=lambda number, count: CLOSE if number <= 1 else b"250 taken\r\n")
    row = {"concurrency": 1}
    with Live(program(touch("email", 5)), email=gone.port, email_row=row) as cartwheel:
        cartwheel.leave("ada")
        until(lambda: cartwheel.outcomes("ada"))
        cartwheel.leave("bob")
        until(lambda: cartwheel.outcomes("bob"))
        results.equal(cartwheel.outcomes("ada"), [("unknown", "provider")], "dropped")
        results.equal(cartwheel.outcomes("bob"), [("sent", None)], "the next one goes out")
        ended(cartwheel, "dropped")
    results.equal(len(gone.messages), 2, "one each")
    gone.close()
    again = ScriptedSmtp(body=lambda number, count: CLOSE if number <= 1 else b"250 taken\r\n")
    resend = program(touch("email", 5, onUnknown="resend"))
    with Live(resend, email=again.port, email_row=row) as cartwheel:
        cartwheel.leave("ada")
        until(lambda: ("sent", None) in cartwheel.outcomes("ada"))
        results.equal(cartwheel.outcomes("ada"), [("deferred", "provider"), ("sent", None)],
                      "resent")
        ended(cartwheel, "resent")
    results.equal(len({parsed(m)["message-id"] for m in again.messages}), 1, "one Message-ID")
    results.equal(len(again.messages), 2, "two messages")
    again.close()
    hook = Hook(lambda body, number: CLOSE)
    with Live(program(touch("sms", 5, onUnknown="drop")), sms=hook.port) as cartwheel:
        cartwheel.leave("ada")
        until(lambda: cartwheel.outcomes("ada"))
        results.equal(cartwheel.outcomes("ada"), [("unknown", "provider")],
                      "a webhook's is dropped")
        ended(cartwheel, "a webhook's")
    results.equal(len(hook.requests), 1, "once")
    hook.close()


def smtp_answers():
    """4xx is tried again, 5xx is not."""
    soft = ScriptedSmtp(RCPT=lambda number, count: b"250 ok\r\n" if count > 1 else b"450 busy\r\n")
    one = {"concurrency": 1}
    with Live(program(touch("email", 5)), email=soft.port, email_row=one) as cartwheel:
        cartwheel.leave("ada")
        until(lambda: ("sent", None) in cartwheel.outcomes("ada"))
        results.equal(cartwheel.outcomes("ada"), [("deferred", "provider"), ("sent", None)], "450")
        ended(cartwheel, "450")
    soft.close()
    hard = ScriptedSmtp(RCPT=b"550 nobody here\r\n")
    with Live(program(touch("email", 5)), email=hard.port) as cartwheel:
        cartwheel.leave("ada")
        until(lambda: cartwheel.outcomes("ada"))
        results.equal(cartwheel.outcomes("ada"), [("failed", "provider")], "550")
        letters = os.path.join(cartwheel.state, "dead-letters.ndjson")
        told = until(lambda: [json.loads(line) for line in open(letters, encoding="utf-8")])
        results.equal([(json.loads(one["event"])["customerId"], "nobody here" in one["reason"])
                       for one in told], [("ada", True)], "its dead letter says whose it is")
        cartwheel.post_events([{"version": "0", "id": "gone", "source": "ecommerce.customer",
                                "detail-type": "CustomerErased", "detail": {"customerId": "ada"},
                                "time": engine.stamp(cartwheel.now())}])
        receipt = until(lambda: cartwheel.get("/v1/erasures")[2])
        results.equal(json.loads(receipt)["deadLetters"], 1, "an erasure finds it")
        results.equal(open(letters, encoding="utf-8").read(), "", "it is gone")
        ended(cartwheel, "550")
    hard.close()


# ---- peers that are slow, and outages ----

def lateness(smtp_port, push_port, name, email_ends_as):
    """Wall milliseconds from an SMS's time to its end, while other channels do as they do."""
    hook = Hook()
    crowd = [f"c{i}" for i in range(40)]
    three = program(touch("email", 1), touch("push", 1.5), touch("sms", 2))
    patience = {"timeoutSeconds": 5}
    with Live(three, email=smtp_port, push=push_port, sms=hook.port, clock=120,
              email_row=patience, push_row=patience) as cartwheel:
        at = cartwheel.leave(*crowd)
        until(lambda: len(cartwheel.decided(channel="sms", outcome="sent")) >= 40)
        until(lambda: len(cartwheel.decided(channel="email")) >= 40)
        ended(cartwheel, name)
        sms = [instant(d["at"]) for d in cartwheel.decided(channel="sms", outcome="sent")]
        mails = cartwheel.decided(channel="email")
        results.equal({d["outcome"] for d in mails}, {email_ends_as}, f"{name}: e-mails")
    results.equal(len(sms), 40, f"{name}: all SMS")
    results.equal(len(hook.requests), 40, f"{name}: each once")
    hook.close()
    late = [(ms - at - 120_000) / 120 for ms in sms] or [0]
    print(f"SMS beside {name}: {statistics.median(late):.1f} ms after their time, "
          f"at most {max(late):.1f} ms")
    return max(sms, default=0), min((instant(d["at"]) for d in mails), default=0)


def slow_peers():
    """Nobody waits for a blackholed SMTP server or a webhook that answers after 30 seconds."""
    box, quick = Mailbox(), Hook()
    lateness(box.port, quick.port, "good peers", "sent")
    box.close()
    quick.close()
    hole, slow = BlackHole(), Hook(lambda body, number: 30)
    last_sms, first_mail = lateness(hole.port, slow.port, "silent peers", "deferred")
    results.check(last_sms < first_mail, "all SMS are sent while e-mail and push are under way",
                  f"{last_sms} {first_mail}")
    results.check(len(slow.requests) >= 40, "pushes were under way", len(slow.requests))
    hole.close()
    slow.close()


def answers_without_end():
    """A mail server that goes on with the lines of one answer as fast as they are read: messages of
    another channel go out, its own may be tried again, and the engine stops when it is told to."""
    read = []

    def flood(connection, number):
        stream = connection.makefile("rb")
        for words in (b"220 hi\r\n", b"250 hi\r\n"):
            connection.sendall(words)
            stream.readline()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        read.append(number)
        subprocess.run(["yes", "250-"], stdout=connection,  # there is always more to read
                       stderr=subprocess.DEVNULL, check=False)

    server, hook = Server(flood), Hook()
    two = program(touch("email", 10), touch("sms", 20))
    with Live(two, email=server.port, sms=hook.port, clock=600,
              email_row={"concurrency": 1, "timeoutSeconds": 2}) as cartwheel:
        cartwheel.leave("ada")
        results.check(until(lambda: read), "the answer to MAIL begins")
        cartwheel.leave("bob")
        results.check(until(lambda: len(hook.requests) >= 2, 10), "SMS go out beside it")
        mails = [until(lambda n=n: cartwheel.outcomes(n, "email"), 10)[:1] for n in ("ada", "bob")]
        results.equal(mails, [[("deferred", "provider")]] * 2, "its own may be tried again")
        ended(cartwheel, "answers without end")
    server.close()
    hook.close()


def outage():
    """A mail server that is down for hours costs no message: what never left is no failure."""
    ready = ScriptedSmtp()
    port = ready.port
    ready.close()
    crowd = [f"c{i}" for i in range(30)]
    with Live(program(touch("email", 5, retries=5)), email=port,
              email_row={"concurrency": 1}) as cartwheel:
        cartwheel.leave(*crowd)
        until(lambda: len(cartwheel.decided(outcome="deferred")) >= 30)
        time.sleep(2.0)  # two hours of the engine's
        server = ScriptedSmtp(port)
        until(lambda: len(cartwheel.decided(outcome="sent")) >= 30)
        ended(cartwheel, "outage")
        results.equal({cartwheel.outcomes(n)[-1] for n in crowd}, {("sent", None)}, "all sent")
    results.equal(sorted(parsed(m)["to"].split("@")[0] for m in server.messages), sorted(crowd),
                  "each once")
    server.close()


# ---- rates and pauses ----

def rates():
    """A burst leaves at the rate of its program, and of the channel."""
    hook = Hook()
    crowd = [f"c{i}" for i in range(200)]
    slow = program(touch("sms", 1, ratePerSecond=10))
    with Live(slow, sms=hook.port, clock=60) as cartwheel:
        cartwheel.leave(*crowd)
        until(lambda: len(hook.requests) >= 200)
        until(lambda: len(cartwheel.decided(kind="touch", outcome="sent")) >= 200)
        held = cartwheel.decided(kind="touch", outcome="deferred")
        results.equal({d["reason"] for d in held}, {"rate-limit"}, "why they wait")
        results.equal(len(held), 199, "all but the first wait once")
        spaced(hook, 100, "the program's rate")
        ended(cartwheel, "the program's rate")
    results.equal(sorted(r[2]["facts"]["customerId"] for r in hook.requests), sorted(crowd),
                  "each once, none lost")
    hook.close()
    hook = Hook()
    both = [program(touch("sms", 1), name=name) for name in ("a", "b")]
    with Live(*both, sms=hook.port, clock=60, sms_row={"ratePerSecond": 20},
              cores=2) as cartwheel:
        cartwheel.leave(*crowd[:100])
        until(lambda: len(cartwheel.decided(kind="touch", outcome="sent")) >= 200)
        results.equal(len(hook.requests), 200, "both programs' messages")
        ended(cartwheel, "the channel's rate")
        times = sorted(instant(r[2]["at"]) for r in hook.requests)
        most = max(sum(1 for t in times if a <= t < a + 1000) for a in times)
        results.check(most <= 22, "the channel's rate, which two cores share", most)
    hook.close()


def spaced(hook, interval, name):
    times = sorted(instant(r[2]["at"]) for r in hook.requests)
    gaps = [b - a for a, b in zip(times, times[1:])]
    results.check(gaps and min(gaps) >= interval - 1, name, gaps[:50])


def pause():
    hook = Hook()
    with Live(program(touch("sms", 10)), sms=hook.port) as cartwheel:
        status, _, body = cartwheel.request("POST", "/v1/programs/p/pause")
        results.equal(status, 200, f"pause {body}")
        cartwheel.leave("ada", "bob")
        until(lambda: len(cartwheel.decided(kind="touch")) >= 2)
        time.sleep(0.3)  # many a minute of the engine's
        results.equal([cartwheel.outcomes(n) for n in ("ada", "bob")],
                      [[("deferred", "paused")]] * 2, "told once")
        results.equal(hook.requests, [], "nothing leaves")
        results.equal(cartwheel.request("POST", "/v1/programs/p/resume")[0], 200, "resume")
        until(lambda: len(cartwheel.decided(kind="touch", outcome="sent")) >= 2)
        results.equal([cartwheel.outcomes(n)[-1] for n in ("ada", "bob")], [("sent", None)] * 2,
                      "sent after it")
        ended(cartwheel, "pause")
    hook.close()


# ---- ends in the middle ----

def cancelled_in_the_middle():
    """An order while a message is under way, or waits for another attempt: no later touch."""
    hook = Hook(lambda body, number:
                0.7 if body["facts"]["customerId"] == "way" else (503, {"Retry-After": "3600"}))
    two = program(touch("sms", 10), touch("push", 60 * 5))
    with Live(two, sms=hook.port, push=hook.port) as cartwheel:
        cartwheel.leave("way", "waits")
        until(lambda: hook.of("way") and cartwheel.outcomes("waits"))
        for name in ("way", "waits"):
            order = engine.ordered(name, "o-" + name, cartwheel.now(), cartId="k-" + name)
            cartwheel.post_events([order])
        results.check(until(lambda: len(cartwheel.decided(kind="converted")) == 2), "both convert")
        until(lambda: cartwheel.metrics().get("cartwheel_touches_sending") == 0)
        time.sleep(1.6)  # past the pushes' time
        results.equal(cartwheel.outcomes("way"), [], "nothing is told of what was under way")
        results.equal(cartwheel.outcomes("waits"), [("deferred", "provider")], "no other attempt")
        results.equal([len(hook.of(n)) for n in ("way", "waits")], [1, 1], "no later touch")
        ended(cartwheel, "cancelled")
    hook.close()


def stopped_in_the_middle():
    """What is under way when it is told to stop is waited for, and told."""
    hook = Hook(lambda body, number: 1.0)
    hole = BlackHole()
    two = program(touch("sms", 10), touch("email", 10.5))
    quick = {"timeoutSeconds": 1.5}
    crowd = [f"c{i}" for i in range(20)]
    with Live(two, sms=hook.port, email=hole.port, email_row=quick, cores=2) as cartwheel:
        cartwheel.leave(*crowd)
        until(lambda: len(hook.requests) >= 20 and hole.server.connections >= 20)
        ended(cartwheel, "stopped in the middle")
        told = {n: cartwheel.outcomes(n, "sms") for n in crowd}
        results.equal(told, {n: [("sent", None)] for n in crowd}, "what was taken is told as sent")
        told = {n: cartwheel.outcomes(n, "email") for n in crowd}
        results.equal({tuple(v) for v in told.values()}, {(("deferred", "provider"),)},
                      "what was not is still to be sent")
    results.equal(len(hook.requests), 20, "each once")
    hole.close()
    hook.close()


def main():
    logging.disable()
    only = sys.argv[2:]
    for part in (way_back, hostile_fields, webhooks, dropped_or_resent, smtp_answers, slow_peers,
                 answers_without_end, outage, rates, pause, cancelled_in_the_middle,
                 stopped_in_the_middle):
        if only and part.__name__ not in only:
            continue
        began = time.monotonic()
        part()
        print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
