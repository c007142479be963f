"""Every check of preflight."""

import re

from ansible_collections.rackstart.cluster.plugins.module_utils.findings import CHECKS

from pages.markdown import table, text

HEAD = """# Checks of preflight

Generated from the code's own table by `docs/generate.py`.

The stage [preflight](../playbooks/preflight.yml) looks at every host and at the inventory, changes nothing, and writes each finding to
`preflight.json` in the inventory's state directory; `bootstrap.py --inventory NAME doctor` shows them as a table. A run is refused, with
exit code 3, while a check that must pass does not.

Such a check is waived by its id, on all hosts and with a reason that stays in the report, in `group_vars/all/cluster.yml`:

```yaml
preflight_waivers:
  os.supported: a derivative of Debian, tried by hand
```

A waiver only lets the run go on. A stage that cannot do without what was waived fails later: a host that does not answer, an artifact
that is not locked. Advice never stops a run and needs no waiver.
"""


WAIVED = {"required": "by its id", "advice": "no need: advice"}


def page() -> str:
    rows = (
        (f"`{name}`", check.subject, re.sub(r"{(\w+)}", r"*\1*", check.expected), WAIVED[check.severity]) for name, check in CHECKS.items()
    )
    return text(HEAD, *table(("check", "looks at", "refuses all but", "waived"), rows))
