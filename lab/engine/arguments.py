"""The arguments that `vllm serve` of the engine accepts, as JSON. Run by the engine's own Python: `bin/python lab/engine/arguments.py`.

    {"version": ..., "arguments": [{"flags": [...], "takes_value": bool, "choices": [...] or null, "type": ...}], "quantization": {...}}

An underscore in a flag is read as a dash; `type` is one of str, int, float, size (an int that may end in k, M, G ...) and json.
`quantization` has the lowest compute capability, times ten, by method, and by other names that vLLM itself takes for one.
"""

import json
from argparse import Action
from collections.abc import Callable
from typing import Any

OTHER_NAMES = ("auto-round",)  # those that override_quantization_method of vLLM's classes compares with and that are no method's own
SAMPLES = {"json": "{}", "size": "1k", "float": "0.5", "int": "1"}


def main() -> None:
    from importlib.metadata import version

    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, get_quantization_config
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    actions = make_arg_parser(FlexibleArgumentParser(add_help=False))._actions
    arguments = sorted((describe(action) for action in actions if action.option_strings), key=lambda argument: argument["flags"])
    lines = ",\n".join(json.dumps(argument) for argument in arguments)
    methods = {method: get_quantization_config(method) for method in sorted(QUANTIZATION_METHODS)}
    for name in OTHER_NAMES:
        asked = (method.override_quantization_method({"quant_method": name}, None) for method in methods.values())
        methods[name] = methods[next(filter(None, asked))]
    least = {name: method.get_min_capability() for name, method in methods.items()}
    print(f'{{"version": "{version("vllm").split("+")[0]}", "arguments": [\n{lines}\n], "quantization": {json.dumps(least)}}}')


def describe(action: Action) -> dict[str, Any]:
    takes_value = action.nargs != 0
    choices = sorted(str(choice) for choice in action.choices if choice is not None) if action.choices else None
    kind = converts_to(action.type) if takes_value and callable(action.type) else "str"
    return {"flags": action.option_strings, "takes_value": takes_value, "choices": choices, "type": kind}


def converts_to(convert: Callable[[str], Any]) -> str:
    """What kind of text a converter takes, by trying: vLLM's converters are closures without names."""
    if accepts(convert, "text"):
        return "str"
    return next((name for name, sample in SAMPLES.items() if accepts(convert, sample)), "str")


def accepts(convert: Callable[[str], Any], text: str) -> bool:
    try:
        convert(text)
    except Exception:  # each converter has its own
        return False
    return True


if __name__ == "__main__":
    main()
