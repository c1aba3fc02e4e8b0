"""Slow twins of the pretext tasks: one pair at a time, in plain Python, from the definitions."""

import math


def reachable_pairs(architecture):
    """Return the pairs (u, v) of nodes with a directed path of at least one edge from u to v."""
    after = {node: set() for node in range(architecture.n_nodes)}
    for source, target in architecture.edges:
        after[source].add(target)
    pairs = set()
    for start in after:
        waiting = list(after[start])
        while waiting:
            node = waiting.pop()
            if (start, node) not in pairs:
                pairs.add((start, node))
                waiting += after[node]
    return pairs


def cross_entropy(score, joined):
    """Return the binary cross-entropy of a logit."""
    return math.log1p(math.exp(-score)) if joined else math.log1p(math.exp(score))


def contrast(first, second, functions, temperature):
    """Return NT-Xent over vectors of which those with equal functions, partners apart, are not compared."""
    vectors, numbers, count = [*first, *second], [*functions, *functions], len(first)

    def similarity(a, b):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b)) / temperature

    losses = []
    for i, vector in enumerate(vectors):
        partner = (i + count) % (2 * count)
        others = [j for j in range(2 * count) if j == partner or numbers[j] != numbers[i]]
        terms = {j: math.exp(similarity(vector, vectors[j])) for j in others}
        losses.append(-math.log(terms[partner] / sum(terms.values())))
    return sum(losses) / len(losses)
