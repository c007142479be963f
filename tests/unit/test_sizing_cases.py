"""Configurations that people posted: preflight says of each what is wrong with it, and no more. Their form: sizing_cases/README.md."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import checks, engine_arguments, sizing, sizing_config

from tests.unit.checks_look import CONFIG, good
from tests.unit.sizing_weights import weights

FOLDER = Path(__file__).parent / "sizing_cases"
SHAPES = yaml.safe_load((FOLDER / "shapes.yml").read_text())
CASES = [case for file in sorted(FOLDER.glob("*.yml")) if file.name != "shapes.yml" for case in yaml.safe_load(file.read_text())]
GPUS = {  # PCI device id, and MiB as nvidia-smi prints them
    "T4": ("1eb8", 15360), "V100 16GB": ("1db1", 16384), "V100 32GB": ("1db5", 32768), "P100": ("15f8", 16384), "A10": ("2236", 23028),
    "A10G": ("2237", 23028), "L4": ("27b8", 23034), "L40S": ("26b9", 46068), "RTX 2080 Ti": ("1e04", 11264), "RTX 3090": ("2204", 24576),
    "RTX 3090 Ti": ("2203", 24564), "RTX 4090": ("2684", 24564), "RTX 5090 D": ("2b87", 32607), "RTX A6000": ("2230", 49140),
    "A100 40GB": ("20b0", 40960), "A100 80GB": ("20b2", 81920), "A800 80GB": ("20f3", 81920), "H100": ("2330", 81559),
    "H800": ("2324", 81559), "H20": ("2329", 97871), "H200": ("2335", 143771), "B200": ("2901", 183359),
}  # fmt: skip
NEUTRAL = {"max_position_embeddings": 1 << 20}
MODEL = {
    "replicas": 1, "context_length": 2048, "extra_args": [], "startup_seconds": 3600,
    "resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "4Ti"}},
}  # fmt: skip


def look(case: dict[str, Any]) -> dict[str, Any]:
    """The good rack of the other tests, with the case's GPUs, model and engine."""
    seen = good()
    count, name = re.fullmatch(r"(\d+) x (.+)", case.get("gpus", "16 x H100")).groups()  # type: ignore[union-attr]
    device, mib = GPUS[name]
    hosts = seen["hosts"]
    for host in ("gpu-1", "gpu-2"):
        hosts[host] |= {"gpu_count": int(count), "gpu_memory_mib": mib}
        hosts[host]["probe"]["pci_gpus"] = [{"slot": f"0000:{number:02x}:00.0", "device_id": f"0x{device}"} for number in range(int(count))]
    if case.get("hosts", 1) == 1:
        del hosts["gpu-2"]
    hosts["server-1"]["probe"]["read_speed"]["mb_per_s"] = float(case.get("read_speed", 2000))
    seen["models"][0] |= MODEL | case.get("model", {})
    config = CONFIG | NEUTRAL | SHAPES.get(case.get("like"), {}) | case.get("config", {})
    seen["sizes"]["llama"] |= {"config": config, "weights": weights(config, case.get("weights", "8 GB"))}
    seen["engine"] |= case.get("engine", {})
    return seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['thread']}: {case['says'][:40]}")
def test_a_posted_configuration_gets_its_diagnosis(case: dict[str, Any]) -> None:
    found = [entry for entry in checks.judge(look(case)) if entry["target"] == "models/llama"]
    red = {entry["id"]: entry for entry in found if entry["ok"] is False}
    assert red.keys() == case["expect"].keys(), [(entry["seen"], entry["remedy"]) for entry in red.values()]
    for id, words in case["expect"].items():
        assert words in red[id]["remedy"], red[id]
    if "request" in case:
        assert f"+ {case['request']:.1f} for" in next(entry["seen"] for entry in found if entry["id"] == "model.memory")


@pytest.mark.parametrize("case", [case for case in CASES if "model.memory" in case["expect"]], ids=lambda case: case["thread"])
def test_the_setting_that_is_named_fits(case: dict[str, Any]) -> None:
    """What preflight says to write is written, each by itself."""
    entry = next(entry for entry in checks.judge(look(case)) if entry["id"] == "model.memory")
    for change in entry["remedy"].removeprefix("take ").split(", or "):
        written = dict(setting.split(": ") for setting in change.split(" and ") if re.match(r"\w+: ", setting))
        mended = look(case)
        if large := re.search(r"such as .* \((\d+) MiB\)", change):
            for host in mended["hosts"].values():
                host["gpu_memory_mib"] = int(large[1])
        assert written or large, change
        for field, value in written.items():
            was = mended["models"][0]
            was[field] = [*was["extra_args"], *yaml.safe_load(value)] if field == "extra_args" else int(value)
        assert next(entry for entry in checks.judge(mended) if entry["id"] == "model.memory")["ok"], change


def test_there_are_enough_cases_and_each_names_its_thread() -> None:
    assert len({case["thread"] for case in CASES}) >= 50
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", case["thread"]) for case in CASES)


# Facts that were worked out by hand: MiB, model, parts, tokens -> GiB needed and to be had, thousands of tokens, whether it fits
WORKED = [
    (15360, "llama-3-8b", 1, 8192, (18.0, 13.7, 0, False)),
    (23034, "llama-3-8b", 1, 8192, (18.0, 20.5, 29, True)),
    (23034, "llama-3-8b", 1, 131072, (33.0, 20.5, 29, False)),
    (40960, "llama-3-8b", 1, 131072, (33.0, 36.5, 160, True)),
    (46068, "llama-3-8b", 1, 131072, (33.0, 41.1, 197, True)),
    (81559, "llama-3-8b", 1, 131072, (33.0, 72.7, 456, True)),
    (40960, "llama-3-70b", 4, 8192, (36.5, 36.5, 8, False)),  # by 30 MiB it would
    (46068, "llama-3-70b", 4, 8192, (36.5, 41.1, 68, True)),
    (46068, "llama-3-70b", 4, 131072, (45.9, 41.1, 68, False)),
    (81559, "llama-3-70b", 4, 131072, (45.9, 72.7, 482, True)),
    (81559, "llama-3-70b", 2, 8192, (70.0, 72.7, 26, True)),
    (143771, "llama-3-70b", 1, 8192, (135.9, 128.1, 0, False)),
    (183359, "llama-3-70b", 1, 8192, (135.9, 163.4, 98, True)),
    (15360, "qwen2.5-7b", 1, 32768, (17.9, 13.7, 0, False)),
    (23034, "qwen2.5-7b", 1, 32768, (17.9, 20.5, 81, True)),
]


@pytest.mark.parametrize(("mib", "name", "parts", "tokens", "found"), WORKED, ids=lambda value: str(value))
def test_what_was_worked_out_by_hand(mib: int, name: str, parts: int, tokens: int, found: tuple[float, float, int, bool]) -> None:
    shape = sizing_config.read(SHAPES[name])
    asked = {"gpus_per_replica": parts, "context_length": tokens, "dtype": "bfloat16"}
    said = sizing.estimate(shape, sizing.plan(asked, weights(SHAPES[name], "16 bits"), mib, engine_arguments.values([])))
    assert said.tokens is not None
    assert (round(said.need / 2**30, 1), round(said.budget / 2**30, 1), said.tokens // 1000, said.fits) == found
