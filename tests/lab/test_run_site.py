"""The template for a user's own hosts, filled in as its comments ask, is the same product: on the lab's hosts it turns green."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.drive import ROOT, Finished
from tests.lab.site import fill_in

pytestmark = pytest.mark.lab


def test_the_filled_in_template_turns_green(cluster: str, bootstrap: Callable[..., Finished], tmp_path: Path, state: str) -> None:
    site = shutil.copytree(ROOT / "inventories/site", tmp_path / "site")
    fill_in(site)
    lock = bootstrap("--inventory", str(site), "lock", XDG_STATE_HOME=state)
    assert lock.code == 0, lock
    run = bootstrap("--inventory", str(site), "--json", XDG_STATE_HOME=state)
    assert run.code == 0, run
    assert run.json["verdict"]["green"]
    # Nothing on the rack differs; but this controller's state is its own, and had no kubeconfig and no file of the gateway's authority.
    written = {("nodes", "Write the kubeconfig with the server's address"), ("gateway", "gateway : Have a certificate")}
    assert run.changes == {(stage, task, "localhost") for stage, task in written}
