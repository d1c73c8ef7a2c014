#!/usr/bin/env python3
"""Help and wrong usage: --help of everything exits 0 and names every option; wrong usage exits 2
with one line that helps; an unknown command or option is answered with the nearest."""
import os
import re
import subprocess

import harness
from harness import SMALL_PROGRAM, execute

CARTWHEEL = harness.binary()
# What each command must at least offer, from the product's reference.
WANTED = {
    "replay": ["--until", "--cores", "--json", "PROGRAM.yaml", "EVENTS.ndjson", "exit:"],
    "check": ["--json", "exit:"],
    "match": ["--explain", "PATTERN.json", "exit:"],
    "gen": ["--carts", "--events", "--seed"],
    "preview": ["--json", "exit:"],
    "explain": ["exit:"],
    "load": ["--to", "--rate", "--seconds", "--connections", "--shop-seed", "--json", "exit:"],
    "send": ["--to", "--now", "--rate", "--as", "--api-key-file", "--json", "exit:"],
}


def commands():
    """The commands that this cartwheel has, from its own help."""
    code, output, _ = execute([CARTWHEEL, "--help"])
    return code, re.findall(r"^  ([a-z]+) {2,}\S", output.decode(), re.M)


def helped(results, code, output, said, name, word=""):
    """Exit 2, nothing on standard output, one line that holds the word."""
    text = said.decode("utf-8", "replace")
    results.check(code == 2 and not output and text.count("\n") == 1 and word in text and
                  len(text) < 400, f"{name}: exit 2 and one line with {word!r}",
                  f"{code} {output[:200]!r}\n{text}")


def helps(results, names):
    for words in ([], ["--help"], ["-h"], ["help"]):
        code, output, said = execute([CARTWHEEL] + words)
        text = (output + said).decode()
        results.check(code == (0 if words else 2) and all(f"  {n} " in text for n in names) and
                      "exit:" in text, f"cartwheel {words}", text)
        results.check(all(len(row) <= 80 for row in text.splitlines()), f"{words}: 80 columns", text)
    code, output, _ = execute([CARTWHEEL, "--version"])
    results.check(code == 0 and re.fullmatch(rb"cartwheel \d+\.\d+\.\d+\n", output), "--version",
                  output)
    for name in names:
        code, output, said = execute([CARTWHEEL, name, "--help"])
        text = output.decode()
        results.check(code == 0 and not said and text.startswith(f"usage: cartwheel {name}"),
                      f"{name} --help", f"{code} {text[:200]} {said}")
        for word in WANTED.get(name, []) + ["--help"] * (name != "match" and name != "gen"):
            results.check(word in text, f"{name} --help names {word}", text)
        wide = [row for row in text.splitlines() if len(row) > 80]
        results.check(not wide, f"{name} --help fits 80 columns", "\n".join(wide))
        # Every option that the help names is known: the answer is never "unknown option".
        for option in sorted(set(re.findall(r"(?<![\w-])--[a-z-]+", text))):
            # (the last word stops those that would run until they are told to stop)
            _, _, said = execute([CARTWHEEL, name, option, "\x01", "--nosuchoption"], given=b"",
                                 timeout=20)
            results.check(not re.search(rb"(?:unknown|no) option " + option.encode() + rb"\b(?!-)", said),
                          f"{name} knows {option}", said)


