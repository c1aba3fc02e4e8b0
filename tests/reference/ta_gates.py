"""TA-GATES as plain loops over one graph, written from its formulas; the weights are given."""

import torch

from archflow.graphs import Architecture


def ta_gates(architecture: Architecture, operations, weights):
    """Return node embeddings, (n, D).

    Args:
        architecture: One graph; node order is a topological order.
        operations: First embedding of each node's operation, (n, D).
        weights: The encoder's state dict.
    """
    nodes = range(architecture.n_nodes)
    before = [[u for u, w in architecture.edges if w == v] for v in nodes]
    after = [[w for u, w in architecture.edges if u == v] for v in nodes]

    def linear(name, x):
        return weights[name + ".weight"] @ x + weights.get(name + ".bias", 0)

    def mlp(name, x):
        return linear(name + ".2", linear(name + ".0", x).relu())

    def flow(name, o, order, senders, starts):
        f = {}
        for v in order:
            m = sum((f[u] for u in senders[v]), torch.zeros_like(o[v])) if senders[v] else starts[v]
            x = torch.sigmoid(linear(name + ".gates", o[v])) * linear(name + ".messages", m)
            x = x + weights[name + ".bias"]
            f[v] = ((x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()).relu()
        return f

    o = list(operations)
    starts = [weights["start"]] * len(o)
    last = 0
    while f"layers.{last}.update.0.weight" in weights:
        step = f"layers.{last}"
        f = flow(step + ".forth", o, nodes, before, starts)
        b = flow(step + ".back", o, reversed(nodes), after, [mlp(step + ".turn", f[v]) for v in nodes])
        o = [o[v] + 0.1 * mlp(step + ".update", torch.cat([o[v], f[v], b[v]])) for v in nodes]
        last += 1
    f = flow(f"layers.{last}", o, nodes, before, starts)
    return torch.stack([linear("readout", f[v]) for v in nodes])
