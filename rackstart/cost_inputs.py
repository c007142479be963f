"""The prices file of `cost`. All money is in $, or in any one currency; the descriptions become the table in docs/cost.md."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

MINUTES_PER_DAY = 1440
Source = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Input(BaseModel):
    """A mapping of the prices file; a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class Range(Input):
    """A number, or {low, high} where it is not known better."""

    low: FiniteFloat = Field(ge=0)
    high: FiniteFloat

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        return value if isinstance(value, dict | Range) else {"low": value, "high": value}

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.high < self.low:
            raise ValueError(f"low, {self.low:g}, is above high, {self.high:g}; write the smaller one first")
        return self


class Positive(Range):
    low: FiniteFloat = Field(gt=0)


class Factor(Range):
    low: FiniteFloat = Field(ge=1)


class Throughput(Input):
    tokens_per_second: Positive = Field(description="prompt and answer tokens of one replica within its SLO, as measured")
    source: Source = Field(description="where and how that was measured")


class Traffic(Input):
    tokens_per_day: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(
        min_length=1, description="a list of volumes, prompts and answers; each is a row"
    )
    peak_to_mean: Factor = Field(description="the busiest moment over the mean of the day; 1 is an even load")


class Rented(Input):
    per_hour: Range = Field(description="$ for a machine and hour")
    overhead: Range = Field(description="share of that on top, for volumes, traffic, load balancer, control plane; 0.2 is 20 %")
    source: Source = Field(description="where the prices come from, and when")


class Spot(Rented):
    interruptions_per_day: Range = Field(description="how often a machine is taken away in a day")
    cold_start_minutes: Range = Field(description="from then until the next one answers; it is paid for and serves nothing")

    @model_validator(mode="after")
    def _serves(self) -> "Spot":
        if self.interruptions_per_day.high * self.cold_start_minutes.high >= MINUTES_PER_DAY:
            raise ValueError("interruptions_per_day times cold_start_minutes is a whole day; such a machine never serves")
        return self


class Purchase(Input):
    price: Range = Field(description="$ for a machine, with what it needs in the rack")
    life_months: Positive = Field(description="months until it is worth nothing")
    power_watts: Range = Field(description="what a machine draws: low when idle, high under load")
    pue: Factor = Field(description="power of the whole room over that of its machines")
    per_kwh: Range = Field(description="$ for a kWh")
    source: Source = Field(description="where the figures come from, and when")


class Api(Input):
    input_per_million: Positive = Field(description="$ for a million prompt tokens")
    output_per_million: Positive = Field(description="$ for a million answer tokens")
    input_share: FiniteFloat = Field(
        ge=0, le=1, description="share of the traffic's tokens that are prompts; 0.5 is half; no further than 0.1 from that of --bench"
    )
    source: Source = Field(description="which provider and model, and when")


class Prices(Input):
    """The prices file."""

    gpus_per_machine: int = Field(ge=1, description="a machine is rented or bought whole")
    gpus_per_replica: int = Field(ge=1, description="as in the inventory's models; the replicas of a machine share nothing")
    spare_machines: int = Field(ge=0, description="machines above those that the peak needs: 1 is N+1")
    ops_per_month: Range = Field(description="$ for the whole fleet: people, room, licences")
    traffic: Traffic
    throughput: Throughput | None = Field(None, description="left out where --bench is given, which comes first")
    on_demand: Rented | None = Field(None, description="a way to pay; at least one of the three")
    spot: Spot | None = Field(None, description="another")
    purchase: Purchase | None = Field(None, description="another")
    api: Api

    @model_validator(mode="after")
    def _complete(self) -> "Prices":
        if not self.ways:
            raise ValueError("there is no way to pay; write on_demand, spot or purchase")
        if self.gpus_per_replica > self.gpus_per_machine:
            raise ValueError("gpus_per_replica is above gpus_per_machine; let a machine hold a whole replica")
        return self

    @property
    def ways(self) -> dict[str, Rented | Purchase]:
        every: dict[str, Rented | Purchase | None] = {"on_demand": self.on_demand, "spot": self.spot, "purchase": self.purchase}
        return {name: way for name, way in every.items() if way}
