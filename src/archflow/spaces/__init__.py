"""Search spaces, one file each, and their one registry."""

from __future__ import annotations

from archflow.errors import unknown_name
from archflow.protocols import Space
from archflow.spaces.darts import DARTS
from archflow.spaces.declared import Declared, choices
from archflow.spaces.enas import ENAS
from archflow.spaces.fbnet import FBNet
from archflow.spaces.free import Free
from archflow.spaces.gpt import GPT
from archflow.spaces.mnasnet import MnasNet
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201
from archflow.spaces.nasbench_asr import NASBenchASR
from archflow.spaces.nasbench_graph import NASBenchGraph
from archflow.spaces.nasbench_macro import NASBenchMacro
from archflow.spaces.nasbench_nlp import NASBenchNLP
from archflow.spaces.nats_size import NATSSize
from archflow.spaces.space_file import SUFFIXES as _FILE_SUFFIXES
from archflow.spaces.space_file import from_yaml
from archflow.spaces.template import Choice
from archflow.spaces.transnas_macro import TransNASMacro
from archflow.spaces.transnas_micro import TransNASMicro

_ALL: tuple[type[Space], ...] = (
    NASBench201,
    NASBench101,
    DARTS,
    ENAS,
    NASBenchGraph,
    NASBenchMacro,
    NASBenchASR,
    NASBenchNLP,
    TransNASMicro,
    TransNASMacro,
    NATSSize,
    MnasNet,
    FBNet,
    GPT,
    Free,
)

# str, because a type checker takes the name of a class for the property of the protocol.
SPACES: dict[str, type[Space]] = {str(space.name): space for space in _ALL}
"""Every search space by name."""


def get(name: str) -> Space:
    """Return a search space.

    Args:
        name: A name in `SPACES`, or the path of a file that declares a space and ends in .yaml or .yml.

    Raises:
        UnknownNameError: There is none of that name; lists the choices and suggests the nearest.
        UsageError: The file is missing or declares no space.
    """
    if name.lower().endswith(_FILE_SUFFIXES):
        return from_yaml(name)
    try:
        return SPACES[name]()
    except KeyError:
        raise unknown_name("space", name, SPACES) from None


__all__ = [
    "DARTS",
    "ENAS",
    "GPT",
    "SPACES",
    "Choice",
    "Declared",
    "FBNet",
    "Free",
    "MnasNet",
    "NASBench101",
    "NASBench201",
    "NASBenchASR",
    "NASBenchGraph",
    "NASBenchMacro",
    "NASBenchNLP",
    "NATSSize",
    "TransNASMacro",
    "TransNASMicro",
    "choices",
    "from_yaml",
    "get",
]
