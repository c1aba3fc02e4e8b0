"""Zero-cost proxies: what networks with random weights tell about the accuracy they will reach."""

from archflow.networks.proxies.images import IMAGES, ImageBatch
from archflow.networks.proxies.score import score_network
from archflow.networks.proxies.table import PROXIES, ProxyConfig, ProxyRun, measure_proxies

__all__ = [
    "IMAGES",
    "PROXIES",
    "ImageBatch",
    "ProxyConfig",
    "ProxyRun",
    "measure_proxies",
    "score_network",
]
