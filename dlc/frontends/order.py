"""The nodes of a graph in an order in which they can run: files may list them in any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dlc.errors import UserError
from dlc.frontends.records import GraphRecord, NodeRecord

LISTED = 8  # nodes of a cycle that an error names


def runnable_order(nodes: Sequence[NodeRecord], given: Collection[str]) -> Sequence[NodeRecord]:
    """Each node after those whose results it uses, else as in the file. `given`: what the graph need not compute.

    Raises UserError for nodes that wait for one another, and for a name that has two meanings.
    """
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in makers:
                first, second = (f"{each.op_type} '{each.label}'" for each in (nodes[makers[name]], node))
                raise UserError(f"'{name}' is a result of two nodes, {first} and {second}")
            if name in given:
                what = f"{node.op_type} '{node.label}'"
                raise UserError(f"'{name}' is a result of {what}, and an input or initializer too")
            makers[name] = number
    needs = [sorted({makers[name] for name in used_names(node) if name in makers}) for node in nodes]
    if all(not earlier or earlier[-1] < number for number, earlier in enumerate(needs)):
        return nodes
    return [nodes[number] for number in _sorted(nodes, needs)]


def _sorted(nodes: Sequence[NodeRecord], needs: Sequence[Sequence[int]]) -> list[int]:
    """Depth first, from the nodes as the file has them; a stack of its own, as chains are longer than Python's."""
    order: list[int] = []
    done = [False] * len(nodes)
    for first in range(len(nodes)):
        path = [] if done[first] else [(first, iter(needs[first]))]
        open_nodes = {first} if path else set()
        while path:
            number, left = path[-1]
            following = next((each for each in left if not done[each]), None)
            if following is None:
                path.pop()
                open_nodes.discard(number)
                done[number] = True
                order.append(number)
            elif following in open_nodes:
                numbers = [each for each, _ in path]
                raise _cycle([nodes[each] for each in numbers[numbers.index(following) :]])
            else:
                path.append((following, iter(needs[following])))
                open_nodes.add(following)
    return order


def _cycle(nodes: Sequence[NodeRecord]) -> UserError:
    named = ", ".join(f"{node.op_type} '{node.label}'" for node in nodes[:LISTED])
    more = f" and {len(nodes) - LISTED} more" if len(nodes) > LISTED else ""
    if len(nodes) == 1:
        return UserError(f"{named} uses its own result, so it can never run")
    return UserError(f"the nodes {named}{more} use one another's results in a circle, so none of them can run")


def given_names(graph: GraphRecord) -> set[str]:
    """Inputs and initializers."""
    return {each.name for each in graph.inputs} | {each.name for each in graph.initializers}


def used_names(node: NodeRecord) -> Iterator[str]:
    """The names of outer values that a node reads: its inputs, and what the graphs inside it take from outside."""
    yield from filter(None, node.inputs)
    for value in node.attributes.values():
        inside: Sequence[object] = value if isinstance(value, tuple) else (value,)
        for graph in inside:
            if isinstance(graph, GraphRecord):
                yield from _free_names(graph)


def _free_names(graph: GraphRecord) -> Iterator[str]:
    own = given_names(graph)
    own.update(name for node in graph.nodes for name in node.outputs)
    for node in graph.nodes:
        yield from (name for name in used_names(node) if name not in own)
    yield from (each.name for each in graph.outputs if each.name not in own)
