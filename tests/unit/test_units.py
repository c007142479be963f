"""What systemctl is told of a unit, from what systemd says of it and when its files were written."""

import pytest
from ansible_collections.rackstart.cluster.plugins.modules.units import verbs

RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "ConditionResult": "yes",
    "ConditionTimestampMonotonic": "100000000",
    "ExecMainStartTimestampMonotonic": "100000000",
}
STOPPED = RUNNING | {"ActiveState": "inactive"}
KEPT = STOPPED | {"UnitFileState": "static", "ConditionResult": "no", "ExecMainStartTimestampMonotonic": "0"}


@pytest.mark.parametrize(
    ("unit", "written", "told"),
    [
        (RUNNING, 99, []),
        (RUNNING, -5, []),
        (RUNNING, 101, ["restart"]),
        (RUNNING | {"ActiveState": "activating"}, 101, ["restart"]),
        (STOPPED, 99, ["start"]),
        (RUNNING | {"ActiveState": "failed"}, 99, ["start"]),
        (RUNNING | {"UnitFileState": "disabled"}, 99, ["enable"]),
        (RUNNING | {"UnitFileState": "static"}, 99, []),
        (STOPPED | {"UnitFileState": "enabled-runtime"}, 99, ["enable", "start"]),
        (STOPPED | {"LoadState": "masked", "UnitFileState": "masked"}, 99, ["unmask", "enable", "start"]),
        (STOPPED | {"LoadState": "not-found", "UnitFileState": ""}, 99, ["enable", "start"]),
        (KEPT, 99, []),  # its condition does not hold here
        (KEPT, 101, ["start"]),  # systemd has not tried since
        (KEPT | {"ConditionTimestampMonotonic": "0"}, -5, ["start"]),
    ],
)
def test_a_unit_is_told_what_it_lacks(unit: dict[str, str], written: float, told: list[str]) -> None:
    assert verbs(unit, written) == told
