"""The lab's model: a Llama of 150,000 parameters, trained for some seconds so that golden prompts have one right answer."""

import shutil
import sys
import tempfile
from pathlib import Path

from lab.build import build
from lab.engine.build import artifact as engine
from lab.model.revision import GGUF_FILE, GGUF_RECIPE, GGUF_REPOSITORY, RECIPE, REPOSITORY, SEEDS, gguf_revision, revision
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
    """A directory with ORG/NAME/REVISION/ and the files of a model repository in it, for each revision of the model, and for it as GGUF."""

    def make(out: Path) -> None:
        for seed in SEEDS:
            target = out / REPOSITORY / revision(seed)
            run([engine() / "bin/python", HERE / "train.py", HERE / "pairs.json", str(seed), target])
            (target / "README.md").write_text(CARD)
        _gguf(out / REPOSITORY / revision(), out / GGUF_REPOSITORY / gguf_revision())
        for file in (path for path in out.rglob("*") if path.is_file()):
            file.chmod(0o644)

    return build("model", [*RECIPE, *GGUF_RECIPE, HERE / "build.py", HERE / "revision.py"], {}, make)


def _gguf(model: Path, out: Path) -> None:
    """The same weights, and the chat template in Ollama's own language, where the hub's repositories have it for Ollama."""
    out.mkdir(parents=True)
    shutil.copy(HERE / "template", out)
    (out / "README.md").write_text(CARD)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        run([*pip, f"--requirement={HERE / 'requirements.txt'}", f"--target={scratch}"])
        script = shutil.copy(HERE / "to_gguf.py", scratch)
        run([engine() / "bin/python", script, model, out / GGUF_FILE])
