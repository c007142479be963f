"""A copy of the checkout, in which one mutant after the other is tried, until some test is red."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.mutations.mutants import Mutant
from tests.mutations.table import BRANCHES, PLUGINS, SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 900  # seconds that a command may take; one that takes longer is red
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
    """Tries the mutants of one role: first what takes seconds, then its scenario."""

    def __init__(self, copy: Path, role: str) -> None:
        self._copy, self._role = copy, role
        self._proven: set[str] = set()
        if red := self._fast():
            raise Broken(f"{red} is red without any mutant of {role}")

    def __call__(self, mutant: Mutant) -> str:
        """What is red; empty when nothing is."""
        if red := self.fast(mutant):
            return red
        for scenario in BRANCHES.get(Path(mutant.file).name, SCENARIOS.get(self._role, (self._role,))):
            if scenario not in self._proven and (red := self._scenario(scenario)):
                raise Broken(f"molecule {scenario}: {red} is red without any mutant of {self._role}")
            self._proven.add(scenario)
            with self._with(mutant):
                red = self._scenario(scenario)
            if red:
                return f"molecule {scenario}: {red}"
        return ""

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
        """Without linters, which judge the form alone."""
        tests = [
            str(path.relative_to(self._copy))
            for path in sorted(self._copy.glob("tests/*/test_*.py"))
            if path.parent.name in ("unit", "contract") and (path.name in ALWAYS or self._concerns(path.read_text()))
        ]
        code, words = self._run(["pytest", "--quiet", f"--deselect={PAGES}", *tests])
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
                command, cwd=self._copy, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST
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
