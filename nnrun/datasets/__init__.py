"""Data sets: one member per file, with the concepts they share."""
