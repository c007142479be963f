"""Stage driver: in which order a node is cordoned, drained and given back, and what a dry run says of it."""

from typing import Any

import jinja2
import pytest
import yaml
from ansible.plugins.test import core

from rackstart.paths import ROOT

PLAY = next(play for play in yaml.safe_load((ROOT / "playbooks/driver.yml").read_text()) if "serial" in play)
(BLOCK,) = (task for task in PLAY["tasks"] if "block" in task)
TASKS: list[dict[str, Any]] = [task for task in PLAY["tasks"] if "block" not in task] + BLOCK["block"]
NAMES = [task["name"] for task in TASKS]
NOTE = "/var/lib/rackstart/cordoned"


def test_a_run_that_is_killed_leaves_no_cordoned_node_without_the_note() -> None:
    """What decides about the note is known before; it is written before the node is cordoned, and removed after it is given back."""
    asked, noted, cordoned = (next(at for at, name in enumerate(NAMES) if name.startswith(word)) for word in ("Ask", "Note", "Cordon"))
    assert asked < noted < cordoned
    assert TASKS[asked]["register"] in PLAY["vars"]["rackstart_cordoned_here"]
    assert TASKS[noted]["rackstart.cluster.files"]["files"][0]["path"] == NOTE
    assert [task["name"] for task in BLOCK["always"]] == ["Give the node back", "Remove the note"]
    assert BLOCK["always"][1]["ansible.builtin.file"]["path"] == NOTE
    assert {TASKS[noted]["when"], *(task["when"] for task in BLOCK["always"])} == {"rackstart_cordoned_here"}


def test_a_dry_run_says_that_a_node_is_drained() -> None:
    """k8s_drain has no check mode and would be passed over: where it stands, a task of the same name foretells it."""
    for name in ("Cordon the node", "Drain the node", "Give the node back"):
        foretelling, *_ = (task for task in TASKS + BLOCK["always"] if task["name"] == name)
        assert "kubernetes.core.k8s_drain" not in foretelling, name
    foretelling, draining = (task for task in TASKS if task["name"] == "Drain the node")
    assert (foretelling["when"], foretelling["changed_when"]) == ("ansible_check_mode", True)
    assert "kubernetes.core.k8s_drain" in draining


@pytest.mark.parametrize(
    ("case", "result", "again"),
    [
        ("drained", {"changed": True}, False),
        ("a budget refuses", {"failed": True, "msg": "Cannot evict pod as it would violate the pod's disruption budget."}, True),
        ("an API that never answers", {"failed": True, "timedout": {"frame": "", "period": 960}}, False),
    ],
)
def test_a_drain_is_tried_again_where_that_can_help(case: str, result: dict[str, Any], again: bool) -> None:
    environment = jinja2.Environment()
    environment.tests.update(core.TestModule().tests())
    draining = next(task for task in TASKS if "kubernetes.core.k8s_drain" in task)
    assert environment.compile_expression(draining["until"])(rackstart_drain=result) is not again, case
