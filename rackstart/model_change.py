"""Models by command: declared, staged, brought in service, removed. A command edits the declaration, runs stages, or both."""

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from rackstart import inventory, locking, session
from rackstart.declaration import Declaration
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project
from rackstart.session import Outcome, Request
from rackstart.stages import Stage

STAGED = ("models", "volumes")
SERVED = ("models", "volumes", "inference", "gateway", "monitoring")
REMOVED = ("inference", "gateway", "monitoring")  # they remove what is not declared; files in the store are left to `model gc`


def add(project: Project, model: dict[str, Any], console: Console) -> Declaration:
    """Declare one more model. Raises ConfigurationError, and changes nothing, when a run would refuse it."""
    rules = _rules()
    inventory.load(project)
    with hold(project, "add", console):
        declaration = Declaration.read(project)
        _check(rules, inventory.variable(project, "models") or [], model, declaration.shown)
        declaration.write(declaration.added(model))
    return declaration


def stage(
    project: Project, table: Sequence[Stage], name: str, revision: str, console: Console, verbosity: int = 0
) -> tuple[Request, Outcome]:
    """Fetch and verify a model and mount it on its nodes, at the declared revision or another. What is in service goes on."""
    model = _declared(project, name)
    model = model | {"revision": _revision(revision)} if revision else model
    told = (json.dumps({"models": [model]}),)  # of this model alone
    request = Request("run", only=STAGED, extra_vars=told, verbosity=verbosity, asked=_words("stage", name, revision))
    return request, session.perform(project, table, request, console)


def promote(
    project: Project, table: Sequence[Stage], name: str, revision: str, console: Console, verbosity: int = 0
) -> tuple[Request, Outcome]:
    """Bring a model in service at a revision, which is declared for it. Unless it comes into service the declaration is as before."""
    _declared(project, name)
    request = Request("run", only=SERVED, verbosity=verbosity, asked=_words("promote", name, revision))
    with hold(project, f"promote {name}", console):
        declaration = Declaration.read(project)
        changed = declaration.revised(name, _revision(revision)) if revision else declaration.text
        if changed != declaration.text:
            declaration.write(changed)
        outcome = None
        try:
            outcome = session.perform(project, table, request, console, held=True)
        finally:
            serves = outcome and any(result.stage.name == "inference" and result.state == "passed" for result in outcome.results)
            if changed != declaration.text and not serves:
                _put_back(project, declaration, changed, name, console)
    return request, outcome


def remove(project: Project, table: Sequence[Stage], name: str, console: Console, verbosity: int = 0) -> tuple[Request, Outcome]:
    """Take a model out of the declaration, and with it all that serves it."""
    _declared(project, name)
    if len(inventory.variable(project, "models")) == 1:
        raise ConfigurationError(f"{name} is the only model, and the gateway has to lead to one; add and promote another one first")
    request = Request("run", only=REMOVED, verbosity=verbosity)
    with hold(project, f"remove {name}", console):
        declaration = Declaration.read(project)
        declaration.write(declaration.without(name))
        console.print(f"{name} is taken out of {declaration.shown}; its files stay in the store until `model gc`")
        return request, session.perform(project, table, request, console, held=True)


def hold(project: Project, what: str, console: Console) -> contextlib.AbstractContextManager[None]:
    """The inventory's lock: no stage of a run reads a declaration in the middle of its change."""
    return locking.hold(project.state, project.control_path, f"'model {what}'", console.print)


def _declared(project: Project, name: str) -> dict[str, Any]:
    """A model as the inventory declares it. Raises ConfigurationError naming those there are."""
    inventory.load(project)
    models: list[dict[str, Any]] = inventory.variable(project, "models") or []
    for model in models:
        if model.get("name") == name:
            return model
    known = ", ".join(str(model.get("name")) for model in models) or "none"
    raise ConfigurationError(f"there is no model {name}; declared: {known}")


def _revision(text: str) -> str:
    if re.fullmatch(r"[0-9a-f]{40}", text):
        return text
    raise ConfigurationError(f"--revision {text}: write the commit, all 40 hexadecimal digits; branches and tags move")


def _words(action: str, name: str, revision: str) -> tuple[str, ...]:
    return ("model", action, name, *(("--revision", revision) if revision else ()))


def _rules() -> Any:
    """Preflight's own. Imported before Ansible is, which then has a way of its own to find collections."""
    sys.path.insert(0, str(ROOT / "collections"))
    from ansible_collections.rackstart.cluster.plugins.module_utils import checks_models

    return checks_models


def _check(rules: Any, models: list[dict[str, Any]], model: dict[str, Any], shown: str) -> None:
    """Refuse what preflight would refuse of the declarations alone, and was not wrong before."""
    if any(other.get("name") == model["name"] for other in models):
        raise ConfigurationError(f"{shown} declares a model {model['name']} already; its revision is changed by `model promote`")
    before, after = _wrong(rules.declared(models)), _wrong(rules.declared([*models, model]))
    if wrong := [text for text in after if text not in before]:
        raise ConfigurationError("\n  ".join(["the model was not declared:", *wrong]))


def _wrong(findings: Iterable[dict[str, Any]]) -> list[str]:
    red = [found for found in findings if found["ok"] is False]
    return [f"{one['target']}: {one['id']}: seen {one['seen']}; expected {one['expected']}; {one['remedy']}" for one in red]


def _put_back(project: Project, before: Declaration, written: str, name: str, console: Console) -> None:
    """What was declared, if nobody has changed the file meanwhile."""
    former = before.revision(name)
    by_hand = f"{before.shown} has still the revision that failed: write {former} for {name}, or a further run tries the same again"
    try:
        if Declaration.read(project).text != written:
            console.print(f"somebody has changed the file meanwhile. {by_hand}")
            return
        before.write(before.text)
    except (ConfigurationError, OSError) as error:
        console.print(f"{error}. {by_hand}")
        return
    console.print(f"{before.shown} declares {name} at {former} again, as before; a run brings what is declared")
