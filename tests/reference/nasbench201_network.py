"""Slow twin of the NAS-Bench-201 network: the four feature maps of each cell, from the official string."""

import re

import torch
from torch.nn import functional as F

from reference.batch_norm import batch_norm


def average(x):
    """3x3 windows, the mean of the numbers that are there."""
    return F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1)


def forward(text, parameters, channels, cells, images):
    """Scores of images in training mode; takes parameters in the order in which the layers are passed."""
    weights = iter(parameters)

    def relu_conv_norm(x, kernel, stride=1):
        y = F.conv2d(x.clamp(min=0), next(weights), stride=stride, padding=kernel // 2)
        return batch_norm(y, next(weights), next(weights))

    def operation(name, x):
        match name:
            case "none":
                return 0 * x
            case "skip_connect":
                return x
            case "avg_pool_3x3":
                return average(x)
            case "nor_conv_1x1":
                return relu_conv_norm(x, 1)
            case "nor_conv_3x3":
                return relu_conv_norm(x, 3)

    x = batch_norm(F.conv2d(images, next(weights), padding=1), next(weights), next(weights))
    for stage in range(len(channels)):
        if stage > 0:
            y = relu_conv_norm(relu_conv_norm(x, 3, stride=2), 3)
            x = y + F.conv2d(F.avg_pool2d(x, 2), next(weights))
        for _ in range(cells):
            maps = [x]
            for part in text.split("+"):
                edges = re.findall(r"\|([a-z0-9_]+)~(\d)", part)
                maps.append(sum(operation(name, maps[int(source)]) for name, source in edges))
            x = maps[3]
    x = batch_norm(x, next(weights), next(weights)).clamp(min=0).mean(dim=(2, 3))
    scores = x @ next(weights).T + next(weights)
    assert next(weights, None) is None  # every parameter was used
    return scores
