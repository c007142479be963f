"""What the lab's hosts can report themselves to be."""

import os

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_os import RUN, SUPPORTED

from lab.root import suites
from lab.shell import LabError
from rackstart.paths import ROOT

TABLE = yaml.safe_load(suites.TABLE.read_text())


def test_a_file_may_be_named_after_the_running_kernel() -> None:
    assert f"/boot/vmlinuz-{os.uname().release}" in suites.find("noble").files


def test_an_unknown_suite_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabError, match="has bookworm, trixie, jammy"):
        suites.find("sarge")


def test_every_distribution_that_preflight_takes_has_a_host_in_molecules_inventory() -> None:
    groups = yaml.safe_load((ROOT / "molecule/inventory/hosts.yml").read_text())["molecule"]["children"].values()
    found = {(host or {}).get("suite", "bookworm") for group in groups for host in group["hosts"].values()}
    texts = {name: TABLE[name].get("files", {}).get("/etc/os-release", "") for name in found}
    reports = [dict(line.replace('"', "").split("=", 1) for line in text.splitlines()) for text in texts.values() if text]
    emulated = {(report["ID"], report["VERSION_ID"].removesuffix(".6")) for report in reports}
    accepted = {(id, version) for id, versions in SUPPORTED.items() for version in versions}
    # Rocky Linux stands for RHEL, whose packages have the same names.
    assert emulated | {("rhel", "9")} == {(id, version) for id, version in accepted if id not in RUN}
    assert {name for name, text in texts.items() if not text} == {"bookworm", "trixie"}
