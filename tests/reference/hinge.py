"""Slow twin of archflow.training.losses: one pair at a time, in plain Python, from the definition."""


def pairwise_hinge(scores, targets, margin):
    penalties = [
        max(0.0, margin - (score - other))
        for score, target in zip(scores, targets, strict=True)
        for other, lower in zip(scores, targets, strict=True)
        if target > lower
    ]
    return sum(penalties) / len(penalties) if penalties else 0.0


def pairwise_hinge_gradient(scores, targets, margin):
    """Return the derivative by each score; every pair that falls short pulls its two scores apart."""
    slopes, pairs = [0.0] * len(scores), 0
    for i, (score, target) in enumerate(zip(scores, targets, strict=True)):
        for j, (other, lower) in enumerate(zip(scores, targets, strict=True)):
            if target > lower:
                pairs += 1
                if margin - (score - other) > 0:
                    slopes[i] -= 1.0
                    slopes[j] += 1.0
    return [slope / max(pairs, 1) for slope in slopes]
