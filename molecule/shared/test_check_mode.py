"""Every role: what check mode foretold, task by task, against what the run then changed, from the record of both."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Change = tuple[str, str, str]  # task's place, its name, host


@dataclass
class Played:
    """One play of a scenario's converge.yml."""

    check: bool
    changed: set[Change] = field(default_factory=set)


@pytest.fixture(scope="module")
def played() -> list[Played]:
    """The last six: check and run on a clean host, run again, check and run on an altered host, check on the mended one."""
    found: dict[str, Played] = {}
    converge = f"molecule/{os.environ['MOLECULE_SCENARIO_NAME']}/converge.yml"
    for line in Path(os.environ["RACKSTART_RECORD"]).read_text().splitlines():
        entry = json.loads(line)
        if "playbook" in entry:
            found |= {entry["run"]: Played(entry["check"])} if entry["playbook"] == converge else {}
        elif entry["run"] in found and entry["outcome"] == "changed":
            found[entry["run"]].changed.add((entry["task"], entry["name"], entry["host"]))
    last = list(found.values())[-6:]
    assert [play.check for play in last] == [True, False, False, True, False, True]
    return last


def test_on_a_clean_host_nothing_is_changed_that_was_not_foretold(played: list[Played]) -> None:
    foretold, done = played[0].changed, played[1].changed
    assert done
    assert done - foretold == set()


def test_on_an_altered_host_just_what_was_foretold_is_changed(played: list[Played]) -> None:
    foretold, done = played[3].changed, played[4].changed
    assert done
    assert foretold == done


def test_on_a_converged_host_nothing_is_changed_or_foretold(played: list[Played]) -> None:
    assert played[2].changed == set()
    assert played[5].changed == set()
