"""What the events of one ansible-runner run say: where it is, counts per host, failures, changes."""

import shlex
from dataclasses import dataclass, field, replace
from typing import Any

_COUNTS = {"ok": "ok", "changed": "changed", "failures": "failed", "dark": "unreachable", "skipped": "skipped"}
_RESULTS = ("runner_on_ok", "runner_on_failed", "runner_on_skipped", "runner_on_unreachable")


@dataclass(frozen=True)
class Failure:
    """One failed or unreachable host. `task` is `role : name`, `place` is file:line, `message` Ansible's own.

    `command` is what the task ran, if it says so. An error of the playbook itself has no host and no task.
    """

    host: str
    task: str
    place: str
    message: str
    unreachable: bool = False
    command: str = ""


@dataclass
class StageEvents:
    """Folds events into a state; each public field is as of the last event added."""

    task: str = ""
    answered: set[str] = field(default_factory=set)  # hosts that have answered the current task
    hosts: dict[str, dict[str, int]] = field(default_factory=dict)  # counts per host: ok, changed, failed, unreachable, skipped
    changes: list[tuple[str, str]] = field(default_factory=list)  # (task and what of it, host) that changed or, in check mode, would change
    notes: list[str] = field(default_factory=list)  # what modules of rackstart.cluster say to a person
    errors: list[Failure] = field(default_factory=list)  # of the playbook itself
    aborted: bool = False  # a play ended for all its hosts because of some
    pid: int | None = None
    _failed: dict[str, Failure] = field(default_factory=dict)
    _final: bool = False

    @property
    def failures(self) -> list[Failure]:
        """The last failure of each host that failed for good; rescued and ignored ones are not among them."""
        return [
            failure
            for host, failure in self._failed.items()
            if not self._final or self.hosts.get(host, {}).get("failed") or self.hosts.get(host, {}).get("unreachable")
        ]

    @property
    def changed(self) -> int:
        """How many results changed something, over all hosts."""
        return sum(counts["changed"] for counts in self.hosts.values())

    def add(self, event: dict[str, Any]) -> None:
        """Take one event of ansible-runner."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        self.pid = self.pid or event.get("pid")
        if kind in ("playbook_on_task_start", "playbook_on_handler_task_start"):
            self.task, self.answered = _task(data), set()
        elif kind in _RESULTS:
            self._result(kind, data, event.get("stdout") or "")
        elif kind == "playbook_on_no_hosts_remaining":
            self.aborted = True
        elif kind == "playbook_on_stats":
            self._stats(data)
        elif kind in ("verbose", "error"):
            for line in event.get("stdout", "").splitlines():  # one by one when a playbook is read, all in one once it runs
                self._complaint(line)

    def _result(self, kind: str, data: dict[str, Any], shown: str) -> None:
        host, result = data["host"], data.get("res") or {}
        counts = self.hosts.setdefault(host, dict.fromkeys(_COUNTS.values(), 0))
        self.answered.add(host)
        if kind == "runner_on_ok":
            counts["ok"] += 1
            self.notes += result.get("notes") or []
            if result.get("changed") or ("censored" in result and shown.startswith("changed:")):  # with no_log only what is shown tells
                counts["changed"] += 1
                what = ", ".join(result.get("changes") or [])  # as modules of rackstart.cluster have it: files, units, objects
                self.changes.append((f"{_task(data)}: {what}" if what else _task(data), host))
        elif kind == "runner_on_skipped":
            counts["skipped"] += 1
        elif not data.get("ignore_errors"):
            unreachable = kind == "runner_on_unreachable"
            counts["unreachable" if unreachable else "failed"] += 1
            place, command = data.get("task_path") or "", _command(result)
            self._failed[host] = Failure(host, _task(data), place, _message(result), unreachable, command)

    def _complaint(self, line: str) -> None:
        if line.startswith("[ERROR]: "):
            self.errors.append(Failure("", "", "", line.removeprefix("[ERROR]: ")))
        elif line.startswith("Origin: ") and self.errors:
            self.errors[-1] = replace(self.errors[-1], place=line.removeprefix("Origin: "))

    def _stats(self, data: dict[str, Any]) -> None:
        """The recap: it alone knows what was rescued or ignored."""
        hosts = {host for theirs in _COUNTS for host in data.get(theirs) or {}}
        self.hosts = {host: {ours: (data.get(theirs) or {}).get(host, 0) for theirs, ours in _COUNTS.items()} for host in hosts}
        self._final = True


def _task(data: dict[str, Any]) -> str:
    name = data.get("task") or data.get("name") or ""
    role = data.get("role")
    return f"{role} : {name}" if role and not name.startswith(f"{role} : ") else name


def _items(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a loop that failed."""
    return [item for item in result.get("results") or [] if isinstance(item, dict) and (item.get("failed") or item.get("unreachable"))]


def _command(result: dict[str, Any]) -> str:
    """The command line that failed, as a shell takes it."""
    command = [*_items(result), result][0].get("cmd") or ""
    return command if isinstance(command, str) else shlex.join(map(str, command))


def _message(result: dict[str, Any]) -> str:
    """The most telling text of a failed result."""
    if items := _items(result):
        return _message(items[0]) + (f" (and {len(items) - 1} more)" if len(items) > 1 else "")
    text = str(result.get("msg") or result.get("censored") or result.get("reason") or "no message")
    detail = str(result.get("stderr") or result.get("module_stderr") or result.get("module_stdout") or "").strip()
    return f"{text}\n{detail}" if detail and detail not in text else text
