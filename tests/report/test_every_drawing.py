"""Every drawing of the package goes through one door, and shows names of any script whole."""

from __future__ import annotations

import ast
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from matplotlib.backends.backend_agg import RendererAgg
from PIL import Image, ImageDraw

import sightline
from sightline.bench import curve_summary
from sightline.bench.curve_results import CurveEntry, CurveResults, FitEntry, PointEntry
from sightline.bench.results import DataEntry, EnvironmentEntry, MethodEntry
from sightline.data import draw as sheets
from sightline.data import fonts
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.transforms import Preprocess
from sightline.deploy import cost as costs
from sightline.deploy.queueing import Server
from sightline.estimators.tuning import Trial, Tuned
from sightline.explain import (
    anchors,
    detect_proposals,
    embedding,
    feature_maps,
    filters,
    gradients,
    neighbours,
    overfit,
    style_layers,
    truth,
)
from sightline.explain.maps import Map
from sightline.explain.opened import Picture
from sightline.explain.seen import Eye, Seen
from sightline.explain.synthesis import Ascent
from sightline.explain.target import Target
from sightline.metrics import anomaly, generate, multilabel, regress, segment
from sightline.metrics.detect import Evaluation
from sightline.metrics.instances import Evaluation as Instances
from sightline.metrics.instances_table import Masks
from sightline.models.backprop.gradient_check import LayerCheck
from sightline.models.classic.optimize import minimize
from sightline.models.classic.surfaces import SURFACES
from sightline.models.describe import Description, Layer
from sightline.models.detect.assignment import Assignment
from sightline.models.detect.boxes import iou
from sightline.report import (
    anomaly_plots,
    architecture,
    classify,
    classify_plots,
    cost,
    curves,
    descent,
    detect_plots,
    embedding_page,
    generate_plots,
    instances_plots,
    learning_plot,
    multilabel_plots,
    plots,
    regress_plots,
    segment_plots,
    style_plots,
    textbook,
)
from sightline.report import maps as shown_maps
from sightline.training.probe import LrCurve
from sightline.types import (
    Anomaly,
    Classification,
    Detections,
    Frame,
    Neighbours,
    Segmentation,
    Task,
)

ROOT = Path(sightline.__file__).parent
FOX = "\U0001f98a"
CLASSES = ("猫", "狗 dog", "قطة", f"{FOX} fox")
TITLE = f"猫 قطة {FOX}"
RNG = np.random.default_rng(0)


def detected():
    """A picture with an object of each class, all but one of them answered, one of them wrongly."""
    boxes = [[10 * i, 0, 10 * i + 8, 8] for i in range(4)]
    truth = Detections(boxes, range(4), CLASSES)
    answer = Detections(boxes[:3], [0, 1, 3], CLASSES, [0.9, 0.8, 0.7])
    return Evaluation.of([truth], [answer], np.arange(1))


def segmented():
    """A picture with all classes, of which two are mistaken for each other at a pixel."""
    truth = np.arange(16, dtype=np.uint8).reshape(4, 4) % 4
    answer = truth.copy()
    answer[0, :2] = 1, 255
    sides = ([Segmentation(values, CLASSES)] for values in (truth, answer))
    return segment.Evaluation.of(*sides, np.arange(1))


def labelled():
    """Six pictures with up to four labels, some of them told wrongly."""
    truth = np.arange(24).reshape(6, 4) % 3 > 0
    said = np.linspace(0.05, 0.95, 24).reshape(6, 4)
    return multilabel.Evaluation.of(said, truth, np.arange(6), CLASSES)


def graded():
    """Two pictures of each kind of defect, and two good ones, with their scores."""
    answers = [
        anomaly.Judged(i, i % 4, Anomaly(0.1 * i + 0.05, None, Frame((4, 4))), None)
        for i in range(8)
    ]
    return anomaly.Evaluation.of(answers, CLASSES)


