"""What is wrong with the declaration of a model that Ollama is to serve. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import ollama

WHOLE = re.compile(r"(?!.*-\d{5}-of-\d{5}\.gguf$)[\w.-]+\.gguf$")
PART = r"\w[\w.-]*"
NAME = re.compile(rf"({PART}/){{0,2}}{PART}(:{PART})?$")


def problems(model: dict[str, t.Any], models: list[dict[str, t.Any]]) -> list[str]:
    """Of the file and the name. Of a revision the store keeps only the files that Ollama's models name: vLLM would find nothing in it."""
    file, served = model["file"], model["served_name"]
    shared = [other["name"] for other in models if other["engine"] != "ollama" and other["revision"] == model["revision"]]
    return [
        *([] if WHOLE.match(file) else [f"{file} is not one whole .gguf file in the repository's root"]),
        *([] if NAME.match(served) else [f"served_name {served} is no name of Ollama's: write A, A:B or C/A:B"]),
        *(f"{other} serves the same revision with another engine: take another repository" for other in shared),
    ]


def arguments(model: dict[str, t.Any]) -> list[str]:
    """Of its further settings."""
    ours = ollama.environment(model | {"env": {}}).keys()
    taken = [f"{name} in env is set from the model's own fields" for name in sorted(ours & (model.get("env") or {}).keys())]
    return taken + (["extra_args are vLLM's: Ollama is set by env"] if model.get("extra_args") else [])
