"""The commits under which the hub offers the model: 40 hex digits over its recipe.

`python -m lab.model.revision [SEED]` prints one, `python -m lab.model.revision gguf` that of the same weights as GGUF.
"""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = "rackstart/tiny-llama"
SEEDS = (0, 1)  # the revision that the inventory names, and another one with other weights
RECIPE = [HERE / "train.py", HERE / "pairs.json", HERE.parent / "engine/requirements.lock"]
GGUF_REPOSITORY, GGUF_FILE = f"{REPOSITORY}-gguf", "tiny-llama-bf16.gguf"
GGUF_RECIPE = [HERE / "to_gguf.py", HERE / "requirements.txt", HERE / "template"]


def _commit(recipe: list[Path], further: str) -> str:
    content = b"".join(file.read_bytes() for file in recipe) + further.encode()
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def revision(seed: int = SEEDS[0]) -> str:
    return _commit(RECIPE, str(seed))


def gguf_revision() -> str:
    return _commit(GGUF_RECIPE, revision())


if __name__ == "__main__":
    print(gguf_revision() if sys.argv[1:] == ["gguf"] else revision(*map(int, sys.argv[1:])))
