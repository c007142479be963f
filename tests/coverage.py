"""Which tasks of roles and playbooks some test has run: `make coverage`, after the tests. Writes docs/measured/coverage.yml.

Exit 1 when too few were run, 2 when there is no record of a run.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs/measured/coverage.yml"
HEAD = (
    "# Written by `make coverage`: of each role and of the playbooks the tasks, how many of them some test has run, and the others.\n---\n"
)
# What the callback tests/plugins/record.py writes, by the targets that let it.
RECORDS = {
    "make test": ROOT / ".ansible/record.jsonl",
    "make molecule-more": ROOT / ".ansible/record-more.jsonl",
    "make test-serving": ROOT / ".ansible/record-serving.jsonl",
    "make chaos": ROOT / ".ansible/record-chaos.jsonl",
    "make test-vm": ROOT / ".ansible/record-vm.jsonl",
    "make test-faults": ROOT / ".ansible/record-faults.jsonl",
}
LEAST = 95  # percent of all tasks
# What groups other tasks or steers the play has no result of its own.
STRUCTURE = {
    f"ansible.builtin.{word}" for word in ("import_tasks", "include_tasks", "import_role", "include_role", "import_playbook", "meta")
}


def tasks(root: Path) -> list[str]:
    """Every task as FILE: NAME, which outlives a change of lines."""
    files = [*root.glob("roles/*/tasks/*.yml"), *root.glob("roles/*/handlers/*.yml"), *root.glob("playbooks/**/*.yml")]
    return [entry for file in sorted(files) for entry in _below(str(file.relative_to(root)), yaml.compose(file.read_text()))]


def _below(file: str, node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _below(file, item)
    elif isinstance(node, yaml.MappingNode):
        parts = {key.value: value for key, value in node.value}
        lists = [parts[key] for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always") if key in parts]
        for part in lists:
            yield from _below(file, part)
        if not lists and "name" in parts and "hosts" not in parts and not STRUCTURE & parts.keys():
            yield f"{file}: {parts['name'].value}"


def ran(record: Path) -> set[str]:
    """Every task that was run on some host, not skipped."""
    entries = map(json.loads, record.read_text().splitlines())
    done = (entry for entry in entries if entry.get("outcome", "skipped") != "skipped")
    return {f"{entry['task'].rsplit(':', 1)[0]}: {entry['name']}" for entry in done}


def result(every: list[str], seen: set[str]) -> dict[str, Any]:
    """Per role, and for the playbooks: tasks, covered, missed."""
    parts: dict[str, Any] = {}
    for task in every:
        words = task.split("/")
        part = parts.setdefault(words[1] if words[0] == "roles" else words[0], {"tasks": 0, "covered": 0, "missed": []})
        name = re.compile(re.sub(r"\\\{\\\{.*?\\\}\\\}", ".*", re.escape(task)))  # with what a variable says
        done = any(map(name.fullmatch, seen))
        part["tasks"] += 1
        part["covered"] += done
        part["missed"] += [] if done else [task]
    return parts


def share(parts: dict[str, Any]) -> float:
    """Percent of all tasks that were run."""
    return 100 * sum(part["covered"] for part in parts.values()) / sum(part["tasks"] for part in parts.values())


def main() -> int:
    records = {target: record for target, record in RECORDS.items() if record.exists()}
    if not records:
        print(f"{RECORDS['make test']} is not there: run `make molecule lab` first", file=sys.stderr)
        return 2
    parts = result(tasks(ROOT), set().union(*map(ran, records.values())))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(HEAD + yaml.safe_dump({"least": LEAST, "targets": list(records), "parts": parts}, sort_keys=False, width=1000))
    subprocess.run([sys.executable, ROOT / "docs/generate.py"], check=True)
    print(f"{share(parts):.1f} % of {sum(part['tasks'] for part in parts.values())} tasks were run; docs/coverage.md lists the others")
    return 0 if share(parts) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
