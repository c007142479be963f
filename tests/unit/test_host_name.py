"""Which name role host gives a host, and how it has the host resolve it."""

from base64 import b64encode

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from rackstart.paths import ROOT

LOCALHOST = "127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("hostname", "static", "name"),
    [
        ("gpu-1", "gpu-1", "gpu-1"),
        ("debian", "debian", "gpu-1"),
        ("localhost", "", "gpu-1"),
        ("gpu-1.example.com", "gpu-1.example.com", "gpu-1.example.com"),
        ("gpu-1.example.com", "", "gpu-1.example.com"),  # which DHCP has told
        ("by-hand", "gpu-1.example.com", "gpu-1.example.com"),
        ("gpu-1", "gpu-1.example.com", "gpu-1.example.com"),
        ("gpu-1.lan", "gpu-1.example.com", "gpu-1.example.com"),  # what was set goes before what DHCP has told
        ("gpu-10.example.com", "gpu-10.example.com", "gpu-1"),
        ("example.gpu-1", "example.gpu-1", "gpu-1"),
    ],
)
@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        (LOCALHOST, "{own}"),
        (f"{LOCALHOST}127.0.1.1 debian\n", "{own} debian"),
        (f"127.0.1.1\told.example.com old\n{LOCALHOST}", "{own} old.example.com old"),
        (f"{LOCALHOST}127.0.1.1 {{own}} grafana\n", "{own} grafana"),
        (f"{LOCALHOST}127.0.1.1 grafana gpu-1 gpu-1.example.com\n", "grafana gpu-1 gpu-1.example.com"),
        (f"{LOCALHOST}127.0.1.10 gpu-1\n", "{own}"),
        (f"{LOCALHOST}127.0.1.1 grafana # by hand\n", "{own} grafana"),
    ],
)
def test_a_name_with_a_domain_and_other_names_are_kept(hostname: str, static: str, name: str, hosts: str, names: str) -> None:
    own = " ".join(dict.fromkeys([name, "gpu-1"]))
    loader = DataLoader()
    variables = loader.load_from_file(str(ROOT / "roles/host/vars/main.yml"), trusted_as_template=True) | {
        "host_name": "gpu-1",
        "__host_look": {"probe": {"hostname": hostname, "static_hostname": static}},
        "__host_resolved": {"content": b64encode(hosts.format(own=own).encode()).decode()},
    }
    values = Templar(loader=loader, variables=variables)
    assert values.template(variables["__host_own_name"]) == name
    assert values.template(variables["__host_resolved_names"]) == names.format(own=own).split()
