"""Every text of the reports stands in two languages, and no place of one is lost in the other."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import sightline
from sightline.report import words
from sightline.report.words import Said, counted, known, say

REPORT = Path(sightline.__file__).parent / "report"


def places(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("english", words.CHINESE)
def test_both_languages_have_the_same_places(english):
    chinese = words.CHINESE[english]
    assert places(chinese) == places(english)
    assert chinese


@pytest.mark.parametrize("english", words.CHINESE)
def test_chinese_is_chinese(english):
    names = (
        r"predict --reject|predict --threshold auto|--fix|F1|Wilson|k-NN|MiB|95%|1|AP50|AP|COCO|"
        r"TIDE|Bolya|IoU|Dice|PQ|t-SNE|JavaScript|PNG|Northcutt"
    )
    left = re.sub(rf"\{{\w+\}}|{names}", "", words.CHINESE[english])
    assert any("\u4e00" <= c <= "\u9fff" for c in left) or not re.sub(r"\W", "", left)
    assert not re.search(r"[A-Za-z]{2}", left)


def test_every_text_that_is_said_has_its_chinese_form():
    said = []
    for path in REPORT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    said.append(first.value)
    for path in (REPORT / "templates").glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        said += re.findall(r'say\(\s*"((?:[^"\\]|\\.)*)"', text)
        said += re.findall(r'{{ "([^"]*)"\|both }}', text)
    assert len(said) > 50
    assert not [text for text in said if text not in words.CHINESE]


def test_a_text_equals_the_english_one_and_carries_the_chinese_one():
    text = say("{method}: {count} wrong", method="knn", count="1,200")
    assert text == "knn: 1,200 wrong"
    assert text.zh == "knn：错 1,200 张"
    assert isinstance(str(text), Said)
    outer = say("What {figure} costs", figure=known("accuracy"))
    assert (outer, outer.zh) == ("What accuracy costs", "准确率的代价")
    assert known("猫") == "猫"
    assert not isinstance(known("猫"), Said)


@pytest.mark.parametrize(
    ("count", "noun", "english", "chinese"),
    [(1, "class", "1 class", "1 个类别"), (1200, "image", "1,200 images", "1,200 张图像")],
)
def test_counts_agree_with_their_nouns(count, noun, english, chinese):
    assert (counted(count, noun), counted(count, noun).zh) == (english, chinese)


def test_a_text_without_a_chinese_form_is_refused():
    with pytest.raises(KeyError):
        say("this stands nowhere")
