import dataclasses
import gzip
import hashlib
import http.server
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from nnrun.datasets.arrays.idx_file import read_idx
from nnrun.datasets.cifar10 import Cifar10
from nnrun.datasets.fashion_mnist import FashionMnist
from nnrun.datasets.mnist import Mnist
from nnrun.datasets.public.download import RemoteFile, dataset_folder, fetch
from nnrun.datasets.public.official import OfficialConfig
from nnrun.errors import ConfigError, RunError
from tests.made_up_files import write_cifar, write_idx, write_idx_set

CONTENT = b"a file of a public data set" * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Address of a web server on this machine with the file good.bin and its folder."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "good.bin").write_bytes(CONTENT)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept_under_its_name(server, tmp_path):
    address, _ = server
    target = tmp_path / "new" / "folder"
    path = fetch(RemoteFile("good.bin", SUM, (f"{address}/missing.bin", f"{address}/good.bin")), target)
    assert path == target / "good.bin"
    assert path.read_bytes() == CONTENT
    assert list(target.iterdir()) == [path]


def test_file_addresses_work_too(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)
    path = fetch(RemoteFile("good.bin", SUM, (source.as_uri(),)), tmp_path / "target")
    assert path.read_bytes() == CONTENT


def test_a_failed_download_says_what_to_put_where(server, tmp_path):
    address, _ = server
    urls, wrong = (f"{address}/missing.bin", f"{address}/good.bin"), "0" * 64
    with pytest.raises(RunError) as caught:
        fetch(RemoteFile("data.bin", wrong, urls), tmp_path / "cache")
    assert str(caught.value) == (
        f"data.bin could not be downloaded: {urls[0]} (HTTP Error 404: File not found); "
        f"{urls[1]} (wrong content: SHA-256 {SUM}). Put this file into the folder {tmp_path}/cache yourself, "
        f"or set dataset.root= to the folder that holds it: data.bin (SHA-256 {wrong})."
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unreachable_address_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match=r"http://127\.0\.0\.1:9/x \(.*\)\. Put this file into the folder"):
        fetch(RemoteFile("x", SUM, ("http://127.0.0.1:9/x",)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_the_ways_to_another(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    other = RemoteFile("y", "1" * 64, ())
    with pytest.raises(RunError) as caught:
        fetch(RemoteFile("x", SUM, ("http://127.0.0.1:9/x",), (other,)), blocked / "folder")
    assert str(caught.value) == (
        f"{blocked}/folder cannot be written (Not a directory), so what is missing cannot be downloaded into it: "
        f"x (SHA-256 {SUM}), y (SHA-256 {other.sha256}). Choose another folder: dataset.root=FOLDER, which must exist, "
        "or the environment variable NNRUN_CACHE=FOLDER."
    )
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.parametrize("member", [Mnist, FashionMnist])
def test_a_failed_download_names_all_missing_files_and_no_other(member, tmp_path, monkeypatch):
    monkeypatch.setattr(member, "mirrors", ("http://127.0.0.1:9",))
    (tmp_path / "train-images-idx3-ubyte").touch()
    (tmp_path / "t10k-images-idx3-ubyte.gz").touch()
    with pytest.raises(RunError) as caught:
        member(OfficialConfig(root=str(tmp_path))).load()
    first, second = "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
    text = str(caught.value)
    assert text.startswith(f"{first} could not be downloaded: http://127.0.0.1:9/{first} (")
    assert text.endswith(
        f"). Put these files into the folder {tmp_path} yourself, or set dataset.root= to the folder that holds them: "
        f"{first} (SHA-256 {member.sha256[first]}), {second} (SHA-256 {member.sha256[second]})."
    )


def test_a_failed_download_of_cifar10_names_the_archive(tmp_path, monkeypatch):
    archive = dataclasses.replace(Cifar10.archive, urls=("http://127.0.0.1:9/x",))
    monkeypatch.setattr(Cifar10, "archive", archive)
    with pytest.raises(RunError) as caught:
        Cifar10(OfficialConfig(root=str(tmp_path))).load()
    assert str(caught.value).endswith(
        f"). Put this file into the folder {tmp_path} yourself, or set dataset.root= to the folder that holds it: "
        f"cifar-10-binary.tar.gz (SHA-256 {archive.sha256})."
    )


def test_an_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(source, target):
        target.write(source.read(100))
        raise KeyboardInterrupt

    (tmp_path / "good.bin").write_bytes(CONTENT)
    monkeypatch.setattr(shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(RemoteFile("good.bin", SUM, ((tmp_path / "good.bin").as_uri(),)), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("NNRUN_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert dataset_folder("mnist", None) == Path("/a/datasets/mnist")
    monkeypatch.delenv("NNRUN_CACHE")
    assert dataset_folder("mnist", None) == Path("/b/nnrun/datasets/mnist")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert dataset_folder("mnist", None) == Path.home() / ".cache/nnrun/datasets/mnist"


@pytest.mark.parametrize("member", [Mnist, FashionMnist])
def test_missing_files_are_downloaded_into_the_cache_once(member, server, tmp_path, monkeypatch):
    address, served = server
    write_idx_set(served, train=40, test=20)
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (served / f"{name}.gz").write_bytes(gzip.compress((served / name).read_bytes()))
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in served.glob("*.gz")}
    monkeypatch.setattr(member, "mirrors", (address,))
    assert set(member.sha256) == set(sums)
    monkeypatch.setattr(member, "sha256", sums)
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path / "cache"))
    data = member(OfficialConfig()).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [36, 4, 20]
    shutil.rmtree(served)
    member(OfficialConfig()).load()
    assert {path.name for path in (tmp_path / "cache" / "datasets" / member.name).iterdir()} == set(sums)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Mnist(OfficialConfig(root=str(tmp_path / "typo")))
    assert str(caught.value) == (
        f"dataset.root must be a folder with the files of mnist, but {tmp_path}/typo is none. "
        "Correct the path, or leave dataset.root out to download them."
    )


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_round_trip(tmp_path, ending):
    values = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    path = tmp_path / f"x-idx3-ubyte{ending}"
    write_idx(path, values)
    found = read_idx(path, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)


HEADER = bytes([0, 0, 8, 1, 0, 0, 0, 5])


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("x", HEADER + b"1234", " must be 13 bytes long as its header says, but has 12"),
        ("x", HEADER + b"123456", " must be 13 bytes long as its header says, but has 14"),
        ("x", b"\0\0\x08\x03" + b"123456789", " must start with the magic number 2049 (IDX), but starts with 2051"),
        ("x", b"\0", " must start with the magic number 2049 (IDX), but starts with 0"),
        ("x.gz", gzip.compress(HEADER + b"12345")[:-9], " cannot be read: "),
        ("x.gz", HEADER + b"12345", " cannot be read: "),
    ],
    ids=["short", "long", "other magic", "no header", "cut gzip", "no gzip"],
)
def test_a_damaged_idx_file_is_named(tmp_path, name, content, text):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_idx(path, 1)
    assert str(caught.value).startswith(f"{path}{text}")
    assert str(caught.value).endswith(". Replace the file, or remove it so that it is downloaded again.")


def test_images_and_labels_must_belong_together(tmp_path):
    write_idx_set(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.zeros(59))
    with pytest.raises(RunError) as caught:
        Mnist(OfficialConfig(root=str(tmp_path))).load()
    assert str(caught.value) == (
        f"{tmp_path}/t10k-images-idx3-ubyte must hold images of (28, 28, 1) with a label each, but images of shape "
        "(60, 28, 28, 1) came with 59 labels. Check that all files belong to mnist."
    )
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.full(60, 11))
    with pytest.raises(RunError, match="must hold labels from 0 to 9, but has 11"):
        Mnist(OfficialConfig(root=str(tmp_path))).load()