def made():
    """Twelve pictures of four classes, and as many made ones."""
    rows, seen = RNG.normal(size=(3, 12, 2)).astype(np.float32), np.ones(12)
    picture = np.zeros((2, 4, 4, 1), np.uint8)
    return generate.Evaluation.of(
        real=rows[0], made=rows[1], floor=rows[2], chances=np.eye(4, dtype=np.float32)[[0, 1] * 6],
        near=seen, unseen=seen, errors={"psnr": seen}, shown=picture, nearest=picture,
        rows=np.arange(12), judge=TITLE,
    )  # fmt: skip


def masked():
    """A picture with an object of each class and its mask, all but one answered, one wrongly."""
    shapes = np.eye(4, dtype=bool)[:, None].repeat(2, 1)
    truth = Masks.of_shapes(list(shapes), (2, 4), range(4), CLASSES)
    answer = Masks.of_shapes(list(shapes[:3]), (2, 4), [0, 1, 3], CLASSES, scores=[0.9, 0.8, 0.7])
    return Instances.of([truth], [answer], np.arange(1))


def anchored():
    """A picture with an object of each class, and an anchor for each but the last."""
    boxes = torch.tensor([[10.0 * i, 0, 10 * i + 8, 8] for i in range(4)])
    objects = Detections(boxes.numpy(), range(4), CLASSES)
    assignment = Assignment(
        boxes[:3], torch.zeros(3, dtype=torch.int64), ("2 x 2",), iou(boxes, boxes[:3]),
        torch.arange(3), ("", "", "", "none overlaps it"),
    )  # fmt: skip
    return anchors.Explanation(TITLE, np.zeros((20, 50, 3), np.uint8), objects, assignment)


def proposed(data):
    regions = np.array([[1, 1, 9, 9], [3, 4, 12, 14]], np.float32)
    samples = [data.train[0], data.train[1]]
    return detect_proposals.Study(
        data, "train", samples, [regions] * 2, [1, 2], np.ones((2, 4)), 2, 4, 0.1, []
    )


def filtered(pixels):
    numbers = np.arange(len(pixels))
    kernels = filters.Kernels(TITLE, (5, 3, 6, 6), pixels, numbers, CLASSES[0])
    best = filters.Favourites(TITLE, (2, 3), 9, numbers, pixels, np.ones(5, np.float32))
    return filters.Filters(TITLE, [kernels], [best], Ascent(), [])


def followed(pixels):
    picture = Picture(TITLE, pixels, pixels, Frame((6, 6)), torch.zeros(1, 3, 6, 6))
    active = RNG.random((4, 3, 3)).astype(np.float32)
    layer = feature_maps.Maps(TITLE, (9, 3, 3), np.arange(4), active.mean((1, 2)), active, 1)
    return feature_maps.Way(TITLE, picture, [layer] * 2, [])


def embedded_names():
    """Pictures in the plane of every class, one of them without, with a copy and mistakes."""
    data = Dataset(TITLE, Source([Item(f"{i}", "") for i in range(8)], "RGB"), {}, CLASSES)
    eye = Eye(TITLE, TITLE, (8, 8), "crop", "RGB", np.asarray, classes=CLASSES)
    labels = np.array([0, 1, 2, 3, 0, 1, 2, -1])
    seen = Seen(eye, np.arange(8), labels, RNG.random((8, 2)), [CLASSES[0]] * 8, np.ones(8), [])
    return embedding.Embedding(
        data, seen, RNG.random((8, 2)), "tsne", TITLE, 0.9, 8, None, ["train"] * 8,
        np.zeros((8, 8, 8, 3), np.uint8), [(0, 4)],
    )  # fmt: skip


