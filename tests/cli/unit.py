#!/usr/bin/env python3
"""What `cmake --install` puts down: a program that runs, its unit, which systemd takes as it is and
finds closed enough, and the files that both name."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import harness

UNIT = os.path.join("lib", "systemd", "system", "cartwheel.service")
EXPOSURE_MAX = 20  # tenths


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout


def settings(path):
    """{name: its last value}"""
    with open(path, encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))


def installed(results, prefix):
    unit = settings(os.path.join(prefix, UNIT))
    program = unit["ExecStart"].split()[0]
    results.equal(program, os.path.join(prefix, "bin", "cartwheel"), "the unit names the program")
    code, said = run(program, "check", os.path.join(prefix, "share", "cartwheel", "programs",
                                                    "abandoned-cart-recovery.yaml"))
    results.equal(code, 0, f"which runs, and knows the program beside it: {said}")
    page = unit["Documentation"].removeprefix("file:")
    results.check(page.startswith(prefix) and os.path.exists(page), "and the operator's page", page)
    code, said = run(program, "run", "--help")
    results.check(code == 0 and "SIGHUP" in said and "HUP" in unit["ExecReload"],
                  "it is reloaded by the signal that it knows", unit["ExecReload"])
    results.equal((unit["Type"], unit["NotifyAccess"]), ("notify", "main"), "it tells by itself")
    results.check(int(unit["WatchdogSec"]) >= 30, "and may be silent for a while")
    results.check("AF_UNIX" in unit["RestrictAddressFamilies"].split(), "by a socket it may have")


def accepted(results, prefix, folder):
    path = os.path.join(prefix, UNIT)
    code, said = run("systemd-analyze", "verify", path)
    results.equal((code, said), (0, ""), "systemd has nothing to say about the unit")
    security = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    code, said = run(*security, f"--threshold={EXPOSURE_MAX}", path)
    told = said.strip().splitlines()[-1:]
    results.check(code == 0, f"its exposure is at most {EXPOSURE_MAX / 10}", told)
    code, _ = run(*security, "--threshold=1", path)
    results.check(code != 0, "which is not said of any unit")
    wrong = os.path.join(folder, "wrong.service")
    with open(path, encoding="utf-8") as file, open(wrong, "w", encoding="utf-8") as out:
        out.write(file.read().replace("WatchdogSec=", "WatchDogSec="))
    _, said = run("systemd-analyze", "verify", wrong)
    results.check("WatchDogSec" in said, "a setting that is none is told", said)


def main():
    build, cmake = sys.argv[2], sys.argv[3]
    results = harness.Results()
    folder = os.path.realpath(tempfile.mkdtemp(prefix="cartwheel-unit-"))
    try:
        prefix = os.path.join(folder, "usr")
        code, said = run(cmake, "--install", build, "--prefix", prefix)
        if results.check(code == 0, "it is installed", said):
            installed(results, prefix)
            if shutil.which("systemd-analyze") is not None:
                accepted(results, prefix, folder)
            else:
                print("SKIPPED: no systemd-analyze: what systemd says of the unit")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


sys.exit(main())
