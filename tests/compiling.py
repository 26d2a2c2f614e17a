"""How the tests compile: their programs run for a moment, so that optimizing them takes longer than it saves."""

from importlib.metadata import version

LEAST = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
"""With emitters that releases after jaxlib 0.10 lack; with the others, level 0 gave NaN. Both cores have tests to run,
so that one thread compiles a program."""
FLAGS = LEAST if version("jaxlib").startswith("0.10.") else "--xla_backend_optimization_level=1"
"""For XLA_FLAGS, where that is not set."""
