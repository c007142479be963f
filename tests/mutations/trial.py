"""A copy of the checkout, in which one mutant after the other is tried, until some test is red."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml

from tests.mutations.mutants import Mutant
from tests.mutations.table import BRANCHES, PLUGINS, SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1800  # seconds that a command may take
SLOWER = 3  # times as long as without a mutant: then it waits for what the mutant took away, and is red
ALWAYS = ("test_docs.py", "test_roles.py")
PAGES = "tests/unit/test_docs.py::test_no_generated_page_is_stale"  # a page that does not follow says nothing of what the role does


class Broken(Exception):
    """A test is red without any mutant."""


@contextmanager
def copied() -> Iterator[Path]:
    """What is committed, in a directory of its own with the same .venv."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / Path(folder).name  # molecule keeps its state by this name
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)  # what a killed run has left
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", copy, "HEAD"], cwd=ROOT, check=True)
        try:
            (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
            yield copy
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", copy], cwd=ROOT, check=True)


class Trial:
    """Tries the mutants of one role: first what takes seconds, then its scenarios and its faults."""

    def __init__(self, copy: Path, role: str) -> None:
        self._copy, self._role = copy, role
        self._took: dict[str, float] = {}  # seconds of what is slow, without a mutant
        self._limit: float = LONGEST
        if red := self._fast():
            raise Broken(f"{red} is red without any mutant of {role}")

    def __call__(self, mutant: Mutant) -> str:
        """What is red; empty when nothing is."""
        if red := self.fast(mutant):
            return red
        for name, look in self._slow(mutant):
            if name not in self._took:
                began, self._limit = time.monotonic(), LONGEST
                if red := look():
                    raise Broken(f"{name}: {red} is red without any mutant of {self._role}")
                self._took[name] = time.monotonic() - began
            self._limit = SLOWER * self._took[name]
            with self._with(mutant):
                red = look()
            if red:
                return f"{name}: {red}"
        return ""

    def _slow(self, mutant: Mutant) -> Iterator[tuple[str, Callable[[], str]]]:
        """What takes minutes: scenarios, then the role's faults where a host alone is enough for them."""
        for scenario in BRANCHES.get(Path(mutant.file).name, SCENARIOS.get(self._role, (self._role,))):
            yield f"molecule {scenario}", partial(self._scenario, scenario)
        cases = self._copy / f"tests/faults/cases/{self._role}.yml"
        if cases.exists() and "stage" not in yaml.safe_load(cases.read_text()):
            yield "faults", partial(self._tests, "tests/faults/test_roles.py", "-n", "2", "-k", f"[{self._role.replace('_', '-')}-")

    def fast(self, mutant: Mutant) -> str:
        """The same without hosts."""
        with self._with(mutant):
            return self._fast()

    @contextmanager
    def _with(self, mutant: Mutant) -> Iterator[None]:
        path = self._copy / mutant.file
        whole = path.read_text()
        path.write_text(mutant.text)
        try:
            yield
        finally:
            path.write_text(whole)

    def _fast(self) -> str:
        """Without linters, which judge the form alone. A folder at a time, since files of both may have one name."""
        for folder in ("unit", "contract"):
            files = sorted(self._copy.glob(f"tests/{folder}/test_*.py"))
            tests = [str(path.relative_to(self._copy)) for path in files if path.name in ALWAYS or self._concerns(path.read_text())]
            if tests and (red := self._tests(f"--deselect={PAGES}", *tests)):
                return red
        return ""

    def _tests(self, *arguments: str) -> str:
        code, words = self._run(["pytest", "--quiet", *arguments])
        return _first(words, r"^(?:FAILED|ERROR) (\S+)") or "pytest" if code else ""

    def _concerns(self, test: str) -> bool:
        """A test names the role's folder, or imports what is the role's own."""
        imported = "".join(re.findall(r"^from ansible_collections\.\S+ import (?:\([^)]*\)|.*)", test, re.MULTILINE))
        own = (Path(name).name for name in PLUGINS.get(self._role, ()))
        return f"roles/{self._role}/" in test or any(re.search(rf"\b{name}\b", imported) for name in own)

    def _scenario(self, name: str) -> str:
        """On hosts as installed. They stay for the next one; a cluster does not, since its API keeps what a mutant did."""
        if "shared/cluster.yml" in (self._copy / "molecule" / name / "prepare.yml").read_text():
            self._run(["molecule", "create", "--scenario-name", name])
            inventory = yaml.safe_load((self._copy / "molecule/inventory/hosts.yml").read_text())
            self._run([sys.executable, "-m", "lab", "host", "wipe", *inventory["molecule"]["children"]["cluster"]["hosts"]])
        code, words = self._run(["molecule", "test", "--scenario-name", name, "--destroy", "never"])
        if not code:
            return ""
        return _first(words, r"^(?:FAILED|ERROR) (\S+)") or _last(words, r"^TASK \[(.*)\]") or f"exit {code}"

    def _run(self, command: list[str]) -> tuple[int, str]:
        environment = os.environ | {
            "PATH": f"{self._copy / '.venv/bin'}:{os.environ['PATH']}", "PYTEST_ADDOPTS": "--exitfirst -p no:cacheprovider",
            "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1",
        }  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=self._copy, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self._limit
            )
        except subprocess.TimeoutExpired:
            return 124, ""
        return done.returncode, done.stdout + done.stderr


def _first(words: str, pattern: str) -> str:
    found = re.findall(pattern, words, re.MULTILINE)
    return str(found[0]) if found else ""


def _last(words: str, pattern: str) -> str:
    found = re.findall(pattern, words, re.MULTILINE)
    return f"task {found[-1]}" if found else ""
