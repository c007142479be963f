"""AIPerf, the load generator of `bench`: how it is started, what it is told, and what it says of a level."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rackstart import bench_signals, processes
from rackstart.errors import RackstartError

KEPT = ("PATH", "LANG", "TMPDIR")  # of our environment: no proxy, and no secret of somebody else's
TIMEOUT = 600.0  # seconds for one request
# AIPerf wants a tokenizer even where the server counts: this one knows no word, and nothing is downloaded for it.
TOKENIZER = {
    "tokenizer.json": {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
    },
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
}


def drive(aiperf: Path, level: Path, told: dict[str, Any], lines: Iterable[dict[str, Any]], key: str, authority: Path) -> dict[str, Any]:
    """One level in its folder; AIPerf's figures. The key is in its environment alone. Raises RackstartError when nothing was answered."""
    tokenizer = level / "tokenizer"
    tokenizer.mkdir(parents=True)
    for name, content in TOKENIZER.items():
        (tokenizer / name).write_text(json.dumps(content))
    (level / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (level / "config.yaml").write_text(json.dumps(told, indent=2))
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "HOME": str(level),
        "OPENAI_API_KEY": key,
        "SSL_CERT_FILE": str(authority),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # no hub is asked for anything
    }
    log = level / "aiperf.log"
    process = None
    try:
        with log.open("wb") as out, bench_signals.late():
            process = subprocess.Popen(
                [aiperf, "profile", "--config", level / "config.yaml", "--ui", "none"],
                cwd=level, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            started = processes.start_time(process.pid)
        failed = process.wait()
    finally:
        if process and started and process.poll() is None:
            processes.end(processes.of_session(process.pid, started))
            process.wait()
    export = level / "out/profile_export_aiperf.json"
    if failed or not export.exists():
        raise RackstartError(f"the load generator failed: look into {log}")
    figures: dict[str, Any] = json.loads(export.read_text())
    return figures


def told(url: str, model: str, concurrency: int, requests: int, slo: tuple[float, float]) -> dict[str, Any]:
    """AIPerf's configuration of a level, in whose folder it runs; as many requests as run at once go before and after it and do not count.

    Seamless: a phase goes on where the one before it still waits for answers, so that nothing that counts meets an idle engine or a burst.
    """
    phase = {"type": "concurrency", "concurrency": concurrency}
    beside = {"kind": "warmup", "excludeFromResults": True, "requests": concurrency, **phase}
    return {
        "schemaVersion": "2.0",
        "benchmark": {
            "model": model,
            "endpoint": {
                "url": url.removesuffix("/v1"),
                "path": "/v1/chat/completions",
                "type": "chat",
                "streaming": True,
                "useServerTokenCount": True,
                "apiKey": "${OPENAI_API_KEY}",
                "timeout": TIMEOUT,
                "useLegacyMaxTokens": True,  # max_tokens, which every engine knows, for the output_length of a line
                "extra": {"ignore_eos": True, "temperature": 0},
            },
            "tokenizer": {"name": "./tokenizer"},
            "dataset": {"type": "file", "format": "single_turn", "path": "prompts.jsonl", "sampling": "sequential"},
            "phases": [
                {"name": "warmup", **beside},
                {"name": "profiling", "requests": requests, "seamless": True, **phase},
                {"name": "cooldown", "seamless": True, **beside},
            ],
            "slos": {"time_to_first_token": slo[0], "inter_token_latency": slo[1]},
            "artifacts": {"dir": "out", "summary": ["json"]},
            "gpuTelemetry": {"enabled": False},
            "serverMetrics": {"enabled": False},
        },
    }


def measured(figures: dict[str, Any], concurrency: int) -> dict[str, Any]:
    """Of AIPerf's figures those that the result has. Rates are over the time of all requests by how many run at once.

    AIPerf's own are over the seconds from the first to the last, in part of which requests run that do not count. One that failed is taken
    to be as long as the others.
    """

    def value(name: str, part: str = "avg") -> float:
        return round(float(figures.get(name, {}).get(part, 0)), 3)

    done, good = value("completed_request_count"), value("good_request_count")
    seconds = value("request_latency") / 1000 * done / concurrency
    answers = value("total_osl")
    return {
        "requests": int(done),
        "failed": int(done - value("request_count")),
        "seconds": round(seconds, 3),
        "prompt_tokens": value("input_sequence_length"),
        "answer_tokens": value("output_sequence_length"),
        "ttft_ms": {part: value("time_to_first_token", part) for part in ("p50", "p95", "p99")},
        "itl_ms": {part: value("inter_token_latency", part) for part in ("p50", "p95", "p99")},
        "output_tokens_per_second": round(answers / seconds, 3),
        "total_tokens_per_second": round((answers + value("total_isl")) / seconds, 3),
        "goodput_per_second": round(good / seconds, 3),
        "good": round(good / done, 4),
    }
