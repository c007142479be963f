"""What k3s's helm-controller stores must be what is declared, or every run would change it."""

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import operator


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (60, "1m0s"), (900, "15m0s"), (3600, "1h0m0s"), (4000, "1h6m40s")])
def test_the_timeout_is_written_as_go_writes_it(seconds: int, text: str) -> None:
    assert operator.helm_chart("", {}, seconds)["spec"]["timeout"] == text
