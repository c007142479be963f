"""How the end of a command in a pod is read."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils.api import ClusterError, exit_code

ENDED = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
DEAD = {
    "status": "Failure",
    "reason": "InternalError",
    "message": "dial tcp 10.0.0.2:10250: refused",
    "details": {"causes": [{"message": "dial"}]},
}


@pytest.mark.parametrize(("status", "code"), [({"status": "Success"}, 0), (ENDED, 7)])
def test_a_command_that_ran(status: dict[str, Any], code: int) -> None:
    assert exit_code(status) == code


@pytest.mark.parametrize(("status", "problem"), [(DEAD, "10250: refused"), ({}, "without the command's exit code")])
def test_a_command_that_could_not_be_run(status: dict[str, Any], problem: str) -> None:
    with pytest.raises(ClusterError, match=problem):
        exit_code(status)
