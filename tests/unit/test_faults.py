"""The list of faults: what it holds of each call, and that no role is without."""

from typing import Any

import pytest

from rackstart.paths import ROOT
from tests.faults import drive, page

CALLS = [pytest.param(call, id=f"{role}: {call['call']}") for role, table in drive.TABLE.items() for call in table["calls"]]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_meets_every_fault_or_says_why_not(call: dict[str, Any]) -> None:
    assert set(call["faults"]) <= set(drive.FAULTS)
    assert bool(call.get("without")) == (len(call["faults"]) < len(drive.FAULTS))
    assert ("program" in call) + ("url" in call) + ("request" in call) == bool(call["faults"])


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in drive.cases()]
    assert len(names) == len(set(names))


def test_the_faults_of_every_role_are_somewhere() -> None:
    assert {*drive.TABLE, *page.ELSEWHERE} == {path.name for path in ROOT.glob("roles/*")}


def test_a_page_keeps_its_results_beside_what_is_not_tried() -> None:
    rows = [("host", "a call", "lies", "Exception '500 Original traceback: File x, line 1 ' raised while asking")]
    text = page.page(rows, drive.left_out())
    assert page.kept(text) == [("host", "a call", "lies", "Exception '500 ' raised while asking")]
    assert "- k3s_server, " in text
