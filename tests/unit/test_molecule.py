"""The sequences of molecule's scenarios."""

import re
from pathlib import Path

import pytest
import yaml

from rackstart.paths import ROOT

SCENARIOS = sorted(path for path in ROOT.glob("molecule/*/molecule.yml"))
SHARED = yaml.safe_load((ROOT / ".config/molecule/config.yml").read_text())["scenario"]["test_sequence"]


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.parent.name)
def test_no_action_is_passed_over(file: Path) -> None:
    """molecule says `Missing playbook`, and succeeds; of side effects it asks for side_effect.yml, whichever it is to play."""
    sequence = (yaml.safe_load(file.read_text()).get("scenario") or {}).get("test_sequence", SHARED)
    played = [action.partition(" ")[::2] for action in sequence if action.partition(" ")[0] not in ("syntax", "check", "verify")]
    wanted = {f"{action}.yml" for action, _ in played if action != "idempotence"} | {name for _, name in played if name}
    assert [name for name in sorted(wanted) if not (file.parent / name).exists()] == []


def test_make_test_plays_each_role_that_has_a_scenario() -> None:
    """What takes longer than the rest is no role's own."""
    variables = dict(re.findall(r"^(\w+) := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scenarios = {file.parent.name for file in SCENARIOS}
    assert set((variables["MORE"] + " " + variables["THERE"]).split()) <= scenarios
    assert [name for name in variables["MORE"].split() if (ROOT / "roles" / name).exists()] == []
