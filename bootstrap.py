#!/usr/bin/env python3
"""The door: makes .venv from requirements.lock once, then hands over to `python -m rackstart` (or `python -m lab`).

Standard library only, and syntax that any Python parses, so that one that is too old can say so.
"""

import os
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements.lock")
MARKER = os.path.join(VENV, ".rackstart")  # written last: a .venv without it is half-made
PIP_LOG = os.path.join(VENV, "pip.log")


class CannotStart(Exception):
    """Nothing can be run; the message is one line that says what to do."""


def main(arguments):
    """Hand over to the program in .venv; return an exit code only when that is not possible."""
    try:
        if sys.version_info < OLDEST:
            raise CannotStart("Python %d.%d or newer is needed, this is %s; run it with a newer one" % (OLDEST + (sys.version.split()[0],)))
        wanted = description()
        if found() != wanted:
            make_venv(wanted)
    except CannotStart as error:
        sys.stderr.write("bootstrap.py: %s\n" % error)
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nbootstrap.py: interrupted; the next start begins .venv again\n")
        return 130
    module = "rackstart"
    if arguments[:1] == ["lab"]:
        module, arguments = "lab", arguments[1:]
    os.execv(PYTHON, [PYTHON, "-m", module] + arguments)


def description():
    """What .venv must have been made of: the lock file, this Python, and this place (its scripts hold absolute paths)."""
    import hashlib

    try:
        with open(LOCK, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise CannotStart("cannot read %s: %s" % (LOCK, error.strerror))
    return "lock %s\npython %d.%d\nplace %s\n" % ((digest,) + sys.version_info[:2] + (ROOT,))


def found():
    """The description in .venv's marker; empty when it is missing, half-made, or its Python is gone."""
    try:
        with open(MARKER) as file:
            return file.read() if os.access(PYTHON, os.X_OK) else ""
    except OSError:
        return ""


def make_venv(wanted):
    """Make .venv anew in its place, one process at a time, the marker last."""
    import fcntl
    import importlib.util
    import shutil
    import time

    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise CannotStart(
                "this Python has no %s module; install it (Debian, Ubuntu: apt-get install python%d.%d-venv)"
                % ((module,) + sys.version_info[:2])
            )
    started = time.time()
    try:
        with open(VENV + ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another start is making .venv; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
                if found() == wanted:
                    return
            say(reason(wanted))
            if os.path.lexists(VENV):
                shutil.rmtree(VENV)
            fill_venv()
            with open(MARKER + ".new", "w") as file:
                file.write(wanted)
                file.flush()
                os.fsync(file.fileno())
            os.rename(MARKER + ".new", MARKER)
    except OSError as error:
        raise CannotStart("cannot make %s: %s" % (error.filename or VENV, error.strerror or error))
    say("made .venv in %d s" % (time.time() - started))


def reason(wanted):
    """Why .venv is made, in one line."""
    old, new = found().splitlines(), wanted.splitlines()
    if not os.path.lexists(VENV):
        return "making .venv from requirements.lock; this is done once and takes a minute or two"
    if not old:
        return ".venv is half-made or its Python is gone; making it anew"
    changed = [line.split(" ", 1)[0] for line, before in zip(new, old) if line != before]
    return ".venv was made for another %s; making it anew" % " and ".join(changed)


def fill_venv():
    """Install every package of the lock file, checked by hash, with a line for what is going on."""
    import re
    import subprocess
    import venv

    try:
        venv.create(VENV, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        raise CannotStart("cannot put pip into .venv: %s" % last_line(error.output or b"no reason given"))
    with open(LOCK) as file:
        total = len(re.findall(r"^[\w.-]+==", file.read(), re.M))
    command = [PYTHON, "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-color", "--retries", "2", "--requirement", LOCK]
    with open(PIP_LOG, "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            report(process.stdout, log, total)
        finally:
            if process.poll() is None and sys.exc_info()[0]:
                process.kill()
            failed = process.wait()
    if failed:
        with open(PIP_LOG, "rb") as log:
            raise CannotStart(pip_failure(log.read()))
    packages = subprocess.check_output([PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    with open(os.path.join(packages.decode().strip(), "rackstart.pth"), "w") as file:
        file.write(ROOT + "\n")  # so that `-m rackstart` works from any directory


def report(lines, log, total):
    """Copy pip's output into its log and show it as a count of packages."""
    import re

    seen = 0
    for raw in lines:
        log.write(raw)
        match = re.match(r"Collecting ([\w.-]+)==(\S+)|(Installing collected packages)", raw.decode("utf-8", "replace"))
        if match and match.group(3):
            say("installing %d packages" % seen, passing=True)
        elif match:
            seen += 1
            say("package %d of %d: %s %s" % (seen, total, match.group(1), match.group(2)), passing=True)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def say(text, passing=False):
    """One line to the user. A passing one is overwritten by the next on a terminal, and elsewhere every tenth is shown."""
    if passing and sys.stderr.isatty():
        sys.stderr.write("\r\033[Kbootstrap.py: " + text)
    elif not passing or not text.startswith("package") or text.split()[1].endswith("0"):
        sys.stderr.write("bootstrap.py: %s\n" % text)
    sys.stderr.flush()


def pip_failure(output):
    """One line for what pip said."""
    offline = (
        b"NewConnectionError",
        b"Failed to establish",
        b"NameResolutionError",
        b"name resolution",
        b"ProxyError",
        b"timed out",
        b"SSLError",
    )
    if any(sign in output for sign in offline):
        return (
            "no network: pip cannot reach the package index (a mirror or proxy is set by PIP_INDEX_URL, pip.conf or https_proxy); see "
            + PIP_LOG
        )
    errors = [line for line in output.splitlines() if line.startswith(b"ERROR:")]
    return "pip failed: %s; see %s" % (last_line(b"\n".join(errors) or output), PIP_LOG)


def last_line(output):
    """The last line of some bytes that says anything."""
    return ([line for line in output.decode("utf-8", "replace").splitlines() if line.strip()] or ["no output"])[-1].strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
