"""inventories/site, filled in as its comments ask, for the lab's hosts and the lab's mirror."""

import re
import shutil
from pathlib import Path

import yaml

from rackstart.inventory import PLACEHOLDER
from tests.lab.drive import INVENTORY, MODEL, STATE

# What a user writes for each placeholder, in the order of the file.
ANSWERS = {
    "hosts.yml": ["rack", "10.77.0.11", "10.77.0.21", "10.77.0.22", "2", "40960", "2", "40960"],
    "group_vars/all/storage.yml": ["10.77.0.0/24"],
    "group_vars/all/models.yml": [MODEL["revision"]],
}
# Settings of the template that these hosts and this mirror need otherwise; all from inventories/lab.
OF_THE_LAB = (
    "artifact_mirror", "k3s_server_config", "k3s_agent_config", "storage_backend", "storage_mount_options", "monitoring_storage_gib",
    "monitoring_retention",
)  # fmt: skip


def fill_in(site: Path) -> None:
    """A copy of the template, but for the digests, which `lock` records. The cluster is there already: its secrets are the lab's."""
    for name, answers in ANSWERS.items():
        left = iter(answers)
        (site / name).write_text(re.sub(PLACEHOLDER, lambda _, left=left: next(left), (site / name).read_text()))
        assert list(left) == [], name
    shutil.copy(INVENTORY / "group_vars/all/models.yml", site / "group_vars/all")
    settings = {
        key: value
        for file in sorted((INVENTORY / "group_vars/all").glob("*.yml"))
        for key, value in yaml.safe_load(file.read_text()).items()
    }
    login = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["vars"]
    secrets = {f"vault_{file.name}": file.read_text().strip() for file in (STATE / "secrets").iterdir()}
    own = login | {key: settings[key] for key in OF_THE_LAB} | secrets
    file = site / "group_vars/all/zz_own.yml"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(own))
