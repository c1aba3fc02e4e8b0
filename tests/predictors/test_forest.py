"""The forest: a few trees of scikit-learn on the features it is given, in blocks."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestRegressor

from archflow.predictors import forest as module
from archflow.predictors.features import operation_counts
from archflow.predictors.forest import Forest
from archflow.predictors.labels import Labels


def counts(table):
    return csr_array(operation_counts(table).astype(np.float32))


@pytest.fixture(scope="module")
def fitted(table, values):
    return Forest(Labels(table, values), 3, counts)


def test_it_is_the_forest_of_scikit_learn_on_what_the_labels_have(table, values, candidates, fitted):
    used = operation_counts(table).any(axis=0)
    twin = RandomForestRegressor(n_estimators=200, random_state=3)
    twin.fit(operation_counts(table)[:, used], values)
    seen = operation_counts(candidates)[:, used]
    assert fitted.mean(candidates).tobytes() == twin.predict(seen).tobytes()
    spread = np.std([tree.predict(seen) for tree in twin.estimators_], axis=0)
    assert fitted.spread(candidates).tobytes() == spread.tobytes()


def test_blocks_change_nothing(monkeypatch, candidates, fitted):
    mean, spread = fitted.mean(candidates), fitted.spread(candidates)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert fitted.mean(candidates).tobytes() == mean.tobytes()
    assert fitted.spread(candidates).tobytes() == spread.tobytes()


def test_what_no_labelled_architecture_has_is_not_seen(space, values):
    cells = space.all()
    without = cells[operation_counts(cells)[:, space.operations.id("none")] == 0]
    blind = Forest(Labels(without[:24], values), 0, counts)
    width = operation_counts(without[:24]).any(axis=0).sum()
    assert width < len(space.operations)
    assert [block.shape for block in blind._blocks(cells[:5])] == [(5, width)]


def test_nothing_is_predicted_for_nothing(candidates, fitted):
    assert fitted.mean(candidates[:0]).shape == fitted.spread(candidates[:0]).shape == (0,)
