"""Small made-up files in the formats of the public image sets."""

import gzip
import io
import tarfile

import numpy as np
from PIL import Image


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


def write_images(folder, each, size=(8, 6), classes=("cat", "dog", "owl"), suffix=".png", mode="RGB"):
    """`each` images of every class in `folder`/<class>/<number><suffix>, told apart by their brightness."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            shape = (*size, 3) if mode == "RGB" else size
            pixels = rng.integers(60 * number, 60 * number + 80, shape).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}{suffix}")


def write_npz(path, n=60, shape=(4,), **arrays):
    """Inputs that tell three classes apart."""
    labels = np.arange(n) % 3
    inputs = np.random.default_rng(0).normal(labels.reshape(-1, *(1,) * len(shape)), 0.3, (n, *shape))
    np.savez_compressed(path, **{"inputs": inputs, "targets": labels, **arrays})


def write_table(path, rows=120):
    """Three measurements and a class they tell."""
    labels = np.arange(rows) % 3
    values = np.random.default_rng(0).normal(labels[:, None], 0.5, (rows, 3)).round(3)
    lines = [f"{','.join(map(str, row))},{'abc'[label]}" for row, label in zip(values, labels, strict=True)]
    path.write_text("\n".join(["length,width,height,class", *lines, ""]))


def write_housing(path, rows=120):
    """Columns as in california_housing, with a missing value."""
    rng = np.random.default_rng(0)
    names = "longitude latitude housing_median_age total_rooms total_bedrooms population households median_income"
    lines = [f"{','.join(map(str, row))},{100 * row[-1]:.0f},{('INLAND', 'NEAR BAY')[i % 2]}"
             for i, row in enumerate(rng.normal(1000, 200, (rows, 8)).round(1))]  # fmt: skip
    lines[7] = lines[7].replace(lines[7].split(",")[4], "", 1)
    path.write_text("\n".join([names.replace(" ", ",") + ",median_house_value,ocean_proximity", *lines, ""]))


def write_diabetes(path, rows=120):
    """Columns as in pima_diabetes: no header, eight numbers, some of them 0 for missing, and 0 or 1."""
    values = np.random.default_rng(0).integers(0, 9, (rows, 8))
    path.write_text("".join(f"{','.join(map(str, row))},{int(row[1] > 4)}\n" for row in values))


def write_series(path, rows=14400):
    """Hours from July 2013 on: a day's and a year's course of a positive value, named as etth1's target, with noise."""
    hours = np.arange(rows)
    values = 20 + 3 * np.sin(hours * np.pi / 12) + 5 * np.sin(hours * np.pi / 4380)
    values += np.random.default_rng(0).normal(0, 0.5, rows)
    times = np.datetime_as_string(np.datetime64("2013-07-04T00", "h") + hours, "s")
    lines = [f"{time.replace('T', ' ')},{value:.3f}" for time, value in zip(times.tolist(), values, strict=True)]
    path.write_text("\n".join(["date,OT", *lines, ""]))


def write_sequences(path, n=60, length=12):
    """Waves of three frequencies, a label and the values in every row."""
    labels = np.arange(n) % 3
    phases = np.random.default_rng(0).uniform(0, 1, (n, 1))
    values = np.sin(np.arange(length) * (labels[:, None] + 1) / 2 + phases).round(4)
    lines = ["\t".join(map(str, [label + 1, *row])) for label, row in zip(labels.tolist(), values, strict=True)]
    path.write_text("\n".join([*lines, ""]))


def write_image_sets(folder):
    """Files of every set that is read from files, under `folder`: {name of the set: the keys that name them}."""
    idx, cifar = folder / "idx", folder / "cifar"
    idx.mkdir()
    cifar.mkdir()
    write_idx_set(idx)
    write_cifar(cifar)
    write_images(folder / "photos" / "train", 20, (12, 9))
    write_images(folder / "photos" / "test", 5, (12, 9))
    write_npz(folder / "arrays.npz")
    write_table(folder / "table.csv")
    write_housing(folder / "housing.csv")
    write_diabetes(folder / "diabetes.csv")
    write_series(folder / "series.csv")
    write_sequences(folder / "sequences.tsv")
    pair = {"images": str(idx / "train-images-idx3-ubyte.gz"), "labels": str(idx / "train-labels-idx1-ubyte.gz")}
    return {
        "mnist": {"root": str(idx)},
        "fashion_mnist": {"root": str(idx)},
        "cifar10": {"root": str(cifar)},
        "image_folder": {"path": str(folder / "photos")},
        "idx": pair,
        "npz": {"path": str(folder / "arrays.npz")},
        "csv": {"path": str(folder / "table.csv"), "target": "class"},
        "california_housing": {"path": str(folder / "housing.csv")},
        "marked": {"path": str(folder / "table.csv"), "anomaly": "class", "normal": "[a,b]"},
        "pima_diabetes": {"path": str(folder / "diabetes.csv")},
        "timeseries": {"path": str(folder / "series.csv")},
        "sequences": {"path": str(folder / "sequences.tsv")},
    }
