"""A folder of ONNX files as a space: it keeps the contract of spaces, and lets nothing in from outside."""

import json
import shutil

import numpy as np
import onnx
import pytest

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.importers import ATTRIBUTES, OnnxFolder, vocabulary
from archflow.testing import check_space
from importers.onnx_graphs import model, node

RNG = np.random.default_rng


def network(width, *kinds):
    """Return a convolution of some channels and operators behind it."""
    nodes, last = [node("Conv", "x w", "v0")], "v0"
    for place, kind in enumerate(kinds):
        last = f"v{place + 1}"
        domain = {"domain": "own"} if kind == "Twist" else {}
        nodes.append(node(kind, f"v{place}", last, **domain))
    return model(nodes, outputs=last, weights={"w": (width, 3, 3, 3)}, domains=["own"])


FILES = {
    "a.onnx": network(4, "Relu"),
    "b.onnx": network(8, "Relu"),
    "sub/deep er/c.onnx": network(4, "Tanh", "Relu"),
    "sub/d.onnx": network(4, "Twist"),
    "z.onnx": network(4, "Relu"),  # the same as a
}


@pytest.fixture
def folder(tmp_path):
    for name, proto in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(proto, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no network")
    return tmp_path


def test_the_contract_of_spaces(folder):
    """But for mutation, which is refused; another file stands in for it here."""

    class Drawing(OnnxFolder):
        def mutate(self, architecture, rng):
            others = [other for other in self.all() if other != architecture]
            return others[rng.integers(len(others))]

    (folder / "z.onnx").unlink()
    check_space(Drawing(folder), samples=4)


def test_names_order_and_vocabulary(folder):
    space = OnnxFolder(folder)
    assert space.name == "onnx"
    assert space.names == ("a.onnx", "b.onnx", "sub/d.onnx", "sub/deep er/c.onnx", "z.onnx")
    assert space.size == len(space.all()) == 5
    assert space.operations == vocabulary(["own.Twist"])
    assert [architecture.operations[1:-1] for architecture in space.all()] == [
        ("conv", "relu"),
        ("conv", "relu"),
        ("conv", "own.Twist"),
        ("conv", "tanh", "relu"),
        ("conv", "relu"),
    ]
    assert list(space.all()) == [space.parse(name) for name in space.names]
    assert space.bad == {}


def test_equal_networks_go_by_their_first_file(folder):
    space = OnnxFolder(folder)
    assert space.parse("a.onnx") == space.parse("z.onnx") != space.parse("b.onnx")
    assert space.format(space.parse("z.onnx")) == "a.onnx"
    with pytest.raises(InvalidArchitectureError, match="no file in"):
        space.format(Architecture(("input", "conv", "output"), ((0, 1), (1, 2))))
    with pytest.raises(UsageError, match="hold 4 different"):
        space.sample(5, RNG(0))
    assert sorted(map(space.format, space.sample(4, RNG(0)))) == sorted(space.names[:4])


def test_files_are_read_once(folder):
    space = OnnxFolder(folder)
    before = space.parse("a.onnx")
    shutil.rmtree(folder / "sub")
    (folder / "a.onnx").write_bytes(b"")
    assert space.parse("a.onnx") is before
    with pytest.raises(InvalidArchitectureError, match=r"'sub/d\.onnx' is no file"):
        space.all()


def test_only_the_files_that_are_asked_for_are_read(folder):
    (folder / "b.onnx").write_bytes(b"")
    space = OnnxFolder(folder)
    assert space.parse("a.onnx").n_nodes == 4
    assert space.size == 5


def test_names_may_be_chosen(folder):
    space = OnnxFolder(folder, names=["z.onnx", "sub/d.onnx", "z.onnx"])
    assert space.names == ("z.onnx", "sub/d.onnx")
    assert space.size == len(space.all()) == 2
    with pytest.raises(InvalidArchitectureError, match="not among the files"):
        space.parse("a.onnx")


def test_the_report_of_a_file(folder):
    network = OnnxFolder(folder).network("sub/d.onnx")
    assert network.report.unknown == {"own.Twist": 1}
    assert network.report.parameters == 108


def test_progress_is_reported(folder):
    seen = []
    OnnxFolder(folder, report=lambda done, total, remark="": seen.append((done, total))).all()
    assert seen == [(done, 5) for done in range(6)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no file name"),
        ("a.txt", "no file name"),
        ("a", "no file name"),
        ("a.onnx\0.onnx", "no file name"),
        ("a\n.onnx", "no file name"),
        ("\ud800.onnx", "no file name"),
        ("/a.onnx", "no plain name"),
        ("../a.onnx", "no plain name"),
        ("sub/../a.onnx", "no plain name"),
        ("./a.onnx", "no plain name"),
        ("sub//d.onnx", "no plain name"),
        ("sub\\d.onnx", "no plain name"),
        ("missing.onnx", "is no file in"),
        ("sub/missing.onnx", "is no file in"),
        ("x" * 100_000 + ".onnx", "is no file in"),
        ("out/e.onnx", "through a link"),
        ("out.onnx", "through a link"),
        ("loop.onnx", "is no file in"),
        ("folder.onnx", "is no file in"),
        ("late.onnx", "not among the files"),
    ],
)
def test_names_of_no_file_are_refused(folder, tmp_path_factory, text, rule):
    outside = tmp_path_factory.mktemp("outside")
    onnx.save(FILES["a.onnx"], outside / "e.onnx")
    (folder / "folder.onnx").mkdir()
    space = OnnxFolder(folder)
    (folder / "out").symlink_to(outside)
    (folder / "out.onnx").symlink_to(outside / "e.onnx")
    (folder / "loop.onnx").symlink_to(folder / "loop.onnx")
    onnx.save(FILES["a.onnx"], folder / "late.onnx")
    with pytest.raises(InvalidArchitectureError, match=rule) as caught:
        space.parse(text)
    assert len(str(caught.value)) < 500
    assert space.bad == {}


