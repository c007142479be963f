"""Breaks roles in small ways and looks whether a test is red: `python -m tests.mutations ROLE... [--seed N]`, or `make mutations`.

Each mutant is tried on a copy of what is committed: by the unit and contract tests of the role, then by the role's scenario of molecule
and its faults (root). docs/measured/mutations.yml keeps the result. Exit 1 when fewer than 9 of 10 turned a test red.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.mutations.mutants import chosen
from tests.mutations.trial import ROOT, Broken, Trial, copied

RESULT = ROOT / "docs/measured/mutations.yml"
COUNT, LEAST = 10, 0.9
HEAD = "# Written by `make mutations`: what was broken in each role, and the first test that was red then; empty where none was.\n---\n"


def measured(copy: Path, role: str, seed: int) -> dict[str, Any]:
    trial, rows = Trial(copy, role), []
    for mutant in chosen(copy, role, seed, COUNT):
        print(f"{role}: {mutant.place}: {mutant.kind}: {mutant.what}", flush=True)
        red = trial(mutant)
        print(f"  {'red: ' + red if red else 'NO TEST IS RED'}", flush=True)
        rows.append({"place": mutant.place, "kind": mutant.kind, "what": mutant.what, "red": red})
    return {"seed": seed, "killed": sum(bool(row["red"]) for row in rows), "of": len(rows), "mutants": rows}


def keep(role: str, result: dict[str, Any]) -> None:
    known = yaml.safe_load(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(HEAD + yaml.safe_dump({**known, role: result}, width=1000))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description="Break roles and look whether a test is red.")
    parser.add_argument("roles", metavar="ROLE", nargs="+", choices=sorted(path.name for path in ROOT.glob("roles/*")))
    parser.add_argument("--seed", type=int, default=1, help="which mutants are chosen (default: 1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is removed
    code = 0
    with copied() as copy:
        for role in options.roles:
            try:
                result = measured(copy, role, options.seed)
            except Broken as error:
                print(error, file=sys.stderr)
                code = 2
                continue
            keep(role, result)
            print(f"{role}: {result['killed']} of {result['of']} turned a test red", flush=True)
            code = code or int(result["killed"] < LEAST * result["of"])
    subprocess.run([sys.executable, ROOT / "docs/generate.py"], check=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
