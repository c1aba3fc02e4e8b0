"""Slow twin of archflow.encoders.flowerformer: one graph, one node at a time, in NumPy, from the formulas."""

import numpy as np

from reference.dagnn import asynchronous_pass, part_of


def reached_from(architecture, start):
    """Every node that a walk along the edges from `start` can reach, itself among them."""
    reached, todo = set(), [start]
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo += [target for source, target in architecture.edges if source == node]
    return reached


def on_common_paths(architecture):
    """All pairs of nodes of which one reaches the other or that are the same."""
    pairs = {(v, u) for v in range(architecture.n_nodes) for u in reached_from(architecture, v)}
    return pairs | {(u, v) for v, u in pairs}


def attention(architecture, states, weights, heads):
    queries, keys, values = (states @ part.T for part in np.split(weights["maps.weight"], 3))
    size = states.shape[1] // heads
    pairs = on_common_paths(architecture)
    attended = np.zeros_like(states)
    for v in range(architecture.n_nodes):
        seen = [u for u in range(architecture.n_nodes) if (v, u) in pairs]
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = np.array([queries[v, own] @ keys[u, own] / np.sqrt(size) for u in seen])
            shares = np.exp(scores - scores.max())
            attended[v, own] = (shares / shares.sum()) @ values[seen, own]
    return attended @ weights["join.weight"].T + weights["join.bias"]


def layer_norm(states, weights):
    centred = states - states.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-5)
    return scaled * weights["weight"] + weights["bias"]


def layer(architecture, states, weights, heads):
    flowed = asynchronous_pass(architecture, states, part_of(weights, "forward_pass"))
    flowed = asynchronous_pass(architecture, flowed, part_of(weights, "backward_pass"), backward=True)
    attended = attention(architecture, states, part_of(weights, "attention"), heads)
    joined = layer_norm(states + np.maximum(flowed, 0), part_of(weights, "flow_norm"))
    joined = joined + layer_norm(states + attended, part_of(weights, "attention_norm"))
    inner = np.maximum(joined @ weights["mlp.0.weight"].T + weights["mlp.0.bias"], 0)
    return layer_norm(
        joined + inner @ weights["mlp.2.weight"].T + weights["mlp.2.bias"], part_of(weights, "norm")
    )


def flowerformer(architecture, first, weights, layers, heads):
    """Return node embeddings (n, D) and the graph's (D,), from first states (n, D)."""
    states = first
    for number in range(layers):
        states = layer(architecture, states, part_of(weights, f"layers.{number}"), heads)
    return states, states.mean(axis=0)
