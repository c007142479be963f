"""The picture of a bench result: what comes out, and how long one waits, over concurrency."""

from html import escape
from statistics import mean
from typing import Any

LEFT, TOP, WIDE, HIGH, GAP, BELOW = 62, 74, 250, 190, 72, 52
FIRST, SECOND, LIMIT, INK, GRID = "#b4540a", "#829ab1", "#c0262d", "#102a43", "#d9e2ec"
# Of each panel: title, key of the SLO's line, and its two series with the path to each in a level.
PANELS: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    ("tokens a second", "", {"all": ("total_tokens_per_second",), "answers": ("output_tokens_per_second",)}),
    ("first token, ms", "ttft_ms", {"p95": ("ttft_ms", "p95"), "p50": ("ttft_ms", "p50")}),
    ("between tokens, ms", "itl_ms", {"p95": ("itl_ms", "p95"), "p50": ("itl_ms", "p50")}),
)


def picture(result: dict[str, Any]) -> str:
    """SVG; a dot is a level, a hollow one misses the SLO."""
    width, height = LEFT + len(PANELS) * (WIDE + GAP), TOP + HIGH + BELOW
    title = f"{result['model']}, replicas: {result['replicas']}, {result['hardware']}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" font-family="system-ui, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(LEFT, 24, title, 15),
        _text(LEFT, height - 8, "over requests at once; dashed: the SLO; a hollow dot is a level that misses it", 12, "#627d98"),
    ]
    for place, panel in enumerate(PANELS):
        out += _panel(result, LEFT + place * (WIDE + GAP), *panel)
    return "\n".join([*out, "</svg>"]) + "\n"


def _panel(result: dict[str, Any], left: int, title: str, limit: str, series: dict[str, tuple[str, ...]]) -> list[str]:
    counts = sorted({level["concurrency"] for level in result["levels"]})
    bound = float(result["slo"][limit]) if limit else 0.0
    top = _round(max([bound, *(_value(level, path) for level in result["levels"] for path in series.values())]))

    def x(count: int) -> float:
        return left + WIDE * (counts.index(count) + 0.5) / len(counts)

    def y(value: float) -> float:
        return TOP + HIGH * (1 - value / top)

    out = [_text(left, TOP - 22, title, 13)]
    for step in range(5):
        value = top * step / 4
        out.append(f'<line x1="{left}" y1="{y(value):.1f}" x2="{left + WIDE}" y2="{y(value):.1f}" stroke="{GRID}"/>')
        out.append(_text(left - 8, y(value) + 4, f"{value:g}", 11, "#627d98", "end"))
    out += [_text(x(count), TOP + HIGH + 18, str(count), 11, "#627d98", "middle") for count in counts]
    if limit:
        dashed = f'stroke="{LIMIT}" stroke-dasharray="5 4"'
        out.append(f'<line x1="{left}" y1="{y(bound):.1f}" x2="{left + WIDE}" y2="{y(bound):.1f}" {dashed}/>')
    for place, ((name, path), colour) in enumerate(zip(series.items(), (FIRST, SECOND), strict=True)):
        means = {count: mean(_value(level, path) for level in result["levels"] if level["concurrency"] == count) for count in counts}
        line = " ".join(f"{x(count):.1f},{y(value):.1f}" for count, value in means.items())
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for level in result["levels"]:
            spot = f'cx="{x(level["concurrency"]):.1f}" cy="{y(_value(level, path)):.1f}" r="4"'
            out.append(f'<circle {spot} fill="{colour if level["meets_slo"] else "#fff"}" stroke="{colour}" stroke-width="1.5"/>')
        out.append(_text(left + WIDE - 70 * (1 - place), TOP - 22, name, 12, colour, "end"))
    return out


def _value(level: dict[str, Any], path: tuple[str, ...]) -> float:
    found: Any = level
    for key in path:
        found = found[key]
    return float(found)


def _round(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10 times a power of ten."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= value)


def _text(x: float, y: float, text: str, size: int, colour: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
