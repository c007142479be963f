"""The stage table and the order of stages."""

import itertools
import random
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from rackstart import graph
from rackstart.errors import ConfigurationError
from rackstart.stages import STAGES, Stage

NAMES = [stage.name for stage in STAGES]
LARGE = {  # a server with GPUs that also stores, two agents
    "all": ["server-1", "gpu-1", "gpu-2"],
    "storage": ["server-1"],
    "gpu": ["server-1", "gpu-1", "gpu-2"],
    "k3s_server": ["server-1"],
    "k3s_agent": ["gpu-1", "gpu-2"],
}


def hosts_of(groups: dict[str, list[str]]) -> dict[str, list[str]]:
    return {stage.name: groups.get(stage.hosts, []) for stage in STAGES}


def batches(order: dict[str, set[str]]) -> list[set[str]]:
    """Stages that may run at once, when each takes equally long."""
    sorter = TopologicalSorter(order)
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        found.append(set(ready))
        sorter.done(*ready)
    return found


def test_the_table_is_in_an_order_that_satisfies_it() -> None:
    for place, stage in enumerate(STAGES):
        assert set(stage.after) <= set(NAMES[:place]), stage.name


def test_every_stage_has_its_playbook_and_every_playbook_its_stage() -> None:
    found = {path.stem for path in (Path(graph.__file__).parent.parent / "playbooks").glob("*.yml")}
    assert found - {"site"} == set(NAMES)


def test_independent_stages_on_other_hosts_run_at_once() -> None:
    groups = LARGE | {"gpu": ["gpu-1", "gpu-2"]}
    assert batches(graph.order(STAGES, NAMES, hosts_of(groups))) == [
        {"preflight"},
        {"host"},
        {"storage", "driver"},
        {"control_plane"},
        {"models", "nodes"},
        {"labels", "volumes"},
        {"gpu_operator"},
        {"inference"},
        {"gateway"},
        {"monitoring"},
        {"verify"},
    ]


def test_a_server_with_gpus_gets_its_driver_before_k3s() -> None:
    order = graph.order(STAGES, NAMES, hosts_of(LARGE))
    assert "driver" in order["control_plane"]


def test_left_out_stages_still_order_the_chosen_ones() -> None:
    order = graph.order(STAGES, ["inference", "nodes"], hosts_of({"k3s_agent": ["gpu-1"]}))
    assert order == {"nodes": set(), "inference": {"nodes"}}


def test_no_two_stages_on_one_host_are_ever_ready_together() -> None:
    chance = random.Random(1)
    for _ in range(200):
        machines = [f"m{number}" for number in range(chance.randint(1, 4))]
        groups = {name: chance.sample(machines, chance.randint(0, len(machines))) for name in LARGE} | {"all": machines}
        chosen = chance.sample(NAMES, chance.randint(1, len(NAMES)))
        hosts = hosts_of(groups)
        for ready in batches(graph.order(STAGES, chosen, hosts)):
            for one, other in itertools.combinations(ready, 2):
                assert not set(hosts[one]) & set(hosts[other])


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ((Stage("a", "all", ("b",), ""), Stage("b", "all", ("a",), "")), "wait for one another: "),
        ((Stage("a", "all", ("nowhere",), ""),), "names no stage: nowhere"),
    ],
)
def test_a_wrong_table_is_refused(table: tuple[Stage, ...], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        graph.needs(table)
