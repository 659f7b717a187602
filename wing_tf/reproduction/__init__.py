"""The papers' tables, run again on other data: cells, budgets, and what comes out."""

from wing_tf.reproduction.awing_tables import AWING_TABLES
from wing_tf.reproduction.smt_tables import SMT_TABLES
from wing_tf.reproduction.wing_tables import WING_TABLES

TABLES = WING_TABLES | AWING_TABLES | SMT_TABLES

__all__ = ["TABLES"]
