"""Strict arithmetic for every test: no silent promotion of ranks or types, two CPU devices, warnings are errors."""

import os

os.environ.setdefault("NNRUN_CACHE", os.path.join(os.path.dirname(__file__), "..", ".pytest_cache", "nnrun"))

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_numpy_rank_promotion", "allow")
