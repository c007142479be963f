"""Every gate of the verdict."""

from ansible_collections.rackstart.cluster.plugins.module_utils.gates import GATES

from pages.markdown import table, text

HEAD = """# Gates of the verdict

Generated from the code's own table by `docs/generate.py`.

The stage [verify](../playbooks/verify.yml) measures every gate afresh and takes nothing over from a former stage. It writes one entry for
each thing looked at (`id`, `target`, `ok`, `expected`, `seen`, `remedy`, `stage`) to `verdict.json` in the inventory's state directory, as
[its schema](../rackstart/schemas/verdict.schema.json) says. A run is green only if every gate is open; otherwise it ends with exit code 4.

A gate that is closed names the stage that puts it right: `bootstrap.py --inventory NAME --only STAGE` runs that one, a plain run all of
them. `verify` itself changes nothing. What no stage can put right is yours, and the entry's `remedy` says what: a host that does not answer
(`host.reachable`), a GPU that is not on the bus (`gpu.pci`), a node too many (`node.set`).
"""


def page() -> str:
    rows = ((f"`{name}`", measured, f"[{stage}](../playbooks/{stage}.yml)") for name, (stage, measured) in GATES.items())
    return text(HEAD, *table(("gate", "open when", "put right by"), rows))
