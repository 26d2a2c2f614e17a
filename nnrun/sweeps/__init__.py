"""Sweeps: ask a strategy, train, tell it, record."""
