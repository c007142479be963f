"""What a benchmark says: runs in figures, from their journals, and each target beside what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter

from rackstart import graph
from rackstart.journal import Record
from rackstart.stages import STAGES

RACK = 100  # hosts for which doctor's time is projected
TASKS = ("ok", "failed", "unreachable", "skipped")  # of Ansible's recap; "changed" ones are among "ok"


@dataclass(frozen=True)
class Span:
    """A stage in time: `start` in seconds from the first stage's, `own` seconds beyond the life of its ansible-playbook process."""

    name: str
    start: float
    seconds: float
    own: float
    hosts: tuple[str, ...]  # of the inventory
    tasks: Mapping[str, int]  # on each host of the recap, the controller among them
    changed: int

    @property
    def end(self) -> float:
        return self.start + self.seconds


@dataclass(frozen=True)
class Run:
    """One run of the wrapper: `command` seconds from its call to its exit, `total` from the first stage's start to the journal's end."""

    command: float
    total: float
    spans: tuple[Span, ...]
    path: tuple[str, ...]  # the critical path's stages

    @property
    def path_seconds(self) -> float:
        return sum(span.seconds for span in self.spans if span.name in self.path)

    @property
    def sum_seconds(self) -> float:
        return sum(span.seconds for span in self.spans)

    @property
    def slowest_own(self) -> Span:
        return max(self.spans, key=lambda span: span.own)

    @property
    def tasks(self) -> dict[str, dict[str, int]]:
        """Tasks of each host in each stage that has any there."""
        hosts = dict.fromkeys(host for span in self.spans for host in span.tasks)
        return {host: {span.name: span.tasks[host] for span in self.spans if host in span.tasks} for host in hosts}


@dataclass(frozen=True)
class Bench:
    """All that `make bench` measured: runs from no hosts and again, seconds of site.yml from no hosts, bytes of memory and disk,
    seconds of doctor by the number of hosts, and of the command that ends a key."""

    first: Run
    second: Run
    serial: float
    memory: float
    disk: float
    cores: int
    machine_memory: float
    doctor: Mapping[int, float]
    revoked: float

    @property
    def rack_doctored(self) -> float:
        """Seconds of doctor for a rack, by the straight line through the fewest and the most hosts that were measured."""
        few, many = min(self.doctor), max(self.doctor)
        return self.doctor[few] + (self.doctor[many] - self.doctor[few]) / (many - few) * (RACK - few)


@dataclass(frozen=True)
class Target:
    """A figure that must be at most its limit, or `below` it."""

    what: str
    seen: float
    limit: float
    unit: str = ""
    digits: int = 0
    below: bool = False

    @property
    def met(self) -> bool:
        return self.seen < self.limit if self.below else self.seen <= self.limit


def run(record: Record, command: float, lives: Mapping[str, float]) -> Run:
    """A run that ended: its journal, how long the command took, and how long each stage's ansible-playbook process lived, in seconds."""
    assert record.ended
    ended = {stage.name: record.stages[stage.name] for stage in STAGES if stage.name in record.stages}
    starts = {name: _seconds(entry) - entry["seconds"] for name, entry in ended.items()}
    begin = min(starts.values())
    spans = tuple(
        Span(
            name,
            starts[name] - begin,
            entry["seconds"],
            entry["seconds"] - lives[name],
            tuple(entry["on"]),
            {host: sum(counts[kind] for kind in TASKS) for host, counts in entry["hosts"].items()},
            sum(counts["changed"] for counts in entry["hosts"].values()),
        )
        for name, entry in ended.items()
    )
    order = graph.order(STAGES, list(ended), {span.name: span.hosts for span in spans})
    path = critical_path(order, {span.name: span.seconds for span in spans})
    return Run(command, _seconds(record.ended) - begin, spans, path)


def critical_path(order: Mapping[str, set[str]], seconds: Mapping[str, float]) -> tuple[str, ...]:
    """The chain of stages that takes longest; `order` says which stages must have ended before each."""

    def length(chain: tuple[str, ...]) -> float:
        return sum(seconds[name] for name in chain)

    chains: dict[str, tuple[str, ...]] = {}
    for name in TopologicalSorter(order).static_order():
        chains[name] = (*max((chains[other] for other in order[name]), key=length, default=()), name)
    return max(chains.values(), key=length)


def targets(bench: Bench) -> list[Target]:
    """Every target with what was measured."""
    first, second = bench.first, bench.second
    slowest = max(first.slowest_own, second.slowest_own, key=lambda span: span.own)
    tasks, host, stage = max((count, host, stage) for host, stages in first.tasks.items() for stage, count in stages.items())
    return [
        Target("from no hosts to a green verdict", first.command, 360, "s", below=True),
        Target("total of the stages / critical path", first.total / first.path_seconds, 1.1, digits=3),
        Target("total of the stages / the same playbooks one after another", first.total / bench.serial, 1, digits=3, below=True),
        Target(f"own overhead of a stage, the largest of both runs ({slowest.name})", slowest.own, 1, "s", digits=2, below=True),
        Target(f"tasks of one host in one stage, the largest ({stage} on {host})", tasks, 40),
        Target("second run", second.command, 75, "s", below=True),
        Target("second run: changed", sum(span.changed for span in second.spans), 0),
        Target(f"doctor for {RACK} hosts, projected from those measured", bench.rack_doctored, 60, "s", below=True),
        Target("a key is revoked at every replica of the gateway", bench.revoked, 5, "s", digits=1, below=True),
        Target("memory at its peak", bench.memory / 2**30, 14, "GiB", digits=1),
        Target("disk", bench.disk / 1e9, 20, "GB", digits=1),
    ]


def _seconds(entry: Mapping[str, str]) -> float:
    return datetime.fromisoformat(entry["at"]).timestamp()
