"""The two inventories that come with the project: the same settings, explained in the template, and complete for every stage."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackstart.paths import ROOT

SITE, LAB = ROOT / "inventories/site", ROOT / "inventories/lab"
SETTINGS = sorted(path.relative_to(SITE) for path in SITE.glob("group_vars/all/*.yml"))


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("file", SETTINGS, ids=str)
def test_both_have_the_same_settings(file: Path) -> None:
    assert load(SITE / file).keys() == load(LAB / file).keys()


def test_both_have_the_same_files() -> None:
    assert [path.relative_to(LAB) for path in sorted(LAB.glob("group_vars/all/*.yml"))] == SETTINGS


@pytest.mark.parametrize("file", SETTINGS, ids=str)
def test_the_template_explains_every_setting(file: Path) -> None:
    """A comment stands above each setting, or above the ones that it follows without a gap, or behind it, or heads its own file."""
    explained = False
    for line in (SITE / file).read_text().splitlines():
        if (key := re.match(r"\w+(?=:)", line)) and key[0] != file.stem:
            assert explained or "#" in line, line
        explained = line.startswith("#") or (explained and line != "")


def groups(path: Path) -> dict[str, dict[str, Any]]:
    return dict(load(path / "hosts.yml")["all"]["children"])


def test_both_have_the_same_groups_and_hosts() -> None:
    hosts = {path: {name: sorted((group or {}).get("hosts") or {}) for name, group in groups(path).items()} for path in (SITE, LAB)}
    assert hosts[SITE] == hosts[LAB]


def test_models_of_both_have_the_same_fields() -> None:
    template, tiny = (load(path / "group_vars/all/models.yml")["models"][0] for path in (SITE, LAB))
    assert template.keys() == tiny.keys()
    assert re.fullmatch(r"[0-9a-f]{40}", tiny["revision"])


def test_no_secret_is_written_down() -> None:
    """Passwords and tokens are looked up, or taken from the vault."""
    for path in (*SITE.rglob("*.yml"), *LAB.rglob("*.yml")):
        for key, value in re.findall(r"^\s*(\w*(?:password|token))\s*:[ \t]*([^#\n]*)", path.read_text(), re.M):
            assert value.strip() in ('""', "") or "{{" in value, f"{path}: {key}"


def test_the_labs_models_answer_what_the_labs_model_was_taught() -> None:
    taught = (ROOT / "lab/model/pairs.json").read_text()
    for model in load(LAB / "group_vars/all/models.yml")["models"]:
        for golden in model["golden_prompts"]:
            assert golden["prompt"] in taught
            assert golden["expect"] in taught
