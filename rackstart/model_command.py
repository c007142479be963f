"""What `model` is asked, told to whoever does it, and what comes of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from rackstart import model, model_change, model_gc, report
from rackstart.errors import ConfigurationError, RackstartError
from rackstart.paths import Project
from rackstart.session import Outcome, Request
from rackstart.stages import Stage

NEEDED = ("repository", "revision", "context", "prompt", "expect")  # of add
TAKES = {
    "list": (),
    "add": ("name", *NEEDED, "engine", "file", "served_name", "replicas", "gpus", "memory"),
    "stage": ("name", "revision"),
    "promote": ("name", "revision"),
    "rollback": ("name",),
    "remove": ("name",),
    "gc": ("check",),
}


@dataclass(frozen=True)
class Answer:
    """The result for programs, how it is shown to people, and what was wrong."""

    json: Any
    show: Callable[[Console], None]
    error: RackstartError | None = None


def perform(project: Project, table: Sequence[Stage], action: str, given: dict[str, Any], console: Console, verbosity: int) -> Answer:
    """Do it. given: name and options by name, None or empty when they were not given. Raises RackstartError."""
    given = {option: value for option, value in given.items() if value is not None and value is not False and value != ""}
    if unknown := sorted(given.keys() - set(TAKES[action])):
        raise ConfigurationError(f"model {action} takes no {_option(unknown[0])}")
    if "name" in TAKES[action] and "name" not in given:
        raise ConfigurationError(f"model {action} NAME: say which model")
    name, revision = given.get("name", ""), given.get("revision", "")
    if action in ("list", "rollback"):
        found = model.perform(project, action, name, console)
        return Answer(found, lambda output: model.show(output, action, name, found))
    if action == "add":
        return _add(project, declaration(given), console)
    if action == "gc":
        check = bool(given.get("check"))
        request, outcome, removed = model_gc.perform(project, check, console, verbosity)
        if outcome.error:
            return _ran(project, request, outcome, console)
        return Answer(removed, lambda output: model_gc.show(output, removed, check))
    if action == "remove":
        return _ran(project, *model_change.remove(project, table, name, console, verbosity), console)
    change = model_change.stage if action == "stage" else model_change.promote
    return _ran(project, *change(project, table, name, revision, console, verbosity), console)


def declaration(given: dict[str, Any]) -> dict[str, Any]:
    """An entry of `models`. Raises ConfigurationError for what is missing."""
    if lacking := [option for option in NEEDED if option not in given]:
        raise ConfigurationError(f"model add needs {', '.join(map(_option, lacking))}")
    memory, engine, gpus = given.get("memory", "32Gi"), given.get("engine", "vllm"), given.get("gpus", 1)
    if not re.fullmatch(r"[1-9]\d*[MGT]i", memory):
        raise ConfigurationError(f"--memory {memory}: write a number with Mi, Gi or Ti, such as 32Gi")
    if ("file" in given) != (engine == "ollama"):
        raise ConfigurationError("--engine ollama and --file go together: the repository's one GGUF file")
    return {
        "name": given["name"],
        "repo": given["repository"],
        "revision": given["revision"],
        "engine": engine,
        **({"file": given["file"]} if engine == "ollama" else {}),
        "served_name": given.get("served_name", given["name"]),
        "replicas": given.get("replicas", 1),
        "gpus_per_replica": gpus,
        "node_selector": {"gpu": "true"} if gpus else {},
        "context_length": given["context"],
        **({"dtype": "auto"} if engine != "ollama" else {}),
        "startup_seconds": 900,
        "resources": {"requests": {"cpu": "1", "memory": memory}, "limits": {"memory": memory}},
        "golden_prompts": [{"prompt": given["prompt"], "expect": given["expect"]}],
    }


def _add(project: Project, wanted: dict[str, Any], console: Console) -> Answer:
    file = model_change.add(project, wanted, console).shown
    name = wanted["name"]
    command = f"python bootstrap.py --inventory {project.name}"

    def show(output: Console) -> None:
        output.print(f"{name} is declared in {file}, and nothing else was touched. Look through what was filled in there, then")
        for words, what in (
            ("doctor", "says whether it fits"),
            (f"model stage {name}", "fetches it"),
            (f"model promote {name}", "serves it"),
        ):
            output.print(f"  {command} {words}  # {what}")

    return Answer({"file": file, "model": wanted}, show)


def _ran(project: Project, request: Request, outcome: Outcome, console: Console) -> Answer:
    return Answer(report.as_json(outcome), lambda output: report.show(console, output, project, request, outcome), outcome.error)


def _option(name: str) -> str:
    return name if name == "name" else f"--{name.replace('_', '-')}"
