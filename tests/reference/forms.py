"""Slow twins of the pruned and collapsed forms: plain loops over one graph, written from the definitions."""

from functools import cache

from archflow.graphs import Architecture, Operations


def prune(architecture: Architecture, operations: Operations):
    """Keep inputs, the output and every node on a path between them that avoids zero operations."""
    names, edges = architecture.operations, architecture.edges

    def walk(start, forwards):
        """Every node that a walk from `start` can reach."""
        seen, todo = set(), [start]
        while todo:
            node = todo.pop()
            if node in seen or names[node] in operations.zero:
                continue
            seen.add(node)
            todo += [v if forwards else u for u, v in edges if (u if forwards else v) == node]
        return seen

    from_inputs = set().union(*(walk(n, True) for n, name in enumerate(names) if name == "input"))
    to_output = walk(names.index("output"), False)
    on_path = from_inputs & to_output
    keep = [n for n, name in enumerate(names) if n in on_path or name in ("input", "output")]
    place = {node: new for new, node in enumerate(keep)}
    return Architecture(
        tuple(names[n] for n in keep),
        tuple((place[u], place[v]) for u, v in edges if u in on_path and v in on_path),
    )


def collapse(architecture: Architecture, operations: Operations, limit: int):
    """Join the remaining nodes of the pruned graph by as many edges as there are paths through identities."""
    pruned = prune(architecture, operations)
    names, edges = pruned.operations, pruned.edges

    @cache
    def paths(start, end):
        """Number of paths whose inner nodes are all identity."""
        total = 0
        for u, v in edges:
            if v == end:
                total += u == start
                if names[u] in operations.identity:
                    total += paths(start, u)
        return total

    keep = [n for n, name in enumerate(names) if name not in operations.identity]
    joined = []
    for new_v, v in enumerate(keep):
        for new_u, u in enumerate(keep[:new_v]):
            joined += [(new_u, new_v)] * min(paths(u, v), limit)
    return Architecture(tuple(names[n] for n in keep), tuple(joined))
