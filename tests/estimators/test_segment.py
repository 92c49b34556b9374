"""Semantic networks as estimators: they learn, answer in the picture's pixels, and come back."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.models import get_model

import sightline
from sightline.data.images import frame_of
from sightline.data.transforms import to_tensors
from sightline.errors import DataError, ParameterError, TrainingError, UnknownNameError
from sightline.models import registry
from sightline.models.segment.losses import class_weights
from sightline.training.pixel_recipe import PixelRecipe
from sightline.training.pixels import Changed, Gathered
from sightline.types import IGNORE, Sample, Segmentation

KNOBS = {"epochs": 6, "least_steps": 1, "device": "cpu", "workers": 0, "precision": "32-true",
         "augment": "flip", "ignore": "rest"}  # fmt: skip
CLASSES = ("纸", "ink", "rest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright rectangles on dark paper, of several sizes, with a strip that nobody has labelled."""
    place = tmp_path_factory.mktemp("ink")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6), ("test", 6)):
        for kind in (split, f"{split}annot"):
            (place / kind).mkdir()
        for i in range(count):
            height, width = (48, 64) if i % 2 else (60, 80)
            labels = np.zeros((height, width), np.uint8)
            y, x = rng.integers(4, 24, 2)
            labels[y : y + 20, x : x + 24] = 1
            pixels = np.where(labels[..., None] == 1, 200, 40) + rng.integers(
                0, 30, (height, width, 3)
            )
            labels[:, :4] = 2
            Image.fromarray(pixels.astype(np.uint8)).save(place / split / f"{i}.png")
            Image.fromarray(labels).save(place / f"{split}annot" / f"{i}.png")
    (place / "classes.txt").write_text("\n".join(CLASSES), "utf-8")
    return place


@pytest.fixture(scope="module")
def ink(folder):
    return sightline.load_data(folder)


@pytest.fixture(scope="module")
def fitted(ink, tmp_path_factory):
    model = sightline.create_model("unet-lite:convnet", ink, size=64, **KNOBS)
    return model.fit(ink.train, ink.val, folder=tmp_path_factory.mktemp("run"))


def test_it_learns_and_the_mean_iou_is_watched(fitted, ink):
    measured = fitted.evaluate(ink.test)
    assert measured.metrics["miou"] > 0.8
    assert {"val_miou", "val_pixel_accuracy"} <= fitted.history[-1].keys()
    floor = sightline.create_model("average-map", ink).fit(ink.train).score(ink.test)
    assert floor.headline < measured.metrics.headline - 0.2
    # Classes are learned at the network's size, and measured at the pictures' own.
    [answer] = fitted.predict([ink.test[0].image])
    assert answer.label_map.shape == ink.test[0].image.shape[:2]


def test_a_class_that_nobody_labelled_neither_counts_nor_is_answered(fitted, ink):
    assert fitted.classes_ == CLASSES
    assert any("rest" in remark for remark in fitted.remarks)
    measured = fitted.evaluate(ink.test)
    assert measured.ignored == (2,)
    assert measured.table.true[:, 2].sum() == measured.table.answered[:, 2].sum() == 0
    assert all((a.label_map != 2).all() for a in fitted.predict(ink.test))

    # Whoever answers it where it is true changes nothing.
    def painted(X, frames):
        said = fitted.answers(X, frames)
        for one in said:
            one.label_map[:, :4] = 2
        return said

    assert dict(fitted.evaluate(ink.test, answers=painted).metrics) == dict(measured.metrics)


def test_a_saved_run_answers_alike(fitted, ink, tmp_path):
    again = sightline.load_model(fitted.save(tmp_path / "run"))
    assert again.classes_ == CLASSES
    for a, b in zip(fitted.predict(ink.test), again.predict(ink.test), strict=True):
        assert (a.label_map == b.label_map).all()
    assert dict(again.score(ink.test)) == dict(fitted.score(ink.test))


