"""Rank neural architectures from a handful of trained ones."""
