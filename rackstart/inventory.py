"""The inventory: its hosts and groups as Ansible itself reads them, and its mistakes with file and line."""

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rackstart import settings
from rackstart.errors import ConfigurationError
from rackstart.paths import Project
from rackstart.stages import Stage

PLACEHOLDER = "REPLACE_ME"
_PROXY = "let the proxy admit the hosts by their addresses, or put one of your own before it that holds the password"
_ELSEWHERE = ("hooks", "artifacts.lock.yml")  # beside the inventory, not part of it (ansible.cfg ignores the same)


@dataclass(frozen=True)
class Inventory:
    """Hosts in the inventory's order; groups with their hosts, nested ones resolved; `limit` are the hosts --limit leaves (None: all)."""

    path: Path
    hosts: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    limit: tuple[str, ...] | None = None

    @property
    def out_of_service(self) -> tuple[str, ...]:
        return self.groups.get("out_of_service", ())

    def of(self, stage: Stage) -> tuple[str, ...]:
        """The hosts that a stage works on; none for a stage that runs on the controller."""
        if not stage.on_hosts:
            return ()
        hosts = self.hosts if stage.hosts == "all" else self.groups.get(stage.hosts, ())
        return tuple(host for host in hosts if host not in self.out_of_service and (self.limit is None or host in self.limit))


def load(project: Project, limit: str | None = None) -> Inventory:
    """Read and check the inventory. Raises ConfigurationError for what cannot be read, placeholders, and a limit that matches no host."""
    check_files(project)
    manager = _manager(project)
    hosts = tuple(host.name for host in manager.get_hosts("all", ignore_limits=True))
    if not hosts:
        raise ConfigurationError(
            f"{project.shown(project.inventory)} has no hosts; add yours to {project.shown(project.inventory / 'hosts.yml')}"
        )
    limited = None
    if limit is not None:
        with _ansible_errors(f"--limit {limit}"):
            limited = tuple(host.name for host in manager.get_hosts(limit, ignore_limits=True) if host.name in hosts)
        if not limited:
            raise ConfigurationError(
                f"--limit {limit} matches no host; hosts: {', '.join(hosts)}; groups: {', '.join(sorted(manager.groups))}"
            )
    groups = {name: tuple(host.name for host in group.get_hosts()) for name, group in manager.groups.items()}
    _check_settings(project, manager, groups)
    return Inventory(project.inventory, hosts, groups, limited)


def _check_settings(project: Project, manager: Any, groups: dict[str, tuple[str, ...]]) -> None:
    from ansible.errors import AnsibleError

    try:
        reader = _reader(manager)
        common, *rest = [reader.get_vars(host=manager.get_host(name)) for name in ("localhost", *groups["all"])]
    except AnsibleError:  # without a password for its vault Ansible says so when it runs, and what to do
        return
    _refuse(settings.mistakes(project, groups, dict(zip(groups["all"], rest, strict=True)), common))


def variable(project: Project, name: str, host: str = "localhost") -> Any:
    """One variable of group_vars/all or of a host, templated; None when it is not set. Raises ConfigurationError when it cannot be read."""
    manager = _manager(project)
    from ansible.template import Templar

    with _ansible_errors(name):
        variables = _reader(manager).get_vars(host=manager.get_host(host))
        return Templar(loader=manager._loader, variables=variables).template(variables.get(name))


def _reader(manager: Any) -> Any:
    """What reads variables as Ansible does, with the vault's password where Ansible is set up with one."""
    from ansible import constants
    from ansible.vars.manager import VariableManager

    loader = manager._loader
    if constants.DEFAULT_VAULT_PASSWORD_FILE or constants.DEFAULT_VAULT_IDENTITY_LIST:
        from ansible.cli import CLI
        from ansible.parsing.vault import VaultSecretsContext

        sources = list(constants.DEFAULT_VAULT_IDENTITY_LIST)  # Ansible appends to what it is given
        first = VaultSecretsContext.current(optional=True) is None  # there may be one per process
        secrets = CLI.setup_vault_secrets(loader, sources, auto_prompt=False, initialize_context=first)
        loader.set_vault_secrets(secrets)
    return VariableManager(loader=loader, inventory=manager)


def check_files(project: Project) -> None:
    """Refuse YAML that does not parse, names that stand twice and placeholders of the template, each with file:line and what to write."""
    _refuse(mistake for file in _yaml_files(project.inventory) for mistake in mistakes(file, project.shown(file)))


def _refuse(mistakes: Iterable[str]) -> None:
    if found := list(mistakes):
        raise ConfigurationError("the inventory is not ready:\n  " + "\n  ".join(found))


