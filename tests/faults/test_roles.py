"""One call of a role misbehaves once: the play says why and what to do, or gets over it; a rerun converges, and another changes nothing."""

from typing import Any

import pytest

from tests.faults import drive
from tests.faults.conftest import Rig
from tests.faults.drive import Case

APT = """\
Acquire::http {{ Proxy "{mirror}"; Proxy::10.77.0.1 DIRECT; Timeout "10"; Pipeline-Depth "0"; }}
"""
SECONDS = 40  # the bound on a task that hangs
PATIENCE = 300  # the bound on any other: a test must not hang with what it tests


@pytest.mark.parametrize("case", [case for case in drive.cases() if not case.stage], ids=lambda case: case.name)
def test_a_fault(case: Case, rig: Rig, request: pytest.FixtureRequest, record_property: Any) -> None:
    said = [case.role, case.call, case.fault, "did not come out as it should"]
    record_property("fault", said)
    for fixture in drive.TABLE[case.role].get("with", []):
        request.getfixturevalue(fixture)
    drive.lab("host", "wipe", rig.host)
    apt = APT.format(mirror=rig.mirror.url)
    drive.on(rig.host, "cat >/etc/apt/apt.conf.d/10faults;" + case.at.get("prepare", ""), apt)
    rig.mirror.misbehave(case.fault, case.at.get("url", ""))
    if "program" in case.at:
        drive.shim(rig.host, case)
    seconds = int(case.at.get("seconds", SECONDS)) if case.fault == "hangs" else PATIENCE
    first = drive.play(case.role, rig.host, rig.inventory, seconds)
    met = rig.mirror.met if "url" in case.at else "met" in drive.on(rig.host, "test -d /run/fault && echo met || true")
    assert met, ("the fault was not met", first)
    said[3] = drive.judged(case, first, lambda: drive.play(case.role, rig.host, rig.inventory, PATIENCE))
