"""Protocol files: what they say, what is refused, and where."""

import pytest

from archflow.benchmark import read_protocol, shipped_protocols
from archflow.benchmark.protocol_file import protocol_path
from archflow.datasets import PROTOCOL_SEEDS
from archflow.encoders import EncoderConfig
from archflow.errors import UnknownNameError, UsageError
from archflow.predictors import FineTuneConfig
from archflow.pretrain import PretrainConfig

METHODS = "  - random\n  - {encoder: gin, pretext: [none, flow+proxy]}\n"


@pytest.fixture
def read(protocol_file):
    return lambda *replacements: read_protocol(protocol_file(*replacements))


@pytest.fixture
def methods(read):
    """Read the tiny protocol with these methods in place of its own."""

    def build(*lines):
        text = "".join(f"  - {line}\n" for line in lines)
        quick = ("quick: {labels: [1%], permutations: [21]}\n", "")
        return read((METHODS, text), quick).methods

    return build


@pytest.fixture
def refused(protocol_file):
    """Read a protocol that must be refused, with its path and a line number in the message."""

    def check(*replacements, line, parts):
        path = protocol_file(*replacements)
        with pytest.raises(UsageError) as error:
            read_protocol(path)
        message = str(error.value)
        assert message.startswith(f"{path}: line {line}: ")
        assert "\n" not in message
        assert len(message) < 600
        for part in parts:
            assert part in message

    return check


def test_what_it_says_is_read(read):
    protocol = read()
    assert protocol.name == "tiny"
    assert list(protocol.spaces) == ["digits"]
    entry = protocol.spaces["digits"]
    assert (entry.space, entry.table, entry.target, entry.minimize) == (
        "nasbench201",
        "digits",
        "valid_acc",
        False,
    )
    assert (protocol.labels, protocol.permutations, protocol.model_seeds) == (["1%", "30"], [21, 2021], [21])
    assert protocol.validation == 40
    assert list(protocol.methods) == ["random", "gin", "gin + flow+proxy"]
    quick = protocol.quick
    assert (quick.labels, quick.permutations, quick.methods) == (["1%"], [21], None)


def test_what_it_leaves_out_is_as_published(read):
    protocol = read(("permutations: [21, 2021]\nmodel_seeds: [21]\n", ""), ("], permutations: [21]}", "]}"))
    assert protocol.permutations == protocol.model_seeds == list(PROTOCOL_SEEDS)


def test_every_default_is_filled_in(read):
    settings = read(("sizes: {width: 8, layers: 1}\n", ""), ("{epochs: 2}", "{learning_rate: 0.5}")).methods
    plain, pretrained = settings["gin"]["digits"], settings["gin + flow+proxy"]["digits"]
    assert EncoderConfig(**plain["encoder"]) == EncoderConfig.default("gin")
    assert plain["pretraining"] is None
    expected = PretrainConfig.for_space("nasbench201", "gin")
    assert pretrained["pretraining"]["training"]["epochs"] == expected.training.epochs
    assert pretrained["pretraining"]["training"]["learning_rate"] == 0.5
    default = FineTuneConfig.default("gin", pretrained=True)
    assert pretrained["fine_tuning"]["margin"] == default.margin
    assert pretrained["fine_tuning"]["training"]["epochs"] == default.training.epochs


def test_the_more_special_setting_wins(read):
    lines = ("encoders: {gin: {form: pruned, fine_tuning: {epochs: 3}}}\nmethods:", "methods:")
    both = read(lines[::-1]).methods["gin"]["digits"]
    assert (both["form"], both["fine_tuning"]["training"]["epochs"], both["encoder"]["width"]) == (
        "pruned",
        3,
        8,
    )
    table = "valid_acc, fine_tuning: {epochs: 4}}"
    space = read(("valid_acc}", table)).methods["gin"]["digits"]
    assert space["fine_tuning"]["training"]["epochs"] == 4
    own = read(lines[::-1], ("pretext: [", "fine_tuning: {epochs: 5}, name: x, pretext: ["), ("none, ", ""))
    assert own.methods["x"]["digits"]["fine_tuning"]["training"]["epochs"] == 5
    assert own.methods["x"]["digits"]["form"] == "pruned"


def test_settings_of_an_encoder_are_for_no_other(read):
    added = "encoders: {gated_gcn: {fine_tuning: {epochs: 3}}}\nmethods:"
    assert read(("methods:", added)).methods["gin"]["digits"]["fine_tuning"]["training"]["epochs"] == 2


def test_lists_expand_to_all_combinations(methods):
    lists = "encoder: [gin, gated_gcn], pretext: [none, flow, proxy], form: [pruned, collapsed]"
    assert list(methods(f"{{{lists}}}")) == [
        f"{encoder}{pretext}, {form}"
        for encoder in ("gin", "gated_gcn")
        for pretext in ("", " + flow", " + proxy")
        for form in ("pruned", "collapsed")
    ]


def test_names_say_what_a_method_sets_itself(methods):
    lines = ("gin", "{encoder: gin, pretext: none, fine_tuning: {epochs: 9, gradient_norm: none}}")
    assert list(methods(*lines)) == ["gin", "gin, epochs 9, gradient_norm none"]