def _yaml_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        part = path.relative_to(folder).parts[0]
        if path.is_file() and path.suffix in (".yml", ".yaml", ".json") and part not in _ELSEWHERE:
            yield path


def mistakes(file: Path, shown: str) -> Iterator[str]:
    """What is wrong with a YAML file before anybody looks at what it means, each as SHOWN:LINE: and what to do."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        yield f"{shown}:{line}: not UTF-8; save it as that"
        return
    if text.startswith("$ANSIBLE_VAULT;"):
        return
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        yield f"{shown}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem or error.context}"
        return
    except yaml.YAMLError as error:
        yield f"{shown}:1: not valid YAML: {error}"
        return
    for line in _unquoted(root):
        yield f"{shown}:{line + 1}: a value that begins with {{{{ has to stand in quotes, or it is a mapping to YAML"
    for key, line, first in _doubled(root):
        yield f"{shown}:{line + 1}: {key} stands in line {first + 1} already, and only the last would count; rename or remove one"
    lines, advice = text.splitlines(), dict[str, str]()
    for keys, scalar in _scalars(root):
        key, line = keys[-1], scalar.start_mark.line
        if scalar.tag.endswith(":timestamp"):
            try:
                yaml.constructor.SafeConstructor().construct_yaml_timestamp(scalar)
            except ValueError as error:
                yield f"{shown}:{line + 1}: {scalar.value} is no date: {error}"
        if PLACEHOLDER in str(scalar.value):
            advice.setdefault(key, _advice(lines, line))  # the template explains a key where it comes first
            yield f"{shown}:{line + 1}: {key} is still {PLACEHOLDER}; write {advice[key]}"
        if "cluster_proxy" in keys and "@" in str(scalar.value):
            yield f"{shown}:{line + 1}: {key} holds a user or password; {_PROXY}"


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping, outer ones first."""
    if isinstance(node, yaml.MappingNode):
        yield node
    for part in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _mappings(part[1] if isinstance(part, tuple) else part)


def _unquoted(root: yaml.Node | None) -> Iterator[int]:
    """Line, from 0, of every key that is no scalar, as `{{ name }}` is to YAML."""
    for mapping in _mappings(root):
        yield from (name.start_mark.line for name, _ in mapping.value if not isinstance(name, yaml.ScalarNode))


def _doubled(root: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """(key, line, line where it stood first, both from 0) of every key that its mapping has already."""
    for mapping in _mappings(root):
        first: dict[str, int] = {}
        for name in (name for name, _ in mapping.value if isinstance(name, yaml.ScalarNode)):
            if name.value in first:
                yield name.value, name.start_mark.line, first[name.value]
            first.setdefault(name.value, name.start_mark.line)


def _scalars(node: yaml.Node | None, keys: tuple[str, ...] = ("",)) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    """Every scalar with the keys that lead to it; a key of a mapping is one too."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _scalars(name, keys)
            yield from _scalars(value, (*keys, str(name.value)))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _scalars(value, keys)
    elif node is not None:
        yield keys, node


def _advice(lines: list[str], line: int) -> str:
    """What the template's comment says of a line: the one behind it, else the first sentence of those above it."""
    behind = re.search(r"\s#\s*(.+)$", lines[line])
    if behind:
        return behind[1]
    above: list[str] = []
    for text in reversed(lines[:line]):
        if not text.strip().startswith("#"):
            break
        above.insert(0, text.strip().lstrip("# "))
    sentence = " ".join(above).partition(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:] or "your own value"


@functools.cache
def _find_plugins() -> None:
    """Once per process."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([])


def _manager(project: Project) -> Any:
    """Ansible's own inventory, read with the project's ansible.cfg."""
    os.environ["ANSIBLE_CONFIG"] = str(project.root / "ansible.cfg")  # read when ansible is first imported
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    _find_plugins()
    with _ansible_errors(project.shown(project.inventory)):
        return InventoryManager(loader=DataLoader(), sources=[str(project.inventory)])


@contextlib.contextmanager
def _ansible_errors(what: str) -> Iterator[None]:
    """Ansible prints the reason of an inventory error as a warning and raises without it: put both together."""
    from ansible.errors import AnsibleError

    warnings = io.StringIO()
    try:
        with contextlib.redirect_stderr(warnings):
            yield
    except AnsibleError as error:
        reasons = re.findall(r"with '(?:yaml|ini|script|constructed)' plugin: (.+)", warnings.getvalue())
        reason = reasons[0] if reasons else str(error)
        raise ConfigurationError(f"{what}: {reason}") from error
