import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from archflow.errors import TableError
from archflow.predictors import gaussian_process
from archflow.predictors.gaussian_process import GaussianProcess, squared_distances


def problem(count=60, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 3))
    targets = np.sin(rows[:, 0]) + rows[:, 1] + 0.1 * rng.normal(size=count)
    return [rows[:, :2], rows], (targets - targets.mean()) / targets.std()


def plain_kernel(process, blocks, others):
    """The kernel by its formula, (A, M)."""
    total = 0.0
    for weight, length, block, other in zip(process.weights, process.lengths, blocks, others, strict=True):
        distances = cdist(other, other)[np.triu_indices(len(other), 1)]
        r = np.sqrt(5) * cdist(block, other) / np.median(distances[distances > 0]) / length
        total = total + weight * (1 + r + r**2 / 3) * np.exp(-r)
    return total


def test_prediction_is_the_conditional_gaussian():
    blocks, targets = problem()
    process = GaussianProcess(blocks, targets)
    others, _ = problem(seed=1)
    covariance = plain_kernel(process, blocks, blocks) + process.noise * np.eye(len(targets))
    cross = plain_kernel(process, others, blocks)
    mean, variance = process.predict(others)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(covariance, targets), atol=1e-6)
    np.testing.assert_array_equal(process.mean(others), mean)
    explained = np.einsum("ij,ji->i", cross, np.linalg.solve(covariance, cross.T))
    np.testing.assert_allclose(variance, process.weights.sum() + process.noise - explained, atol=1e-6)


def test_left_out_predictions_are_those_of_a_fit_without_the_label(monkeypatch):
    monkeypatch.setattr(gaussian_process, "_MOST_FOR_FOLDS", 0)
    blocks, targets = problem(30)
    process = GaussianProcess(blocks, targets)
    covariance = plain_kernel(process, blocks, blocks) + process.noise * np.eye(len(targets))
    for row in (0, 7, 29):
        rest = np.arange(len(targets)) != row
        solved = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, row])
        assert process.left_out[row] == pytest.approx(solved @ targets[rest], abs=1e-6)
        assert process.left_out_variance[row] == pytest.approx(
            covariance[row, row] - solved @ covariance[rest, row], abs=1e-6
        )


def test_of_few_labels_hyper_parameters_are_left_out_too():
    blocks, targets = problem(40)
    process = GaussianProcess(blocks, targets)
    assert np.corrcoef(process.left_out, targets)[0, 1] > 0.8
    inside = np.abs(process.left_out - targets) < 1.28 * np.sqrt(process.left_out_variance)
    assert 0.6 < inside.mean() < 1


def test_hyper_parameters_maximise_the_posterior():
    """Moving any of them makes the evidence times the priors, computed plainly, no better."""
    blocks, targets = problem(40)
    process = GaussianProcess(blocks, targets)

    def loss(logarithms):
        moved = GaussianProcess.__new__(GaussianProcess)
        moved._parameters, moved._units = logarithms, process._units
        covariance = plain_kernel(moved, blocks, blocks) + moved.noise * np.eye(len(targets))
        evidence = targets @ np.linalg.solve(covariance, targets) / 2 + np.linalg.slogdet(covariance)[1] / 2
        priors = np.concatenate([(logarithms[:2] - np.log(1 / 2)) / 1.5, logarithms[2:4] / 0.7])
        return evidence + (priors**2).sum() / 2 + (logarithms[4] + 2) ** 2 / 2

    best = process._parameters
    for position in range(5):
        for step in (-0.1, 0.1):
            assert loss(best + step * np.eye(5)[position]) > loss(best)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 40), st.integers(1, 50))
