"""`bench` with the real load generator, through a real HAProxy with TLS and keys, before engines that stream and count words."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_client, gateway_keys
from rich.console import Console
from test_gateway import SERVED, Gateway, Handler, hashed, with_tls

from rackstart import bench, bench_target, key
from rackstart.paths import Project

SECRETS: list[str] = []
SHOWN: set[str] = set()  # command lines that held one of them
ASKED: list[int] = []  # tokens of the answers that were streamed


class Answering(Handler):
    """Streams as many tokens as asked for, a word each; a prompt's tokens are its words."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        SHOWN.update(line for line in _command_lines() if any(secret in line for secret in SECRETS))
        words = len(asked["messages"][0]["content"].split())
        count = {"prompt_tokens": words, "completion_tokens": asked["max_tokens"], "total_tokens": words + asked["max_tokens"]}
        if not asked.get("stream"):
            self.answer(json.dumps({"usage": count}).encode())
            return
        ASKED.append(asked["max_tokens"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        pieces: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": "a "}}]}] * asked["max_tokens"]
        for piece in [*pieces, {"choices": [], "usage": count}]:
            self.wfile.write(b"data: %s\n\n" % json.dumps({"id": "x", "object": "chat.completion.chunk", **piece}).encode())
            time.sleep(0.001)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True


def _command_lines() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_text(errors="replace")
        except OSError:
            continue


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = with_tls(tmp_path_factory.mktemp("gateway"), Answering)
    try:
        yield running
    finally:
        running.end()


@pytest.fixture
def project(tmp_path: Path, proxy: Gateway, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Of which only the way of a key to the gateway is played, by HAProxy's runtime API."""

    def perform(_: Project, told: dict[str, Any], secret: str, __: Console) -> key.Answer:
        keys = proxy.log.parent / "keys.map"
        if told["state"] == "present":
            SECRETS.append(secret)
            record = gateway_keys.Key(told["sha256"], told["client"], told["expires"], told["rate"], tuple(told["models"]))
            proxy.tell(f"add map {keys} {gateway_keys.line(record)}")
        else:
            proxy.tell(f"del map {keys} {hashed(SECRETS[-1])}")
        return key.Answer([], ["one"], secret)

    target = bench_target.Target("tiny", SERVED, f"https://127.0.0.1:{proxy.port}/v1", 2, 64, "a test")
    monkeypatch.setattr(key, "perform", perform)
    monkeypatch.setattr(bench_target, "find", lambda *_: target)
    monkeypatch.setattr(bench_target, "authority", lambda *_: proxy.log.parent / "ca.crt")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Project(tmp_path, tmp_path / "rack")


def test_the_generator_measures_what_the_engines_did(project: Project, proxy: Gateway) -> None:
    result, folder = bench.perform(project, "", [4], bench.Slo(60_000, 60_000), "", None, Console(file=io.StringIO()))
    for level in result["levels"]:
        assert (level["requests"], level["failed"], level["good"], level["meets_slo"]) == (32, 0, 1.0, True)
        assert (level["answer_tokens"], level["prompt_tokens"]) == (8, 32)
        assert 0 < level["ttft_ms"]["p50"] <= level["ttft_ms"]["p95"] <= level["ttft_ms"]["p99"]
        assert 0 < level["itl_ms"]["p50"] <= level["itl_ms"]["p95"] <= level["itl_ms"]["p99"]
        tokens = 32 * (8 + 32) / level["seconds"]
        assert level["total_tokens_per_second"] == pytest.approx(tokens, rel=0.01)
        assert level["output_tokens_per_second"] == pytest.approx(tokens / 5, rel=0.01)
    assert (len(ASKED), min(ASKED), max(ASKED), sum(ASKED)) == (40, 4, 12, 40 * 8)
    assert not SHOWN
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert [path for path in kept if SECRETS[-1] in path.read_text(errors="replace")] == []
    assert yaml.safe_load((folder / "level-1/config.yaml").read_text())["benchmark"]["endpoint"]["apiKey"] == "${OPENAI_API_KEY}"
    address: gateway_client.Address = {"host": "127.0.0.1", "port": proxy.port, "ca": [str(proxy.log.parent / "ca.crt")]}
    assert "HTTP 401" in gateway_client.listed(address, SECRETS[-1], 30)
