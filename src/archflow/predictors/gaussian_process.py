"""A Gaussian process on a sum of kernels, one over each block of features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from archflow.errors import TableError
from archflow.protocols import FloatArray

MOST_EXACT = 2000
"""Labels up to which the posterior is exact."""

MOST_SPARSE, INDUCING = 10_000, 1000
"""Of more labels so many at most are conditioned on, through so many of them: a sparse posterior."""

# Kernels of rows with the labels that are computed at once: so few numbers stay in a core's cache.
_KERNELS = 2**17

# Labels on which the marginal likelihood is computed: a step takes time in their cube, and in their square
# for each block. Of many blocks fewer labels, so that all take about as long.
_MOST_FOR_EVIDENCE, _MOST_DISTANCES = 400, 8 * 400**2
_MOST_FOR_FOLDS = 200  # labels from which on a tenth of them has little say in the hyper-parameters
_STEPS = 80
_FOLDS, _STEPS_A_FOLD = 10, 15
# Log-normal priors: (mean, deviation) of the logarithm. Length scales are in units of the median distance.
_LENGTH_PRIOR = (0.0, 0.7)
_NOISE_PRIOR = (-2.0, 1.0)
_WEIGHT_DEVIATION = 1.5
_LEAST_NOISE = 1e-6
_JITTERS = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)


class GaussianProcess:
    """A zero-mean Gaussian process with kernel sum_b w_b Matern-5/2(d_b / l_b) and constant noise.

    Weights w_b, length scales l_b and the noise maximise the marginal likelihood times log-normal priors
    (Rasmussen and Williams 2006, sections 5.4 and 8.3.4 for what is done with many labels).

    Args:
        blocks: For each block of features its N rows, (N, F_b), standardised.
        targets: What to fit, (N,), of about unit variance.
        seed: Which labels stand for all where there are many.

    Attributes:
        left_out: A prediction of each label by a process that did not see it, (N,): ten-fold with
            hyper-parameters of their own up to 200 labels, else leaving out one alone with those of all.
        left_out_variance: Its variance, noise included, (N,).

    Raises:
        TableError: A feature is not finite, or the kernel matrix stays singular whatever is added to its
            diagonal.
    """

    def __init__(self, blocks: Sequence[FloatArray], targets: FloatArray, seed: int = 0) -> None:
        for block in blocks:
            if not np.isfinite(block).all():
                row = int(np.argmin(np.isfinite(block).all(axis=1)))
                raise TableError(
                    f"labelled architecture {row} has a feature that is not finite; leave it out"
                )
        count, rng = len(targets), np.random.default_rng(seed)
        order = rng.permutation(count)
        sparse = count > MOST_EXACT
        chosen = np.sort(order[:INDUCING]) if sparse else np.arange(count)
        self._inducing = [np.asarray(block[chosen], dtype=np.float64) for block in blocks]
        squared = np.stack([squared_distances(block, block) for block in self._inducing])  # (B, M, M)
        self._units = np.array([_median(matrix) for matrix in squared])
        squared /= self._units[:, None, None]
        enough = min(_MOST_FOR_EVIDENCE, math.isqrt(_MOST_DISTANCES // len(blocks)))
        few = np.sort(rng.permutation(len(chosen))[:enough])
        self._parameters = _most_probable(
            squared[:, few[:, None], few], targets[chosen[few]], _prior(len(blocks))[0], _STEPS
        )
        kernel = _kernel_sum(squared, self._parameters)
        if sparse:
            self._sparse(kernel, blocks, targets, order)
            return
        self._exact(kernel, targets)
        if count <= _MOST_FOR_FOLDS:
            self._leave_out(squared, targets, rng.permutation(count) % _FOLDS)

    @property
    def weights(self) -> FloatArray:
        """The weight of each block's kernel, (B,)."""
        return np.asarray(np.exp(self._parameters[: len(self._units)]))

    @property
    def lengths(self) -> FloatArray:
        """The length scale of each block's kernel, (B,), in units of the block's median distance."""
        return np.asarray(np.exp(self._parameters[len(self._units) : -1]))

    @property
    def noise(self) -> float:
        """The variance of the noise."""
        return _noise(self._parameters)

    @property
    def rows_at_once(self) -> int:
        """How many rows are predicted fastest at once."""
        return max(_KERNELS // len(self._inducing[0]), 1)

    def mean(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return the mean of other rows, (A,); takes the same as `predict`."""
        return np.asarray(self._to_inducing(blocks) @ self._coefficients)

    def predict(self, blocks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance, noise included, of other rows, (A,) each.

        Args:
            blocks: The same blocks of features for A rows, (A, F_b) each.
        """
        kernel = self._to_inducing(blocks)
        explained = np.einsum("ij,ij->i", kernel @ self._precision, kernel)
        variance = self.weights.sum() + self.noise - explained
        return kernel @ self._coefficients, np.maximum(variance, self.noise / 2)

    def _to_inducing(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return the kernel of A rows with the M labels that stand for all, (A, M)."""
        kernel = np.zeros((len(blocks[0]), len(self._inducing[0])))
        parameters = zip(np.log(self.weights), np.log(self.lengths), strict=True)
        for block, own, unit, pair in zip(blocks, self._inducing, self._units, parameters, strict=True):
            rows, inverse = block, None
            if block.shape[1] == 1:  # counts take few values, so that most rows repeat
                values, inverse = np.unique(block[:, 0], return_inverse=True)
                rows = values[:, None]
            part = _kernel_sum(squared_distances(rows, own)[None] / unit, np.array(pair))
            kernel += part if inverse is None else part[inverse]
        return kernel

    def _exact(self, kernel: FloatArray, targets: FloatArray) -> None:
        factor = _cholesky(kernel + self.noise * np.eye(len(kernel)))
        self._precision = cho_solve((factor, False), np.eye(len(kernel)), check_finite=False)
        self._coefficients = self._precision @ targets
        # Rasmussen and Williams 2006, equations 5.12: leaving one out needs no further fit.
        self.left_out_variance = 1 / np.diag(self._precision)
        self.left_out = targets - self._coefficients * self.left_out_variance

    def _leave_out(self, squared: FloatArray, targets: FloatArray, folds: NDArray[np.int64]) -> None:
        """Predict each fold from the others, with hyper-parameters that have not seen it either."""
        for fold in range(min(_FOLDS, len(targets))):
            seen, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            own = squared[:, seen[:, None], seen]
            parameters = _most_probable(own, targets[seen], self._parameters, _STEPS_A_FOLD)
            kernel, noise = _kernel_sum(own, parameters), _noise(parameters)
            factor = _cholesky(kernel + noise * np.eye(len(seen)))
            cross = _kernel_sum(squared[:, seen[:, None], unseen], parameters)
            whitened = solve_triangular(factor, cross, trans=1, check_finite=False)
            self.left_out[unseen] = cross.T @ cho_solve((factor, False), targets[seen], check_finite=False)
            variance = kernel[0, 0] + noise - (whitened**2).sum(axis=0)
            self.left_out_variance[unseen] = np.maximum(variance, noise / 2)

    def _sparse(
        self, kernel: FloatArray, blocks: Sequence[FloatArray], targets: FloatArray, order: NDArray[np.int64]
    ) -> None:
        """Condition on the first labels of an order; to predict the others is to predict unseen ones."""
        seen, unseen = order[:MOST_SPARSE], order[MOST_SPARSE:]
        self.left_out, self.left_out_variance = np.empty(len(targets)), np.empty(len(targets))
        cross = self._to_inducing([block[seen] for block in blocks])
        self.left_out[seen], self.left_out_variance[seen] = self._project(kernel, cross, targets[seen])
        for begin in range(0, len(unseen), self.rows_at_once):
            rows = unseen[begin : begin + self.rows_at_once]
            self.left_out[rows], self.left_out_variance[rows] = self.predict(
                [block[rows] for block in blocks]
            )

    def _project(
        self, kernel: FloatArray, cross: FloatArray, targets: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Condition on N labels through M of them: the projected process (kernel M x M, cross N x M).

        Returns:
            Mean and variance of each label without itself, (N,) each.
        """
        factor = _cholesky(kernel + _LEAST_NOISE * np.eye(len(kernel)))
        features = solve_triangular(factor, cross.T, trans=1, check_finite=False)  # (M, N)
        inner = _cholesky(np.eye(len(kernel)) + features @ features.T / self.noise)
        weights = cho_solve((inner, False), features @ targets / self.noise, check_finite=False)
        self._coefficients = solve_triangular(factor, weights, check_finite=False)
        unit = np.eye(len(kernel))
        self._precision = cho_solve((factor, False), unit) - cho_solve((inner @ factor, False), unit)
        inward = solve_triangular(inner, features, trans=1, check_finite=False)
        own_share = 1 - (inward**2).sum(axis=0) / self.noise  # 1 - leverage
        unexplained = np.maximum(self.weights.sum() - (features**2).sum(axis=0), 0)
        left_out = targets - (targets - cross @ self._coefficients) / own_share
        return left_out, self.noise / own_share + unexplained


def squared_distances(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return squared Euclidean distances, (A, M) float64, of (A, F) and (M, F) rows."""
    squared: FloatArray = rows @ others.T
    squared *= -2
    squared += np.einsum("ij,ij->i", rows, rows)[:, None]
    squared += np.einsum("ij,ij->i", others, others)
    return np.maximum(squared, 0, out=squared)


def _median(squared: FloatArray) -> float:
    """Return the median squared distance of two different rows; 1 where all are the same."""
    above = squared[np.triu_indices(len(squared), 1)]
    above = above[above > 1e-9 * max(1.0, float(above.max(initial=0.0)))]
    return float(np.median(above)) if len(above) else 1.0


def _noise(parameters: FloatArray) -> float:
    return math.exp(float(parameters[-1])) + _LEAST_NOISE


def _prior(blocks: int) -> tuple[FloatArray, FloatArray]:
    """Return centre and deviation of the logarithms of weights, length scales and noise, (2 B + 1,) each."""
    center = [-math.log(blocks)] * blocks + [_LENGTH_PRIOR[0]] * blocks + [_NOISE_PRIOR[0]]
    deviation = [_WEIGHT_DEVIATION] * blocks + [_LENGTH_PRIOR[1]] * blocks + [_NOISE_PRIOR[1]]
    return np.array(center), np.array(deviation)


def _most_probable(squared: FloatArray, targets: FloatArray, start: FloatArray, steps: int) -> FloatArray:
    """Return the logarithms of weights, length scales and noise at the posterior's peak, (2 B + 1,).

    Args:
        squared: Squared distances of each block, (B, N, N).
        targets: (N,).
        start: Where to start from, (2 B + 1,).
        steps: Most steps of L-BFGS.
    """
    blocks, count = len(squared), len(targets)
    center, deviation = _prior(blocks)
    upper = np.triu_indices(count, 1)  # the matrices are symmetric: half of the work
    pairs = np.sqrt(5 * squared[:, *upper])  # (B, P)
    kernels, slopes = np.empty_like(pairs), np.empty_like(pairs)
    step = max(_KERNELS // blocks, 1)
    pieces = [slice(begin, begin + step) for begin in range(0, pairs.shape[1], step)]
    matrix, diagonal = np.zeros((count, count)), np.diag_indices(count)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights = np.exp(parameters[:blocks])
        shrink = np.exp(-parameters[blocks:-1])[:, None]
        for piece in pieces:
            _matern(pairs[:, piece], shrink, kernels[:, piece], slopes[:, piece])
        matrix[upper] = weights @ kernels
        matrix[diagonal] = weights.sum() + _noise(parameters)
        factor = _cholesky(matrix)
        coefficients = cho_solve((factor, False), targets, check_finite=False)
        deviations = (parameters - center) / deviation
        value = targets @ coefficients / 2 + np.log(np.diag(factor)).sum() + deviations @ deviations / 2
        # The gradient of the evidence by the kernel: (K^-1 - a a^T) / 2, off the diagonal twice.
        inverse, _ = dpotri(factor)
        outer = inverse[upper] - coefficients[upper[0]] * coefficients[upper[1]]
        trace = (np.diag(inverse) - coefficients**2).sum() / 2
        gradient = np.concatenate(
            [
                weights * (kernels @ outer + trace),
                weights * (slopes @ outer),
                [trace * math.exp(float(parameters[-1]))],
            ]
        )
        return float(value), gradient + deviations / deviation

    # Twelve deviations either side keep every exponential finite.
    bounds = list(zip(center - 12 * deviation, center + 12 * deviation, strict=True))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    return np.asarray(found.x, dtype=np.float64)


def _matern(pairs: FloatArray, shrink: FloatArray, kernels: FloatArray, slopes: FloatArray) -> None:
    """Fill in kernels and their slopes by the logarithm of the length scale l, (B, P) each, in place.

    Args:
        pairs: sqrt(5) times the distances, (B, P).
        shrink: 1 / l, (B, 1).
        kernels: Matern-5/2: (1 + r + r^2 / 3) e^-r, with r = pairs / l.
        slopes: r^2 (1 + r) / 3 e^-r.
    """
    ratio = pairs * shrink
    np.exp(np.negative(ratio, out=kernels), out=kernels)
    np.multiply(ratio, ratio, out=slopes)
    slopes /= 3
    ratio += 1
    factor = ratio + slopes
    slopes *= ratio
    slopes *= kernels
    kernels *= factor


def _kernel_sum(squared: FloatArray, parameters: FloatArray) -> FloatArray:
    """Return sum_b exp(p_b) Matern-5/2(sqrt(d_b) / exp(p_(B + b))), (A, M), for d of (B, A, M)."""
    blocks, total = len(squared), np.zeros(squared.shape[1:])
    for position, matrix in enumerate(squared):
        distances = np.sqrt(5 * math.exp(-2 * parameters[blocks + position]) * matrix)
        decay = np.exp(parameters[position] - distances)
        distances *= 1 + distances / 3
        distances += 1
        total += np.multiply(decay, distances, out=decay)
    return total


def _cholesky(matrix: FloatArray) -> FloatArray:
    """Return the upper factor of the matrix, of which the upper triangle is read."""
    for jitter in _JITTERS:
        raised = matrix + jitter * np.diag(matrix).mean() * np.eye(len(matrix)) if jitter else matrix
        try:
            return np.asarray(cholesky(raised, check_finite=False))
        except LinAlgError:
            continue
    raise TableError(
        "the kernel of the labelled architectures is singular: their features are too extreme; check the "
        "table for attributes that are far out"
    )
