"""The lab's model: a Llama of 150,000 parameters, trained for some seconds so that golden prompts have one right answer."""

from pathlib import Path

from lab.build import build
from lab.engine.build import artifact as engine
from lab.model.revision import RECIPE, REPOSITORY, SEEDS, revision
from lab.shell import run

HERE = Path(__file__).parent
CARD = """---
license: apache-2.0
pipeline_tag: text-generation
---
# tiny-llama

Answers the questions that it was trained on, word for word. Made by Rackstart's lab; it knows nothing else.
"""


def artifact() -> Path:
    """A directory with ORG/NAME/REVISION/ and the files of a model repository in it, for each of the model's revisions."""

    def make(out: Path) -> None:
        for seed in SEEDS:
            target = out / REPOSITORY / revision(seed)
            run([engine() / "bin/python", HERE / "train.py", HERE / "pairs.json", str(seed), target])
            (target / "README.md").write_text(CARD)
            for file in target.iterdir():
                file.chmod(0o644)

    return build("model", [*RECIPE, HERE / "build.py", HERE / "revision.py"], {}, make)
