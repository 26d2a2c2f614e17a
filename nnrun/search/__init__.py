"""Search strategies: plain ask/tell classes that know neither Hydra nor JAX."""
