#!/usr/bin/env python3
"""One cart's journey on an accelerated clock: abandoned over HTTP, reminded by e-mail into the
outbox, its links opened, clicked and unsubscribed over HTTP, an order that ends it."""
import email
import email.policy
import re
import sys
import time

import engine


def links(message):
    """The addresses in a message that lead back, by kind."""
    found = {}
    for part in message.walk():
        if part.get_content_maintype() == "text":
            for kind, token in re.findall(r"/([ocu])/([A-Za-z0-9_.-]+)", part.get_content()):
                found[kind] = f"/{kind}/{token}"
    return found


def first_mail(cartwheel, customer):
    def look():
        for name in cartwheel.outbox():
            if name.endswith(".eml"):
                message = email.message_from_bytes(cartwheel.outbox_text(name),
                                                   policy=email.policy.default)
                if customer in message["to"]:
                    return message
        return None
    return engine.until(look, 20)


def leave(cartwheel, customer, cart, results):
    now = int(time.time() * 1000) - 3600_000  # an hour ago by any clock that runs ahead
    status, answer = cartwheel.post_events([engine.profile(customer, now),
                                            engine.abandoned(customer, cart, now)])
    results.check(status == 200 and answer["accepted"] == 2, f"{customer} is taken", answer)
    return now


def decided(cartwheel, **wanted):
    return [d for d in cartwheel.decisions()
            if all(d.get(key) == value for key, value in wanted.items())]


def look_at_mail(results, message):
    results.check(message.get_content_type() == "multipart/alternative", "multipart", message)
    results.check("10%" in message["subject"] or "cart" in message["subject"].lower(),
                  "subject", message["subject"])
    results.check(message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click", "one-click",
                  message.items())
    results.check(re.fullmatch(r"<http://127\.0\.0\.1:\d+/u/[^>]+>", message["list-unsubscribe"].strip()),
                  "list-unsubscribe", message["list-unsubscribe"])
    html = message.get_body(("html",)).get_content()
    plain = message.get_body(("plain",)).get_content()
    for text in ("Hi Ada, we saved your cart", "Headphones", "CART10"):
        results.check(text in html and text in plain, f"mail says {text!r}", plain)
    results.check("Complete My Purchase" in html, "the button", html)


def follow(results, cartwheel, message, customer):
    found = links(message)
    results.check(set(found) == {"o", "c", "u"}, "links of all kinds", found)
    status, headers, body = cartwheel.get(found["o"])
    results.check(status == 200 and headers["content-type"] == "image/gif" and
                  body.startswith(b"GIF89a"), "the pixel", f"{status} {headers} {body!r}")
    status, headers, _ = cartwheel.get(found["c"])
    results.check(status in (302, 303) and
                  headers.get("location") == f"https://shop.example/cart/k-{customer}",
                  "a click leads to the cart", f"{status} {headers}")
    status, headers, body = cartwheel.get(found["u"])
    results.check(status == 200 and b"<form" in body and b"POST" in body.upper(),
                  "GET /u/ asks", body[:500])
    results.check(not decided(cartwheel, kind="cancelled", customerId=customer),
                  "asking changes nothing")
    for kind, path in found.items():
        for broken in (path[:-6] + "AAAAAA", path[:-1], path + "A"):
            status, headers, body = cartwheel.get(broken)
            good = status == 200 if kind == "o" else status in (404, 410)  # a pixel is a pixel
            results.check(good and "location" not in headers, f"a forged /{kind}/",
                          f"{broken} {status} {headers}")
    return found


def main():
    results = engine.Results()
    with engine.Engine("--clock", "3600x", programs=[engine.PROGRAM]) as cartwheel:
        leave(cartwheel, "ada", "k-ada", results)
        message = first_mail(cartwheel, "ada@")
        if not results.check(message is not None, "a mail an hour after",
                             "\n".join(cartwheel.words)):
            results.finish()
        look_at_mail(results, message)
        follow(results, cartwheel, message, "ada")
        status, _, body = cartwheel.get("/v1/candidates/ada:abandoned-cart-recovery")
        results.check(status == 200, "the candidate by its key", f"{status} {body}")
        # A click is the customer's; the order converts and is attributed to it.
        now = int(time.time() * 1000) + 3600_000 * 20
        cartwheel.post_events([engine.ordered("ada", "o-1", now, cartId="k-ada")])
        converted = engine.until(lambda: decided(cartwheel, kind="converted", customerId="ada"))
        results.check(converted and converted[0]["attributedTo"] == 1, "converted by touch 1",
                      cartwheel.decisions())
        # Another customer unsubscribes with one click: no further e-mail.
        leave(cartwheel, "bob", "k-bob", results)
        message = first_mail(cartwheel, "bob@")
        results.check(message is not None, "bob's mail")
        path = re.search(r"/u/[^>]+", message["list-unsubscribe"]).group(0)
        status, headers, _ = cartwheel.request(
            "POST", path, "List-Unsubscribe=One-Click",
            {"content-type": "application/x-www-form-urlencoded"})
        results.check(status == 200 and "location" not in headers, "one-click", status)
        sms = engine.until(lambda: decided(cartwheel, kind="touch", customerId="bob",
                                           channel="sms", outcome="sent"), 60)
        results.check(sms, "his SMS still comes", decided(cartwheel, customerId="bob"))
        results.check(not decided(cartwheel, kind="touch", customerId="ada", touch=2),
                      "nothing more for ada", decided(cartwheel, customerId="ada"))
        metrics = cartwheel.metrics()
        results.check(any("cartwheel" in name for name in metrics), "metrics", list(metrics)[:5])
        results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
