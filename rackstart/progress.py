"""What a user sees while a run goes on: live lines on a terminal, plain lines elsewhere. All of it on standard error."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rackstart.events import StageEvents
from rackstart.stages import Stage

if TYPE_CHECKING:
    from rackstart.engine import Result

_HEARTBEAT = 30.0  # seconds of silence after which a plain line says what a stage is doing
_STYLES = {"passed": "green", "failed": "bold red", "interrupted": "yellow", "blocked": "yellow", "skipped": "dim", "kept": "dim"}


def duration(seconds: float) -> str:
    """Minutes and seconds, as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 host, 2 hosts."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@dataclass
class _Running:
    stage: Stage
    hosts: list[str]
    seen: StageEvents = field(default_factory=StageEvents)
    told: int = 0  # of its notes
    since: float = field(default_factory=lambda: time.monotonic())
    spoke: float = field(default_factory=lambda: time.monotonic())


class Progress:
    """Shows the stages of one run. Use as a context manager; `verbose` shows Ansible's own output too."""

    def __init__(self, console: Console, width: int, verbose: bool = False) -> None:
        self._console, self._width, self._verbose = console, width, verbose
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._live = (
            Live(console=console, get_renderable=self._table, refresh_per_second=4, transient=True) if console.is_terminal else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def note(self, text: str) -> None:
        """One line that belongs to no stage."""
        self._line("", text)

    def started(self, stage: Stage, hosts: list[str]) -> None:
        with self._lock:
            self._running[stage.name] = _Running(stage, hosts)
        if not self._live:
            self._line("start", f"{stage.name:{self._width}}  on {_names(hosts)}")

    def event(self, stage: Stage, seen: StageEvents, event: dict[str, Any]) -> None:
        """An event came in; called from the stage's thread."""
        with self._lock:
            running = self._running[stage.name]
            news, running.seen, running.told = seen.notes[running.told :], seen, len(seen.notes)
        for note in news:  # at once: it may be of what is about to happen
            self._line("note", f"{stage.name:{self._width}}  {note}")
        if self._verbose and (text := event.get("stdout")):
            for line in text.splitlines():
                self._console.print(f"{stage.name:{self._width}} | {line}", style="dim")

    def finished(self, result: Result) -> None:
        with self._lock:
            running = self._running.pop(result.stage.name, None)
        parts = [result.why] if result.why else []
        if running:
            parts = [f"{duration(result.seconds):>5}", _count(running.hosts), f"{result.events.changed} changed"]
            if result.lost:
                parts.insert(2, f"{_names(result.lost)} failed")
        self._line(result.state, f"{result.stage.name:{self._width}}  {'  '.join(parts)}")

    def tick(self) -> None:
        """Called often; where nothing is redrawn, a stage that has long been silent says what it is at."""
        if self._live:
            return
        now = time.monotonic()
        for running in list(self._running.values()):
            if now - running.spoke >= _HEARTBEAT:
                running.spoke = now
                self._line("still", f"{running.stage.name:{self._width}}  {duration(now - running.since)}  {running.seen.task}")

    def _line(self, word: str, text: str) -> None:
        clock = "" if self._live else time.strftime("%H:%M:%S ")
        shown = f"{clock}{word:11} {text}" if word else f"{clock}{text}"
        self._console.print(shown, style=_STYLES.get(word, ""))

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for column in ({"width": 11}, {"width": self._width + 1}, {"justify": "right"}, {"no_wrap": True, "overflow": "ellipsis"}):
            table.add_column(**column)
        with self._lock:
            for running in self._running.values():
                seen, hosts = running.seen, len(running.hosts)
                at = f"{len(seen.answered)}/{hosts} hosts" if hosts else ""
                bad = f"  {len(seen.failures)} failed" if seen.failures else ""
                changed = f"  {seen.changed} changed" if seen.changed else ""
                table.add_row(
                    "running",
                    running.stage.name,
                    duration(time.monotonic() - running.since),
                    f"{at}{bad}{changed}  {seen.task}",
                    style="cyan",
                )
        return table


def _names(hosts: list[str]) -> str:
    return "the controller" if not hosts else ", ".join(hosts) if len(hosts) <= 4 else f"{len(hosts)} hosts"


def _count(hosts: list[str]) -> str:
    return counted(len(hosts), "host") if hosts else "controller"
