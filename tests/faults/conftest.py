"""A host and a mirror for each process, the choice of a few cases by a seed, and the page of what was seen."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import drive, page
from tests.faults.mirror import Mirror

PASSED: list[page.Row] = []
TRIED: set[tuple[str, ...]] = set()
SAMPLE, QUICK = 3, "nfs_client"  # cases of --faults-seed, and the role that they are chosen from: one task


@dataclass(frozen=True)
class Rig:
    """Where a case is tried."""

    host: str
    inventory: Path
    mirror: Mirror


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-page", type=Path, metavar="FILE", help="write what was seen to FILE")
    parser.addoption("--faults-seed", type=int, metavar="N", help="try only a few cases, chosen by N")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--faults-seed")
    on_hosts = [item for item in items if "rig" in getattr(item, "fixturenames", ())]
    if seed is not None and len(on_hosts) > SAMPLE:
        quick = [item for item in on_hosts if item.callspec.params["case"].role == QUICK]
        kept = random.Random(seed).sample(quick, SAMPLE)
        items[:] = [item for item in items if item not in on_hosts or item in kept]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seen = [tuple(value) for name, value in report.user_properties if name == "fault"]
    if report.when == "call":
        TRIED.update(row[:3] for row in seen)
        PASSED.extend(row for row in seen if report.passed)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what came out as it should; cases that were not tried now keep their rows, those that failed lose them."""
    file = session.config.getoption("--faults-page")
    if not file or hasattr(session.config, "workerinput"):
        return
    rows = {row[:3]: row for row in (page.kept(file.read_text()) if file.exists() else [])}
    rows = {key: row for key, row in rows.items() if key not in TRIED}
    file.write_text(page.page([*rows.values(), *PASSED]))


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A host that is installed anew for every case, and an inventory whose mirror can misbehave."""
    number = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "gw0"))) + 1
    host, mirror = f"flt-{number}", Mirror()
    inventory = tmp_path_factory.mktemp("faults") / "inventory"
    shutil.copytree(drive.HERE / "inventory", inventory)
    (inventory / "group_vars/all/mirror.yml").write_text(f"artifact_mirror: {mirror.url}\n")
    drive.lab("host", "up", host, f"10.77.0.{60 + number}", "--gpu", "A100-40")
    subprocess.run(
        [sys.executable, "-m", "rackstart", "--inventory", str(inventory), "lock"], cwd=drive.ROOT, check=True, capture_output=True
    )
    yield Rig(host, inventory, mirror)
    mirror.close()
    drive.lab("host", "down", host)
