"""Detectors as estimators: they learn, answer in the picture's pixels, and come back the same."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

import sightline
from sightline.data.transforms import Preprocess
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.estimators import backbone, proportions
from sightline.metrics.detect import Evaluation
from sightline.models import carried, registry
from sightline.models.detect import published
from sightline.models.detect.boxes import with_area
from sightline.models.detect.yolox import yolox
from sightline.training.boxes import Changed, Gathered
from sightline.types import Detections

KNOBS = {"epochs": 2, "device": "cpu", "workers": 0}


@pytest.fixture(scope="module")
def shapes():
    return sightline.load_data("shapes:count=60,size=64")


@pytest.fixture(scope="module")
def fitted(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model = sightline.create_model("ssd-small", shapes, **KNOBS)
    return model.fit(shapes.train, shapes.val, folder=folder), folder


def test_the_loss_falls_and_average_precision_is_watched(fitted):
    model, _ = fitted
    first, last = model.history
    assert last["train_loss"] < first["train_loss"]
    assert {"val_ap", "val_ap50"} <= last.keys()


def test_a_saved_run_answers_alike(fitted, shapes, tmp_path):
    model, _ = fitted
    model.tune_thresholds(model.evaluate(shapes.val))
    measured = model.evaluate(shapes.test)
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert again.thresholds == model.thresholds
    assert dict(again.score(shapes.test)) == dict(measured.metrics)
    assert "precision" in measured.metrics


def test_the_same_seed_gives_the_same_bits(fitted, shapes):
    model, _ = fitted
    again = sightline.create_model("ssd-small", shapes, **KNOBS).fit(shapes.train, shapes.val)
    for name, tensor in model.method_.model.state_dict().items():
        assert torch.equal(tensor, again.method_.model.state_dict()[name]), name


def test_a_resumed_training_ends_with_the_same_bits(fitted, shapes, tmp_path):
    model, _ = fitted
    half = sightline.create_model("ssd-small", shapes, **KNOBS)

    class StopError(Exception):
        pass

    def stop(row):
        raise StopError

    with pytest.raises(StopError):
        half.fit(shapes.train, shapes.val, folder=tmp_path, on_epoch=stop)
    whole = sightline.create_model("ssd-small", shapes, **KNOBS)
    whole.fit(shapes.train, shapes.val, folder=tmp_path, resume=True)
    for name, tensor in model.method_.model.state_dict().items():
        assert torch.equal(tensor, whole.method_.model.state_dict()[name]), name


def test_answers_are_in_the_pixels_of_the_picture(fitted, shapes):
    model, _ = fitted
    image = shapes.test[0].image
    wide = np.asarray(Image.fromarray(image).resize((192, 128), Image.Resampling.BILINEAR))
    small, large = model.predict([image, wide])
    assert len(small)
    assert len(large)
    assert (large.boxes >= 0).all()
    assert (large.boxes <= (192, 128, 192, 128)).all()
    assert large.boxes[:, 2].max() > 64
    assert (np.diff(large.scores) <= 0).all()


def test_the_floor_is_the_mean_box_of_each_class(tmp_path):
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("circle\n星\n", encoding="utf-8")
    boxes = [(0.5, 0.5, 0.2, 0.4), (0.3, 0.5, 0.4, 0.2)]
    for i, box in enumerate(boxes):
        Image.new("RGB", (40, 20)).save(folder / "images" / f"{i}.png")
        line = " ".join(map(str, (0, *box)))
        (folder / "labels" / f"{i}.txt").write_text(line, encoding="utf-8")
    data = sightline.load_data(folder)
    whole = data.with_rows({"train": np.arange(2)})
    model = sightline.create_model("average-box", whole, size=20).fit(whole.train)
    (answer,) = model.predict([Image.new("RGB", (100, 100))])
    corners = [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y, w, h in boxes]
    np.testing.assert_allclose(answer.boxes, [100 * np.mean(corners, 0)], rtol=1e-5)
    assert (answer.names, answer.scores.tolist()) == (["circle"], [1.0])
    assert isinstance(model.evaluate(whole.train), Evaluation)


def test_what_cannot_be_learned_or_measured_is_said(shapes, fitted, tmp_path):
    empty = shapes.with_rows({"train": shapes.rows["train"]})
    for item in empty.train.items:
        assert item.annotation is not None
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("a\n", encoding="utf-8")
    for i in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels" / f"{i}.txt").write_text("", encoding="utf-8")
    nothing = sightline.load_data(tmp_path, layout="yolo")
    rows = nothing.with_rows({"train": np.arange(3)})
    with pytest.raises(DataError, match="no object"):
        sightline.create_model("average-box", rows).fit(rows.train)
    model, _ = fitted
    with pytest.raises(DataError, match="not trained on: a"):
        model.evaluate(rows.train)
    with pytest.raises(UnknownNameError, match="augment"):
        sightline.create_model("ssd-small", augment="all")


@pytest.mark.parametrize("augment", ["none", "flip", "ssd"])
def test_boxes_stay_where_the_objects_are(augment, monkeypatch):
    """A white rectangle on black: after any change the box is that of the white pixels."""
    monkeypatch.setattr("torchvision.transforms.v2.RandomPhotometricDistort", v2.Identity)
    image = torch.zeros((3, 60, 90), dtype=torch.uint8)
    image[:, 20:44, 30:72] = 255
    changed, seen = Changed((64, 64), augment), 0
    for seed in range(40):
        torch.manual_seed(seed)
        target = {
            "boxes": torch.tensor([[30.0, 20, 72, 44]]), "labels": torch.tensor([4]), "row": 0,
        }  # fmt: skip
        made, known = changed(tv_tensors.Image(image), target)
        assert made.shape == (3, 64, 64)
        if not len(known["boxes"]):
            continue
        seen += 1
        assert known["labels"].tolist() == [4]
        white = made.float().mean(0) > 190
        if augment == "ssd":
            inside = torch.zeros_like(white)
            x1, y1, x2, y2 = known["boxes"][0].round().int().tolist()
            inside[y1:y2, x1:x2] = True
            assert (white & inside).sum() >= 0.9 * white.sum()
            continue
        rows, columns = white.any(1).nonzero()[:, 0], white.any(0).nonzero()[:, 0]
        drawn = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert (known["boxes"][0] - drawn).abs().max() <= 1
    assert seen > 20


def test_crowds_and_boxes_without_area_teach_nothing():
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [5, 5, 5, 20], [2, 2, 30, 30]]),
        "labels": torch.tensor([0, 1, 2]), "crowd": torch.tensor([True, False, False]),
    }  # fmt: skip
    image = tv_tensors.Image(torch.zeros((1, 40, 40), dtype=torch.uint8))
    made = Changed((20, 20), "none")(image, target)
    assert made[1]["labels"].tolist() == [2]
    images, targets = Gathered((20, 20))([made[0], made[0]], [made[1], made[1]])
    assert images.shape == (2, 1, 20, 20)
    assert [sorted(t) for t in targets] == [["boxes", "labels"]] * 2


def test_pictures_without_an_object_are_learned_from_and_measured(shapes):
    bare = Detections(np.zeros((0, 4)), np.zeros(0, np.int64), shapes.classes)
    measured = Evaluation.of([bare], [bare], np.arange(1))
    assert measured.metrics.headline == 0


YOLO = {"epochs": 2, "device": "cpu", "workers": 0, "closing": 0.5, "batch_size": 8}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A detector without anchors, whose second epoch is the closing one."""
    data = sightline.load_data("shapes:count=24,size=32")
    folder = tmp_path_factory.mktemp("grid")
    model = sightline.create_model("yolo-nano", data, **YOLO)
    return model.fit(data.train, data.val, folder=folder), data, folder


