"""`nnrun sample`: new data from a generative network."""

from nnrun.commands import on_run, usage
from nnrun.host import terminal


def sample(words: list[str]) -> int:
    """`nnrun sample RUN [n=16] [seed=0] [--trust]`: draws from a generative network's prior.

    Writes samples.npz and figures/samples.png into the run's folder.
    Example: `nnrun sample outputs/runs/DATE/TIME_vae_digits n=16`
    """
    given = usage.parse(sample, words)
    folder, plain = on_run.folder(given)
    n = usage.whole("n", given.values.get("n", "16"), 1)
    seed = usage.whole("seed", given.values.get("seed", "0"), 0)
    with on_run.working():
        from nnrun.trained import sampling, trained_run

        sampling.sample(trained_run.load(folder, plain), n, seed, terminal.say)
    return 0
