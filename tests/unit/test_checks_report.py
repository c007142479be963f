"""What doctor and run print of preflight's findings."""

import io
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import checks
from rich.console import Console

from rackstart import doctor
from tests.unit.checks_look import good, host


def printed(findings: list[dict[str, Any]], every: bool) -> str:
    console = Console(file=io.StringIO(), width=300)
    doctor.show(console, findings, every)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def findings() -> list[dict[str, Any]]:
    """Six GPU hosts without a time service, one of them of another architecture, one whose firmware does not say."""
    look = good()
    for number in range(3, 7):
        look["hosts"][f"gpu-{number}"] = host(f"gpu-{number}", f"192.0.2.{20 + number}", ["k3s_agent", "gpu"], ("0000:17:00.0",))
    for name, entry in look["hosts"].items():
        if name.startswith("gpu"):
            entry["probe"]["units"]["chrony"] = "inactive"
    look["hosts"]["gpu-1"]["probe"] |= {"arch": "aarch64", "secure_boot": None}
    return checks.judge(look)


def test_a_run_shows_what_stops_it_and_counts_the_rest(findings: list[dict[str, Any]]) -> None:
    shown = printed(findings, every=False)
    assert "os.architecture" in shown
    assert "os.time_service" not in shown
    assert "6 of advice, 1 not to be judged; `doctor` shows them" in shown


def test_doctor_shows_everything_and_hosts_of_which_the_same_is_said_in_one_line(findings: list[dict[str, Any]]) -> None:
    lines = printed(findings, every=True).splitlines()
    (advice,) = [line for line in lines if line.startswith("os.time_service") and "advice" in line]
    assert "gpu-1, gpu-2, gpu-3, gpu-4 and 2 more" in advice
    (unknown,) = [line for line in lines if line.startswith("gpu.secure_boot") and "unknown" in line]
    assert "the firmware cannot be asked" in unknown
    (green,) = [line for line in lines if line.startswith("host.machine_id")]
    assert "and 3 more" in green
