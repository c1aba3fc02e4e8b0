"""The training loop: every row once an epoch, the same bits for the same seed, resumable, nothing leaks."""

import copy
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archflow.errors import ArchflowError, UsageError
from archflow.training import DivergedError, TrainingConfig, resolve_device, train
from archflow.training.checkpoints import optimizer_tensors, restore_optimizer
from archflow.training.loop import make_optimizer, seeded

ROWS = 11
CONFIG = TrainingConfig(epochs=4, batch_size=4, learning_rate=0.01)
INPUTS = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(5))
TARGETS = INPUTS[:, :1].square()


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(seed=0):
    """A small net with dropout, so that its training draws random numbers."""
    with seeded(seed):
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))


def loss_of(module):
    return lambda rows: (module(INPUTS[rows]) - TARGETS[rows]).square().mean()


def trained(seed=0, config=CONFIG, **options):
    module = network()
    history = train(module, loss_of(module), ROWS, config, seed=seed, **options)
    return module, history


def assert_equal_weights(one, other):
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


class Counting(nn.Module):
    """A parameter that the loss depends on, and a list of the batches that came."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.batches = []

    def loss(self, rows):
        self.batches.append(rows.tolist())
        return self.weight * 0 + rows.double().mean()


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
def test_every_epoch_covers_the_rows_exactly_once(n_rows, batch_size, epochs):
    counting = Counting()
    train(counting, counting.loss, n_rows, TrainingConfig(epochs, batch_size), seed=0)
    steps = math.ceil(n_rows / batch_size)
    assert len(counting.batches) == epochs * steps
    for epoch in range(epochs):
        batches = counting.batches[epoch * steps : (epoch + 1) * steps]
        assert sorted(itertools.chain.from_iterable(batches)) == list(range(n_rows))
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}


def test_the_order_changes_with_the_epoch_and_with_the_seed():
    orders = []
    for seed in (0, 1):
        counting = Counting()
        train(counting, counting.loss, 50, TrainingConfig(2, 50), seed=seed)
        orders += counting.batches
    assert len({tuple(order) for order in orders}) == 4


def test_the_mean_loss_weighs_rows_not_batches():
    counting = Counting()  # the last of the three batches is smaller
    history = train(counting, counting.loss, ROWS, dataclasses.replace(CONFIG, epochs=3), seed=0)
    assert history == pytest.approx([(ROWS - 1) / 2] * 3)


def test_it_learns():
    _, history = trained(config=dataclasses.replace(CONFIG, epochs=60))
    assert len(history) == 60
    assert history[-1] < history[0] / 2


def test_the_same_seed_is_the_same_bits():
    (one, history), (other, again) = trained(), trained()
    assert_equal_weights(one, other)
    assert history == again


def test_another_seed_is_another_training():
    (one, _), (other, _) = trained(seed=0), trained(seed=1)
    assert not torch.equal(one[0].weight, other[0].weight)


def test_dropout_follows_the_seed_of_the_call_not_the_callers():
    torch.manual_seed(1)
    one, _ = trained()
    torch.manual_seed(2)
    other, _ = trained()
    assert_equal_weights(one, other)


def test_dropout_changes_with_the_step_the_epoch_and_the_seed():
    draws = []

    def loss(rows):
        draws.append(float(torch.rand(())))
        return counting.loss(rows)

    for seed in (3, 4):
        counting = Counting()
        train(counting, loss, ROWS, dataclasses.replace(CONFIG, epochs=3), seed=seed)
    assert len(draws) == len(set(draws)) == 2 * 3 * 3


@pytest.mark.parametrize("stop", [1, 3])
def test_going_on_from_an_epoch_equals_the_uninterrupted_run(stop):
    whole, history = trained()
    saved = {}

    def keep(epochs, loss):
        if epochs == stop:
            saved["weights"] = copy.deepcopy(module.state_dict())
            tensors = optimizer_tensors(optimizer)
            saved["optimizer"] = {name: tensor.clone() for name, tensor in tensors.items()}

    module = network()
    optimizer = make_optimizer(module, CONFIG)
    train(module, loss_of(module), ROWS, CONFIG, seed=0, optimizer=optimizer, after_epoch=keep)

    resumed = network(seed=99)
    resumed.load_state_dict(saved["weights"])
    optimizer = make_optimizer(resumed, CONFIG)
    restore_optimizer(optimizer, saved["optimizer"])
    rest = train(resumed, loss_of(resumed), ROWS, CONFIG, seed=0, optimizer=optimizer, first_epoch=stop)
    assert_equal_weights(resumed, whole)
    assert rest == history[stop:]


def test_without_the_optimizers_state_going_on_is_another_run():
    """What the test above would miss if AdamW had no state worth keeping."""
    whole, _ = trained()
    short = dataclasses.replace(CONFIG, epochs=2)
    module, _ = trained(config=short)
    train(module, loss_of(module), ROWS, CONFIG, seed=0, first_epoch=2)
    assert not torch.equal(module[0].weight, whole[0].weight)


def test_the_callers_random_state_stays():
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 - the global state is what is watched
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    trained()
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_the_random_state_comes_back_after_an_error_too():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(3):
        torch.rand(1) @ torch.rand(2)
    assert torch.equal(torch.get_rng_state(), state)


def draw(*seeds):
    with seeded(*seeds):
        return float(torch.rand(()))


def test_seeded_draws_follow_every_part_of_the_seed():
    assert len({draw(0), draw(1), draw(0, 1), draw(1, 1), draw(1, 2)}) == 5
    assert draw(1, 2) == draw(1, 2)


def test_first_weights_and_first_epoch_draw_from_different_streams():
    assert draw(7) != draw(7, 0)


def test_no_epoch_changes_nothing():
    module, history = trained(config=dataclasses.replace(CONFIG, epochs=0))
    assert history == []
    assert_equal_weights(module, network())


def test_the_module_is_left_in_training_mode():
    module = network().eval()
    train(module, loss_of(module), ROWS, CONFIG, seed=0)
    assert module.training


def test_reports_and_hooks_hear_of_every_epoch():
    told, hooked = [], []
    _, history = trained(
        report=lambda done, total, remark="": told.append((done, total, remark)),
        after_epoch=lambda epochs, loss: hooked.append((epochs, loss)),
    )
    assert hooked == [(epoch + 1, loss) for epoch, loss in enumerate(history)]
    assert told == [(epoch, 4, f"loss {loss:.4f}") for epoch, loss in hooked]


def test_a_hook_that_says_true_ends_the_training():
    whole, history = trained()
    early, short = trained(after_epoch=lambda epochs, loss: epochs == 2)
    assert short == history[:2]
    assert early.training
    with pytest.raises(AssertionError):
        assert_equal_weights(early, whole)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run(bad):
    module, hooked = network(), []

    def loss(rows):
        value = loss_of(module)(rows)
        return value * bad if len(hooked) == 2 else value

    one_step = dataclasses.replace(CONFIG, batch_size=ROWS)  # before the weights are no numbers either
    with pytest.raises(DivergedError, match=rf"loss became {bad} in epoch 3; try a smaller") as error:
        train(module, loss, ROWS, one_step, seed=0, after_epoch=lambda *_: hooked.append(1))
    assert len(hooked) == 2  # the bad epoch is not offered for saving
    assert isinstance(error.value, ArchflowError)
    assert isinstance(error.value, ArithmeticError)


def gradient_norm_after(limit):
    module = network()
    config = TrainingConfig(epochs=1, batch_size=ROWS, gradient_norm=limit)
    train(module, lambda rows: 1000 * loss_of(module)(rows), ROWS, config, seed=0)
    return math.sqrt(sum(float(weight.grad.square().sum()) for weight in module.parameters()))


def test_gradients_are_clipped_at_their_norm():
    free = gradient_norm_after(None)
    assert free > 10
    assert gradient_norm_after(1.0) == pytest.approx(1, rel=1e-4)
    assert gradient_norm_after(10 * free) == pytest.approx(free, rel=1e-6)


def test_the_rate_is_constant_unless_a_schedule_is_asked_for():
    assert {CONFIG.rate(epoch) for epoch in range(4)} == {CONFIG.learning_rate}


def test_a_warm_up_rises_and_a_cosine_falls_to_almost_nothing():
    config = TrainingConfig(103, 4, learning_rate=1.0, schedule="cosine", warm_up_epochs=3)
    rates = [config.rate(epoch) for epoch in range(103)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[53] == pytest.approx(0.5)  # half way down
    assert rates[-1] == pytest.approx(math.sin(math.pi / 200) ** 2)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_a_warm_up_longer_than_the_run_never_reaches_the_rate():
    config = TrainingConfig(2, 4, schedule="cosine", warm_up_epochs=9)
    assert [config.rate(epoch) for epoch in range(2)] == pytest.approx([1e-4, 2e-4])


def test_the_schedule_reaches_the_optimizer():
    config = dataclasses.replace(CONFIG, schedule="cosine", warm_up_epochs=1)
    module = network()
    optimizer = make_optimizer(module, config)
    seen = []
    train(module, loss_of(module), ROWS, config, seed=0, optimizer=optimizer,
          after_epoch=lambda done, loss: seen.append(optimizer.param_groups[0]["lr"]))  # fmt: skip
    assert seen == [config.rate(epoch) for epoch in range(CONFIG.epochs)]


def test_weight_decay_and_learning_rate_reach_the_optimizer():
    optimizer = make_optimizer(network(), TrainingConfig(1, 1, learning_rate=0.5, weight_decay=0.25))
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.5, 0.25)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": -1},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-3},
        {"weight_decay": -1e-9},
        {"learning_rate": math.nan},
        {"weight_decay": math.nan},
        {"gradient_norm": -1.0},
        {"schedule": "linear"},
        {"warm_up_epochs": -1},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(UsageError, match=f"training needs .*{next(iter(change))}"):
        dataclasses.replace(CONFIG, **change)


def test_settings_at_the_edge_are_fine():
    config = TrainingConfig(epochs=0, batch_size=1, learning_rate=1e-12, weight_decay=0)
    assert config.gradient_norm is None


def test_devices_by_name():
    assert resolve_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize(
    "name",
    [
        "gpu",
        "",
        "cuda:99",
        "meta",
    ],
)
def test_devices_that_are_not_there(name):
    with pytest.raises(UsageError) as error:
        resolve_device(name)
    message = str(error.value)
    assert message.startswith(f"device {name!r} cannot be used here (")
    assert message.endswith("; try --device auto")
    assert "\n" not in message
