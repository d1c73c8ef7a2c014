"""Real clients from the package registries, installed once into a folder beside the build: by the
first test that asks for them, while others that run beside it wait.

A peer that cannot be had (no registry, no npm) is None; whoever wanted it says so and counts it as
skipped.
"""
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import harness  # noqa: E402

FOLDER = os.environ.get("CW_PEERS_DIR") or os.path.join(harness.ROOT, "build", "peers")
PYTHON = ["boto3==1.43.11", "awscli==1.45.11"]
NODE = ["@aws-sdk/client-eventbridge@3.1168.0", "cloudevents@10.0.0"]
SECONDS = 420


def quiet(command, cwd=None):
    """True when the command ends well."""
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"peers: {' '.join(command[:4])}: {error}")
        return False
    if done.returncode != 0:
        print(f"peers: {' '.join(command[:4])} failed: "
              f"{done.stderr.decode('utf-8', 'replace')[-300:]}")
    return done.returncode == 0


def stamped(folder, wanted):
    """True when the folder holds just what is wanted."""
    try:
        with open(os.path.join(folder, "installed"), encoding="utf-8") as file:
            return file.read() == "\n".join(wanted)
    except OSError:
        return False


def stamp(folder, wanted):
    with open(os.path.join(folder, "installed"), "w", encoding="utf-8") as file:
        file.write("\n".join(wanted))


@contextlib.contextmanager
def alone():
    """One process at a time; a lock goes with whoever is killed."""
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "lock"), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def python():
    """The interpreter that has PYTHON's packages, or None."""
    with alone():
        return python_alone()


def node():
    """A folder whose node_modules has NODE's packages, or None."""
    with alone():
        return node_alone()


def python_alone():
    folder = os.path.join(FOLDER, "python")
    program = os.path.join(folder, "bin", "python3")
    if stamped(folder, PYTHON):
        return program
    shutil.rmtree(folder, ignore_errors=True)
    if not quiet(["/usr/bin/python3", "-m", "venv", folder]):
        return None
    if not quiet([program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  *PYTHON]):
        return None
    stamp(folder, PYTHON)
    return program


def node_alone():
    folder = os.path.join(FOLDER, "node")
    if stamped(folder, NODE):
        return folder
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("peers: no npm and node here")
        return None
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        file.write('{"private": true}\n')
    if not quiet(["npm", "install", "--no-audit", "--no-fund", "--silent", *NODE], cwd=folder):
        return None
    stamp(folder, NODE)
    return folder


if __name__ == "__main__":
    print("python:", python())
    print("node:", node())
