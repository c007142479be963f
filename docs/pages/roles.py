"""The README of each role, and the page of them all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_os import RUN, SUPPORTED

from pages import measured, scenarios
from pages.markdown import table, text
from rackstart.paths import ROOT
from rackstart.stages import CLUSTER, STAGES

ROLES, PLAYBOOKS = ROOT / "roles", ROOT / "playbooks"
OVERVIEW = """# Roles

Generated from the roles, the scenarios of molecule and `measured/` by `docs/generate.py`.
"""
HOW = """## How they are tried

`make molecule` plays a scenario of each role on hosts of the lab, `make molecule-more` those of other distributions, of a host built
half-way and of three servers; what emulated means stands below. Roles without hosts act on the cluster from the controller. Tasks are those
that some test has run, faults what `make test-faults` let fail, hang and lie, mutations what `make mutations` broke and some test saw.
""".splitlines()
TRIED = ("role", "scenarios", "tasks run", "distributions", "emulated", "faults", "mutations")
ON_NONE = "-"
LONGEST = 80  # characters of a default that is shown in the table
DISTRIBUTIONS = """## Distributions

Preflight takes these, and refuses others by name (`os.supported`, which can be [waived](preflight.md)).

Emulated means: a host of Debian 12 whose os-release says that it is another, and a mirror that has packages under the names of that
distribution and of NVIDIA's repository for it. It shows that the roles take the branch of that distribution, with the names, files and
commands that it is given there. It does not show that the distribution has these packages in these versions, that they depend on one
another as the stand-ins do, or how its own kernel, systemd, Python and tools behave: SELinux and firewalld of RHEL among them, and
servers of NFS and of k3s on it. A role without a distribution in the table above has nothing of its own for it but names of packages.
""".splitlines()
NAMES = {"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RHEL", "rocky": "Rocky Linux"}
Options = dict[str, dict[str, Any]]


def names() -> list[str]:
    return sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))


def page(role: str) -> str:
    """Purpose, hosts and variables; then what each further entry point has of its own."""
    specs = _specs(role)
    main, defaults = specs.pop("main"), _defaults(role)
    lines = [f"# {role}", "", "Generated from `meta/argument_specs.yml` and `defaults/main.yml` by `docs/generate.py`.", ""]
    lines += [*_purpose(main), "", *_used(role), "", "## Variables", *_variables(main["options"], defaults)]
    for name, entry in specs.items():
        lines += ["", f"## Entry point `{name}`", "", *_purpose(entry)]
        if entry["options"] == main["options"] != {}:
            lines += ["", "It has the same variables."]
        elif entry["options"]:
            lines += _variables(entry["options"], defaults)
    return text(*lines)


def overview() -> str:
    """What there is of each role, and how it is tried."""
    rows, tried = [], []
    for role in names():
        main = _specs(role)["main"]
        link = f"[{role}](../roles/{role}/README.md)"
        rows.append((link, f"{main['short_description']}.", str(len(main["options"]))))
        played = ", ".join(f"[{name}](../molecule/{name}/converge.yml)" for name in scenarios.of(role))
        real, emulated = (", ".join(scenarios.distributions(role, kind)) or ON_NONE for kind in (False, True))
        tried.append((link, played, measured.tasks(role), real, emulated, measured.faults(role), measured.mutants(role)))
    roles, how = table(("role", "what it does", "variables"), rows), table(TRIED, tried)
    had = table(("distribution", "how tests have it"), _distributions())
    return text(OVERVIEW, *roles, "", *HOW, "", *how, "", *DISTRIBUTIONS, "", *had)


def _distributions() -> Iterator[tuple[str, ...]]:
    """Each that preflight accepts."""
    for id, versions in SUPPORTED.items():
        for version in versions:
            yield f"{NAMES[id]} {version}", "run" if id in RUN else "emulated"


def _specs(role: str) -> dict[str, dict[str, Any]]:
    return _read(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]


def _defaults(role: str) -> dict[str, Any]:
    path = ROLES / role / "defaults" / "main.yml"
    return _read(path) if path.exists() else {}


def _purpose(entry: dict[str, Any]) -> list[str]:
    return [f"{entry['short_description']}.", *([""] if "description" in entry else []), *map(_prose, entry.get("description", []))]


def _prose(described: str) -> str:
    return re.sub(r"C\(([^)]+)\)", r"`\1`", described)


def _used(role: str) -> Iterator[str]:
    """Which stages run it for which hosts, and which roles import it."""
    for stage in STAGES:
        for entry in dict.fromkeys(entry for name, entry in scenarios.roles_of(_read(PLAYBOOKS / f"{stage.name}.yml")) if name == role):
            what = "it" if entry == "main" else f"its entry point `{entry}`"
            hosts = {"all": "all hosts", CLUSTER: "the cluster, from the controller"}.get(
                stage.hosts, f"the hosts of group `{stage.hosts}`"
            )
            yield f"Stage [{stage.name}](../../playbooks/{stage.name}.yml) runs {what} for {hosts}."
    for other in names():
        tasks = (_read(path) for path in sorted((ROLES / other / "tasks").glob("*.yml")))
        if role in {name for task in tasks for name, _ in scenarios.roles_of(task)}:
            yield f"Role [{other}](../{other}/README.md) imports it."


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _variables(options: Options, values: dict[str, Any]) -> list[str]:
    if not options:
        return ["", "None."]
    return ["", *table(("variable", "type", "default", "what it is"), _rows(options, values, ""))]


def _rows(options: Options, values: dict[str, Any], above: str) -> Iterator[tuple[str, ...]]:
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option["type"]
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        yield f"`{above}{name}`", kind, _default(option, values.get(name, option.get("default"))), _prose(option["description"]) + choices
        yield from _rows(option.get("options", {}), {}, f"{above}{name}{'[]' if 'elements' in option else ''}.")


def _default(option: dict[str, Any], value: Any) -> str:
    if option.get("required"):
        return "**required**"
    if value is None:
        return ""
    shown = value or '""' if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    shown = shown.removesuffix("\n...\n").strip()
    return f"`{shown}`" if len(shown) <= LONGEST else "[see there](defaults/main.yml)"
