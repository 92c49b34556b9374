"""Masks in a real browser: decoded as the library does, and drawn over the picture."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

import sightline
from sightline.data.images import frame_of, png
from sightline.deploy import instances
from sightline.metrics.instances_table import Masks

WEB = Path(sightline.__file__).parent / "deploy/web"

DECODE = """
const [outputs, classes, frame, texts, done] = arguments;
import("/instances.js").then(({ decode, runs }) => done({
  objects: decode(outputs, { classes }, frame).objects, runs: texts.map(runs),
}), (error) => done(String(error)));
"""

DRAW = """
const [answer, classes, picture, done] = arguments;
import("/instances.js").then(({ draw, summary }) => {
  const { element, update } = draw(answer, { classes }, { picture });
  document.body.replaceChildren(element);
  const sheet = element.querySelector("canvas");
  const look = () => {
    const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
    return {
      size: [sheet.width, sheet.height], label: sheet.getAttribute("aria-label"),
      covered: [...data].filter((_, i) => i % 4 === 3).map((a) => a === 255),
      names: [...element.querySelectorAll(".label")].map((e) => e.textContent),
      count: element.querySelector(".count").textContent, opacity: sheet.style.opacity,
    };
  };
  const image = element.querySelector("img");
  const wait = () => {
    if (!sheet.getContext("2d") || sheet.width !== image.naturalWidth) return setTimeout(wait, 20);
    const before = look();
    const slider = element.querySelector("input[type=range]");
    slider.value = "0.9";
    slider.dispatchEvent(new Event("input"));
    update(0.5);
    done([before, look(), summary(answer, 0.5)]);
  };
  setTimeout(wait, 20);
}, (error) => done(String(error)));
"""


def test_masks_are_enlarged_and_codes_read_as_the_library_does(page: Any, static: Any) -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28]
    masks = 1 / (1 + np.exp(np.hypot(y - 13, x - 12)[None] - random.uniform(5, 14, (6, 1, 1))))
    corner = random.uniform(-8, 50, (6, 2))
    boxes = np.concatenate((corner, corner + random.uniform(4, 40, (6, 2))), 1)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1])
    frame = frame_of((45, 80), (64, 64), "pad")
    out = {"boxes": boxes, "scores": scores, "labels": np.array([0, 1, 0, 1, 0, 0]), "masks": masks}
    (answer,) = instances.decode(
        {k: v[None] for k, v in out.items()}, SimpleNamespace(classes=("猫", "dog")), [frame]
    )
    wanted = instances.document(answer).objects
    sides = {"size": frame.size, "scale": frame.scale, "offset": frame.offset}
    given = {name: values.ravel().tolist() for name, values in out.items()}
    texts = [one.mask.counts for one in wanted]
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        said = page.driver.execute_async_script(DECODE, given, ["猫", "dog"], sides, texts)
    assert isinstance(said, dict), said
    assert len(said["objects"]) == len(wanted) > 2
    for own, theirs in zip(said["objects"], wanted, strict=True):
        assert (own["label"], own["score"]) == (theirs.label, theirs.score)
        code = coco_mask.frPyObjects(own["mask"], 45, 80)
        assert coco_mask.iou([code], [theirs.mask.model_dump()], [0])[0, 0] > 0.99
        assert abs(own["area"] - theirs.area) <= 1
        np.testing.assert_allclose(own["box"], theirs.box, atol=1)
    for lengths, text in zip(said["runs"], texts, strict=True):
        whole = coco_mask.frPyObjects({"size": [45, 80], "counts": lengths}, 45, 80)
        assert whole["counts"].decode() == text


def test_masks_lie_over_the_picture_from_a_threshold_on(
    page: Any, static: Any, tmp_path: Any
) -> None:
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 3:9, 5:20], masks[1, 12:18, 2:6] = True, True
    answer = Masks.of_shapes(list(masks), (20, 30), [0, 1], ("猫", "<b>"), scores=[0.9, 0.4])
    said = instances.document(answer).model_dump()
    (tmp_path / "a.png").write_bytes(png(np.full((20, 30, 3), 90, np.uint8)))
    for script in WEB.glob("*.js"):
        (tmp_path / script.name).symlink_to(script)
    with static(tmp_path) as address:
        page.driver.get(f"{address}/frame.js")
        drawn = page.driver.execute_async_script(DRAW, said, ["猫", "<b>"], "/a.png")
    assert isinstance(drawn, list), drawn
    before, after, line = drawn
    assert before["size"] == [30, 20]
    np.testing.assert_array_equal(np.reshape(before["covered"], (20, 30)), masks.any(0))
    np.testing.assert_array_equal(np.reshape(after["covered"], (20, 30)), masks[0])
    assert before["names"] == ["猫", "<b>"]  # text, no markup
    assert (after["names"], after["count"], after["opacity"]) == (["猫"], "Objects: 1", "0.9")
    assert line == "1 猫"
    assert before["label"] == "1 <b>, 1 猫"
