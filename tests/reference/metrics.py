"""Slow twins of archflow.metrics: plain loops over rows and pairs, written from the definitions."""

import itertools
import math


def kendall_tau(predicted, measured):
    concordant = discordant = only_x = only_y = 0
    for (x1, y1), (x2, y2) in itertools.combinations(list(zip(predicted, measured, strict=True)), 2):
        if x1 == x2 and y1 == y2:
            continue
        if x1 == x2:
            only_x += 1
        elif y1 == y2:
            only_y += 1
        elif (x1 < x2) == (y1 < y2):
            concordant += 1
        else:
            discordant += 1
    untied_x, untied_y = concordant + discordant + only_y, concordant + discordant + only_x
    if untied_x == 0 or untied_y == 0:
        return 0.0
    return (concordant - discordant) / math.sqrt(untied_x * untied_y)


def mean_ranks(values):
    return [sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values]


def spearman(predicted, measured):
    x, y = mean_ranks(predicted), mean_ranks(measured)
    middle = (len(x) + 1) / 2
    covariance = sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True))
    x_variance, y_variance = sum((a - middle) ** 2 for a in x), sum((b - middle) ** 2 for b in y)
    if x_variance == 0 or y_variance == 0:
        return 0.0
    return covariance / math.sqrt(x_variance * y_variance)


def tops(values, count):
    """Every set of `count` rows that a sort by value, highest first, may put on top."""
    rows = range(len(values))
    return [
        set(chosen)
        for chosen in itertools.combinations(rows, count)
        if all(values[i] >= values[j] for i in chosen for j in rows if j not in chosen)
    ]


def precision_at(predicted, measured, percent):
    """The mean over every way to break the ties, found by trying them all."""
    count = max(1, round(len(predicted) * percent / 100))
    pairs = list(itertools.product(tops(predicted, count), tops(measured, count)))
    return sum(len(a & b) for a, b in pairs) / count / len(pairs)


def regret(predicted, measured, top):
    """The worst over every way to break the ties, found by trying them all."""
    choices = tops(predicted, min(top, len(predicted)))
    return max(max(measured) - max(measured[row] for row in chosen) for chosen in choices)


def coverage(mean, std, measured, level):
    inside = 0
    for centre, spread, value in zip(mean, std, measured, strict=True):
        if spread == 0:
            inside += value == centre
        else:
            inside += math.erf(abs(value - centre) / spread / math.sqrt(2)) <= level
    return inside / len(measured)
