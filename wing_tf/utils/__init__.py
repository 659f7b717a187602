"""Helpers that every part of the package shares: atomic files, text files, image files, names."""
