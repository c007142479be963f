"""Why each stage would run: never ran, failed, cut short, inputs changed, or passed under the same digest (then --resume skips it)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rackstart.digest import Inputs, differences
from rackstart.inventory import Inventory
from rackstart.journal import Record
from rackstart.stages import CONTROLLER, Stage

_NAMED = 3  # changed inputs that are named; the rest are counted


@dataclass(frozen=True)
class Decision:
    """`passed`: on each of its hosts, under the same digest. `why` is one phrase for a person."""

    passed: bool
    why: str


def decide(stages: Sequence[Stage], inventory: Inventory, inputs: Inputs, history: Sequence[Record]) -> dict[str, Decision]:
    """One decision per stage from the journals of former runs (newest first, of command `run` only).

    The verdict is always taken anew, and a stage is run again after any that it needs.
    """
    decisions: dict[str, Decision] = {}
    for stage in stages:
        decision = _decide(stage, inventory.of(stage), inputs, history)
        again = [name for name in stage.after if name in decisions and not decisions[name].passed]
        if stage.hosts == CONTROLLER:
            decision = Decision(False, "taken anew each time")
        elif decision.passed and again:
            decision = Decision(False, f"passed, but {again[0]} runs again")
        decisions[stage.name] = decision
    return decisions


def _decide(stage: Stage, hosts: Sequence[str], inputs: Inputs, history: Sequence[Record]) -> Decision:
    same = []  # an older run under the same digest says nothing once another came between
    for record in history:
        if record.run["digest"] != inputs.digest:
            break
        same.append(record)
    tried = [record for record in same if stage.name in record.stages]
    if not tried:
        return _not_under_this_digest(stage, inputs, history)
    if not hosts:
        return _whole(tried[0], stage)
    passed: dict[str, str] = {}
    failed: dict[str, str] = {}
    for record in tried:
        for host, good in _hosts(record.stages[stage.name]).items():
            if host not in passed and host not in failed:
                (passed if good else failed)[host] = record.id
    if bad := [host for host in hosts if host in failed]:
        return Decision(False, f"failed on {', '.join(bad)} in run {failed[bad[0]]}")
    if missing := [host for host in hosts if host not in passed]:
        cut = tried[0].stages[stage.name]["kind"] == "stage_start"
        return Decision(False, f"was cut short in run {tried[0].id}" if cut else f"never passed on {', '.join(missing)}")
    return Decision(True, f"passed in run {passed[hosts[0]]} under the same digest")


def _whole(record: Record, stage: Stage) -> Decision:
    """Decision for a stage that runs on the controller."""
    entry = record.stages[stage.name]
    if entry["kind"] == "stage_start":
        return Decision(False, f"was cut short in run {record.id}")
    if entry["state"] == "passed":
        return Decision(True, f"passed in run {record.id} under the same digest")
    return Decision(False, f"failed in run {record.id}")


def _not_under_this_digest(stage: Stage, inputs: Inputs, history: Sequence[Record]) -> Decision:
    for record in history:
        if stage.name in record.stages:
            changed = differences(record.run["inputs"], inputs.files)
            if not changed:  # the same inputs once more, after a run with others
                return Decision(False, f"ran in {record.id}, but a later run had other inputs")
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            return Decision(False, f"inputs changed since run {record.id}: {', '.join(changed[:_NAMED])}{more}")
    return Decision(False, "never ran")


def _hosts(entry: dict[str, Any]) -> dict[str, bool]:
    """Whether the stage passed on each host that it was to work on, by its last record."""
    if entry["kind"] == "stage_start" or entry["state"] == "interrupted":
        return {}
    if entry["state"] == "passed":
        return dict.fromkeys(entry["on"], True)
    seen = {host: not (entry["aborted"] or counts["failed"] or counts["unreachable"]) for host, counts in entry["hosts"].items()}
    return {host: seen.get(host, False) for host in entry["on"]}