def dataset(task, folder):
    if task is Task.CLASSIFY:
        items = [Item(f"{i}", np.full((8, 8, 3), i, np.uint8), i % 4) for i in range(8)]
    elif task is Task.DETECT:
        boxes = np.array([[1.0, 1, 9, 9], [3, 4, 12, 14]])
        notes = [Annotation(20, 20, boxes, np.array(labels)) for labels in ((0, 1), (2, 3))]
        items = [Item(f"{i}", np.zeros((20, 20, 3), np.uint8), annotation=a)
                 for i, a in enumerate(notes)]  # fmt: skip
    else:
        Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) % 4).save(folder / "m.png")
        mask = Annotation(semantic=str(folder / "m.png"))
        items = [Item("0", np.zeros((4, 4, 3), np.uint8), annotation=mask)]
    return Dataset(
        TITLE, Source(items, "RGB"), {"train": np.arange(len(items))}, CLASSES, (task,),
        CLASSES if task is Task.SEGMENT else (),
    )  # fmt: skip


def answer():
    near = Neighbours(np.arange(4), np.ones(4), np.arange(4), np.full(4, 0.25))
    return Classification(np.array([0.4, 0.3, 0.2, 0.1]), CLASSES, neighbours=near)


def methods():
    return [
        MethodEntry(name=c, status="ok", headline=0.5 + i / 10, interval=(0.4, 0.9),
                    latency_ms=1.0 + i)
        for i, c in enumerate(CLASSES)
    ]  # fmt: skip


def sureness():
    return {c: (RNG.random(80) > 0.3, RNG.random(80)) for c in CLASSES}


def network():
    layer = Layer(
        TITLE, "Linear", TITLE, "Linear", (4,), None, None, parameters=10, multiply_adds=10,
        field=None,
    )  # fmt: skip
    return Description((3, 8, 8), [layer], {TITLE: (4,)})


def tuned():
    scale = Preprocess(scale="unit")
    return Tuned([Trial({"k": k, "rule": c}, scale, (0.5, 0.6)) for c in CLASSES for k in (1, 2)],
                 1.0, 10)  # fmt: skip


def ways():
    surface = SURFACES["quadratic"]
    way = minimize(surface.f, surface.grad, surface.start, "gd", surface.hess, max_iter=20)
    return replace(surface, name=TITLE), dict.fromkeys(CLASSES, way)


def priced():
    prices = costs.read_prices()
    modes = {
        key: mode.model_copy(update={"title": title})
        for (key, mode), title in zip(prices.modes.items(), CLASSES * 9, strict=False)
    }
    return prices.model_copy(update={"currency": TITLE, "modes": modes})


def learned():
    points = [
        PointEntry(size=n, images=n, mean=1 - n**-0.5, low=1 - n**-0.5, high=1.0, fits=[
            FitEntry(draw=0, images=n, validation=9, status="ok", figure=1 - n**-0.5)
        ])
        for n in (10, 20, 40, 80)
    ]  # fmt: skip
    results = CurveResults(
        task="classify", metric="accuracy", sizes=(10, 20, 40, 80), seeds=2, tested=9,
        methods=[CurveEntry(name=c, points=points) for c in CLASSES],
        data=DataEntry(name="d", task="classify", classes=[], counts={}, fingerprint="f"),
        environment=EnvironmentEntry(device="cpu", threads=1, versions={}, seed=0),
    )  # fmt: skip
    curve_summary.complete(results)
    return results


def explained():
    pixels = RNG.integers(0, 256, (12, 16, 3), np.uint8)
    frame = Frame((12, 16), (0.5, 0.5), (1.0, 0.0))
    picture = Picture(TITLE, pixels, pixels[:8, :8], frame, torch.zeros(1, 3, 8, 8))
    none = torch.sum
    target = Target(TITLE, CLASSES[0], 0, 0.9, none, none, np.array([1, 1, 5, 5], np.float32))

    def judged(name):
        values = RNG.random((8, 8)).astype(np.float32)
        return truth.Judged(Map(name, values, CLASSES[2]), np.linspace(1, 0, 5), np.ones(5))

    stages = [truth.Stage(name, 0.5) for name in CLASSES]
    return truth.Explanation(
        TITLE, "detect", TITLE, picture, target, (target,), [judged("grad-cam"), judged("x")],
        [judged(name) for name in truth.NULLS], {"grad-cam": stages},
    )  # fmt: skip


