"""One request of a stage to the lab's cluster misbehaves once: the stage says why and what to do, or gets over it; a rerun converges."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import drive
from tests.faults.drive import Case, Played
from tests.faults.mirror import Mirror
from tests.faults.proxy import Proxy
from tests.lab.drive import INVENTORY, STATE


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The lab's cluster, green, behind a proxy."""
    subprocess.run([sys.executable, "bootstrap.py", "--inventory", "lab"], cwd=drive.ROOT, check=True, capture_output=True)
    server = Proxy(STATE / "kubeconfig", tmp_path_factory.mktemp("proxy"))
    yield server
    server.close()
    drive.lab("down", "server-1", "gpu-1", "gpu-2")


@pytest.mark.parametrize("case", [case for case in drive.cases() if case.stage], ids=lambda case: case.name)
def test_a_fault(case: Case, proxy: Proxy, tmp_path: Path, record_property: Any) -> None:
    said = [case.role, case.call, case.fault, "did not come out as it should"]
    record_property("fault", said)
    mirror = Mirror()
    variables = {
        "rackstart_kubeconfig": str(tmp_path / "kubeconfig"),
        "rackstart_kubeconfig_text": proxy.kubeconfig,
        "artifact_mirror": mirror.url,
        "gpu_operator_cache": str(tmp_path / "charts"),
    }

    def play() -> Played:
        return drive.run(drive.ROOT / f"playbooks/{case.stage}.yml", INVENTORY, variables)

    try:
        if "prepare" in case.at:
            drive.on(case.at.get("host", "server-1"), case.at["prepare"])
        proxy.misbehave(case.fault, case.at.get("request", ""))
        mirror.misbehave(case.fault, case.at.get("url", ""))
        first = play()
        assert (mirror if "url" in case.at else proxy).met, ("the fault was not met", first)
        said[3] = drive.judged(case, first, play)
    finally:
        proxy.ended.set()  # of a request that hangs
        proxy.ended.clear()
        mirror.close()
