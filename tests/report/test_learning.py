"""Learning curves as a drawing, a page, a sentence in two languages, and a result in Python."""

from __future__ import annotations

import html as markup
import re

import numpy as np
import pytest

import sightline
from sightline.bench import curve as bench
from sightline.errors import ParameterError, RunError
from sightline.report import html, learning_page, learning_plot, learning_said
from sightline.report.words import Said
from sightline.training import run

SIZES = np.array([50, 100, 200, 400], np.float64)


def law(a, b, c, noise=0.001):
    """Return the accuracies of a law, two draws of each size."""
    wrong = a + b * SIZES**-c
    return [[1 - w - noise, 1 - w + noise] for w in wrong]


CURVES = {"knn": law(0.1, 0.5, 0.5), "logistic": law(0.05, 2.2, 0.5)}


def test_the_answer_names_gains_bands_and_who_gains_most(curve_of):
    results = curve_of(CURVES)
    said = learning_said.answer(results)
    knn, logistic = (m.trend.gains[0] for m in results.methods)
    assert 100 * logistic.gain == pytest.approx(2.2 * 100 * (400**-0.5 - 800**-0.5), abs=0.3)
    low, high = f"{100 * knn.gain_low:.1f}", f"{100 * knn.gain_high:.1f}"
    assert said.startswith(
        "More training images would help. Twice as many training images (800) would bring knn "
        f"about {100 * knn.gain:.1f} points (extrapolated, {low} to {high}) and logistic "
        f"{100 * logistic.gain:.1f} points ("
    )
    assert said.endswith(": more images help most with logistic.")
    assert isinstance(said, Said)
    assert said.zh.startswith("更多训练图像会有帮助。训练图像增加一倍（800 张）带来的提高：knn 约 ")
    assert f"（外推，{low} 至 {high}）" in said.zh
    assert said.zh.endswith("；更多图像对 logistic 帮助最大。")


def test_who_stays_ahead_until_where_is_marked_as_extrapolated(curve_of):
    results = curve_of(CURVES)
    measured, ahead = learning_said.lines(results)
    assert measured == "At every size knn is the best (measured)."
    images = results.passes[0].images
    # 0.1 + 0.5 / sqrt(n) = 0.05 + 2.2 / sqrt(n), at n = 34 squared
    assert images == pytest.approx(34**2, rel=0.2)
    assert ahead == (
        f"knn would stay ahead of logistic until about {images:,} images (extrapolated)."
    )
    assert ahead.zh == f"大约 {images:,} 张图像以内，knn 会一直领先于 logistic（外推）。"


def test_nothing_is_said_of_more_images_from_few_sizes(curve_of):
    three = {name: rows[:3] for name, rows in CURVES.items()}
    results = curve_of(three, sizes=(50, 100, 200))
    assert learning_said.answer(results) == "Nothing can be said of more training images."
    assert "No extrapolation of knn and logistic: it needs 4 measured sizes." in (
        learning_said.lines(results)
    )
    columns, rows = learning_page.table(results)
    assert columns == ["50", "100", "200"]
    assert not any(guess for _, cells in rows for _, guess in cells)


def test_flat_and_perfect_curves_would_hardly_gain(curve_of):
    for figure in (1.0, 0.8):
        results = curve_of({"a": [[figure, figure]] * 4, "b": [[figure, figure]] * 4})
        said = learning_said.answer(results)
        assert said.startswith("More training images would hardly help.")
        assert "about 0.0 points (extrapolated, 0.0 to 0." in said
        assert "help most" not in said
        assert learning_said.lines(results) == [
            "With 400 images a and b are equally good (measured)."
        ]


def test_a_curve_that_falls_and_fits_that_failed_are_said(curve_of):
    falls = [[0.6, 0.6], [0.7, 0.7], [0.62, 0.62], [0.75, 0.75]]
    lost = [[0.6, 0.6], [None, None], [0.7, None], [0.8, 0.8]]
    results = curve_of({"falls": falls, "lost": lost, "knn": CURVES["knn"]})
    said = learning_said.lines(results)
    assert any(
        s.startswith("falls falls from 70.0% with 100 images to 62.0% with 200") for s in said
    )
    assert "3 of 24 fits failed: lost at 100, 200 images." in said
    assert "No extrapolation of lost: it needs 4 measured sizes." in said
    _, rows = learning_page.table(results)
    cells = dict(rows)["lost"]
    assert [str(text) for text, _ in cells] == [
        "60.0 ± 0.0%", "failed", "70.0% (1 of 2)", "80.0 ± 0.0%", "-", "-",
    ]  # fmt: skip
    assert learning_page.failures(results) == [("lost (3 fits: 100 #1, 100 #2, 200 #2)", "no room")]


def test_one_draw_says_that_no_spread_is_known(curve_of):
    single = curve_of({"knn": [[row[0]] for row in CURVES["knn"]]})
    assert "no spread is known" in learning_said.protocol(single)
    assert "drawn 2 times" in learning_said.protocol(curve_of(CURVES))
    assert "1000 test images" in learning_said.protocol(single).replace(",", "")


