"""Typed words become checked configs, before anything is written."""
