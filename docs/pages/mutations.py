"""What was broken in each role, and the test that was red then."""

from pages import measured
from pages.markdown import table, text

HEAD = """# Mutations

Generated from `measured/mutations.yml`, which `make mutations` writes (`ROLES="host nfs_server"` for some; it needs root).

Each role is broken in ten ways, chosen by a seed: a task is dropped, a default flipped, the mode of a file widened, in turn. Where a role
has not as many of these, an entry of a list or a line of a template is dropped, or a condition turned, of its tasks or of its own Python. A
mutant is tried by the unit and contract tests of the role, by its scenarios, and by its faults where they need one host alone, until one of
them is red; tests/lab and tests/vm are not asked. That pages do not follow (`docs/generate.py --check`) does not count. At least 9 of 10
have to turn a test red.
"""


def page() -> str:
    found = measured.read("mutations")
    if not found:
        return text(HEAD, "Not measured yet.")
    lines = [
        *table(
            ("role", "turned a test red", "seed"), ((f"[{role}](#{role})", _share(one), str(one["seed"])) for role, one in found.items())
        )
    ]
    for role, one in found.items():
        rows = ((f"`{row['place']}`", row["kind"], row["what"], row["red"] or "**nothing**") for row in one["mutants"])
        lines += ["", f"## {role}", "", *table(("where", "kind", "what", "red"), rows)]
    return text(HEAD, *lines)


def _share(one: dict[str, int]) -> str:
    return f"{one['killed']} of {one['of']}"
