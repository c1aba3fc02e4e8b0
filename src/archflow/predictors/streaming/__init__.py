"""Ranking and encoding folders of Parquet files: resumable, and in memory that does not grow with them."""

from archflow.predictors.streaming.encoding import EncodedFolder, encode_folder
from archflow.predictors.streaming.engine import Engine
from archflow.predictors.streaming.parts import Part
from archflow.predictors.streaming.ranking import FolderRanking, rank_folder

__all__ = ["EncodedFolder", "Engine", "FolderRanking", "Part", "encode_folder", "rank_folder"]
