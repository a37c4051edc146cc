"""Photos of every kind come out as plain RGB; bad ones are named; copies carry no secrets."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image, ImageCms, ImageFile

from geolab.data.errors import PhotoError
from geolab.data.photos import read_images, read_photo, thumbnail

RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60))  # synthetic


def jpeg(image=SMOOTH, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def test_path_bytes_file_image_and_dictionary_are_one(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    seen = [
        read_photo(source)
        for source in (
            path,
            str(path),
            path.read_bytes(),
            io.BytesIO(path.read_bytes()),
            {"bytes": None, "path": str(path)},
            {"bytes": path.read_bytes(), "path": None},
            Image.open(path),
        )
    ]
    assert {image.mode for image in seen} == {"RGB"}
    assert all(image.tobytes() == seen[0].tobytes() for image in seen)


# --- what is no photo ---------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("tolerant", [False, True])
def test_truncated_jpeg_is_an_error_and_not_grey(tmp_path, monkeypatch, kept, tolerant):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    noisy = Image.fromarray(RNG.integers(0, 256, (200, 300, 3), np.uint8))
    raw = jpeg(noisy)
    path = tmp_path / "cut.jpg"
    path.write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(PhotoError, match=r"cut\.jpg: cut short"):
        read_photo(path)
    assert tolerant is ImageFile.LOAD_TRUNCATED_IMAGES


def test_truncated_png_webp_and_gif(tmp_path):
    noisy = Image.fromarray(RNG.integers(0, 256, (200, 300, 3), np.uint8))
    for kind in ("PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        noisy.save(buffer, kind)
        with pytest.raises(PhotoError):
            read_photo(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def test_header_alone(tmp_path):
    with pytest.raises(PhotoError, match="header is cut short"):
        read_photo(jpeg()[:10])


def test_text_named_jpg(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("Dear diary, today I took no photo.")
    with pytest.raises(PhotoError, match=r"notes\.jpg: text, not an image \(begins b'Dear diary"):
        read_photo(path)


def test_empty_missing_and_folder(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(PhotoError, match=r"empty\.jpg: an empty file \(0 bytes\)"):
        read_photo(empty)
    with pytest.raises(PhotoError, match=r"gone\.jpg: no such file"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match="directory"):
        read_photo(tmp_path)
    with pytest.raises(PhotoError, match="neither bytes nor path"):
        read_photo({"bytes": None, "path": None})


def test_binary_rubbish_and_heic(tmp_path):
    with pytest.raises(PhotoError, match="not an image of a known kind"):
        read_photo(b"\x00\x01\x02" * 100)
    with pytest.raises(PhotoError, match="HEIC"):
        read_photo(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    with pytest.raises(PhotoError):  # PostScript can run programs; it is no photo
        read_photo(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


@pytest.mark.parametrize("side", [20_000, 9_000])
@pytest.mark.parametrize(("depth", "colour"), [(8, 2), (1, 0), (16, 6), (8, 3)])
def test_bombs_are_refused_by_their_header(side, depth, colour, monkeypatch):
    def never(*_):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with pytest.raises(PhotoError, match=r"too large|more than the limit of 64,000,000"):
        read_photo(png_header(side, side, depth, colour))


def test_the_pixel_limit_is_the_caller_s():
    with pytest.raises(PhotoError, match="80 x 60 pixels, more than the limit of 4,799"):
        read_photo(jpeg(), max_pixels=4799)
    assert read_photo(jpeg(), max_pixels=4800).size == (80, 60)


# --- kinds of pixels ----------------------------------------------------------------------------


def test_cmyk():
    red = read_photo(jpeg(Image.new("CMYK", (20, 20), (0, 255, 255, 0))))
    r, g, b = np.asarray(red).reshape(-1, 3).mean(0)  # (400, 3)
    assert r > 200
    assert max(g, b) < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, kind)
    values = np.asarray(read_photo(buffer.getvalue()))[..., 0].reshape(-1)  # (256,)
    assert np.abs(values.astype(int) - np.arange(256)).max() <= 1


def test_floating_point_is_refused():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(buffer, "TIFF")
    with pytest.raises(PhotoError, match="floating-point"):
        read_photo(buffer.getvalue())


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        buffer = io.BytesIO()
        options = {"lossless": True} if kind == "WEBP" else {}
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], **options)
        assert read_photo(buffer.getvalue()).getpixel((5, 5)) == (255, 0, 0), kind


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_palette_and_others(mode):
    source = SMOOTH.convert(mode)
    buffer = io.BytesIO()
    source.save(buffer, "PNG")
    image = read_photo(buffer.getvalue())
    assert image.mode == "RGB"
    apart = np.abs(np.asarray(image, int) - np.asarray(source.convert("RGB"), int))
    assert apart.mean() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_over_white(mode):
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0)).convert(mode)
    options = {"transparency": clear.getpixel((0, 0))} if mode == "P" else {}
    assert read_photo(png(clear, **options)).getpixel((5, 5)) == (255, 255, 255)


def test_a_colour_profile_is_applied_and_a_broken_one_ignored():
    image = Image.new("RGB", (10, 10), (200, 100, 50))
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_photo(png(image, icc_profile=swapped)).getpixel((0, 0)) == (200, 100, 50)
    assert read_photo(png(image, icc_profile=b"rubbish")).getpixel((0, 0)) == (200, 100, 50)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = Image.new("RGB", (40, 20), "black")
    upright.paste("white", (0, 0, 10, 10))  # a white corner, upper left
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_photo(jpeg(stored, exif=exif, quality=95))
    assert image.size == (40, 20)
    assert image.getpixel((3, 3))[0] > 200
    assert max(image.getpixel(xy)[0] for xy in ((36, 3), (3, 17), (36, 17))) < 60


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_costs_no_photo():
    raw = bytearray(jpeg(exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\xff" * 40))
    assert read_photo(bytes(raw)).size == (80, 60)


# --- many photos --------------------------------------------------------------------------------


def test_one_bad_photo_never_ends_a_run(tmp_path):
    (tmp_path / "good.jpg").write_bytes(jpeg())
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:400])
    (tmp_path / "empty.jpg").touch()
    paths = [tmp_path / name for name in ("cut.jpg", "good.jpg", "empty.jpg", "gone.jpg")]
    read = read_images(paths)
    assert [image is None for image in read.images] == [True, False, True, True]
    assert len(read.errors) == 3
    assert all(str(paths[int(key[0])]) in key for key in read.errors)


def test_read_images_of_a_data_set_uses_its_ids(tmp_path):
    from datasets import Features, Value
    from datasets import Image as ImageFeature

    (tmp_path / "cut.jpg").write_bytes(jpeg()[:400])
    cells = [{"path": None, "bytes": jpeg()}, {"path": str(tmp_path / "cut.jpg"), "bytes": None}]
    photos = Dataset.from_dict(
        {"id": ["a", "b"], "image": cells},
        features=Features({"id": Value("string"), "image": ImageFeature()}),
    )
    read = read_images(photos, size=40)
    assert read.images[0].size == (40, 30)
    assert list(read.errors) == ["b"]
    assert "cut.jpg" in read.errors["b"]


def test_thumbnail_keeps_the_shape_and_never_grows():
    assert thumbnail(jpeg(), 20).size == (20, 15)
    assert thumbnail(jpeg(), 500).size == (80, 60)
