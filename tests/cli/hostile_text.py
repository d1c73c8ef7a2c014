#!/usr/bin/env python3
"""Hostile text in every place that takes text: replay prints one valid JSON object per line that
gives the ids back exactly, and messages (where `cartwheel preview` exists) stay what they are."""
import json
import re

import harness
from harness import event, execute, line

CARTWHEEL = harness.binary()
PROGRAM = """programId: "p\\"{{x}}\\u2028é<b>\\\\"
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {filterId: "trust \\"<&>\\\\ {{y}}", type: trust}
  - {filterId: eligibility, type: eligibility}
channels:
  - {channelId: email, type: email, config: {delayMinutes: 60, templateId: cart-recovery-v3, subject: "{customerName}, {discountPercent}% off"}}
  - {channelId: sms, type: sms, config: {delayHours: 24, message: "Hi {customerName}: {cartLink} {discountCode}"}}
  - {channelId: push, type: push, config: {delayHours: 72, title: "{customerName}", body: "Cart of {cartValue}"}}
discountStrategy: {defaultDiscount: 10}
"""
NAME = "p\"{{x}}\u2028é<b>\\"
FILTER = "trust \"<&>\\ {{y}}"
TEXTS = [
    "\r\nBcc: all@example.com", "a\nb", "a\rb", "\n", "\r", "\t", "\x01\x02\x03", "\x1b[31mred\x1b]0;t\x07",
    "\x7f", "\x80\x9f", "\u0085", "\u2028", "\u2029", "\u200b\u200e\u202e\u2066", "\ufeff", "\ufffe\uffff",
    "\U0010ffff", "\U0001f6d2\U0001f469\u200d\U0001f469\u200d\U0001f467", "שלום עולם", "مرحبا", "e\u0301\u0327",
    "\"", "\\", "\\\"", "\\n", "\\u0041", "'", "`", "/", "//", "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "\" onmouseover=\"alert(1)", "&amp;&lt;", "&#x3c;", "<!--", "]]>",
    "{{discountCode}}", "{{{discountCode}}}", "{discountCode}", "{{&discountCode}}", "{{#items}}{{name}}",
    "{{/items}}", "{{> cart-recovery-v3}}", "{{!", "{{=<% %>=}}", "{{", "}}", "{", "}", "{}", "%s%n%d",
    "$(id)", "`id`", "; rm -rf /", "' OR 1=1 --", "../../etc/passwd", "C:\\con", "null", "true", "0", "-1",
    "NaN", "[]", '{"a":1}', ",", ":", "a:b", ":", "a b", " ", "  a  ", "A" * 128, "é" * 64, "\U0001f6d2" * 32,
]
URLS = ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "https://a.example/\r\nX: y",
        "https://a.example/\"><script>alert(1)</script>", "https://a.example/{{discountCode}}",
        "//evil.example", "https://a.example/ b", "ftp://a.example", "http://", "\u202ehttps://x", "",
        "https://shop.example/good?a=1&b=2", "https://a.example/\u2028", "https://a.example/'onclick='"]


def story(customer, cart, order, text, url):
    """Profile, abandonment and order with the text wherever one can stand."""
    return [
        event("CustomerUpdated", "2026-03-02T09:00:00Z", {
            "customerId": customer, "name": text, "email": text, "phone": text, "pushToken": text,
            "paymentMethodOnFile": True, "marketplace": text[:4] if text.isascii() else "US",
            "locale": text[:8], text: text}, id=text, source="ecommerce.customer"),
        event("CartAbandoned", "2026-03-02T10:00:00Z", {
            "customerId": customer, "cartId": cart, "cartValue": 100, "cartUrl": url,
            "category": text, "abandonmentReason": text, text: {text: [text]},
            "items": [{"id": text, "name": text, "price": 100, "imageUrl": url, "category": text}]}),
        event("OrderPlaced", "2026-03-02T12:00:00Z", {
            "customerId": customer, "orderId": order, "cartId": cart, "orderValue": 5,
            "discountCode": text})]


