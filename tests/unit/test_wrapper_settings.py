"""An inventory that lacks what the template has, or has it under another name or of another kind, is refused before anything runs."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from rackstart import inventory
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project

SETTINGS = [
    (file.name, name)
    for file in sorted((ROOT / "inventories/site/group_vars/all").glob("*.yml"))
    for name in yaml.safe_load(file.read_text())
]


@pytest.fixture
def rack(project: Project) -> Project:
    """The template filled in, beside the template."""
    shutil.copytree(ROOT / "inventories/site", project.root / "inventories/site")
    shutil.copytree(ROOT / "inventories/site", project.inventory, dirs_exist_ok=True)
    for file in project.inventory.rglob("*.yml"):
        file.write_text(file.read_text().replace("REPLACE_ME", "8"))
    return project


def refused(rack: Project) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        inventory.load(rack)
    return str(error.value).splitlines()[1:]


def edit(file: Path, pattern: str, text: str) -> None:
    changed, number = re.subn(pattern, text, file.read_text(), count=1, flags=re.MULTILINE)
    assert number == 1
    file.write_text(changed)


def test_the_template_filled_in_is_complete(rack: Project) -> None:
    assert inventory.load(rack).hosts == ("server-1", "gpu-1", "gpu-2")


@pytest.mark.parametrize(("file", "name"), SETTINGS)
def test_a_setting_under_another_name_is_named_with_both_places(rack: Project, file: str, name: str) -> None:
    edit(rack.inventory / "group_vars/all" / file, f"^{name}:", f"{name}s:")
    (said,) = refused(rack)
    assert re.search(
        rf"^  {name} is not set, but {name}s \(inventories/rack/\S*/{file}:\d+\): is that misspelt\?; \S*site/\S*/{file}:\d+ says", said
    )


@pytest.mark.parametrize(
    ("file", "pattern", "text", "expected"),
    [
        (
            "group_vars/all/cluster.yml",
            "^host_packages: .*",
            "",
            r"host_packages is not set; inventories/site/group_vars/all/cluster.yml:\d+ says",
        ),
        (
            "group_vars/all/cluster.yml",
            "^cluster_proxy: .*",
            "cluster_proxy:",
            r"inventories/rack/\S+cluster.yml:\d+: cluster_proxy has to be a mapping",
        ),
        ("group_vars/all/cluster.yml", "^host_packages: .*", "host_packages: jq", r"cluster.yml:\d+: host_packages has to be a list"),
        (
            "group_vars/all/cluster.yml",
            "^host_firewall: .*",
            "host_firewall: 'on'",
            r"cluster.yml:\d+: host_firewall has to be true or false",
        ),
        ("hosts.yml", "^    storage:", "    storages:", "rack/hosts.yml: there is no group storage, but storages: is that misspelt"),
        ("hosts.yml", "^    out_of_service:", "", "rack/hosts.yml: there is no group out_of_service; it may be empty"),
        (
            "hosts.yml",
            "^    out_of_service:",
            "    out_of_service: {hosts: {gpu-9: }}",
            r"host gpu-9 \(in out_of_service\) has no ansible_host",
        ),
        ("hosts.yml", "ansible_host: 8 # the", "ansible_hosts: 8 # the", "host server-1 .* has no ansible_host"),
        ("hosts.yml", "gpu_count: 8", "gpu_count: two", r"host gpu-1 \(in k3s_agent, gpu\): gpu_count has to be a number, not 'two'"),
        ("hosts.yml", "gpu_memory_mib: 8", "gpu_memory_mib: 24576 MiB", "gpu_memory_mib has to be a number, not '24576 MiB'"),
        ("hosts.yml", "gpu_memory_mib: 8", "gpu_memory: 8", "gpu_memory_mib has to be a number, not None"),
        (
            "hosts.yml",
            "gpu_count: 8",
            "gpu_count: 8\n          node_labels_extra: [pool=a]",
            "gpu-1 .* node_labels_extra has to be a mapping",
        ),
    ],
)
def test_what_is_wrong_is_named(rack: Project, file: str, pattern: str, text: str, expected: str) -> None:
    edit(rack.inventory / file, pattern, text)
    (said,) = refused(rack)
    assert re.search(expected, said)


@pytest.mark.parametrize("elsewhere", ["group_vars/gpu.yml", "host_vars/gpu-1.yml"])
def test_a_setting_may_stand_where_ansible_finds_it(rack: Project, elsewhere: str) -> None:
    edit(rack.inventory / "group_vars/all/gpu.yml", "^gpu_taint: .*", "")
    (rack.inventory / elsewhere).parent.mkdir(exist_ok=True)
    (rack.inventory / elsewhere).write_text("gpu_taint: '{{ 1 == 1 }}'\n")
    assert inventory.load(rack).hosts


def test_what_cannot_be_decrypted_is_left_to_ansible(rack: Project) -> None:
    (rack.inventory / "group_vars/all/cluster.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert inventory.load(rack).hosts
