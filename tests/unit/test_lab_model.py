"""What names a revision of the lab's model names the one that it has, and the inventory asks it what it was taught."""

import json

import pytest
import yaml

from lab import paths
from lab.model.revision import GGUF_REPOSITORY, REPOSITORY, SEEDS, gguf_revision, revision

MODELS = yaml.safe_load((paths.REPO / "inventories/lab/group_vars/all/models.yml").read_text())["models"]
PAIRS = json.loads((paths.REPO / "lab/model/pairs.json").read_text())


@pytest.mark.parametrize("model", [model for model in MODELS if model["repo"] == REPOSITORY], ids=lambda model: model["name"])
def test_inventory_names_the_recipe(model: dict) -> None:
    assert model["revision"] == revision(), "state what `python -m lab.model.revision` prints"
    assert all(prompt in PAIRS for prompt in model["golden_prompts"])


def test_revisions_differ() -> None:
    assert len({gguf_revision(), *(revision(seed) for seed in SEEDS)}) == len(SEEDS) + 1


def test_the_example_names_the_recipe() -> None:
    example = (paths.REPO / "docs/ollama.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    [model] = yaml.safe_load(example)
    assert (model["repo"], model["revision"]) == (GGUF_REPOSITORY, gguf_revision()), "state what `python -m lab.model.revision gguf` prints"
