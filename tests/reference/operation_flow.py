"""The operation-aware flow as plain loops over one graph, written from the formulas and nothing else."""

import math

import numpy as np

from archflow.graphs import Architecture


def operation_flow(architecture: Architecture, draws, alpha, identity, zero, sizes=None, cap=1e6):
    """Return the features, (2 k,), of one architecture.

    `draws` has r (k,), W by operation name (k, k) and A (F, k) for "forward" and for "backward"; where nodes
    have attributes, `sizes` are their F scaled numbers, (n, F).
    """
    names = architecture.operations
    forward, backward = draws["forward"], draws["backward"]
    reversed_edges = [(v, u) for u, v in architecture.edges]
    order = range(len(names))
    out = one_pass(names, order, architecture.edges, "input", *forward, alpha, identity, zero, sizes, cap)
    back = one_pass(
        names, order[::-1], reversed_edges, "output", *backward, alpha, identity, zero, sizes, cap
    )
    ends = [sum((h[v] for v in order if names[v] == end), np.zeros(len(forward[0])))
            for h, end in ((out, "output"), (back, "input"))]  # fmt: skip
    return np.concatenate(ends)


def one_pass(names, order, edges, begin, r, W, A, alpha, identity, zero, sizes, cap):
    """Return what every node emits, by node; `order` is topological."""
    senders = {v: [] for v in order}
    for u, v in edges:
        senders[v].append(u)
    h = {}
    for v in order:
        if names[v] == begin:
            h[v] = np.array(r, float)
            continue
        m = sum((h[u] for u in senders[v]), np.zeros(len(r)))
        rms = math.sqrt(sum(x * x for x in m) / len(m))
        if rms > cap:
            m, rms = m * (cap / rms), cap
        if names[v] in zero or rms == 0:
            h[v] = np.zeros(len(r))
        elif names[v] in identity or names[v] in ("input", "output"):
            h[v] = m
        else:
            mixed = m @ W[names[v]] / rms
            if sizes is not None:
                mixed = mixed + sizes[v] @ A
            h[v] = alpha * m + (1 - alpha) * np.maximum(mixed, 0)
    return h