def test_a_resumed_training_ends_with_the_bits_of_the_same_seed(ink, tmp_path):
    knobs = KNOBS | {"epochs": 2, "augment": "turns", "boundary": 5.0,
                     "loss": "cross-entropy+lovasz", "class_weights": "balanced"}  # fmt: skip

    class StopError(Exception):
        pass

    def stop(row):
        raise StopError

    def made():
        return sightline.create_model("unet-lite:convnet", ink, size=32, **knobs)

    whole = made().fit(ink.train, ink.val)
    with pytest.raises(StopError):
        made().fit(ink.train, ink.val, folder=tmp_path, on_epoch=stop)
    resumed = made().fit(ink.train, ink.val, folder=tmp_path, resume=True)
    for name, tensor in whole.method_.model.state_dict().items():
        assert torch.equal(tensor, resumed.method_.model.state_dict()[name]), name


@pytest.mark.parametrize("picture", [(7, 5), (33, 47), (1, 1), (32, 24)])
@pytest.mark.parametrize("how", ["pad", "stretch"])
def test_classes_come_back_to_the_pixels_of_the_picture(picture, how):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, picture).astype(np.uint8)
    same = frame_of(picture, picture, how).classes_out(np.eye(3)[labels].transpose(2, 0, 1))
    assert (same == labels).all()
    frame = frame_of(picture, (256, 192), how)
    enlarged = frame.map_into(labels, (256, 192), outside=1)
    scores = np.eye(3, dtype=np.float32)[enlarged].transpose(2, 0, 1)
    assert (frame.classes_out(scores) == labels).all()


def test_scores_are_enlarged_before_they_are_decided():
    # Interpolated and rounded, classes 0 and 2 would meet in class 1; scores never do.
    scores = np.zeros((3, 4, 4), np.float32)
    scores[0, :, :2], scores[2, :, 2:] = 1, 1
    decided = frame_of((40, 41), (4, 4), "stretch").classes_out(scores)
    assert set(np.unique(decided)) == {0, 2}
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], (40, 41), mode="bilinear", align_corners=False
    )
    assert (decided == reference[0].argmax(0).numpy()).all()


@pytest.mark.parametrize("how", ["pad", "stretch"])
def test_a_large_picture_is_decided_in_parts_as_in_one(how):
    rough = np.random.default_rng(0).normal(size=(6, 5, 7)).astype(np.float32)
    frame = frame_of((1100, 700), (96, 64), how)
    scores = torch.nn.functional.interpolate(
        torch.from_numpy(rough)[None], (96, 64), mode="bicubic"
    )[0].numpy()
    tracemalloc.start()
    decided = frame.classes_out(scores)
    assert tracemalloc.get_traced_memory()[1] < 8 * decided.size
    tracemalloc.stop()
    high, wide = (round(s * f) for s, f in zip(frame.size, frame.scale, strict=True))
    top, left = map(round, frame.offset)
    part = torch.from_numpy(scores[:, top : top + high, left : left + wide].copy())
    reference = torch.nn.functional.interpolate(part[None], frame.size, mode="bilinear")
    assert (decided != reference[0].argmax(0).numpy()).mean() < 1e-4
    assert not frame.classes_out(np.zeros((3, 96, 64), np.float32)).any()  # of equal ones the first


@pytest.mark.parametrize("augment", ["none", "flip", "scene", "turns"])
def test_pictures_and_classes_move_together(augment):
    labels = np.zeros((50, 70), np.uint8)
    labels[10:30, 5:40] = 1
    labels[35:48, 50:68] = 3
    image = np.repeat(np.where(labels > 0, 220, 30)[..., None], 3, 2).astype(np.uint8)
    names = ("a", "b", "c", "d")
    sample = to_tensors(Sample(image, "x", segmentation=Segmentation(labels, names)))
    change = Changed((64, 96), augment, "pad", ignored=(3,))
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        pixels, known = change(*sample)
        assert pixels.shape == (3, 64, 96)
        assert known["labels"].dtype == torch.uint8
        got = known["labels"].numpy()
        seen |= set(np.unique(got).tolist())
        bright = pixels.float().mean(0).numpy()
        if (got == 1).any() and (got == 0).any():
            assert bright[got == 1].mean() > bright[got == 0].mean() + 60
    assert seen == {0, 1, IGNORE}  # what is ignored, and what is beyond the picture, counts nowhere


