"""Videos: upright, a damaged frame is named and the others go on."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest

from sightline.data.video import Video, Writer, is_video
from sightline.errors import DataError

av = pytest.importorskip("av")


def frames(count=6):
    """48 x 64 pixels, the upper left quarter red; the lower half gets lighter."""
    made = np.zeros((count, 48, 64, 3), np.uint8)
    made[:, :24, :32, 0] = 255
    made[:, 24:] = (np.arange(count) * 40)[:, None, None, None]
    return made


@pytest.fixture
def video(tmp_path):
    with Writer(tmp_path / "a.mp4", Fraction(10)) as writer:
        for pixels in frames():
            writer.add(pixels)
    return tmp_path / "a.mp4"


def test_frames_come_with_their_times(video):
    with Video(video) as opened:
        assert (opened.rate, opened.count) == (10, 6)
        seen = list(opened)
    assert [f.number for f in seen] == list(range(6))
    np.testing.assert_allclose([f.seconds for f in seen], np.arange(6) / 10)
    for one, wanted in zip(seen, frames(), strict=True):
        assert np.abs(one.pixels.astype(int) - wanted).mean() < 12
    assert is_video(video)
    assert not is_video(video.with_suffix(".png"))


def test_the_rotation_of_a_phone_is_applied(video):
    content = video.read_bytes()
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    at = content.index(upright, content.index(b"tkhd"))
    video.write_bytes(content[:at] + turned + content[at + 36 :])
    with Video(video) as opened:
        first = next(iter(opened)).pixels
    assert first.shape == (64, 48, 3)
    red = first[..., 0].astype(int) - first[..., 1]
    assert red[:32, 24:].mean() > 150  # turned to the right: the red corner is the upper right one
    assert red[:32, :24].mean() < 60


def test_a_damaged_frame_is_named_and_the_others_go_on(video):
    container = av.open(str(video))
    place, size = [(p.pos, p.size) for p in container.demux(video=0) if p.size][3]
    container.close()
    content = bytearray(video.read_bytes())
    content[place : place + size] = b"\x55" * size
    video.write_bytes(content)
    with Video(video) as opened:
        seen = list(opened)
    assert len(seen) == 6
    (bad,) = [f for f in seen if f.pixels is None]
    assert bad.why


def test_what_is_no_video_is_said(tmp_path):
    with pytest.raises(DataError, match="no such video"):
        Video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(DataError, match=r"text\.mp4 is no video that can be read"):
        Video(tmp_path / "text.mp4")


def test_odd_sides_lose_their_last_pixel(tmp_path):
    with Writer(tmp_path / "odd.mp4", Fraction(5)) as writer:
        writer.add(np.full((33, 51, 3), 200, np.uint8))
    with Video(tmp_path / "odd.mp4") as opened:
        assert next(iter(opened)).pixels.shape == (32, 50, 3)
