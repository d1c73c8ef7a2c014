"""E-mail as a real SMTP server (aiosmtpd) receives it and Python's email package reads it; hostile
values in every field; STARTTLS and passwords."""
import datetime
import email
import email.policy
import logging
import os
import random
import ssl

from wire import Driver, Results, Scratch, ScriptedSmtp, certificate, key, skip, smtp

try:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult
except ImportError:
    skip("python3-aiosmtpd is not installed")

results = Results()
NOW = 1768754700123  # 2026-01-18T16:45:00.123Z


class OnAnyPort(Controller):
    """aiosmtpd connects to its own port once, to see whether it works; 0 is none."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Mailbox:
    """A real server and what it received: (sender, recipients, bytes)."""

    def __init__(self, **options):
        self.mails = []
        self.controller = OnAnyPort(self, hostname="127.0.0.1", port=0, **options)
        self.controller.start()
        self.port = self.controller.port

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content,
                           session))
        return "250 taken"

    def close(self):
        self.controller.stop()


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def body(message, subtype):
    part = message.get_body((subtype,))
    return part.get_content().replace("\r\n", "\n").rstrip("\n")


def sound(content, name):
    """What must hold for the bytes of every message."""
    lines = content.split(b"\r\n")
    results.check(b"\n" not in b"".join(lines) and b"\r" not in b"".join(lines),
                  f"{name}: only whole line ends")
    results.check(max(len(line) for line in lines) <= 998, f"{name}: no line over 998")
    results.check(all(b < 128 and b != 0 for b in content), f"{name}: 7 bits, no NUL")


def one_mail():
    box = Mailbox()
    html = "<p>Grüße, 你好 = ok</p>\n" * 40 + "x" * 3000 + "\n.\n..dots\nFrom here \n"
    text = "Hi Ada,\n\n.\nFrom now on: 10 % off = good \n" + "long " * 400 + "\nend"
    subject = "Ada, we saved your cart: 10 % off 🎉 " + "très bien " * 8 + "fin"
    link = "https://shop.example/u/" + "t" * 300
    with Driver(smtp(box.port, **{"from": "\"Shöp \\\"n\\\" Co\" <shop@example.com>"})) as driver:
        driver.post("abc", subject=subject, html=html, text=text, unsubscribe=link, nowMs=NOW)
        results.equal(driver.result()["outcome"], "sent", "sent")
    sender, recipients, content, _ = box.mails[0]
    box.close()
    results.equal((sender, recipients), ("shop@example.com", ["ada@example.com"]), "envelope")
    sound(content, "mail")
    message = parsed(content)
    results.equal(message.defects, [], "no defects")
    results.equal(message["Subject"], subject, "subject")
    results.equal(message["To"], "ada@example.com", "to")
    address = message["From"].addresses[0]
    results.equal((address.display_name, address.addr_spec), ("Shöp \"n\" Co", "shop@example.com"),
                  "from")
    results.equal(message["Message-ID"], f"<{key('abc')}@shop.example>", "message id")
    results.equal(message["Date"].datetime,
                  datetime.datetime(2026, 1, 18, 16, 45, tzinfo=datetime.timezone.utc), "date")
    results.equal(message["MIME-Version"], "1.0", "MIME version")
    results.equal(message["List-Unsubscribe"], f"<{link}>", "RFC 2369")
    results.equal(message["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click", "RFC 8058")
    for absent in ("Precedence", "Auto-Submitted", "Bcc", "Cc"):
        results.check(message[absent] is None, f"no {absent}")
    results.equal(message.get_content_type(), "multipart/alternative", "type")
    results.equal([p.get_content_type() for p in message.iter_parts()],
                  ["text/plain", "text/html"], "plain first")
    results.equal(body(message, "plain"), text, "text")
    results.equal(body(message, "html"), html.rstrip("\n"), "html")
    results.equal([p["Content-Transfer-Encoding"] for p in message.iter_parts()],
                  ["quoted-printable", "quoted-printable"], "encodings")
    head = content.split(b"\r\n\r\n")[0].split(b"\r\n")
    results.check(all(len(line) <= 76 or line.startswith(b"List-Unsubscribe: ") for line in head),
                  "headers folded at 76", head)


def single_parts():
    box = Mailbox()
    with Driver(smtp(box.port)) as driver:
        driver.post("a", text="only text", subject="")
        driver.post("b", text=None, html="<b>only html</b>")
        driver.post("c", text="你好" * 500, html="<p>你好</p>" * 500)
        driver.post("d", text="", html="")
        driver.post("e", text="x", **{"from": "other@example.org"})
        found = driver.results(5)
        results.equal({r["outcome"] for r in found.values()}, {"sent"}, "all sent")
    mails = {parsed(c)["Message-ID"][1]: (parsed(c), c, s) for s, _, c, _ in box.mails}
    box.close()
    results.equal(mails["a"][0].get_content_type(), "text/plain", "text alone")
    results.equal(mails["a"][0]["Subject"], "", "an empty subject")
    results.equal(mails["b"][0].get_content_type(), "text/html", "html alone")
    c = mails["c"][0]
    results.equal([p["Content-Transfer-Encoding"] for p in c.iter_parts()], ["base64"] * 2,
                  "base64 where it is smaller")
    results.equal(body(c, "plain"), "你好" * 500, "text by base64")
    results.equal(body(c, "html"), "<p>你好</p>" * 500, "html by base64")
    results.equal(mails["d"][0].get_content_type(), "multipart/alternative", "two empty parts")
    results.equal((mails["e"][2], mails["e"][0]["From"]), ("other@example.org",) * 2,
                  "a sender of its own")


NASTY = ["\r\n", "\n", "\r", "\r\n.\r\n", "\n.\n", "\0", "\x1b[31m", "\u2028", "\x85", "\x7f", "🎉",
         "ä", "=?UTF-8?Q?x?=", "\"", "\\", "<", ">", ",", ";", ":", "(", ")", " ", "\t", "  ", "=",
         ".", "From ", "\r\nRCPT TO:<victim@example.net>\r\n", "\r\nBcc: victim@example.net\r\n",
         "%0d%0a", "x" * 1000, "é" * 1000, "w " * 500]


def only_one(server, name, sent):
    """The dialogue says exactly one MAIL and RCPT per message, to the customer."""
    for lines in server.heard.values():
        for line in lines:
            verb = line.split(b" ")[0].split(b":")[0].strip()
            results.check(verb in (b"EHLO", b"MAIL", b"RCPT", b"DATA", b"<message>", b"RSET",
                                   b"QUIT"), f"{name}: an order nobody gave", line)
            if verb == b"RCPT":
                results.equal(line, b"RCPT TO:<ada@example.com>\r\n", f"{name}: recipient")
            if verb == b"MAIL":
                results.equal(line, b"MAIL FROM:<shop@example.com>\r\n", f"{name}: sender")
    spoken = sum(server.commands(), [])
    results.equal([spoken.count(v) for v in (b"MAIL", b"RCPT", b"<message>")], [sent] * 3,
                  f"{name}: one each")


def hostile_fields():
    server = ScriptedSmtp()
    sent = 0
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        for number, nasty in enumerate(NASTY):
            for field in ("subject", "text", "html", "title", "link"):
                for value in (nasty, "a" + nasty + "b"):
                    driver.post(f"h{number}", **{field: value})
                    got = driver.result()
                    results.equal(got["outcome"], "sent", f"{field} {nasty[:20]!r}")
                    sent += 1
                    content = server.messages[-1]
                    sound(content, f"{field} {nasty[:20]!r}")
                    message = parsed(content)
                    results.equal(sorted(message.keys()),
                                  sorted(set(message.keys())), "no header twice")
                    results.equal(set(message.keys()) - {"Content-Transfer-Encoding"},
                                  {"Date", "From", "To", "Subject", "Message-ID", "MIME-Version",
                                   "Content-Type"}, f"{field} {nasty[:20]!r}: headers")
                    if field == "subject":
                        clean = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or
                                        c in "\u2028\u2029" else c for c in value).strip(" ")
                        results.equal(message["Subject"], clean, f"subject {nasty[:20]!r}")
    only_one(server, "fields", sent)
    server.close()


def hostile_addresses():
    server = ScriptedSmtp()
    reasons = set()
    good = 0
    with Driver(smtp(server.port, underWayMax=1)) as driver:
        for nasty in NASTY:
            for value in (nasty, "ada" + nasty + "@example.com", "ada@example.com" + nasty,
                          nasty + "ada@example.com", "ada@exam" + nasty + "ple.com"):
                atom = nasty == "=" and value.endswith("=@example.com") or \
                    nasty == "=" and value.startswith("=ada")
                atom = atom or nasty == "%0d%0a" and value.endswith("@example.com")
                atom = atom or nasty == "." and value.endswith("exam.ple.com")
                if atom:
                    continue
                driver.post("a", to=value)
                got = driver.result()
                results.equal(got["outcome"], "refused", f"to {value[:40]!r}")
                results.check(got["reason"].startswith("the customer's address: "), "and why", got)
                reasons.add(got["reason"])
        for value in ("ada", "@example.com", "ada@", "a@@b.c", "a@b@c.d", ".a@b.c", "a.@b.c",
                      "a..b@c.d", "a@-b.c", "a@b-.c", "a@b..c", "a@.b", "a@b.", "a@[127.0.0.1]",
                      "<a@b.c>", "Ada <a@b.c>", "a@b.c,d@e.f", "\"a b\"@c.d", "ä@b.c", "a@ä.c",
                      "a" * 65 + "@b.c", "a@" + "b" * 64 + ".c", "a@" + "b." * 130 + "c", "a@b_c.d"):
            driver.post("a", to=value)
            results.equal(driver.result()["outcome"], "refused", f"to {value[:40]!r}")
        for value in ("a\r\nRCPT TO:<v@x.y>@b.c", "Shop\r\nBcc: v@x.y <a@b.c>", "Shop <a@b.c",
                      "a@b.c>", "<a@b.c> x", "Shop <a@b.c>\r\nBcc: v@x.y", "\"Sh\"op\" <a@b.c>",
                      "Shop\0 <a@b.c>", "x" * 300 + " <a@b.c>", "Shop <a@b.c> <d@e.f>"):
            driver.post("a", **{"from": value})
            got = driver.result()
            results.equal(got["outcome"], "refused", f"from {value[:40]!r}")
        for value in ("javascript:x", "https://a b", "https://a>", "https://a\r\nBcc: x@y.z",
                      "https://ä", "https://" + "x" * 1000, "", "https://a,b"):
            driver.post("a", unsubscribe=value)
            results.equal(driver.result()["outcome"], "refused", f"unsubscribe {value[:40]!r}")
        results.equal(server.heard, {}, "nothing of it reached the server")
        for value in ("ada@example.com",):
            driver.post("a", to=value)
            results.equal(driver.result()["outcome"], "sent", f"to {value}")
            good += 1
    results.check(len(reasons) >= 5, "different reasons", reasons)
    only_one(server, "addresses", good)
    server.close()


def random_text():
    """Random texts of nasty pieces come back as they went in."""
    rng = random.Random(20260118)
    pieces = NASTY[:-3] + list("abc \n") + ["word ", "Grüße ", "日本", "x" * 80, "é" * 40]
    box = Mailbox()
    sent = []
    with Driver(smtp(box.port)) as driver:
        for i in range(150):
            make = lambda n: "".join(rng.choice(pieces) for _ in range(rng.randrange(n)))
            text, html, subject = make(40), make(40), make(12)
            sent.append((text, html, subject))
            driver.post(f"r{i}x", text=text, html=html, subject=subject)
        found = driver.results(150)
        results.equal({r["outcome"] for r in found.values()}, {"sent"}, "random: sent")
    for _, _, content, _ in box.mails:
        message = parsed(content)
        number = int(message["Message-ID"][2:].split("x")[0])
        text, html, subject = sent[number]

        def lines(value):
            return value.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
        sound(content, f"random {number}")
        results.equal(lines(body(message, "plain")), lines(text), f"random {number}: text")
        results.equal(lines(body(message, "html")), lines(html), f"random {number}: html")
        clean = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c
                        for c in subject).strip(" ")
        results.equal(message["Subject"], clean, f"random {number}: subject")
    box.close()


def encryption():
    with Scratch() as directory:
        pair = certificate(directory)
        if pair is None:
            print("SKIPPED: no openssl command, STARTTLS not tested")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        box = Mailbox(tls_context=context, require_starttls=True)
        url = f"smtp://localhost:{box.port}"
        with Driver(smtp(0, url=url, requireTls=True, caFile=pair[0])) as driver:
            driver.post("a", times=20)
            found = driver.results(20)
            results.equal({r["outcome"] for r in found.values()}, {"sent"}, "STARTTLS, our CA")
        results.check(all(m[3].ssl is not None for m in box.mails), "encrypted")
        with Driver(smtp(0, url=url, caFile=pair[0])) as driver:
            driver.post("a", text="x" * 300000)
            results.equal(driver.result()["outcome"], "sent", "STARTTLS because it is offered")
        count = len(box.mails)
        for name, row in (("a CA we do not know", {"url": url, "requireTls": True}),
                          ("not required, still checked", {"url": url}),
                          ("a certificate of another name",
                           {"url": url.replace("localhost", "127.0.0.1"), "caFile": pair[0]})):
            with Driver(smtp(0, **row)) as driver:
                driver.post("a")
                got = driver.result()
                results.equal(got["outcome"], "later", name)
                results.check("certificate" in got["reason"] or "SSL" in got["reason"], name, got)
        results.equal(len(box.mails), count, "nothing went out unencrypted")
        box.close()

        passwords(context, pair)
        plain = ScriptedSmtp()
        with Driver(smtp(plain.port, requireTls=True)) as driver:
            driver.post("a")
            results.equal(driver.result()["outcome"], "later", "required, but not offered")
        results.check(not any(v in (b"MAIL", b"RCPT") for v in sum(plain.commands(), [])),
                      "no message without STARTTLS")
        plain.close()


def passwords(context, pair):
    def check(server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (b"shop", b"s3cr\xc3\xa4t")
        return AuthResult(success=good, handled=False)

    box = Mailbox(tls_context=context, authenticator=check, auth_required=True,
                  auth_require_tls=True)
    row = smtp(0, url=f"smtp://localhost:{box.port}", caFile=pair[0], user="shop", secret="s3crät")
    with Driver(row) as driver:
        driver.post("a")
        results.equal(driver.result()["outcome"], "sent", "user and secret")
    for name, more in (("a wrong password", {"secret": "x"}), ("no password", {"user": None})):
        with Driver({**row, **more}) as driver:
            driver.post("a")
            got = driver.result()
            results.equal(got["outcome"], "later", f"{name}: our fault, not the message's")
            results.check("s3cr" not in got["reason"], "no secret in a reason", got)
    results.equal(len(box.mails), 1, "one mail")
    box.close()

    server = ScriptedSmtp(EHLO=b"250-test\r\n250 AUTH PLAIN\r\n")
    row = smtp(0, url=f"smtp://0.0.0.0:{server.port}", user="shop", secret="secret")
    with Driver(row) as driver:
        driver.post("a")
        results.equal(driver.result()["outcome"], "later", "no password without encryption")
    results.check(b"AUTH" not in sum(server.commands(), []), "it was not sent", server.heard)
    server.close()


def wrong_settings():
    for name, row in (("no url", {"url": ""}), ("another scheme", {"url": "https://a/"}),
                      ("a blank", {"url": "smtp://a b"}), ("a user in it", {"url": "smtp://u:p@a"}),
                      ("a line end", {"url": "smtp://a\r\nx"}), ("a bad sender", {"from": "x\r\ny"}),
                      ("a bad host", {"host": "a b"}), ("too many", {"underWayMax": 5000})):
        driver = Driver(smtp(1, **row))
        line = driver.read()
        results.check("channel email" in line.get("fault", ""), f"{name} does not open", line)
        driver.process.wait()


os.environ.pop("SSL_CERT_FILE", None)
logging.disable()  # aiosmtpd tells of every handshake that we break off
one_mail()
single_parts()
hostile_fields()
hostile_addresses()
random_text()
encryption()
wrong_settings()
results.finish()
