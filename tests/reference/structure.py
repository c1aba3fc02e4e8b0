"""Structural features of one architecture from all its paths, which networkx writes out one by one."""

import math

import networkx as nx


def graph_of(architecture):
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(architecture.n_nodes))
    graph.add_edges_from(architecture.edges)
    return graph


def paths(architecture):
    """Return every path from an input to the output as a list of nodes, parallel edges one path each."""
    names = architecture.operations
    graph, output = graph_of(architecture), names.index("output")
    return [
        [edges[0][0], *(edge[1] for edge in edges)]
        for node, name in enumerate(names)
        if name == "input"
        for edges in nx.all_simple_edge_paths(graph, node, output)
    ]


def operation_counts(architecture, operations):
    return [architecture.operations.count(name) for name in operations.names]


def edge_counts(architecture, operations):
    names = architecture.operations
    joined = [(names[source], names[target]) for source, target in architecture.edges]
    return [joined.count((a, b)) for a in operations.names for b in operations.names]


def path_statistics(architecture, operations):
    every = paths(architecture)
    names = [[architecture.operations[node] for node in path] for path in every]
    lengths = [len(path) - 1 for path in every] or [-1]
    shares = [sum(path.count(name) for path in names) / max(len(names), 1) for name in operations.names]
    most = [
        0 if name in ("input", "output") else max([path.count(name) for path in names] or [-1])
        for name in operations.names
    ]
    ends = [max(lengths), min(lengths), math.log(1 + len(every)), len(architecture.edges)]
    return [*ends, *shares, *most]


def logarithm(value):
    return math.copysign(math.log(1 + abs(value)), value)


def attribute_sequence(architecture, operations, slots):
    rows = architecture.attribute_rows(operations).tolist()[:slots]
    rows += [[0.0] * len(operations.attributes)] * (slots - len(rows))
    return [logarithm(value) for row in rows for value in row]


def attribute_sums(architecture, operations):
    by_name = list(zip(*architecture.attribute_rows(operations).tolist(), strict=True))
    return [
        *(sum(map(logarithm, values)) for values in by_name),
        *(math.log(1 + sum(map(abs, values))) for values in by_name),
        *(sum(value != 0 for value in values) for values in by_name),
    ]
