"""Evaluation of models: predictions on records, scores, tables and figures."""
