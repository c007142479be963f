"""Writes the pages that are made from the code: `.venv/bin/python docs/generate.py`; --check only compares (exit 1 on a difference)."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pages import ROOT, bench, cost, coverage, dashboards, mutations, preflight, roles, runbooks, sizing, stages, verdict

PAGES: dict[str, Callable[[], str]] = {
    "docs/stages.svg": stages.picture,
    "docs/stages.md": stages.table,
    "docs/preflight.md": preflight.page,
    "docs/sizing.md": sizing.page,
    "docs/verdict.md": verdict.page,
    "docs/roles.md": roles.overview,
    "docs/bench.md": bench.page,
    "docs/bench.svg": bench.picture,
    "docs/cost.md": cost.page,
    "docs/coverage.md": coverage.page,
    "docs/mutations.md": mutations.page,
    "docs/runbooks/README.md": runbooks.table,
    "roles/monitoring/files/dashboards/serving.json": dashboards.serving,
    "roles/monitoring/files/dashboards/gpus.json": dashboards.gpus,
}


def pages() -> Iterator[tuple[Path, str]]:
    """Each generated file and what shall be in it."""
    yield from ((ROOT / path, make()) for path, make in PAGES.items())
    yield from ((ROOT / "roles" / name / "README.md", roles.page(name)) for name in roles.names())


def main() -> int:
    stale = {path: text for path, text in pages() if not path.exists() or path.read_text() != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the code says: run .venv/bin/python docs/generate.py")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
