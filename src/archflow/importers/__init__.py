"""Networks of other frameworks as architectures, and a report of what was not understood."""

from archflow.importers.network import ImportedNetwork, ImportReport, OperatorGraph
from archflow.importers.networkx_graphs import read_networkx, to_networkx
from archflow.importers.onnx_files import read_onnx
from archflow.importers.onnx_folder import OnnxFolder
from archflow.importers.torch_modules import read_module
from archflow.importers.vocabulary import ATTRIBUTES, MEANINGS, VIEW, Meaning, unknown_operation, vocabulary

__all__ = [
    "ATTRIBUTES",
    "MEANINGS",
    "VIEW",
    "ImportReport",
    "ImportedNetwork",
    "Meaning",
    "OnnxFolder",
    "OperatorGraph",
    "read_module",
    "read_networkx",
    "read_onnx",
    "to_networkx",
    "unknown_operation",
    "vocabulary",
]
