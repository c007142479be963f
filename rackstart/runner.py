"""One stage, one ansible-runner run."""

import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rackstart import processes
from rackstart.errors import ConfigurationError
from rackstart.events import StageEvents
from rackstart.paths import Project
from rackstart.stages import Stage

_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWD|PASSWORD|SSHPASS|CREDENTIALS?|_PAT|(API|ACCESS|PRIVATE)_?KEY)$", re.I)


@dataclass(frozen=True)
class Settings:
    """What all stages of a run share: its id and directory, where ssh's control sockets go, check mode, prepared extra variables
    (@file), Ansible's verbosity.
    """

    run: str
    directory: Path
    control_path: Path
    check: bool = False
    extra_vars: tuple[str, ...] = ()
    verbosity: int = 0


def arguments(project: Project, settings: Settings, stage: Stage, inventory: Sequence[Path], limit: Sequence[str] | None) -> dict[str, Any]:
    """Arguments of ansible_runner.run for a stage, handlers excepted. `limit` are hosts; the controller's own plays always stay in."""
    private = temporary(settings.directory) / stage.name
    private.mkdir(mode=0o700)
    options = ["--check", "--diff"] if settings.check else []
    options += [part for text in settings.extra_vars for part in ("-e", text)]
    programs = str(Path(sys.executable).parent)
    return {
        "private_data_dir": str(private),
        "artifact_dir": str(private / "artifacts"),
        "ident": stage.name,
        "project_dir": str(project.root),
        "playbook": playbook(stage),
        "inventory": [str(path) for path in inventory],
        "limit": ",".join((*limit, "localhost")) if limit is not None else None,
        "cmdline": shlex.join(options) or None,
        "verbosity": settings.verbosity or None,
        "quiet": True,
        "fact_cache_type": "memory",  # ansible-runner's own would gather again in each stage and keep facts on disk
        "settings": {"pexpect_timeout": 1, "suppress_output_file": True},  # a cancel is seen within that second; the log is ours
        "envvars": {
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_CONFIG": str(project.root / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner turns it off unless told
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(settings.control_path),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_NOCOLOR": "True",
            processes.MARK: settings.run,
        },
    }


def run(
    project: Project,
    settings: Settings,
    stage: Stage,
    inventory: Sequence[Path],
    limit: Sequence[str] | None,
    *,
    cancelled: Callable[[], bool],
    on_event: Callable[[StageEvents, dict[str, Any]], None],
) -> tuple[str, StageEvents]:
    """Run a stage's playbook; return ansible-runner's status (successful, failed, canceled) and what its events said.

    Ansible's output goes to STAGE.log in the run's directory, and no event file is kept.
    """
    import ansible_runner

    seen = StageEvents()

    def handle(event: dict[str, Any]) -> bool:
        if text := event.get("stdout"):
            log.write(text + "\n")
            log.flush()
        seen.add(event)
        on_event(seen, event)
        return False

    with open(log_file(settings.directory, stage), "w", opener=_private) as log:
        result = ansible_runner.run(
            **arguments(project, settings, stage, inventory, limit),
            event_handler=handle,
            status_handler=_forget_environment,
            cancel_callback=cancelled,
        )
    return result.status, seen


def playbook(stage: Stage) -> str:
    """A stage's playbook, relative to the project."""
    return f"{stage.folder}/{stage.name}.yml"


def log_file(directory: Path, stage: Stage) -> Path:
    """Where a run keeps Ansible's output of a stage."""
    return directory / f"{stage.name}.log"


def temporary(directory: Path) -> Path:
    """What of a run must not outlive it: files of ansible-runner and Ansible, values of -e."""
    path = directory / "tmp"
    path.mkdir(exist_ok=True, mode=0o700)
    return path


def check_extra_vars(given: Sequence[str]) -> None:
    """Refuse -e values that Ansible would refuse, and files that are not there or cannot be read."""
    for number, text in enumerate(given, 1):
        if text.startswith("@"):
            _check_mapping(f"-e {text}", _content(text))
        elif text[:1] in ("{", "["):
            _check_mapping(f"-e number {number}", text)  # the value may be a secret
        elif "=" not in text:
            raise ConfigurationError(f"-e {text}: write key=value, a YAML or JSON mapping, or @file")


def _content(text: str) -> bytes:
    try:
        path = Path(text[1:]).expanduser()
        if path.is_file():  # no pipe: what is read here would be gone for Ansible
            return path.read_bytes()
    except (OSError, RuntimeError) as error:  # the latter for a ~USER that is not there
        raise ConfigurationError(f"-e {text}: {getattr(error, 'strerror', '') or error}; name a file that you can read") from None
    raise ConfigurationError(f"-e {text}: there is no such file")


def _check_mapping(what: str, text: str | bytes) -> None:
    """YAML or JSON, whose tabs YAML refuses. Neither the parser's words nor the text are told: they may hold secrets."""
    if text[:15] == b"$ANSIBLE_VAULT;":
        return
    try:
        good = isinstance(json.loads(text), dict)
    except ValueError:
        try:
            # Composed only: !vault and the like are Ansible's.
            good = isinstance(yaml.compose(text, Loader=yaml.SafeLoader), yaml.MappingNode)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise ConfigurationError(f"{what}: not valid YAML or JSON{place}; write a mapping such as {{key: value}}") from None
    if not good:
        raise ConfigurationError(f"{what}: no mapping; write one such as {{key: value}}")


def prepare_extra_vars(given: Sequence[str], directory: Path) -> tuple[str, ...]:
    """Turn -e values into @files that only the user can read, so that none of them is on a command line."""
    from ansible.parsing.splitter import parse_kv

    prepared = []
    for number, text in enumerate(given, 1):
        if text.startswith("@"):
            file = Path(text[1:]).expanduser().resolve()
        else:
            file = temporary(directory) / f"extra-vars-{number}.yml"
            with open(file, "w", opener=_private) as out:
                out.write(text if text[:1] in "{[" else json.dumps(parse_kv(text)))
        prepared.append(f"@{file}")
    return tuple(prepared)


def drop_secrets_from_environment() -> list[str]:
    """Remove variables that are named like secrets: every process of a run would inherit them, and ansible-runner writes them down."""
    names = sorted(name for name in os.environ if _SECRET_NAME.search(name))
    for name in names:
        del os.environ[name]
    return names


def _forget_environment(status: dict[str, Any], runner_config: Any) -> None:
    """ansible-runner has just written the whole environment into its `command` file: leave only the command there."""
    if status["status"] == "running":
        with contextlib.suppress(FileNotFoundError):
            Path(runner_config.artifact_dir, "command").write_text(json.dumps(runner_config.command))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
