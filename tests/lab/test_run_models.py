"""Commands about models against a real cluster and a real store; with a second model and promotions: test_serving.py."""

import json
from collections.abc import Callable

import pytest

from tests.lab.drive import MODEL, Finished, on

pytestmark = pytest.mark.lab

STORE = f"/srv/models/{MODEL['repo']}"
IDLE = "1" * 40  # a revision that is neither declared nor used


def test_list_says_what_is_served(cluster: str, bootstrap: Callable[..., Finished]) -> None:
    listed = bootstrap("--inventory", "lab", "model", "list", "--json")
    assert listed.code == 0, listed
    [tiny] = json.loads(listed.out)
    assert (tiny["name"], tiny["declared"], tiny["service"]["revision"]) == (MODEL["name"], MODEL["revision"], MODEL["revision"])


def test_gc_removes_what_nothing_uses_and_nothing_else(cluster: str, bootstrap: Callable[..., Finished]) -> None:
    on("server-1", f"cp -r {STORE}/{MODEL['revision']} {STORE}/{IDLE}")
    before = on("server-1", f"ls {STORE}").split()
    would = bootstrap("--inventory", "lab", "model", "gc", "--check", "--json")
    assert would.code == 0, would
    assert [entry["what"] for entry in would.json["store"] if not entry["why"]] == [f"{MODEL['repo']}/{IDLE}"]
    assert on("server-1", f"ls {STORE}").split() == before
    removed = bootstrap("--inventory", "lab", "model", "gc", "--json")
    assert removed.code == 0, removed
    assert sorted(on("server-1", f"ls {STORE}").split()) == sorted({*before} - {IDLE})
    assert removed.json == would.json
