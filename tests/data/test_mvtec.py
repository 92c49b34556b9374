"""Pictures of defects in MVTec's folders, the names of good classes, and the drawn surface."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.data import normal, textures
from sightline.data.load import load_data
from sightline.errors import DataError, ParameterError
from sightline.types import Task

RNG = np.random.default_rng(0)


def picture(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)


def mask(path, box, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(values).save(path)


@pytest.fixture
def bottle(tmp_path):
    folder = tmp_path / "bottle"
    for i in range(20):
        picture(folder / f"train/good/{i:03d}.png")
    for i in range(6):
        picture(folder / f"test/good/{i:03d}.png")
    for kind in ("broken", "划痕"):
        for i in range(6):
            picture(folder / f"test/{kind}/{i:03d}.png")
            mask(folder / f"ground_truth/{kind}/{i:03d}_mask.png", (i, 2, i + 5, 6))
    (folder / "readme.txt").write_text("a bottle")
    return folder


def test_the_layout_is_recognised_with_masks_and_kinds(bottle):
    data = load_data(bottle)
    assert (data.layout, data.task) == ("mvtec", Task.ANOMALY)
    assert data.classes == ("good", "broken", "划痕")
    assert set(data.train.labels) == {0}
    sample = next(s for s in data.test if s.label == 2)
    i = int(sample.id.rpartition("/")[2][:3])
    truth = np.zeros((30, 40), bool)
    truth[2:6, i : i + 5] = True
    assert np.array_equal(sample.segmentation.label_map == 1, truth)
    assert not data.train[0].segmentation.label_map.any()
    assert not [note for note in data.notes if getattr(note, "severity", "") == "error"]


def test_every_fifth_defect_is_for_validation(bottle):
    data = load_data(bottle)
    assert data.val.counts() == {"good": 2, "broken": 1, "划痕": 1}
    assert data.test.counts() == {"good": 6, "broken": 5, "划痕": 5}
    assert len(data.train) == 18
    assert any("every fifth picture of each kind" in note for note in data.notes)
    rows = np.concatenate([split.rows for split in data.splits.values()])
    assert sorted(rows) == list(range(38))


def test_a_validation_folder_with_defects_stays_as_it_is(bottle):
    picture(bottle / "validation/good/a.png")
    picture(bottle / "validation/broken/a.png")
    mask(bottle / "ground_truth/broken/a_mask.png", (0, 0, 3, 3))
    data = load_data(bottle)
    assert data.val.counts() == {"good": 1, "broken": 1, "划痕": 0}
    assert data.test.counts()["broken"] == 6


def test_defects_without_masks_and_masks_without_pictures_are_told(bottle):
    (bottle / "ground_truth/broken/003_mask.png").unlink()
    mask(bottle / "ground_truth/broken/777_mask.png", (0, 0, 3, 3))
    data = load_data(bottle)
    assert any("1 picture of a defect has no mask" in note for note in data.notes)
    assert any("1 mask has no picture" in note for note in data.notes)


def test_without_any_mask_the_folders_serve_all_the_same(bottle):
    import shutil

    shutil.rmtree(bottle / "ground_truth")
    data = load_data(bottle)
    assert data.layout == "mvtec"
    assert any("there is no ground_truth/" in note for note in data.notes)


def test_a_folder_with_defects_to_learn_from_is_one_of_classes(bottle):
    picture(bottle / "train/broken/0.png")
    assert load_data(bottle).layout != "mvtec"


def test_what_is_written_is_read_back(tmp_path):
    from sightline.data.convert import convert

    data = load_data("textures:count=32,size=40")
    convert(data, tmp_path / "out", "folder")
    back = load_data(tmp_path / "out")
    assert (back.layout, back.classes) == ("mvtec", data.classes)
    for split in ("train", "val", "test"):
        mine, theirs = (
            sorted(((s.id.rpartition("/")[2][:6], s) for s in d.split(split)), key=lambda p: p[0])
            for d in (data, back)
        )
        for (name, a), (other, b) in zip(mine, theirs, strict=True):
            assert (name, a.label) == (other, b.label)
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.segmentation.label_map, b.segmentation.label_map)


def test_names_of_good_classes():
    assert normal.normal_class(("scratch", "OK")) == 1
    assert normal.normal_class(("划痕", "正常")) == 1
    assert normal.normal_class(("cat", "goods")) is None
    assert normal.normal_class(("no-defect", "hole")) == 0
    with pytest.raises(DataError, match="both called as good"):
        normal.normal_class(("good", "normal"))


def test_a_drawn_defect_is_where_the_picture_differs_from_a_good_one(monkeypatch):
    """With the same draws but no defect, the pixels outside the mask are as they were."""
    for kind, draw in (("scratch", "_scratched"), ("spot", "_spotted")):
        drawn = textures.surface(0, 1000, 96, kind)
        own = getattr(textures, draw)

        def without(rng, image, x, y, own=own):
            _, defect = own(rng, image, x, y)
            return image, defect

        textures.surface.cache_clear()
        monkeypatch.setattr(textures, draw, without)
        plain = textures.surface(0, 1000, 96, kind)
        textures.surface.cache_clear()
        changed = (plain.image != drawn.image).any(2)
        assert 5 < drawn.defect.sum() < 96 * 96 / 5
        assert changed[drawn.defect].mean() > 0.9
        beside = changed & ~drawn.defect  # pixels that the edge covers by less than a half
        assert beside.sum() < 0.6 * drawn.defect.sum() + 10
    missing = textures.surface(0, 1000, 96, "missing")
    assert 5 < missing.defect.sum() < 96 * 96 / 5
    assert not textures.surface(0, 1000, 96, "good").defect.any()


def test_the_drawn_set_is_the_same_at_every_reading():
    few, many = load_data("textures:count=40,size=48"), load_data("textures:count=40,size=48")
    textures.surface.cache_clear()
    for split in ("train", "val", "test"):
        a, b = few.split(split), many.split(split)
        assert np.array_equal(a[0].image, b[0].image)
    assert set(few.train.labels) == {0}
    assert len(set(few.test.labels)) == 4
    assert few.fingerprint() == many.fingerprint()
    assert few.fingerprint() != load_data("textures:count=40,size=48", seed=1).fingerprint()
    with pytest.raises(ParameterError, match="count must be between"):
        load_data("textures:count=3")
