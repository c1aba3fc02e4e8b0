"""Predictors: a few labelled architectures in, a ranking of any others out."""

from archflow.predictors.familiarity import UnlikeWarning
from archflow.predictors.fine_tuned import FineTuneConfig
from archflow.predictors.methods import METHODS, Method
from archflow.predictors.predictor import Predictor
from archflow.predictors.ranking import Ranking
from archflow.predictors.targets import Condition

__all__ = ["METHODS", "Condition", "FineTuneConfig", "Method", "Predictor", "Ranking", "UnlikeWarning"]
