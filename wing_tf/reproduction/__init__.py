"""Reproduction of the papers' tables on other data.

A table consists of cells. A cell is one training, repeated for each seed with the same budget (a
number of epochs, or minutes), followed by an evaluation of its last network on the test sets. Some
cells evaluate the network of another one in another way.
"""

from wing_tf.reproduction.awing_tables import AWING_TABLES
from wing_tf.reproduction.settle_tables import SETTLE_TABLES
from wing_tf.reproduction.smt_tables import SMT_TABLES
from wing_tf.reproduction.wing_tables import WING_TABLES

TABLES = WING_TABLES | AWING_TABLES | SMT_TABLES | SETTLE_TABLES

__all__ = ["SETTLE_TABLES", "TABLES"]
