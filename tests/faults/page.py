"""docs/faults.md, from what a run has seen alone."""

import re
from itertools import groupby

CHANCE = {  # what differs from run to run
    r"(127\.0\.0\.1', port=|10\.77\.0\.1:)\d+": r"\1PORT",
    r"/root/\.ansible/tmp/\S+": "FILE",
    r"\bflt-\d": "HOST",
    r"HTTP response headers: .*?\}\) ": "",
    r"Original traceback: .*?' raised": "' raised",
    r"(initrd\.img|initramfs)-\S+": r"\1-KERNEL",
}
ELSEWHERE = {  # faults of roles without cases of their own
    "distribution": "asks nobody",
    "k3s_node": "those of [k3s_agent](faults.md#k3s_agent) and [k3s_server](faults.md#k3s_server)",
    "preflight": "in [unit tests](../tests/unit/test_checks_outside.py)",
}
Row = tuple[str, str, str, str]  # role or module, call, fault, outcome

PAGE = """\
# Faults

Written by `make test-faults`: one call to the outside fails, hangs or lies, once. Of {cases} cases {ridden} were got over in the same
run; in {failed} the run failed with the words below, and a rerun converged; {mended} were not seen by the run, and the next one mended
them. Cases of `tests/faults/cases` that are not in a table were not tried, or did not come out as they should. The calls are those that
somebody has listed there.

Each case of a role is tried on a host of the lab that was just installed, and ends with a run that changes nothing. A program misbehaves
by a stand-in before it in sudo's PATH or in its place, a download by a mirror in between: it answers 500, stops in the middle, or gives
other bytes of the right length. Roles that act on the cluster are played as their stage on the lab's, its API behind a proxy that
answers 500, or not at all, or with a web page. Modules are tried by themselves too, against a server that misbehaves.

{tables}

## Not tried

{left}
"""


def page(rows: list[Row], left: list[Row]) -> str:
    """The results, and what is left out with the reason, as Markdown."""
    ridden, mended = (sum(row[3].startswith(words) for row in rows) for words in ("got over", "not seen"))
    failed = len(rows) - ridden - mended
    reasons = "\n".join(f"- {role}, {call}, {faults}: {reason}." for role, call, faults, reason in left)
    return PAGE.format(cases=len(rows), ridden=ridden, mended=mended, failed=failed, tables="\n\n".join(tables(rows)), left=reasons)


def kept(text: str) -> list[Row]:
    """The rows of a page."""
    rows, role = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            role = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| call |", "| --- |")):
            call, fault, outcome = line.strip("| ").split(" | ", 2)
            rows.append((role, call, fault, outcome))
    return rows


def tables(rows: list[Row]) -> list[str]:
    """One table for each role, by name."""
    parts = []
    for role, group in groupby(sorted(rows), key=lambda row: row[0]):
        lines = [f"| {call} | {fault} | {cell(outcome)} |" for _, call, fault, outcome in group]
        parts.append("\n".join([f"## {role}", "| call | fault | seen |", "| --- | --- | --- |", *lines]))
    return parts


def cell(text: str) -> str:
    """A message in one line, cut where it is long."""
    line = " ".join(text.split()).replace("|", "/").replace("<", "&lt;")
    for pattern, words in CHANCE.items():
        line = re.sub(pattern, words, line)
    return line if len(line) <= 420 or line.endswith("…") else line[:419] + "…"
