"""What a command shows at its end: failures, changes, the verdict; or all of it as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from rackstart import doctor, failure, verdict
from rackstart.engine import Result
from rackstart.paths import Project
from rackstart.progress import duration
from rackstart.session import Outcome, Request, state


def show(console: Console, output: Console, project: Project, request: Request, outcome: Outcome) -> None:
    """Show failures on `console` and results on `output`."""
    again = request.line(project)
    onward = f"{again} --resume" if request.command == "run" and not request.asked else again
    for result in outcome.results:
        if result.state == "failed" and not _reported(result, outcome):
            failure.show(console, project, outcome.directory, result, onward)
    if outcome.checks and (request.command == "doctor" or any(map(doctor.concerns_a_run, outcome.checks))):
        doctor.show(output, outcome.checks, every=request.command == "doctor")
    if request.command == "check":
        _show_changes(output, outcome.results)
    if outcome.verdict:
        verdict.show(output, outcome.verdict, outcome.key)
    if request.command == "run" and not outcome.error:
        console.print(f"done in {duration(outcome.seconds)}")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same for programs: {run, state, error, seconds, logs, stages: [...], preflight, verdict}."""
    return {
        "run": outcome.run,
        "state": state(outcome.error),
        "error": str(outcome.error) if outcome.error else None,
        "seconds": round(outcome.seconds, 3),
        "logs": str(outcome.directory),
        "stages": [_stage(result) for result in outcome.results],
        "preflight": outcome.checks,
        "verdict": outcome.verdict.model_dump() if outcome.verdict else None,
    }


def _stage(result: Result) -> dict[str, Any]:
    return {
        "stage": result.stage.name,
        "state": result.state,
        "why": result.why,
        "seconds": round(result.seconds, 3),
        "hosts": result.events.hosts,
        "failures": [vars(failed) for failed in result.events.failures or result.events.errors],
        "changes": [{"task": task, "host": host} for task, host in result.events.changes],
        "notes": result.events.notes,
    }


def _reported(result: Result, outcome: Outcome) -> bool:
    """Whether a failed stage's own report says why."""
    if result.stage.name == "preflight":
        return any(doctor.refuses(check) for check in outcome.checks or [])
    return result.stage.name == "verify" and outcome.verdict is not None and not outcome.verdict.green


def _show_changes(output: Console, results: Sequence[Result]) -> None:
    """What `check` found: each task that would change something, with its hosts."""
    changes: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for task, host in result.events.changes:
            changes.setdefault((result.stage.name, task), []).append(host)
    for (stage, task), hosts in changes.items():
        output.print(f"would change: {stage}: {task} on {', '.join(hosts)}")
    if not changes and not any(result.state == "failed" for result in results):
        output.print("nothing would change")
