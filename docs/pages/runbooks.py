"""The list of alerts."""

from collections.abc import Iterator

import yaml

from pages import markdown
from rackstart.paths import ROOT

HOW = """`kubectl` is `sudo /usr/local/bin/k3s kubectl` on any server, or your own after
`export KUBECONFIG=~/.local/state/rackstart/NAME/kubeconfig`. NAME is the inventory.
To see what fires: `kubectl -n llm port-forward deploy/prometheus 9090`, then <http://127.0.0.1:9090/alerts>.
After: how long what the rule asks has to hold; some rules look back over minutes or hours themselves, as their pages say.""".splitlines()


def _rows() -> Iterator[tuple[str, ...]]:
    for file in sorted(ROOT.glob("roles/monitoring/files/rules/*.yml")):
        for rule in (rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"] if "alert" in rule):
            where = f"[{file.stem}](../../roles/monitoring/files/rules/{file.name})"
            yield f"[{rule['alert']}]({rule['alert']}.md)", rule["labels"]["severity"], rule.get("for", "at once"), where


def table() -> str:
    head = ("alert", "severity", "after", "rule in")
    return markdown.text(
        "# Alerts", "", "Generated from the rules of the role monitoring by `docs/generate.py`.", *HOW, "", *markdown.table(head, _rows())
    )
