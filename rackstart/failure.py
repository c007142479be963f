"""The one-screen failure: which stage, host and task, where that is written, what was said, why, and how to go on."""

import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rackstart import runner
from rackstart.engine import Result
from rackstart.events import Failure
from rackstart.paths import Project

_SHOWN = 3  # different failures of a stage that are shown in full; the log has all
_LINES = 8  # of a message
_CAUSES = (  # the first that fits counts
    (r"Permission denied \(|Authentication failed", "the host refuses the login: check ansible_user and its key (try: ssh USER@HOST)"),
    (r"Host key verification failed|IDENTIFICATION HAS CHANGED", "the host's ssh key is unknown or changed: compare it, mend known_hosts"),
    (r"Could not resolve|resolution|Name or service not known", "a name cannot be resolved: check ansible_host and DNS"),
    (r"(Unable|Failed) to fetch|urlopen error|Request failed|HTTP Error|content file", "check artifact_mirror, the proxy and the network"),
    (r"failure \d+ during|Unable to \w+ service", "systemd refuses: see `systemctl status` of the unit and `journalctl _PID=1` there"),
    (r"^Command failed rc=", "the host name cannot be set: see `systemctl status systemd-hostnamed dbus` there"),
    (r"Error (re)?mounting", "the mount is refused: try `mount` of that directory there, and look at the filer's exports and its log"),
    (r"Reboot command failed|last boot time", "the host does not reboot: see `systemctl list-jobs` there, and its console"),
    (r"Timed out after \d+ second|etcdserver|trying to get resource",
     "the cluster's API does not answer as it should: see `systemctl status k3s` on the servers, and the proxies"),
    (r"refused|No route to host|timed out|Host is down|could not be sent to remote", "the host is off, booting, or not reachable"),
    (r"sudo password|password is required|not in the sudoers", "sudo refuses this user: set ansible_become_password, best in vault.yml"),
    (r"No space left on device|Disk quota exceeded", "a disk of the host is full"),
    (r"Could not get lock|frontend lock", "another package manager is at work on the host; wait for it"),
    (r"[Cc]hecksum|sha256(?!:)", "a download is not what artifacts.lock.yml says: a wrong mirror, or it has changed"),
    (r"is not locked|artifacts\.lock\.yml", "an artifact has no digest yet: run the lock command"),
    (r"[Dd]ecrypt|[Vv]ault", "a vaulted file cannot be opened: set ANSIBLE_VAULT_PASSWORD_FILE"),
    (r"no_log", "the task handles secrets, so its output is hidden"),
)  # fmt: skip


def show(console: Console, project: Project, directory: Path, result: Result, onward: str) -> None:
    """Print the failure of a stage; `onward` is the command that goes on from here, if there is one."""
    console.rule(Text(f"stage {result.stage.name} failed", "bold red"), style="red", align="left")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    groups = list(_groups(result.events.failures or result.events.errors))
    for failure, hosts in groups[:_SHOWN]:
        for name, text in _rows(project, failure, hosts):
            table.add_row(name, text)
        table.add_row("", "")
    if len(groups) > _SHOWN:
        table.add_row("", f"and {len(groups) - _SHOWN} more kinds of failure; see the log")
    if not groups:
        table.add_row("message", "Ansible ended without a reason; see the log")
    table.add_row("log", project.shown(runner.log_file(directory, result.stage)))
    if not result.stops:
        hosts_file = project.shown(project.inventory / "hosts.yml")
        table.add_row(
            "left out", f"{', '.join(result.lost)}, for the rest of the run; to go on without, put it into out_of_service ({hosts_file})"
        )
    if onward:
        table.add_row("go on", onward)
    console.print(table)


def likely_cause(message: str) -> str | None:
    """What usually lies behind a message, for those that are known."""
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, message)), None)


def remedy(failure: Failure) -> tuple[str, str] | None:
    """What to look at, named: the likely cause, or else the command that failed."""
    if cause := likely_cause(failure.message):
        return "likely", cause
    return ("by hand", f"`sudo {failure.command}` on {failure.host} shows more") if failure.command else None


def _groups(failures: list[Failure]) -> Iterator[tuple[Failure, list[str]]]:
    """Failures that differ only in their host, together."""
    hosts: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        hosts.setdefault((failure.task, failure.message.replace(failure.host, "HOST")), []).append(failure)
    for same in hosts.values():
        yield same[0], [failure.host for failure in same]


def _rows(project: Project, failure: Failure, hosts: list[str]) -> Iterator[tuple[str, str]]:
    shown = ", ".join(hosts[:6]) + (f" and {len(hosts) - 6} more" if len(hosts) > 6 else "")
    if failure.host:
        yield "host", f"{shown} (unreachable)" if failure.unreachable else shown
        yield "task", failure.task
    if failure.place:
        yield "at", project.shown(failure.place)
    yield "message", _shorten(failure.message)
    if hint := remedy(failure):
        yield hint


def _shorten(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES // 2], "...", *lines[-_LINES // 2 :]])
