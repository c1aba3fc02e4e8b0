"""Neural graph features of one architecture, from the definitions, path by path and edge by edge."""

from reference.structure import paths


def graph_features(architecture, subset):
    """Return the ten features of a set of operation names."""
    names = architecture.operations
    inner = [node for node, name in enumerate(names) if name not in ("input", "output")]
    routes = [[names[node] for node in path[1:-1]] for path in paths(architecture)]
    within = [len(route) for route in routes if set(route) <= subset] or [-1]
    on_a_path = [sum(name in subset for name in route) for route in routes] or [-1]
    come = [target for source, target in architecture.edges if names[source] in subset]
    go = [source for source, target in architecture.edges if names[target] in subset]
    into, out_of = [come.count(node) for node in inner], [go.count(node) for node in inner]
    return [
        sum(name in subset for name in names),
        min(within),
        max(within),
        max(on_a_path),
        come.count(names.index("output")),
        sum(into) / max(len(inner), 1),
        max(into, default=0),
        sum(names[node] == "input" for node in go),
        sum(out_of) / max(len(inner), 1),
        max(out_of, default=0),
    ]
