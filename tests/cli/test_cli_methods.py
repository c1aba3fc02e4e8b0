"""`archflow methods`."""

import json

from archflow.predictors import METHODS


def test_every_method_is_listed_with_what_it_is(run):
    lines = run("methods").out.splitlines()
    assert lines[0] == "method\tdescription"
    assert dict(line.split("\t") for line in lines[1:]) == {
        name: method.description for name, method in METHODS.items()
    }


def test_json_alone_on_stdout(run):
    outcome = run("methods", "--json", "-")
    assert [row["method"] for row in json.loads(outcome.out)["methods"]] == list(METHODS)
    assert outcome.err == ""
