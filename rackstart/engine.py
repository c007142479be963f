"""Runs the chosen stages in their order, as many at once as share no host, and keeps the journal."""

import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from rackstart import graph, processes, runner
from rackstart.events import StageEvents
from rackstart.inventory import Inventory
from rackstart.journal import Journal
from rackstart.paths import Project
from rackstart.progress import Progress
from rackstart.stages import CONTROLLER, Stage

# plays that end for all hosts because of some: no event of Ansible says so
_ALL_OR_NONE = re.compile(r"^  +(any_errors_fatal: (true|yes)|max_fail_percentage:)", re.M)
_TICK = 0.2  # seconds between looks at signals and clocks


@dataclass(frozen=True)
class Result:
    """How a stage ended.

    state: passed, failed, interrupted; or, without having run: kept (passed before), skipped (no hosts), blocked (needs what failed).
    """

    stage: Stage
    state: str
    why: str = ""
    hosts: Sequence[str] = ()
    seconds: float = 0.0
    events: StageEvents = field(default_factory=StageEvents)

    @property
    def lost(self) -> list[str]:
        """Hosts of the inventory that failed; the rest of the run leaves them out."""
        return sorted({failure.host for failure in self.events.failures} & set(self.hosts))

    @property
    def stops(self) -> bool:
        """Whether stages that need this one cannot run, since it passed on no host."""
        if self.state == "failed":
            return self.events.aborted or len(self.lost) != len(self.events.failures) or not 0 < len(self.lost) < len(self.hosts)
        return self.state in ("blocked", "interrupted")


class Engine:
    """One run over the chosen stages. `kept` says of stages why they need not run (--resume)."""

    def __init__(
        self, project: Project, inventory: Inventory, settings: runner.Settings, table: Sequence[Stage], chosen: Collection[str],
        *, kept: Mapping[str, str], journal: Journal, progress: Progress, cancel: threading.Event,
    ) -> None:  # fmt: skip
        self._project, self._inventory, self._settings = project, inventory, settings
        self._stages = {stage.name: stage for stage in table if stage.name in chosen}
        self._hosts = {stage.name: inventory.of(stage) for stage in table}
        self._order = graph.order(table, list(chosen), self._hosts)
        self._kept, self._journal, self._progress, self._cancel = kept, journal, progress, cancel
        self._results: dict[str, Result] = {}
        self._lost: dict[str, str] = {}  # host -> stage in which it failed
        self._writing = threading.Lock()

    def run(self) -> list[Result]:
        """Run until every chosen stage has a result; nothing that was started is left running, whatever happens."""
        sorter = TopologicalSorter(self._order)
        sorter.prepare()
        running: dict[Future[Result], Stage] = {}
        pool = ThreadPoolExecutor(max(1, len(self._stages)))
        try:
            while sorter.is_active():
                for name in sorter.get_ready():
                    stage = self._stages[name]
                    if result := self._without_running(stage):
                        self._finish(result)
                        sorter.done(name)
                    else:
                        running[pool.submit(self._run, stage, *self._sources(stage))] = stage
                done, _ = wait(running, timeout=_TICK if running else 0, return_when=FIRST_COMPLETED)
                for future in done:
                    self._finish(future.result())
                    sorter.done(running.pop(future).name)
                self._progress.tick()
        finally:
            self._cancel.set()
            pool.shutdown()
            processes.end_run(self._settings.run, self._settings.control_path)  # workers of a cancelled stage, and ssh's masters
        return [self._results[name] for name in self._stages]

    def _without_running(self, stage: Stage) -> Result | None:
        """The result of a stage that is not to run now."""
        hosts = self._hosts[stage.name]
        if self._cancel.is_set():
            return Result(stage, "blocked", "the run was stopped")
        if stage.name in self._kept:
            return Result(stage, "kept", self._kept[stage.name])
        for name in stage.after:
            if name in self._results and self._results[name].stops:
                return Result(stage, "blocked", f"needs {name}")
        if stage.on_hosts and not hosts:  # only now: what comes after it must not run either when what came before it failed
            return Result(stage, "skipped", f"no hosts in {stage.hosts}")
        if hosts and not set(hosts) - set(self._lost):
            return Result(stage, "blocked", f"{hosts[0]} failed in {self._lost[hosts[0]]}")
        return None

    def _sources(self, stage: Stage) -> tuple[list[Path], list[str]]:
        """Inventory of a stage and the hosts it will work on. Hosts lost so far are out of service for all but the verdict."""
        hosts = [host for host in self._hosts[stage.name] if host not in self._lost]
        if not self._lost or stage.hosts == CONTROLLER:
            return [self._inventory.path], hosts
        file = runner.temporary(self._settings.directory) / f"lost-before-{stage.name}.yml"
        groups = {"out_of_service": {"children": {"rackstart_lost": None}}, "rackstart_lost": {"hosts": dict.fromkeys(sorted(self._lost))}}
        file.write_text(yaml.safe_dump(groups))
        return [self._inventory.path, file], hosts

    def _run(self, stage: Stage, sources: list[Path], hosts: list[str]) -> Result:
        """Run one stage to its end; in a thread of its own."""
        limit = self._inventory.limit if stage.on_hosts else None
        if stage.report:
            (self._project.state / stage.report).unlink(missing_ok=True)  # one that is there afterwards is of this run
        self._write("stage_start", stage=stage.name, hosts=hosts)
        self._progress.started(stage, hosts)
        start = time.monotonic()
        whole = _ALL_OR_NONE.search((self._project.root / runner.playbook(stage)).read_text())
        status, seen = runner.run(
            self._project, self._settings, stage, sources, limit, cancelled=self._cancel.is_set,
            on_event=lambda seen, event: self._event(stage, seen, event),
        )  # fmt: skip
        seen.aborted |= bool(whole and seen.failures)
        state = "passed" if status == "successful" else "interrupted" if self._cancel.is_set() else "failed"
        return Result(stage, state, hosts=hosts, seconds=time.monotonic() - start, events=seen)

    def _event(self, stage: Stage, seen: StageEvents, event: dict[str, Any]) -> None:
        if seen.pid and event.get("event") == "playbook_on_start":
            self._write("child", stage=stage.name, pid=seen.pid, started=processes.start_time(seen.pid))
        self._progress.event(stage, seen, event)

    def _finish(self, result: Result) -> None:
        """Take a result in: journal it, show it, remember lost hosts."""
        self._results[result.stage.name] = result
        for host in result.lost:
            self._lost.setdefault(host, result.stage.name)
        if result.state in ("passed", "failed", "interrupted"):
            self._write(
                "stage_end",
                stage=result.stage.name,
                state=result.state,
                seconds=round(result.seconds, 3),
                on=result.hosts,
                hosts=result.events.hosts,
                aborted=result.events.aborted,
                failures=[[failure.host, failure.task, failure.place] for failure in result.events.failures],
            )
        self._progress.finished(result)

    def _write(self, kind: str, **values: Any) -> None:
        with self._writing:
            self._journal.write(kind, **values)
