"""Inventories: what is read from them and what is refused, with file and line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rackstart import inventory
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project
from rackstart.stages import Stage

GPU = Stage("driver", "gpu", (), "")


def hosts_file(project: Project) -> Path:
    return project.inventory / "hosts.yml"


def test_hosts_and_groups(project: Project) -> None:
    found = inventory.load(project)
    assert found.hosts == ("server-1", "gpu-1", "gpu-2")
    assert found.of(GPU) == ("gpu-1", "gpu-2")
    assert found.of(Stage("labels", "cluster", (), "")) == ()


def test_out_of_service_and_limit_narrow_hosts(project: Project) -> None:
    hosts_file(project).write_text(hosts_file(project).read_text().replace("out_of_service:", "out_of_service: {hosts: {gpu-2: }}"))
    assert inventory.load(project).of(GPU) == ("gpu-1",)
    assert inventory.load(project, "server-1").of(GPU) == ()
    assert inventory.load(project, "gpu:!gpu-2").of(Stage("host", "all", (), "")) == ("gpu-1",)


def test_what_lies_beside_the_inventory_is_not_part_of_it(project: Project) -> None:
    (project.inventory / "hooks").mkdir()
    hook = project.inventory / "hooks" / "before-run"
    hook.write_text("#!/bin/sh\ntouch \"$0.ran\"\necho '{}'\n")
    hook.chmod(0o755)
    project.lock_file.write_text("files: {k3s: {sha256: aa}}\n")
    assert inventory.load(project).hosts == ("server-1", "gpu-1", "gpu-2")
    assert not Path(f"{hook}.ran").exists()


def test_an_unknown_inventory_names_the_known_ones(project: Project) -> None:
    for name in ("nowhere", ""):
        with pytest.raises(ConfigurationError, match="known: rack"):
            Project.open(name, project.root)


def test_an_inventory_may_lie_elsewhere(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "hosts.yml").write_text("all: {hosts: {a: }}\n")
    assert inventory.load(Project.open(str(elsewhere), project.root)).hosts == ("a",)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("hosts.yml", "all:\n  hosts:\n    a: b: c\n", "inventories/rack/hosts.yml:3: not valid YAML"),
        ("group_vars/all/gpu.yml", "a: 1\nb: [2\n", r"inventories/rack/group_vars/all/gpu.yml:3: not valid YAML"),
        ("hosts.yml", "all:\n  hosts:\n    a:\n    b:\n    a:\n", "rack/hosts.yml:5: a stands in line 3 already"),
        ("group_vars/all/x.yml", "list:\n- {a: 1, a: 2}\n", "x.yml:2: a stands in line 2 already"),
        ("group_vars/all/x.yml", "a: 1\nhub_token: {{ vault_hub_token }}\n", "x.yml:2: a value that begins with {{ has to stand in quotes"),
        ("group_vars/all/x.yml", "a:\n- ? [b, c]\n  : 1\n", "x.yml:2: a value that begins with {{ has to stand in quotes"),
        ("group_vars/all/x.yml", "a: {until: 2026-02-31}\n", "x.yml:1: 2026-02-31 is no date: day is out of range"),
        ("hosts.yml", "all:\n  hosts: [a, b]\n", 'inventories/rack: Invalid "hosts" entry for "all" group'),
        ("hosts.yml", "all:\n  children:\n    gpu:\n", "inventories/rack has no hosts; add yours to inventories/rack/hosts.yml"),
        (
            "hosts.yml",
            "all:\n  hosts:\n    a:\n      ip: REPLACE_ME # its address\n",
            "hosts.yml:4: ip is still REPLACE_ME; write its address",
        ),
        ("group_vars/all/x.yml", "# The size. It counts.\nsize: REPLACE_ME\n", "x.yml:2: size is still REPLACE_ME; write the size$"),
        ("group_vars/all/x.yml", "nets: [10.0.0.0/8, REPLACE_ME]\n", "x.yml:1: nets is still REPLACE_ME; write your own value"),
        (
            "group_vars/all/cluster.yml",
            "cluster_proxy:\n  https: 'http://me:{{ vault_password }}@proxy:3128'\n",
            r"cluster.yml:2: https holds a user or password; let the proxy admit the hosts by their addresses, or [^@]*$",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(project: Project, file: str, text: str, complaint: str) -> None:
    (project.inventory / file).parent.mkdir(parents=True, exist_ok=True)
    (project.inventory / file).write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        inventory.load(project)


def test_what_is_not_utf_8_is_named(project: Project) -> None:
    (project.inventory / "group_vars").mkdir()
    (project.inventory / "group_vars/all.yml").write_bytes("a: 1\n# für\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"group_vars/all.yml:2: not UTF-8"):
        inventory.load(project)


def test_a_vaulted_file_is_left_to_ansible(project: Project) -> None:
    (project.inventory / "group_vars").mkdir()
    (project.inventory / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert inventory.load(project).hosts


def test_a_limit_that_matches_nothing_names_what_there_is(project: Project) -> None:
    with pytest.raises(ConfigurationError, match="matches no host; hosts: server-1, gpu-1, gpu-2; groups: all, gpu"):
        inventory.load(project, "gpu-9")


def test_the_site_template_is_refused_at_every_place_to_fill_in() -> None:
    template = Project.open("site")
    with pytest.raises(ConfigurationError) as refused:
        inventory.load(template)
    places = sum(
        line.partition("#")[0].count(inventory.PLACEHOLDER)
        for file in template.inventory.rglob("*.yml")
        for line in file.read_text().splitlines()
    )
    assert str(refused.value).count("is still") == places > 5
    assert "your own value" not in str(refused.value)


def test_variables_are_templated_as_ansible_does(project: Project) -> None:
    (project.inventory / "group_vars").mkdir()
    (project.inventory / "group_vars" / "all.yml").write_text("base: http://10.0.0.2\nartifact_mirror: '{{ base }}/mirror'\n")
    assert inventory.variable(project, "artifact_mirror") == "http://10.0.0.2/mirror"
    assert inventory.variable(project, "nowhere") is None


def test_vaulted_variables_are_read_as_often_as_asked(project: Project) -> None:
    """In a process of its own: Ansible reads its settings, and takes vault passwords, once in each."""
    password, variables = project.inventory.parent / "password", project.inventory / "group_vars/all.yml"
    variables.parent.mkdir()
    variables.write_text("artifact_mirror: http://10.0.0.2\ncluster_registry_auth: {a: b}\n")
    password.write_text("of the vault\n")
    environment = os.environ | {"ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
    vault = Path(sys.executable).with_name("ansible-vault")
    subprocess.run([vault, "encrypt", variables], env=environment, check=True, capture_output=True)
    ask = (
        "from rackstart import inventory; from rackstart.paths import Project; import sys; project = Project.open(sys.argv[1]);"
        "print([inventory.variable(project, name) for name in ('artifact_mirror', 'cluster_registry_auth')])"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask, project.inventory], env=environment, check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert told.stdout.strip() == "['http://10.0.0.2', {'a': 'b'}]"


def test_the_real_inventories_define_all_groups_of_the_stages() -> None:
    from rackstart.stages import STAGES

    groups = {stage.hosts for stage in STAGES if stage.on_hosts} | {"out_of_service"}
    for path in (ROOT / "inventories").glob("*/hosts.yml"):
        text = path.read_text()
        assert all(f"{group}:" in text for group in groups), path