def test_a_zoom_of_one_keeps_the_size_of_things():
    labels = np.zeros((64, 64), np.uint8)
    labels[26:36, 30:40] = 1
    image = np.zeros((64, 64, 3), np.uint8)
    sample = to_tensors(Sample(image, "x", segmentation=Segmentation(labels, ("a", "b"))))
    areas = {}
    for zoom in (1.0, 2.0):
        change = Changed((64, 64), "turns" if zoom == 1 else "scene", zoom=zoom)
        areas[zoom] = []
        for seed in range(30):
            torch.manual_seed(seed)
            areas[zoom].append(int((change(*sample)[1]["labels"] == 1).sum()))
    assert np.ptp(areas[1.0]) <= 12  # turned by any angle, a square of 100 pixels has as many
    assert min(areas[2.0]) < 50 < 200 < max(areas[2.0])


@pytest.mark.parametrize("augment", ["none", "scene"])
def test_a_cut_is_a_part_of_what_the_network_would_be_shown(augment):
    rows, columns = np.indices((64, 96))
    labels = (rows // 8 * 12 + columns // 8).astype(np.uint8)  # each place knows where it was
    image = np.stack([labels, labels, labels], 2) * 2
    names = tuple(map(str, range(96)))
    sample = to_tensors(Sample(image, "x", segmentation=Segmentation(labels, names)))
    change = Changed((64, 96), augment, "pad", cut=0.5)
    corners = set()
    for seed in range(40):
        torch.manual_seed(seed)
        pixels, known = change(*sample)
        got = known["labels"].numpy()
        assert pixels.shape == (3, 32, 48)
        assert got.shape == (32, 48)
        if augment == "none":
            top, left = divmod(int(got[0, 0]), 12)
            down, right = (int((got == got[0, 0]).any(axis).sum()) for axis in (1, 0))
            y, x = top * 8 + 8 - down, left * 8 + 8 - right
            assert (got == labels[y : y + 32, x : x + 48]).all()
            assert (pixels[0].numpy() == got * 2).all()
            corners.add((y, x))
    if augment == "none":
        assert len({y for y, _ in corners}) > 10
        assert len({x for _, x in corners}) > 10
        assert max(y for y, _ in corners) <= 32
        assert max(x for _, x in corners) <= 48


def test_objects_are_pasted_with_all_that_is_known_of_their_pixels():
    labels = torch.zeros(2, 12, 12, dtype=torch.uint8)
    labels[0, 1:4, 1:4], labels[0, 6:9, 6:9], labels[0, 0, 11] = 1, 2, IGNORE
    images = [torch.full((3, 12, 12), 10), torch.full((3, 12, 12), 200)]
    known = [{"labels": m, "weights": torch.full((12, 12), i + 1.0)} for i, m in enumerate(labels)]
    kinds = set()
    for seed in range(20):
        torch.manual_seed(seed)
        batch, made = Gathered(1.0)(images, known)
        pasted = made[1]["labels"] > 0
        kinds.add(tuple(torch.unique(made[1]["labels"]).tolist()))
        assert ((batch[1] == 10) == pasted).all()  # what is ignored stays where it was
        assert ((made[1]["weights"] == 1) == pasted).all()
        assert (made[1]["labels"][pasted] == labels[0][pasted]).all()
        assert (batch[0] == 10).all()  # the other image has no object to give
    assert kinds == {(0, 1), (0, 2), (0, 1, 2)}  # whole objects, one at least
    batch, made = Gathered(0.0)(images, known)
    assert (batch[1] == 200).all()
    assert made[0] is known[0]


def test_pixels_between_objects_weigh_more():
    labels = np.zeros((24, 24), np.uint8)
    labels[4:20, 4:11], labels[4:20, 13:20] = 1, 1
    image = np.zeros((24, 24, 3), np.uint8)
    sample = to_tensors(Sample(image, "x", segmentation=Segmentation(labels, ("a", "b"))))

    def weigh(numbers):
        assert len(np.unique(numbers)) == 3  # parts of a class that do not touch are objects
        return (numbers == 0).astype(np.float32)

    _, known = Changed((24, 24), "none", weigh=weigh)(*sample)
    assert (known["weights"].numpy() == (labels == 0)).all()
    masks = np.stack([labels > 0, np.zeros_like(labels, bool)])
    image, target = sample
    _, one = Changed((24, 24), "none", weigh=lambda n: (n == 1).astype(np.float32))(
        image, target | {"masks": tv_tensors.Mask(torch.from_numpy(masks))}
    )
    assert (one["weights"].numpy() == (labels > 0)).all()  # the data's own objects come first


def test_weights_of_classes_are_those_of_the_training_pixels(fitted, ink):
    counts = np.zeros((len(ink.train), 3), np.int64)
    for i, sample in enumerate(ink.train):
        values = sample.segmentation.label_map
        counts[i] = np.bincount(values[values != 2], minlength=3)
    assert np.allclose(fitted.method_._balanced(ink.train), class_weights(counts))


@pytest.mark.parametrize(
    ("knobs", "error", "text"),
    [
        ({"loss": "dise"}, UnknownNameError, "did you mean 'dice'"),
        ({"augment": "sceene"}, UnknownNameError, "did you mean 'scene'"),
        ({"loss": "dice", "class_weights": "balanced"}, ParameterError, "class_weights"),
        ({"loss": "dice", "boundary": 10.0}, ParameterError, "boundary"),
        ({"boundary": -1.0}, ParameterError, "negative"),
        ({"cut": 0.0}, ParameterError, "nothing to learn"),
        ({"cut": 1.5}, ParameterError, "between 0 and 1"),
        ({"paste": 2.0}, ParameterError, "between 0 and 1"),
        ({"zoom": 0.5}, ParameterError, "zoom must be from 1 to 8"),
        ({"resize": "crop"}, ParameterError, "resize=pad"),
    ],
)
def test_wrong_knobs_are_refused_before_anything_is_read(ink, knobs, error, text):
    with pytest.raises(error, match=text):
        sightline.create_model("unet-lite", ink, **knobs)


def test_classes_to_ignore_are_named_or_known():
    classes = ("sky", "Void", "car")
    assert PixelRecipe().ignored(classes) == ("Void",)
    assert PixelRecipe(ignore="none").ignored(classes) == ()
    assert PixelRecipe(ignore="car, sky").ignored(classes) == ("car", "sky")
    with pytest.raises(UnknownNameError, match="did you mean 'sky'"):
        PixelRecipe(ignore="skye").ignored(classes)
    with pytest.raises(ParameterError, match="no class"):
        PixelRecipe(ignore="sky,Void,car").ignored(classes)


def test_pictures_without_masks_are_refused(ink, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (64, 64)).save(tmp_path / "train" / name / f"{i}.png")
    data = sightline.load_data(tmp_path)
    with pytest.raises(DataError, match="no annotation for segment"):
        sightline.create_model("unet-lite", data, **KNOBS)
    other = sightline.create_model("average-map", ink).fit(ink.train)
    with pytest.raises(DataError, match="classes that the model was not trained on"):
        other.score(sightline.load_data("shapes:count=20,size=64").test)


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_networks_answer_as_torchvisions(name):
    card = registry.card(f"torchvision:{name}")
    torch.manual_seed(0)
    ours = registry.resolve(card.entry)(num_classes=5, in_channels=3, **card.arguments).eval()
    more = {} if name.startswith("lraspp") else {"aux_loss": True}
    theirs = get_model(name, weights=None, weights_backbone=None, num_classes=5, **more).eval()
    theirs.load_state_dict({k.removeprefix("network."): v for k, v in ours.state_dict().items()})
    x = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x)["out"], rtol=0, atol=1e-5)
    last = {head.removeprefix("network.") for head in ours.head_names}
    shaped = {n for n, p in theirs.named_parameters() if n.endswith("weight") and len(p) == 5}
    assert {f"{head}.weight" for head in last} == shaped
    with pytest.raises(UnknownNameError, match="did you mean"):
        registry.card("torchvision:lraspp_mobilenet_v3_larg")


