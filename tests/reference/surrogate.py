"""The flow surrogate as plain loops over one graph, written from the formulas and nothing else."""

import numpy as np

from archflow.graphs import Architecture


def surrogate(architecture: Architecture, names, r, P, W, alpha, sizes=None, direction="both"):
    """Return s(G), (k,), of one architecture; `names` gives the row of P for each operation.

    Where nodes have attributes, `sizes` are their F scaled numbers, (n, F), and P has F more rows. In one
    direction alone, what starts is the input (forward) or the output (backward), and the other end is read.
    """
    n, k = architecture.n_nodes, len(r)
    before = [[] for _ in range(n)]
    after = [[] for _ in range(n)]
    for u, v in architecture.edges:
        before[v].append(u)
        after[u].append(v)
    start = "output" if direction == "backward" else "input"
    end = "output" if direction == "forward" else "input"
    h = [np.array(r, float) if name == start else np.zeros(k) for name in architecture.operations]

    def update(v, neighbours):
        m = sum((h[u] for u in neighbours), np.zeros(k))
        one_hot = np.zeros(len(names))
        one_hot[names.index(architecture.operations[v])] = 1
        x = one_hot if sizes is None else np.concatenate([one_hot, sizes[v]])
        fresh = np.maximum(np.concatenate([x @ P, m]) @ W, 0)
        return alpha * m + (1 - alpha) * fresh

    if direction != "backward":
        for v in range(n):  # node order is a topological order
            if before[v]:
                h[v] = update(v, before[v])
    if direction != "forward":
        for u in reversed(range(n)):
            if after[u]:
                h[u] = update(u, after[u])
    return sum(h[i] for i in range(n) if architecture.operations[i] == end)
