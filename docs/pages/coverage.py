"""The tasks that some test has run, and the others."""

from pages import measured
from pages.markdown import table, text

HEAD = """# Tasks that tests run

Generated from `measured/coverage.yml`, which `make coverage` writes.
"""


def page() -> str:
    found = measured.read("coverage")
    if not found:
        return text(HEAD, "Not measured yet.")
    parts = found["parts"]
    every, covered = (sum(part[key] for part in parts.values()) for key in ("tasks", "covered"))
    targets = " and ".join(f"`{target}`" for target in found["targets"])
    share = f"{targets} ran {100 * covered / every:.1f} % of the {every} tasks of roles and playbooks; the least is {found['least']} %."
    rows = ((name, str(part["tasks"]), str(part["tasks"] - part["covered"])) for name, part in parts.items())
    missed = (f"- {name}: {task}" for name, part in parts.items() for task in part["missed"])
    return text(HEAD, share, "", *table(("", "tasks", "not run"), rows), "", "## Not run", "", *(missed or ["Nothing."]))
