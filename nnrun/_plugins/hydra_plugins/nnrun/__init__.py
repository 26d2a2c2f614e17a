"""Adapters that Hydra finds by their folder."""
