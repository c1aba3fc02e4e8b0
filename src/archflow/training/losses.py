"""Losses that more than one room uses."""

from __future__ import annotations

from torch import Tensor


def pairwise_hinge(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Penalise pairs whose scores are not in the order of their targets by a margin.

    The mean of max(0, margin - (f_i - f_j)) over all pairs with y_i > y_j (FGP's ranking loss). All pairs of
    the batch count; the reference draws a random subset of large batches' pairs, which costs more here
    than it saves.

    Args:
        scores: f, (B,).
        targets: y, (B,); higher is better.
        margin: How far apart the scores of a pair should be.

    Returns:
        The loss, (); 0, with a gradient of 0, where no two targets differ.
    """
    above = targets.unsqueeze(1) > targets.unsqueeze(0)  # (B, B): y_i > y_j
    short = (margin - (scores.unsqueeze(1) - scores.unsqueeze(0))).clamp(min=0)
    return (short * above).sum() / above.sum().clamp(min=1)
