#!/usr/bin/env python3
"""What goes wrong around a command: its output takes no more, its streams are closed, a path is
none of a state, a parameter is misspelt. It says so, ends with the code that it promises, and does
nothing that was not meant."""
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import engine

CARTWHEEL = engine.binary()


def shell(redirections, *words):
    """(exit code, output, words) of a command that bash redirects."""
    done = subprocess.run(["bash", "-c", f'exec "$@" {redirections}', "bash", CARTWHEEL, *words],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def full_outputs(results, folder, state, snapshot, live):
    """Whoever reads nothing of it must not take it for done and good."""
    url = live.url()
    events = os.path.join(folder, "none.ndjson")
    with open(events, "w", encoding="utf-8"):
        pass
    commands = [["verify", snapshot], ["inspect", snapshot], ["inspect", "--json", snapshot],
                ["inspect", "--dump", snapshot], ["verify", "--state", state],
                ["restore", snapshot, "--state", os.path.join(folder, "told-nobody")],
                ["snapshot", "--state", state, "--out", os.path.join(folder, "second.cwsnap")],
                ["snapshot", "--to", url, "--name", "live"], ["resume", "--to", url],
                ["top", "--once", "--every", "0.1", "--to", url],
                ["send", events, "--to", url, "--json"]]
    for words in commands:
        code, _, said = shell("> /dev/full", *words)
        name = " ".join(words[:2])
        results.check(code == 1 and "standard output" in said,
                      f"{name} > /dev/full", f"{code} {said}")
        results.equal(said.count("standard output"), 1, f"{name} says it once")
    results.equal(engine.command("verify", os.path.join(folder, "second.cwsnap"))[0], 0,
                  "what was made is good all the same")
    results.equal(engine.command("verify", "--state", os.path.join(folder, "told-nobody"))[0], 0,
                  "so is what was restored")


def closed_streams(results, folder, state, snapshot):
    """A file that is opened must not become one of the streams."""
    before = sorted(os.listdir(state))
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        want = 1 if " >&-" in f" {closed}" else 0  # nobody could read it
        for words in (["verify", "--state", state], ["verify", snapshot], ["inspect", snapshot]):
            code, output, said = shell(closed, *words)
            results.equal(code, want, f"{words[0]} {closed}")
            results.check(want or output, f"{words[0]} {closed} says it", said)
        made = os.path.join(folder, "closed.cwsnap")
        results.equal(shell(closed, "snapshot", "--state", state, "--out", made)[0], want,
                      f"snapshot {closed}")
        results.equal(engine.command("verify", made)[0], 0, f"snapshot {closed} is whole")
        os.remove(made)
    results.equal(sorted(os.listdir(state)), before, "nothing was written into the state")
    # Whoever starts a daemon closes them all.
    process = subprocess.Popen(
        ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", CARTWHEEL, "run", "--state",
         os.path.join(folder, "daemon"), "--cores", "1", "--http", "127.0.0.1:0"])
    manifest = os.path.join(folder, "daemon", "manifest.a")
    results.check(engine.until(lambda: process.poll() is not None or any(
        name.startswith("manifest") for name in os.listdir(os.path.dirname(manifest))
    ) if os.path.isdir(os.path.dirname(manifest)) else False), "it starts")
    process.terminate()
    results.equal(process.wait(60), 0, "an engine without any stream ends in order")
    results.equal(engine.command("verify", "--state", os.path.dirname(manifest))[0], 0,
                  "and its state is good")


def not_a_state(results, folder, snapshot):
    """What is no directory is told as wrong usage, with what to say instead."""
    file = os.path.join(folder, "a file")
    with open(file, "w", encoding="utf-8") as made:
        made.write("x")
    out = os.path.join(folder, "never.cwsnap")
    for words in (["verify"], ["inspect"], ["snapshot", "--out", out],
                  ["run", "--http", "127.0.0.1:0"]):
        for state, word in ((file, "no directory"), (file + "/below", "no directory"),
                            ("", "empty"), (snapshot, "no directory")):
            code, output, said = engine.command(*words, "--state", state)
            results.check(code == 2 and word in said and not output and said.count("\n") == 1,
                          f"{words[0]} --state {os.path.basename(state)!r}", f"{code} {said}")
            hint = {"run": "cartwheel restore", "snapshot": "one already"}.get(words[0],
                                                                              "without --state")
            results.equal(hint in said, state == snapshot, f"{words[0]} {state}: {said}")
    code, _, said = engine.command("verify", "--state", os.path.join(folder, "nowhere"))
    results.check(code == 1 and "there is no state" in said and "--state is the directory" in said,
                  "a state that is not there", said)
    code, _, said = engine.command("run", "--http", "127.0.0.1:0", "--state",
                                   os.path.join(folder, "nowhere", "state"))
    results.check(code == 1 and "mkdir -p" in said, "a state where no directory is", said)
    spaced = os.path.join(folder, "a state's place")
    os.mkdir(spaced)
    _, _, said = engine.command("verify", spaced)
    results.check("--state '" + spaced.replace("'", "'\\''") + "'" in said,
                  "what is to be typed is quoted", said)
    code, _, said = engine.command("verify", "")
    results.check(code == 2 and "empty" in said, "a snapshot without a name", said)
    made = os.path.join(folder, "never made")
    for words, word in ((["restore", "", "--state", made], "empty"),
                        (["restore", spaced, "--state", made], "is a directory"),
                        (["snapshot", "--to", "http://127.0.0.1:1", "--name", ""], "empty")):
        code, output, said = engine.command(*words)
        results.check(code == 2 and word in said and not output and said.count("\n") == 1 and
                      not os.path.exists(made), f"{words}", (code, said))
    for name in ("-", ""):
        code, output, said = engine.execute(
            [CARTWHEEL, "snapshot", "--state", spaced, "--out", name], cwd=folder)
        results.check(code == 2 and b"--out" in said and not output and
                      not os.path.exists(os.path.join(folder, "-")), f"--out {name!r}", said)