def test_pictures_put_together_train_to_the_same_bits_when_resumed(grid, tmp_path):
    model, data, _ = grid

    class StopError(Exception):
        pass

    def stop(row):
        raise StopError

    half = sightline.create_model("yolo-nano", data, **YOLO)
    with pytest.raises(StopError):
        half.fit(data.train, data.val, folder=tmp_path, on_epoch=stop)
    whole = sightline.create_model("yolo-nano", data, **YOLO)
    whole.fit(data.train, data.val, folder=tmp_path, resume=True)
    assert whole.method_.model.closing
    for name, tensor in model.method_.model.state_dict().items():
        assert torch.equal(tensor, whole.method_.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("own", "longer", "size"),
    [((480, 640), 416, (320, 416)), ((600, 600), 416, (416, 416)), (None, 320, (320, 320)),
     ((20, 400), 416, (32, 416)), ((48, 64), 64, (64, 64))],
)  # fmt: skip
def test_a_network_sees_pictures_in_their_proportions(own, longer, size):
    card = registry.card("yolo-tiny")
    assert proportions.in_proportion(own, longer, card) == size


def test_proportions_are_those_of_the_pictures_unless_they_differ(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("猫\n", encoding="utf-8")
    for i, (width, height) in enumerate([(640, 480), (600, 450), (644, 480)]):
        Image.new("RGB", (width, height)).save(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels" / f"{i}.txt").write_text("0 0.5 0.5 0.2 0.2", encoding="utf-8")
    card = registry.card("yolo-tiny")
    assert proportions.size(sightline.load_data(tmp_path).train, 0, card) == (320, 416)
    Image.new("RGB", (300, 300)).save(tmp_path / "images" / "0.png")
    mixed = sightline.load_data(tmp_path).with_rows({"train": np.arange(3)}).train
    assert proportions.common_size(mixed) is None
    assert proportions.size(mixed, 320, card) == (320, 320)


def test_small_pictures_are_not_enlarged_unless_asked_for(shapes):
    card = registry.card("yolo-tiny")
    sizes = [
        backbone.fit(Preprocess(size=side, resize="pad"), shapes.train, card).size
        for side in (0, 128)
    ]
    assert sizes == [(64, 64), (128, 128)]


@pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)
def test_a_backbone_of_imagenet_learns_on_with_what_it_saw_pictures_as(shapes, tmp_path):
    knobs = KNOBS | {"epochs": 1, "lr": 1e-6, "layer_decay": 0.8}
    model = sightline.create_model("ssdlite-imagenet", shapes, **knobs)
    training = model.training(shapes.train)
    rates = {id(p): g["lr"] for g in training.optimizers[0].param_groups for p in g["params"]}
    names = {n: rates[id(p)] / 1e-6 for n, p in training.plain.named_parameters()}
    assert names["head.regression_head.module_list.0.3.weight"] == pytest.approx(1)
    assert names["backbone.blocks.6.0.conv_pw.weight"] == pytest.approx(0.8)
    assert names["backbone.conv_stem.weight"] < names["backbone.blocks.0.0.conv_dw.weight"] < 0.3
    model.fit(shapes.train)
    published = model.config["published_weights"]
    assert published["name"].startswith("efficientnet-lite0")
    assert all(k.startswith(("head.", "backbone.extra.")) for k in published["fresh"])
    np.testing.assert_allclose(model.method_.mean_, carried.MEAN)
    own = model.method_.model.backbone.conv_stem.weight
    torch.testing.assert_close(
        own.cpu().contiguous(), carried.read("efficientnet_lite0")["conv_stem.weight"],
        rtol=0, atol=1e-4,
    )  # fmt: skip
    again = sightline.load_model(model.save(tmp_path / "run"))
    assert again.config["published_weights"]["name"] == published["name"]


def test_a_detector_of_coco_begins_with_its_scores_where_the_classes_are_alike(
    shapes, tmp_path, monkeypatch
):  # fmt: skip
    from torchvision.models import detection

    theirs = detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=91)
    monkeypatch.setattr(published, "state_of", lambda about: theirs.state_dict())
    named = dataclasses.replace(shapes, classes=("cat", "dog", "person", "bus", "kite", "book"))
    knobs = {"device": "cpu", "workers": 0, "weights": "coco"}
    for data, fresh in ((named, 0), (shapes, 6)):
        training = sightline.create_model("ssd300", data, **knobs).training(data.train)
        own = training.plain.state_dict()
        head = "head.classification_head."
        scores = [k for k in own if k.startswith(head) and k.endswith("weight")]
        taken = [k for k in scores if torch.equal(own[k][0].cpu(), theirs.state_dict()[k][0])]
        assert len(scores) - len(taken) == fresh
        first = "head.regression_head.module_list.0.weight"
        assert torch.equal(own[first].cpu(), theirs.state_dict()[first])


