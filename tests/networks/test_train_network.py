"""Training is repeatable, touches nothing of its caller's, and learns; tasks check themselves."""

import dataclasses

import numpy as np
import pytest
import torch

from archflow.errors import UnknownNameError, UsageError
from archflow.networks import DIGITS, accuracy_percent, fit_network, get_task, train_network
from archflow.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
GOOD = SPACE.parse("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|")
NONE = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
TINY = dataclasses.replace(DIGITS, channels=(2, 4), train_images=60, batch_size=20, epochs=1)


def test_the_same_seed_repeats_bit_for_bit():
    first, second = (fit_network(GOOD, TINY, seed=3) for _ in range(2))
    weights = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    for (name, one), (_, other) in weights:
        assert torch.equal(one, other), name
    assert train_network(GOOD, TINY, 3).valid_accuracy == train_network(GOOD, TINY, 3).valid_accuracy


def test_another_seed_gives_other_weights():
    first, second = (fit_network(GOOD, TINY, seed) for seed in (3, 4))
    assert not torch.equal(first.head.weight, second.head.weight)


def test_the_random_state_and_threads_of_the_caller_stay():
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 - the global state is what is watched
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    threads = torch.get_num_threads()
    train_network(GOOD, TINY, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_a_cell_with_a_path_learns_and_one_without_guesses():
    good, none = (train_network(cell, DIGITS, 0) for cell in (GOOD, NONE))
    assert good.valid_accuracy > 80
    assert 9 < none.valid_accuracy < 11
    assert good.parameters > none.parameters
    assert good.train_seconds > 0


def test_norm_statistics_are_those_of_all_training_images():
    network = fit_network(GOOD, TINY, 0)
    with torch.no_grad():
        stem = network.features[0](TINY.data().train_images)
    torch.testing.assert_close(network.features[1].running_mean, stem.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(network.features[1].running_var, stem.var(dim=(0, 2, 3)))


def test_accuracy_is_a_percentage():
    scores = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.5, 0.0]])
    assert accuracy_percent(torch.nn.Identity(), scores, torch.tensor([0, 1, 0, 1])) == 75.0


def test_the_split_is_fixed_whole_and_stratified():
    data = DIGITS.data()
    assert data is DIGITS.data()
    assert data.train_images.shape == (500, 1, 8, 8)
    assert data.valid_images.shape == (1297, 1, 8, 8)
    assert data.train_images.mean().abs() < 1e-5
    assert data.train_images.std() == pytest.approx(1.0, abs=1e-5)
    counts = torch.bincount(data.train_labels)
    shares = torch.bincount(torch.cat([data.train_labels, data.valid_labels])) * 500 / 1797
    assert (counts - shares).abs().max() < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "task 'digits': epochs is 0; it must be above 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"channels": ()}, r"channels are \(\)"),
        ({"channels": (4, 0)}, r"channels are \(4, 0\)"),
    ],
)
def test_a_task_out_of_range_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(DIGITS, **change)


@pytest.mark.parametrize("images", [0, 5, 1797])
def test_a_split_that_cannot_be_drawn_is_refused(images):
    with pytest.raises(UsageError, match=f"train_images={images} cannot be drawn from 1797 digits"):
        dataclasses.replace(DIGITS, train_images=images).data()


def test_tasks_go_by_name():
    assert get_task("digits") is DIGITS
    with pytest.raises(
        UnknownNameError, match=r"unknown task 'digit'; choose from: digits\. Did you mean 'digits'"
    ):
        get_task("digit")
