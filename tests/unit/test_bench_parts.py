"""The parts of `bench`: its environment, what the load generator is told and says, the table and the picture."""

import subprocess
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from rackstart import bench_environment, bench_plot, bench_prompts, bench_report, bench_tool
from rackstart.errors import RackstartError

SVG = "{http://www.w3.org/2000/svg}"


def level(concurrency: int, total: float, meets: bool) -> dict[str, Any]:
    times = {"p50": 10.0 * concurrency, "p95": 20.0 * concurrency, "p99": 30.0 * concurrency}
    return {
        "concurrency": concurrency, "requests": 32, "failed": 0, "seconds": 1, "prompt_tokens": 100, "answer_tokens": 50, "ttft_ms": times,
        "itl_ms": times, "output_tokens_per_second": total / 3, "total_tokens_per_second": total, "goodput_per_second": 1.5,
        "good": 0.961 if meets else 0.5, "meets_slo": meets,
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    levels = [level(1, 100, True), level(4, 300, True), level(4, 320, True), level(16, 900, False)]
    slo = {"ttft_ms": 500.0, "itl_ms": 50.0, "good": 0.95}
    return {"model": "a & b", "replicas": 2, "hardware": "2 GPU", "generator": "aiperf 1", "slo": slo, "levels": levels}


def test_a_level_is_told_in_full() -> None:
    told = bench_tool.told("https://host:1/v1", "tiny", 4, 32, (500, 50))["benchmark"]
    assert told["endpoint"] == {
        "url": "https://host:1", "path": "/v1/chat/completions", "type": "chat", "streaming": True, "useServerTokenCount": True,
        "apiKey": "${OPENAI_API_KEY}", "timeout": 600, "useLegacyMaxTokens": True, "extra": {"ignore_eos": True, "temperature": 0},
    }  # fmt: skip
    assert {phase["concurrency"] for phase in told["phases"]} == {4}
    assert [(phase["requests"], phase.get("excludeFromResults", False), phase.get("seamless", False)) for phase in told["phases"]] == [
        (4, True, False),
        (32, False, True),
        (4, True, True),
    ]
    assert told["slos"] == {"time_to_first_token": 500, "inter_token_latency": 50}
    assert (told["gpuTelemetry"], told["serverMetrics"]) == ({"enabled": False}, {"enabled": False})


def test_a_failed_request_counts_and_is_not_good() -> None:
    figures = {
        "completed_request_count": {"avg": 40}, "request_count": {"avg": 30}, "good_request_count": {"avg": 20}, "total_osl": {"avg": 300},
        "total_isl": {"avg": 900}, "request_latency": {"avg": 500}, "time_to_first_token": {"p50": 1, "p95": 2, "p99": 3},
    }  # fmt: skip
    found = bench_tool.measured(figures, 2)  # 40 of half a second, two at once: 10 s
    assert (found["requests"], found["failed"], found["good"], found["goodput_per_second"]) == (40, 10, 0.5, 2.0)
    assert (found["output_tokens_per_second"], found["total_tokens_per_second"]) == (30, 120)
    assert found["ttft_ms"] == {"p50": 1, "p95": 2, "p99": 3}


@pytest.mark.parametrize(("mean", "number"), [(256, 32), (256, 512), (1024, 64), (8, 32), (4, 4), (100, 1)])
def test_lengths_are_spread_around_their_mean_and_always_the_same(mean: int, number: int) -> None:
    found = bench_prompts.lengths(mean, number, "a")
    assert sum(found) == mean * number
    assert mean / 2 <= min(found) <= mean * (1 - (0.4 if number > 4 else 0))
    assert mean * (1 + (0.4 if number > 4 else 0)) <= max(found) <= mean * 1.5
    assert sorted(found) == sorted(bench_prompts.lengths(mean, number, "b"))
    assert number == 1 or found != sorted(found)


def test_every_part_of_a_level_has_all_lengths_and_every_level_new_words() -> None:
    one, two = (list(bench_prompts.lines(100, 64, (4, 32, 4), seed)) for seed in ("one", "two"))
    asked = [line["output_length"] for line in one]
    assert [sum(part) for part in (asked[:4], asked[4:36], asked[36:])] == [4 * 64, 32 * 64, 4 * 64]
    assert sum(len(line["text"].split()) for line in one[4:36]) == 32 * 100
    assert [(len(line["text"].split()), line["output_length"]) for line in one] == [
        (len(line["text"].split()), line["output_length"]) for line in two
    ]
    assert len({line["text"] for line in one + two}) == 80


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """pip's command lines; pip itself is played and fails for a lock file that says so."""
    commands: list[list[str]] = []

    def run(command: list[str], stdout: Any, **_: Any) -> SimpleNamespace:
        commands.append(list(map(str, command)))
        if failed := "bad" in bench_environment.LOCK.read_text():
            stdout.write(b"Collecting x\nERROR: no such version\nmore\n")
        return SimpleNamespace(returncode=int(failed))

    def create(folder: Path, **_: Any) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/python").touch(mode=0o755)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bench_environment, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(venv, "create", create)
    return commands


def test_the_environment_is_made_once_for_a_lock_file(installed: list[list[str]], tmp_path: Path) -> None:
    said: list[str] = []
    places = []
    for text in ("one", "one", "two"):
        (tmp_path / "lock").write_text(text)
        places.append(bench_environment.aiperf(said.append))
    assert (places[0], len(said), len(installed)) == (places[1], 2, 2)
    assert places[2] != places[0]
    assert {"--require-hashes", "--only-binary"} < set(installed[0])
    (places[2].parent / "python").unlink()
    bench_environment.aiperf(said.append)
    assert len(installed) == 3


def test_what_is_half_made_is_made_again(installed: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("bad")
    for _ in range(2):
        with pytest.raises(RackstartError, match=r"pip failed: ERROR: no such version; see .*/pip\.log"):
            bench_environment.aiperf(lambda _: None)
    assert len(installed) == 2


def test_the_locked_generator_is_named() -> None:
    assert bench_environment.name().startswith("aiperf 0.")


def test_the_picture_has_every_level_and_tells_which_miss(result: dict[str, Any]) -> None:
    root = ElementTree.fromstring(bench_plot.picture(result))
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) == 4 * 2 * 3
    assert len([dot for dot in dots if dot.get("fill") == "#fff"]) == 2 * 3
    assert len([line for line in root.iter(f"{SVG}line") if line.get("stroke-dasharray")]) == 2
    first = [float(dot.get("cy", "0")) for dot in dots[:4]]
    assert first == sorted(first, reverse=True)  # more tokens a second are higher up
    assert {dot.get("cx") for dot in dots[1:3]} == {dots[1].get("cx")}
    assert all(bench_plot.TOP <= float(dot.get("cy", "0")) <= bench_plot.TOP + bench_plot.HIGH for dot in dots)
    assert "a & b, replicas: 2, 2 GPU" in [text.text for text in root.iter(f"{SVG}text")]


def test_the_table_names_the_best_level_within_the_slo(result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    bench_report.show(Console(width=200), result, "FOLDER")
    shown = capsys.readouterr().out
    assert "within 500 ms to the first token and 50 ms between tokens: 4 at once, 300 tokens a second, 150 for each replica" in shown
    assert bench_report.cells(result["levels"][0]) == [
        "1", "32", "0", "100", "50", "10 / 20", "10 / 20", "33.3", "100", "96%", "1.5", "met",
    ]  # fmt: skip
    assert bench_report.cells(result["levels"][3])[-1] == "missed"
    result["levels"][1]["meets_slo"] = False
    assert "1 at once, 100 tokens a second" in bench_report.best(result)  # one run of 4 misses it
    result["levels"] = result["levels"][3:]
    assert bench_report.best(result).startswith("no level is within")
