"""Series and sequences in files: times, columns, windows."""
