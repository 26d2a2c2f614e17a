"""Fast forms of operations for a CPU, each beside the plain form that it equals."""
