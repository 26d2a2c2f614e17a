"""Small made-up files in the formats of the public image sets."""

import gzip
import io
import tarfile

import numpy as np


def write_idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_idx_set(folder, train=300, test=60):
    rng = np.random.default_rng(0)
    for part, n, ending in (("train", train, ".gz"), ("t10k", test, "")):
        write_idx(folder / f"{part}-images-idx3-ubyte{ending}", rng.integers(0, 256, (n, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte{ending}", np.arange(n) % 10)


def cifar_batch(rng, n):
    labels = np.arange(n, dtype=np.uint8) % 10
    images = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(n, -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes(), images, labels


def write_cifar(folder, each=40):
    """The archive and its unpacked folder; returns images and labels of all batches in order."""
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    batches = {name: cifar_batch(rng, each) for name in names}
    unpacked = folder / "cifar-10-batches-bin"
    unpacked.mkdir()
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in reversed(names):
            content = batches[name][0]
            (unpacked / name).write_bytes(content)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return [np.concatenate([batches[name][i] for name in names]) for i in (1, 2)]


def write_image_sets(folder):
    """Files of every image set under `folder`: {name of the set: its root}."""
    idx, cifar = folder / "idx", folder / "cifar"
    idx.mkdir()
    cifar.mkdir()
    write_idx_set(idx)
    write_cifar(cifar)
    return {"mnist": str(idx), "fashion_mnist": str(idx), "cifar10": str(cifar)}
