"""Test that the page brings pictures to a model's size, and boxes back, as the library does."""

import json
from pathlib import Path
from typing import get_args

import numpy as np

import sightline
from sightline.data.images import Resize, frame_of

WEB = Path(sightline.__file__).parent / "deploy/web"
SCRIPT = """
const [cases, boxes, done] = arguments;
import("/frame.js").then(({ frameOf, out }) => done(cases.map(([picture, size, how]) => {
  const frame = frameOf(picture, size, how);
  return { ...frame, boxes: boxes.map((box) => out(frame, box)) };
})), (error) => done(String(error)));
"""
BOXES = [[3.5, 4, 20, 31.25], [-5, -7, 500, 500], [0, 0, 1, 1]]


def test_frames_are_the_librarys(page, static):
    rng = np.random.default_rng(0)
    pictures = [(1, 1), (1, 900), (37, 37), *map(tuple, rng.integers(1, 900, (60, 2)).tolist())]
    sizes = [(32, 32), (37, 37), (224, 224), (60, 100)]
    cases = [(p, s, how) for p in pictures for s in sizes for how in get_args(Resize)]
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        found = page.driver.execute_async_script(SCRIPT, cases, BOXES)
    assert isinstance(found, list), found
    for (picture, size, how), frame in zip(cases, found, strict=True):
        ours = frame_of(picture, size, how)
        case = json.dumps((picture, size, how))
        assert tuple(frame["size"]) == ours.size, case
        assert tuple(frame["scale"]) == ours.scale, case  # to the last bit: masks are moved by it
        assert tuple(frame["offset"]) == ours.offset, case
        np.testing.assert_allclose(
            frame["boxes"], ours.out(np.array(BOXES)), rtol=1e-6, atol=1e-4, err_msg=case
        )
