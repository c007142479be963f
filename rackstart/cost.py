"""What a fleet of one's own costs, and from which volume on that is less than an API.

Every figure is worked out twice, with all ranges at their best and at their worst for the fleet. What costs lies between the two,
whatever the inputs in between; `busy` and `capacity`, in which machines are rounded up, are what they are in these two cases.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from rackstart.cost_inputs import MINUTES_PER_DAY, Prices, Purchase, Range, Rented, Spot, Throughput

HOURS_PER_MONTH = 730  # 365 x 24 / 12
SECONDS_PER_DAY = 86_400
MILLION = 1e6

# What each figure of a fleet is and how it comes about, in the words of the prices file.
FIGURES = {
    "machines": (
        "the peak over what a machine serves, rounded up, + spare_machines. Peak: tokens_per_day / 86,400 s x peak_to_mean. "
        "A machine serves gpus_per_machine / gpus_per_replica (whole) x tokens_per_second x the share of the day that it is up, "
        "on spot 1 - interruptions_per_day x cold_start_minutes / 1,440, else 1"
    ),
    "gpus": "machines x gpus_per_machine: what is paid for",
    "busy": "tokens_per_day over what all machines, spare ones too, could serve in a day without a pause",
    "per_month": (
        "machines x a machine's month + ops_per_month. Rented: per_hour x 730 h x (1 + overhead). Bought: price / life_months "
        "+ power_watts / 1,000 x 730 h x pue x per_kwh"
    ),
    "per_million": "$ a month over the millions of tokens of a month, tokens_per_day x 730 / 24: the API price at which this fleet is even",
    "capacity": "tokens a day that the machines without the spare ones serve when the peak takes all they have",
    "break_even": "tokens a day for which the API would ask what this fleet costs; it is out of reach where it is above the capacity",
}
Reach = Literal["reached", "doubtful", "never"]


@dataclass(frozen=True)
class Case:
    """Picks from ranges: the ends that make a fleet dearest, or those that make it cheapest."""

    worst: bool

    def burden(self, value: Range) -> float:
        """Of what makes a fleet dearer the more there is."""
        return value.high if self.worst else value.low

    def relief(self, value: Range) -> float:
        """Of what makes it cheaper, or the API dearer."""
        return value.low if self.worst else value.high


BEST, WORST = Case(False), Case(True)


@dataclass(frozen=True)
class Fleet:
    """The machines for one volume, paid in one way. `figures` are (low, high), by the names of FIGURES; reached: in both cases."""

    way: str
    tokens_per_day: float
    figures: dict[str, tuple[float, float]]
    reach: Reach


def fleets(prices: Prices, throughput: Throughput) -> list[Fleet]:
    """One for each way to pay and each volume, in the order of the file."""
    return [_fleet(prices, throughput, name, volume) for name in prices.ways for volume in prices.traffic.tokens_per_day]


def api_per_million(prices: Prices, case: Case) -> float:
    """$ for a million tokens of the traffic's mix."""
    share = prices.api.input_share
    return share * case.relief(prices.api.input_per_million) + (1 - share) * case.relief(prices.api.output_per_million)


def machine_per_month(way: Rented | Purchase, case: Case) -> float:
    """$ for one machine."""
    if isinstance(way, Rented):
        return case.burden(way.per_hour) * HOURS_PER_MONTH * (1 + case.burden(way.overhead))
    kilowatts = case.burden(way.power_watts) / 1000 * case.burden(way.pue)
    return case.burden(way.price) / case.relief(way.life_months) + kilowatts * HOURS_PER_MONTH * case.burden(way.per_kwh)


def up(way: Rented | Purchase, case: Case) -> float:
    """Share of the day in which a machine serves. A spot machine that starts is paid for; on demand would have to start just so."""
    if isinstance(way, Spot):
        return 1 - case.burden(way.interruptions_per_day) * case.burden(way.cold_start_minutes) / MINUTES_PER_DAY
    return 1


def figures(prices: Prices, throughput: Throughput, way: Rented | Purchase, volume: float, case: Case) -> dict[str, float]:
    """The figures of a fleet for `volume` tokens a day in one case."""
    replicas = prices.gpus_per_machine // prices.gpus_per_replica
    served = replicas * case.relief(throughput.tokens_per_second) * up(way, case) * SECONDS_PER_DAY  # tokens a day by one machine
    peak = case.burden(prices.traffic.peak_to_mean)
    serving = max(1, ceil(round(volume * peak / served, 9)))  # rounded, since 11.000000000000002 machines are eleven
    machines = serving + prices.spare_machines
    per_month = machines * machine_per_month(way, case) + case.burden(prices.ops_per_month)
    per_day = per_month / HOURS_PER_MONTH * 24
    return {
        "machines": machines,
        "gpus": machines * prices.gpus_per_machine,
        "busy": volume / (machines * served),
        "per_month": per_month,
        "per_million": per_day / (volume / MILLION),
        "capacity": serving * served / peak,
        "break_even": per_day / api_per_million(prices, case) * MILLION,
    }


def _fleet(prices: Prices, throughput: Throughput, name: str, volume: float) -> Fleet:
    cases = [figures(prices, throughput, prices.ways[name], volume, case) for case in (BEST, WORST)]
    within = [case["break_even"] <= case["capacity"] for case in cases]
    reach: Reach = "reached" if all(within) else "doubtful" if any(within) else "never"
    spans = {key: (min(case[key] for case in cases), max(case[key] for case in cases)) for key in FIGURES}
    return Fleet(name, volume, spans, reach)
