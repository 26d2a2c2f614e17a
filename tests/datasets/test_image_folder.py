"""Folders of images: what is read, how it is divided, and what is said of files that are no images."""

import dataclasses
import io
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nnrun.datasets.arrays import cache as array_cache
from nnrun.datasets.image_folder import ImageFolder, ImageFolderConfig
from nnrun.datasets.images import files as image_files
from nnrun.datasets.images.files import Form
from nnrun.datasets.images.reader import ImageReader
from nnrun.errors import ConfigError, RunError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing
from tests.made_up_files import write_images

PARTS = ("train", "val", "test")


def folder(path, **keys):
    return ImageFolder(ImageFolderConfig(path=str(path), **keys))


def sizes(data):
    return [len(getattr(data, part)["inputs"]) for part in PARTS]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    write_images(root, 20)
    return root


def test_class_folders_become_images_and_labels(photos):
    data = folder(photos).load()
    assert data.spec == folder(photos).spec()
    assert (data.spec.inputs, data.spec.classes, data.class_names) == ((8, 6, 3), 3, ("cat", "dog", "owl"))
    assert sizes(data) == [42, 9, 9]
    for part in PARTS:
        inputs, targets = (getattr(data, part)[name] for name in ("inputs", "targets"))
        assert inputs.dtype == np.uint8
        np.testing.assert_array_equal(inputs.mean((1, 2, 3)) // 60, targets)
        np.testing.assert_array_equal(np.bincount(targets), len(targets) // 3)
    for image, name in zip(data.test["inputs"], data.labels["file"], strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(photos / name)))


def test_sixteen_bits_are_scaled_by_the_range_of_the_training_part(tmp_path):
    rng = np.random.default_rng(0)
    for name, value in (("dim", 2000), ("bright", 2100)):
        (tmp_path / name).mkdir()
        for i in range(10):
            image = (value + rng.integers(0, 20, (6, 6))).astype(np.uint16)
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    data = folder(tmp_path).load()
    low, high = data.reader.form.levels
    assert (low, high) == (2000, 2119)
    assert (data.train["inputs"].min(), data.train["inputs"].max()) == (0, 255)
    raw = np.asarray(Image.open(tmp_path / data.labels["file"][0])).astype(int)
    np.testing.assert_allclose(data.test["inputs"][0, ..., 0], (raw - low) / (high - low) * 255, atol=0.51)
    assert data.notes == (
        f"Images of 16 bits are read in 8: the values {low} to {high} of the training part become 0 to 255.",
    )
    block = next(data.reader.blocks(tmp_path, 50))
    assert block.part["inputs"].max() == 255
    Preprocessing.of(data).save(tmp_path)
    assert preprocessing.read(tmp_path).reader == data.reader


@pytest.mark.parametrize(("given", "expected"), [(("train",), [42, 9, 9]), (("train", "test"), [51, 9, 12])])
@pytest.mark.parametrize("val", [None, "valid"])
def test_parts_with_folders_of_their_own_are_kept(tmp_path, given, expected, val):
    for part in given:
        write_images(tmp_path / part, 20 if part == "train" else 4)
    if val:
        write_images(tmp_path / val, 5)
        expected = [expected[0] + 9, 15, expected[2]]
    data = folder(tmp_path).load()
    assert sizes(data) == expected
    if "test" in given:
        assert all(name.startswith("test/") for name in data.labels["file"])


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Train", "Valid", "Test"), ("training", "validation", "testing"), ("TRAIN", "dev", "TEST")],
)
def test_parts_may_be_called_otherwise(tmp_path, train, val, test):
    for name, n in ((train, 20), (val, 4), (test, 5)):
        write_images(tmp_path / name, n)
    data = folder(tmp_path).load()
    assert sizes(data) == [60, 12, 15]
    assert data.labels["file"][0] == f"{test}/cat/00.png"


def test_a_folder_beside_the_parts_that_is_none_is_named(tmp_path):
    for name in ("train", "extra"):
        write_images(tmp_path / name, 8)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(ConfigError) as caught:
        folder(tmp_path).spec()
    assert str(caught.value) == (
        f"{tmp_path / 'extra'} holds images beside train, but is no part: those are called train, val and test. Rename "
        "the folder, or move it elsewhere."
    )
    (tmp_path / "extra").rename(tmp_path / "val")
    assert folder(tmp_path).load().spec.classes == 3
    write_images(tmp_path / "Validation", 4)
    with pytest.raises(ConfigError) as caught:
        folder(tmp_path).spec()
    assert str(caught.value) == (
        f"{tmp_path / 'Validation'} and {tmp_path / 'val'} are names of the same part. Keep one, or join their images."
    )


def test_grey_images_have_one_channel_unless_stated(tmp_path):
    write_images(tmp_path, 8, mode="L")
    assert folder(tmp_path).spec().inputs == (8, 6, 1)
    rgb = folder(tmp_path, channels="rgb").load()
    assert rgb.spec.inputs == (8, 6, 3)
    assert rgb.input_names == ("red", "green", "blue")
    np.testing.assert_array_equal(rgb.train["inputs"][..., 0], rgb.train["inputs"][..., 2])


