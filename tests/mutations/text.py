"""A YAML file's text and the nodes in it: comments and blank lines stay as they are."""

from collections.abc import Iterator

import yaml


def nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from nodes(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from nodes(value)


def mappings(top: yaml.Node) -> Iterator[yaml.MappingNode]:
    yield from (node for node in nodes(top) if isinstance(node, yaml.MappingNode))


def without(text: str, node: yaml.SequenceNode, number: int) -> str:
    if not node.flow_style:
        return cut(text, node.value[number], f"{' ' * node.start_mark.column}[]\n" if len(node.value) == 1 else "")
    rest = ", ".join(text[item.start_mark.index : item.end_mark.index] for item in node.value[:number] + node.value[number + 1 :])
    return f"{text[: node.start_mark.index]}[{rest}]{text[node.end_mark.index :]}"


def cut(text: str, node: yaml.Node, instead: str) -> str:
    """Without an item of a block list: from its dash to the line where its last token ends. Linters find nothing to say of what is left."""
    lines = text.splitlines(keepends=True)
    first, last = node.start_mark.line, _last(node)
    return "".join([*lines[:first], instead, *lines[last + 1 :]]).rstrip() + "\n"


def _last(node: yaml.Node) -> int:
    """The last line of a node; a block's own end mark lies behind the blank lines and comments that follow it."""
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.line) - 1
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last(last[1] if isinstance(last, tuple) else last)


def line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
