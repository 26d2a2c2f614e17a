"""Optimizers: one file per choice of `optimizer=`."""
