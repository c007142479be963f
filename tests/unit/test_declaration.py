"""The file that declares models is changed in one place, and otherwise stays byte for byte."""

import os
from pathlib import Path

import pytest
import yaml

from rackstart.declaration import Declaration
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project

OLD, NEW = "a" * 40, "b" * 40
TWO = f"""# What the rack serves.
---
hub_token: "{{{{ vault_hub_token }}}}" # kept elsewhere
models:
  # for the office
  - name: small # a label
    revision: {OLD} # of March
    golden_prompts:
      - {{prompt: "2+2?", expect: "4"}}

  # for the lab
  - name: large
    note: |
      of many
      lines
    revision: '{OLD}'

further: [1, 2] # and more
"""
MODEL = {
    "name": "third",
    "revision": "1" * 40,
    "resources": {"requests": {"cpu": "1"}},
    "golden_prompts": [{"prompt": "a: b", "expect": "#"}],
}


def of(text: str, path: Path = Path("models.yml")) -> Declaration:
    return Declaration(path, "models.yml", text)


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_revision_is_all_that_changes(name: str) -> None:
    [before] = [line for line in TWO.splitlines() if f"revision: {OLD}" in line] if name == "small" else [f"    revision: '{OLD}'"]
    after = before.replace(f"'{OLD}'", NEW).replace(OLD, NEW)
    assert of(TWO).revised(name, NEW) == TWO.replace(before, after)
    assert of(TWO).revised(name, OLD).count(OLD) == 2


def test_a_revision_that_looks_like_a_number_stays_text() -> None:
    changed = yaml.safe_load(of(TWO).revised("small", "1" * 40))
    assert changed["models"][0]["revision"] == "1" * 40


def test_a_model_goes_with_the_comment_above_it() -> None:
    small, large = TWO.index("  # for the office"), TWO.index("\n  # for the lab")
    assert of(TWO).without("small") == TWO[:small] + TWO[large:]
    assert of(TWO).without("large") == TWO[: large + 1] + "\nfurther: [1, 2] # and more\n"


LISTS = {
    "two": TWO,
    "no newline at the end": "models:\n- name: small\n  revision: x",
    "an empty list": "models: [] # none yet\nhub_token: ''\n",
    "nothing": "models:\nhub_token: ''\n",
    "text at the end": "models:\n  - name: small\n    note: |\n      a\n      b\nhub_token: ''\n",
    "a comment at the end": "models:\n    - name: small\n      args: []\n# the end\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_model_is_added_behind_the_others_and_all_else_stays(name: str) -> None:
    text = LISTS[name]
    added = of(text).added(MODEL)
    before = yaml.safe_load(text)
    assert yaml.safe_load(added) == before | {"models": [*(before["models"] or []), MODEL]}
    left = [line for line in added.splitlines() if line in text.splitlines()]
    assert [line for line in text.splitlines() if line not in left] in ([], ["models: [] # none yet"])
    if before["models"]:
        assert of(added).without("third").rstrip("\n") == text.rstrip("\n")


BY_HAND = {
    "one line": f"models: [{{name: small, revision: {OLD}}}]\n",
    "an expression": 'models: "{{ more }}"\n',
    "no revision": "models:\n  - name: small\n",
    "a shared revision": f"models:\n  - name: small\n    revision: &r {OLD}\n  - name: large\n    revision: *r\n",
    "another's revision": f"one: &r {OLD}\nmodels:\n  - name: small\n    revision: *r\n",
    "a merged revision": f"one: &m {{revision: {OLD}}}\nmodels:\n  - name: small\n    <<: *m\n",
    "a name that is none": f"models:\n  - name: other\n    revision: {OLD}\n",
}


@pytest.mark.parametrize("name", BY_HAND)
def test_what_cannot_be_changed_by_itself_is_left_to_the_user(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.yml: .*by hand"):
        of(BY_HAND[name]).revised("small", NEW)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "declared nowhere"),
        ({"all/gpu.yml": "gpu_taint: true\n", "all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n66\n"}, "declared nowhere"),
        ({"all/models.yml": "models: []\n", "all/more/models.yaml": "models: []\n"}, "models.yml, .*models.yaml; declare it in one"),
        ({"all.yml": "models: []\n"}, ""),
    ],
)
def test_just_one_file_declares_models(project: Project, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        path = project.inventory / "group_vars" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not said:
        assert Declaration.read(project).shown == "inventories/rack/group_vars/all.yml"
        return
    with pytest.raises(ConfigurationError, match=said):
        Declaration.read(project)


@pytest.mark.parametrize("inventory", ["lab", "site"])
def test_those_that_come_along_can_be_changed(inventory: str) -> None:
    declared = Declaration.read(Project.open(inventory, ROOT))
    assert of(declared.added(MODEL)).without("third") == declared.text


@pytest.mark.parametrize("broken", ["open", "fsync", "rename", "access"])
def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    file = tmp_path / "models.yml"
    file.write_text(TWO)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    if broken == "access":
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        monkeypatch.setattr(*((os, "fsync", fail) if broken == "fsync" else (Path, broken, fail)))
    with pytest.raises(ConfigurationError, match=r"models\.yml cannot be written: .*; it is as it was"):
        of(TWO, file).write("models: []\n")
    monkeypatch.undo()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"models.yml": TWO}


def test_mode_and_link_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yml", tmp_path / "models.yml"
    file.write_text(TWO)
    file.chmod(0o640)
    link.symlink_to(file)
    of(TWO, link).write("models: []\n")
    assert (link.is_symlink(), file.read_text(), file.stat().st_mode & 0o777) == (True, "models: []\n", 0o640)
