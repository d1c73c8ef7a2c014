"""File systems for tests that fill, freeze and break them, in a mount namespace of the test's own:
nobody else sees them, and they are gone with it."""
import os
import subprocess
import sys

INSIDE = "CW_TEST_IN_NAMESPACE"
MKFS = "/sbin/mkfs.ext4"


def enter(anyone=False):
    """Goes on in such a namespace, from the beginning of the script: "" there, else why there is
    none. `anyone`: also for who is not root, who may mount little in it."""
    if os.environ.get(INSIDE):
        return ""
    if os.getuid() != 0 and not anyone:
        return "only root mounts"
    flags = ["-m"] if os.getuid() == 0 else ["-r", "-m"]
    tried = subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        return "no mount namespaces here: " + tried.stderr.decode().strip()
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", *flags, sys.executable, "-B", *sys.argv])


def mounted(*words):
    return bool(os.environ.get(INSIDE)) and subprocess.run(
        ["mount", *words], capture_output=True, check=False).returncode == 0


def ext4(folder, image, mib, *options):
    """One of its own, in a file that takes room as it fills. False: not here."""
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    return (os.path.exists(MKFS) and
            subprocess.run([MKFS, "-q", "-F", "-m", "0", *options, image], capture_output=True,
                           check=False).returncode == 0 and mounted("-o", "loop", image, folder))
