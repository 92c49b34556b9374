"""The contact sheet shows the pictures, boxes, masks and counts that are there."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from sightline.data import draw
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.data.load import load_data
from sightline.types import IGNORE, Task


def panels(sheet):
    """Axes with a picture, and the axes of the bars."""
    shown = [a for a in sheet.axes if a.images]
    bars = [a for a in sheet.axes if a.get_label() == "balance"]
    return shown, bars[0] if bars else None


def frames(axes):
    return [p for p in axes.patches if isinstance(p, Rectangle)]


def test_sheet_of_classes(tmp_path):
    data = load_data("digits")
    sheet = draw.contact_sheet(data, "test", 20, seed=1)
    shown, bars = panels(sheet)
    assert len(shown) == 20
    assert [a.get_title() for a in shown] == [str(d) for d in range(10)] * 2
    pictures = {s.image[..., 0].tobytes(): s.label for s in data.test}
    for axes in shown:
        (picture,) = axes.images
        assert pictures[picture.get_array().data.tobytes()] == int(axes.get_title())
        assert picture.get_clim() == (0, 255)
    counts = {name: split.counts() for name, split in data.splits.items()}
    widths = sorted(round(p.get_width()) for p in frames(bars))
    assert widths == sorted(n for c in counts.values() for n in c.values())
    assert "digits" in sheet.get_suptitle()
    sheet.savefig(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size[0] > 600


def test_sheet_is_seeded():
    data = load_data("digits")

    def first(seed):
        sheet = draw.contact_sheet(data, "train", 6, seed)
        return [a.images[0].get_array().tobytes() for a in panels(sheet)[0]]

    assert first(0) == first(0) != first(1)


def test_never_more_than_there_are():
    data = load_data("digits")
    few = data.with_rows({"train": data.rows["train"][:4]})
    assert len(panels(draw.contact_sheet(few, "train", 30))[0]) == 4


def test_one_image():
    data = load_data("digits")
    one = data.with_rows({"train": data.rows["train"][:1]})
    assert len(panels(draw.contact_sheet(one, "train", 30))[0]) == 1


def test_sheet_of_boxes(tmp_path, draw_boxes):
    sheet = draw.contact_sheet(draw_boxes, "train", 3)
    shown, bars = panels(sheet)
    assert len(shown) == 2
    found = sorted([(*p.get_xy(), p.get_width(), p.get_height()) for p in frames(a)] for a in shown)
    # A pixel's centre is its number, so that its left edge is half a pixel before it.
    assert found == [[(-0.5, -0.5, 40, 30)], [(4.5, 5.5, 10, 4), (0.5, 2.5, 19, 7)]]
    said = sorted(t.get_text() for a in shown for t in a.texts)
    assert said == ["cat", "dog", "red fox"]
    (key,) = bars.collections
    order = [t.get_text() for t in bars.get_yticklabels()]
    ids = [draw_boxes.classes.index(name) for name in order]
    assert np.allclose(255 * key.get_facecolors()[:, :3], draw.colours(np.array(ids)))
    counts, sizes = (a for a in sheet.axes if a.get_label() == "histogram")
    assert sorted(p.get_height() for p in frames(counts) if p.get_height()) == [1, 1]
    assert "objects an image" in counts.get_title()
    assert "median 1.5" in counts.get_title()
    assert sum(p.get_height() for p in frames(sizes)) == 3
    assert f"median {np.sqrt(19 * 7):.3g}" in sizes.get_title()
    assert sum(round(p.get_width()) for p in frames(bars)) == 3
    assert "objects" in bars.get_title()


@pytest.fixture
def draw_boxes(tmp_path, draw):
    return draw.dataset(
        [
            Annotation(40, 30, np.array([[0, 0, 40, 30]]), np.array([0])),
            Annotation(40, 30, np.array([[5, 6, 15, 10], [1, 3, 20, 10]]), np.array([1, 2])),
        ],
        tmp_path,
    )


def test_sheet_of_masks():
    data = load_data("shapes:count=10,size=32")
    shown, _ = panels(draw.contact_sheet(data, "train", 4))
    rows = {data.sample(i).image.tobytes(): data.sample(i) for i in range(10)}
    for axes in shown:
        pixels = np.asarray(axes.images[0].get_array())
        # The ground is as in one of the pictures, every object is tinted.
        fits = [
            s
            for s in rows.values()
            if np.array_equal(pixels[~s.objects.masks.any(0)], s.image[~s.objects.masks.any(0)])
        ]
        assert len(fits) == 1
        assert (pixels != fits[0].image).any(2)[fits[0].objects.masks.any(0)].mean() > 0.9
        assert len(frames(axes)) == len(fits[0].objects)


def label_map_set(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "mask.png")
    pixels = np.full((*values.shape, 3), 100, np.uint8)
    item = Item("a", pixels, annotation=Annotation(semantic=str(tmp_path / "mask.png")))
    return Dataset(
        "made", Source([item], "RGB"), {"train": np.array([0])}, ("road", "sky"),
        (Task.SEGMENT,), ("road", "sky"),
    )  # fmt: skip


def test_sheet_of_label_maps(tmp_path):
    values = np.array([[0, 0, 1], [1, IGNORE, IGNORE]], np.uint8)
    sheet = draw.contact_sheet(label_map_set(tmp_path, values), "train", 4)
    ((axes,), _) = panels(sheet)
    pixels = np.asarray(axes.images[0].get_array())
    assert (pixels[values == IGNORE] == 100).all()
    road, sky = (np.unique(pixels[values == v], axis=0) for v in (0, 1))
    assert len(road) == len(sky) == 1
    assert not np.array_equal(road, sky)
    assert (road != 100).any()
    (key,) = [a for a in sheet.axes if a.get_label() == "shares"]
    # Of the four pixels that count two are sky; each bar has the colour of its class.
    assert [t.get_text() for t in key.get_yticklabels()] == ["road", "sky"]
    assert [t.get_text().strip() for t in key.texts] == ["50.0%", "50.0%"]
    tints = [np.round(255 * np.array(p.get_facecolor()[:3])) for p in frames(key)]
    for tint, drawn in zip(tints, (road, sky), strict=True):
        assert np.abs(0.55 * 100 + 0.45 * tint - drawn).max() <= 1
    assert "33.3% of all pixels are ignored" in key.get_title()


def test_label_map_without_any_class(tmp_path):
    values = np.full((4, 4), IGNORE, np.uint8)
    ((axes,), _) = panels(draw.contact_sheet(label_map_set(tmp_path, values), "train", 4))
    assert (np.asarray(axes.images[0].get_array()) == 100).all()


def test_image_that_cannot_be_read_is_said_to_be(tmp_path):
    for c in "ab":
        (tmp_path / c).mkdir()
        for i in range(8):
            Image.new("RGB", (80 + i, 80), (9 * i, 0, 0)).save(tmp_path / c / f"{i}.png")
    data = load_data(tmp_path)
    row = int(data.rows["train"][0])
    (tmp_path / data.source.items[row].id).write_bytes(b"no image")
    sheet = draw.contact_sheet(data, "train", 30)
    said = [a for a in sheet.axes if any("cannot" in t.get_text() for t in a.texts)]
    assert len(said) == 1
    assert said[0].get_title() == data.source.items[row].id
    assert len(panels(sheet)[0]) == len(data.train) - 1


def test_set_without_labels_has_no_bars():
    items = [Item(str(i), np.full((8, 8, 3), i, np.uint8)) for i in range(3)]
    data = Dataset("made", Source(items, "RGB"), {"train": np.arange(3)}, ("a",))
    sheet = draw.contact_sheet(data, "train", 3)
    assert sheet.get_suptitle().endswith("no class labels")
    assert len(sheet.axes) == 3  # pictures alone, and no room is left for anything else


def test_very_many_classes_show_the_largest_and_smallest():
    counts = np.repeat(np.arange(60), np.arange(1, 61))
    items = [Item(str(i), np.zeros((4, 4, 3), np.uint8), int(c)) for i, c in enumerate(counts)]
    names = tuple(f"c{i}" for i in range(60))
    data = Dataset("made", Source(items, "RGB"), {"train": np.arange(len(items))}, names)
    _, bars = panels(draw.contact_sheet(data, "train", 2))
    shown = [t.get_text() for t in bars.get_yticklabels()]
    assert shown == [f"c{i}" for i in [*range(59, 39, -1), *range(19, -1, -1)]]
    assert [round(p.get_width()) for p in frames(bars)] == [*range(60, 40, -1), *range(20, 0, -1)]


# --- tinting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_overlay_tints_exactly_the_masked_pixels(channels):
    image = np.random.default_rng(0).integers(0, 256, (6, 7, channels), np.uint8)
    before = image.copy()
    masks = np.zeros((2, 6, 7), bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 4, 6] = True
    out = draw.overlay(image, masks, np.array([3, 5]))
    assert out.shape == (6, 7, 3)
    plain = image.repeat(3, 2) if channels == 1 else image
    assert np.array_equal(out[~masks.any(0)], plain[~masks.any(0)])
    for mask, colour in zip(masks, draw.colours(np.array([3, 5])), strict=True):
        assert np.abs(out[mask] - (0.55 * plain[mask] + 0.45 * colour)).max() <= 1
    assert np.array_equal(image, before)


def test_overlay_without_masks_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    assert np.array_equal(draw.overlay(image, np.zeros((0, 6, 7), bool), np.zeros(0, int)), image)


def test_colours_differ():
    found = draw.colours(np.arange(30)).astype(int)
    gaps = np.abs(found[:, None] - found[None]).max(2)
    assert gaps[~np.eye(30, dtype=bool)].min() > 8
    assert np.array_equal(draw.colours(np.array([7]))[0], found[7])


# --- names at boxes ----------------------------------------------------------------------------


def test_names_of_boxes_stay_inside_and_apart():
    random = np.random.default_rng(0)
    for _ in range(20):
        corners = random.random((30, 2)) * (380, 280)
        boxes = np.hstack([corners, corners + random.random((30, 2)) * 120 + 2])
        names = [f"class {i}" for i in range(30)]
        places = draw.label_places(boxes, names, (300, 400))
        assert len(places) > 5
        point = 400 / (0.92 * 1.7 * 72)
        tall = 1.6 * 6 * point
        spots = [(x, y, x + (0.64 * 6 * len(names[i]) + 3) * point, y + tall)
                 for i, (x, y) in places.items()]  # fmt: skip
        for k, (x1, y1, x2, y2) in enumerate(spots):
            assert x1 >= 0
            assert y1 >= 0
            assert x2 <= 400 + 1e-9
            assert y2 <= 300 + 1e-9
            for a1, b1, a2, b2 in spots[:k]:
                assert x2 <= a1 or a2 <= x1 or y2 <= b1 or b2 <= y1


def test_a_lone_box_has_its_name_above_it_or_inside_at_the_edge():
    box = np.array([[100.0, 100, 200, 200]])
    ((x, y),) = draw.label_places(box, ["cat"], (300, 400)).values()
    assert x == 100
    assert y < 100
    ((x, y),) = draw.label_places(np.array([[0.0, 0, 200, 200]]), ["cat"], (300, 400)).values()
    assert (x, y) == (0, 0)


def test_letters_can_be_read_on_every_colour():
    for tint in draw.colours(np.arange(80)) / 255:
        linear = np.where(tint <= 0.04045, tint / 12.92, ((tint + 0.055) / 1.055) ** 2.4)
        light = float(linear @ (0.2126, 0.7152, 0.0722))
        contrast = {"black": (light + 0.05) / 0.05, "white": 1.05 / (light + 0.05)}
        assert contrast[draw._letters_on(tint)] > 3


def test_one_class_of_objects_has_no_names_and_two_histograms():
    data = load_data("shapes:count=10,size=32")
    sheet = draw.contact_sheet(data, "train", 4)
    assert [a.get_label() for a in sheet.axes if a.get_label() in ("balance", "histogram")] == [
        "balance", "histogram", "histogram",
    ]  # fmt: skip


def test_labels_of_boxes_in_one_place_lie_beside_each_other_the_first_in_order_above():
    boxes = np.array([[50.0, 60, 150, 160]] * 9)
    order = np.array([3, 0, 1, 2, 4, 5, 6, 7, 8])
    places = draw.free_places(boxes, [40.0] * 9, 12.0, (200, 300), order)
    assert places[3] == (50.0, 48.0)  # above its box, at its left edge
    assert set(places) == {3, 0, 1, 2, 4, 5, 6, 7}  # eight places; the ninth has no room
    assert len(set(places.values())) == 8
    for i, (x, y) in places.items():
        assert 0 <= x <= 260
        assert 0 <= y <= 188
        for j, (left, top) in places.items():
            assert i == j or abs(x - left) >= 40 or abs(y - top) >= 12
    assert draw.free_places(boxes[:1], [0.0], 12.0, (200, 300), np.array([0])) == {}
