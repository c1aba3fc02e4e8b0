"""Slow twin of the NAS-Bench-101 network: each cell vertex by vertex, the channels by plain loops."""

import itertools

import torch
from torch.nn import functional as F

from archflow.errors import InvalidArchitectureError
from archflow.graphs import Architecture
from reference.batch_norm import batch_norm


def random_cells(space, count, rng):
    """Cells as written, vertices that lead nowhere and that nothing leads to among them."""
    cells = []
    while len(cells) < count:
        n = int(rng.integers(2, 8))
        pairs = list(itertools.combinations(range(n), 2))
        chosen = rng.permutation(len(pairs))[: rng.integers(1, 10)]
        names = ("input", *rng.choice(space.choices, size=n - 2).tolist(), "output")
        cell = Architecture(names, tuple(pairs[i] for i in chosen.tolist()))
        try:
            space.format(cell)
        except InvalidArchitectureError:
            continue
        cells.append(cell)
    return cells


def vertex_channels(cell, n_out):
    """Channels of each vertex of a cell without dead vertices; the input's are left out as 0."""
    last = cell.n_nodes - 1
    ends = [u for u, v in cell.edges if v == last and u != 0]
    channels = [0] * last + [n_out]
    for place, vertex in enumerate(ends):
        channels[vertex] = n_out // len(ends) + (place < n_out % len(ends))
    for vertex in range(last - 1, 0, -1):
        if vertex not in ends:
            channels[vertex] = max(channels[v] for u, v in cell.edges if u == vertex)
    return channels


def forward(cell, parameters, channels, cells, images):
    """Scores of images in training mode, of a cell without dead vertices.

    Takes parameters in the order stem, cells, linear layer; of a cell its projections, then its vertices.
    """
    weights = iter(parameters)

    def take(kernel):
        convolution, scale, shift = (next(weights) for _ in range(3))

        def conv_norm_relu(x):
            return batch_norm(F.conv2d(x, convolution, padding=kernel // 2), scale, shift).clamp(min=0)

        return conv_norm_relu

    def max_pool(x):
        windows = F.pad(x, (1, 1, 1, 1), value=-torch.inf).unfold(2, 3, 1).unfold(3, 3, 1)
        return windows.amax(dim=(4, 5))

    last = cell.n_nodes - 1
    x = take(3)(images)
    for stage, n_out in enumerate(channels):
        if stage > 0:
            x = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(dim=0)
        for _ in range(cells):
            widths = vertex_channels(cell, n_out)
            project = {v: take(1) for u, v in cell.edges if u == 0}
            modules = {
                v: max_pool if cell.operations[v] == "maxpool3x3" else take(int(cell.operations[v][4]))
                for v in range(1, last)
            }
            values = {}
            for v in range(1, last):
                total = project[v](x) if v in project else 0
                for u in range(1, v):
                    if (u, v) in cell.edges:
                        total = total + values[u][:, : widths[v]]
                values[v] = modules[v](total)
            out = project[last](x) if last in project else 0
            joined = [values[u] for u in range(1, last) if (u, last) in cell.edges]
            x = out + torch.cat(joined, dim=1) if joined else out
    scores = x.mean(dim=(2, 3)) @ next(weights).T + next(weights)
    assert next(weights, None) is None  # every parameter was used
    return scores
