"""The lab's inventory names the revision that the lab's model has, and asks it what it was taught."""

import json

import pytest
import yaml

from lab import paths
from lab.model.revision import REPOSITORY, SEEDS, revision

MODELS = yaml.safe_load((paths.REPO / "inventories/lab/group_vars/all/models.yml").read_text())["models"]
PAIRS = json.loads((paths.REPO / "lab/model/pairs.json").read_text())


@pytest.mark.parametrize("model", [model for model in MODELS if model["repo"] == REPOSITORY], ids=lambda model: model["name"])
def test_inventory_names_the_recipe(model: dict) -> None:
    assert model["revision"] == revision(), "state what `python -m lab.model.revision` prints"
    assert all(prompt in PAIRS for prompt in model["golden_prompts"])


def test_revisions_differ() -> None:
    assert len({revision(seed) for seed in SEEDS}) == len(SEEDS)