@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_unequal_sizes_are_resized_where_a_size_is_given(tmp_path, resize):
    write_images(tmp_path, 8)
    write_images(tmp_path / "more", 8, (30, 10))
    for name in ("cat", "dog", "owl"):
        for path in (tmp_path / "more" / name).iterdir():
            path.rename(tmp_path / name / f"more_{path.name}")
    shutil.rmtree(tmp_path / "more")
    data = folder(tmp_path, size=(5, 4), resize=resize).load()
    assert data.train["inputs"].shape[1:] == (5, 4, 3)
    with pytest.raises(RunError) as caught:
        folder(tmp_path).load()
    assert "png has 10 x 30 pixels, but the first training image has 6 x 8. Resize that" in str(caught.value)
    assert str(caught.value).endswith("for example dataset.size=6.")


def test_resizing_is_that_of_pillow(tmp_path):
    write_images(tmp_path, 1, (40, 30))
    path = tmp_path / "cat" / "00.png"
    found = image_files.decode(path, Form((8, 8, 3), "stretch"))
    expected = Image.open(path).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected))
    cropped = image_files.decode(path, Form((8, 8, 3), "crop"))
    middle = Image.open(path).resize((8, 8), Image.Resampling.BILINEAR, box=(0, 5, 30, 35))
    np.testing.assert_array_equal(cropped, np.asarray(middle))


def test_images_are_turned_upright_and_16_bits_become_8(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert image_files.inspect(tmp_path / "turned.png") == (6, 4, 1)
    found = image_files.decode(tmp_path / "turned.png", Form((6, 4, 1)))
    np.testing.assert_array_equal(found[..., 0], np.rot90(pixels, -1))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert image_files.inspect(tmp_path / "deep.png") == (4, 6, 1)
    np.testing.assert_array_equal(image_files.decode(tmp_path / "deep.png", Form((4, 6, 1)))[..., 0], pixels)


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "LA", "CMYK"])
def test_other_modes_are_converted(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (4, 3), 1 if mode in "1P" else None or 0).save(path)
    assert image_files.decode(path, Form((3, 4, 3))).shape == (3, 4, 3)


def jpeg(size=(64, 64)):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(content, "JPEG")
    return content.getvalue()


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (jpeg()[:-500], "is damaged or no image (image file is truncated"),
        (
            b"not an image\n",
            "is damaged or no image (its content is none of JPEG, PNG, BMP, WEBP). Replace it, or move it elsewhere.",
        ),
        (b"", "is damaged or no image (its content is none of"),
        (png_that_claims(9000, 9000), "says that it has 9000 x 9000 pixels; images of at most 67,108,864 are read."),
        (png_that_claims(2**30, 2**30), "is damaged or no image"),
        (png_that_claims(64, 64), "is damaged or no image"),
    ],
    ids=["truncated", "text", "empty file", "bomb", "huge bomb", "short"],
)
def test_a_file_that_is_no_whole_image_is_named(tmp_path, content, said):
    write_images(tmp_path, 8, (64, 64))
    path = tmp_path / "dog" / "05.jpg"
    path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        folder(tmp_path).load()
    assert str(caught.value).startswith(f"{path} {said}")
    first = tmp_path / "cat" / "00.jpg"
    path.rename(first)
    with pytest.raises((ConfigError, RunError)) as caught:
        folder(tmp_path).load()
    assert str(caught.value).startswith(f"{first} {said}")


def test_mistakes_in_the_folders_are_found_before_anything_is_read(tmp_path):
    def refused(**keys):
        with pytest.raises(ConfigError) as caught:
            ImageFolder(ImageFolderConfig(**keys)).spec()
        return str(caught.value)

    assert refused().startswith("dataset=image_folder needs dataset.path, a folder with a folder of images for each")
    assert refused(path="nowhere") == "dataset.path must be a folder, but nowhere is none. Correct the path."
    root = tmp_path / "root"
    root.mkdir()
    assert f"{root} has no folders, but dataset=image_folder takes the class" in refused(path=str(root))
    write_images(root, 4)
    assert "dataset.size must be one number or [height,width], but got 3 numbers" in refused(
        path=str(root), size=(1, 2, 3)
    )
    (root / "empty").mkdir()
    (root / "empty" / "notes.txt").write_text("no image")
    (root / "empty" / ".hidden.png").write_text("no image")
    assert refused(path=str(root)) == (
        f"Every class needs images, but the folder {root}/empty holds none that ends in .jpg, .jpeg, .png, .bmp, "
        ".webp. Add images, or move the folder elsewhere."
    )
    split = tmp_path / "split"
    write_images(split / "train", 8)
    write_images(split / "test", 2, classes=("cat", "dgo"))
    assert refused(path=str(split)) == (
        f"{split}/test has 2 images of a class that the training part does not have: dgo. Did you mean dog?"
    )


