"""Graphs that look alike from nearby and differ far away."""

from archflow.graphs import Architecture


def zigzags(*ends, length=11):
    """Build zigzags that differ in their ends alone; the input feeds every other node, the rest the output.

    Args:
        ends: The names of the first and the last node of each zigzag.
        length: Nodes of each zigzag, odd.
    """
    names, edges, sinks = ["input"], [], []
    for first, last in ends:
        begin = len(names)
        names += [first, *(("conv", "pool")[place % 2] for place in range(1, length - 1)), last]
        for node in range(begin, len(names)):
            if (node - begin) % 2 == 0:
                edges.append((0, node))
                edges += [(node, other) for other in (node - 1, node + 1) if begin <= other < len(names)]
            else:
                sinks.append(node)
    names.append("output")
    return Architecture.from_graph(names, edges + [(node, len(names) - 1) for node in sinks])
