"""`cost`: figures worked out by hand, ranges, what is refused, and that more of what costs never makes anything cheaper."""

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackstart import cli, cost, cost_files
from rackstart.cost_inputs import Prices
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT

Change = dict[str, Any]
POST, RACK = ROOT / "docs/cost/post.yml", ROOT / "docs/cost/rack.yml"
BARE: Change = {"on_demand.overhead": 0, "spot.overhead": 0}
# 8 GPUs for 2 a replica are 4 replicas of 100 tokens a second: 34.56 million tokens a day and machine. A month of a machine is
# 36,500 / 50 = $730 and 2 kW x 730 h x 1.5 x $0.1 = $219.
BOUGHT: Change = {
    "on_demand": None,
    "spot": None,
    "gpus_per_machine": 8,
    "gpus_per_replica": 2,
    "throughput.tokens_per_second": 100,
    "purchase": {"price": 36500, "life_months": 50, "power_watts": 2000, "pue": 1.5, "per_kwh": 0.1, "source": "a sum"},
}


def changed(change: Change) -> Change:
    """The post's file with other values, by dotted key; None takes a key out."""
    data: Change = yaml.safe_load(POST.read_text())
    for key, value in change.items():
        *above, last = key.split(".")
        place = data
        for name in above:
            place = place[name]
        place[last] = copy.deepcopy(value)
        if value is None:
            del place[last]
    return data


def fleet(change: Change, way: str = "on_demand", volume: float = 50e6) -> cost.Fleet:
    prices = Prices.model_validate(changed(change))
    assert prices.throughput
    return next(one for one in cost.fleets(prices, prices.throughput) if (one.way, one.tokens_per_day) == (way, volume))


@pytest.mark.parametrize(
    ("change", "way", "volume", "figure", "low", "high"),
    [
        # As the post has it: 2 x $1.20 x 730 h x 1.2, and 2 x $0.35 x 730 h x 1.2.
        ({}, "on_demand", 10e6, "per_month", 2102.4, 2102.4),
        ({}, "spot", 50e6, "per_month", 613.2, 613.2),
        ({}, "on_demand", 50e6, "per_million", 1.3824, 1.3824),
        ({}, "spot", 10e6, "per_million", 2.016, 2.016),
        ({}, "spot", 10e6, "break_even", 9.98e6, 14.61e6),
        ({}, "on_demand", 50e6, "break_even", 34.22e6, 50.09e6),
        ({}, "on_demand", 50e6, "capacity", 50.112e6, 50.112e6),  # 580 x 86,400, without the spare machine
        ({}, "on_demand", 10e6, "busy", 0.09978, 0.09978),  # of both machines
        # One GPU at its bare price: $28.80 a day on demand; a second one doubles it.
        (BARE | {"spare_machines": 0}, "on_demand", 10e6, "per_million", 2.88, 2.88),
        (BARE | {"spare_machines": 0}, "on_demand", 50e6, "per_million", 0.576, 0.576),
        (BARE | {"spare_machines": 0}, "on_demand", 50e6, "per_month", 876, 876),
        (BARE, "on_demand", 10e6, "per_million", 5.76, 5.76),
        (BARE, "on_demand", 50e6, "per_million", 1.152, 1.152),
        (BARE, "spot", 50e6, "per_month", 511, 511),
        # Machines: 50e6 / 86,400 = 578.7 tokens a second, three times that is 1,736.1; 2.99 and 1.99 machines, and a spare one.
        ({"traffic.peak_to_mean": 3}, "on_demand", 50e6, "machines", 4, 4),
        ({"traffic.peak_to_mean": {"low": 2, "high": 3}}, "on_demand", 50e6, "machines", 3, 4),
        ({"traffic.peak_to_mean": 3}, "on_demand", 50e6, "capacity", 50.112e6, 50.112e6),
        ({"throughput.tokens_per_second": {"low": 290, "high": 580}}, "on_demand", 50e6, "machines", 2, 3),
        ({"throughput.tokens_per_second": 50e6 / 86400 / 11}, "on_demand", 50e6, "machines", 12, 12),  # 11.000000000000002 are 11
        ({"traffic.tokens_per_day": [0.001], "spare_machines": 0}, "spot", 0.001, "machines", 1, 1),
        ({"gpus_per_machine": 2}, "on_demand", 50e6, "machines", 2, 2),
        ({"gpus_per_machine": 2}, "on_demand", 50e6, "gpus", 4, 4),
        # 4 x 11 minutes of 1,440 are lost: 580 becomes 562.3 tokens a second, which one machine is no longer enough for.
        ({"spot.interruptions_per_day": 4}, "spot", 50e6, "machines", 3, 3),
        ({"spot.interruptions_per_day": 4}, "on_demand", 50e6, "machines", 2, 2),
        ({"spot.interruptions_per_day": 4}, "spot", 10e6, "capacity", 48.58e6, 48.58e6),
        ({"ops_per_month": {"low": 0, "high": 1000}}, "on_demand", 10e6, "per_month", 2102.4, 3102.4),
        # A quarter of $4 and three quarters of $12 are $10 for a million; $69.12 a day.
        (
            {"api.input_per_million": 4, "api.output_per_million": 12, "api.input_share": 0.25},
            "on_demand", 10e6, "break_even", 6.912e6, 6.912e6,
        ),
        (BOUGHT, "purchase", 50e6, "machines", 3, 3),
        (BOUGHT, "purchase", 50e6, "per_month", 3 * 949, 3 * 949),
        (BOUGHT | {"gpus_per_replica": 5}, "purchase", 50e6, "machines", 7, 7),  # one replica, and three GPUs idle
        (BOUGHT | {"purchase.life_months": {"low": 25, "high": 50}}, "purchase", 50e6, "per_month", 3 * 949, 3 * 1679),
        (BOUGHT | {"purchase.power_watts": {"low": 0, "high": 2000}}, "purchase", 50e6, "per_month", 3 * 730, 3 * 949),
    ],
)  # fmt: skip
def test_figures_worked_out_by_hand(change: Change, way: str, volume: float, figure: str, low: float, high: float) -> None:
    assert fleet(change, way, volume).figures[figure] == pytest.approx((low, high), rel=1e-3)


