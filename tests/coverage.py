"""Which tasks of roles and playbooks some test has run: `make coverage`, after `make molecule lab`. Writes docs/coverage.md.

Exit 1 when too few were run, 2 when there is no record of a run.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / ".ansible/record.jsonl"  # written by the callback tests/plugins/record.py
LEAST = 95  # percent of all tasks
# What groups other tasks or steers the play has no result of its own.
STRUCTURE = {
    f"ansible.builtin.{word}" for word in ("import_tasks", "include_tasks", "import_role", "include_role", "import_playbook", "meta")
}


def tasks() -> dict[str, str]:
    """Every task by FILE:LINE, as Ansible says it, with its name."""
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    return dict(entry for file in sorted(files) for entry in _below(str(file.relative_to(ROOT)), yaml.compose(file.read_text())))


def _below(file: str, node: yaml.Node | None) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _below(file, item)
    elif isinstance(node, yaml.MappingNode):
        parts = {key.value: value for key, value in node.value}
        lists = [parts[key] for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always") if key in parts]
        for part in lists:
            yield from _below(file, part)
        if not lists and "name" in parts and "hosts" not in parts and not STRUCTURE & parts.keys():
            yield f"{file}:{node.start_mark.line + 1}", parts["name"].value


def ran() -> set[str]:
    """FILE:LINE of every task that was run on some host, not skipped."""
    entries = map(json.loads, RECORD.read_text().splitlines())
    return {entry["task"] for entry in entries if entry.get("outcome", "skipped") != "skipped"}


def page(every: dict[str, str], missed: dict[str, str], share: float) -> str:
    rows = []
    for folder in sorted({_folder(place) for place in every}):
        counts = [sum(_folder(place) == folder for place in places) for places in (every, missed)]
        rows.append(f"| {folder} | {counts[0]} | {counts[1]} |")
    return "\n".join(
        [
            "# Tasks that tests run",
            "",
            f"`make test` ran {share:.1f} % of the {len(every)} tasks of roles and playbooks; the least is {LEAST} %. By `make coverage`.",
            "",
            "| | tasks | not run |",
            "| --- | --- | --- |",
            *rows,
            "",
            "## Not run",
            "",
            *(f"- {place.rsplit(':', 1)[0]}: {name}" for place, name in missed.items()),
            "",
        ]
    )


def _folder(place: str) -> str:
    return "/".join(place.split("/")[: 2 if place.startswith("roles") else 1])


def main() -> int:
    if not RECORD.exists():
        print(f"{RECORD} is not there: run `make molecule lab` first", file=sys.stderr)
        return 2
    every, seen = tasks(), ran()
    missed = {place: name for place, name in every.items() if place not in seen}
    share = 100 * (len(every) - len(missed)) / len(every)
    (ROOT / "docs/coverage.md").write_text(page(every, missed, share))
    print(f"{share:.1f} % of {len(every)} tasks were run; docs/coverage.md lists the other {len(missed)}")
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