def test_slopes_are_those_of_the_kernels_whatever_the_size_of_a_piece(blocks, pairs, piece):
    rng = np.random.default_rng(pairs)
    roots, lengths = rng.uniform(0, 9, size=(blocks, pairs)), rng.uniform(-1, 1, size=(blocks, 1))

    def kernels_and_slopes(lengths):
        kernels, slopes = np.empty_like(roots), np.empty_like(roots)
        for begin in range(0, pairs, piece):
            own = slice(begin, begin + piece)
            gaussian_process._matern(roots[:, own], np.exp(-lengths), kernels[:, own], slopes[:, own])
        return kernels, slopes

    kernels, slopes = kernels_and_slopes(lengths)
    ratio = roots / np.exp(lengths)
    np.testing.assert_allclose(kernels, (1 + ratio + ratio**2 / 3) * np.exp(-ratio), rtol=1e-12)
    upper, lower = (kernels_and_slopes(lengths + step)[0] for step in (1e-5, -1e-5))
    np.testing.assert_allclose(slopes, (upper - lower) / 2e-5, atol=1e-8)


def test_an_irrelevant_block_loses_its_weight():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(150, 2))
    targets = np.sin(2 * rows[:, 0]) + np.cos(2 * rows[:, 1])
    process = GaussianProcess([rows, rng.normal(size=(150, 2))], (targets - targets.mean()) / targets.std())
    assert process.weights[0] > 5 * process.weights[1]
    assert np.corrcoef(process.left_out, targets)[0, 1] > 0.9


def test_sparse_posterior_through_all_labels_is_the_exact_one(monkeypatch):
    monkeypatch.setattr(gaussian_process, "_MOST_FOR_FOLDS", 0)  # so that labels are left out one by one
    blocks, targets = problem()
    exact = GaussianProcess(blocks, targets)
    sparse = GaussianProcess(blocks, targets)
    kernel = sparse._to_inducing(blocks)
    sparse.left_out, sparse.left_out_variance = sparse._project(kernel, kernel, targets)
    others, _ = problem(seed=1)
    for own, other in zip(exact.predict(others), sparse.predict(others), strict=True):
        np.testing.assert_allclose(own, other, atol=2e-3)
    np.testing.assert_allclose(exact.left_out, sparse.left_out, atol=2e-3)
    np.testing.assert_allclose(exact.left_out_variance, sparse.left_out_variance, atol=2e-3)


def test_many_labels_are_represented_by_a_few(monkeypatch):
    blocks, targets = problem(400)
    exact = GaussianProcess(blocks, targets)
    for name, number in (("MOST_EXACT", 200), ("MOST_SPARSE", 300), ("INDUCING", 100)):
        monkeypatch.setattr(gaussian_process, name, number)
    sparse = GaussianProcess(blocks, targets, seed=3)
    others, _ = problem(seed=1)
    assert np.corrcoef(sparse.predict(others)[0], exact.predict(others)[0])[0, 1] > 0.99
    assert len(sparse.left_out) == 400
    assert (sparse.left_out_variance > 0).all()
    inside = np.abs(sparse.left_out - targets) < 1.28 * np.sqrt(sparse.left_out_variance)
    assert 0.7 < inside.mean() < 0.9


def test_equal_rows_and_constant_blocks_give_finite_numbers():
    blocks = [np.zeros((10, 2)), np.repeat(np.arange(5.0), 2)[:, None], np.zeros((10, 0))]
    process = GaussianProcess(blocks, np.linspace(-1, 1, 10))
    mean, variance = process.predict(blocks)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()
    assert np.isfinite(process.left_out).all()


def test_infinite_features_are_refused_by_row():
    with pytest.raises(TableError, match="architecture 1 has a feature that is not finite"):
        GaussianProcess([np.array([[0.0], [np.inf], [1.0]])], np.array([0.0, 1.0, -1.0]))


def test_a_singular_kernel_is_refused_with_the_way_out():
    with pytest.raises(TableError, match=r"singular.*check the table"):
        gaussian_process._cholesky(-np.eye(3))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 4), st.integers(0, 99))
def test_squared_distances(rows, others, width, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(rows, width)), rng.normal(size=(others, width))
    expected = cdist(first, second, "sqeuclidean") if width else np.zeros((rows, others))
    np.testing.assert_allclose(squared_distances(first, second), expected, atol=1e-12)
