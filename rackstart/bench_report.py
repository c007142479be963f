"""What `bench` prints, and what its figures are."""

from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart.cost_report import number, share

# Each figure of a level, by its key in the result: head of the column, and what it is.
FIGURES = {
    "concurrency": ("at once", "requests under way at any time: as one is answered, the next is sent"),
    "requests": ("requests", "that count; as many as run at once went before, and after them"),
    "failed": ("failed", "of these: answered by an error, cut off, or not within 10 minutes"),
    "prompt_tokens": ("prompt", "tokens of a prompt on the mean, as the engine counts them, chat template and all"),
    "answer_tokens": ("answer", "tokens of an answer on the mean; the engine is told not to end earlier"),
    "ttft_ms": ("first token, ms, p50 / p95", "from sending a request to its first token: half of all, and 95 %, wait no longer"),
    "itl_ms": ("between tokens, ms, p50 / p95", "from the first token to the last over their number less one, for each request"),
    "output_tokens_per_second": ("answers, tokens/s", "tokens of all answers over the seconds of all requests, by how many run at once"),
    "total_tokens_per_second": ("all, tokens/s", "the same with prompts: what `cost` goes by"),
    "good": ("within SLO", "share of the requests with both times within the SLO; a failed one is not"),
    "goodput_per_second": ("good/s", "goodput: such requests a second"),
    "meets_slo": ("SLO", "met: 95 % of the requests are within it"),
}  # fmt: skip


def cells(level: dict[str, Any]) -> list[str]:
    """A level's row."""
    return [_cell(key, level[key]) for key in FIGURES]


def _cell(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{number(value['p50'])} / {number(value['p95'])}"
    if isinstance(value, bool):
        return "met" if value else "missed"
    return share(value) if key == "good" else number(value)


def best(result: dict[str, Any]) -> str:
    """One line: what the hardware does within the SLO, by the rule of `cost`: in every run of a concurrency, and then its slowest run."""
    limits = f"{result['slo']['ttft_ms']:g} ms to the first token and {result['slo']['itl_ms']:g} ms between tokens"
    runs: dict[int, list[dict[str, Any]]] = {}
    for level in result["levels"]:
        runs.setdefault(level["concurrency"], []).append(level)
    good = {
        count: min(float(level["total_tokens_per_second"]) for level in same)
        for count, same in runs.items()
        if all(level["meets_slo"] for level in same)
    }
    if not good:
        return f"no level is within {limits}: measure fewer at once, or an SLO that this hardware can meet"
    count = max(good, key=lambda one: good[one])
    each = number(good[count] / result["replicas"])
    return f"within {limits}: {count} at once, {number(good[count])} tokens a second, {each} for each replica"


def show(console: Console, result: dict[str, Any], folder: str) -> None:
    """Print the levels, and where they are kept."""
    console.print(f"{result['model']}, replicas: {result['replicas']}, {result['hardware']}; by {result['generator']}")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head, _ in FIGURES.values():
        table.add_column(head, overflow="fold", justify="right")
    for level in result["levels"]:
        table.add_row(*cells(level))
    console.print(table)
    console.print(best(result), style="bold")
    console.print(f"kept: {folder}/bench.json, bench.svg, and the generator's own files; cost --prices FILE --bench {folder}/bench.json")
