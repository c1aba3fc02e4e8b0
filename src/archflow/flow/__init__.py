"""Flow surrogates: tables of architectures to vectors, nothing learnt."""

from archflow.flow.operation_flow import OperationFlow, OperationFlowConfig
from archflow.flow.surrogate import PUBLISHED, FlowSurrogate, SurrogateConfig

__all__ = ["PUBLISHED", "FlowSurrogate", "OperationFlow", "OperationFlowConfig", "SurrogateConfig"]
