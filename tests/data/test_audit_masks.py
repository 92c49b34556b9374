"""Each fault of masks is found where it is made, by file and with its counts, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from sightline.cli.main import status
from sightline.data import audit as auditing
from sightline.data import draw_masks, index_png, masks, mend
from sightline.data.annotation import Annotation
from sightline.data.convert import convert
from sightline.data.load import load_data
from sightline.errors import DataError

H, W = 30, 40
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
FILE = "name,r,g,b\nvoid,0,0,0\nroad,128,0,0\n树 tree,0,128,0\n"


def classes(i):
    """Patches of the values 0, 1 and 2, of which the first is in 800 - 20 i pixels."""
    values = np.zeros((H, W), np.uint8)
    values[: 5 + i, :20] = 1
    values[:, 30:] = 2
    return values


def black_and_white(i):
    return np.where(classes(i) > 0, 255, 0).astype(np.uint8)


def smooth(i):
    """A white box, turned, with the edges that a drawing program makes smooth."""
    wide = Image.new("L", (W, H), 0)
    wide.paste(255, (10, 5, 35, 25))
    large = wide.resize((10 * W, 10 * H), Image.Resampling.BICUBIC)
    turned = large.rotate(7 + i, Image.Resampling.BICUBIC)
    return np.asarray(turned.resize((W, H), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path, draw):
    """images/ and masks/ with the masks that a function draws of a number; one is another."""

    def make(drawn, *, other=None, ending="png", text="", file="classes.txt", n=4, size=(W, H)):
        root = tmp_path / "set"
        (root / "masks").mkdir(parents=True)
        for i in range(n):
            draw.photo(root / f"images/{i}.png", size, seed=i)
            values = drawn(i) if other is None or i != 2 else other
            Image.fromarray(values).save(root / f"masks/{i}.{ending}")
        if text:
            (root / file).write_text(text, encoding="utf-8")
        return root

    return make


def findings(root, **options):
    """By kind, what the audit says of masks."""
    audited = auditing.audit(load_data(root, strict=False), **options)
    return {
        f.kind: f for f in audited.findings
        if f.kind not in ("guess", "unsplit")
    }  # fmt: skip


def only(root, kind, **options):
    """The one finding, which is of this kind."""
    all_ = findings(root, **options)
    assert set(all_) == {kind}
    return all_[kind]


def test_good_masks_have_no_finding(folder):
    assert findings(folder(classes)) == {}


def test_thin_classes_beside_each_other_are_no_soft_edges(folder):
    """Lines of one pixel, of nine rare classes: with a solid part each, they are none."""

    def lines(i):
        values = classes(i)
        values[0] = 9
        for c in range(3, 9):
            values[2 * c : 2 * c + 2, 2 * c : 2 * c + 5] = c
        return values

    assert findings(folder(lines)) == {}


# --- colours ------------------------------------------------------------------------------------


def test_colours_without_a_map_are_named_by_file_with_their_pixels(folder):
    root = folder(lambda i: COLOURS[classes(i)])
    fault = only(root, "colour-mask")
    assert (fault.severity, fault.count) == ("error", 4)
    assert fault.examples[1].endswith(
        "masks/1.png: a colour image without a map from colours to classes, which has 3 colours: "
        "#000000 (780 pixels), #008000 (300 pixels), #800000 (120 pixels)"
    )
    with pytest.raises(DataError, match=r"4 masks that were looked at cannot be used.*class_dict"):
        load_data(root)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_dict.csv", FILE),
        ("label_colors.txt", "0 0 0\tvoid\n128 0 0\troad\n0 128 0\t树 tree\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nvoid:0,0,0::\nroad:128,0,0::\n"
                         "树 tree:0,128,0::\n"),
        ("classes.txt", "#000000 void\n#800000 road\n#008000 树 tree\n"),
    ],
)  # fmt: skip
def test_a_file_of_colours_is_the_map(folder, file, text):
    root = folder(lambda i: COLOURS[classes(i)], file=file, text=text)
    data = load_data(root)
    assert data.classes == ("road", "树 tree")
    for row in range(4):
        label_map = data.sample(row).segmentation.label_map
        assert (label_map == np.array([255, 0, 1])[classes(row)]).all()  # void is ignored
    assert findings(root) == {}


def test_a_colour_that_the_map_lacks_is_named_by_file_with_its_pixels(folder):
    values = COLOURS[classes(2)]
    values[0, :3] = (1, 2, 3)
    values[1, :1] = 255
    root = folder(lambda i: COLOURS[classes(i)], other=values, file="class_dict.csv", text=FILE)
    fault = only(root, "unknown-mask-value")
    assert fault.count == 1
    (said,) = fault.examples
    assert said.endswith("masks/2.png: 2 colours without a name: #010203 (3 pixels), "
                         "#ffffff (1 pixel)")  # fmt: skip
    with pytest.raises(DataError, match=r"2\.png: 2 colours without a name"):
        load_data(root, strict=False).sample(2)


@pytest.mark.parametrize("lines", [
    ["0", "1", "2"], ["a,1,2,3", "b,1,2,3"], ["a,1,2,300", "b,1,2,3"], ["a,1,2,3", "b"], [],
])  # fmt: skip
def test_a_file_about_something_else_names_no_colours(lines):
    assert masks.colour_names(lines) == []


def test_a_palette_is_read_by_its_indices_also_beside_a_file_of_colours(folder, draw):
    root = folder(classes, file="class_dict.csv", text=FILE)
    for i in range(4):
        draw.index(root / f"masks/{i}.png", classes(i), palette=True)
    assert (load_data(root).sample(1).segmentation.label_map == classes(1)).all()


# --- values -------------------------------------------------------------------------------------


def test_values_without_a_name_are_named_by_file_with_their_pixels(folder):
    values = classes(2)
    values[0, :3] = 7
    root = folder(classes, other=values, text="ground\nroad\ntree\n")
    fault = only(root, "unknown-mask-value")
    assert [text.rpartition("/")[2] for text in fault.examples] == ["2.png: 7 (3 pixels)"]


def test_black_and_white_is_two_classes_and_said(folder):
    data = load_data(folder(black_and_white))
    assert data.segmentation_classes == ("background", "object")
    assert "there are only 0 and 255, which are two classes" in data.notes[0]
    assert (data.sample(1).segmentation.label_map == (classes(1) > 0)).all()


def test_another_value_among_black_and_white_is_refused_by_file(folder):
    values = black_and_white(2)
    values[0, 0] = 90
    root = folder(black_and_white, other=values, text="ground\nroad\n")
    # The masks that are looked at have more values than two, so that they are by their number.
    assert only(root, "unknown-mask-value").examples[0].endswith("2.png: 90 (1 pixel)")
    mask = Annotation(W, H, semantic=str(root / "masks/2.png"), semantic_binary=True)
    with pytest.raises(DataError, match=r"2\.png: .* also has other values: 90 \(1 pixel\)"):
        draw_masks.segmentation(mask, H, W, ("ground", "road"))


def test_jpeg_is_refused_with_its_stray_values_counted(folder):
    root = folder(black_and_white, ending="jpg")
    values = np.asarray(Image.open(root / "masks/0.jpg"))
    kept, counts = np.unique(values, return_counts=True)
    stray = counts < 0.02 * values.size
    wanted = f"{stray.sum()} stray values in {counts[stray].sum()} of its 1,200 pixels"
    fault = only(root, "jpeg-mask")
    assert (fault.severity, fault.count) == ("error", 4)
    assert wanted in fault.examples[0]
    assert len(kept) > 10
    with pytest.raises(DataError, match="smeared"):
        load_data(root)


@pytest.mark.parametrize("text", ["", "ground\nthing\n"])
def test_soft_edges_are_named_by_file(folder, text):
    fault = only(folder(smooth, text=text), "soft-mask")
    values = np.setdiff1d(smooth(0), (0, 255))
    assert fault.count == 4
    many, pixels, low, high = np.array(
        [int(n) for n in "".join(c if c.isdigit() else " " for c in
                                 fault.examples[0].rpartition("/")[2]).split()][1:]
    )  # fmt: skip
    assert values[0] <= low < high <= values[-1]
    assert 0.9 * len(values) <= many <= len(values)
    assert pixels == np.isin(smooth(0), values[(values >= low) & (values <= high)]).sum()


def test_one_soft_mask_among_hard_ones_is_one(folder):
    fault = only(folder(black_and_white, other=smooth(2), text="ground\nthing\n"), "soft-mask")
    assert fault.count == 1
    assert "2.png" in fault.examples[0]


def test_a_mask_of_another_size_and_a_broken_one_are_named(folder):
    root = folder(classes, other=classes(2)[:20])
    (root / "masks/3.png").write_bytes((root / "masks/3.png").read_bytes()[:60])
    fault = only(root, "broken-mask")
    small, broken = fault.examples
    assert "2.png: the mask is 40 x 20 pixels (width x height), its image 40 x 30" in small
    assert "3.png: the image data is broken" in broken


@pytest.mark.parametrize(("value", "text"), [(255, ""), (2, "0 ground\n1 road\n2 void\n")])
def test_a_mask_that_is_ignored_everywhere_is_named(folder, value, text):
    root = folder(classes, other=np.full((H, W), value, np.uint8), text=text)
    fault = only(root, "ignored-mask")
    assert (fault.severity, fault.count) == ("warning", 1)
    assert fault.examples[0].endswith("masks/2.png")
    assert (load_data(root).sample(2).segmentation.label_map == 255).all()


def test_a_fixed_copy_does_without_masks_that_cannot_be_used(folder, tmp_path, draw):
    odd = classes(2)
    odd[0, :3] = 9
    root = folder(classes, other=odd, text="ground\nroad\ntree\n")
    draw.photo(root / "images/3.png", (W, H + 1))
    data = load_data(root, strict=False)
    clean, done = mend.fixed(data, auditing.audit(data))
    assert done[:2] == [
        "2 masks that cannot be used left out", "with them 2 images that have nothing else",
    ]  # fmt: skip
    convert(clean, tmp_path / "out", "folder")
    assert findings(tmp_path / "out") == {}
    again = load_data(tmp_path / "out")
    kept = [again.sample(r).segmentation.label_map for r in range(len(again.source.items))]
    assert [values.tolist() for values in kept] == [classes(0).tolist(), classes(1).tolist()]


def test_a_fixed_copy_of_nothing_but_faults_is_refused(folder):
    data = load_data(folder(lambda i: COLOURS[classes(i)]), strict=False)
    with pytest.raises(DataError, match="would hold no image; 4 masks that cannot be used"):
        mend.fixed(data, auditing.audit(data))


def test_boxes_are_kept_where_a_mask_goes(tmp_path, draw):
    small = draw.index(tmp_path / "m.png", np.zeros((3, 4), np.uint8))
    boxes = np.array([(1.0, 1, 9, 9)])
    annotation = Annotation(W, H, boxes, np.zeros(1, np.int64), semantic=str(small))
    data = draw.dataset([annotation], tmp_path)
    clean, done = mend.fixed(data, auditing.audit(data))
    assert done == ["1 mask that cannot be used left out"]
    kept = clean.source.items[0].annotation
    assert (kept.semantic, len(kept.boxes)) == (None, 1)


# --- objects ------------------------------------------------------------------------------------


def grid(n, side=8, step=12, shape=(240, 360), kind=np.uint16):
    """n squares, numbered from 1 in lines."""
    values = np.zeros(shape, kind)
    columns = shape[1] // step
    for i in range(n):
        y, x = step * (i // columns), step * (i % columns)
        values[y : y + side, x : x + side] = i + 1
    return values


def test_objects_that_vanish_at_the_training_size_are_counted_and_named(folder):
    values = grid(20)
    values[values == 5] = 0
    values[24:26, 200] = 5  # two pixels high, one wide
    root = folder(lambda i: grid(20 + i), other=values, size=(360, 240))
    assert findings(root, size=360) == {}
    fault = only(root, "vanishing", size=90)
    assert (fault.severity, fault.count) == ("warning", 1)
    assert "brought to 90 pixels" in fault.text
    assert fault.examples == ("images/2.png: 1 of 20 objects (object 5)",)
    small = load_data(root).sample(2, (90, 90), "pad").objects
    assert len(small) == 19  # as training has them


def test_objects_of_one_pixel_are_named(folder):
    values = grid(20)
    values[values == 7] = 0
    values[200, 200] = 7
    root = folder(lambda i: grid(20 + i), other=values, size=(360, 240))
    fault = only(root, "one-pixel", size=360)
    assert fault.examples == ("images/2.png: 1 of 20 objects (object 7)",)
    objects = load_data(root).sample(2).objects
    assert objects.masks.sum((1, 2)).min() == 1  # it is an object all the same


def test_polygons_that_vanish_are_named_by_class(draw, tmp_path):
    def square(x, side):
        return [np.array([(x, 9), (x + side, 9), (x + side, 9 + side), (x, 9 + side)], float)]

    boxes = np.array([(10, 9, 40, 39), (100, 9, 103, 12)], float)
    annotation = Annotation(
        640, 480, boxes, np.array([0, 1]), shapes=[square(10, 30), square(100, 3)]
    )
    data = draw.dataset([annotation], tmp_path)
    name = data.source.items[0].id
    assert auditing.audit(data, size=640).find("vanishing") is None
    (said,) = auditing.audit(data, size=100).find("vanishing").examples
    assert said == f"{name}: 1 of 2 objects ({data.classes[1]} 1)"


def test_numbers_that_ran_out_in_8_bits_are_named(folder):
    ran_out = grid(300).astype(np.uint8)  # 256 became 0, and 257 became 1
    root = folder(lambda i: grid(280 + i), other=ran_out, size=(360, 240), n=6)
    fault = only(root, "eight-bits", size=360)
    assert fault.examples[0].endswith(
        "masks/2.png: all of the numbers 1 to 254 are there, in 299 parts"
    )


def test_three_hundred_objects_are_read_and_written(folder, tmp_path):
    data = load_data(folder(lambda i: grid(300 - i), size=(360, 240)))
    assert [len(s.objects) for s in (data.sample(r) for r in range(4))] == [300, 299, 298, 297]
    masks.write(data, tmp_path / "out")
    again = load_data(tmp_path / "out")
    for row in range(4):
        one, two = data.sample(row).objects, again.sample(row).objects
        assert (one.masks == two.masks).all()


@pytest.mark.parametrize("n", [254, 255, 256])
def test_as_many_objects_as_8_bits_hold_and_one_more(folder, tmp_path, n):
    data = load_data(folder(lambda i: grid(n - i), size=(360, 240)))
    masks.write(data, tmp_path / "out")
    assert len(load_data(tmp_path / "out").sample(0).objects) == n


# --- pixels stay what they are ------------------------------------------------------------------


@pytest.mark.parametrize("palette", [False, True])
def test_the_smallest_mask_has_its_indices_and_its_ignored_pixel(tmp_path, palette):
    values = np.array([[0, 1], [2, 255]], np.uint8)
    image = Image.fromarray(values)
    if palette:  # colours that are no indices: 0 is white, 1 is (0, 0, 0)
        image.putpalette([255, 255, 255, 0, 0, 0, 9, 9, 9, *[7] * 759])
    image.save(tmp_path / "m.png")
    mask = Annotation(semantic=str(tmp_path / "m.png"))
    label_map = draw_masks.segmentation(mask, 2, 2, ("background", "a", "b")).label_map
    assert label_map.tolist() == [[0, 1], [2, 255]]  # the background is class 0, nothing is shifted


@pytest.mark.parametrize("how", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("size", [(7, 5), (33, 47), (64, 64), (15, 20)])
def test_a_resized_mask_has_none_but_its_own_values(folder, how, size):
    random = np.random.default_rng(0)
    values = random.choice(np.array([0, 2, 255], np.uint8), (H, W))
    data = load_data(folder(classes, other=values))
    label_map = data.sample(2, size, how).segmentation.label_map
    assert label_map.shape == size
    assert label_map.dtype == np.uint8
    assert set(np.unique(label_map)) <= {0, 2, 255}
    if how == "stretch":
        places = [(np.arange(n) + 0.5) * m / n for n, m in zip(size, (H, W), strict=True)]
        sure = np.ix_(*(np.abs(p - p.round()) > 1e-9 for p in places))  # between two either will do
        rows, columns = (p.astype(int) for p in places)
        assert (label_map == values[np.ix_(rows, columns)])[sure].all()


def test_a_square_of_ten_pixels_is_drawn_as_pycocotools_does_and_comes_back():
    corners = [0.0, 0, 9, 0, 9, 9, 0, 9]
    wanted = coco_mask.decode(coco_mask.frPyObjects([corners], 12, 12))[..., 0].astype(bool)
    shape = [np.array(corners).reshape(-1, 2)]
    annotation = Annotation(12, 12, np.array([(0.0, 0, 9, 9)]), np.zeros(1, np.int64), [shape])
    drawn = draw_masks.detections(annotation, 12, 12, ("a",), masks=True).masks[0]
    assert (drawn == wanted).all()
    assert drawn.sum() == 81  # 0 to 9 are edges between pixels: ten of them enclose nine
    code = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    annotation.shapes = [{"size": [12, 12], "counts": code["counts"]}]
    assert (draw_masks.detections(annotation, 12, 12, ("a",), masks=True).masks[0] == wanted).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_an_image_of_equal_channels_is_grey_and_its_opacity_no_value(tmp_path, mode):
    values = classes(0)
    image = Image.fromarray(values).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(np.arange(H * W, dtype=np.uint8).reshape(H, W)))
    image.save(tmp_path / "m.png")
    assert (index_png.read(str(tmp_path / "m.png")) == values).all()


def test_one_jpeg_among_png_masks_is_named(folder):
    root = folder(classes)
    (root / "masks/2.png").unlink()
    Image.fromarray(classes(2)).save(root / "masks/2.jpg")
    (said,) = only(root, "jpeg-mask").examples
    assert "masks/2.jpg: a mask as JPEG" in said
    with pytest.raises(DataError, match=r"1 mask that was looked at cannot be used.*2\.jpg"):
        load_data(root)


def test_the_command_names_files_and_takes_a_size(folder, capsys):
    root = folder(lambda i: COLOURS[classes(i)])
    assert status(["data", "audit", str(root), "--json", "--size", "64"]) == 1
    said = json.loads(capsys.readouterr().out)["findings"]
    assert [f["count"] for f in said if f["kind"] == "colour-mask"] == [4]
    assert status(["data", "audit", str(root), "--size", "0"]) == 2
