"""The body of a function with the attributes of a call put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dlc.frontends.records import AttributeValue, FunctionRecord, GraphRecord, NodeRecord, Reference


def bound_nodes(function: FunctionRecord, call: NodeRecord) -> Iterator[NodeRecord]:
    """The nodes of `function` as `call` runs them."""
    given = {**function.defaults, **call.attributes}
    for node in function.nodes:
        yield _bound(node, given)


def _bound(node: NodeRecord, given: Mapping[str, AttributeValue]) -> NodeRecord:
    if not any(isinstance(value, Reference | GraphRecord) for value in node.attributes.values()):
        return node
    attributes = {}
    for name, value in node.attributes.items():
        if isinstance(value, Reference):
            if value.name in given:  # one without a default that the call does not give is absent
                attributes[name] = given[value.name]
        elif isinstance(value, GraphRecord):
            attributes[name] = replace(value, nodes=tuple(_bound(each, given) for each in value.nodes))
        else:
            attributes[name] = value
    return replace(node, attributes=attributes)
