#!/usr/bin/env python3
"""What is easily mistaken in the first hour: an engine file checked where its secrets are not, or
named without -c; a file of events that is no lines of them."""
import json
import os
import re
import sys
import tempfile

import engines
import harness
from harness import SMALL_PROGRAM, execute

CARTWHEEL = harness.binary()
ENGINE = """programs: [p.yaml]
credentials:
  - {type: sigv4, id: AKIDSHOP, secretFile: shop.secret, role: ingest}
  - {type: apiKey, secretEnv: NOT_SET_HERE, role: admin}
channels:
  sms: {type: webhook, url: "https://sms.example.com/send", secretEnv: NOR_THIS}
  email: {type: smtp, url: "smtp://m.example.com", user: u, secretFile: smtp.secret, from: "a@example.com"}
"""
EVENT = {"source": "ecommerce.cart", "detail-type": "CartCleared", "time": "2026-01-18T16:45:00Z",
         "detail": {"customerId": "C", "cartId": "K"}}


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def secrets(results, work):
    engine = write(work, "engine.yaml", ENGINE)
    code, output, said = execute([CARTWHEEL, "check", engine])
    rows = output.decode().splitlines()
    results.check(code == 0 and len(rows) == 4 and all(": remark: " in row for row in rows) and
                  all(any(f'{name}"' in row for row in rows) for name in
                      ("shop.secret", "NOT_SET_HERE", "NOR_THIS", "smtp.secret")),
                  "check names the secrets that are not here, and passes", (code, output, said))
    wrong = write(work, "wrong.yaml", ENGINE + "stat: x\n")
    code, output, _ = execute([CARTWHEEL, "check", wrong])
    results.check(code == 2 and output.count(b": error: ") == 1 and b"stat" in output,
                  "and everything else is checked", output)
    short = write(work, "shop.secret", "short")
    os.chmod(short, 0o600)
    code, output, _ = execute([CARTWHEEL, "check", engine])
    results.check(code == 2 and b"at least 8" in output, "a secret that is here is checked", output)
    code, _, said = execute([CARTWHEEL, "run", "-c", engine, "--http", "127.0.0.1:0"])
    results.check(code == 2 and b"NOT_SET_HERE" in said, "run refuses without them", said)
    os.remove(short)
    os.mkfifo(short)  # of nobody who writes into it now
    code, output, _ = execute([CARTWHEEL, "check", engine], timeout=20)
    results.check(code == 0 and b"the secret in the pipe" in output,
                  "check does not wait for a pipe", output)
    os.remove(short)
    dash = ENGINE.replace("shop.secret", '"-"')
    write(work, "dash.yaml", dash)
    for given, wanted in ((None, 0), ("short", 2)):
        if given:
            os.chmod(write(work, "-", given), 0o600)
        code, output, _ = execute([CARTWHEEL, "check", "dash.yaml"], given=b"from standard input",
                                  cwd=work)
        results.check(code == wanted and (b'file \"./-\"' in output or b"at least 8" in output),
                      "and - is a file's name, as any other", (code, output))
    os.remove(os.path.join(work, "-"))


def engine_as_program(results, work):
    engine = write(work, "engine.yaml", "programs: [p.yaml]\n")
    events = write(work, "none.ndjson", "")
    for command in (["run", engine], ["replay", engine, events], ["explain", engine, events]):
        code, output, said = execute([CARTWHEEL] + command)
        results.check(code == 2 and not output and said.count(b"\n") == 1 and
                      f"cartwheel {command[0]} -c {engine}".encode() in said,
                      f"{command[0]} with an engine file as its program", said)


def unlike_lines(results, work, program):
    pattern = write(work, "pattern.json", '{"source": ["ecommerce.cart"]}')
    for text, seems, remedy in ((json.dumps(EVENT, indent=2), b"over several lines", b"jq -c ."),
                                (json.dumps([EVENT, EVENT]), b"JSON array", b"jq -c '.[]'"),
                                (SMALL_PROGRAM, b"YAML", b".yaml")):
        events = write(work, "events.ndjson", "\n" + text + "\n")
        lines = len(text.splitlines())
        code, output, said = execute([CARTWHEEL, "replay", program, events])
        results.check(code == 0 and said.count(b" seems to be ") == 1 and seems in said and
                      remedy in said and output.count(b'"invalid"') == lines,
                      f"replay of {seems}: told once, each line counted", said)
        _, output, said = execute([CARTWHEEL, "match", pattern, events])
        results.check(said.count(b" seems to be ") == 1 and seems in said and remedy in said and
                      output.count(b"invalid") == lines + 1 + (text is SMALL_PROGRAM),
                      f"match of {seems}", said)
        with engines.HttpEngine() as engine:
            _, _, said = execute([CARTWHEEL, "send", events, "--now", "--to", engine.url])
        results.check(said.count(b" seems to be ") == 1 and seems in said and remedy in said,
                      f"send of {seems}", said)
    for text in (json.dumps(EVENT), "broken", '{"a": "[{"}', '{"a": '):
        events = write(work, "events.ndjson", text + "\n" * (text != '{"a": '))
        _, _, said = execute([CARTWHEEL, "replay", program, events])
        results.check(b"seems to be" not in said, f"{text}: an event, good or bad", said)


def pasteable(results):
    """What is told of a command of README.md stands behind a #, so that a shell takes the line."""
    with open(os.path.join(harness.ROOT, "README.md"), encoding="utf-8") as file:
        lines = re.findall(r"^    (?:\$ )?((?:\./tools/|cmake |build/release/).*)", file.read(), re.M)
    results.check(len(lines) > 10, "commands of README.md", lines)
    for line in lines:
        results.check("  " not in line.split(" #")[0].rstrip(), line)


def main():
    results = harness.Results()
    with tempfile.TemporaryDirectory() as work:
        program = write(work, "p.yaml", SMALL_PROGRAM)
        secrets(results, work)
        engine_as_program(results, work)
        unlike_lines(results, work, program)
        pasteable(results)
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
