"""Any image file becomes the pixels that a person sees, or one line that says why not."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, features
from torchvision.transforms import v2

from sightline.data import images
from sightline.data.dataset import Source
from sightline.data.item import Item
from sightline.errors import DataError


def noise(height=20, width=30, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def smooth(height, width):
    """A picture without fine detail, which resampling leaves nearly alike."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return (np.stack(waves, -1) * 60 + 128).astype(np.uint8)


def png_header(width, height, depth=8, colour=2):
    """A PNG of the stated size without the pixels for it."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"\0" * 64)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


# --- what a file's pixels are ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_keep_their_picture(tmp_path, mode):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    pixels = images.read(tmp_path / "a.png", mode)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (16, 16, 1 if mode == "L" else 3)
    # The high byte of each value: from black to white without clipping.
    assert (pixels == (ramp // 256)[..., None]).all()
    assert len(np.unique(pixels)) == 256


def test_sixteen_bit_tiff_of_either_byte_order(tmp_path):
    values = np.array([[0, 256, 0x1234], [0x8000, 0xFF00, 0xFFFF]], np.uint16)
    for order in "<>":
        image = Image.frombytes(
            "I;16" if order == "<" else "I;16B", (3, 2), values.astype(f"{order}u2").tobytes()
        )
        assert images.as_array(image, "L")[..., 0].tolist() == [[0, 1, 0x12], [0x80, 255, 255]]


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red.save(tmp_path / "a.jpg", quality=95)
    pixels = images.read(tmp_path / "a.jpg")
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 4


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("P", (8, 8), i) for i in range(3)]
    for frame in frames:
        frame.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3
    assert (images.read(tmp_path / "a.gif") == [10, 20, 30]).all()


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(200, 0, 0, 255), (200, 0, 0, 0), (0, 0, 0, 128)]
    Image.fromarray(rgba).save(tmp_path / "a.png")
    pixels = images.read(tmp_path / "a.png")[0].tolist()
    assert pixels[:2] == [[200, 0, 0], [255, 255, 255]]
    assert pixels[2] == pytest.approx([127] * 3, abs=1)


def test_transparency_of_grey(tmp_path):
    la = np.array([[(40, 255), (40, 0)]], np.uint8)
    Image.fromarray(la, "LA").save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png", "L")[..., 0].tolist() == [[40, 255]]


def test_transparency_of_a_palette(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png", transparency=1)
    pixels = images.read(tmp_path / "a.png")[0].tolist()
    assert pixels == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]


def test_bilevel_becomes_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png", "L")[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize(("mode", "dtype"), [("I", np.int32), ("F", np.float32)])
def test_pixels_without_a_white_are_refused(tmp_path, mode, dtype):
    path = tmp_path / "deep.tiff"
    Image.fromarray(np.full((4, 4), 70000, dtype), mode).save(path)
    with pytest.raises(DataError, match=f"deep.tiff.*32-bit pixels .{mode}.*8 or 16 bits"):
        images.read(path)


def tiff(pixels, tags, order="<"):
    """A TIFF of one strip, written byte by byte: Pillow writes no such tags."""
    height, width = pixels.shape[:2]
    bits, form = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    every = {
        256: (4, width),
        257: (4, height),
        258: (3, bits),
        259: (3, 1),
        262: (3, 1),
        273: (4, 0),
        277: (3, 1),
        278: (4, height),
        279: (4, len(data)),
        339: (3, form),
        **tags,
    }
    every[273] = (4, 8 + 2 + 12 * len(every) + 4)
    kinds = {3: "Hxx", 4: "I", 6: "bxxx", 9: "i", 11: "f"}
    entries = b"".join(
        struct.pack(order + "HHI" + kinds[kind], tag, kind, 1, value)
        for tag, (kind, value) in sorted(every.items())
    )  # fmt: skip
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head = mark + struct.pack(order + "IH", 8, len(every)) + entries + bytes(4)
    return head + data


def grey_of(data):
    return images.read(data, "L")[..., 0].tolist()


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_is_scaled_by_the_white_that_it_names(order):
    twelve = np.array([[0, 16, 2048, 4095]], np.uint16)
    assert grey_of(tiff(twelve, {}, order)) == [[0, 0, 8, 15]]
    assert grey_of(tiff(twelve, {341: (3, 4095)}, order)) == [[0, 1, 128, 255]]
    assert grey_of(tiff(twelve, {281: (3, 4095)}, order)) == [[0, 1, 128, 255]]
    assert grey_of(tiff(twelve, {281: (3, 4000)}, order)) == [[0, 0, 8, 15]]  # the largest there is
    assert grey_of(tiff(twelve, {340: (3, 16), 341: (3, 2048)}, order)) == [[0, 0, 255, 255]]
    if order == "<":  # Pillow opens no other
        assert grey_of(tiff(twelve, {262: (3, 0)}, order)) == [[255, 255, 247, 240]]
    signed = np.array([[-1000, 0, 1000]], np.int16)
    assert grey_of(tiff(signed, {340: (9, -1000), 341: (9, 1000)}, order)) == [[0, 128, 255]]
    real = np.array([[0.0, 0.5, 1.0, 2.0, np.nan]], np.float32)
    assert grey_of(tiff(real, {340: (11, 0.0), 341: (11, 1.0)}, order)) == [[0, 128, 255, 255, 0]]


@pytest.mark.parametrize("tags", [{}, {341: (11, float("nan"))}, {340: (11, 1.0), 341: (11, 1.0)}])
def test_floats_without_a_white_are_refused_with_the_reason(tags):
    with pytest.raises(DataError, match=r"no agreed white.*SMaxSampleValue"):
        images.read(tiff(np.ones((2, 2), np.float32), tags))


def test_twelve_bits_a_sample_are_twelve():
    head = tiff(np.zeros((1, 3), np.uint16), {258: (3, 12)})
    # Two samples in three bytes: 4095 and 2048; then 16, and four bits that fill the byte.
    assert grey_of(head[:-6] + bytes([0xFF, 0xF8, 0x00, 0x01, 0x00, 0x00])) == [[255, 128, 1]]


def test_a_pgm_of_more_than_8_bits_has_the_white_that_it_names():
    assert grey_of(b"P5 3 1 4095\n" + np.array([0, 2048, 4095], ">u2").tobytes()) == [[0, 128, 255]]
    assert grey_of(b"P5 2 1 65535\n" + np.array([0, 65535], ">u2").tobytes()) == [[0, 255]]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lab_is_read_in_either_mode(mode):
    colour = Image.fromarray(smooth(16, 16))
    written = BytesIO()
    colour.convert("LAB").save(written, "TIFF")
    expected = np.asarray(colour.convert(mode), np.int16).reshape(16, 16, -1)
    assert np.abs(images.read(written.getvalue(), mode) - expected).mean() < 6


def test_a_tiff_of_a_kind_that_is_not_read_is_called_so():
    with pytest.raises(DataError, match="a kind of TIFF that is not read"):
        images.read(tiff(np.zeros((2, 2), np.float64), {}))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_pictures_of_phones_are_read(tmp_path, kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    path = tmp_path / ("a.avif" if kind == "AVIF" else "a.heic")
    colour = Image.fromarray(smooth(64, 48))
    colour.save(path, kind, quality=95)
    for source in (path, path.read_bytes()):
        assert np.abs(images.read(source).astype(int) - np.asarray(colour)).mean() < 4
    assert images.is_image(path.name)
    path.write_bytes(path.read_bytes()[:200])
    refusal(path)


def test_a_heic_without_its_package_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    assert "pip install 'sightline[heif]'" in refusal(path)


def test_grey_of_a_file(tmp_path):
    for mode, grey in (("L", True), ("LA", True), ("1", True), ("RGB", False), ("P", False)):
        assert images.is_grey(Image.new(mode, (2, 2))) is grey
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a.png")
    with images.open_checked(tmp_path / "a.png") as image:
        assert images.is_grey(image)


# --- rotation by EXIF --------------------------------------------------------------------

UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
STORED = {  # how a viewer's result for each orientation must lie in the file
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


def turned(path, orientation, stored):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_made_upright(tmp_path, orientation):
    path = turned(tmp_path / "a.png", orientation, STORED[orientation])
    assert images.read(path, "L")[..., 0].tolist() == UPRIGHT.tolist()


def test_boxes_drawn_without_the_rotation_keep_the_stored_image(tmp_path):
    stored = STORED[6]  # 2 wide, 3 high; upright 3 wide, 2 high
    path = turned(tmp_path / "a.png", 6, stored)
    assert images.read(path, "L", frame=(2, 3))[..., 0].tolist() == stored.tolist()


@pytest.mark.parametrize("frame", [(3, 2), (100, 100), None])
def test_other_frames_have_the_rotation_applied(tmp_path, frame):
    path = turned(tmp_path / "a.png", 6, STORED[6])
    assert images.read(path, "L", frame=frame)[..., 0].tolist() == UPRIGHT.tolist()


def test_frame_of_a_square_image_does_not_stop_the_rotation(tmp_path):
    square = np.array([[1, 2], [3, 4]], np.uint8)
    path = turned(tmp_path / "a.png", 3, square[::-1, ::-1])
    assert images.read(path, "L", frame=(2, 2))[..., 0].tolist() == square.tolist()


# --- what cannot be read -----------------------------------------------------------------


def refusal(path):
    with pytest.raises(DataError) as caught:
        images.read(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


def test_truncated_file(tmp_path):
    path = tmp_path / "half.jpg"
    Image.fromarray(noise(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "the file is truncated" in refusal(path)


def test_truncated_png(tmp_path):
    path = tmp_path / "half.png"
    Image.fromarray(noise(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in refusal(path)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert "the file is empty" in refusal(path)


def test_text_that_calls_itself_an_image(tmp_path):
    path = tmp_path / "page.jpg"
    path.write_text("<html>404 not found</html>")
    assert "not an image of a known format" in refusal(path)


def test_broken_pixels(tmp_path):
    path = tmp_path / "bad.png"
    Image.fromarray(noise(64, 64)).save(path)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"IDAT") + 4
    whole[at : at + 40] = bytes(40)
    path.write_bytes(whole)
    assert "broken" in refusal(path) or "truncated" in refusal(path)


def test_missing_file_and_folder(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.png")
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.png")


def test_a_pipe_or_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        assert "is no file, but a pipe or a device" in refusal(tmp_path / name)


def test_formats_beyond_the_known_are_not_opened(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert "not an image of a known format" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 10), (10, 50_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]
)
def test_bomb_is_refused_by_its_header(tmp_path, monkeypatch, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))

    def decoded(*_):
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    text = refusal(path)
    assert "scale it down" in text
    assert "100,000,000" in text


def test_size_at_the_limits_is_opened(tmp_path):
    for width, height in ((images.MAX_SIDE, 10), (10_000, 10_000)):
        path = tmp_path / f"{width}.png"
        path.write_bytes(png_header(width, height))
        with images.open_checked(path) as image:
            assert image.size == (width, height)


def test_refused_image_is_closed(tmp_path, recwarn):
    path = tmp_path / "wide.png"
    path.write_bytes(png_header(50_000, 10))
    with pytest.raises(DataError):
        images.open_checked(path)
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]


# --- the forms in which an image crosses the public line -----------------------------------


def test_every_form_gives_the_same_pixels(tmp_path):
    pixels = noise()
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    forms = (
        path,
        str(path),
        path.read_bytes(),
        Image.fromarray(pixels),
        pixels,
        torch.from_numpy(pixels).permute(2, 0, 1),
    )
    for form in forms:
        assert np.array_equal(images.as_array(form), pixels)


def test_pil_image_of_a_file_and_its_path_agree(tmp_path):
    rgba = noise(channels=4)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(images.as_array(image), images.as_array(tmp_path / "a.png"))


def test_rotated_pil_image_and_its_path_agree(tmp_path):
    path = turned(tmp_path / "a.png", 6, STORED[6])
    with Image.open(path) as image:
        assert np.array_equal(images.as_array(image, "L"), images.as_array(path, "L"))


def test_array_with_alpha_and_its_image_agree():
    rgba = noise(channels=4)
    assert np.array_equal(images.as_array(rgba), images.as_array(Image.fromarray(rgba)))


def test_grey_becomes_three_equal_channels_and_back():
    grey = noise(channels=1)
    colour = images.as_mode(grey, "RGB")
    assert colour.shape == (20, 30, 3)
    assert (colour == grey).all()
    assert np.array_equal(images.as_mode(colour, "L"), grey)
    assert np.array_equal(images.as_mode(grey[..., 0], "L"), grey)


def test_colour_to_grey_weighs_as_luma():
    # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B
    pixels = noise()
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(images.as_mode(pixels, "L")[..., 0] - luma).max() <= 1


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((4, 4, 3), 7, np.float32), r"\[0, 1\], not 7 to 7"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
        (torch.full((3, 4, 4), 255.0), r"\[0, 1\], not 255 to 255"),
        (np.zeros((4, 4, 3), np.int64), "uint8.*not int64"),
        (torch.zeros((4, 4, 3), dtype=torch.uint8), r"\(C, H, W\)"),
        (7, "not int"),
        (None, "not NoneType"),
        ([[1, 2], [3, 4]], "not list"),
    ],
)
def test_other_forms_are_refused(image, said):
    with pytest.raises(DataError, match=said):
        images.as_array(image)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
def test_array_without_pixels_is_refused(shape):
    with pytest.raises(DataError, match=r"no pixel|shape"):
        images.as_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("x/b.JPEG", True),
        ("c.tif", True),
        ("a.txt", False),
        ("jpg", False),
        (".jpg", False),
        ("dir.png/readme", False),
        ("._a.jpg", False),
        (".hidden/a.jpg", True),
    ],
)
def test_images_are_told_by_their_ending(name, expected):
    assert images.is_image(name) is expected


# --- resizing ----------------------------------------------------------------------------

SIZES = [((60, 90), (32, 32)), ((90, 60), (32, 32)), ((64, 64), (24, 40)), ((20, 30), (45, 45))]


@pytest.mark.parametrize(("given", "size"), SIZES)
def test_stretch_is_torchvisions_resize(given, size):
    image = Image.fromarray(noise(*given))
    expected = v2.Resize(size, v2.InterpolationMode.BILINEAR, antialias=True)(image)
    ours = np.asarray(images.resize(image, size, "stretch")).astype(int)
    assert np.abs(ours - np.asarray(expected)).max() <= 1  # Pillow may begin with the rows


@pytest.mark.parametrize(("given", "size"), [((60, 90), 32), ((90, 60), 32), ((50, 50), 32)])
def test_crop_is_torchvisions_resize_and_centre_crop(given, size):
    # Resize rounds the longer side and the cut to whole pixels, which is seen only in
    # fine detail; hence a smooth picture.
    image = Image.fromarray(smooth(*given))
    expected = v2.Compose([v2.Resize(size), v2.CenterCrop(size)])(image)
    ours = images.resize(image, (size, size), "crop")
    assert ours.size == (size, size)
    assert np.abs(np.asarray(ours, int) - np.asarray(expected, int)).max() <= 8


def test_crop_of_an_exact_ratio_is_torchvisions():
    image = Image.fromarray(noise(40, 80))
    expected = v2.Compose([v2.Resize(20), v2.CenterCrop(20)])(image)
    assert np.array_equal(images.resize(image, (20, 20), "crop"), expected)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("how", ["imagenet", "imagenet-bilinear"])
@pytest.mark.parametrize("side", [224, 240, 260])
def test_imagenet_is_torchvisions_resize_and_centre_crop(side, how, mode):
    kind = v2.InterpolationMode.BICUBIC if how == "imagenet" else v2.InterpolationMode.BILINEAR
    theirs = v2.Compose([v2.Resize(side + 32, kind), v2.CenterCrop(side)])
    shapes = [(480, 640), (640, 427), (333, 500), (side, side), (side + 32, side + 32), (8, 8),
              (5, 200), (201, 17), (1, 1), (side + 1, side)]  # fmt: skip
    different = total = 0
    for shape in shapes:
        image = Image.fromarray(noise(*shape)).convert(mode)
        ours, frame = images.prepare(image, (side, side), mode, how)
        wanted = np.asarray(theirs(image)).reshape(ours.shape).astype(int)
        assert np.abs(ours.astype(int) - wanted).max() <= 1, shape
        different, total = different + (ours != wanted).sum(), total + wanted.size
        middle = frame.into(np.array([[0, 0, shape[1], shape[0]]], np.float32))[0]
        assert np.abs(middle[:2] + middle[2:] - side).max() <= 1, shape  # cut to whole pixels
    assert different / total < 0.002


@pytest.mark.parametrize("how", ["imagenet", "imagenet-bilinear"])
def test_a_picture_of_the_models_size_loses_its_border_too(how, tmp_path):
    picture = smooth(224, 224)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert images.frame_of((224, 224), (224, 224), how).offset == (-16.0, -16.0)
    wanted = images.prepare(picture, (224, 224), "RGB", how)[0]
    assert np.abs(wanted.astype(int) - picture).max() > 10
    for held in (Item("a", picture, 0), Item("a", tmp_path / "a.png", 0)):
        source = Source([held], "RGB", (224, 224))
        assert np.array_equal(source.pack((224, 224), how).pixels[0], wanted)
        assert np.array_equal(source.pack((224, 224), "stretch").pixels[0], picture)


def test_pad_is_torchvisions_resize_and_pad():
    image = Image.fromarray(noise(40, 80))
    expected = v2.Compose([v2.Resize((16, 32)), v2.Pad((0, 8), fill=128)])(image)
    assert np.array_equal(images.resize(image, (32, 32), "pad"), expected)


def test_pad_of_grey_is_grey():
    padded = np.asarray(images.resize(Image.new("L", (80, 40), 255), (32, 32), "pad"))
    assert (padded[:8] == 128).all()
    assert (padded[8:24] == 255).all()
    assert (padded[24:] == 128).all()


@pytest.mark.parametrize("how", ["crop", "stretch", "pad"])
def test_right_size_is_left_alone(how):
    image = Image.fromarray(noise())
    assert images.resize(image, (20, 30), how) is image


def test_bytes_of_any_format():
    for kind in ("PNG", "BMP", "TIFF", "PPM", "WEBP"):
        held = BytesIO()
        Image.fromarray(smooth(20, 30)).save(held, kind, lossless=True)
        assert np.array_equal(images.read(held.getvalue()), smooth(20, 30))


def test_truncated_pil_image_says_so(tmp_path):
    path = tmp_path / "half.jpg"
    Image.fromarray(noise(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Image.open(path) as image, pytest.raises(DataError, match=r"half.jpg: .*truncated"):
        images.as_array(image)