def test_smps_networks_answer_for_any_size():
    smp = pytest.importorskip("segmentation_models_pytorch")
    card = registry.card("smp:fpn:resnet18")
    ours = registry.resolve(card.entry)(num_classes=4, in_channels=1, **card.arguments).eval()
    theirs = smp.create_model("fpn", "resnet18", None, in_channels=1, classes=4).eval()
    theirs.load_state_dict({k.removeprefix("network."): v for k, v in ours.state_dict().items()})
    with torch.inference_mode():
        x = torch.rand(1, 1, 64, 32)
        assert torch.equal(ours(x), theirs(x))
        assert ours(torch.rand(1, 1, 33, 47)).shape == (1, 4, 33, 47)
    with pytest.raises(UnknownNameError, match="did you mean 'unet'"):
        registry.card("smp:unett")
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        registry.card("smp:unet:resnet17")


def test_a_network_that_was_trained_on_coco_answers_as_it_is(monkeypatch):
    from sightline.models.segment import published

    state = get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None).state_dict()
    monkeypatch.setattr(published, "state_of", lambda about: state)
    model = sightline.create_model("coco:torchvision:lraspp_mobilenet_v3_large").as_it_is()
    assert model.classes_[:2] == ("background", "aeroplane")
    kept = model.method_.model.state_dict()
    assert all(torch.equal(kept[f"network.{key}"], tensor) for key, tensor in state.items())
    [answer] = model.predict([np.zeros((30, 50, 3), np.uint8)])
    assert answer.label_map.shape == (30, 50)
    assert "Pascal VOC's 20 classes" in registry.card(model.name).summary
    with pytest.raises(UnknownNameError, match="weights from COCO"):
        registry.card("coco:unet-lite")