def test_the_official_test_part_is_whole_and_the_rest_is_stratified(tmp_path):
    write_idx_set(tmp_path)
    data = Mnist(OfficialConfig(root=str(tmp_path), val_fraction=0.2)).load()
    np.testing.assert_array_equal(data.test["inputs"][..., 0], read_idx(tmp_path / "t10k-images-idx3-ubyte", 3))
    np.testing.assert_array_equal(np.bincount(data.train["targets"]), 24)
    np.testing.assert_array_equal(np.bincount(data.val["targets"]), 6)
    rows = np.concatenate([data.train["inputs"], data.val["inputs"]]).reshape(300, -1)
    original = read_idx(tmp_path / "train-images-idx3-ubyte.gz", 3).reshape(300, -1)
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in original}
    scaled = (data.train["inputs"] - data.input_scaling.offset) / data.input_scaling.scale
    assert (scaled.min(), scaled.max()) == (0, 1)
    limited = Mnist(OfficialConfig(root=str(tmp_path), limit=120)).load()
    np.testing.assert_array_equal(np.bincount(limited.test["targets"]), 2)


@pytest.mark.parametrize("layout", ["archive", "folder", "inside"])
def test_cifar10_reads_every_layout(tmp_path, layout):
    images, labels = write_cifar(tmp_path)
    archive, unpacked = tmp_path / "cifar-10-binary.tar.gz", tmp_path / "cifar-10-batches-bin"
    (shutil.rmtree(unpacked) if layout == "archive" else archive.unlink())
    root = unpacked if layout == "inside" else tmp_path
    dataset = Cifar10(OfficialConfig(root=str(root)))
    train, test = dataset.read(root)
    np.testing.assert_array_equal(np.concatenate([train["inputs"], test["inputs"]]), images)
    np.testing.assert_array_equal(np.concatenate([train["targets"], test["targets"]]), labels)
    data = dataset.load()
    np.testing.assert_array_equal(data.test["inputs"], images[200:])
    assert data.train["inputs"].dtype == np.uint8


@pytest.mark.parametrize("damage", ["cut", "missing", "archive"])
def test_damaged_cifar10_is_one_paragraph(tmp_path, damage):
    write_cifar(tmp_path)
    batch = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    source = batch.parent
    if damage == "cut":
        batch.write_bytes(batch.read_bytes()[:-1])
    elif damage == "missing":
        batch.unlink()
        batch.with_name("data_batch_4.bin").unlink()
    else:
        shutil.rmtree(source)
        source = tmp_path / "cifar-10-binary.tar.gz"
        source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(RunError) as caught:
        Cifar10(OfficialConfig(root=str(tmp_path))).load()
    text = str(caught.value)
    assert text.startswith(f"{source} must hold the binary version of CIFAR-10, but reading it failed: ")
    assert text.endswith("Replace it, or remove it so that it is downloaded again.")
    assert damage != "missing" or "failed: it lacks data_batch_2.bin, data_batch_4.bin. " in text
