"""The plan of a benchmark: which runs there are, what they are called and which encoders they share."""

import pytest

from archflow.benchmark import read_protocol
from archflow.benchmark.jobs import plan, run_id

DATA = {"digits": {"rows": 1200, "table": "a" * 64, "graphs": "b" * 64, "proxy": None}}


@pytest.fixture
def planned(protocol_file):
    def build(*replacements, data=DATA):
        return plan(read_protocol(protocol_file(*replacements)), data)

    return build


def test_every_combination_is_a_run_of_its_own(planned):
    runs = planned()
    assert len(runs) == len({run.id for run in runs}) == 12
    assert [run.config["method"] for run in runs[:3]] == ["random", "gin", "gin + flow+proxy"]
    assert runs[0].id.startswith("digits-1percent-random-m21-p21-")
    assert {(run.config["labels"], run.config["labelled"]) for run in runs} == {("1%", 6), ("30", 30)}
    assert all(run.id == run_id(run.config, run.seeds, run.data_digest) for run in runs)
    assert all(set(run.id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-+._") for run in runs)


def test_pretraining_is_shared_by_labels_and_permutations(planned):
    runs = planned()
    encoders = {run.encoder for run in runs if run.encoder}
    assert len(encoders) == 1
    (encoder,) = encoders
    assert encoder.runs == 4
    assert encoder.settings["seed"] == 21
    for run in runs:
        assert (run.encoder is not None) == (run.config["method"] == "gin + flow+proxy")
        assert (run.config["pretrained_on"] is not None) == (run.encoder is not None)


@pytest.mark.parametrize(
    ("change", "encoders"),
    [
        (("model_seeds: [21]", "model_seeds: [21, 5]"), 2),
        (("flow+proxy]", "flow+proxy, flow]"), 2),
        (("flow+proxy]}", "flow+proxy], form: [pruned, collapsed]}"), 2),
        (("encoder: gin", "encoder: [gin, gated_gcn]"), 2),
        (("permutations: [21, 2021]", "permutations: [21, 2021, 202121]"), 1),
        (("labels: [1%, 30]", "labels: [1%, 30, 40]"), 1),
    ],
)
def test_what_an_encoder_depends_on(planned, change, encoders):
    assert len({run.encoder.id for run in planned(change) if run.encoder}) == encoders


def test_tables_of_the_same_graphs_share_an_encoder(planned):
    other = "  other: {space: nasbench201, table: digits, target: parameters}\n"
    twice = ("labels: [1%, 30]", f"{other}labels: [1%, 30]")
    same = {"digits": DATA["digits"], "other": {**DATA["digits"], "table": "c" * 64}}
    assert len({run.encoder.id for run in planned(twice, data=same) if run.encoder}) == 1
    apart = {**same, "other": {**DATA["digits"], "proxy": "d" * 64}}
    assert len({run.encoder.id for run in planned(twice, data=apart) if run.encoder}) == 2


def test_other_settings_or_data_are_other_runs(planned):
    before = {run.id for run in planned()}
    fresh = {run.id for run in planned(("fine_tuning: {epochs: 2}", "fine_tuning: {epochs: 3}"))}
    assert len(before & fresh) == 4  # those of random, which is not fine-tuned
    other = {"digits": {**DATA["digits"], "table": "e" * 64}}
    assert before.isdisjoint({run.id for run in planned(data=other)})


def test_names_that_look_alike_stay_apart(planned):
    spaced, slashed = (f"  - {{encoder: gin, pretext: proxy, name: {n}}}\n" for n in ("a b", "a/b"))
    slashed = slashed.replace("proxy", "flow")
    runs = planned(("  - random\n", spaced + slashed))
    assert len({run.id for run in runs}) == len(runs)