def test_a_detector_of_coco_answers_as_torchvisions_without_training(monkeypatch, tmp_path):
    from torchvision.models import detection

    torch.manual_seed(1)
    theirs = detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=91).eval()
    names = published.coco_outputs()
    gaps = torch.tensor([i for i, name in enumerate(names) if name == published.GAP])
    with torch.no_grad():
        for layer in theirs.head.classification_head.module_list:
            layer.weight.mul_(1.5)
            layer.bias.view(-1, 91)[:, gaps] = -99  # as training leaves what never occurs
    monkeypatch.setattr(published, "state_of", lambda about: theirs.state_dict())
    model = sightline.load_model("coco:ssd300")
    assert len(model.classes_) == 80
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    (answer,) = model.predict([pixels])
    with torch.inference_mode():
        (wanted,) = theirs([torch.from_numpy(pixels).permute(2, 0, 1) / 255])
    real = with_area(wanted["boxes"])  # what lies outside the picture is no answer here
    assert len(answer) == int(real.sum()) > 10
    np.testing.assert_allclose(answer.scores, wanted["scores"][real], atol=1e-4)
    assert answer.names == [names[i] for i in wanted["labels"][real]]
    np.testing.assert_allclose(answer.boxes, wanted["boxes"][real], atol=1e-2)
    again = sightline.load_model(model.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict([pixels])[0].boxes, answer.boxes)
    with pytest.raises(UnknownNameError, match="weights from COCO 'ssdlite'"):
        sightline.load_model("coco:ssdlite")
    with pytest.raises(ParameterError, match="has to be trained"):
        sightline.load_model("localizer:convnet")


