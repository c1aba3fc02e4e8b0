"""The one registry of prediction methods."""

from __future__ import annotations

import dataclasses

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
    """

    name: str
    description: str
    encoder: str | None = None
    pretrained: bool = False


DEFAULT = "auto"

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("auto", "the best method that this version has: fgp-gin", "gin", pretrained=True),
        Method("random", "a random order, to compare with"),
        Method("onehot-rf", "random forest on one-hot operations and the adjacency matrix"),
        *(Method(name, f"{name} encoder, trained on the labels alone", name) for name in ENCODERS),
        *(
            Method(f"fgp-{name}", f"{name} encoder, flow-guided pre-training, then fine-tuned", name, True)
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
