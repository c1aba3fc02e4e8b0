"""The graph transformer as plain loops over one graph, from its formulas; the weights are given."""

import math

import torch

from archflow.graphs import Architecture


def graph_transformer(architecture: Architecture, first, weights):
    """Return node embeddings, (n, D).

    Args:
        architecture: One graph.
        first: First state of each node without its position, (n, D).
        weights: The encoder's state dict.
    """
    nodes, edges = range(architecture.n_nodes), architecture.edges
    width = first.shape[1]
    each = width // math.gcd(4, width)  # of each attention head

    def longest(v, forwards):
        ways = [w if forwards else u for u, w in edges if (u if forwards else w) == v]
        return 1 + max(longest(w, forwards) for w in ways) if ways else 0

    def linear(name, x):
        return weights[name + ".weight"] @ x + weights.get(name + ".bias", 0)

    def norm(name, x):
        scaled = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()
        return weights[name + ".weight"] * scaled + weights[name + ".bias"]

    def position(v):
        angles = [2 * math.pi * d / 2**p for d in (longest(v, False), longest(v, True)) for p in range(2, 12)]
        numbers = [*map(math.sin, angles), *map(math.cos, angles)]
        return linear("position_map", torch.tensor(numbers, dtype=first.dtype))

    def messages(name, h):
        k, q, v, kept = zip(*(linear(name + ".maps", x).split(width) for x in h), strict=True)
        found = list(kept)
        for u, w in (*edges, *((w, u) for u, w in edges)):
            found[w] = found[w] + torch.sigmoid(k[w] + q[u]) * v[u]
        return found

    def attention(name, h):
        q, k, v = zip(*(linear(name + "_maps", x).split(width) for x in h), strict=True)
        found = []
        for a in nodes:
            parts = []
            for begin in range(0, width, each):
                part = slice(begin, begin + each)
                scores = torch.stack([q[a][part] @ k[b][part] / math.sqrt(each) for b in nodes])
                shares = scores.exp() / scores.exp().sum()
                parts.append(sum(share * v[b][part] for share, b in zip(shares, nodes, strict=True)))
            found.append(linear(name + "_output", torch.cat(parts)))
        return found

    x = [first[v] + position(v) for v in nodes]
    layer = 0
    while f"layers.{layer}.norm.weight" in weights:
        name = f"layers.{layer}"
        h = [norm(name + ".norm", state) for state in x]
        near, far = messages(name + ".messages", h), attention(name + ".attention", h)
        x = [x[v] + near[v] + far[v] for v in nodes]
        for v in nodes:
            wide = linear(name + ".feed_forward.1", norm(name + ".feed_forward.0", x[v])).relu()
            x[v] = x[v] + linear(name + ".feed_forward.4", wide)
        layer += 1
    return torch.stack([norm("norm", x[v]) for v in nodes])