def misspelt(results, folder, snapshot):
    """Of a restored engine: nothing but what was meant lets its sends go."""
    state = os.path.join(folder, "restored")
    results.equal(engine.command("restore", snapshot, "--state", state)[0], 0, "restored")
    with engine.Engine(state=state) as live:
        for path, body in (("/v1/resume?assumeSentuntil=2026-01-01T00:00:00Z", None),
                           ("/v1/resume?assume-sent-until=2026-01-01T00:00:00Z", None),
                           ("/v1/resume", '{"assumeSentUntil": "2026-01-01T00:00:00Z"}')):
            status, _, told = live.request("POST", path, body)
            results.check(status == 400 and b"assumeSentUntil" in told, path, told)
        results.equal(json.loads(live.get("/healthz")[2]).get("sends"), "held", "held still")
        status, _, told = live.request("POST", "/v1/snapshot?foo=1")
        results.check(status == 400 and b'foo' in told and b"name" in told, "snapshot", told)
        held_top(results, live)
        code, _, said = engine.command("snapshot", "--to", live.url(), "--name", "twice")
        results.equal(code, 0, said)
        code, _, said = engine.command("snapshot", "--to", live.url(), "--name", "twice")
        results.check(code == 1 and "answers 409" in said and said.endswith("}\n") and
                      "\n\n" not in said, "a refusal is one line", repr(said))
        status, _, told = live.request("POST",
                                       "/v1/resume?assumeSentUntil=2026-01-01T00:00:00Z")
        results.check(status == 200 and json.loads(told)["sends"] == "go", "as it is spelt", told)
        results.check("HELD" not in top(live), "top has nothing to say then")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Has an engine below a path of its own."""
    live = None

    def pass_on(self):
        inside = self.path.startswith("/shop/v1/")
        status, _, body = (self.live.request(self.command, self.path[len("/shop"):]) if inside
                           else (404, {}, b"no page"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = pass_on

    def log_message(self, *_):
        pass


def addresses(results, folder, snapshot):
    """Sends are let go by what is asked at the address that was said, or by nothing."""
    state = os.path.join(folder, "addressed")
    results.equal(engine.command("restore", snapshot, "--state", state)[0], 0, "restored")
    with engine.Engine(state=state) as live:
        Proxy.live = live
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        for to, want, word in ((live.url() + "/foo", 1, "answers 404; --to is its address"),
                               (live.url() + "/v1/resume", 1, "answers 404"),
                               (live.url() + "/?now", 2, "has a query"), (proxy, 1, "answers 404"),
                               (live.url().replace("http:", "tcp:"), 2, "https://HOST:PORT"),
                               ("garbage", 2, "https://HOST:PORT"), ("", 2, "https://HOST:PORT")):
            for words in (["resume"], ["snapshot", "--name", "never"]):
                code, output, said = engine.command(*words, "--to", to)
                results.check(code == want and word in said and "tcp://HOST" not in said and
                              not output, f"{words[0]} --to {to}", (code, said))
        results.equal(json.loads(live.get("/healthz")[2]).get("sends"), "held", "held still")
        results.equal([n for n in os.listdir(state) if n == "snapshots"], [], "and none is made")
        for words in (["snapshot", "--name", "by-proxy"], ["resume"]):
            code, output, said = engine.command(*words, "--to", proxy + "/shop/")
            results.check(code == 0 and json.loads(output), f"{words[0]} by a proxy",
                          (code, output, said))
        results.check(json.loads(live.get("/healthz")[2]).get("sends") != "held", "they go")
        server.shutdown()
        server.server_close()


def top(live):
    code, output, said = engine.command("top", "--once", "--every", "0.1", "--to", live.url())
    return output if code == 0 else said


def held_top(results, live):
    results.check(re.search(r"^sends +HELD: restored;  cartwheel resume", top(live), re.M),
                  "top says that sends are held, why, and what lets them go", top(live))


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-slips-")
    try:
        state = os.path.join(folder, "state")
        with engine.Engine(state=state) as live:
            results.equal(live.stop(), 0, "a state")
        snapshot = os.path.join(folder, "of it.cwsnap")
        results.equal(engine.command("snapshot", "--state", state, "--out", snapshot)[0], 0,
                      "a snapshot")
        with engine.Engine() as live:
            full_outputs(results, folder, state, snapshot, live)
        closed_streams(results, folder, state, snapshot)
        not_a_state(results, folder, snapshot)
        misspelt(results, folder, snapshot)
        addresses(results, folder, snapshot)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
