"""The outbox: what is written, listed and read back, and what is not."""
import email
import email.policy
import json
import os

from wire import Driver, Results, Scratch, key

results = Results()
NOW = 1768754700123  # 2026-01-18T16:45:00.123Z
STAMP = "20260118T164500123Z"


def row(directory):
    return {"name": "email", "type": "outbox", "directory": directory, "host": "shop.example",
            "from": "Shop <shop@example.com>"}


def files(directory):
    return sorted(os.listdir(directory))


def written_and_listed():
    with Scratch() as top:
        directory = os.path.join(top, "a", "b", "outbox")
        with Driver(row(directory)) as driver:
            driver.post("m", subject="Grüße, \"Ada\" 🎉 " * 6, html="<b>x</b>", nowMs=NOW)
            driver.post("s", kind="sms", to="+491", text="hi", subject=None, nowMs=NOW + 1)
            driver.post("p", kind="push", to="tok", title="Täg", subject=None, nowMs=NOW + 2)
            driver.post("q", subject="plain words that are long enough to be folded at a blank "
                        "somewhere here", nowMs=NOW + 3)
            found = driver.results(4)
            results.equal({r["outcome"] for r in found.values()}, {"sent"}, "written")
            names = [f"{STAMP}-email-{key('m')}.eml", f"20260118T164500124Z-sms-{key('s')}.json",
                     f"20260118T164500125Z-push-{key('p')}.json",
                     f"20260118T164500126Z-email-{key('q')}.eml"]
            results.equal(files(directory), names, "names")
            results.equal(os.stat(directory).st_mode & 0o777, 0o700, "directory is ours alone")
            results.equal(os.stat(os.path.join(top, "a")).st_mode & 0o777, 0o700, "all of them")
            results.equal(os.stat(os.path.join(directory, names[0])).st_mode & 0o777, 0o600, "files")
            driver.say({"list": directory})
            listed = driver.read()
            results.equal([e["name"] for e in listed], names[::-1], "newest first")
            results.equal([e["channel"] for e in listed], ["email", "push", "sms", "email"],
                          "channels")
            results.equal([e["to"] for e in listed],
                          ["ada@example.com", "tok", "+491", "ada@example.com"], "to")
            results.equal([e["subject"] for e in listed],
                          ["plain words that are long enough to be folded at a blank somewhere here",
                           "Täg", "", ("Grüße, \"Ada\" 🎉 " * 6).strip()], "subjects")
            results.equal(listed[-1]["at"], "2026-01-18T16:45:00.123Z", "at")
            results.equal(listed[-1]["bytes"],
                          os.stat(os.path.join(directory, names[0])).st_size, "bytes")
            driver.say({"list": directory, "count": 2})
            results.equal([e["name"] for e in driver.read()], names[:1:-1], "the newest two")
            driver.say({"list": directory, "count": 0})
            results.equal(driver.read(), [], "the newest none")
            driver.say({"read": directory, "name": names[0]})
            message = email.message_from_string(driver.read(), policy=email.policy.default)
            results.equal(message["Message-ID"], f"<{key('m')}@shop.example>", "read back")
            driver.say({"read": directory, "name": names[1]})
            results.equal(json.loads(driver.read())["text"], "hi", "JSON read back")
            refused_names(driver, directory, names)


def refused_names(driver, directory, names):
    with open(os.path.join(directory, "notes.txt"), "w", encoding="utf-8") as file:
        file.write("private")
    os.symlink("/etc/passwd", os.path.join(directory, f"{STAMP}-sms-{key('l')}.json"))
    os.mkdir(os.path.join(directory, f"{STAMP}-sms-{key('d')}.json"))
    os.mkfifo(os.path.join(directory, f"{STAMP}-sms-{key('f')}.json"))
    for name in ("notes.txt", "../outbox/" + names[0], "/etc/passwd", "..", ".", "", names[0] + "\0",
                 names[0].replace(".eml", ".txt"), f"{STAMP}-sms-{key('x')}.json",
                 f"{STAMP}-../sms-{key('x')}.json", f"{STAMP}-sms-{key('l')}.json",
                 f"{STAMP}-sms-{key('d')}.json", f"{STAMP}-sms-{key('f')}.json", "." + names[0],
                 names[0].replace("2026", "２０２６"), names[0] * 10):
        driver.say({"read": directory, "name": name})
        results.equal(driver.read(), {"error": "NOT_FOUND"}, f"not read: {name[:40]!r}")
    driver.say({"list": directory, "count": 100})
    results.equal(sorted(e["name"] for e in driver.read()), names, "nor listed")
    driver.say({"list": directory + "/none", "count": 100})
    results.equal(driver.read(), {"error": "NOT_FOUND"}, "no such directory")