def replays(results, folder):
    events = []
    for i, text in enumerate(TEXTS):
        url = URLS[i % len(URLS)]
        events += story(text, "cart", "order", text, url)
        events += story(f"C{i}", text, "order", text, url)
        events += story(f"D{i}", "cart", text, text, url)
    events.append(event("CartAbandoned", "2026-03-02T10:00:00Z",
                        {"customerId": "stranger", "cartId": "k", "cartValue": 1, "items": []}))
    events.sort(key=lambda e: e["time"])
    program = folder.write("p.yaml", PROGRAM)
    for form, ascii_only in (("as it is", False), ("escaped", True)):
        text = "".join(json.dumps(e, ensure_ascii=ascii_only) + "\n" for e in events)
        file = folder.write(f"{form}.ndjson", text.encode("utf-8"))
        outputs = {}
        for cores in (1, 3):
            code, outputs[cores], said = execute([CARTWHEEL, "replay", "--quiet", "--cores",
                                                  str(cores), program, file])
            results.check(code == 0 and not said, f"{form}: exit 0", said.decode())
        results.equal(outputs[3], outputs[1], f"{form}: cores")
        seen = set()
        rows = outputs[1].split(b"\n")
        results.check(rows[-1] == b"", f"{form}: the last line ends")
        keys = []
        for row in rows[:-1]:
            try:
                parsed = json.loads(row.decode("utf-8"))
            except ValueError as error:
                results.check(False, f"{form}: valid JSON", f"{error}: {row!r}")
                continue
            results.check(min(row) >= 0x20, f"{form}: no control bytes", repr(row))
            results.check(parsed["program"] == NAME, f"{form}: the program's id", parsed)
            seen.add((parsed["kind"], parsed["customerId"], parsed["cartId"],
                      parsed.get("orderId")))
            keys.append((parsed["at"], parsed["customerId"].encode("utf-8")))
            if parsed["kind"] == "rejected":
                results.check(parsed["filter"] in (FILTER, "eligibility"), f"{form}: filter", row)
        results.check(keys == sorted(keys), f"{form}: by time, then customer's bytes")
        for i, text in enumerate(TEXTS):
            for customer, cart, order in ((text, "cart", "order"), (f"C{i}", text, "order"),
                                          (f"D{i}", "cart", text)):
                results.check(("converted", customer, cart, order) in seen,
                              f"{form}: {text!r} comes back exactly", "no such line")
        _, shown, _ = execute([CARTWHEEL, "replay", "--quiet", "--timeline", program, file])
        bad = sorted(set(re.findall(rb"[\x00-\x09\x0b-\x1f\x7f]", shown)))
        results.check(not bad, f"{form}: a timeline holds nothing that moves a terminal", bad)
        results.equal(shown.count(b"\n"), outputs[1].count(b"\n"), f"{form}: a row a decision")


def previews(results, folder):
    program = folder.write("p.yaml", PROGRAM)

    def preview(touch, events):
        file = folder.write("one.ndjson", "".join(line(e) + "\n" for e in events))
        code, output, said = execute([CARTWHEEL, "preview", "--json", "--touch", str(touch), program,
                                      file])
        return (json.loads(output) if code == 0 else None), code, said.decode("utf-8", "replace")

    shop = "https://shop.example/"
    for i, text in enumerate(TEXTS):
        events = story("C", "k", "o", text, URLS[i % len(URLS)])[:2]
        events[0]["detail"].update(email="ada@example.com", phone="+15550100", pushToken="t",
                                   marketplace="US", locale="en-US")
        for touch in (1, 2 + i % 2):
            message, code, said = preview(touch, events)
            name = f"message {touch} with {text!r}"
            if not results.check(message is not None, f"{name}: shown", f"{code} {said}"):
                continue
            for field in ("subject", "title", "to"):
                value = message.get(field, "")
                results.check(not re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value),
                              f"{name}: {field} is one line", repr(value))
            html = message.get("html", "")
            results.check("alert(1)</script" not in html and "<img src=x" not in html and
                          "javascript:" not in html and "{{/items" not in html.replace(text, ""),
                          f"{name}: HTML is escaped", html[:500])
            if "discountCode" in text:
                whole = message.get("subject", "") + message.get("title", "") + message["text"]
                results.check(text in whole, f"{name}: texts are no templates",
                              whole[:500])
    for address in ("a@b.c\r\nBcc: x@y.z", "a@b.c\nx", "a@b.c\x00", "a\x1b[31m@b.c"):
        events = story("C", "k", "o", "Ada", shop)[:2]
        events[0]["detail"].update(email=address, marketplace="US")
        file = folder.write("one.ndjson", "".join(line(e) + "\n" for e in events))
        _, output, _ = execute([CARTWHEEL, "preview", program, file])
        head = output.split(b"\n\n")[0]
        results.check(not re.search(rb"[\x00-\x09\x0b-\x1f]", head) and head.count(b"\n") <= 1,
                      f"a head of two lines with address {address!r}", head)


def main():
    results = harness.Results()
    with harness.Folder() as folder:
        replays(results, folder)
        if b"\n  preview " in execute([CARTWHEEL, "--help"])[1]:
            previews(results, folder)
        else:
            print("SKIPPED: this cartwheel has no preview yet")
    results.finish()


if __name__ == "__main__":
    main()