def test_overlapping_lists_count_once(methods):
    pretexts, forms = "pretext: [none, flow]", "pretext: flow, form: [pruned, collapsed]"
    assert list(methods(f"{{encoder: gin, {pretexts}}}", f"{{encoder: gin, {forms}}}")) == [
        "gin",
        "gin + flow",
        "gin + flow, pruned",
    ]


def test_registered_methods_may_stand_by_their_name(methods):
    assert list(methods("onehot-rf", "gin", "fgp-gin")) == ["onehot-rf", "gin", "gin + flow+proxy"]
    assert methods("onehot-rf")["onehot-rf"]["digits"]["method"] == "onehot-rf"


def test_a_method_may_be_for_some_tables(read):
    tables = "  other: {space: nasbench201, table: t.csv, target: acc}\nlabels"
    protocol = read(("labels: [1%, 30]", f"{tables}: [1%, 30]"), ("pretext: [", "spaces: other, pretext: ["))
    assert list(protocol.methods["gin"]) == ["other"]
    assert list(protocol.methods["random"]) == ["digits", "other"]


def test_a_proxy_and_a_direction(read):
    extra = "valid_acc, minimize: true, proxy: {table: p.csv, column: nwot}}"
    entry = read(("valid_acc}", extra)).spaces["digits"]
    assert (entry.minimize, entry.proxy_table, entry.proxy_column) == (True, "p.csv", "nwot")


def test_a_space_file_beside_the_protocol(read, tmp_path):
    space = "name: mine\noperations: {a: parametric, b: plain}\nchain: [{choices: [a, b], repeat: 3}]\n"
    (tmp_path / "mine.yaml").write_text(space)
    protocol = read(("space: nasbench201, table: digits", "space: mine.yaml, table: t.csv"))
    assert protocol.spaces["digits"].space == "mine.yaml"


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("name: tiny", "nam: tiny", 2, ["unknown key 'nam'", "Did you mean 'name'?"]),
        ("name: tiny", "name: []", 2, ["name must be text"]),
        ("name: tiny\n", "", 2, ["has no name"]),
        ("space: nasbench201", "space: nasbench202", 4, ["unknown space 'nasbench202'"]),
        ("space: nasbench201", "space: missing.yaml", 4, ["missing.yaml", "no such file"]),
        ("valid_acc}", "valid_acc, minimise: true}", 4, ["unknown key 'minimise'"]),
        ("valid_acc}", "valid_acc, minimize: yes}", 4, ["minimize must be true or false, not 'yes'"]),
        ("table: digits", "table: ../t.csv", 4, ["table must be a file name", "'../t.csv'"]),
        ("table: digits", "table: /etc/passwd", 4, ["table must be a file name"]),
        ("table: digits", "table: 'C:\\t.csv'", 4, ["table must be a file name"]),
        ("valid_acc}", "valid_acc, proxy: {table: p.csv}}", 4, ["proxy has no column"]),
        ("labels: [1%, 30]", "labels: [1%, 1.0%]", 5, ["labels has 1% twice"]),
        ("labels: [1%, 30]", "labels: [0%, 30]", 5, ["labels are a share such as 1%", "'0%'"]),
        ("labels: [1%, 30]", "labels: [1%, 101%]", 5, ["'101%'"]),
        ("labels: [1%, 30]", "labels: [1%, -3]", 5, ["'-3'"]),
        ("labels: [1%, 30]", "labels: [1%, 0]", 5, ["'0'"]),
        ("permutations: [21,", "permutations: [x,", 6, ["permutations must be a whole number, not 'x'"]),
        ("model_seeds: [21]", "model_seeds: [9999999999]", 7, ["model_seeds"]),
        ("model_seeds: [21]", "validation: 3\nmodel_seeds: [21]", 7, ["validation must be 0 or at least 4"]),
        ("{width: 8,", "{widht: 8,", 8, ["unknown key 'widht'"]),
        ("{width: 8,", "{width: 0,", 8, ["width"]),
        ("{width: 8,", "{dropout: 1.5,", 8, ["dropout"]),
        ("pretraining: {epochs: 2}", "pretraining: {epoch: 2}", 9, ["unknown key 'epoch'"]),
        ("pretraining: {epochs: 2}", "pretraining: {seed: 2}", 9, ["unknown key 'seed'"]),
        ("pretraining: {epochs: 2}", "pretraining: {standardize: 1}", 9, ["must be true or false"]),
        ("pretraining: {epochs: 2}", "pretraining: {surrogate: {std: -1}}", 9, ["std"]),
        ("pretraining: {epochs: 2}", "pretraining: {surrogate: {k: 1}}", 9, ["unknown key 'k'"]),
        ("fine_tuning: {epochs: 2}", "fine_tuning: {epochs: few}", 10, ["epochs must be a whole number"]),
        ("fine_tuning: {epochs: 2}", "fine_tuning: {margin: -1}", 10, ["margin"]),
        ("fine_tuning: {epochs: 2}", "fine_tuning: {margin: inf}", 10, ["margin must be a decimal number"]),
        ("fine_tuning: {epochs: 2}", "fine_tuning: {schedule: cosin}", 10, ["schedule", "cosine"]),
        ("fine_tuning: {epochs: 2}", "form: flat", 10, ["unknown form 'flat'", "collapsed"]),
        ("fine_tuning: {epochs: 2}", "encoders: {gni: {form: pruned}}", 10, ["unknown encoder 'gni'", "gin"]),
        ("- random", "- randon", 12, ["unknown method 'randon'", "random"]),
        ("encoder: gin", "encoder: gni", 13, ["unknown encoder 'gni'", "gin"]),
        ("encoder: gin, ", "", 13, ["has no encoder"]),
        ("flow+proxy]", "flow+proxi]", 13, ["unknown objective 'proxi'", "proxy"]),
        ("flow+proxy]", "flow+flow]", 13, ["flow"]),
        ("flow+proxy]", "none]", 13, ["pretext has none twice"]),
        ("{encoder: gin,", "{encoder: gin, spaces: digit,", 13, ["unknown table 'digit'", "digits"]),
        ("{encoder: gin,", "{encoder: gin, name: x,", 13, ["one name for 2 methods"]),
        ("quick: {labels: [1%]", "quick: {labels: [2%]", 14, ["unknown labels '2%'", "1%"]),
        ("quick: {labels: [1%]", "quick: {epochs: [1%]", 14, ["unknown key 'epochs'"]),
        ("quick: {labels: [1%]", "quick: {methods: [gni]", 14, ["unknown methods 'gni'"]),
        ("name: tiny", "name: &a tiny", 2, ["anchor &a"]),
        ("name: tiny", "name: !!python/object:os.system tiny", 2, ["tag"]),
        ("- random", "- *a", 12, ["alias *a"]),
        ("name: tiny", "name: tiny\nname: tony", 3, ["key 'name' is given twice"]),
    ],
)
def test_what_is_wrong_is_named_by_its_line(refused, old, new, line, parts):
    refused((old, new), line=line, parts=parts)


