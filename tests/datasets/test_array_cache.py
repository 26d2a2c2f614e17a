"""Arrays on disk: whole or not there, found again, and never in memory at once."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nnrun.datasets.arrays import cache as array_cache
from nnrun.datasets.arrays.cache import ArrayCache
from nnrun.errors import RunError


def blocks(count=5, rows=3):
    for i in range(count):
        yield {"inputs": np.full((rows, 2, 2), i, np.float32), "targets": np.arange(i * rows, (i + 1) * rows)}


def test_blocks_come_back_mapped_in_order(tmp_path):
    cache = ArrayCache("key", tmp_path)
    assert cache.open() is None
    for found in (cache.fill(blocks()), cache.open()):
        assert all(isinstance(values, np.memmap) for values in found.values())
        np.testing.assert_array_equal(found["targets"], np.arange(15))
        np.testing.assert_array_equal(found["inputs"][:, 0, 0], np.repeat(np.arange(5), 3))
        assert not found["inputs"].flags.writeable
    assert sorted(path.name for path in (tmp_path / "key").iterdir()) == ["inputs.npy", "targets.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "key" / "targets.npy"), np.arange(15))


def test_many_rows_fit_into_the_header_that_was_written_first(tmp_path):
    found = ArrayCache("key", tmp_path).fill({"x": np.zeros((10_000, 3), np.uint8)} for _ in range(101))
    assert found["x"].shape == (1_010_000, 3)


@pytest.mark.parametrize("failure", [RunError("an image is damaged"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_leaves_nothing(tmp_path, failure):
    def failing():
        yield from blocks(2)
        raise failure

    with pytest.raises(type(failure)):
        ArrayCache("key", tmp_path).fill(failing())
    assert list(tmp_path.iterdir()) == []


def test_blocks_must_stay_alike(tmp_path):
    with pytest.raises(ValueError, match="x changed from float32 to float64"):
        ArrayCache("key", tmp_path).fill({"x": np.zeros(2, kind)} for kind in (np.float32, np.float64))


@pytest.mark.parametrize("damage", ["cut", "text", "missing", "shorter"])
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    cache = ArrayCache("key", tmp_path)
    cache.fill(blocks())
    path = tmp_path / "key" / "inputs.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "text":
        path.write_bytes(b"no array")
    elif damage == "missing":
        for found in (tmp_path / "key").iterdir():
            found.unlink()
    else:
        np.save(path, np.zeros((3, 2, 2), np.float32))
    assert cache.open() is None
    assert len(cache.fill(blocks())["inputs"]) == 15


def test_two_that_convert_at_once_both_get_the_whole(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(lambda: ArrayCache("key", tmp_path).fill(blocks(20))) for _ in range(8)]
    for one in running:
        np.testing.assert_array_equal(one.result()["targets"], np.arange(60))
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_the_quicker_of_two_conversions_stays(tmp_path):
    def overtaken():
        yield from blocks(4)
        ArrayCache("key", tmp_path).fill(blocks(5))
        yield from blocks(1)

    first = ArrayCache("key", tmp_path).fill(overtaken())
    np.testing.assert_array_equal(first["targets"], np.arange(15))
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_a_killed_conversion_left_is_removed_a_day_later(tmp_path):
    for age, name in ((2 * array_cache.ABANDONED_SECONDS, "old.part"), (60, "new.part")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.npy").write_bytes(b"half")
        then = time.time() - age
        os.utime(tmp_path / name / "x.npy", (then, then))
        os.utime(tmp_path / name, (then, then))
    ArrayCache("key", tmp_path).fill(blocks())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "new.part"]


def test_a_disk_that_is_too_small_is_found_first(tmp_path):
    with pytest.raises(RunError) as caught:
        ArrayCache("key", tmp_path).fill(blocks(), size=10**18)
    assert str(caught.value).startswith(f"{tmp_path} cannot hold the converted arrays: they take 1000000000.0 GB, but ")
    assert str(caught.value).endswith(
        " GB are free. Remove old ones there, set NNRUN_CACHE to a folder on a larger disk, or set dataset.cache=never "
        "if they fit into memory."
    )
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="cannot hold the converted arrays"):
        ArrayCache("key", tmp_path / "file").fill(blocks())


def test_the_key_changes_with_files_and_options(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"1")
    other.write_bytes(b"1")
    first = array_cache.key([path], {"size": 3})
    assert first == array_cache.key([path], {"size": 3})
    keys = {first, array_cache.key([path], {"size": 4}), array_cache.key([other], {"size": 3})}
    keys |= {array_cache.key([path, other], {"size": 3}), array_cache.key([other, path], {"size": 3})}
    os.utime(path, (1, 1))
    assert len(keys | {array_cache.key([path], {"size": 3})}) == 6
    path.unlink()
    with pytest.raises(
        RunError, match=r"a cannot be read any more: No such file or directory. Run the command again\."
    ):
        array_cache.key([path], {})


def test_when_the_cache_is_used():
    assert not array_cache.is_wanted("auto", 2**30)
    assert array_cache.is_wanted("auto", 2**30 + 1)
    assert array_cache.is_wanted("always", 1)
    assert not array_cache.is_wanted("never", 2**40)


def test_memory_stays_bounded(tmp_path):
    """300 MB pass through; the peak of a process of its own grows by less than 60 MB."""
    script = (
        "import resource, sys, numpy as np; from pathlib import Path\n"
        "from nnrun.datasets.arrays.cache import ArrayCache\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        "block = np.ones((10, 1000, 1000), np.uint8)\n"
        "found = ArrayCache('key', Path(sys.argv[1])).fill({'x': block} for _ in range(30))\n"
        "assert found['x'].shape == (300, 1000, 1000) and found['x'][-1, -1, -1] == 1\n"
        "print(peak() - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 60


def test_what_one_user_converted_others_may_read(tmp_path):
    ArrayCache("key", tmp_path).fill(blocks())
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "key", *(tmp_path / "key").iterdir())}
    assert modes == {0o755, 0o644}
