"""Triggers: what watches while nothing is held."""