def test_yolox_of_coco_answers_in_padded_pictures_without_training(monkeypatch):
    torch.manual_seed(0)
    theirs = yolox("nano").eval()
    with torch.no_grad():
        for layer in theirs.head.obj_preds:
            layer.bias.fill_(3.0)
        for layer in theirs.head.cls_preds:
            layer.bias.fill_(-20.0)
            layer.bias[10] = 0.0
            layer.weight[10].mul_(500)
    monkeypatch.setattr(published, "state_of", lambda about: theirs.state_dict())
    model = sightline.load_model("coco:yolo-nano")
    assert (model.fitted_.size, model.fitted_.resize) == ((416, 416), "pad")
    pixels = np.random.default_rng(0).integers(0, 256, (208, 416, 3), np.uint8)
    (answer,) = model.predict([pixels])
    sheet = np.full((416, 416, 3), 128, np.uint8)
    sheet[104:312] = pixels
    with torch.inference_mode():
        (wanted,) = theirs(torch.from_numpy(sheet[..., ::-1].copy()).permute(2, 0, 1)[None].float())
    moved = wanted["boxes"].numpy() - [0, 104, 0, 104]
    moved = moved.clip(0, [416, 208, 416, 208])
    real = (moved[:, 2:] > moved[:, :2]).all(1)
    assert len(answer) == real.sum() > 10
    np.testing.assert_allclose(answer.scores, wanted["scores"].numpy()[real], atol=1e-4)
    np.testing.assert_allclose(answer.boxes, moved[real], atol=1e-2)


def test_weights_that_a_detector_has_not_are_refused_before_anything_is_read():
    with pytest.raises(ParameterError, match="ssd-small has no published weights=imagenet"):
        sightline.create_model("ssd-small", weights="imagenet")
    with pytest.raises(ParameterError, match=r"weights=none or weights=imagenet$"):
        sightline.create_model("ssdlite", weights="coco")
    assert registry.card("ssdlite").starts_from == ""
    assert registry.card("ssdlite-imagenet").starts_from == "efficientnet_lite0"
    assert registry.card("features+knn").starts_from == "efficientnet_lite0"


def crowded(folder, *crowds):
    """A folder as COCO writes it: a picture with a box for each mark, a crowd where it is true."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(folder / "images" / "a.png")
    boxes = [[0, 0, 40, 40], [10, 10, 10, 10]]
    said = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": boxes[i], "area": 100,
         "iscrowd": int(crowd), "segmentation": {"size": [40, 40], "counts": [0, 1600]}}
        for i, crowd in enumerate(crowds)
    ]  # fmt: skip
    whole = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}],
        "categories": [{"id": 1, "name": "cat"}], "annotations": said,
    }  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(whole))
    data = sightline.load_data(folder)
    return data.with_rows({"train": np.arange(1)})


def test_a_crowd_is_no_object_to_learn_from(tmp_path):
    both = crowded(tmp_path / "both", True, False)
    model = sightline.create_model("average-box", both, size=40).fit(both.train)
    np.testing.assert_allclose(model.method_.boxes_, [[0.25, 0.25, 0.5, 0.5]])
    alone = crowded(tmp_path / "alone", True)
    with pytest.raises(DataError, match="no object"):
        sightline.create_model("average-box", alone, size=40).fit(alone.train)
