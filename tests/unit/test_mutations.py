"""What `make mutations` breaks: each mutant is one change that means something, and a seed always gives the same."""

import ast
from pathlib import Path

import pytest
import yaml

from rackstart.paths import ROOT
from tests.mutations import code, trial
from tests.mutations.mutants import chosen, every

ROLES = sorted(path.name for path in ROOT.glob("roles/*"))


@pytest.mark.parametrize("role", ROLES)
def test_each_mutant_is_well_formed_and_means_something_else(role: str) -> None:
    mutants = list(every(ROOT, role))
    assert mutants
    for mutant in mutants:
        whole = (ROOT / mutant.file).read_text()
        assert mutant.text != whole, mutant.place
        if mutant.file.endswith(".yml"):
            assert yaml.safe_load(mutant.text) != yaml.safe_load(whole), mutant.place
        elif mutant.file.endswith(".py"):
            assert ast.dump(ast.parse(mutant.text)) != ast.dump(ast.parse(whole)), mutant.place


def test_a_seed_always_chooses_the_same() -> None:
    first, again, other = (chosen(ROOT, "host", seed, 10) for seed in (1, 1, 2))
    assert first == again != other
    assert {mutant.kind for mutant in first} == {"task dropped", "default flipped", "mode widened"}


def test_a_task_is_dropped_with_its_comment_left(tmp_path: Path) -> None:
    tasks = tmp_path / "roles/toy/tasks/main.yml"
    tasks.parent.mkdir(parents=True)
    tasks.write_text("---\n- name: One\n  ansible.builtin.ping:\n\n# Why.\n- name: Two\n  ansible.builtin.ping:\n")
    assert [(mutant.place, mutant.text) for mutant in every(tmp_path, "toy")] == [
        ("roles/toy/tasks/main.yml:2", "---\n\n# Why.\n- name: Two\n  ansible.builtin.ping:\n"),
        ("roles/toy/tasks/main.yml:6", "---\n- name: One\n  ansible.builtin.ping:\n\n# Why.\n"),
    ]


def test_conditions_are_turned() -> None:
    assert [(line, text) for line, _, text in code.turned("a = not b\nc = d in e or f\n")] == [
        (1, "a = b\nc = d in e or f\n"),
        (2, "a = not b\nc = d in e and f\n"),
        (2, "a = not b\nc = d not in e or f\n"),
    ]


def test_a_few_mutants_turn_a_test_red() -> None:
    with trial.copied() as copy:
        tried = trial.Trial(copy, "model_store")
        kinds = ("default flipped", "mode widened")
        few = [mutant for mutant in chosen(copy, "model_store", 1, 10) if mutant.kind in kinds][:2]
        assert {mutant.kind for mutant in few} == set(kinds)
        assert [mutant.place for mutant in few if not tried.fast(mutant)] == []
