"""Pre-training without labels: pretext tasks and the run that returns an encoder."""

from archflow.pretrain.config import PretrainConfig
from archflow.pretrain.contrastive import Contrastive
from archflow.pretrain.encoder import PretrainedEncoder
from archflow.pretrain.graph_reconstruction import GraphReconstruction
from archflow.pretrain.masked_operations import MaskedOperations
from archflow.pretrain.objectives import FlowReconstruction, ProxyRanking, WeightedSum
from archflow.pretrain.pair_prediction import PairPrediction
from archflow.pretrain.registry import OBJECTIVES, parse_objectives
from archflow.pretrain.rewriting import Rewriting
from archflow.pretrain.run import pretrain
from archflow.pretrain.view import PretextView

__all__ = [
    "OBJECTIVES",
    "Contrastive",
    "FlowReconstruction",
    "GraphReconstruction",
    "MaskedOperations",
    "PairPrediction",
    "PretextView",
    "PretrainConfig",
    "PretrainedEncoder",
    "ProxyRanking",
    "Rewriting",
    "WeightedSum",
    "parse_objectives",
    "pretrain",
]