def test_a_backbone_without_maps_is_refused():
    with pytest.raises(ParameterError, match="no maps to join"):
        registry.card("unet-lite:mlp")
    assert registry.card("unet-lite:resnet18").weights == ("imagenet",)


def drawn(place, sizes=((24, 32),) * 10, mode="RGB"):
    """Write bright rectangles with their masks; of validation and test are the first three."""
    for split, some in (("train", sizes), ("val", sizes[:3]), ("test", sizes[:3])):
        (place / split).mkdir(parents=True)
        (place / f"{split}annot").mkdir()
        for i, size in enumerate(some):
            labels = np.zeros(size, np.uint8)
            labels[size[0] // 4 : size[0] // 2 + 1, size[1] // 3 :] = 1
            shot = Image.fromarray(np.where(labels == 1, 200, 40 + i).astype(np.uint8))
            if mode == "I;16":
                shot = Image.fromarray(np.asarray(shot).astype(np.uint16) * 257)
            (shot.convert(mode) if mode != "I;16" else shot).save(place / split / f"{i}.png")
            Image.fromarray(labels).save(place / f"{split}annot" / f"{i}.png")
    (place / "classes.txt").write_text("paper\nink\n", "utf-8")
    return place


def learned(place, name="unet-lite:convnet", **knobs):
    data = sightline.load_data(place)
    small = {} if name == "average-map" else KNOBS | {"epochs": 1, "ignore": "auto", "size": 32}
    return sightline.create_model(name, data, **small, **knobs).fit(data.train)


@pytest.mark.parametrize("name", ["average-map", "unet-lite:convnet"])
def test_a_mask_that_cannot_be_read_is_left_out_of_training_and_named(name, tmp_path):
    place = drawn(tmp_path / "ink")
    Image.new("L", (9, 9)).save(place / "trainannot/1.png")
    more = {} if name == "average-map" else {"class_weights": "balanced", "batch_size": 5}
    model = learned(place, name, **more)
    assert model.config["trained_on"] == 9
    [said] = [remark for remark in model.remarks if "left out" in remark]
    assert "1 of 10" in said
    assert "trainannot/1.png: the mask is 9 x 9 pixels (width x height), its image 32 x 24" in said
    # What is measured is not changed in silence.
    Image.new("L", (9, 9)).save(place / "testannot/1.png")
    with pytest.raises(DataError, match=r"testannot/1.png: the mask is 9 x 9") as refused:
        model.evaluate(sightline.load_data(place).test)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["average-map", "unet-lite:convnet"])