def pictures(folder):
    """By module and function, a drawing with names of four scripts wherever names can stand."""
    X = RNG.random((8, 2))
    layer = LayerCheck(TITLE, (3, 8, 8), 10, 1e-9, 1e-9, 10, 0, 0.1, 2.0)
    points = [overfit.Point(w, r, 0.9, 0.8, 9.0) for r in overfit.REGULARISERS for w in (2, 4)]
    history = [{"epoch": e, "train_loss": 1 / e, "val_loss": 1.0} for e in (1, 2)]
    measured = costs.Measured(10, 1, 0.0, Server(each=0.01), 100, 8, 50, 10)
    pixels = RNG.integers(0, 256, (5, 6, 6, 3), np.uint8)
    return {
        "data.draw.contact_sheet": [
            sheets.contact_sheet(dataset(task, folder))
            for task in (Task.CLASSIFY, Task.DETECT, Task.SEGMENT)
        ],
        "explain.neighbours.draw": [
            neighbours.draw(neighbours.Explanation(pixels[0], answer(), pixels[1:]))
        ],
        "explain.gradients.draw": [
            gradients.draw(gradients.Explanation([layer] * 2, 10, 2, 0.1, 2.0), TITLE)
        ],
        "explain.anchors.draw": [anchors.draw(anchored())],
        "explain.detect_proposals.draw": [
            detect_proposals.draw(proposed(dataset(Task.DETECT, folder)))
        ],
        "report.maps.draw": [shown_maps.draw(explained())],
        "report.maps.curves": [shown_maps.curves(explained())],
        "report.maps.correlations": [shown_maps.correlations(explained())],
        "explain.style_layers.draw": [
            style_layers.draw(
                style_layers.Study(
                    pixels[0], pixels[0], TITLE, [(TITLE, [(c, pixels[0]) for c in CLASSES])] * 2
                )
            )
        ],
        "explain.overfit.draw": [overfit.draw(overfit.Study(points, TITLE, 9, 0.1))],
        "explain.filters.draw": [filters.draw(filtered(pixels))],
        "explain.feature_maps.draw": [feature_maps.draw(followed(pixels[0]))],
        "report.plots.headline_against_latency": [
            plots.headline_against_latency(methods(), CLASSES[0])
        ],
        "report.classify_plots.reliability": [classify_plots.reliability(sureness())],
        "report.classify_plots.coverage": [classify_plots.coverage(sureness())],
        "report.classify_plots.precision_recall": [
            classify_plots.precision_recall(
                np.arange(40) % 4, RNG.dirichlet(np.ones(4), 40), CLASSES
            )
        ],
        "report.embedding_page.draw": [embedding_page.draw(embedded_names())],
        "report.detect_plots.precision_recall": [
            detect_plots.precision_recall(detected().table, CLASSES)
        ],
        "report.detect_plots.costs": [detect_plots.costs(detected().errors)],
        "report.segment_plots.figures": [
            segment_plots.figures(dict.fromkeys(CLASSES, segmented()))
        ],
        "report.segment_plots.by_class": [segment_plots.by_class(segmented())],
        "report.segment_plots.confusion": [segment_plots.confusion(segmented(), TITLE)],
        "report.instances_plots.by_class": [instances_plots.by_class(masked(), CLASSES)],
        "report.instances_plots.counts": [instances_plots.counts(masked())],
        "report.classify_plots.confusion_matrix": [
            classify_plots.confusion_matrix(np.eye(4, dtype=np.int64), CLASSES, TITLE)
        ],
        "report.classify_plots.per_class_recall": [
            classify_plots.per_class_recall({c: RNG.random(4) for c in CLASSES}, CLASSES)
        ],
        "report.plots.tuning_curve": [plots.tuning_curve(tuned(), "k", TITLE)],
        "report.learning_plot.learning_curves": [
            learning_plot.learning_curves(learned(), TITLE)
        ],
        "report.curves.training_curves": [curves.training_curves(history, TITLE)],
        "report.curves.learning_rates": [
            curves.learning_rates(LrCurve([0.1, 1.0], [2.0, 1.0], 0.5), TITLE)
        ],
        "report.anomaly_plots.scores": [anomaly_plots.scores(graded())],
        "report.anomaly_plots.rates": [anomaly_plots.rates({TITLE: graded(), "cat 猫": graded()})],
        "report.multilabel_plots.by_label": [multilabel_plots.by_label(labelled())],
        "report.multilabel_plots.together": [
            multilabel_plots.together(labelled().together, CLASSES)
        ],
        "report.regress_plots.against": [
            regress_plots.against(regress.Evaluation.of(X[:, 0], X[:, 0] - 1, X[:, 0] + 1, X[:, 1],
                                                        np.arange(len(X))), TITLE)
        ],
        "report.architecture.draw": [architecture.draw(TITLE, network())],
        "report.cost.cost_against_volume": [
            cost.cost_against_volume(measured, priced(), 150, 1e6)
        ],
        "report.descent.paths": [descent.paths(*ways())],
        "report.generate_plots.figures": [generate_plots.figures(dict.fromkeys(CLASSES, made()))],
        "report.generate_plots.neighbours": [
            generate_plots.neighbours(
                np.zeros((3, 4, 4, 1), np.uint8), np.zeros((3, 2, 4, 4, 1), np.uint8),
                np.ones((3, 2)), TITLE,
            )
        ],
        "report.style_plots.losses": [
            style_plots.losses(
                [
                    {"step": n, "side": 64 * n, "content": n - 1, "style": 1 / n, "variation": 0.0}
                    | {f"style {c}": 1 / n for c in CLASSES}
                    for n in (1, 2)
                ]
            )
        ],
        "report.textbook.line": [textbook.line(*X.T, 1.0, 0.0, 0.9, CLASSES)],
        "report.textbook.plane": [
            textbook.plane(X, X[:, 0], np.ones(2), 0.0, 0.9, (TITLE, *CLASSES[:2]))
        ],
        "report.textbook.logistic_curve": [textbook.logistic_curve(1.0, 0.0)],
        "report.textbook.weight_images": [
            textbook.weight_images(RNG.random((4, 16)), (4, 4), CLASSES)
        ],
    }  # fmt: skip


