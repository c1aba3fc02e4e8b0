"""Slow twin of archflow.encoders.dagnn: one graph, one node at a time, in NumPy, from the formulas."""

import numpy as np


def part_of(weights, prefix):
    """The weights below a prefix of a state dict, without it."""
    return {
        name[len(prefix) + 1 :]: value for name, value in weights.items() if name.startswith(prefix + ".")
    }


def asynchronous_pass(architecture, states, weights, *, backward=False):
    """Update states (n, D) node by node, in node order (a topological one) or, backward, against it."""
    edges = [(v, u) for u, v in architecture.edges] if backward else architecture.edges
    nodes = range(architecture.n_nodes)
    updated = {}
    for v in reversed(nodes) if backward else nodes:
        arriving = [updated[u] for u, target in edges if target == v]
        scores = np.array([weights["attention"] @ state for state in arriving])
        message = np.zeros(states.shape[1])
        if arriving:
            shares = np.exp(scores - scores.max())
            message = (shares / shares.sum()) @ np.array(arriving)
        updated[v] = gated_recurrent_unit(states[v], message, part_of(weights, "cell"))
    return np.array([updated[v] for v in nodes])


def gated_recurrent_unit(x, h, weights):
    of_input = np.split(weights["weight_ih"] @ x + weights["bias_ih"], 3)
    of_state = np.split(weights["weight_hh"] @ h + weights["bias_hh"], 3)
    reset, update = (1 / (1 + np.exp(-of_input[i] - of_state[i])) for i in (0, 1))
    return (1 - update) * np.tanh(of_input[2] + reset * of_state[2]) + update * h


def dagnn(architecture, first, weights, layers):
    """Return node embeddings (n, D) and the graph's (D,), from first states (n, D)."""
    forward = backward = first
    for layer in range(layers):
        forward = asynchronous_pass(architecture, forward, part_of(weights, f"forward_layers.{layer}"))
        part = part_of(weights, f"backward_layers.{layer}")
        backward = asynchronous_pass(architecture, backward, part, backward=True)
    both = np.concatenate([forward, backward], axis=1)
    nodes = both @ weights["join.weight"].T + weights["join.bias"]
    return nodes, nodes.mean(axis=0)
