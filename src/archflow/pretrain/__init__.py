"""Pre-training without labels: pretext tasks and the run that returns an encoder."""

from archflow.pretrain.config import PretrainConfig
from archflow.pretrain.encoder import PretrainedEncoder
from archflow.pretrain.objectives import FlowReconstruction, ProxyRanking, WeightedSum
from archflow.pretrain.run import pretrain

__all__ = [
    "FlowReconstruction",
    "PretrainConfig",
    "PretrainedEncoder",
    "ProxyRanking",
    "WeightedSum",
    "pretrain",
]
