"""The last run, what it foretold of each model, and the last verdict of an inventory, from files only."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart import doctor, journal, locking, verdict
from rackstart.journal import Record
from rackstart.paths import Project
from rackstart.progress import duration


def collect(project: Project) -> dict[str, Any]:
    """What the files say; None for what there is not.

    {running, last: {run, command, state, started, stages: {NAME: {state, seconds, failures}}}, sizing: [{model, memory, load_time: what was
    foretold, replicas: {POD: {tokens, started}}}], verdict}
    """
    last = next(iter(journal.runs(project.state)), None)
    found = verdict.read(project)
    running = locking.holder(project.state)
    return {
        "running": running,
        "last": _run(last, "running" if running else "killed") if last else None,
        "sizing": _sizing(doctor.read(project) or [], found.caches if found else []),
        "verdict": found.model_dump() if found else None,
    }


def show(console: Console, project: Project, status: dict[str, Any]) -> None:
    """Print what collect found."""
    if running := status["running"]:
        console.print(f"running now: {running['what']} of user {running['user']}, process {running['pid']}")
    last = status["last"]
    if last is None:
        console.print(f"no run of {project.name} yet; see what one would do: python bootstrap.py --inventory {project.name} plan")
        return
    console.print(f"run {last['run']} ({last['command']}) of {last['started']}: {last['state']}")
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    for name, stage in last["stages"].items():
        failed = "; ".join(f"{host}: {task} ({project.shown(place)})" for host, task, place in stage["failures"])
        table.add_row(name, stage["state"], duration(stage["seconds"]), failed)
    console.print(table)
    for model in status["sizing"]:
        console.print(f"{model['model']}: foretold {model['memory']}; {model['load_time']}")
        for pod, came in model["replicas"].items():
            holds = "does not say how many tokens its cache holds" if came["tokens"] is None else f"its cache holds {came['tokens']} tokens"
            console.print(f"  {pod}: {holds}" + ("" if came["started"] is None else f"; ready {came['started']} s after its start"))
    if status["verdict"]:
        found = verdict.Verdict.model_validate(status["verdict"])
        console.print(f"taken {found.generated}:")
        verdict.show(console, found)
    else:
        console.print(f"no verdict; take one: python bootstrap.py --inventory {project.name} verify")


def _sizing(checks: list[dict[str, Any]], caches: list[verdict.Cache]) -> list[dict[str, Any]]:
    """By model: what preflight foretold, and what the replicas said of themselves when the verdict was taken."""
    foretold = {(check["id"], check["target"].removeprefix("models/")): check["seen"] for check in checks}
    return [
        {
            "model": model,
            "memory": seen,
            "load_time": foretold.get(("model.load_time", model), ""),
            "replicas": {cache.pod: {"tokens": cache.tokens, "started": cache.started} for cache in caches if cache.model == model},
        }
        for (id, model), seen in foretold.items()
        if id == "model.memory"
    ]


def _run(record: Record, unended: str) -> dict[str, Any]:
    """A run from its journal; `unended` is what a run or stage without an end is."""
    return {
        "run": record.id,
        "command": record.run["command"],
        "started": record.run["at"],
        "state": record.ended["state"] if record.ended else unended,
        "stages": {name: _stage(entry, "killed" if record.ended else unended) for name, entry in record.stages.items()},
    }


def _stage(entry: dict[str, Any], unended: str) -> dict[str, Any]:
    if entry["kind"] == "stage_end":
        return {"state": entry["state"], "seconds": entry["seconds"], "failures": entry["failures"]}
    seconds = (datetime.now().astimezone() - datetime.fromisoformat(entry["at"])).total_seconds() if unended == "running" else 0
    return {"state": unended, "seconds": seconds, "failures": []}
