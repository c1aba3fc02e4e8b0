import pytest

from archflow.spaces.nasbench201 import NASBench201


@pytest.fixture(scope="session")
def space():
    return NASBench201()


@pytest.fixture(scope="session")
def cells(space):
    """The texts of ten cells, the first of which has no path from input to output."""
    return [space.format(space.all()[row]) for row in range(0, 15_000, 1_500)]
