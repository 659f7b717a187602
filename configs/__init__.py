"""Configs of experiments, one in each file."""
