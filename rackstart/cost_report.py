"""What `cost` says: a row for each fleet, how its figures come about, and what they rest on."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart.cost import BEST, FIGURES, MILLION, WORST, Fleet, api_per_million, fleets
from rackstart.cost_inputs import Prices, Purchase, Range, Rented, Spot, Throughput

Span = tuple[float, float]


def number(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def span(value: Span | Range, shown: Callable[[float], str] = number) -> str:
    """Both ends, or the one that they are."""
    low, high = (value.low, value.high) if isinstance(value, Range) else value
    ends = dict.fromkeys((shown(low), shown(high)))
    return " to ".join(ends)


def share(value: float) -> str:
    return f"{value:.0%}"


def millions(value: float) -> str:
    return number(value / MILLION)


# Head of each figure's column, and how it is shown.
COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "machines": ("machines", number),
    "gpus": ("GPUs", number),
    "busy": ("busy", share),
    "per_month": ("$ a month", number),
    "per_million": ("$ a million tokens", number),
    "capacity": ("capacity, M a day", millions),
    "break_even": ("break-even, M a day", millions),
}
_REACH = {"reached": "{}", "doubtful": "{}, at the worst out of reach", "never": "never with this fleet ({})"}


def cells(fleet: Fleet) -> list[str]:
    """A fleet's row."""
    shown = {key: span(fleet.figures[key], form) for key, (_, form) in COLUMNS.items()}
    shown["break_even"] = _REACH[fleet.reach].format(shown["break_even"])
    return [fleet.way, millions(fleet.tokens_per_day), *shown.values()]


def show(console: Console, prices: Prices, throughput: Throughput) -> None:
    """Print all of it."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("paid", "M tokens a day", *(head for head, _ in COLUMNS.values())):
        table.add_column(head, overflow="fold")
    for fleet in fleets(prices, throughput):
        table.add_row(*cells(fleet))
    console.print(table)
    for title, lines in (
        ("how they come about", {COLUMNS[key][0]: text for key, text in FIGURES.items()}),
        ("what they rest on", rests_on(prices, throughput)),
    ):
        console.print(f"\n{title}:", style="bold")
        listed = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        for row in lines.items():
            listed.add_row(*row)
        console.print(listed)


def as_json(prices: Prices, throughput: Throughput) -> dict[str, Any]:
    """The same for programs: as docs/cost.md says."""
    rows = [
        {"way": fleet.way, "tokens_per_day": fleet.tokens_per_day, "reach": fleet.reach}
        | {key: {"low": low, "high": high} for key, (low, high) in fleet.figures.items()}
        for fleet in fleets(prices, throughput)
    ]
    rate = {"low": api_per_million(prices, WORST), "high": api_per_million(prices, BEST)}
    return {
        "fleets": rows,
        "throughput": throughput.model_dump(),
        "api_per_million": rate,
        "figures": FIGURES,
        "rests_on": rests_on(prices, throughput),
    }


def rests_on(prices: Prices, throughput: Throughput) -> dict[str, str]:
    """Each input with its source."""
    rate = span((api_per_million(prices, WORST), api_per_million(prices, BEST)))
    return {
        "throughput": f"{span(throughput.tokens_per_second)} tokens a second and replica: {throughput.source}",
        "traffic": f"its peak is {span(prices.traffic.peak_to_mean)} x its mean; prompts and answers are as long as those measured",
        "machines": (
            f"with {prices.gpus_per_machine} GPU each, {prices.gpus_per_replica} for a replica; {prices.spare_machines} spare; "
            f"all run all day, whatever the load; ${span(prices.ops_per_month)} a month for their operation"
        ),
        **{name: f"{_priced(way)}: {way.source}" for name, way in prices.ways.items()},
        "api": f"${rate} a million tokens, {share(prices.api.input_share)} of them prompts: {prices.api.source}",
    }


def _priced(way: Rented | Purchase) -> str:
    if isinstance(way, Purchase):
        return (
            f"${span(way.price)} a machine over {span(way.life_months)} months, {span(way.power_watts)} W, PUE {span(way.pue)}, "
            f"${span(way.per_kwh)} a kWh"
        )
    lost = ""
    if isinstance(way, Spot):
        lost = f", {span(way.interruptions_per_day)} interruptions a day of {span(way.cold_start_minutes)} minutes"
    return f"${span(way.per_hour)} a machine and hour, {span(way.overhead, share)} on top{lost}"