def test_masks_of_which_nothing_counts_are_refused(name, tmp_path):
    place = drawn(tmp_path / "ink")
    model = learned(place, name)
    for mask in (place / "trainannot").iterdir():
        Image.new("L", (32, 24), 255).save(mask)
    with pytest.raises(DataError, match=r"no pixel of ink/train counts: all are 255"):
        learned(place, name)
    for mask in (place / "trainannot").iterdir():
        Image.new("L", (9, 9)).save(mask)
    with pytest.raises(DataError, match=r"10 of 10 cannot be read, first \S+annot/0.png: the mask"):
        learned(place, name)
    # One picture without a pixel that counts is learned from, and named where it is measured.
    Image.new("L", (32, 24), 255).save(place / "testannot/1.png")
    measured = model.evaluate(sightline.load_data(place).test)
    assert any("1 image without a pixel that counts" in remark for remark in measured.remarks)


@pytest.mark.parametrize(
    ("size", "patch"), [((7, 5), 1), ((1, 1), 1), ((33, 47), 12), ((33, 64), 1), ((64, 47), 1)]
)
def test_a_network_that_says_what_it_sees_is_exact_to_the_pixel(fitted, size, patch, monkeypatch):
    # Enlarged, or as it is with a border beside it; where pixels blend, in patches.
    labels = np.random.default_rng(3).integers(0, 3, size)
    labels = np.kron(labels, np.ones((patch, patch), int))[: size[0], : size[1]]
    picture = (np.eye(3) * 255)[labels].astype(np.uint8)  # of each class a colour
    monkeypatch.setattr(
        fitted.method_, "scores", lambda X: iter(X.transpose(0, 3, 1, 2).astype(np.float32))
    )
    [answer] = fitted.predict([picture])
    assert (answer.label_map == labels).all()


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB"])
def test_pictures_smaller_than_the_stride_teach_in_any_mode(mode, tmp_path):
    sizes = ((7, 5), (3, 9), (24, 32), (1, 40)) * 2 + ((5, 5),)  # and the last batch is of one
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = learned(drawn(tmp_path / "ink", sizes, mode), batch_size=1)
    assert all(np.isfinite(row["train_loss"]) for row in model.history)
    data = sightline.load_data(tmp_path / "ink")
    for sample, answer in zip(data.test, model.predict(data.test), strict=True):
        assert answer.label_map.shape == sample.image.shape[:2]
    assert 0 <= model.score(data.test).headline <= 1


def test_one_class_is_learned_and_a_loss_that_is_no_number_is_one_line(tmp_path):
    place = drawn(tmp_path / "ink")
    for mask in place.glob("*annot/*.png"):
        Image.new("L", (32, 24)).save(mask)
    (place / "classes.txt").write_text("纸\n", "utf-8")
    model = learned(place)
    assert model.classes_ == ("纸",)
    assert model.score(sightline.load_data(place).test).headline == 1
    data = sightline.load_data(drawn(tmp_path / "two"))
    wild = sightline.create_model(
        "unet-lite:convnet", data, size=32, **KNOBS | {"ignore": "none"}, optimizer="sgd",
        lr=1e30, clip=0.0, warmup=0.0,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="loss is not finite at step") as failed:
        wild.fit(data.train)
    assert "\n" not in str(failed.value)
