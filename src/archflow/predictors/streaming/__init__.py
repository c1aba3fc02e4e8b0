"""Ranking and encoding folders of Parquet files: resumable, and in memory that does not grow with them."""

from archflow.predictors.streaming.encoding import EncodedFolder, encode_folder
from archflow.predictors.streaming.engine import Engine
from archflow.predictors.streaming.parts import Part
from archflow.predictors.streaming.ranking import FolderRanking, rank_folder
from archflow.predictors.streaming.ray_engine import in_ray

__all__ = ["EncodedFolder", "Engine", "FolderRanking", "Part", "encode_folder", "in_ray", "rank_folder"]
