"""cartwheel preview, as a script sees it; its HTML as Python's own parser reads it.

usage: preview.py CARTWHEEL
"""
import html.parser
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "tools/programs/abandoned-cart-recovery.yaml")
CARTWHEEL = None
HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=y>", "' onload='x", "{{discountCode}}",
           "{discountCode}", "{{#items}}", "{{/items}}", "{{{customerName}}}", "{{>x}}", "\r\nBcc: a@b",
           "\n", "\t", "\u2028", "\u2029", "\u0085", "\u0001\u0002\u0003", "&lt;b&gt;", "-->", "<!--",
           "</style>", "]]>", "%s%n", "\\", "\U0001f6d2", "\u65e5\u672c", "a", " "]


class Markup(html.parser.HTMLParser):
    """The tags with the names of their attributes, in order; and all text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.links = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag):
        self.tags.append(("/" + tag,))

    def handle_data(self, data):
        self.text += data


def preview(*args, events=None, rc=0, name="events.ndjson"):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        if events is not None:
            files = [os.path.join(folder, name)]
            with open(files[0], "w", encoding="utf-8") as out:
                out.write(events)
        done = subprocess.run([CARTWHEEL, "preview", *args, PROGRAM, *files], capture_output=True)
    text, words = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    assert done.returncode == rc, (done.returncode, text, words)
    return words if rc != 0 else text


def shop(name="Anna", item="Phone Case", cart_url="https://shop.example/c", image=None, **profile):
    detail = {"customerId": "C1", "email": "a@example.com", "phone": "+1", "pushToken": "t",
              "paymentMethodOnFile": True, "marketplace": "US", **profile}
    if name is not None:
        detail["name"] = name
    thing = {"id": "P1", "name": item, "price": 100}
    if image is not None:
        thing["imageUrl"] = image
    cart = {"customerId": "C1", "cartId": "K1", "cartValue": 100, "items": [thing],
            "discountSensitivity": 0.1, "timestamp": "2026-01-18T16:45:00Z"}
    if cart_url is not None:
        cart["cartUrl"] = cart_url
    return "\n".join(json.dumps(event) for event in (
        {"source": "ecommerce.customer", "detail-type": "CustomerUpdated",
         "time": "2026-01-01T00:00:00Z", "detail": detail},
        {"source": "ecommerce.cart", "detail-type": "CartAbandoned", "detail": cart})) + "\n"


class Preview(unittest.TestCase):
    def test_documents_texts(self):
        mail = preview()
        self.assertIn("Subject: You left something behind! 10% off inside\n", mail)
        for text in ("Hi Anna, we saved your cart", "Complete purchase now: 10% off", "CART10",
                     "Offer expires in 24 hours", "Complete My Purchase"):
            self.assertIn(text, mail)
        self.assertEqual(preview("--touch", "2"),
                         "To: +15555550100\n\nHi Anna! Your cart is waiting. Use code CART10 for "
                         "10% off. Shop now: https://shop.example/cart/CART-789\n")
        self.assertEqual(preview("--touch", "3"),
                         "To: sample-device\nTitle: Last Chance!\nBody: Your cart expires soon. "
                         "10% off ends today!\nLink: https://shop.example/cart/CART-789\n")

    def test_json_is_one_object(self):
        mail = json.loads(preview("--json"))
        self.assertEqual(mail["at"], "2026-01-18T17:45:00.000Z")
        self.assertEqual((mail["touch"], mail["channel"]), (1, "email"))
        self.assertEqual((mail["discountPercent"], mail["discountCode"]), (10, "CART10"))
        self.assertEqual(mail["subject"], "You left something behind! 10% off inside")
        self.assertEqual(mail["html"], preview("--html", "-"))
        push = json.loads(preview("--json", "--touch", "3"))
        self.assertEqual(push["title"], "Last Chance!")
        self.assertNotIn("html", push)

    def test_as_if(self):
        self.assertIn("20% off", preview("--discount", "20"))
        self.assertIn("CART12.5", preview("--discount", "12.5"))
        self.assertNotIn("% off", preview("--discount", "0"))
        self.assertIn("Hallo Anna, wir haben", preview("--locale", "de-AT"))
        self.assertIn("at Shop & Co.", preview("--shop-name", "Shop & Co"))
        self.assertIn("Hi there,", preview(events=shop(name=None)))
        self.assertIn("https://s.example/x", preview("--shop-link", "https://s.example/x",
                                                     events=shop(cart_url="javascript:alert(1)")))

    def test_chooses_and_explains(self):
        events = shop(name="First") + shop(name="Second").replace("C1", "C2")
        self.assertIn("Hi First", preview(events=events))
        self.assertIn("Hi Second", preview("--customer", "C2", events=events))
        self.assertIn("no such message", preview("--customer", "C3", events=events, rc=1))
        self.assertIn("no such message", preview("--cart", "K2", events=events, rc=1))
        self.assertIn("no-payment-method",
                      preview(events=shop(paymentMethodOnFile=False), rc=1))
        self.assertIn("opted-out", preview(events=shop(optedOut={"email": True}), rc=1))
        self.assertIn("not an event", preview(events="{}\n", rc=1))
        one = json.dumps({"source": "ecommerce.cart"}, indent=1)
        self.assertIn("events.json:1: not an event", preview(events=one, name="events.json", rc=1))

    def test_wrong_usage(self):
        for args in (["--touch", "0"], ["--touch", "x"], ["--discount", "101"], ["--nothing"],
                     ["--html", "-", "--touch", "2"]):
            preview(*args, rc=2)

    def test_html_is_written_to_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "mail.html")
            self.assertIn("Subject:", preview("--html", path))
            with open(path, encoding="utf-8") as text:
                self.assertEqual(text.read(), preview("--html", "-"))

    def test_markup_is_balanced_and_self_contained(self):
        events = shop(image="https://cdn.example/p.png")
        for locale in ("en-US", "de-DE"):
            page = Markup(preview("--html", "-", "--locale", locale, events=events))
            open_tags = []
            for tag, *_ in page.tags:
                if tag.startswith("/"):
                    self.assertEqual("/" + open_tags.pop(), tag)
                elif tag not in ("meta", "img", "br"):
                    open_tags.append(tag)
            self.assertEqual(open_tags, [])
            self.assertTrue(all(link.startswith(("https://shop.example/", "https://cdn.example/"))
                                for link in page.links), page.links)

    def test_no_value_changes_the_markup(self):
        plain = Markup(preview("--html", "-", events=shop(image="https://x/p.png")))
        dice = random.Random(5)
        for _ in range(60):
            name, item, tail = ("x" + "".join(dice.choices(HOSTILE, k=dice.randrange(8)))
                                for _ in range(3))
            url = "https://x/" + "".join(c for c in tail if c not in ' "<>\\' and c.isprintable())
            events = shop(name, item, cart_url=url, image=url)
            mail = json.loads(preview("--json", events=events))
            page = Markup(mail["html"])
            self.assertEqual(page.tags, plain.tags)
            self.assertIn(url, page.links)
            for value in (name, item):
                for word in value.split():
                    word = "".join(c if ord(c) > 31 and not 127 <= ord(c) < 160 else " "
                                   for c in word).split()
                    self.assertTrue(all(part in page.text for part in word), (word, page.text))
            for part in ("subject",):
                self.assertTrue(mail[part].isprintable() and "\n" not in mail[part], mail[part])
            sms = json.loads(preview("--json", "--touch", "2", events=events))
            self.assertFalse(any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029"
                                 for c in sms["text"]), sms["text"])


if __name__ == "__main__":
    CARTWHEEL = os.path.abspath(sys.argv.pop(1))
    unittest.main()
