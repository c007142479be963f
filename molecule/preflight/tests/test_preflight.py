"""Role preflight: the host as installed was taken by the scenario's converge; with leftovers it is refused, and each is named."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMAND = ["ansible-playbook", "--inventory=molecule/inventory/hosts.yml", "molecule/preflight/converge.yml"]
FOUND = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "preflight.json")


def required_and_red() -> set[tuple[str, str]]:
    checks = json.loads(FOUND.read_text())["checks"]
    assert len(checks) > 60
    return {(check["id"], check["target"]) for check in checks if check["ok"] is False and check["severity"] == "required"}


def test_a_host_with_leftovers_is_refused() -> None:
    assert required_and_red() == set(), "as it was installed"
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stdout
    assert required_and_red() == {("k3s.templates", "mol-1"), ("ports.free", "mol-1")}
    assert "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl" in done.stdout