def test_two_methods_of_one_name(refused):
    refused(
        ("  - random", "  - {encoder: gin, pretext: none, name: random}\n  - random"),
        line=13,
        parts=["there is a method 'random' with other settings"],
    )


def test_a_second_name_for_the_same_settings(refused):
    refused(
        ("quick:", "  - {encoder: gin, pretext: none, name: other}\nquick:"),
        line=14,
        parts=["method 'other' has the settings of 'gin'"],
    )


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"missing.yaml: there is no such file"):
        read_protocol(tmp_path / "missing.yaml")


def test_shipped_protocols_are_found_by_name():
    shipped = shipped_protocols()
    assert "paper" in shipped
    assert protocol_path("paper") == shipped["paper"]
    with pytest.raises(UnknownNameError, match=r"'papre'; choose from: .*paper.*Did you mean 'paper'"):
        protocol_path("papre")


@pytest.mark.parametrize("name", shipped_protocols())
def test_what_ships_has_a_quick_part(name):
    protocol = read_protocol(shipped_protocols()[name])
    assert protocol.name == name
    runs = list(protocol.combinations())
    quick = list(protocol.quick.of(protocol).combinations())
    assert set(quick) < set(runs)
    assert len({method for _, _, method, _, _ in quick}) > 1


def test_the_papers_protocol():
    protocol = read_protocol(shipped_protocols()["paper"])
    assert protocol.labels == ["1%", "5%", "10%", "50%"]
    assert protocol.permutations == protocol.model_seeds == list(PROTOCOL_SEEDS)
    assert protocol.validation == 40
    for table, width, epochs, surrogate in (
        ("nasbench201", 128, 500, (7, 0.1)),
        ("nasbench101", 256, 200, (4, 1.0)),
    ):
        for encoder in ("gin", "gated_gcn"):
            fgp = protocol.methods[f"{encoder} + flow+proxy"][table]
            pretraining = fgp["pretraining"]
            assert (fgp["encoder"]["width"], fgp["encoder"]["layers"]) == (width, 3)
            assert pretraining["objectives"] == {"flow": 0.5, "proxy": 0.5}
            assert not pretraining["standardize"]
            assert (pretraining["surrogate"]["width"], pretraining["surrogate"]["std"]) == surrogate
            assert pretraining["training"]["batch_size"] == 256
            for settings in (fgp, protocol.methods[encoder][table]):
                tuning = settings["fine_tuning"]
                assert (tuning["margin"], tuning["training"]["epochs"]) == (0.5, epochs)
                assert (tuning["training"]["batch_size"], tuning["training"]["learning_rate"]) == (16, 1e-3)
        flowerformer = protocol.methods["flowerformer + flow+proxy"][table]
        assert (flowerformer["encoder"]["width"], flowerformer["encoder"]["layers"]) == (64, 9)
        assert flowerformer["fine_tuning"]["training"]["schedule"] == "cosine"
        assert flowerformer["pretraining"]["training"]["batch_size"] == 1024
    for other in ("none", "proxy", "flow"):
        assert ("gated_gcn" if other == "none" else f"gated_gcn + {other}") in protocol.methods
