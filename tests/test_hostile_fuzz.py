"""Three hundred hostile folders, drawn at random; `python -m tests.hostile_fuzz` tries any number."""

import pytest

from tests import hostile_fuzz

AT_ONCE = 15


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good run and sweep."""
    from tests.conftest import in_process

    return hostile_fuzz.make_good(tmp_path_factory.mktemp("good"), in_process())


@pytest.mark.parametrize("first", range(0, 300, AT_ONCE))
def test_a_hostile_folder_is_answered_in_a_sentence(good, command, monkeypatch, first):
    monkeypatch.setattr("nnrun.sweeps.drawing.write_report", lambda *_: None)
    wrong = [hostile_fuzz.tried(good, number, command) for number in range(first, first + AT_ONCE)]
    assert not [said for said in wrong if said]
