"""The pages of a run and of a comparison: whole, offline, in two languages, light and dark."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import sightline
from sightline.bench import compare as bench
from sightline.bench import results as documents
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.report import classify, html
from sightline.training import run


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits")


def test_the_page_of_a_run(tmp_path, digits):
    model = sightline.create_model("mlp-numpy", digits, epochs=3, hidden=(8,))
    model.fit(digits.train, digits.val)
    evaluation = model.evaluate(digits.val)
    model.save(tmp_path)
    page = html.training(tmp_path, model, digits, evaluation, 1.5).read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # curves, confusion, reliability, coverage, precision
    assert "http://" not in page.replace("http://www.w3.org", "")
    wrong = int((evaluation.labels != evaluation.predicted).sum())
    assert f"{wrong} wrong" in page
    assert f"错 {wrong} 张" in page
    assert page.count("<figure>") == min(wrong, classify.MISTAKES)
    assert "fitted in 1.5 s" in page
    assert f"accuracy {100 * evaluation.metrics.headline:.2f}%" in page
    for remark in model.remarks:
        assert remark.split("<")[0][:20] in page


def test_a_method_without_epochs_has_no_curves(tmp_path, digits):
    model = sightline.create_model("majority", digits).fit(digits.train)
    page = html.training(tmp_path, model, digits, model.evaluate(digits.val), 0.1)
    assert page.read_text(encoding="utf-8").count("<svg") == 4


@pytest.fixture(scope="module")
def compared(tmp_path_factory, digits):
    """Compare three methods, one of which failed and one of which is remarked upon."""
    folder = tmp_path_factory.mktemp("compared") / "c"
    bench.compare(digits, bench.Request("digits", ("majority", "nearest-mean", "knn")), folder)
    results = documents.read(folder / bench.RESULTS)
    results.methods[0] = documents.MethodEntry(
        name="majority", status="failed", error="out of <memory>", remarks=["it had no time"]
    )
    entry = results.methods[1]
    entry.remarks, entry.startup_seconds, entry.threads = ["it ended near chance: 11%"], 12.5, 3
    run.write_json(folder / bench.RESULTS, results.model_dump(mode="json"))
    return folder, results


class Reader(HTMLParser):
    """Reads what a page shows in one language, and what stands in its table."""

    def __init__(self, language):
        super().__init__()
        self.language, self.stack, self.words, self.rows = language, [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        foreign = given.get("class") == "w" and given.get("lang") != self.language
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in ("meta", "img", "br", "path", "use", "image", "rect"):
            self.stack.append((tag, foreign or tag in ("script", "style", "title")))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not any(hidden for _, hidden in self.stack):
            self.words.append(data)
            if self.rows and any(tag in ("td", "th") for tag, _ in self.stack):
                self.rows[-1][-1] += data


def read(page, language):
    reader = Reader(language)
    reader.feed(page)
    return " ".join(" ".join(reader.words).split()), reader.rows


def test_both_languages_show_the_same_figures(compared, digits):
    folder, _ = compared
    page = html.comparison(folder, digits).read_text(encoding="utf-8")
    (english, rows), (chinese, zh_rows) = read(page, "en"), read(page, "zh")
    assert "which method is good enough?" in english
    assert "哪种方法够用？" in chinese
    assert "which method" not in chinese
    assert "哪种" not in english
    for words in ("Where each method errs", "confidence", "share that is right", "decided", "Take"):
        assert words in english
        assert words not in chinese
    for words in (
        "各方法错在哪里",
        "置信度",
        "正确比例",
        "判定",
        "选用",
        "测试集准确率（95% 区间）",
    ):
        assert words in chinese
        assert words not in english
    assert len(rows) == len(zh_rows)
    for row, zh in zip(rows, zh_rows, strict=True):
        assert re.findall(r"\d[\d.,]*", " ".join(row)) == re.findall(r"\d[\d.,]*", " ".join(zh))


def test_remarks_start_up_and_threads_are_shown(compared, digits):
    folder, _ = compared
    page = html.comparison(folder, digits).read_text(encoding="utf-8")
    text, rows = read(page, "en")
    heads = rows[0]
    row = next(row for row in rows if row[0].startswith("nearest-mean"))
    assert row[0].split() == ["nearest-mean", "*"]
    assert row[heads.index("start-up")] == "12.5 s"
    assert "nearest-mean * : it ended near chance: 11%" in text
    assert "majority * : it had no time" in text
    assert "failed : out of <memory>" in text.replace("failed:", "failed :")
    details = [row for row in rows if row[0] == "nearest-mean"][-1]
    assert details[1] == "3"
    assert "*" not in next(row for row in rows if row[0].startswith("knn"))[0]


def test_it_opens_in_the_language_that_is_asked_for(compared, digits):
    folder, _ = compared
    page = html.comparison(folder, digits, language="zh").read_text(encoding="utf-8")
    assert '<html lang="zh" data-language="zh">' in page
    assert "<title>digits：哪种方法够用？</title>" in page
    page = html.comparison(folder, digits).read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert "data-language" not in page.partition("<head>")[0]


def test_colours_of_the_dark_page_are_set_for_screens_alone(compared, digits):
    folder, _ = compared
    page = html.comparison(folder, digits).read_text(encoding="utf-8")
    light, *dark = page.split("@media screen and (prefers-color-scheme: dark)")
    assert len(dark) == 2
    for name in ("--s1", "--s14"):
        assert f"{name}:" in light
        assert f"{name}:" in dark[0]
    used = set(re.findall(r"var\((--[\w]+)\)", page))
    assert used <= set(re.findall(r"(--\w+):", page))


def test_names_of_classes_are_never_translated(tmp_path):
    items = [Item(f"{i}", np.full((4, 4), i, np.uint8)[..., None], i % 2) for i in range(40)]
    rows = {"train": np.arange(20), "val": np.arange(20, 40)}
    data = Dataset("made", Source(items, "L"), rows, ("true", "loss"))
    model = sightline.create_model("majority", data).fit(data.train)
    page = html.training(tmp_path, model, data, model.evaluate(data.val), 0.1)
    shown = page.read_text(encoding="utf-8")
    chinese = read(shown, "zh")[0]
    assert "true 50%" in chinese
    assert "实为 loss" in chinese
    assert "损失" not in chinese
    # Once the label of the axis, which is ours, and twice the names at the ticks, which are not.
    assert shown.count(">true</text>") == 3
    assert shown.count(">真实</text>") == 1


def test_of_very_many_classes_those_that_are_confused_are_named(page_of):
    page = page_of(2, 100).read_text(encoding="utf-8")
    text, _ = read(page, "en")
    assert "Most often taken for another: " in text
    first = text.split("Most often taken for another: ")[1]
    # Every wrong answer of these is the class after the true one.
    true, said, count = re.match(r"(.*?) → (.*?) \((\d+)\)", first).groups()
    assert int(said.split()[-1].strip("c")) - int(true.split()[-1].strip("c")) in (1, -99)
    assert int(count) > 0
    assert "最常混淆" in read(page, "zh")[0]
    few = read(page_of(2, 3).read_text(encoding="utf-8"), "en")[0]
    assert "Most often taken" not in few
