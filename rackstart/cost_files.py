"""Reads the files of `cost`: prices, and a bench result. What is wrong in them is named with file and line."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from rackstart.bench_prompts import SHORTEST
from rackstart.cost_inputs import Positive, Prices, Throughput
from rackstart.errors import ConfigurationError
from rackstart.inventory import mistakes

PAGE = "docs/cost.md has every key"
APART = 0.1  # how far the share of prompts may be from that of the measurement: a token of an answer takes much longer than theirs
_SAID = {"missing": "is missing", "extra_forbidden": "is not known"}
Model = TypeVar("Model", bound=BaseModel)


class Level(BaseModel):
    """One run of the bench at one concurrency."""

    concurrency: int
    output_tokens_per_second: FiniteFloat
    total_tokens_per_second: FiniteFloat = Field(gt=0)
    prompt_tokens: FiniteFloat
    answer_tokens: FiniteFloat
    meets_slo: bool = False


class Bench(BaseModel):
    """A bench result; what else is in it is left alone."""

    version: Literal[1] = Field(alias="schema")
    inventory: str
    model: str
    hardware: str
    replicas: int = Field(1, ge=1)  # that answered together
    levels: list[Level]


def prices(path: Path, bench: Path | None = None) -> tuple[Prices, Throughput]:
    """The prices, and what one replica was measured to do: in the bench result if there is one, else as the prices say."""
    found = _read(path, Prices)
    throughput = _measured(bench, found.api.input_share) if bench else found.throughput
    if throughput is None:
        raise ConfigurationError(f"{path}:1: throughput is missing; write what was measured, or give a result: --bench FILE")
    return found, throughput


def _measured(path: Path, share: float) -> Throughput:
    """The concurrency whose slowest run does most, of those that met the SLO in every run; its runs are the range.

    share: of prompts in the traffic, which has to be about that of the measurement.
    """
    bench, runs = _read(path, Bench), dict[int, list[Level]]()
    for level in bench.levels:
        runs.setdefault(level.concurrency, []).append(level)
    good = [same for same in runs.values() if all(level.meets_slo for level in same)]
    if not good:
        raise ConfigurationError(
            f"{path}: no concurrency has meets_slo: true in all of its runs; measure lower ones, or an SLO that this hardware can meet"
        )
    best = max(good, key=lambda same: min(level.total_tokens_per_second for level in same))
    rates = [level.total_tokens_per_second / bench.replicas for level in best]
    prompts = 1 - sum(level.output_tokens_per_second for level in best) / sum(level.total_tokens_per_second for level in best)
    if round(abs(prompts - share), 3) > APART:
        asked = round(mean(level.prompt_tokens + level.answer_tokens for level in best))
        answer = max(SHORTEST, round(asked * (1 - share)))
        raise ConfigurationError(
            f"{path}: prompts are {prompts:.0%} of its tokens, and {share:.0%} of those of your traffic (api.input_share), with which a "
            f"replica does another number of tokens a second; measure with your share of them: bootstrap.py --inventory {bench.inventory} "
            f"bench --model {bench.model} --tokens {max(1, asked - answer)}/{answer}"
        )
    source = (
        f"measured in {path}: {bench.model} on {bench.hardware}, {bench.replicas} replicas, {len(best)} runs of concurrency "
        f"{best[0].concurrency}, {prompts:.0%} prompt tokens"
    )
    return Throughput(tokens_per_second=Positive(low=min(rates), high=max(rates)), source=source)


def _read(path: Path, kind: type[Model]) -> Model:
    """A file of YAML, of which JSON is a part. Raises ConfigurationError with file:line for whatever is wrong in it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    wrong = list(mistakes(path, str(path)))
    if not wrong:
        try:
            return kind.model_validate(yaml.safe_load(text))
        except yaml.MarkedYAMLError as error:
            wrong = [f"{path}:{error.problem_mark.line + 1}: {error.problem}"]
        except ValidationError as error:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            wrong = [f"{path}:{_complaint(root, one['loc'], one['type'], one['msg'])}; {PAGE}" for one in error.errors()]
    raise ConfigurationError("\n  ".join([f"{path} cannot be used:", *dict.fromkeys(wrong)]))


def _complaint(root: yaml.Node | None, place: Sequence[int | str], kind: str, message: str) -> str:
    """LINE: KEY: what is wrong. A key that is missing has the line of the mapping that it is missing in."""
    node, line, names = root, 1, list[str]()
    for key in place:
        found = _below(node, key)
        if found is None:
            names += [str(key)] if kind == "missing" else []
            break
        (line, node), names = found, [*names, str(key)]
    said = _SAID.get(kind) or f"{message[:1].lower()}{message[1:]}".removeprefix("value error, ")
    return f"{line}: {'.'.join(names) or 'the file'}{' ' if kind in _SAID else ': '}{said}"


def _below(node: Any, key: int | str) -> tuple[int, yaml.Node] | None:
    """(line, node) of an entry; None where a node has no such entry, as a plain number has no `low`."""
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        return node.value[key].start_mark.line + 1, node.value[key]
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((name.start_mark.line + 1, value) for name, value in pairs if name.value == str(key)), None)
