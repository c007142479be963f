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


@pytest.mark.parametrize("case", drive.cases(), ids=lambda case: case.name)
def test_a_fault(case: Case, rig: Rig, record_property: Any) -> None:
    said = [case.role, case.call, case.fault, "did not come out as it should"]
    record_property("fault", said)
    drive.lab("host", "wipe", rig.host)
    apt = APT.format(mirror=rig.mirror.url)
    drive.on(rig.host, "cat >/etc/apt/apt.conf.d/10faults;" + case.at.get("prepare", ""), apt)
    rig.mirror.misbehave(case.fault, case.at.get("url", ""))
    if "program" in case.at:
        drive.shim(rig.host, case)
    first = drive.play(case.role, rig.host, rig.inventory, int(case.at.get("seconds", SECONDS)) if case.fault == "hangs" else None)
    met = rig.mirror.met if "url" in case.at else "met" in drive.on(rig.host, "test -d /run/fault && echo met || true")
    assert met, ("the fault was not met", first)
    if case.outcome == drive.MENDED:
        assert first.code == 0, first.said
        second = drive.play(case.role, rig.host, rig.inventory)
        assert second.code == 0, second.said
        assert second.changed != [], "there was nothing to mend"
    elif case.says:
        assert first.code != 0, ("no failure", first)
        assert [words for words in case.says if words not in first.said] == [], first.said
        assert first.remedy or "run again" in first.said, first.said
        second = drive.play(case.role, rig.host, rig.inventory)
        assert second.code == 0, second.said
    else:
        assert first.code == 0, first.said
    last = drive.play(case.role, rig.host, rig.inventory)
    assert (last.code, last.changed) == (0, []), last
    told = [first.said, *([first.remedy] if "run again" not in first.said else [])]
    said[3] = "; ".join(told) if first.said else drive.OUTCOMES[case.outcome]
