"""The one registry of prediction methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from archflow.encoders import ENCODERS
from archflow.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Method:
    """A named way to predict.

    Attributes:
        name: What commands and records call it.
        description: One line for people.
        encoder: The encoder that it fine-tunes, or None.
        pretrained: Whether that encoder is pre-trained first.
        objectives: The weight of each of its pretext tasks where they are not the paper's. The encoders that
            archflow ships are pre-trained on the paper's.
        views: What a blend of Gaussian processes and trees sees; None for other methods.
        takes_encoder: Whether it uses a pre-trained encoder of any kind that it is given.
    """

    name: str
    description: str
    encoder: str | None = None
    pretrained: bool = False
    objectives: Mapping[str, float] | None = dataclasses.field(default=None, hash=False)
    views: tuple[str, ...] | None = None
    takes_encoder: bool = False


OPERATION_AWARE: Mapping[str, float] = {"operation-flow": 0.5, "proxy": 0.5}
"""The pretext tasks of the `fgp+` methods."""

DEFAULT = "auto"
DEFAULT_ENCODER = "gin"
"""Which encoder is pre-trained where a method takes any."""

_AUTO_VIEWS = ("function", "additive", "as-written", "sizes", "trees")

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "auto",
            "Gaussian processes and trees on several views of the graph, blended by cross-validation",
            views=_AUTO_VIEWS,
            takes_encoder=True,
        ),
        Method(
            "fgp-auto",
            "auto with an encoder, flow-guided pre-training, as one more part",
            pretrained=True,
            views=_AUTO_VIEWS,
            takes_encoder=True,
        ),
        Method(
            "flow-gp",
            "Gaussian process on flow, counts, paths, one-hot nodes and sizes",
            views=("everything",),
        ),
        Method("random", "a random order, to compare with"),
        Method("onehot-rf", "random forest on one-hot operations and the adjacency matrix"),
        Method(
            "onehot-gp", "Gaussian process on one-hot operations and the adjacency matrix", views=("one-hot",)
        ),
        Method("graph-features-rf", "random forest on counts, path lengths and degrees (GRAF)"),
        Method(
            "graph-features-gp",
            "Gaussian process on counts, path lengths and degrees (GRAF)",
            views=("graph-features",),
        ),
        *(Method(name, f"{name} encoder, trained on the labels alone", name) for name in ENCODERS),
        *(
            Method(f"fgp-{name}", f"{name} encoder, flow-guided pre-training, then fine-tuned", name, True)
            for name in ENCODERS
        ),
        *(
            Method(
                f"fgp+{name}",
                f"{name} encoder, pre-trained on the operation-aware flow, then fine-tuned",
                name,
                pretrained=True,
                objectives=OPERATION_AWARE,
            )
            for name in ENCODERS
        ),
    )
}
"""Every method by name."""


def method_named(name: str) -> Method:
    """Return a method.

    Raises:
        UnknownNameError: There is none of that name; lists the choices and suggests the nearest.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise unknown_name("method", name, METHODS) from None
