"""The batches that networks see."""

import pytest
import torch
from sklearn.datasets import load_digits

from archflow.errors import UnknownNameError, UsageError
from archflow.networks import IMAGES, ImageBatch

SHAPE = (3, 16, 16)


@pytest.mark.parametrize("kind", IMAGES)
def test_a_batch_repeats_by_seed(kind):
    draw = [ImageBatch.draw(kind, 20, image_shape=SHAPE, classes=10, seed=seed) for seed in (0, 0, 1)]
    assert draw[0].images.shape == (20, *SHAPE)
    assert draw[0].images.dtype == torch.float32
    assert draw[0].labels.dtype == torch.int64
    assert len(draw[0]) == 20
    assert torch.equal(draw[0].images, draw[1].images)
    assert torch.equal(draw[0].labels, draw[1].labels)
    assert not torch.equal(draw[0].images, draw[2].images)
    assert not torch.equal(draw[0].labels, draw[2].labels)


@pytest.mark.parametrize("kind", IMAGES)
def test_pixels_are_standardised_and_labels_are_classes(kind):
    batch = ImageBatch.draw(kind, 1000, image_shape=SHAPE, classes=10, seed=0)
    assert batch.images.mean().abs() < 0.02
    assert batch.images.std() == pytest.approx(1, abs=0.02)
    assert set(batch.labels.tolist()) == set(range(10))


def test_a_digit_is_one_of_scikit_learns_with_every_pixel_repeated():
    batch = ImageBatch.draw("digits", 1797, image_shape=SHAPE, classes=10, seed=0)
    pixels, labels = load_digits(return_X_y=True)
    mean, deviation = pixels.mean(), pixels.std()
    small = batch.images[:, 1, ::2, 1::2] * deviation + mean
    assert torch.equal(batch.images[:, 0], batch.images[:, 2])
    drawn = {
        (*image.flatten().round().int().tolist(), int(y))
        for image, y in zip(small, batch.labels, strict=True)
    }
    assert drawn == {(*map(int, image), int(y)) for image, y in zip(pixels, labels, strict=True)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1}, "a batch of 1 images orders nothing"),
        ({"count": 1798}, "there are 1797 digits, not 1798"),
        ({"image_shape": (3, 12, 16)}, "do not fit images of 12x16 pixels in 10 classes; take noise"),
        ({"classes": 9}, "do not fit images of 16x16 pixels in 9 classes"),
    ],
)
def test_a_batch_that_cannot_be_drawn_is_refused(change, message):
    arguments = {"kind": "digits", "count": 8, "image_shape": SHAPE, "classes": 10, "seed": 0, **change}
    with pytest.raises(UsageError, match=message):
        ImageBatch.draw(**arguments)


def test_an_unknown_kind_is_named():
    with pytest.raises(UnknownNameError, match="unknown kind of images 'cifar'; choose from: digits, noise"):
        ImageBatch.draw("cifar", 8, image_shape=SHAPE, classes=10, seed=0)