def test_links_inside_of_the_folder_are_files(folder):
    (folder / "link.onnx").symlink_to(folder / "sub" / "d.onnx")
    assert OnnxFolder(folder).parse("link.onnx") == OnnxFolder(folder).parse("sub/d.onnx")


def spoil(folder, tmp_path_factory):
    """Add a file that is damaged, one that leads outside, and one whose name has spaces around it."""
    outside = tmp_path_factory.mktemp("outside")
    onnx.save(FILES["a.onnx"], outside / "e.onnx")
    (folder / "damaged.onnx").write_bytes(b"\xff")
    (folder / "outside.onnx").symlink_to(outside / "e.onnx")
    onnx.save(FILES["a.onnx"], folder / " spaced.onnx")


def test_bad_files_are_named(folder, tmp_path_factory):
    spoil(folder, tmp_path_factory)
    space = OnnxFolder(folder)
    for call in (
        space.all,
        lambda: space.operations,
        lambda: space.format(FILES),
        lambda: space.sample(1, RNG(0)),
    ):
        with pytest.raises(InvalidArchitectureError, match=r"spaced\.onnx"):
            call()
    assert space.size == 8
    with pytest.raises(InvalidArchitectureError, match=r"damaged\.onnx: no ONNX model"):
        space.parse("damaged.onnx")


def test_bad_files_are_skipped_and_listed(folder, tmp_path_factory):
    spoil(folder, tmp_path_factory)
    space = OnnxFolder(folder, skip_bad=True)
    assert space.size == len(space.all()) == 5
    assert list(space.bad) == [" spaced.onnx", "damaged.onnx", "outside.onnx"]
    assert "through a link" in space.bad["outside.onnx"]
    with pytest.raises(InvalidArchitectureError, match="damaged"):
        space.parse("damaged.onnx")


def test_a_folder_of_bad_files_alone(tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"\xff")
    space = OnnxFolder(tmp_path, skip_bad=True, attributes=[])
    assert space.size == len(space.all()) == 0
    assert space.operations == vocabulary(attributes=[])
    assert space.parameters(space.all()).tolist() == []
    with pytest.raises(UsageError, match="hold 0 different"):
        space.sample(1, RNG(0))


def test_a_vocabulary_can_be_imposed(folder):
    operations = vocabulary(attributes=["channels"])
    space = OnnxFolder(folder, operations=operations, skip_bad=True)
    assert space.operations is operations
    assert dict(space.parse("a.onnx").attributes).keys() == {"channels"}
    with pytest.raises(
        InvalidArchitectureError, match=r"'sub/d\.onnx', node 2: unknown operation 'own\.Twist'"
    ):
        space.parse("sub/d.onnx")
    assert space.all().operations == operations
    assert space.size == 4
    again = Operations.from_json(json.loads(json.dumps(OnnxFolder(folder).operations.to_json())))
    assert OnnxFolder(folder, operations=again).size == 5


def test_chains_can_be_fused(folder):
    space = OnnxFolder(folder, fuse=True)
    assert space.parse("a.onnx").operations == ("input", "conv_relu", "output")
    assert space.operations == vocabulary(["own.Twist"], fuse=True)
    assert space.all().operations == space.operations


@pytest.mark.parametrize("attributes", [ATTRIBUTES, ["parameters"], ["kernel", "channels"]])
def test_parameters_do_not_need_their_attribute(folder, attributes):
    space = OnnxFolder(folder, attributes=attributes)
    assert space.parameters(space.all()).tolist() == [108, 216, 108, 108, 108]
    assert space.parameters(space.all()[[3, 1]]).tolist() == [108, 216]
    assert space.operations.attributes == tuple(sorted(attributes))
    foreign = ArchitectureTable.of([Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))])
    if "parameters" not in attributes:
        with pytest.raises(InvalidArchitectureError, match="row 0: no file"):
            space.parameters(foreign)


def test_what_cannot_be_done_is_said(folder, tmp_path):
    space = OnnxFolder(folder)
    with pytest.raises(UsageError, match="cannot be changed"):
        space.mutate(space.parse("a.onnx"), RNG(0))
    with pytest.raises(UsageError, match="no such folder"):
        OnnxFolder(folder / "none")
    with pytest.raises(UsageError, match="no such folder"):
        OnnxFolder(folder / "a.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no file in it ends with \.onnx"):
        OnnxFolder(tmp_path / "empty")
    with pytest.raises(UsageError, match="no file"):
        OnnxFolder(folder, names=[])
    with pytest.raises(UnknownNameError, match="channels"):
        OnnxFolder(folder, attributes=["chanels"])
    with pytest.raises(UsageError):
        space.sample(-1, RNG(0))
