"""A model's new template in service while clients stream: a bad one is taken back with its reason. A good one: test_run_update.py."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import AppsV1Api

from tests.lab.clients import CLIENTS, load, openai, streamed
from tests.lab.drive import MODEL, Finished, api, edit, on, until

pytestmark = pytest.mark.lab

Bootstrap = Callable[..., Finished]
STORE = f"/srv/models/{MODEL['repo']}"
BROKEN = "0" * 40  # a revision that is in the store and not on the hub


@pytest.fixture
def serve(bootstrap: Bootstrap, inventory: Path) -> Callable[..., Finished]:
    """Declare the model otherwise, and run what serves it."""

    def run(stages: tuple[str, ...], **changes: Any) -> Finished:
        edit(inventory / "group_vars/all/models.yml", lambda content: content["models"][0].update(changes))
        only = [word for stage in stages for word in ("--only", stage)]
        return bootstrap("--inventory", str(inventory), *only, "--json")

    return run


@pytest.fixture(scope="module")
def as_before(cluster: str, bootstrap: Bootstrap) -> Iterator[None]:
    """What the module changed is as declared again for those after it."""
    yield
    assert bootstrap("--inventory", "lab", "--only", "inference").code == 0


def template() -> Any:
    return AppsV1Api(api()).read_namespaced_deployment(MODEL["name"], "llm").spec.template


@pytest.mark.serving
def test_one_replica_is_away_for_as_long_as_the_run_says(
    key: str, serve: Callable[..., Finished], as_before: None, record_property: Any
) -> None:
    """Meanwhile the gateway says when to come again. What came of requests to a replica that is about to stop is their answer."""
    assert serve(("inference",), replicas=1).code == 0
    with load(key) as results:
        run = serve(("inference",), replicas=1, env={"PROMOTED": "alone"})
    assert run.code == 0, run
    said = [re.sub(r"\d+ s,", "N s,", note) for stage in run.json["stages"] for note in stage["notes"] if note.startswith("tiny ")]
    announced, told = "tiny has one replica: it answers nothing while its successor starts", "tiny answered nothing for "
    assert said == [announced, f"{told}N s, while its only replica was replaced"]
    assert run.err.index(announced) < run.err.index(told)
    record_property("requests", len(results))
    assert {re.sub(r"\d+$", "N", result) for result in results} == {"", "InternalServerError 503, Retry-After N"}


TURN = "import sys; f = open(sys.argv[1], 'r+b'); n = int.from_bytes(f.read(8), 'little') + 8; f.seek(n); b = f.read(); f.seek(n); "
TURN += "f.write(bytes(x ^ 0x80 if i % 2 else x for i, x in enumerate(b)))"


@pytest.fixture
def broken(cluster: str) -> Iterator[Callable[[str], None]]:
    """Makes a revision in the store that a command was run in."""

    def make(command: str) -> None:
        on("server-1", f"cp -r {STORE}/{MODEL['revision']} {STORE}/{BROKEN} && cd {STORE}/{BROKEN} && {command}")

    yield make
    on("server-1", f"rm -rf {STORE}/{BROKEN}")


BOTH, WRONG = ("volumes", "inference"), "golden prompt: answered"
BAD: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str]] = {
    "flipped-bytes": (f'python3 -c "{TURN}" model-00001-of-00002.safetensors', BOTH, {"revision": BROKEN}, WRONG),
    "wrong-chat-template": ("echo nothing of it >chat_template.jinja", BOTH, {"revision": BROKEN}, WRONG),
    "a-revision-that-the-hub-has-not": ("rm -r $PWD", ("models",), {"revision": BROKEN}, BROKEN),
    "an-answer-that-comes-late": ("true", ("inference",), {"golden_seconds": 0.001}, "golden_seconds is 0.001"),
    "an-argument-that-crashes": ("true", ("inference",), {"extra_args": ["--tokenizer=/none"]}, "crashes again and again"),
}


# Minutes each; the first two are shown by the same probe as flipped bytes.
LONG = ("wrong-chat-template", "an-answer-that-comes-late", "an-argument-that-crashes")


@pytest.mark.parametrize("bad", [pytest.param(bad, marks=[pytest.mark.serving] if bad in LONG else []) for bad in BAD])
def test_a_bad_one_is_taken_back_and_loses_no_request(
    key: str, serve: Callable[..., Finished], as_before: None, broken: Callable[[str], None], bad: str, record_property: Any
) -> None:
    command, stages, changes, reason = BAD[bad]
    broken(command)
    # After a test in which the only replica was replaced the gateway finds its successor a moment later than the run does.
    until(lambda: streamed(openai(key)) == "", "the gateway leads to a replica")
    before = template()
    with load(key) as results:
        run = serve(stages, **changes)
    assert run.code == 1, run
    assert reason in run.reasons
    if "inference" in stages:
        assert "Taken back: tiny to weights-tiny-" in run.reasons
    assert template() == before
    assert [result for result in results if result] == []
    assert len(results) > CLIENTS
    record_property("requests", len(results))
