"""What was trained on ImageNet is exported, served and bundled as a run is, with its licence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import sightline
from sightline.cli.main import status
from sightline.data import store
from sightline.deploy import edge, edge_runner, export
from sightline.deploy.runtime import Runtime
from sightline.deploy.server import serving
from sightline.errors import ParameterError, RunError
from sightline.estimators import load_model
from sightline.models import carried

NAME = "imagenet:efficientnet_lite0,names=zh"
PICTURES = {Path(p).stem: p for p in load_sample_images().filenames}

pytestmark = pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Export once for all tests: a folder for the edge."""
    folder = tmp_path_factory.mktemp("imagenet")
    patch = pytest.MonkeyPatch()
    patch.setenv("SIGHTLINE_HOME", str(folder / "home"))
    bundle = edge.bundle(NAME, folder / "bundle")
    patch.undo()
    return bundle


def test_the_file_answers_as_the_network_with_its_input(made):
    runtime, model = Runtime(made.exported.path), load_model(NAME)
    assert made.exported.agreement == 1
    assert (runtime.about.resize, runtime.about.size) == ("imagenet", (224, 224))
    assert "Apache-2.0" in runtime.about.licence
    same_size = Image.open(PICTURES["china"]).resize((224, 224))  # is cut, too
    for picture in (*PICTURES.values(), same_size):
        (ours,), (theirs,) = model.predict([picture]), runtime.predict([picture])
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-4)
    assert runtime.predict([PICTURES["flower"]])[0].name == "雏菊"


def test_the_bundle_says_the_licence_and_answers(made):
    readme = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "Its weights, as published: Apache-2.0" in readme
    pixels, _ = edge_runner.prepared(PICTURES["flower"], [224, 224], "RGB", "imagenet")
    assert (pixels == load_model(NAME).fitted_.prepare(PICTURES["flower"])[0]).all()


@pytest.fixture
def cached(made, home):
    """Put the export where the cache has it."""
    place = export._cached(NAME)
    place.parent.mkdir(parents=True)
    for part in made.exported.path.parent.glob("*.onnx"):
        (place.parent / part.name).write_bytes(part.read_bytes())
    assert place.is_relative_to(store.home())
    return place


def test_it_is_served_and_answers_in_bulk(cached, tmp_path, capsys):
    assert export.exported(NAME) == cached
    assert serving._named(NAME) == (NAME, cached)
    assert serving._named(f"lite={NAME}") == ("lite", cached)
    Image.open(PICTURES["flower"]).save(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "in/a.png")
    assert status(["predict", NAME, str(tmp_path / "in"), "-o", str(tmp_path / "o.parquet")]) == 0
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "o.parquet")["label"].to_pylist() == ["雏菊"]
    assert status(["cost", NAME]) == 2
    assert (
        "was not trained here; name a folder of pictures with --images" in capsys.readouterr().err
    )


def test_int8_says_that_it_needs_pictures(tmp_path):
    with pytest.raises(RunError, match="was not trained here, and needs pictures to be calibrated"):
        export.export(NAME, tmp_path / "a.onnx", precision="int8")


def test_other_peoples_files_are_not_exported_again(made, tmp_path):
    with pytest.raises(ParameterError, match="has no ONNX graph"):
        export.export(f"onnx:{made.exported.path}", tmp_path / "a.onnx")


def test_runs_on_its_features_keep_the_licence(tmp_path):
    data = sightline.load_data("digits")
    few = data.train.take(np.arange(40))
    model = sightline.create_model(
        "nearest-mean", data, features="imagenet:efficientnet_lite0", size=32
    ).fit(few)
    config = json.loads((model.save(tmp_path / "run") / "config.json").read_text())
    assert "Apache-2.0" in config["published_weights"]["licence"]
    assert "Apache-2.0" in load_model(tmp_path / "run").config["published_weights"]["licence"]
    plain = sightline.create_model("nearest-mean", data).fit(few)
    assert "published_weights" not in plain.config


def test_models_say_both_licences(capsys):
    assert status(["models", "show", "imagenet:efficientnet_lite0", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["licences"]["code"] == "MIT"
    assert "Apache-2.0" in document["licences"]["weights"]
    assert "not kept since" in document["weights_from"]
    assert "timm:tf_efficientnet_lite0" in document["weights_from"]
    assert status(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["efficientnet_lite0"]["licences"] == document["licences"]
    assert rows["efficientnet_lite3"]["licences"] == {"code": "MIT", "weights": None}
    assert "torchvision states none" in rows["resnet18"]["licences"]["weights"]
    assert rows["knn"]["licences"] == {"code": "MIT", "weights": None}
    assert status(["models", "show", "efficientnet_lite0"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "licence of the code: MIT" in said
    assert "licence of the published weights: Apache-2.0" in said
