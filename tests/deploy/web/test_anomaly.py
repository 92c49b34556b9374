"""Maps of anomalies in a real browser: the graph's scores under the slider of the threshold."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sightline
from sightline.data.images import frame_of
from sightline.deploy import anomaly

WEB = Path(sightline.__file__).parent / "deploy/web"
DRAWN = """
const [picture, size, how, heat, limit, done] = arguments;
Promise.all([import("/frame.js"), import("/anomaly.js")]).then(async ([{ frameOf }, task]) => {
  const score = Math.max(...heat);
  const answer = task.decode({ score: [score], heat }, { size }, frameOf(picture, size, how));
  const { element } = task.draw(answer, {}, { picture: answer.heat });
  document.body.replaceChildren(element);
  await new Promise((ready) => setTimeout(ready, 200));  // the map is decoded
  const slider = document.querySelector("input[type=range]");
  slider.value = limit;
  slider.dispatchEvent(new Event("input"));
  const sheet = document.querySelector("canvas.over");
  const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
  const opacity = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]);
  done([answer, sheet.width, sheet.height, opacity, element.textContent, task.summary(answer)]);
}, (error) => done(String(error)));
"""


def test_the_map_is_the_servers_and_the_slider_cuts_it(page: Any, static: Any) -> None:
    heat = np.random.default_rng(0).random((20, 30)).astype(np.float32) * 0.9
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        for picture, how in (((20, 30), "stretch"), ((20, 15), "pad")):
            said = page.driver.execute_async_script(
                DRAWN, picture, (20, 30), how, heat.ravel().tolist(), 0.8
            )
            assert isinstance(said, list), said
            answer, width, height, opacity, text, summary = said
            frame = frame_of(picture, (20, 30), how)
            (mine,) = anomaly.decode({"score": heat.max()[None], "heat": heat[None]}, None, [frame])
            coded = base64.b64decode(answer["heat"].partition(",")[2])
            shown = np.asarray(Image.open(io.BytesIO(coded)).convert("L"))
            part = mine.heat[frame.part]
            assert (height, width) == shown.shape == part.shape
            np.testing.assert_allclose(shown / 255, part, atol=0.003)
            assert answer["share"] == float((part >= 0.5).mean())
            assert answer["anomaly"]
            tinted = np.array(opacity).reshape(part.shape)
            assert (tinted[part < 0.49] == 0).all()
            assert tinted[part > 0.81].min() > tinted[part < 0.79].max()
            assert "0.80" in text
            assert f"{heat.max():.1%}".rstrip("0%.") in summary