def sources(results, names):
    """Every option that a command's source parses stands in its help."""
    for name in names:
        path = os.path.join(harness.ROOT, "tools", name + ".c")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        options = set(re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', text))
        options |= {o for o in re.findall(r'strcmp\([a-z\[\]>.-]+, "--([a-z-]+)"\)', text)}
        help_text = execute([CARTWHEEL, name, "--help"])[1].decode()
        for option in sorted(options - {"help", "h"}):
            results.check("--" + option in help_text, f"{name} --help names --{option}", help_text)


def wrong(results, folder, names):
    for word, near in (("repaly", "replay"), ("chek", "check"), ("matc", "match"), ("gne", "gen"),
                       ("Replay", "replay")):
        helped(results, *execute([CARTWHEEL, word]), word, f'"{near}"')
    for word in ("zzzzzzzzz", "", "--nope", "\x1b[31m", "x" * 5000):
        code, output, said = execute([CARTWHEEL, word])
        results.check(code == 2 and not output and said, f"command {word[:20]!r}", said[:300])
    program = folder.write("p.yaml", SMALL_PROGRAM)
    events = folder.write("e.ndjson", "")
    pattern = folder.write("p.json", '{"source": ["x"]}')
    for name in names:
        helped(results, *execute([CARTWHEEL, name, "--nosuchoption"]), f"{name} --nosuchoption",
               "--nosuchoption")
    for arguments, word in (
            (["replay"], "no program"), (["replay", program], "no events"),
            (["replay", events], "no program"), (["replay", "--core"], "--cores"),
            (["replay", "--corse", "2", program, events], "did you mean --cores?"),
            (["replay", "--quiet=1", program, events], "--quiet"), (["replay", "-x"], "-x"),
            (["replay", "--cores", "0", program, events], "--cores"),
            (["replay", "--cores", "65", program, events], "--cores"),
            (["replay", "--cores", "2x", program, events], "--cores"),
            (["replay", "--cores", "-1", program, events], "--cores"),
            (["replay", "--cores", "", program, events], "--cores"),
            (["replay", "--cores", "99999999999999999999", program, events], "--cores"),
            (["replay", "--until", "tomorrow", program, events], "--until"),
            (["replay", "--until", "2026-02-30T00:00:00Z", program, events], "--until"),
            (["replay", "--partitions", "3", program, events], "--partitions"),
            (["replay", "--partitions", "0", program, events], "--partitions"),
            (["replay"] + [program] + [events] * 300, "more than"),
            (["match"], "pattern"), (["match", pattern, events, events], "more than"),
            (["check"], "file"), (["gen", "--carts", "0"], "--carts"),
            (["gen", "--carts", "1e3"], "--carts"), (["gen", "--carts"], "--carts"),
            (["gen", "--crats", "7"], "--carts"), (["gen", "--late", "51"], "--late"),
            (["gen", "--start", "monday"], "--start"), (["gen", "--days", "0"], "--days"),
            (["gen", "stray"], "stray"), (["gen", "--carts", "5", "--events", "5"], "--"),
            (["preview"], "no program"), (["preview", "--touch", "0", program], "--touch"),
            (["preview", "--discount", "101", program], "--discount"),
            (["preview", "--tuch", "1", program], "did you mean --touch?")):
        if arguments[0] in names:
            helped(results, *execute([CARTWHEEL] + arguments),
                   " ".join(arguments)[:60].replace(folder.name, ""), word)
    code, output, said = execute([CARTWHEEL, "check", folder.write("w.yaml", SMALL_PROGRAM.replace(
        "channels", "chanels").replace("programId", "programID"))])
    text = output.decode()
    results.check(code == 2 and re.search(r'w\.yaml:1:1: error: .*programID', text) and
                  re.search(r'w\.yaml:4:1: error: .*"channels"', text),
                  "check tells every problem with its place and the nearest key", text)
    results.equal(execute([CARTWHEEL, "check", program])[0], 0, "check of a good program")


def matches(results, folder):
    """match: one verdict a line; 0 all valid, 1 some not, 2 the pattern is not."""
    pattern = folder.write("p.json", '{"detail": {"n": [{"numeric": [">", 5]}]}}')
    cases = [(b'{"detail":{"n":6}}\n{"detail":{"n":5}}', 0, [b"true", b"false"]),
             (b'{"detail":{"n":6}}\n\n{\n[]\n{"detail":{"n":7}}\n', 1,
              [b"true", b"invalid: ", b"invalid: ", b"invalid: ", b"true"]), (b"", 0, [])]
    cases.append((b'{"detail":{"n":"\\ud800"}}\n' + b'{"detail":{"n":6,"x":"' + b"x" * (1 << 20) +
                  b'"}}\n{"detail":{"n":6}}', 1, [b"invalid: ", b"invalid: ", b"true"]))
    for text, expected, verdicts in cases:
        for arguments, given in (([folder.write("e.ndjson", text)], None), ([], text), (["-"], text)):
            code, output, said = execute([CARTWHEEL, "match", pattern] + arguments, given)
            rows = output.splitlines()
            results.check(code == expected and not said and len(rows) == len(verdicts) and all(
                row == v or (v.endswith(b" ") and row.startswith(v) and len(row) > 15)
                for row, v in zip(rows, verdicts)), f"match {text[:30]!r} {arguments[:1]}",
                f"{code} {output[:300]} {said[:300]}")
    for text in ("", "{", "[]", "{}", '{"a":"x"}', '{"a":[{"nope":1}]}', '{"a":[]}',
                 '{"cartValue":{}}', '{"a":[{"numeric":["<"]}]}'):
        code, output, said = execute([CARTWHEEL, "match", folder.write("bad.json", text)],
                                     b'{"a":1}')
        results.check(code == 2 and not output and b"bad.json" in said,
                      f"match refuses the pattern {text!r}", f"{code} {output} {said}")
    code, output, said = execute([CARTWHEEL, "match", os.path.join(folder.name, "none")], b"{}")
    results.check(code == 2 and b"none" in said, "match without its pattern", f"{code} {said}")
    code, output, said = execute([CARTWHEEL, "match", pattern, os.path.join(folder.name, "none")])
    results.check(code == 1 and b"none" in said, "match without its events", f"{code} {said}")


def vanishing(results, folder):
    """A file that becomes shorter while it is read, and an output that takes no more."""
    program = os.path.join(folder.name, "p.yaml")
    events = os.path.join(folder.name, "shrinks.ndjson")
    with open(program, "w", encoding="utf-8") as file:
        file.write(SMALL_PROGRAM)
    with open(events, "wb") as file:  # more lines of output than pipes hold
        file.write(execute([CARTWHEEL, "gen", "--events", "100000"])[1])
    run = subprocess.Popen([CARTWHEEL, "replay", "--quiet", program, events],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.read(1)  # it is at work, and soon waits for its reader
    os.truncate(events, 1)
    _, said = run.communicate(timeout=120)
    results.check(run.returncode == 1 and b"shorter" in said, "a file that shrinks",
                  f"{run.returncode} {said[-300:]!r}")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            code = subprocess.run([CARTWHEEL, "replay", "--quiet", program, "-"], stdout=full,
                                  stderr=subprocess.PIPE, input=b"not an event\n", check=False)
        results.check(code.returncode == 1 and b"No space left" in code.stderr, "a full output",
                      code.stderr[-300:])


def unwritten(results, folder, names):
    """What standard output does not take is not done: 1, and one line on standard error."""
    if not os.path.exists("/dev/full"):
        return
    program = folder.write("p.yaml", SMALL_PROGRAM)
    bad = folder.write("bad.yaml", SMALL_PROGRAM.replace("channels", "chanels"))
    pattern = folder.write("p.json", '{"source": ["x"]}')
    for words, wanted in ([["--help"], 1], [["--version"], 1], [["config"], 1],
                          [["check", bad], 2], [["gen", "--events", "10"], 1],
                          [["match", pattern, "-"], 1], [["preview", program], 1],
                          [["explain", "--graph"], 1], *[[[n, "--help"], 1] for n in names]):
        for where in ("> /dev/full", ">&-"):
            done = subprocess.run(["bash", "-c", f'exec "$@" {where}', "bash", CARTWHEEL] + words,
                                  capture_output=True, check=False, input=b'{"source":"x"}\n')
            said = done.stderr.decode()
            results.check(done.returncode == wanted, f"{words[:2]} {where}: exit {wanted}",
                          f"{done.returncode} {said}")
            results.check(wanted == 2 or len(re.findall("^cartwheel: .*(?:standard output|writing)", said,
                                                         re.M)) == 1,
                          f"{words[:2]} {where}: it says why, once", said)


def main():
    results = harness.Results()
    code, names = commands()
    results.check(code == 0 and {"replay", "check", "match", "gen"} <= set(names), "commands", names)
    with harness.Folder() as folder:
        helps(results, names)
        sources(results, names)
        wrong(results, folder, names)
        matches(results, folder)
        vanishing(results, folder)
        unwritten(results, folder, names)
    results.finish()


if __name__ == "__main__":
    main()
