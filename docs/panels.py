"""Draws main panels of the dashboard of serving: `.venv/bin/python docs/panels.py http://127.0.0.1:9090 MINUTES docs/monitoring.svg`."""

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from html import escape
from pathlib import Path
from typing import Any

from pages.dashboards import SERVING, Panel

WIDTH, HEIGHT, GAP, COLUMNS = 380, 210, 16, 3
LEFT, TOP, BOTTOM, RIGHT = 44, 34, 56, 10  # within a panel
COLOURS = ("#1f6feb", "#d1570c", "#1b7a43", "#8250df", "#b4540a", "#627d98")
SHOWN = ("First token", "Between tokens", "Requests", "KV cache", "Tokens a second", "Turned away and put off, a second")
Line = tuple[str, list[tuple[float, float]]]


def ask(address: str, expression: str, start: float, end: float) -> list[dict[str, Any]]:
    parameters = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": max(5, (end - start) / 120)})
    with urllib.request.urlopen(f"{address}/api/v1/query_range?{parameters}", timeout=60) as answer:
        return list(json.load(answer)["data"]["result"])


def lines(address: str, panel: Panel, start: float, end: float) -> list[Line]:
    """The panel's lines, each with its legend; what was not measured is left out."""
    found = []
    for legend, expression in panel[2].items():
        for series in ask(address, expression, start, end):
            name = re.sub(r"\{\{(\w+)\}\}", lambda match, labels=series["metric"]: labels.get(match[1], ""), legend)
            points = [(float(at), float(value)) for at, value in series["values"] if value != "NaN"]
            found += [(name, points)] if points else []
    return found


def scale(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.2g} %"
    return f"{value:.3g}{' s' if unit == 's' else ''}"


def draw(panel: Panel, found: list[Line], start: float, end: float) -> list[str]:
    title, unit, _ = panel
    top = max((value for _, points in found for _, value in points), default=0) * 1.1 or 1.0
    inner, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    out = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#f5f8fa" stroke="#d0d7de"/>',
        f'<text x="12" y="22" font-size="14" font-weight="600" fill="#102a43">{escape(title)}</text>',
    ]
    for part in (0, 0.5, 1):
        y = TOP + high * (1 - part)
        out.append(f'<path d="M{LEFT} {y:.1f}h{inner}" stroke="#d0d7de"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" font-size="10" text-anchor="end" fill="#627d98">{scale(top * part, unit)}</text>')
    for x, anchor, said in ((LEFT, "start", f"{(end - start) / 60:.0f} minutes ago"), (WIDTH - RIGHT, "end", "now")):
        out.append(f'<text x="{x}" y="{TOP + high + 12}" font-size="10" text-anchor="{anchor}" fill="#627d98">{said}</text>')
    for number, (name, points) in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        at = [(LEFT + inner * (when - start) / (end - start), TOP + high * (1 - value / top)) for when, value in points]
        path = " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(at))
        x, y = LEFT + number % 2 * inner / 2, HEIGHT - BOTTOM + 30 + number // 2 * 14
        out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<text x="{x:.0f}" y="{y}" font-size="10" fill="{colour}">{escape(name)}</text>')
    return out


def picture(address: str, minutes: float) -> str:
    end = time.time()
    start = end - minutes * 60
    shown = [panel for panel in SERVING if panel[0] in SHOWN]
    width, height = COLUMNS * (WIDTH + GAP) - GAP, -(-len(shown) // COLUMNS) * (HEIGHT + GAP) - GAP
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" font-family="system-ui, sans-serif">']
    for number, panel in enumerate(shown):
        x, y = number % COLUMNS * (WIDTH + GAP), number // COLUMNS * (HEIGHT + GAP)
        out += [f'<g transform="translate({x} {y})">', *draw(panel, lines(address, panel, start, end), start, end), "</g>"]
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(picture(sys.argv[1], float(sys.argv[2])))
