"""The papers' tables, run again on other data: cells, budgets, and what comes out."""

from wing_tf.reproduction.tables import TABLES

__all__ = ["TABLES"]
