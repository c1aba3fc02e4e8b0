"""Slow twin of archflow.metrics.pareto: peel front after front, comparing every pair of rows."""


def beats(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def pareto_fronts(values, limit=None):
    fronts, front = {}, 0
    while len(fronts) < min(len(values), len(values) if limit is None else limit):
        left = [row for row in range(len(values)) if row not in fronts]
        unbeaten = [row for row in left if not any(beats(values[other], values[row]) for other in left)]
        fronts |= dict.fromkeys(unbeaten, front)
        front += 1
    return [fronts.get(row, -1) for row in range(len(values))]
