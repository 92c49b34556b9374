"""Several labels and numbers in a real browser: what the graph puts out, as the server says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import sightline
from sightline.deploy import multilabel, regress
from sightline.deploy.runtime import About

WEB = Path(sightline.__file__).parent / "deploy/web"
CLASSES = ("猫", "dog", "car")
SAID = """
const [name, outputs, about, threshold, done] = arguments;
import(`/${name}.js`).then((task) => {
  const answer = task.decode(outputs, about, {}, 2);
  const { element, update } = task.draw(answer, about, {});
  document.body.replaceChildren(element);
  update(threshold);
  done([answer, element.textContent, task.summary(answer, threshold),
    document.querySelectorAll("li.best").length]);
}, (error) => done(String(error)));
"""


def about(task: str, **more: Any) -> About:
    return About("a", "m", task, CLASSES, (8, 8), "RGB", "crop", "1", **more)


def test_labels_are_told_by_their_thresholds_or_by_one_for_all(page: Any, static: Any) -> None:
    limits = (0.95, 0.3, 0.3)
    scores = np.array([0.9, 0.4, 0.2], np.float32)
    (mine,) = multilabel.decode(
        {"probabilities": scores[None]}, about("multilabel", thresholds=limits), [None]
    )
    told = multilabel.document(mine, top=2).model_dump()
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        outputs = {"probabilities": scores.tolist()}
        facts = {"classes": CLASSES, "thresholds": limits}
        answer, text, summary, best = page.driver.execute_async_script(
            SAID, "multilabel", outputs, facts, 0
        )
        assert [one["label"] for one in answer["labels"]] == ["dog"]
        for key in ("labels", "top"):
            np.testing.assert_allclose(
                [one["score"] for one in answer[key]], [one["score"] for one in told[key]]
            )
        assert text.startswith("dog")
        assert "40%" in summary
        assert best == 1
        answer, text, summary, best = page.driver.execute_async_script(
            SAID, "multilabel", outputs, facts, 0.35
        )
        assert text.startswith("猫, dog")
        assert best == 2
        *_, summary, best = page.driver.execute_async_script(
            SAID, "multilabel", outputs, facts, 0.99
        )
        assert best == 0
        assert summary in ("No label reaches its threshold.", "没有标签达到阈值。")


def test_a_number_comes_with_its_interval(page: Any, static: Any) -> None:
    outputs = {"value": np.array([41.5]), "reach": np.array([8.25])}
    (mine,) = regress.decode(outputs, about("regress"), [None])
    with static(WEB) as address:
        page.driver.get(f"{address}/frame.js")
        answer, text, summary, _ = page.driver.execute_async_script(
            SAID, "regress", {k: v.tolist() for k, v in outputs.items()}, {"classes": CLASSES}, 0
        )
        assert answer == regress.document(mine).model_dump()
        assert "41.5" in text
        assert "33.25" in summary
