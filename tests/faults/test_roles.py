"""One call of a role misbehaves once: the play says why and what to do, or gets over it; a rerun converges, and another changes nothing."""

from typing import Any

import pytest

from tests.faults import drive
from tests.faults.conftest import Rig
from tests.faults.drive import Case, Played

PROXIES = {  # settings of each suite's package manager: through the mirror in between, and not to wait long
    "bookworm": (
        "/etc/apt/apt.conf.d/10faults",
        'Acquire::http {{ Proxy "{mirror}"; Proxy::10.77.0.1 DIRECT; Timeout "10"; Pipeline-Depth "0"; }}\n',
    ),
    "rocky9": ("/etc/dnf/dnf.conf", "proxy={mirror}\ntimeout=10\n"),
}
SECONDS = 40  # the bound on a task that hangs
PATIENCE = 300  # the bound on any other: a test must not hang with what it tests


@pytest.mark.parametrize("case", [case for case in drive.cases() if not case.stage], ids=lambda case: case.name)
def test_a_fault(case: Case, rig: Rig, request: pytest.FixtureRequest, record_property: Any) -> None:
    said = [case.role, case.call, case.fault, "did not come out as it should"]
    record_property("fault", said)
    for fixture in case.needs:
        request.getfixturevalue(fixture)
    host: str = request.getfixturevalue(case.suite)
    drive.lab("host", "wipe", host)
    file, proxy = PROXIES[case.suite]
    drive.on(host, f"cat >>{file}; {case.at.get('prepare', '')}", proxy.format(mirror=rig.mirror.url))
    rig.mirror.misbehave(case.fault, case.at.get("url", ""))
    if "program" in case.at:
        drive.shim(host, case)

    def play(seconds: int = PATIENCE) -> Played:
        return drive.play(case.role, host, rig.inventory, seconds, case.variables)

    first = play(int(case.at.get("seconds", SECONDS))) if case.fault == "hangs" else play()
    met = rig.mirror.met if "url" in case.at else "met" in drive.on(host, "test -d /var/tmp/fault && echo met || true")
    assert met, ("the fault was not met", first)
    said[3] = drive.judged(case, first, play)