def refused_and_repeated():
    with Scratch() as directory, Driver(row(directory)) as driver:
        for name, post in (("a bad address", {"to": "a b"}), ("a kind", {"kind": "../x"}),
                           ("no kind", {"kind": ""}), ("upper case", {"kind": "SMS"}),
                           ("a long kind", {"kind": "x" * 17}), ("a line", {"kind": "a\nb"})):
            driver.post("r", **post)
            results.equal(driver.result()["outcome"], "refused", name)
        driver.post("../../../../tmp/x", kind="sms")
        results.equal(driver.result()["outcome"], "refused", "a path as key")
        results.equal(files(directory), [], "nothing written")
        driver.post("again", nowMs=NOW)
        driver.post("again", nowMs=NOW + 5000, attempt=2)
        driver.post("other", nowMs=NOW + 5000, attempt=2)
        found = [driver.result() for _ in range(3)]
        results.equal({r["outcome"] for r in found}, {"sent"}, "sent again")
        results.equal(files(directory), [f"{STAMP}-email-{key('again')}.eml",
                                         f"20260118T164505123Z-email-{key('other')}.eml"],
                      "but one file a message")


def trouble():
    with Scratch() as directory:
        box = os.path.join(directory, "box")
        with Driver(row(box)) as driver:
            driver.post("a")
            results.equal(driver.result()["outcome"], "sent", "written")
            for name in files(box):
                os.unlink(os.path.join(box, name))
            os.rmdir(box)
            driver.post("b")
            got = driver.result()
            results.equal(got["outcome"], "later", "the directory is gone")
            results.check("No such file" in got["reason"], "and why", got)
        with open(os.path.join(directory, "file"), "w", encoding="utf-8"):
            pass
        for name, path in (("a file in the way", os.path.join(directory, "file", "x")),
                           ("a file", os.path.join(directory, "file")), ("none", "")):
            driver = Driver(row(path))
            results.check("channel email" in driver.read().get("fault", ""), name)
            driver.process.wait()


def many():
    with Scratch() as directory, Driver(row(directory), shards=3) as driver:
        for shard in range(3):
            driver.post(f"s{shard}", shard=shard, times=1500, nowMs=NOW + shard)
        found = driver.results(4500)
        results.equal(len(found), 4500, "each has its own result")
        results.equal({r["outcome"] for r in found.values()}, {"sent"}, "all sent")
        names = files(directory)
        results.equal(len(names), 4500, "and its own file")
        driver.say({"list": directory, "count": 5000})
        listed = driver.read()
        results.equal([e["name"] for e in listed], names[:-1001:-1], "the newest thousand of them")
        state = driver.look()
        results.equal((state["posted"], state["sent"], state["queued"], state["underWay"]),
                      (4500, 4500, 0, 0), "counters")


def stops_with_messages_left():
    with Scratch() as directory, Driver(row(directory)) as driver:
        driver.post("x", times=3000)
        found = driver.stop(0)
        sent = sum(r["outcome"] == "sent" for r in found.values())
        results.equal(sent, len([n for n in files(directory) if n.endswith(".eml")]),
                      "what was sent is there")
        results.check(all(r["outcome"] in ("sent", "later") for r in found.values()),
                      "and the rest is for later")


written_and_listed()
refused_and_repeated()
trouble()
many()
stops_with_messages_left()
results.finish()
