"""Training: a config and records in, a run folder out."""
