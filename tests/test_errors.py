"""The family of errors: one base, the built-ins a caller expects, and names that suggest the nearest."""

import inspect
import pickle

import pytest

from archflow import errors

FAMILY = {
    errors.InvalidArchitectureError: ValueError,
    errors.TableError: ValueError,
    errors.CheckpointError: ValueError,
    errors.UnknownNameError: KeyError,
    errors.UsageError: ValueError,
    errors.OutputExistsError: FileExistsError,
}


def test_the_family_is_whole():
    classes = {value for value in vars(errors).values() if inspect.isclass(value)}
    assert {kind for kind in classes if issubclass(kind, Exception)} == {errors.ArchflowError, *FAMILY}


@pytest.mark.parametrize(("kind", "builtin"), FAMILY.items())
def test_each_is_ours_and_a_built_in(kind, builtin):
    message = "row 3: 'spam' is no number"
    for caught in (errors.ArchflowError, builtin):
        with pytest.raises(caught) as error:
            raise kind(message)
        assert str(error.value) == message


@pytest.mark.parametrize("kind", [errors.ArchflowError, *FAMILY])
def test_errors_cross_processes(kind):
    again = pickle.loads(pickle.dumps(kind("what and why")))
    assert type(again) is kind
    assert str(again) == "what and why"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ginn", "unknown encoder 'ginn'; choose from: flower, gated, gin. Did you mean 'gin'?"),
        ("gate", "unknown encoder 'gate'; choose from: flower, gated, gin. Did you mean 'gated'?"),
        ("xyz", "unknown encoder 'xyz'; choose from: flower, gated, gin."),
        ("", "unknown encoder ''; choose from: flower, gated, gin."),
    ],
)
def test_unknown_names_list_the_choices_and_suggest_the_nearest(name, message):
    error = errors.unknown_name("encoder", name, ["gin", "gated", "flower"])
    assert isinstance(error, errors.UnknownNameError)
    assert str(error) == message


def test_choices_may_be_any_iterable():
    assert "choose from: a, b." in str(errors.unknown_name("letter", "c", {"b": 1, "a": 2}))
    assert "choose from: a, b." in str(errors.unknown_name("letter", "c", iter("ba")))