@pytest.mark.parametrize(
    ("api", "way", "reach"),
    [
        ({"low": 1.38, "high": 2.02}, "on_demand", "reached"),
        ({"low": 1.37, "high": 2.02}, "on_demand", "doubtful"),  # a full fleet costs $1.379 a million
        (1.37, "on_demand", "never"),
        (0.41, "spot", "reached"),
        (0.15, "spot", "never"),
    ],
)
def test_a_break_even_above_the_capacity_is_out_of_reach(api: Any, way: str, reach: str) -> None:
    assert fleet({"api.input_per_million": api, "api.output_per_million": api}, way).reach == reach


def test_the_posts_two_claims_come_out() -> None:
    every = [fleet({}, way) for way in ("spot", "on_demand")]
    assert [round(one.figures["per_month"][0], -2) for one in every] == [600, 2100]
    assert [round(every[0].figures["break_even"][0], -6), round(every[1].figures["break_even"][1], -6)] == [10e6, 50e6]


BURDENS = (
    *("on_demand.per_hour", "on_demand.overhead", "spot.per_hour", "spot.interruptions_per_day", "spot.cold_start_minutes"),
    *("purchase.price", "purchase.power_watts", "purchase.pue", "purchase.per_kwh", "traffic.peak_to_mean", "ops_per_month"),
)
RELIEFS = ("throughput.tokens_per_second", "purchase.life_months", "api.input_per_million", "api.output_per_million")


@pytest.mark.parametrize("key", [*BURDENS, *RELIEFS])
def test_more_of_what_costs_never_makes_a_fleet_cheaper_and_a_wider_range_never_narrows(key: str) -> None:
    chance = random.Random(key)
    moved = False
    for _ in range(40):
        less, more = sorted(chance.choice((1 + chance.random(), 1 + 20 * chance.random())) for _ in range(2))
        volume = chance.choice((1e6, 3e9))
        fixed = {"purchase": BOUGHT["purchase"], "traffic.tokens_per_day": [volume], "spot.interruptions_per_day": 9}
        for way in ("on_demand", "spot", "purchase"):
            one, two, both = (fleet(fixed | {key: value}, way, volume).figures for value in (less, more, {"low": less, "high": more}))
            for figure in ("machines", "per_month", "per_million", "break_even"):
                cheap, dear = (one, two) if key in BURDENS else (two, one)
                assert cheap[figure] <= dear[figure], (way, figure)
                low, high = both[figure]
                assert (low, high) == pytest.approx((cheap[figure][0], dear[figure][1])), (way, figure)
                moved = moved or cheap[figure] < dear[figure]
    assert moved


def bench(tmp_path: Path, levels: list[tuple[int, float, bool]], **more: Any) -> Path:
    """A result of (concurrency, tokens a second, whether it meets the SLO); a quarter of the tokens are answers."""
    rows = [
        {
            "concurrency": at,
            "prompt_tokens": 960,
            "answer_tokens": 320,
            "output_tokens_per_second": total / 4,
            "total_tokens_per_second": total,
            "meets_slo": good,
            "ttft_seconds": {},
        }
        for at, total, good in levels
    ]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"schema": 1, "inventory": "rack", "model": "llama", "hardware": "A10G", "levels": rows, **more}, indent=1))
    return path


