"""Judging a model: predictions on records, scores, tables and images."""
