"""Drawings in a style in a real browser: the graph's pixels, laid over the picture by a slider."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sightline
from sightline.data.images import frame_of

WEB = Path(sightline.__file__).parent / "deploy/web"
DRAWN = """
const [picture, size, how, pixels, done] = arguments;
Promise.all([import("/frame.js"), import("/style.js")]).then(([{ frameOf }, task]) => {
  const answer = task.decode({ picture: pixels }, { size }, frameOf(picture, size, how));
  const { element } = task.draw(answer, {}, { picture: answer.picture });
  document.body.replaceChildren(element);
  const slider = document.querySelector("input[type=range]");
  slider.value = 0.25;
  slider.dispatchEvent(new Event("input"));
  done([answer, document.querySelector("img.over").style.opacity,
    document.querySelector("a[download]").href === answer.picture, task.summary(answer)]);
}, (error) => done(String(error)));
"""


def test_a_drawing_lies_over_its_picture_as_strongly_as_is_wished(page: Any, static: Any) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 256, (20, 30, 3), np.uint8)
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        for picture, how in (((20, 30), "stretch"), ((20, 15), "pad"), ((40, 60), "pad")):
            said = page.driver.execute_async_script(
                DRAWN, picture, (20, 30), how, drawn.ravel().tolist()
            )
            assert isinstance(said, list), said
            answer, opacity, saved, summary = said
            assert answer["size"] == list(picture)
            assert opacity == "0.25"
            assert saved
            assert f"{picture[1]} × {picture[0]}" in summary
            coded = base64.b64decode(answer["picture"].partition(",")[2])
            shown = np.asarray(Image.open(io.BytesIO(coded)).convert("RGB"))
            mine = frame_of(picture, (20, 30), how).picture_out(drawn)
            if picture[0] == 20:  # not resized: exact
                assert np.array_equal(shown, mine)
            assert shown.shape == mine.shape
