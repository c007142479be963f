"""Every check of preflight."""

import re

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CHECKS

from pages.markdown import table, text

HEAD = """# Checks of preflight

Generated from the code's own table by `docs/generate.py`.

The stage [preflight](../playbooks/preflight.yml) looks at every host and at the inventory, changes nothing, and writes each finding to
`preflight.json` in the inventory's state directory, as [its schema](../rackstart/schemas/preflight.schema.json) says;
`bootstrap.py --inventory NAME doctor` shows them as a table, `doctor --json` has them under `preflight`. A run is refused, with exit code
3, while a required check is red. Advice never stops a run. What cannot be seen on a host is neither green nor red: the finding says so
(`ok` is null) and does not stop a run either.

A check is waived by its id, on all hosts, with a reason that stays in the report and the last day that it counts, in
`group_vars/all/cluster.yml`:

```yaml
preflight_waivers:
  os.supported: {reason: "a derivative of Debian, tried by hand", until: 2026-12-31}
```

A waiver only lets the run go on. A stage that cannot do without what was waived fails later: a host that does not answer, an artifact
that is not locked. After its last day the check stops runs again and says that its waiver has expired.
"""


def page() -> str:
    rows = (
        (f'<a id="{name}"></a>`{name}`', check.subject, _values(check.expected), check.severity, _values(check.remedy))
        for name, check in CHECKS.items()
    )
    return text(HEAD, *table(("check", "looks at", "expects", "severity", "if it is red"), rows))


def _values(words: str) -> str:
    """What is filled in from the case, in italics."""
    return re.sub(r"{(\w+)}", r"*\1*", words.replace("{{", "\0").replace("}}", "\1")).replace("\0", "{").replace("\1", "}")
