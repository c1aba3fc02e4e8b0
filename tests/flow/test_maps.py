"""Where a run starts and ends, for some of the nodes."""

import numpy as np
import pytest

from archflow.flow.maps import Ends

ENDS = Ends(np.array([True, False, False, True]), np.array([False, False, True, True]), True, False)


@pytest.mark.parametrize("nodes", [np.array([1, 2, 3]), slice(1, None)])
def test_the_ends_of_some_nodes(nodes):
    part = ENDS.at(nodes)
    assert part.starts.tolist() == [False, False, True]
    assert part.reads.tolist() == [False, True, True]
    assert (part.forward, part.backward) == (True, False)