def traffic(tmp_path: Path, share: float) -> Path:
    """The post's file with such a share of prompts."""
    path = tmp_path / "prices.yml"
    path.write_text(yaml.safe_dump(changed({"api.input_share": share})))
    return path


@pytest.mark.parametrize(
    ("levels", "more", "rates"),
    [
        ([(1, 100, True), (8, 700, True), (16, 900, False)], {}, (700, 700)),
        ([(8, 700, True), (8, 600, True), (4, 500, True)], {}, (600, 700)),
        ([(8, 700, True), (8, 900, False), (4, 500, True)], {}, (500, 500)),  # once too slow is too slow
        ([(8, 900, True), (8, 300, True), (4, 500, True)], {}, (500, 500)),  # by its slowest run
        ([(8, 700, True)], {"replicas": 2}, (350, 350)),
    ],
)
def test_throughput_is_the_best_level_that_meets_the_slo(
    tmp_path: Path, levels: list[tuple[int, float, bool]], more: Change, rates: tuple[float, float]
) -> None:
    _, found = cost_files.prices(traffic(tmp_path, 0.75), bench(tmp_path, levels, **more))
    assert (found.tokens_per_second.low, found.tokens_per_second.high) == rates
    assert "llama on A10G" in found.source
    assert "75% prompt tokens" in found.source


@pytest.mark.parametrize(
    ("share", "tokens"), [(0.65, ""), (0.85, ""), (0.64, "819/461"), (0.86, "1101/179"), (0.3, "384/896"), (1, "1276/4"), (0, "1/1280")]
)
def test_a_bench_of_another_mix_is_refused_and_names_the_one_to_measure(tmp_path: Path, share: float, tokens: str) -> None:
    files = traffic(tmp_path, share), bench(tmp_path, [(8, 700, True)])
    if tokens:
        with pytest.raises(ConfigurationError, match=rf"75%.* {share:.0%}.*: bootstrap.py --inventory rack bench .*--tokens {tokens}$"):
            cost_files.prices(*files)
    else:
        assert cost_files.prices(*files)[1].tokens_per_second.low == 700


