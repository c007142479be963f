"""`bench`: the gateway's endpoint under rising concurrency, as a client with a key of its own meets it."""

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from rackstart import bench_environment, bench_plot, bench_prompts, bench_signals, bench_target, bench_tool, key
from rackstart.bench_target import Target
from rackstart.errors import ConfigurationError, StageFailed
from rackstart.paths import Project

CLIENT = "bench"
EXPIRES = "1d"  # should the end of the key ever be missed
GOOD = 0.95  # share of a level's requests that have to be within the SLO for the level to meet it
ROUNDS, FEWEST = 8, 32  # requests of a level: so many for each that runs at once, and no fewer in all


@dataclass(frozen=True)
class Slo:
    """Milliseconds to the first token of an answer, and between its tokens on the mean."""

    ttft: float
    itl: float


def levels(text: str) -> list[int]:
    """Of 1,2,4. Raises ConfigurationError."""
    with contextlib.suppress(ValueError):
        if min(found := [int(part) for part in text.split(",")]) > 0:
            return found
    raise ConfigurationError(f"--concurrency {text}: write numbers above 0, such as 1,2,4; one that is given again is measured again")


def slo(text: str) -> Slo:
    """Of 500/50. Raises ConfigurationError."""
    with contextlib.suppress(ValueError):
        ttft, itl = (float(part) for part in text.split("/"))
        if min(ttft, itl) > 0:
            return Slo(ttft, itl)
    raise ConfigurationError(f"--slo {text}: write milliseconds to the first token, /, milliseconds between tokens, such as 500/50")


def perform(
    project: Project, model: str, concurrency: list[int], wanted: Slo, tokens: str, out: Path | None, console: Console
) -> tuple[dict[str, Any], Path]:
    """Measure every level; the result, and the new folder that has it from the first level on. Raises RackstartError."""
    target = bench_target.find(project, model)
    mix, folder = bench_prompts.mix(tokens, target), _folder(project, out)
    authority = bench_target.authority(project, folder)
    aiperf = bench_environment.aiperf(console.print)
    result: dict[str, Any] = {
        "schema": 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inventory": project.name,
        "model": target.model,
        "replicas": target.replicas,
        "hardware": target.hardware,
        "generator": bench_environment.name(),
        "slo": {"ttft_ms": wanted.ttft, "itl_ms": wanted.itl, "good": GOOD},
        "tokens": vars(mix),
        "levels": [],
    }
    with _client(project, target, console) as secret:
        words = bench_prompts.words(target, mix.prompt, authority, secret)
        for number, count in enumerate(concurrency, 1):
            requests = max(FEWEST, ROUNDS * count)
            console.print(f"concurrency {count}: {requests} requests ({number} of {len(concurrency)})")
            told = bench_tool.told(target.url, target.served, count, requests, (wanted.ttft, wanted.itl))
            lines = bench_prompts.lines(words, mix.answer, (count, requests, count), f"{result['at']}/{number}")
            figures = bench_tool.drive(aiperf, folder / f"level-{number}", told, lines, secret, authority)
            level = bench_tool.measured(figures, count)
            result["levels"].append({"concurrency": count, **level, "meets_slo": level["good"] >= GOOD})
            (folder / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
            (folder / "bench.svg").write_text(bench_plot.picture(result))
    return result, folder


def _folder(project: Project, out: Path | None) -> Path:
    path = out or project.state / "bench" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        path.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}; name a new folder: --out DIR") from None
    return path.resolve()


@contextlib.contextmanager
def _client(project: Project, target: Target, console: Console) -> Iterator[str]:
    """A key for this model, which ends with the block: also when it was not fully made, on Ctrl-C, a hang-up and a polite kill."""
    told, secret = key.request("add", CLIENT, (target.served,), EXPIRES)
    added = False
    with bench_signals.caught(bench_signals.interrupt):
        try:
            with bench_signals.late():  # or the playbook goes on by itself, and adds the key after all
                key.perform(project, told, secret, console)
                added = True
            yield secret
        finally:
            with bench_signals.caught(signal.SIG_IGN):
                if added or _known(project, told["sha256"], console):
                    key.perform(project, *key.request("revoke", CLIENT), console)


def _known(project: Project, sha256: str, console: Console) -> bool:
    """Whether a key that was not told to everybody is kept all the same; one of another bench is another one."""
    with contextlib.suppress(StageFailed):
        return any(sha256.startswith(one["sha256"]) for one in key.perform(project, *key.request("list", ""), console).keys)
    return False
