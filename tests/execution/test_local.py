"""The executor of this machine forgets the programs of groups that are done."""

import jax

from nnrun.execution import local
from tests.sweep_folders import SMALL


def test_programs_are_forgotten_once_so_many_were_built(nnrun, monkeypatch):
    forgotten = []
    # Not in earnest: the tests that follow would trace everything anew.
    monkeypatch.setattr(jax, "clear_caches", lambda: forgotten.append(len(held[0]._programs)))
    held, build = [], local.Local.__init__
    monkeypatch.setattr(local.Local, "__init__", lambda self, *given: (build(self, *given), held.append(self))[0])
    monkeypatch.setattr(local, "MOST_PROGRAMS", 2)
    # Two groups of one structure share a program, which counts once.
    words = ("training.epochs=1", "model.hidden_sizes=[3],[4],[5]", "seed=0,1", "execution.chunk=1")
    assert nnrun(*SMALL[:2], SMALL[-1], *words).code == 0
    assert forgotten == [0]
