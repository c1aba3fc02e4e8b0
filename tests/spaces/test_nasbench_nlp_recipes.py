"""Recipes: rules, the order of the flow, gaps in the numbers, random recipes and neighbours."""

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError
from archflow.spaces.nasbench_nlp_recipes import (
    ARITIES,
    EXAMPLES,
    MAX_NUMBER,
    draw_recipe,
    in_order,
    mutate_recipe,
    recipe_of,
    with_gaps,
)


def fields_of(recipe):
    return {name: {"op": op, "input": list(inputs)} for name, (op, inputs) in recipe.items()}


def chain(numbers):
    """A chain of linear nodes with these numbers, each of which also reads x."""
    recipe, last = {}, "h_prev_0"
    for number in numbers:
        recipe[f"node_{number}"] = ("linear", ("x", last))
        last = f"node_{number}"
    return recipe | {"h_new_0": ("activation_tanh", (last,))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_published_examples_keep_the_rules(name):
    recipe = EXAMPLES[name]
    assert recipe_of(fields_of(recipe)) == recipe
    assert in_order(recipe) == list(recipe)


def test_nodes_flow_by_number_and_states_as_they_are_needed():
    recipe = {
        "node_7": ("linear", ("h_new_1", "x")),
        "h_new_0": ("activation_tanh", ("node_7",)),
        "h_new_1": ("activation_sigm", ("node_2",)),
        "node_2": ("linear", ("x", "h_prev_0")),
    }
    order = in_order(recipe)
    assert order == ["node_2", "h_new_1", "node_7", "h_new_0"]
    assert list(with_gaps(order)) == [None, None, "node_2", "h_new_1", *[None] * 4, "node_7", "h_new_0"]


@pytest.mark.parametrize("numbers", [(3, 1), ("a", 1), (1, MAX_NUMBER + 1), ("01", 2)])
def test_names_that_are_no_ascending_numbers_leave_no_gaps(numbers):
    order = in_order(chain(numbers))
    assert order == [*(f"node_{number}" for number in numbers), "h_new_0"]
    assert list(with_gaps(order)) == order


def test_a_cycle_is_named():
    recipe = chain([0, 1])
    recipe["node_0"] = ("linear", ("x", "node_1"))
    with pytest.raises(
        InvalidArchitectureError, match="node 'node_0' lies on a cycle; only the states of the"
    ):
        in_order(recipe)


def test_a_long_chain_is_read_and_a_longer_one_refused():
    recipe = chain(range(MAX_NUMBER + 1))
    assert len(in_order(recipe_of(fields_of(recipe)))) == MAX_NUMBER + 2
    with pytest.raises(
        InvalidArchitectureError, match="101 nodes beside the states; this space has at most 100"
    ):
        recipe_of(fields_of(chain(range(MAX_NUMBER + 2))))


def assert_published(recipe):
    """Check what the published generator promises of a recipe."""
    assert recipe_of(fields_of(recipe)) == recipe
    states = [name for name in recipe if name.startswith("h_new")]
    read = {source for _, inputs in recipe.values() for source in inputs}
    assert read >= {"x", *(f"h_prev_{state}" for state in range(len(states)))}
    assert read >= set(recipe) - set(states), "a node leads nowhere"
    for state in states:
        assert not any(source.startswith("h_prev") for source in recipe[state][1])


def test_drawn_recipes_are_like_the_published_ones():
    rng = np.random.default_rng(0)
    recipes = [draw_recipe(rng) for _ in range(600)]
    for recipe in recipes:
        assert_published(recipe)
    states = np.array([sum(name.startswith("h_new") for name in recipe) for recipe in recipes])
    assert set(states.tolist()) == {1, 2, 3}
    assert np.abs(np.bincount(states)[1:] - 200).max() < 70  # six standard deviations
    operations = {operation for recipe in recipes for operation, _ in recipe.values()}
    assert operations == set(ARITIES)
    numbers = [int(name[5:]) for recipe in recipes for name in recipe if name.startswith("node")]
    assert 20 < max(numbers) <= 24
    arities = [
        len(inputs) for recipe in recipes for operation, inputs in recipe.values() if operation == "linear"
    ]
    assert 0.1 < arities.count(3) / len(arities) < 0.3  # one in five, or two where there are no three to read


def test_mutations_stay_published_and_grow_and_shrink():
    rng = np.random.default_rng(0)
    recipe, sizes = draw_recipe(rng), []
    for _ in range(300):
        changed = mutate_recipe(recipe, rng)
        assert changed != recipe
        sizes.append(len(changed) - len(recipe))
        renamed = {
            name: f"node_{place}" for place, name in enumerate(in_order(changed)) if "h_new" not in name
        }
        recipe = {
            renamed.get(name, name): (operation, tuple(renamed.get(source, source) for source in inputs))
            for name, (operation, inputs) in changed.items()
        }
        assert_published(recipe)
    assert min(sizes) < 0 < max(sizes)


def test_a_mutation_drops_what_leads_nowhere():
    recipe = chain([0, 1]) | {"node_5": ("activation_tanh", ("node_0",))}
    assert "node_5" not in mutate_recipe(recipe, np.random.default_rng(0))


def test_a_recipe_that_breaks_a_published_rule_has_neighbours():
    recipe = {"h_new_0": ("linear", ("x", "h_prev_0"))}
    rng = np.random.default_rng(0)
    assert len({str(mutate_recipe(recipe, rng)) for _ in range(20)}) > 3