def test_too_few_images_are_refused(tmp_path):
    write_images(tmp_path, 1, classes=("a", "b", "c", "d", "e"))
    with pytest.raises(
        ConfigError, match="every part needs at least 2 examples, but 5 are too few to keep 2 for"
    ) as caught:
        folder(tmp_path).load()
    assert str(caught.value).startswith(f"{tmp_path}: every")


def test_one_class_trains_no_classifier(tmp_path, nnrun):
    write_images(tmp_path / "photos", 12, classes=("cat",))
    found = nnrun("model=mlp", "dataset=image_folder", f"dataset.path={tmp_path / 'photos'}")
    assert found.code == 2
    assert "task=classification needs at least two classes, but the data set has one." in found.err
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_appears_is_seen(tmp_path):
    write_images(tmp_path, 8)
    assert sum(sizes(folder(tmp_path).load())) == 24
    shutil.copy(tmp_path / "cat" / "00.png", tmp_path / "cat" / "99.png")
    assert sum(sizes(folder(tmp_path).load())) == 25


def test_many_images_are_mapped_from_a_cache(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path))
    in_memory, mapped = (folder(photos, cache=cache).load() for cache in ("auto", "always"))
    for part in PARTS:
        assert isinstance(getattr(mapped, part)["inputs"], np.memmap)
        np.testing.assert_array_equal(getattr(mapped, part)["inputs"], getattr(in_memory, part)["inputs"])
    np.testing.assert_array_equal(mapped.input_scaling.offset, in_memory.input_scaling.offset)
    monkeypatch.setattr(image_files, "decode", None)
    folder(photos, cache="always").load()
    monkeypatch.undo()
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path))
    monkeypatch.setattr(array_cache, "AUTO_BYTES", 100)
    assert isinstance(folder(photos).load().train["inputs"], np.memmap)
    assert len(list((tmp_path / "arrays").iterdir())) == 2, "images, and their scaling"


def test_a_damaged_image_leaves_no_cache(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "owl" / "03.png").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"owl/03\.png is damaged or no image"):
        folder(tmp_path / "photos", cache="always").load()
    assert list((tmp_path / "cache" / "arrays").iterdir()) == []


@pytest.fixture
def reader(photos, tmp_path):
    """As a later verb has it: back from preprocessing.json."""
    Preprocessing.of(folder(photos, size=8).load()).save(tmp_path)
    found = preprocessing.read(tmp_path).reader
    assert found == ImageReader(Form((8, 8, 3), "stretch"), ("cat", "dog", "owl"))
    return found


def test_the_reader_reads_what_training_read(photos, reader):
    data = folder(photos, size=8).load()
    blocks = list(reader.blocks(photos, 7))
    assert [len(block.part["inputs"]) for block in blocks] == [7] * 8 + [4]
    files = np.concatenate([block.labels["file"] for block in blocks])
    images = np.concatenate([block.part["inputs"] for block in blocks])
    targets = np.concatenate([block.part["targets"] for block in blocks])
    at = [list(files).index(name) for name in data.labels["file"]]
    np.testing.assert_array_equal(images[at], data.test["inputs"])
    np.testing.assert_array_equal(targets[at], data.test["targets"])


def test_the_reader_reads_one_image_a_flat_folder_and_arrays(photos, reader, tmp_path):
    (one,) = reader.blocks(photos / "dog" / "03.png", 100)
    assert (one.part["inputs"].shape, one.labels["file"].tolist()) == ((1, 8, 8, 3), ["03.png"])
    assert "targets" not in one.part
    (flat,) = reader.blocks(photos / "dog", 100)
    assert (len(flat.part["inputs"]), set(flat.part), flat.labels["file"][1]) == (20, {"inputs"}, "01.png")
    np.testing.assert_array_equal(flat.part["inputs"][3], one.part["inputs"][0])
    np.savez(tmp_path / "x.npz", inputs=flat.part["inputs"], targets=np.full(20, "dog"))
    (arrays,) = reader.blocks(tmp_path / "x.npz", 100)
    np.testing.assert_array_equal(arrays.part["targets"], 1)
    np.testing.assert_array_equal(reader.block(flat.part["inputs"]).part["inputs"], flat.part["inputs"])


def test_what_the_reader_refuses(photos, reader, tmp_path):
    for source, said in (
        (tmp_path / "none", "There is no image and no folder"),
        (tmp_path, "holds no image that ends in"),
    ):
        with pytest.raises(ConfigError, match=said):
            list(reader.blocks(source, 10))
    strict = dataclasses.replace(reader, form=Form((9, 9, 3)))
    with pytest.raises(RunError, match=r"00\.png has 6 x 8 pixels, but the first training image has 9 x 9"):
        list(strict.blocks(photos, 10))
    shutil.copytree(photos, tmp_path / "more")
    (tmp_path / "more" / "owl").rename(tmp_path / "more" / "owls")
    with pytest.raises(ConfigError, match=r"more has 20 images of a class that .*: owls\. Did you mean owl\?"):
        list(reader.blocks(tmp_path / "more", 10))