NAMED = ("猫", "狗", FOX)  # what no font of matplotlib's has
NAMELESS = {
    "report.detect_plots.costs", "report.instances_plots.counts", "report.maps.curves",
    "report.textbook.logistic_curve",
}  # fmt: skip


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing from")
        yield


def test_every_figure_shows_names_of_any_script(install, tmp_path):
    install("Tiny", "".join(NAMED))
    drawings = pictures(tmp_path)
    with fonts.noticing() as lacking:
        for name, some in drawings.items():
            for drawing in some:
                fonts.save(drawing, tmp_path / f"{name}.png", dpi=40)
                assert not lacking, name
                assert plots.svg(drawing)
    assert not lacking


def test_every_figure_has_names_that_need_another_font(install, tmp_path):
    """Without it the names would be marks: so the test above looks at names."""
    for name, some in pictures(tmp_path).items():
        for drawing in some:
            with fonts.noticing() as lacking:
                fonts.save(drawing, tmp_path / "a.png", dpi=40)
            assert bool(lacking) == (name not in NAMELESS), name


def test_an_animation_shows_names_of_any_script(install, tmp_path):
    for characters in ("", "".join(NAMED)):
        install("Tiny", characters)
        with fonts.noticing() as lacking:
            descent.animate(*ways(), tmp_path / "a.gif")
        assert bool(lacking) == (not characters)


def test_every_function_that_gives_a_figure_is_drawn_here(tmp_path):
    found = {
        f"{path.parent.name}.{path.stem}.{node.name}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.returns
        and ast.unparse(node.returns) == "Figure" and not node.name.startswith("_")
    } - {"data.fonts.figure", "report.comparison.plot", "report.learning.plot"}  # fmt: skip
    assert found == set(pictures(tmp_path))


