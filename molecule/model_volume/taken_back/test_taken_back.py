"""Role model_volume: what no model uses is gone."""

from collections.abc import Callable

from testinfra.host import Host


def test_nothing_of_the_weights_is_left(host: Host, as_root: Callable[[Host, str], tuple[int, str]]) -> None:
    kinds = "daemonsets,persistentvolumeclaims,persistentvolumes"
    command = f"k3s kubectl --namespace=llm get {kinds} --selector=app.kubernetes.io/component=weights --output=name"
    assert as_root(host, command) == (0, "")
