"""The template for a user's own hosts, filled in as its comments ask, is the same product: on the lab's hosts it turns green."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rackstart.inventory import PLACEHOLDER
from tests.lab.drive import INVENTORY, MODEL, ROOT, STATE, Finished

pytestmark = pytest.mark.lab

# What a user writes for each placeholder, in the order of the file.
ANSWERS = {
    "hosts.yml": ["rack", "10.77.0.11", "10.77.0.21", "10.77.0.22", "2", "40960", "2", "40960"],
    "group_vars/all/storage.yml": ["10.77.0.0/24"],
    "group_vars/all/models.yml": [MODEL["revision"]],
}
# Settings of the template that these hosts and this mirror need otherwise; all from inventories/lab.
OF_THE_LAB = ("artifact_mirror", "k3s_server_config", "k3s_agent_config", "storage_backend", "storage_mount_options", "models")


def fill_in(site: Path) -> None:
    for name, answers in ANSWERS.items():
        left = iter(answers)
        (site / name).write_text(re.sub(PLACEHOLDER, lambda _, left=left: next(left), (site / name).read_text()))
        assert list(left) == [], name


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = shutil.copytree(ROOT / "inventories/site", tmp_path / "site")
    fill_in(folder)
    settings = {
        key: value
        for file in sorted((INVENTORY / "group_vars/all").glob("*.yml"))
        for key, value in yaml.safe_load(file.read_text()).items()
    }
    login = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["vars"]
    tokens = {f"vault_{file.name}": file.read_text().strip() for file in (STATE / "secrets").iterdir()}  # the cluster is there already
    own = login | {key: settings[key] for key in OF_THE_LAB} | tokens
    file = folder / "group_vars/all/zz_own.yml"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(own))
    shutil.copy(INVENTORY / "artifacts.lock.yml", folder)
    return folder


def test_the_filled_in_template_turns_green(cluster: str, bootstrap: Callable[..., Finished], site: Path, state: str) -> None:
    run = bootstrap("--inventory", str(site), "--json", XDG_STATE_HOME=state)
    assert run.code == 0, run
    assert run.json["verdict"]["green"]
    # Nothing on the rack differs; but this controller's state is its own, and had no kubeconfig and no file of the gateway's authority.
    written = {("nodes", "Write the kubeconfig with the server's address"), ("gateway", "gateway : Have a certificate")}
    assert run.changes == {(stage, task, "localhost") for stage, task in written}