# --- numbers of ticks ---------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch):
    """What matplotlib draws: pairs of a text and whether it is taken as mathematics."""
    texts = []
    before = RendererAgg.draw_text
    formula = RendererAgg.draw_mathtext

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        if not ismath:
            texts.append((s, False))
        return before(self, gc, x, y, s, prop, angle, ismath, mtext)

    def draw_mathtext(self, gc, x, y, s, prop, angle):
        texts.append((s, True))
        return formula(self, gc, x, y, s, prop, angle)

    monkeypatch.setattr(RendererAgg, "draw_text", draw_text)
    monkeypatch.setattr(RendererAgg, "draw_mathtext", draw_mathtext)
    return texts


def literal_formulas(texts):
    return [text for text, formula in texts if "mathdefault" in text and not formula]


def test_no_figure_shows_the_source_of_a_formula(written, tmp_path):
    for name, some in pictures(tmp_path).items():
        for drawing in some:
            with fonts.noticing():
                fonts.save(drawing, tmp_path / "a.png", dpi=40)
        assert not [text for text, _ in written if "$" in text or "mathdefault" in text], name
    assert written


def test_a_formula_that_is_drawn_as_its_source_is_seen(written, tmp_path):
    drawing = fonts.figure(4, 3)
    drawing.text(0, 0.5, r"$\mathdefault{4\times10^{-2}}$")
    fonts.save(drawing, tmp_path / "a.png")
    assert len(literal_formulas(written)) == 1


@pytest.mark.parametrize(
    ("scale", "low", "high", "wanted"),
    [
        ("log", 0.038, 0.062, {"0.04", "0.05", "0.06"}),
        ("log", 0.9, 1100, {"1", "10", "100", "1,000"}),
        ("log", 0.9e-9, 1.1e-6, {"10⁻⁹", "10⁻⁸", "10⁻⁷", "10⁻⁶"}),
        ("log", 2e7, 5e7, {"2×10⁷", "3×10⁷", "4×10⁷"}),
        ("symlog", -15, 15, {"−10", "−1", "0", "1", "10"}),
        ("logit", 0.09, 0.91, {"0.1", "0.5", "0.9"}),
    ],
)
def test_ticks_of_logarithms_are_plain_numbers(written, tmp_path, scale, low, high, wanted):
    drawing = fonts.figure(6, 3)
    axes = drawing.add_subplot()
    axes.set_yticks([])
    axes.set_xscale(scale)
    axes.set_xlim(low, high)
    for _ in range(2):  # the second drawing is like the first
        written.clear()
        fonts.save(drawing, tmp_path / "a.png")
        assert wanted <= {text for text, _ in written}
        assert not [text for text, formula in written if formula or "$" in text]


def test_ticks_of_colour_bars_and_twins_are_plain_numbers(written, tmp_path):
    from matplotlib.colors import LogNorm

    drawing = fonts.figure(6, 3)
    axes, other = drawing.subplots(1, 2)
    drawing.colorbar(axes.imshow([[0.002, 0.008]], norm=LogNorm()), ax=axes)
    twin = other.twinx()
    twin.set_yscale("log")
    twin.set_ylim(0.038, 0.062)
    fonts.save(drawing, tmp_path / "a.png")
    assert {"0.002", "0.006", "0.04", "0.06"} <= {text for text, _ in written}
    assert not [text for text, formula in written if formula or "$" in text]


def test_names_with_dollars_stay_as_they_are_and_offsets_are_formulas(written, tmp_path):
    drawing = fonts.figure(6, 3)
    axes = drawing.add_subplot(title="$5 to $9")
    axes.set_xticks([1, 2], ["a$b$c", "d"])
    axes.set_xticks([1.5, 1.7], ["m$x$", "e"], minor=True)
    axes.ticklabel_format(axis="y", useMathText=True)
    axes.set_ylim(0, 3e8)
    axes.plot([1, 2], [1, 2], label="$l$")
    axes.legend()
    fonts.save(drawing, tmp_path / "a.png")
    assert {("$5 to $9", False), ("a$b$c", False), ("m$x$", False), ("$l$", False)} <= set(written)
    assert any(formula and "10^{8}" in text for text, formula in written)
    assert not literal_formulas(written)


