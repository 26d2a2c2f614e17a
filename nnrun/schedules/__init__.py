"""Schedules of the learning rate: one file per choice of `schedule=`."""
