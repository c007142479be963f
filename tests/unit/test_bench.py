"""What the benchmark makes of the journals of its runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import pytest

from rackstart.journal import Record
from tests.bench import figures, page

SERVER, GPU = ["server-1"], ["gpu-1", "gpu-2"]
# stage -> second at which it ended, its seconds, its hosts: control_plane holds up models, which it shares a host with
ENDED: dict[str, tuple[float, float, list[str]]] = {
    "preflight": (2, 2, SERVER + GPU),
    "host": (12, 9.5, SERVER + GPU),
    "storage": (20, 8, SERVER),
    "driver": (40, 28, GPU),
    "control_plane": (35, 15, SERVER),
    "models": (56, 20, SERVER),
    "verify": (60, 3, []),
}
PATH = ("preflight", "host", "storage", "control_plane", "models", "verify")


def at(second: float) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat()


@pytest.fixture
def run() -> figures.Run:
    stages: dict[str, dict[str, Any]] = {
        name: {
            "at": at(end),
            "seconds": seconds,
            "on": hosts,
            "hosts": {host: {"ok": 7, "changed": 2, "failed": 0, "unreachable": 0, "skipped": len(name)} for host in hosts},
        }
        for name, (end, seconds, hosts) in ENDED.items()
    }
    record = Record(Path("run"), stages=stages, ended={"at": at(60.5), "state": "done"})
    return figures.run(record, 75.0, {name: seconds - (0.9 if name == "driver" else 0.25) for name, (_, seconds, _) in ENDED.items()})


@pytest.fixture
def bench(run: figures.Run) -> figures.Bench:
    """All targets met, the second run's count of changes too."""
    second = replace(run, command=40.0, spans=tuple(replace(span, changed=0) for span in run.spans))
    return figures.Bench(
        run, second, serial=90.0, memory=6 * 2**30, disk=5e9, cores=2, machine_memory=24 * 2**30, doctor={4: 3.0, 24: 8.0}, revoked=2.0
    )


@pytest.mark.parametrize(
    ("order", "seconds", "path"),
    [
        ({"a": set()}, {"a": 1}, ("a",)),
        ({"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}, {"a": 1, "b": 5, "c": 2, "d": 1}, ("a", "b", "d")),
        ({"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}, {"a": 1, "b": 2, "c": 5, "d": 1}, ("a", "c", "d")),
        ({"a": set(), "b": {"a"}, "alone": set()}, {"a": 1, "b": 1, "alone": 9}, ("alone",)),
    ],
)
def test_critical_path_is_the_longest_chain(order: dict[str, set[str]], seconds: dict[str, float], path: tuple[str, ...]) -> None:
    assert figures.critical_path(order, seconds) == path


def test_run_is_laid_out_from_its_journal(run: figures.Run) -> None:
    assert run.path == PATH
    assert run.path_seconds == 57.5
    assert run.sum_seconds == 85.5
    assert run.total == 60.5
    assert [span.start for span in run.spans] == [0, 2.5, 12, 12, 20, 36, 57]
    assert (run.slowest_own.name, round(run.slowest_own.own, 3)) == ("driver", 0.9)
    assert run.tasks["gpu-1"] == {"preflight": 16, "host": 11, "driver": 13}


MISSES: list[tuple[str, dict[str, Any]]] = [
    ("from no hosts to a green verdict", {"first": {"command": 360.0}}),
    ("total of the stages / critical path", {"first": {"total": 63.3}}),
    ("total of the stages / the same playbooks one after another", {"serial": 60.5}),
    ("second run", {"second": {"command": 75.0}}),
    ("doctor for 100 hosts, projected from those measured", {"doctor": MappingProxyType({4: 4.0, 24: 16.0})}),  # 61.6 s
    ("a key is revoked at every replica of the gateway", {"revoked": 5.0}),
    ("memory at its peak", {"memory": 14 * 2**30 + 1}),
    ("disk", {"disk": 20e9 + 1}),
]


@pytest.mark.parametrize(("what", "changed"), MISSES)
def test_target_is_missed_beyond_its_limit(bench: figures.Bench, what: str, changed: dict[str, Any]) -> None:
    assert all(target.met for target in figures.targets(bench))
    changed = {name: replace(getattr(bench, name), **value) if isinstance(value, dict) else value for name, value in changed.items()}
    missed = replace(bench, **changed)
    assert [target.what for target in figures.targets(missed) if not target.met] == [what]
    assert page.page(missed).count("**missed**") == 1


SPANS: list[tuple[str, str, dict[str, Any]]] = [
    ("first", "own overhead of a stage, the largest of both runs (driver)", {"own": 1.0}),
    ("second", "own overhead of a stage, the largest of both runs (driver)", {"own": 1.0}),
    ("first", "tasks of one host in one stage, the largest (driver on gpu-2)", {"tasks": {"gpu-2": 41}}),
    ("second", "second run: changed", {"changed": 1}),
]


@pytest.mark.parametrize(("which", "what", "changed"), SPANS)
def test_one_stage_can_miss_a_target(bench: figures.Bench, which: str, what: str, changed: dict[str, Any]) -> None:
    run: figures.Run = getattr(bench, which)
    spans = tuple(replace(span, **changed) if span.name == "driver" else span for span in run.spans)
    missed = replace(bench, **{which: replace(run, spans=spans)})
    assert [target.what for target in figures.targets(missed) if not target.met] == [what]


def test_picture_has_a_bar_per_stage_and_marks_the_critical_path(run: figures.Run) -> None:
    svg = ElementTree.fromstring(page.picture(run))
    bars = [rect.get("fill") for rect in svg.findall("{*}rect") if rect.get("height") == str(page.BAR)]
    assert len(bars) == len(ENDED)
    assert [name for name, fill in zip(ENDED, bars, strict=True) if fill == page.CRITICAL] == list(PATH)
    assert {text.text for text in svg.findall("{*}text")} >= {*ENDED, "60 s in all"}
