"""A host and a mirror for each process, the choice of a few cases by a seed, and the page of what was seen."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import drive, page
from tests.faults.mirror import Mirror

PASSED: list[page.Row] = []
TRIED: set[tuple[str, ...]] = set()
NUMBER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "gw0")))  # of this process of pytest
SERVER_SECONDS = 600  # for a task of it
SAMPLE, QUICK = 3, "nfs_client"  # cases of --faults-seed, and the role that they are chosen from: one task
SLOW = "package lists"  # calls of it that are left out then


@dataclass(frozen=True)
class Rig:
    """With what a case is tried."""

    inventory: Path
    mirror: Mirror


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-page", type=Path, metavar="FILE", help="write what was seen to FILE")
    parser.addoption("--faults-seed", type=int, metavar="N", help="try only a few cases, chosen by N")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--faults-seed")
    if seed is not None:
        cases = {item: item.callspec.params["case"] for item in items if "rig" in getattr(item, "fixturenames", ())}
        quick = [item for item, case in cases.items() if case.role == QUICK and SLOW not in case.call]
        items[:] = random.Random(seed).sample(quick, SAMPLE)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seen = [tuple(value) for name, value in report.user_properties if name == "fault"]
    if report.when == "call":
        TRIED.update(row[:3] for row in seen)
        PASSED.extend(row for row in seen if report.passed)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what came out as it should; cases that were not tried now keep their rows, those that failed or are gone lose them."""
    file: Path | None = session.config.getoption("--faults-page")
    if not file or hasattr(session.config, "workerinput"):
        return
    rows = {row[:3]: row for row in (page.kept(file.read_text()) if file.exists() else [])}
    known = {(case.role, case.call, case.fault) for case in drive.cases()}
    rows = {key: row for key, row in rows.items() if key not in TRIED and (key in known or key[0].startswith("module "))}
    file.write_text(page.page([*rows.values(), *PASSED], drive.left_out()))


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An inventory whose mirror can misbehave."""
    drive.lab("up", "--topology", "/dev/stdin", given="hosts: {}")
    mirror = Mirror()  # on an address that the lab's network has
    inventory = tmp_path_factory.mktemp("faults") / "inventory"
    shutil.copytree(drive.HERE / "inventory", inventory)
    (inventory / "group_vars/all/mirror.yml").write_text(f"artifact_mirror: {mirror.url}\n")
    subprocess.run(
        [sys.executable, "-m", "rackstart", "--inventory", str(inventory), "lock"], cwd=drive.ROOT, check=True, capture_output=True
    )
    yield Rig(inventory, mirror)
    mirror.close()


@contextmanager
def installed(number: int, gpus: list[str], suite: str = "bookworm") -> Iterator[str]:
    """Name of a host of this process of pytest; number: of the first process's."""
    host = f"flt-{number + NUMBER}"
    try:
        drive.up(host, f"10.77.0.{60 + number + NUMBER}", gpus, suite)
        yield host
    finally:
        drive.lab("host", "down", host)


@pytest.fixture(scope="session")
def bookworm() -> Iterator[str]:
    """A host that is installed anew for every case."""
    with installed(1, ["A100-40"]) as host:
        yield host


@pytest.fixture(scope="session")
def rocky9() -> Iterator[str]:
    """The same, that reports to be Rocky Linux 9."""
    with installed(5, ["A100-40"], "rocky9") as host:
        yield host


@contextmanager
def serving(role: str, number: int, rig: Rig) -> Iterator[None]:
    """A host that others need, set up by a role; number: of the first process's."""
    with installed(number, []) as host:
        played = drive.play(role, host, rig.inventory, SERVER_SECONDS, drive.variables(role))
        assert played.code == 0, played.said
        yield


@pytest.fixture(scope="session")
def server(rig: Rig) -> Iterator[None]:
    """A k3s server for the agents of this process of pytest."""
    with serving("k3s_server", 3, rig):
        yield


@pytest.fixture(scope="session")
def filer(rig: Rig) -> Iterator[None]:
    """An NFS server whose export the hosts of this process of pytest mount."""
    with serving("nfs_server", 7, rig):
        yield
