"""One playbook of day 2, run by itself and beside whatever runs, and what its last task says."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from rackstart import failure, inventory, runner
from rackstart.engine import Result
from rackstart.errors import StageFailed
from rackstart.events import StageEvents
from rackstart.paths import Project
from rackstart.stages import Stage


def perform(project: Project, stage: Stage, variables: dict[str, Any], wanted: str, console: Console) -> dict[str, Any]:
    """The result of the task that returns `wanted`. Variables are on no command line. Raises StageFailed."""
    answers: list[dict[str, Any]] = []

    def take(_: StageEvents, event: dict[str, Any]) -> None:
        result = (event.get("event_data") or {}).get("res") or {}
        if event.get("event") == "runner_on_ok" and wanted in result:
            answers.append(result)

    hosts = inventory.load(project)
    with _directory(project, stage) as directory:
        extra = runner.prepare_extra_vars((json.dumps(variables),), directory)
        settings = runner.Settings(run=directory.name, directory=directory, control_path=project.control_path, extra_vars=extra)
        status, seen = runner.run(project, settings, stage, [hosts.path], None, cancelled=lambda: False, on_event=take)
        if status != "successful" or not answers:
            failure.show(console, project, directory, Result(stage, "failed", events=seen), "")
            raise StageFailed(f"{stage.name} failed: look at the message")
    return answers[-1]


@contextlib.contextmanager
def _directory(project: Project, stage: Stage) -> Iterator[Path]:
    """A directory that is kept when something goes wrong, for its log."""
    parent = project.state / "day2"
    parent.mkdir(exist_ok=True, mode=0o700)
    directory = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(runner.temporary(directory))
    shutil.rmtree(directory)
