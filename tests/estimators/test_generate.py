"""Networks that make pictures, from data to a run, by the one engine."""

import sys

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import DataError, ParameterError, RunError, UnknownNameError
from sightline.estimators import generate_judge
from sightline.estimators.generate_network import alternate
from sightline.estimators.generate_ways import arithmetic, between, from_noise, inpainted
from sightline.metrics.generate import Evaluation
from sightline.training.feed import steps_of
from sightline.types import Generated, Task

NAMES = ("autoencoder", "vae", "dcgan", "flow")
SMALL = {
    "autoencoder": {"width": 4, "latent": 4}, "vae": {"width": 16, "latent": 4},
    "dcgan": {"width": 4, "latent": 8}, "flow": {"width": 8, "steps": 2, "conditional": True},
}  # fmt: skip
FAST = {"epochs": 2.0, "batch_size": 32, "least_steps": 1, "device": "cpu", "precision": "32-true"}
RNG = np.random.default_rng(0)


def made(name, **more):
    return sightline.create_model(name, **(FAST | SMALL[name] | more))


def pictures(n, classes=3, side=8, channels=1):
    """Blobs whose place says their class."""
    y = np.arange(n) % classes
    X = RNG.integers(0, 40, (n, side, side, channels)).astype(np.uint8)
    for i, label in enumerate(y):
        X[i, 2 : 2 + side // 3, 2 * label : 2 * label + side // 3] = 220
    return X, y


@pytest.fixture(scope="module")
def data():
    X, y = pictures(150)
    return sightline.load_data({"train": (X[:90], y[:90]), "val": (X[90:120], y[90:120]),
                                "test": (X[120:], y[120:])})  # fmt: skip


@pytest.fixture(scope="module")
def models(data):
    return {name: made(name).fit(data.train, data.val) for name in NAMES}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(generate_judge, "EPOCHS", 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_makes_the_same_pictures_for_a_seed(models, name, tmp_path):
    model = models[name]
    a = model.generate(5, seed=3)
    assert a.shape == (5, 8, 8, 1)
    assert a.dtype == np.uint8
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert np.array_equal(a, again.generate(5, seed=3))
    assert not np.array_equal(a, again.generate(5, seed=4))
    drawn = again.predict([model.generate(1)[0]])[0]
    assert isinstance(drawn, Generated)
    assert drawn.images.shape == (1, 8, 8, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_makes_the_same_pictures(data, name, tmp_path):
    whole = made(name, epochs=3.0).fit(data.train, data.val)

    class StopError(Exception):
        pass

    def stop(row):
        if row["epoch"] == 1:
            raise StopError

    with pytest.raises(StopError):
        made(name, epochs=3.0).fit(data.train, data.val, folder=tmp_path, on_epoch=stop)
    resumed = made(name, epochs=3.0).fit(data.train, data.val, folder=tmp_path, resume=True)
    assert len(resumed.history) == 3
    assert np.array_equal(whole.generate(4), resumed.generate(4))
    for one, other in zip(whole.arrays().values(), resumed.arrays().values(), strict=True):
        assert np.array_equal(one, other)


def test_each_step_of_a_gan_touches_its_own_network_only(data):
    training = made("dcgan").training(data.train)
    x = torch.randn(8, 1, 8, 8)
    batch = (x, torch.ones(8, 1))
    plain = training.plain
    states = []
    for optimizer in training.optimizers:
        inner = optimizer.optimizer
        step = inner.step

        def watched(*args, step=step, **kwargs):
            states.append({k: v.clone() for k, v in plain.named_parameters()})
            out = step(*args, **kwargs)
            states.append({k: v.clone() for k, v in plain.named_parameters()})
            return out

        inner.step = watched
    alternate(training, batch)
    assert len(states) == 4
    for number, part in enumerate(("discriminator", "generator")):
        before, after = states[2 * number], states[2 * number + 1]
        changed = {k for k in before if not torch.equal(before[k], after[k])}
        assert changed
        assert all(k.startswith(part) for k in changed)


def test_training_watches_what_suits_each(models, data):
    assert {"val_told_apart", "val_spread"} <= set(models["dcgan"].history[-1])
    for name in ("autoencoder", "vae", "flow"):
        losses = [row["train_loss"] for row in models[name].history]
        assert losses[-1] < losses[0]
        assert "val_loss" in models[name].history[-1]
    assert models["flow"].history[-1]["step"] == 2 * steps_of(90, 32)


def test_a_discriminator_that_has_won_is_said(data):
    model = made("dcgan").fit(data.train)
    method = model.method_
    method.remarks = []
    method.history_ = [{"val_told_apart": 1.0}] * 3
    method.watch()
    assert any(line.startswith("diverged") for line in method.remarks)
    method.remarks, method.history_ = [], [{"val_told_apart": 0.9}] * 3
    method.watch()
    assert method.remarks == []


def test_an_evaluation_of_a_vae_says_what_its_bound_is_of(models, data, tmp_path):
    from sightline.report import html

    measured = models["vae"].evaluate(data.test)
    assert {"frechet", "floor", "coverage", "copying", "bound", "elbo", "psnr"} <= set(
        measured.metrics
    )
    assert "binarised" in measured.beside["bound"]
    assert measured.metrics["elbo"] < measured.metrics["bound"]
    assert "convnet" in measured.judge
    again = Evaluation.restored(measured.arrays())
    assert again.metrics == measured.metrics
    assert models["vae"].score(data.test) == measured.metrics  # the same noise, the same draws
    folder = models["vae"].save(tmp_path / "run")
    html.training(folder, models["vae"], data, measured, 1.0)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What do the methods make?" in page
    assert "这些是复制品吗" in page


def test_copies_are_found(models, data):
    """Training pictures in the place of made ones: each is nearest to itself, at 0."""
    X = data.train.arrays().X[:6]
    near = models["flow"].nearest(X, data)
    assert near.distances[:, 0] == pytest.approx(np.zeros(6), abs=1e-6)
    assert np.array_equal(near.pictures[:, 0], X)
    assert near.copying == 1.0


def test_ways_through_noise(models, data):
    X = data.test.arrays().X[:3]
    for name, model in models.items():
        method = model.method_
        way = arithmetic(method, X, 4)
        assert way.shape == (4, 8, 8, 1)
        again = method.reconstructed(X[:1])
        assert np.abs(way[0].astype(int) - again[0]).max() <= 1  # begins at the first picture
        labels = model.labels_for(2)
        steps = from_noise(method, method.noise(2, 0), labels, 3)
        assert np.abs(steps[-1].astype(int) - method.draw(method.noise(2, 0), labels)).max() <= 1
        assert len(steps) == 3, name
    a, b = np.array([3.0, 0], np.float32), np.array([0, 3.0], np.float32)
    middle = between(a, b, [0.0, 0.5, 1.0])
    assert np.linalg.norm(middle, axis=1) == pytest.approx([3, 3, 3])
    assert between(a, a, [0.5])[0] == pytest.approx(a)


def test_a_part_is_made_anew_and_the_rest_stays(models, data):
    X = data.test.arrays().X[:3]
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    for name in ("autoencoder", "vae", "flow"):
        filled = inpainted(models[name].method_, X, mask)
        assert np.array_equal(filled[:, :, :4], X[:, :, :4])
        assert not np.array_equal(filled[:, :, 4:], X[:, :, 4:])
    for wrong, words in ((np.zeros((4, 4), bool), "4 x 4"), (mask & False, "covers nothing"),
                         (mask | True, "all of the picture")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            inpainted(models["vae"].method_, X, wrong)


def test_classes(models, data):
    flow = models["flow"]
    assert flow.class_number(data.classes[1]) == 1
    assert np.array_equal(flow.labels_for(4), [0, 1, 2, 0])
    with pytest.raises(UnknownNameError, match="unknown class"):
        flow.generate(2, name="zebra")
    with pytest.raises(ParameterError, match="knows no classes: train vae with conditional=True"):
        models["vae"].generate(2, name=data.classes[0])
    with pytest.raises(ParameterError, match="makes pictures without steps"):
        models["vae"].generate(2, steps=3)
    for n, seed in ((0, 0), (3, -1), (3, 2**32)):
        with pytest.raises(ParameterError, match="must be"):
            flow.generate(n, seed=seed)


@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_others_can_be_told_classes(data, name):
    model = made(name, conditional=True).fit(data.train)
    a, b = (model.generate(3, name=label) for label in data.classes[:2])
    assert not np.array_equal(a, b)
    with pytest.raises(ParameterError, match="have none"):
        made(name, conditional=True).fit(bare(12).train)


def bare(n, side=8, channels=3):
    """Pictures of which nothing is known."""
    X, _ = pictures(n, 1, side, channels)
    known = sightline.load_data((X, np.zeros(n, int)))
    object.__setattr__(known, "classes", ())
    known.tasks = (Task.STYLE,)
    return known


def test_what_it_cannot_learn_from(data):
    one = data.train.take(np.arange(1))
    with pytest.raises(DataError, match="at least 2 images"):
        made("flow").fit(one)
    X, y = pictures(12, side=6)
    with pytest.raises(DataError, match="dcgan needs images of at least 8 pixels"):
        made("dcgan").fit(sightline.load_data({"train": (X, y)}).train)
    with pytest.raises(DataError, match="not nan to nan"):
        sightline.load_data({"train": (np.full((4, 8, 8), np.nan), np.arange(4) % 2)})
    for knob, words in (
        ({"steps": 0}, "steps must be at least 1"), ({"guidance": -1.0}, "guidance must not be"),
        ({"weights": "imagenet"}, "no published weights"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=words):
            made("flow", **knob)
    with pytest.raises(ParameterError, match="mask every pixel"):
        made("autoencoder", corruption="masking", noise=1.0)
    with pytest.raises(ParameterError, match="one device"):
        made("dcgan", accumulate=2)


def test_judges(models, data, tmp_path, monkeypatch):
    fitted = models["vae"].fitted()
    few = generate_judge.judge_of("auto", data, fitted, 30)
    assert few.name.startswith("3 logits of convnet")
    many = generate_judge.judge_of("auto", data, fitted, 400)  # the same classifier, from the cache
    assert many.name.startswith("84 features of convnet")
    assert many.name.endswith("right on validation images")
    assert many.features(data.test.arrays().X).shape == (30, 84)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(ParameterError, match="torchmetrics torch-fidelity"):
        generate_judge.judge_of("inception", data, fitted, 30)
    with pytest.raises((RunError, ParameterError)):
        generate_judge.judge_of("nowhere", data, fitted, 30)
    monkeypatch.setattr("sightline.models.carried.installed", lambda name: False)
    with pytest.raises(ParameterError, match="no classes that a judge"):
        generate_judge.judge_of("auto", bare(12), fitted, 30)


def test_the_ladder_of_any_data_with_pictures(data):
    from sightline.bench import compare

    methods, _ = compare.ladder(data, task="generate")
    assert methods == NAMES
    assert "flow" not in compare.ladder(data)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_training_can_be_looked_at_first(data, name):
    from sightline.training import probe

    told = probe.estimate(made(name).training(data.train))
    assert told.steps == 6
    with pytest.raises(ParameterError, match="does not fall to nothing"):
        probe.overfit_batch(made(name).training(data.train))


def test_networks_of_more_than_pictures_are_not_explained(models, data, tmp_path):
    from sightline.explain.opened import open_network

    for name, words in (("flow", "given more than pictures"), ("dcgan", "given more")):
        with pytest.raises(ParameterError, match=words):
            open_network(str(models[name].save(tmp_path / name)))
