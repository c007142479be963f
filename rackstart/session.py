"""One command that runs stages, from the lock to the last line of the journal."""

import contextlib
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from rackstart import digest, doctor, hooks, inventory, journal, locking, resume, runner, verdict
from rackstart.engine import Engine, Result
from rackstart.errors import ConfigurationError, Interrupted, PreflightRefused, RackstartError, StageFailed, VerificationRed
from rackstart.journal import Journal
from rackstart.paths import Project
from rackstart.progress import Progress, counted
from rackstart.stages import Stage
from rackstart.verdict import Verdict

_STATES = {Interrupted: "interrupted", PreflightRefused: "refused", VerificationRed: "red"}


@dataclass(frozen=True)
class Request:
    """What the user asked for. `command` is run, check, verify, doctor or gc; `only` and `start` (--from) choose stages.

    asked: the words of another command, such as `model promote`, which these stages are the work of.
    """

    command: str
    only: tuple[str, ...] = ()
    start: str | None = None
    limit: str | None = None
    resume: bool = False
    extra_vars: tuple[str, ...] = ()
    verbosity: int = 0
    asked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        runner.check_extra_vars(self.extra_vars)

    def line(self, project: Project) -> str:
        """The command as one types it; values of -e are left out, they may be secrets."""
        name = project.name if project.inventory.parent == project.root / "inventories" else str(project.inventory)
        words = ["python", "bootstrap.py", "--inventory", name]
        if self.asked:
            return shlex.join([*words, *self.asked])
        words += [self.command] if self.command != "run" else []
        words += [word for name in self.only for word in ("--only", name)]
        words += ["--from", self.start] if self.start else []
        words += ["--limit", self.limit] if self.limit else []
        words += [word for text in self.extra_vars for word in ("-e", text if text.startswith("@") else "...")]
        return shlex.join(words)


@dataclass
class Outcome:
    """How it went: `error` is None when all is well, else what the exit code is made of."""

    run: str
    directory: Path
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    error: RackstartError | None = None
    verdict: Verdict | None = None
    key: str = ""  # of the first client, when this run has made it
    checks: list[dict[str, Any]] | None = None


def choose(table: Sequence[Stage], request: Request) -> list[Stage]:
    """The stages of a request, in the table's order. Raises ConfigurationError for a name that is none."""
    names = [stage.name for stage in table]
    if unknown := [name for name in (*request.only, *([request.start] if request.start else [])) if name not in names]:
        raise ConfigurationError(f"there is no stage '{unknown[0]}'; stages: {', '.join(names)}")
    if request.command == "verify":
        return [stage for stage in table if stage.name == "verify"]
    if request.command == "doctor":
        return [stage for stage in table if stage.name == "preflight"]
    if request.only and request.start:
        raise ConfigurationError("--only and --from exclude each other")
    first = names.index(request.start) if request.start else 0
    out = {"verify"} if request.command == "check" else set()  # it changes nothing, so there is nothing that it would change
    return [stage for stage in table[first:] if stage.name not in out and (not request.only or stage.name in request.only)]


def history(project: Project) -> list[journal.Record]:
    """Former runs that changed something, newest first, with their inputs."""
    return [record for record in journal.runs(project.state) if record.run["command"] == "run" and "digest" in record.run]