@pytest.mark.parametrize(
    ("levels", "more", "said"),
    [
        ([(8, 700, False)], {}, r"bench.json: no concurrency has meets_slo: true in all of its runs; measure lower ones"),
        ([], {}, "no concurrency"),
        ([(8, 700, True)], {"schema": 2}, r"bench.json:2: schema: input should be 1"),
        ([(8, -1, True)], {}, r"bench.json:12: levels.0.total_tokens_per_second: input should be greater than 0"),
    ],
)
def test_a_bench_result_that_does_not_do(tmp_path: Path, levels: list[tuple[int, float, bool]], more: Change, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        cost_files.prices(POST, bench(tmp_path, levels, **more))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("spare_machines: 1", "spare_machine: 1", ["file.yml:6: spare_machine is not known", "file.yml:1: spare_machines is missing"]),
        ("  per_hour: 0.35\n", "", ["file.yml:22: spot.per_hour is missing; docs/cost.md has every key"]),
        ("per_hour: 1.20", "per_hour: a lot", ["file.yml:18: on_demand.per_hour: input should be a valid number"]),
        ("per_hour: 1.20", "per_hour:", ["file.yml:18: on_demand.per_hour: input should be a valid number"]),
        ("per_hour: 1.20", "per_hour: -1", ["file.yml:18: on_demand.per_hour: input should be greater than or equal to 0"]),
        ("per_hour: 1.20", "per_hour: .inf", ["file.yml:18: on_demand.per_hour: input should be a finite number"]),
        ("per_hour: 1.20", "per_hour: {low: 2, high: 1}", ["file.yml:18: on_demand.per_hour: low, 2, is above high, 1; write the smaller"]),
        ("per_hour: 1.20", "per_hour: {low: 2}", ["file.yml:18: on_demand.per_hour.high is missing"]),
        ("per_hour: 1.20", "per_hour: 1\n  per_hour: 2", ["file.yml:19: per_hour stands in line 18 already"]),
        ("per_hour: 1.20", "per_hour: REPLACE_ME # $ an hour", ["file.yml:18: per_hour is still REPLACE_ME; write $ an hour"]),
        ("per_hour: 1.20", "per_hour: !ruby 1", ["file.yml:18: could not determine a constructor"]),
        ("tokens_per_second: 580", "tokens_per_second: 0", ["file.yml:14: throughput.tokens_per_second: input should be greater than 0"]),
        ("peak_to_mean: 1", "peak_to_mean: 0.5", ["file.yml:11: traffic.peak_to_mean: input should be greater than or equal to 1"]),
        ("[10_000_000, 50_000_000]", "[10_000_000, 0]", ["file.yml:10: traffic.tokens_per_day.1: input should be greater than 0"]),
        ("input_share: 0.5", "input_share: 50", ["file.yml:32: api.input_share: input should be less than or equal to 1"]),
        ("interruptions_per_day: 0", "interruptions_per_day: 131", ["file.yml:22: spot: interruptions_per_day times cold_start_minutes"]),
        ("  source: the post, g5.2xlarge spot", '  source: "" #', ["file.yml:27: spot.source: string should have at least 1 character"]),
        ("  source: not measured", "  # source", ["file.yml:13: throughput.source is missing"]),
        ("throughput:\n  tokens_per_second: 580\n  source: n", "# n", ["file.yml:1: throughput is missing; write what was measured"]),
        ("gpus_per_replica: 1", "gpus_per_replica: 2", ["file.yml:1: the file: gpus_per_replica is above gpus_per_machine"]),
        ("traffic:", "traffic", ["file.yml:10: not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    file = tmp_path / "file.yml"
    text = POST.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError) as refused:
        cost_files.prices(file)
    for line in said:
        assert str(refused.value).count(line) == 1, str(refused.value)


@pytest.mark.parametrize(("text", "said"), [("", "file.yml:1: the file: input should be a valid dictionary"), (None, "No such file")])
def test_a_file_without_anything(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "file.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        cost_files.prices(tmp_path / "file.yml")


def test_a_file_without_a_way_to_pay() -> None:
    with pytest.raises(ValueError, match="there is no way to pay; write on_demand, spot or purchase"):
        Prices.model_validate(changed({"on_demand": None, "spot": None}))


def test_the_example_of_a_rack_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        cost_files.prices(RACK)
    places = [at for at, line in enumerate(RACK.read_text().splitlines(), 1) if re.search(r"REPLACE_ME\b.*#", line)]
    assert [int(at) for at in re.findall(r"rack.yml:(\d+): \w+ is still REPLACE_ME", str(refused.value))] == places
    file = tmp_path / "rack.yml"
    file.write_text(RACK.read_text().replace("REPLACE_ME", "1"))
    with pytest.raises(ConfigurationError) as refused:  # a source is no number, and the only thing that is wrong then
        cost_files.prices(file)
    assert {line.split(": ")[2] for line in str(refused.value).splitlines()[1:]} == {
        "input should be a valid string; docs/cost.md has every key"
    }
    file.write_text(file.read_text().replace("source: 1", "source: one"))
    assert list(cost_files.prices(file)[0].ways) == ["purchase"]


def test_the_table_has_every_figure_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "--prices", str(POST)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        *("on_demand 10 2 2 10% 2,102 6.91 50.1 34.2 to 50.1", "spot 50 2 2 50% 613 0.403 50.1 9.98 to 14.6"),
        *("580 tokens a second and replica: not measured; worked backwards", "$0.35 a machine and hour, 20% on top, 0 interruptions"),
        *("$1.38 to 2.02 a million tokens, 50% of them prompts", "with 1 GPU each, 1 for a replica; 1 spare"),
    ):
        assert part in said


@pytest.mark.parametrize(
    ("api", "said"), [(1, "50.1 never with this fleet (69.1)"), ({"low": 1, "high": 2}, "50.1 34.6 to 69.1, at the worst out")]
)
def test_the_table_says_what_is_out_of_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str], api: Any, said: str) -> None:
    file = tmp_path / "file.yml"
    change = {"api.input_per_million": api, "api.output_per_million": api, "purchase": BOUGHT["purchase"]}
    file.write_text(yaml.safe_dump(changed(change)))
    assert cli.main(["cost", "--prices", str(file)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert said in out
    assert "$36,500 a machine over 50 months, 2,000 W, PUE 1.5, $0.1 a kWh: a sum" in out


def test_json_has_the_figures_and_their_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench(tmp_path, [(8, 580, True), (8, 1000, True)])
    assert cli.main(["cost", "--prices", str(traffic(tmp_path, 0.75)), "--bench", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["way"], row["tokens_per_day"]) for row in found["fleets"]] == [
        *(("on_demand", 10e6), ("on_demand", 50e6), ("spot", 10e6), ("spot", 50e6)),
    ]
    assert found["fleets"][0].keys() == {"way", "tokens_per_day", "reach"} | cost.FIGURES.keys()
    assert found["fleets"][1]["capacity"] == {"low": 50.112e6, "high": 86.4e6}
    assert found["throughput"]["tokens_per_second"] == {"low": 580, "high": 1000}
    assert found["api_per_million"] == {"low": 1.38, "high": 2.02}
    assert found["figures"] == cost.FIGURES
    assert found["rests_on"].keys() == {"throughput", "traffic", "machines", "on_demand", "spot", "api"}


def test_a_wrong_file_ends_with_the_exit_code_of_wrong_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "--prices", str(RACK)]) == 2
    assert "rack.yml:6: ops_per_month is still REPLACE_ME" in capsys.readouterr().err
