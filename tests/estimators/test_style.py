"""Networks that draw in a style, from a folder of pictures to an exported file."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import sightline
from sightline.cli import main
from sightline.data.images import frame_of
from sightline.deploy import style as deployed
from sightline.deploy.style_edge import answer as edge
from sightline.errors import DataError, ParameterError
from sightline.models.style import losses
from sightline.models.style.transformer import FastStyle
from sightline.types import Frame

RNG = np.random.default_rng(0)
TINY = {"size": 48, "part": 32, "epochs": 1, "least_steps": 1, "device": "cpu", "workers": 0}


def photograph(path, size):
    Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8)).resize(size).save(path)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main.status([str(w) for w in words])
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of several sizes, of which nothing is known, and a style beside them."""
    place = tmp_path_factory.mktemp("data")
    photos = place / "照片"
    photos.mkdir()
    for i in range(12):
        photograph(photos / f"{i}.jpg", (60 + i, 48))
    (photos / "README.md").write_text("holiday")
    photograph(place / "style.jpg", (50, 40))
    return place


@pytest.fixture(scope="module")
def model(folder):
    data = sightline.load_data(folder / "照片")
    made = sightline.create_model("fast-style-small", style=str(folder / "style.jpg"), **TINY)
    return made.fit(data.train, data.val)


def test_training_lowers_the_loss_and_a_run_keeps_the_drawings(folder, model, tmp_path):
    data = sightline.load_data(folder / "照片")
    assert data.layout == "photographs"
    assert not data.classes
    again = sightline.load_model(model.save(tmp_path / "run"))
    a, b = (m.predict(data.test)[0].images[0] for m in (model, again))
    assert np.array_equal(a, b)
    assert a.shape == data.test[0].image.shape
    assert {"val_loss", "val_style", "val_content"} <= set(model.history[-1])


def test_it_learns_the_style(folder):
    data = sightline.load_data(folder / "照片")
    knobs = TINY | {"epochs": 12, "batch_size": 4, "lr": 5e-3, "alpha": 0.0, "precision": "32-true"}
    made = sightline.create_model("fast-style-small", style=str(folder / "style.jpg"), **knobs)
    made.fit(data.train, data.val)
    assert made.history[-1]["val_style"] < made.history[0]["val_style"] * 0.7


def test_the_figures_are_those_of_the_optimisation(model):
    """Of one picture: the distances of `models.style.losses`, which the pixels are moved by."""
    from sightline.estimators.style_transfer import perceive

    drawn, picture = torch.rand(2, 1, 3, 32, 40).unbind(0)
    method = model.method_
    figures = method.measure("cpu")(drawn, picture)
    seen, _ = perceive("auto")
    content = losses.content_distance(
        seen(drawn)[seen.layers.content[0]], seen(picture)[seen.layers.content[0]]
    )
    torch.testing.assert_close(figures["content"][0], content)
    torch.testing.assert_close(figures["variation"][0], losses.total_variation(drawn))
    look = torch.from_numpy(method.style_.copy()).permute(2, 0, 1)[None].float() / 255
    look = torch.nn.functional.interpolate(
        look, scale_factor=32 / 50, mode="bilinear", antialias=True
    )
    styles = [
        losses.style_distance(losses.gram(seen(drawn)[n]), losses.gram(seen(look)[n]))
        for n in seen.layers.style
    ]
    torch.testing.assert_close(figures["style"][0], torch.stack(styles).mean(), rtol=1e-3, atol=0)


def test_evaluation_and_its_paired_test(folder, model):
    from sightline.metrics.style import Evaluation, differ

    data = sightline.load_data(folder / "照片")
    measured = model.evaluate(data.test)
    again = Evaluation.restored(measured.arrays())
    assert again.metrics == measured.metrics
    assert differ(measured, again, 0.01).difference == 0
    assert measured.metrics.headline == pytest.approx(measured.figures["style"].mean())


def test_an_export_draws_the_same(folder, model, tmp_path):
    pytest.importorskip("onnxruntime")
    from sightline.deploy import export
    from sightline.deploy.runtime import Runtime

    run = model.save(tmp_path / "run")
    export.export(run, tmp_path / "a.onnx")
    picture = Image.open(folder / "照片/3.jpg")
    mine, theirs = model.predict([picture]), Runtime(tmp_path / "a.onnx").predict([picture])
    off, alike = deployed.agreement(mine, theirs)
    assert off <= 0.02
    assert alike == 1
    told = deployed.document(theirs[0])
    row = deployed.row(told)
    assert set(row) == {name for name, _ in deployed.columns()}
    read = np.asarray(Image.open(io.BytesIO(row["picture"])))
    assert np.array_equal(read, theirs[0].images[0])


def test_a_bundle_draws_what_the_server_does():
    """From the graph's output to the PNG, without this package."""
    picture = RNG.integers(0, 256, (32, 48, 3), np.uint8)
    about = {"size": [32, 48], "resize": "pad"}
    for shape in ((60, 50), (20, 90), (32, 48)):
        frame = frame_of(shape, (32, 48), "pad")
        said = edge({"picture": picture}, about, shape, 1)
        coded = base64.b64decode(str(said["picture"]).partition(",")[2])
        read = np.asarray(Image.open(io.BytesIO(coded)))
        (mine,) = deployed.decode({"picture": picture[None]}, None, [frame])
        assert np.array_equal(read, mine.images[0])


def test_a_drawing_comes_back_where_the_picture_was():
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, 2:6] = 200  # between two borders
    frame = Frame((8, 8), (0.5, 0.5), (0.0, 2.0))
    assert frame.picture_out(picture).shape == (8, 8, 3)
    assert (frame.picture_out(picture) == 200).all()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 35)])
def test_drawings_have_the_size_of_their_pictures(size):
    out = FastStyle(4)(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert 0 <= out.min() <= out.max() <= 1


def test_the_paper_s_network_has_so_many_weights():
    for width, card in ((32, "fast-style"), (16, "fast-style-small")):
        weights = sum(p.numel() for p in FastStyle(width).parameters())
        assert weights == sightline.models.registry.card(card).parameters


def test_the_command_line(run, folder):
    words = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items()]
    photos = folder / "照片"
    status, out, err = run(
        "train", "fast-style-small", photos, "--style", folder / "style.jpg", "-o", "r", *words
    )
    assert status == 0, err
    assert "validation: style" in out
    status, out, err = run("predict", "r", photos / "1.jpg", "-o", "drawn")
    assert status == 0, err
    assert Image.open("drawn/1.png").size == (61, 48)
    status, out, err = run("eval", "r", photos, "--json")
    assert status == 0, err
    assert json.loads(out)["metrics"]["style"] > 0


def test_what_it_cannot_learn_from(folder, tmp_path):
    data = sightline.load_data(folder / "照片")
    with pytest.raises(ParameterError, match=r"style=picture\.jpg"):
        sightline.create_model("fast-style", **TINY).fit(data.train)
    with pytest.raises(DataError, match="no such file"):
        sightline.create_model("fast-style", style="no.jpg", **TINY).fit(data.train)
    with pytest.raises(ParameterError, match="cuts off"):
        sightline.create_model("fast-style", resize="crop")
    with pytest.raises(ParameterError, match="both 0"):
        sightline.create_model("fast-style", alpha=0.0, beta=0.0)
    with pytest.raises(DataError, match="nothing is known of its pictures"):
        sightline.create_model("knn").fit(data.train)