def perform(project: Project, table: Sequence[Stage], request: Request, console: Console, held: bool = False) -> Outcome:
    """Do what was asked, show it on `console`, and return how it went; errors that came before any stage are raised.

    held: the caller holds the inventory's lock.
    """
    stages, hosts, sockets = choose(table, request), inventory.load(project, request.limit), project.control_path
    started = time.monotonic()
    with (
        contextlib.nullcontext() if held else locking.hold(project.state, sockets, f"'{request.command}'", console.print),
        _journal(project, request) as (directory, writer),
        _signals() as cancel,
    ):
        if secrets := runner.drop_secrets_from_environment():
            console.print(f"not passed on to Ansible: {', '.join(secrets)} (keep secrets in ansible-vault)")
        if request.command in ("run", "check", "gc"):
            hooks.before_run(project, writer, cancel.is_set, console.print)
        kept = _kept(project, stages, hosts, request, writer, console)
        settings = runner.Settings(
            run=directory.name,
            directory=directory,
            control_path=sockets,
            check=request.command == "check",
            extra_vars=runner.prepare_extra_vars(request.extra_vars, directory),
            verbosity=max(0, request.verbosity - 1),
        )
        size = f"{counted(len(stages), 'stage')} on {counted(len(hosts.hosts), 'host')}"
        console.print(f"{project.name}: {size}; logs in {project.shown(directory)}")
        names = [stage.name for stage in stages]
        with Progress(console, max(map(len, names)), verbose=request.verbosity > 0) as progress:
            engine = Engine(project, hosts, settings, table, names, kept=kept, journal=writer, progress=progress, cancel=cancel)
            results = engine.run()
        outcome = Outcome(directory.name, directory, results, time.monotonic() - started, judge(results))
        ran = {result.stage.name for result in results if result.state in ("passed", "failed")}
        outcome.checks = doctor.read(project) if "preflight" in ran else None
        outcome.verdict = verdict.read(project) if "verify" in ran else None
        writer.write("end", state=state(outcome.error))
        return outcome


def _kept(
    project: Project, stages: Sequence[Stage], hosts: inventory.Inventory, request: Request, writer: Journal, console: Console
) -> dict[str, str]:
    """Put the digest of the inputs into the journal; with --resume, the stages that need not run and why."""
    inputs, former = digest.of(project, request.extra_vars), history(project)
    writer.write("inputs", digest=inputs.digest, inputs=inputs.files)
    if not request.resume:
        return {}
    decisions = resume.decide(stages, hosts, inputs, former)
    kept = {name: decision.why for name, decision in decisions.items() if decision.passed}
    if not kept:
        console.print(f"nothing to skip: {stages[0].name} {decisions[stages[0].name].why}")
    return kept


def judge(results: Sequence[Result]) -> RackstartError | None:
    """The error that a run amounts to, if any; what came first counts."""
    failed = [result for result in results if result.state == "failed"]
    if any(result.state == "interrupted" or result.why == "the run was stopped" for result in results):
        return Interrupted("stopped; the next run goes on from what there is")
    if not failed:
        return None
    first = failed[0]
    if first.stage.name == "preflight" and first.stops:
        return PreflightRefused("preflight refused: nothing was changed")
    if first.stage.name == "verify":
        return VerificationRed("the verdict is red")
    blocked = [result.stage.name for result in results if result.state == "blocked"]
    return StageFailed(
        f"{', '.join(result.stage.name for result in failed)} failed" + (f"; not run: {', '.join(blocked)}" if blocked else "")
    )


def state(error: RackstartError | None) -> str:
    """One word for how a run ended: done, failed, refused, red, interrupted."""
    return "done" if error is None else _STATES.get(type(error), "failed")


@contextlib.contextmanager
def _journal(project: Project, request: Request) -> Iterator[tuple[Path, journal.Journal]]:
    """A new run's directory and journal; an error that ends the run early is its last record."""
    directory = journal.new_run(project.state)
    writer = journal.Journal(directory)
    try:
        writer.write(
            "run", command=request.command, inventory=str(project.inventory), only=request.only, start=request.start, limit=request.limit
        )
        yield directory, writer
    except BaseException as error:
        writer.write("end", state=state(error) if isinstance(error, RackstartError) else "failed")
        raise
    finally:
        writer.close()
        shutil.rmtree(runner.temporary(directory))


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a hang-up or a polite kill sets, instead of ending the process at once."""
    event = threading.Event()
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: Mapping[signal.Signals, Any] = {number: signal.signal(number, lambda *_: event.set()) for number in caught}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
