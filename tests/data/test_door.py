"""Pictures that would cost far more than their bytes are refused, and no others."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sightline.data import door, images
from sightline.errors import TooCostlyError, TooLargeError


def encoded(image, kind, **options):
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def scanned(n, side=32, progressive=True):
    """A JPEG of n scans: those of an ordinary one, and its last one again and again."""
    whole = encoded(Image.new("L", (side, side), 99), "JPEG", progressive=progressive)
    starts = [i for i in range(len(whole)) if whole.startswith(b"\xff\xda", i)]
    body, last = whole[:-2], whole[starts[-1] : -2]
    return body + last * (n - len(starts)) + b"\xff\xd9"


def chunk(name, content=b""):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(before=b"", pixels=None, after=b"", side=8):
    raw = zlib.compress(bytes((side + 1) * side))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", raw) if pixels is None else pixels(raw)
    return b"\x89PNG\r\n\x1a\n" + head + before + data + after + chunk(b"IEND")


def gif(blocks):
    whole = encoded(Image.new("P", (8, 8)), "GIF")
    at = whole.index(b",", 13 + 3 * 2 ** ((whole[10] & 7) + 1))
    return whole[:at] + blocks + whole[at:]


def tiled(across, down, side=32):
    """A TIFF of one tile that is larger than the picture."""
    data = zlib.compress(bytes(across * down))
    tags = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1), (322, across),
            (323, down), (324, 8 + 2 + 12 * 10 + 4), (325, len(data))]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


def striped(jpeg, side=32):
    """A TIFF whose only strip is a JPEG."""
    tags = [(256, side), (257, side), (258, 8), (259, 7), (262, 1), (273, 8 + 2 + 12 * 9 + 4),
            (277, 1), (278, side), (279, len(jpeg))]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + jpeg


def webp(frames):
    """An animation of so many frames of one pixel."""
    still = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + bytes(6) + b"\x01\0\0\0" + still
    part = b"ANMF" + struct.pack("<I", len(frame)) + frame
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02" + bytes(9)
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6) + part * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


MANY = door.PARTS + 1
COSTLY = {
    "scans": scanned(door.SCANS + 1),
    "scans of a sequential JPEG": scanned(door.SCANS + 1, progressive=False),
    "empty segments": b"\xff\xd8" + b"\xff\xfe\0\x02" * MANY + scanned(1)[2:],
    "stray bytes": b"\xff\xd8" + bytes(MANY) + scanned(1)[2:],
    "fill bytes": b"\xff\xd8" + b"\xff" * MANY + scanned(1)[2:],
    "markers alone": b"\xff\xd8" + b"\xff\xd0" * MANY + scanned(1)[2:],
    "texts of a PNG": png(before=chunk(b"tEXt", b"a\0b") * MANY),
    "texts after the pixels": png(after=chunk(b"tEXt", b"a\0b") * 2 * MANY),
    "pixels byte by byte": png(pixels=lambda raw: chunk(b"IDAT") * 2 * MANY + chunk(b"IDAT", raw)),
    "comments of a GIF": gif(b"!\xfe\x01a\0" * MANY),
    "a long comment": gif(b"!\xfe" + b"\x01a" * MANY + b"\0"),
    "stray bytes of a GIF": gif(b"\x07" * MANY),
    "frames of a WebP": webp(MANY),
    "scans of a JPEG in a TIFF": striped(scanned(2 * door.SCANS)),
    "a wide tile": tiled(40_000, 16),
    "a tall tile": tiled(16, 40_000),
}


@pytest.mark.parametrize("what", COSTLY)
@pytest.mark.parametrize("form", ["bytes", "path"])
def test_what_costs_more_than_it_weighs_is_refused_before_it_is_decoded(
    what, form, tmp_path, monkeypatch
):
    def decoded(*_):
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", decoded)
    path = tmp_path / "costly.bin"
    path.write_bytes(COSTLY[what])
    with pytest.raises(TooCostlyError, match="save it anew") as caught:
        images.read(path if form == "path" else COSTLY[what])
    assert str(caught.value).startswith("image: " if form == "bytes" else f"{path}: ")


def test_an_opened_picture_goes_through_the_same_door():
    with pytest.raises(TooCostlyError):
        images.as_array(Image.open(io.BytesIO(scanned(door.SCANS + 1))))


def several(n):
    rng = np.random.default_rng(n)
    return Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8))


FINE = {
    "as many scans as are allowed": scanned(door.SCANS),
    "a profile that is full of starts of scans": encoded(
        several(32), "JPEG", icc_profile=b"\xff\xda" * 100_000
    ),
    "a film behind the photograph": encoded(several(32), "JPEG") + b"\xff\xda" * 100_000,
    "a thumbnail that is progressive, too": encoded(
        several(32), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0" + scanned(90)
    ),
    "large segments": encoded(several(32), "JPEG", icc_profile=bytes(2_000_000)),
    "pixels in small chunks": png(
        pixels=lambda raw: b"".join(chunk(b"IDAT", bytes([b])) for b in raw)
    ),
    "some texts": png(before=chunk(b"tEXt", b"a\0" + bytes(20)) * 900),
    "an animation": webp(2000),
    "a comment of 100 kB": gif(b"!\xfe" + (b"\xff" + b"a" * 255) * 400 + b"\0"),
    "a JPEG in a TIFF": striped(scanned(6, progressive=False)),
    "a tile larger than a small picture": tiled(1024, 1024),
}


@pytest.mark.parametrize("what", FINE)
def test_what_pictures_have_is_read(what):
    with Image.open(io.BytesIO(FINE[what])) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(images.read(FINE[what]), expected)


def effort(data):
    with images.open_checked(data) as image:
        return door.effort(image)


def test_effort_follows_scans_and_formats_that_cannot_be_estimated_are_infinite():
    picture = several(64)
    assert effort(encoded(picture, "JPEG")) == 64 * 64
    assert effort(scanned(50, side=64)) == 50 * 64 * 64
    assert effort(encoded(picture, "BMP")) == 64 * 64
    assert effort(encoded(picture, "WEBP", lossless=True)) > effort(encoded(picture, "WEBP"))
    assert effort(encoded(picture, "TIFF")) == float("inf")


def test_a_scan_with_arithmetic_coding_counts_more():
    plain = encoded(several(64), "JPEG")
    at = plain.index(b"\xff\xc0")
    assert effort(plain[:at] + b"\xff\xc9" + plain[at + 2 :]) == 8 * 64 * 64


@pytest.mark.parametrize("place", ["screen", "frame"])
def test_the_size_of_a_gif_is_known_before_memory_is_taken_for_it(place, monkeypatch):
    data = bytearray(encoded(Image.new("P", (8, 6)), "GIF", comment=b"a" * 300))
    assert door.size_of_gif(io.BytesIO(data)) == (8, 6)
    at = 6 if place == "screen" else data.index(b",", 300) + 5
    data[at : at + 4] = struct.pack("<HH", 20_000, 10_000)
    assert door.size_of_gif(io.BytesIO(data)) == (20_000, 10_000)

    def opened(*_):
        raise AssertionError("Pillow took memory for it")

    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile._open", opened)
    with pytest.raises(TooLargeError, match="20000 x 10000"):
        images.open_checked(bytes(data))