def test_what_is_measured_is_solid_and_what_is_not_dashed(curve_of):
    results = curve_of(CURVES)
    axes = learning_plot.learning_curves(results).axes[0]
    assert axes.get_xscale() == "log"
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    solid = [line for line in lines if line.get_linestyle() == "-"]
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert len(solid) == len(dashed) == 2
    for line, method in zip(solid, results.methods, strict=True):
        assert line.get_xdata().tolist() == SIZES.tolist()
        assert line.get_ydata() == pytest.approx([100 * p.mean for p in method.points])
    for line in dashed:
        assert min(line.get_xdata()) >= 0.999 * SIZES[-1]
        assert max(line.get_xdata()) == pytest.approx(10 * SIZES[-1])
    legend = " ".join(t.get_text() for t in axes.figure.legends[0].get_texts())
    assert "lowest to highest of 2 draws" in legend
    assert "extrapolated" in legend


@pytest.mark.parametrize("figures", [{"猫 onnx": [[0.5]] * 4}, {"a": [[1.0, 1.0]] * 4}])
def test_any_name_and_any_figures_can_be_drawn(curve_of, figures, tmp_path):
    learning_plot.learning_curves(curve_of(figures), "猫").savefig(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 5000


def test_one_size_is_drawn_as_points(curve_of):
    results = curve_of({"a": [[0.5, 0.6]], "b": [[0.7, 0.8]]}, sizes=(50,))
    low, high = learning_plot.learning_curves(results).axes[0].get_xlim()
    assert low < 50 < high


def test_the_page_holds_the_answer_the_drawing_and_marks_what_was_not_measured(curve_of, tmp_path):
    results = curve_of(CURVES | {"lost": [[None, None]] * 4})
    run.write_json(tmp_path / bench.RESULTS, results.model_dump(mode="json"))
    request = {
        "command": "sightline curve 照片/", "started": run.now(), "environment": run.environment(0),
    }  # fmt: skip
    run.write_json(tmp_path / bench.REQUEST, request)
    data = sightline.load_data("digits")
    page = learning_page.write(tmp_path, data, language="zh").read_text(encoding="utf-8")
    assert page.startswith('<!doctype html>\n<html lang="zh"')
    said = learning_said.answer(results)
    for text in (str.__str__(said), said.zh, "sightline curve 照片/", "no room"):
        assert markup.escape(text) in page
    assert page.count("<svg") == 1
    assert len(re.findall(r"<td><i>", page)) == 4
    assert "（外推）" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    X = (random.integers(0, 120, (120, 6, 6)) + 60 * y[:, None, None]).astype(np.uint8)
    folder = tmp_path_factory.mktemp("curves")
    return sightline.curve(
        (X, y), ["nearest-mean", "majority"], sizes=[8, 16, 32, 64], seeds=2, folder=folder,
        threads=1,
    )  # fmt: skip


def test_arrays_have_curves_too(curves):
    assert [m.name for m in curves.methods] == ["nearest-mean", "majority"]
    assert curves.report.name == html.REPORT
    assert curves.report.exists()
    assert repr(curves).startswith("LearningCurve(arrays, 8 to 64 images: nearest-mean ")
    assert "Twice as many training images (128)" in curves.answer
    assert "extrapolated" in curves._repr_html_()
    assert sightline.LearningCurve(curves.folder).results == curves.results


def test_every_fit_is_a_row_of_the_frame(curves):
    frame = curves.to_frame()
    assert len(frame) == 16
    own = frame[(frame["method"] == "nearest-mean") & (frame["size"] == 16)]
    assert own["figure"].mean() == pytest.approx(curves.methods[0].points[1].mean)
    assert set(frame["images"]) == {8, 16, 32, 64}


def test_a_result_draws_itself(curves):
    assert len(curves.plot().axes) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"seeds": 0}, "seeds=0"), ({"seeds": "many"}, "seeds is"), ({"sizes": "100"}, "sizes are"),
     ({"sizes": [10.5]}, "sizes are"), ({"sizes": []}, "sizes is empty"),
     ({"sizes": [1]}, "smallest is 20"), ({"progress": 3}, "progress is"),
     ({"methods": "knnn"}, "did you mean 'knn'"), ({"budget": -1}, "budget must"),
     ({"folder": 3}, "folder is"), ({"threads": 0}, "threads")],
    ids=str,
)  # fmt: skip
def test_arguments_that_cannot_be_are_one_line(changed, message, tmp_path):
    given = {"methods": ["majority"], "folder": tmp_path / "c"} | changed
    with pytest.raises(sightline.SightlineError, match=message) as raised:
        sightline.curve("digits", **given)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "c").glob("fits/*"))


def test_a_folder_without_curves_is_refused(tmp_path):
    with pytest.raises(RunError):
        sightline.LearningCurve(tmp_path)
    with pytest.raises(ParameterError):
        sightline.LearningCurve(3)
