"""bootstrap.py: the one line for each thing that can be wrong, and that the next start repairs it."""

import ast
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rackstart.paths import ROOT

PROGRAM = "import sys; print(f'here is {__spec__.name.partition(chr(46))[0]}', sys.argv[1:], sys.prefix != sys.base_prefix)\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose lock names one small package, and whose programs only say that they run."""
    shutil.copy(ROOT / "bootstrap.py", tmp_path)
    for package in ("rackstart", "lab"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__main__.py").write_text(PROGRAM)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("small.py", "")
        file.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        file.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("small-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "requirements.lock").write_text(f"small==1.0 \\\n    --hash=sha256:{digest}\n")
    return tmp_path


@pytest.fixture
def module(root: Path) -> ModuleType:
    """bootstrap.py of that checkout, imported; its environment is made by a stub at once."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", root / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(root: Path, *arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run bootstrap.py with this Python, after some code that makes it a stranger one."""
    code = f"""
import runpy, sys
sys.argv = {["bootstrap.py", *arguments]!r}
{before}
runpy.run_path({str(root / "bootstrap.py")!r}, run_name="__main__")
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=False, cwd="/")


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of standard error, when the program ended with 2 and without a traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_any_python_can_read_it() -> None:
    tree = ast.parse((ROOT / "bootstrap.py").read_text())
    new = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Match, ast.Starred, ast.Nonlocal)
    assert [node for node in ast.walk(tree) if isinstance(node, new) or (isinstance(node, ast.arg) and node.annotation)] == []
    outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in outside for alias in node.names] == ["os", "sys"]


def test_a_python_that_is_too_old_says_so(root: Path) -> None:
    line = one_line(start(root, before="sys.version_info = (3, 9, 2, 'final', 0); sys.version = '3.9.2 (x)'"))
    assert line == "bootstrap.py: Python 3.11 or newer is needed, this is 3.9.2; run it with a newer one"


@pytest.mark.parametrize("name", ["venv", "ensurepip"])
def test_a_python_without_venv_says_what_to_install(root: Path, name: str) -> None:
    line = one_line(start(root, before=f"sys.modules[{name!r}] = None"))
    assert line.startswith(f"bootstrap.py: this Python has no {name} module; install it (Debian, Ubuntu: apt-get install python3.")


def test_a_checkout_that_cannot_be_written_or_read_says_so(root: Path) -> None:
    (root / ".venv.lock").mkdir()
    assert "cannot make " in one_line(start(root))
    (root / "requirements.lock").unlink()
    assert "cannot read " in one_line(start(root))


def test_no_network_then_repaired_then_quick(root: Path) -> None:
    borrowed = sysconfig.get_path("purelib")  # this Python's pip: a first .venv need not get one of its own
    quick = "import venv; create = venv.create; venv.create = lambda path, **_: create(path, symlinks=True)"
    offline = start(root, before=quick, PIP_INDEX_URL="http://127.0.0.1:9/simple", PYTHONPATH=borrowed)
    assert "making .venv from requirements.lock" in offline.stderr
    assert "no network: pip cannot reach the package index" in one_line(offline)
    assert not (root / ".venv" / ".rackstart").exists()

    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(root / "wheels")}
    repaired = start(root, "--inventory", "x", **wheels)
    assert ".venv is half-made or its Python is gone; making it anew" in repaired.stderr
    assert repaired.stdout == "here is rackstart ['--inventory', 'x'] True\n"

    again = start(root, "lab", "up", "--inventory", "x", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert (again.stderr, again.stdout) == ("", "here is lab ['up', '--inventory', 'x'] True\n")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution found for x==1\n", "no network: pip cannot reach"),
        (
            b"Collecting x\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    x from here\n",
            "DO NOT MATCH THE HASHES",
        ),
        (b"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n\n", "No space left on device; see "),
        (b"", "pip failed: no output; see "),
    ],
)
def test_what_pip_says_becomes_one_line(module: ModuleType, output: bytes, said: str) -> None:
    assert said in module.pip_failure(output)
    assert "\n" not in module.pip_failure(output)


def stub(module: ModuleType) -> None:
    """What fill_venv makes, without pip."""
    (Path(module.VENV) / "bin").mkdir(parents=True)
    Path(module.PYTHON).symlink_to(sys.executable)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("python 3.1", "made for another python"),
        ("place /elsewhere", "made for another place"),
        ("lock 00", "made for another lock"),
    ],
)
def test_a_venv_of_another_make_is_made_anew(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], marker: str, said: str
) -> None:
    monkeypatch.setattr(module, "fill_venv", lambda: stub(module))
    wanted = module.description()
    module.make_venv(wanted)
    assert module.found() == wanted
    lines = [marker if line.split()[0] == marker.split()[0] else line for line in wanted.splitlines()]
    Path(module.MARKER).write_text("\n".join(lines) + "\n")
    (Path(module.VENV) / "old").touch()
    capsys.readouterr()
    module.make_venv(wanted)
    assert said in capsys.readouterr().err
    assert module.found() == wanted
    assert not (Path(module.VENV) / "old").exists()


def test_a_venv_whose_python_is_gone_does_not_count(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fill_venv", lambda: stub(module))
    module.make_venv(module.description())
    Path(module.PYTHON).unlink()
    Path(module.PYTHON).symlink_to("/nowhere/python")
    assert module.found() == ""


RIVAL = """
import runpy, sys, time
from pathlib import Path
root = Path(sys.argv.pop(1))
module = runpy.run_path(str(root / 'bootstrap.py'))
def fill_venv():
    with (root / 'made').open('a') as file:
        file.write('x')
    until = time.monotonic() + 120
    while not (root / 'go').exists() and time.monotonic() < until:
        time.sleep(0.02)
    (root / '.venv' / 'bin').mkdir(parents=True)
    (root / '.venv' / 'bin' / 'python').symlink_to(sys.executable)
module['main'].__globals__['fill_venv'] = fill_venv
sys.exit(module['main'](sys.argv[1:]))
"""


@pytest.fixture
def rivals(root: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two starts at once; the one that makes .venv waits for the file `go`."""
    arguments = [sys.executable, "-c", RIVAL, str(root)]
    both = [subprocess.Popen(arguments, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    yield both
    for process in both:
        process.kill()
        process.communicate()


def first_lines(rivals: list[subprocess.Popen[str]]) -> list[str]:
    return [process.stderr.readline().strip() for process in rivals if process.stderr]


def test_two_starts_at_once_make_it_once(root: Path, rivals: list[subprocess.Popen[str]]) -> None:
    assert sorted(first_lines(rivals)) == [
        "bootstrap.py: another start is making .venv; waiting for it",
        "bootstrap.py: making .venv from requirements.lock; this is done once and takes a minute or two",
    ]
    (root / "go").touch()
    assert [process.wait(120) for process in rivals] == [0, 0]
    assert (root / "made").read_text() == "x"


def test_a_killed_start_hands_over_to_the_one_that_waits(root: Path, rivals: list[subprocess.Popen[str]]) -> None:
    maker = next(process for process, line in zip(rivals, first_lines(rivals), strict=True) if "another" not in line)
    until = time.monotonic() + 120
    made = root / "made"
    while not (made.exists() and made.read_text()) and time.monotonic() < until:  # it is there before the word in it
        time.sleep(0.02)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    (root / "go").touch()
    other = next(process for process in rivals if process is not maker)
    assert other.wait(120) == 0
    assert (root / "made").read_text() == "xx"


def test_ctrl_c_ends_with_one_line(root: Path) -> None:
    done = start(root, before="import time; time.time = lambda: (_ for _ in ()).throw(KeyboardInterrupt)")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "bootstrap.py: interrupted; the next start begins .venv again"


def test_pip_is_reported_in_short_lines(module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"Collecting package-{number}==1.{number}\n".encode() for number in range(1, 26)]
    lines += [b"  Downloading x.whl (3 MB)\n", b"Installing collected packages: a, b\n"]
    with (tmp_path / "log").open("wb") as log:
        module.report(lines, log, 25)
    assert capsys.readouterr().err.splitlines() == [
        "bootstrap.py: package 10 of 25: package-10 1.10",
        "bootstrap.py: package 20 of 25: package-20 1.20",
        "bootstrap.py: installing 25 packages",
    ]
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