# --- the picture with its answer ---------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The parts of lines that Pillow draws, each with the characters of its font."""
    parts = []
    before = ImageDraw.ImageDraw.text

    def text(self, xy, text, *args, font, **options):
        path, index = font.path, font.index
        parts.append((text, set(TTFont(path, fontNumber=index).getBestCmap()), xy))
        return before(self, xy, text, *args, font=font, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return parts


def annotated(size=(200, 100), names=CLASSES, **options):
    said = Classification(np.array([0.4, 0.3, 0.2, 0.1]), names)
    ways = {"top": 4, "threshold": 0.0} | options
    return classify.annotate(Image.new("RGB", size, "red"), said, **ways)


def test_annotate_draws_every_glyph(install, drawn):
    install("Tiny", "".join(NAMED))
    with fonts.noticing() as lacking:
        annotated()
    assert not lacking
    assert "".join(text for text, *_ in drawn).replace(" ", "") == (
        f"猫40%狗dog30%قطة20%{FOX}fox10%"
    )
    for text, characters, _ in drawn:
        assert set(map(ord, text)) <= characters, text


def test_annotate_marks_what_no_font_has(install, drawn):
    with fonts.noticing() as lacking:
        annotated()
    assert set(lacking) == set(NAMED)
    for text, characters, _ in drawn:
        assert set(map(ord, text)) <= characters, text


def test_annotate_leaves_the_picture_and_adds_lines_below():
    sheet = np.asarray(annotated((400, 300), ("a", "b", "c", "d"), top=2))
    assert sheet.shape[1] == 400
    assert (sheet[:300] == (255, 0, 0)).all()
    rows = sheet[300:]
    assert (rows[4, 158] == (159, 211, 191)).all()  # 0.4 of 400 pixels are green
    assert (rows[4, 162] == 255).all()
    below = np.asarray(annotated((400, 300), ("a", "b", "c", "d"), top=2, threshold=0.5))[300:]
    assert not (below == (159, 211, 191)).all(2).any()


def test_annotate_enlarges_small_pictures():
    assert annotated((8, 16), ("a", "b", "c", "d"), top=1).size[0] == 160


def test_annotate_cuts_a_name_and_keeps_its_score(install, drawn):
    annotated((200, 100), ("x" * 90, "b", "c", "d"))
    line = next(text for text, *_ in drawn if "x" in text)
    assert line.endswith("x… 40%")
    assert 370 < fonts.width(line, 12) <= 392  # of 400, as the picture is enlarged


# --- one door ----------------------------------------------------------------------------------


def past_the_door(source):
    """What of a module's text draws without the door."""
    tree = ast.parse(source)
    hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import) and id(node) not in hints:
            names = [a.name for a in node.names]
            whole = [f"{getattr(node, 'module', '') or ''}.{n}".strip(".") for n in names]
            if any(
                n.startswith(("matplotlib.figure", "matplotlib.pyplot", "pylab", "PIL.ImageFont"))
                for n in whole
            ):  # fmt: skip
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and node.attr in ("savefig", "ImageFont", "pyplot"):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("from matplotlib.figure import Figure", 1),
        ("def f():\n    import matplotlib.figure", 1),
        ("from matplotlib import figure", 1),
        ("import matplotlib.pyplot as plt", 1),
        ("from PIL import Image, ImageFont", 1),
        ("drawing.savefig(1)", 1),
        ("if TYPE_CHECKING:\n    from matplotlib.figure import Figure", 0),
        ("from matplotlib.patches import Patch", 0),
    ],
)
def test_the_watchman_sees(source, count):
    assert len(past_the_door(source)) == count


def test_no_module_draws_past_the_door():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(ROOT.rglob("*.py"))
        if path != ROOT / "data/fonts.py"
        and (lines := past_the_door(path.read_text(encoding="utf-8")))
    }
    assert not found
    assert past_the_door((ROOT / "data/fonts.py").read_text(encoding="utf-8"))
