"""A fresh host, a fault on it, and a role's play."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rackstart import failure
from rackstart.events import StageEvents

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TABLE: dict[str, dict[str, Any]] = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((HERE / "cases").glob("*.yml"))}
FAULTS = ("fails", "hangs", "lies")
MENDED = "mended"
OUTCOMES = {"converges": "got over in the same run", MENDED: "not seen by the run; the next one mended it"}


@dataclass(frozen=True)
class Case:
    """One call of a role or of its stage that misbehaves once; says: words of the failure, none where the outcome is another."""

    role: str
    call: str
    fault: str
    at: dict[str, Any]
    outcome: str
    says: tuple[str, ...]

    @property
    def name(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.role} {self.call} {self.fault}".lower())

    @property
    def suite(self) -> str:
        """What kind of host the role is played on, of lab/root/suites.yml."""
        return str(self.at.get("suite", "bookworm"))

    @property
    def needs(self) -> list[str]:
        """Fixtures: what else has to be there."""
        return [*TABLE[self.role].get("with", []), *self.at.get("with", [])]

    @property
    def variables(self) -> dict[str, Any]:
        """Of the role's play."""
        return variables(self.role) | self.at.get("variables", {})

    @property
    def stage(self) -> str:
        """The stage that a role, or the call alone, is played as on the cluster; empty for what is played by itself on a host."""
        return str(self.at.get("stage", TABLE[self.role].get("stage", "")))


@dataclass(frozen=True)
class Played:
    """What a play came to: exit code, tasks that changed something, what the one that failed said, and what the wrapper adds to that."""

    code: int
    changed: list[str]
    said: str
    remedy: str


def cases() -> list[Case]:
    """All cases, by role."""
    return [
        Case(role, call["call"], fault, call, *((outcome, ()) if isinstance(outcome, str) else ("fails", tuple(outcome))))
        for role, table in TABLE.items()
        for call in table["calls"]
        for fault, outcome in call["faults"].items()
    ]


def left_out() -> list[tuple[str, str, str, str]]:
    """Role and call, the faults of it that are not tried, and why."""
    return [
        (role, call["call"], ", ".join(fault for fault in FAULTS if fault not in call["faults"]), call["without"])
        for role, table in TABLE.items()
        for call in table["calls"]
        if "without" in call
    ]


def lab(*arguments: str, given: str = "") -> None:
    subprocess.run([sys.executable, "-m", "lab", *arguments], cwd=ROOT, check=True, input=given, capture_output=True, text=True)


def variables(role: str) -> dict[str, Any]:
    """Those that all cases of a role have in common."""
    return dict(TABLE[role].get("variables", {}))


def up(name: str, address: str, gpus: list[str], suite: str = "bookworm") -> None:
    """A host of the lab, and the lab's mirror."""
    lab("up", "--topology", "/dev/stdin", given=yaml.safe_dump({"hosts": {name: {"address": address, "gpus": gpus, "suite": suite}}}))


def on(host: str, command: str, text: str = "") -> str:
    """Output of a shell command as root on a host, which reads text."""
    script = f"sudo -S -p '' sh -c {shlex.quote(command)}"
    password = Path("/var/lib/rackstart-lab/become_password").read_text().strip()
    done = subprocess.run(
        [sys.executable, "-m", "lab", "ssh", host, script], cwd=ROOT, input=f"{password}\n{text}", capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def shim(host: str, case: Case) -> None:
    """Put the shim of a program where sudo's PATH looks first, or where the case says."""
    program = case.at["program"]
    values = {
        "arguments": case.at.get("arguments", ""),
        "fault": case.fault,
        "code": case.at.get("code", "100"),
        "output": case.at.get("output", ""),
        "program": program,
    }
    text = re.sub(r"@(\w+)@", lambda found: str(values[found[1]]), (HERE / "shim.sh").read_text())
    place = case.at.get("place", f"/usr/local/sbin/{Path(program).name}")
    on(host, f"cat >{place}; chmod 755 {place}", text)


def play(role: str, host: str, inventory: Path, seconds: int, variables: dict[str, Any]) -> Played:
    """The role's play on the host; seconds: the bound on its tasks."""
    book = inventory.parent / f"{role}.yml"
    play = {
        "name": role,
        "hosts": host,
        "become": True,
        "gather_facts": False,
        "vars": variables,
        "roles": [role],
    }
    book.write_text(yaml.safe_dump([play], sort_keys=False))
    return run(book, inventory, {"rackstart_task_seconds": seconds})


def run(book: Path, inventory: Path, variables: dict[str, Any]) -> Played:
    """A playbook with further variables."""
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RACKSTART_RECORD": str(ROOT / ".ansible/record-faults.jsonl"),  # for `make coverage`
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["ansible-playbook", "-i", str(inventory), str(book), "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    return read(done.returncode, done.stdout, done.stderr)


def judged(case: Case, first: Played, again: Callable[[], Played]) -> str:
    """What came of the fault, after the runs that have to follow the first; the assertions are those of every case."""
    if case.outcome == MENDED:
        assert first.code == 0, first.said
        second = again()
        assert second.code == 0, second.said
        assert second.changed != [], "there was nothing to mend"
    elif case.says:
        assert first.code != 0, ("no failure", first)
        assert [words for words in case.says if words not in first.said] == [], first.said
        assert first.remedy or "run again" in first.said, first.said
        second = again()
        assert second.code == 0, second.said
    else:
        assert first.code == 0, first.said
    last = again()
    assert (last.code, last.changed) == (0, []), last
    told = [first.said, *([first.remedy] if "run again" not in first.said else [])]
    return "; ".join(told) if first.said else OUTCOMES[case.outcome]


def read(code: int, output: str, errors: str) -> Played:
    """What Ansible's JSON says."""
    start = output.find("{\n")
    assert start >= 0, (code, output, errors)
    tasks = [task for played in json.loads(output[start:])["plays"] for task in played["tasks"]]
    results = [(task["task"]["name"], result) for task in tasks for result in task["hosts"].values()]
    failed = [result for _, result in results if result.get("failed") or result.get("unreachable")]
    changed = [name for name, result in results if result.get("changed")]
    if code == 0 or not failed:
        return Played(code, changed, "", "")
    events = StageEvents()
    events.add({"event": "runner_on_failed", "event_data": {"host": "the host", "res": failed[-1]}})
    return Played(code, changed, said(failed[-1]), ": ".join(failure.remedy(events.failures[0]) or ()))


def said(result: dict[str, Any]) -> str:
    """What a person sees of a failure."""
    parts = [result, *result.get("results", [])]
    failed = [part for part in parts if part.get("failed")]
    return "\n".join(
        str(part[key]).strip() for part in failed for key in ("msg", "url", "response", "cmd", "stderr", "module_stderr") if part.get(key)
    )
