"""Each kind of trouble is found where it is made, and nowhere else; the copy is clean."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightline.data import audit as auditing
from sightline.data import mend, voc
from sightline.data.annotation import Annotation
from sightline.data.convert import convert
from sightline.data.item import Item
from sightline.data.load import load_data

PER_SPLIT = {"train": 12, "val": 2, "test": 2}


def scene(seed, size=(48, 64)):
    """A picture like no other: soft blobs of colour."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return small.resize((size[1], size[0]), Image.Resampling.BICUBIC)


def clean_folder(root, suffix=".png"):
    seed = 0
    for split, count in PER_SPLIT.items():
        for c in ("cat", "dog"):
            folder = root / split / c
            folder.mkdir(parents=True)
            for i in range(count):
                seed += 1
                scene(seed, (48, 64 + i)).save(folder / f"{i:02}{suffix}")
    return root


@pytest.fixture
def root(tmp_path):
    return clean_folder(tmp_path / "set")


def look(root, **options):
    data = load_data(root, strict=False, **options)
    return data, auditing.audit(data)


def kinds(found):
    return {f.kind for f in found.findings}


def test_a_clean_folder_has_no_findings(root):
    _, found = look(root)
    assert found.findings == []
    assert found.errors == 0
    assert found.images == 32


@pytest.mark.parametrize("name", ["digits", "shapes:count=100,size=48"])
def test_embedded_sets_are_clean(name):
    _, found = look(name)
    assert found.findings == []


def deep_folder(root, most):
    for c in ("cat", "dog"):
        (root / c).mkdir(parents=True)
        for i in range(12):
            rng = np.random.default_rng(i + 100 * len(c) + ord(c[0]))
            pixels = rng.integers(0, most, (20, 20)).astype(np.uint16)
            Image.fromarray(pixels).save(root / c / f"{i}.png")
    return root


def test_twelve_bits_in_files_of_sixteen_are_a_warning(tmp_path):
    _, found = look(deep_folder(tmp_path / "set", 4096))
    [dark] = [f for f in found.findings if f.kind == "dark"]
    assert (dark.severity, dark.count) == ("warning", 24)
    assert "under 10% of their range" in dark.text


def test_one_dark_file_of_sixteen_bits_among_bright_ones_is_none(tmp_path):
    root = deep_folder(tmp_path / "set", 60_000)
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)).save(root / "cat/0.png")
    assert "dark" not in kinds(look(root)[1])


def test_lab_and_big_endian_files_are_called_what_they_are(root):
    scene(98).convert("LAB").save(root / "train/cat/00.tif")
    deep = np.asarray(scene(97).convert("L")).astype(">u2") * 200
    Image.fromarray(deep).save(root / "train/cat/01.tif")
    (root / "train/cat/00.png").unlink()
    (root / "train/cat/01.png").unlink()
    _, found = look(root)
    assert kinds(found) == {"unusual-mode", "grey"}
    assert next(f.count for f in found.findings if f.kind == "unusual-mode") == 2


# --- files -----------------------------------------------------------------------------------


def truncated(root):
    path = root / "train/cat/00.png"
    path.write_bytes(path.read_bytes()[:200])


def empty(root):
    (root / "train/cat/00.png").write_bytes(b"")


def text(root):
    (root / "train/cat/00.png").write_text("<html>")


def wrong_ending(root):
    scene(99).save(root / "train/cat/00.png", "JPEG")


def rotated(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(99).save(root / "train/cat/00.png", exif=exif)


def alpha(root):
    image = scene(99).convert("RGBA")
    image.putalpha(Image.new("L", image.size, 200))
    image.save(root / "train/cat/00.png")


def clear_colour(root):
    scene(99).quantize(8).save(root / "train/cat/00.png", transparency=0)


def grey(root):
    scene(99).convert("L").save(root / "train/cat/00.png")


def sixteen_bits(root):
    values = np.asarray(scene(99).convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(root / "train/cat/00.png")


def cmyk(root):
    (root / "train/cat/00.png").unlink()
    scene(99).convert("CMYK").save(root / "train/cat/00.jpg")


def animation(root):
    (root / "train/cat/00.png").unlink()
    frames = [scene(99 + i).quantize(16) for i in range(3)]
    frames[0].save(root / "train/cat/00.gif", save_all=True, append_images=frames[1:])


def tiny(root):
    scene(99, (15, 40)).save(root / "train/cat/00.png")


FILES = {
    truncated: ({"unreadable"}, "error"),
    empty: ({"unreadable"}, "error"),
    text: ({"unreadable"}, "error"),
    wrong_ending: ({"wrong-extension"}, "warning"),
    rotated: ({"exif-rotation"}, "warning"),
    alpha: ({"alpha"}, "warning"),
    clear_colour: ({"alpha"}, "warning"),
    grey: ({"grey"}, "note"),
    sixteen_bits: ({"unusual-mode", "grey"}, "note"),
    cmyk: ({"unusual-mode"}, "note"),
    animation: ({"animation"}, "warning"),
    tiny: ({"tiny"}, "warning"),
}


@pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)
def test_trouble_with_a_file_is_found(root, make):
    make(root)
    _, found = look(root)
    expected, severity = FILES[make]
    assert kinds(found) == expected
    for finding in found.findings:
        assert finding.count == 1
        assert finding.severity == severity
        assert finding.examples[0].startswith("train/cat/00.")
    assert found.errors == (severity == "error")


def test_reason_is_told(root):
    empty(root)
    _, found = look(root)
    assert found.find("unreadable").examples == ("train/cat/00.png (the file is empty)",)


def test_photos_of_phones_with_a_second_picture_are_no_animation(root):
    """MPO: a JPEG with another image behind it."""
    (root / "train/cat/00.png").unlink()
    first = scene(99)
    first.save(root / "train/cat/00.jpg", "MPO", save_all=True, append_images=[scene(100)])
    _, found = look(root)
    assert found.findings == []


def test_all_grey_is_no_finding(tmp_path):
    for i, path in enumerate(sorted(clean_folder(tmp_path / "set").rglob("*.png"))):
        scene(i, (48, 60 + i)).convert("L").save(path)
    assert look(tmp_path / "set")[1].findings == []


def test_small_images_that_are_all_alike_are_no_finding(tmp_path):
    for i, path in enumerate(sorted(clean_folder(tmp_path / "set").rglob("*.png"))):
        scene(i, (12, 12)).save(path)
    _, found = look(tmp_path / "set")
    assert found.findings == []


# --- duplicates -------------------------------------------------------------------------------


def copy(root, one, other):
    (root / other).write_bytes((root / one).read_bytes())


@pytest.mark.parametrize(
    ("one", "other", "kind", "severity"),
    [
        ("train/cat/00.png", "train/cat/01.png", "duplicate", "warning"),
        ("train/cat/00.png", "test/cat/01.png", "duplicate-across-splits", "error"),
        ("val/cat/00.png", "test/cat/01.png", "duplicate-across-splits", "error"),
        ("train/cat/00.png", "train/dog/01.png", "conflicting-labels", "error"),
        ("train/cat/00.png", "test/dog/01.png", "conflicting-labels", "error"),
    ],
)
def test_exact_duplicates(root, one, other, kind, severity):
    copy(root, one, other)
    _, found = look(root)
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.count) == (kind, severity, 1)
    assert set(finding.examples[0].split(" = ")) == {one, other}


def test_same_pixels_in_another_file_are_an_exact_duplicate(root):
    Image.open(root / "train/cat/00.png").save(root / "train/cat/01.bmp")
    (root / "train/cat/01.png").unlink()
    assert kinds(look(root)[1]) == {"duplicate"}


@pytest.mark.parametrize(
    ("other", "kind", "severity"),
    [
        ("train/cat/01.jpg", "near-duplicate", "note"),
        ("test/cat/01.jpg", "near-duplicate-across-splits", "warning"),
    ],
)
def test_near_duplicates(root, other, kind, severity):
    (root / other).with_suffix(".png").unlink()
    Image.open(root / "train/cat/00.png").save(root / other, quality=60)
    _, found = look(root)
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.count) == (kind, severity, 1)
    assert set(finding.examples[0].split(" = ")) == {"train/cat/00.png", other}


# --- classes -----------------------------------------------------------------------------------


def test_untrained_class(root):
    for path in (root / "train/dog").iterdir():
        path.unlink()
    _, found = look(root)
    finding = found.find("untrained-class")
    assert (finding.severity, finding.examples) == ("error", ("dog",))


def test_small_class(root):
    for path in sorted((root / "train/dog").iterdir())[9:]:
        path.unlink()
    finding = look(root)[1].find("small-class")
    assert (finding.severity, finding.count, finding.examples) == ("warning", 1, ("dog",))


def test_imbalance_from_ten_times_on(tmp_path):
    seed = 0
    for name, count in (("cat", 40), ("dog", 4)):
        for split in ("train", "val", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count if split == "train" else 1):
                seed += 1
                scene(seed, (40, 40 + i)).save(tmp_path / split / name / f"{i}.png")
    finding = look(tmp_path)[1].find("imbalance")
    assert finding.examples == ("cat: 40", "dog: 4")
    (tmp_path / "train/cat/39.png").unlink()
    assert look(tmp_path)[1].find("imbalance") is None


def test_empty_class(root):
    (root / "train/cow").mkdir()
    finding = look(root)[1].find("empty-class")
    assert finding.count == 1
    assert "cow" in finding.examples[0]


# --- boxes --------------------------------------------------------------------------------------


@pytest.fixture
def boxed(tmp_path):
    """A COCO set of 24 images with two good boxes each, and one box of each kind given."""

    def make(*boxes, size=(64, 48), category=1, root="boxed"):
        folder = tmp_path / root
        (folder / "train").mkdir(parents=True)
        pages, notes = [], []
        for i in range(24):
            scene(i, (48, 64)).save(folder / f"train/{i:02}.png")
            width, height = size if i == 0 else (64, 48)
            pages.append({"id": i, "file_name": f"{i:02}.png", "width": width, "height": height})
            good = [(1, [0, 0, 64, 48]), (2, [2, 3, 10, 12.5])]
            bad = [(category, list(b)) for b in boxes] if i == 0 else []
            for c, box in good + bad:
                notes.append({
                    "id": len(notes), "image_id": i, "category_id": c, "bbox": box,
                    "area": box[2] * box[3], "iscrowd": 0,
                })  # fmt: skip
        names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        (folder / "annotations").mkdir()
        (folder / "annotations/instances_train.json").write_text(
            json.dumps({"images": pages, "annotations": notes, "categories": names})
        )
        return folder

    return make


def test_good_boxes_are_no_finding(boxed):
    data, found = look(boxed())
    assert data.layout == "coco"
    assert found.findings == []


@pytest.mark.parametrize(
    "side", [(0, 10), (10, 0), (0, 0), (1, 20), (20, 1), (1, 1), (0.5, 9), (9, 0.99)]
)
def test_boxes_of_at_most_a_pixel_have_no_area(boxed, side):
    _, found = look(boxed((5, 5, *side)))
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.count) == ("box-without-area", "error", 1)
    assert finding.examples[0].startswith("train/00.png box 2")


def test_boxes_of_two_pixels_are_boxes(boxed):
    assert look(boxed((5, 5, 2, 2), (9, 9, 1.5, 3)))[1].findings == []


@pytest.mark.parametrize("place", [(-3, 5), (5, -3), (60, 5), (5, 40), (100, 100)])
def test_boxes_outside(boxed, place):
    _, found = look(boxed((*place, 10, 10)))
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.count) == ("box-outside", "error", 1)


def test_half_a_pixel_outside_is_rounding(boxed):
    assert look(boxed((-0.4, 5, 10, 10), (54.4, 38.4, 10, 10)))[1].findings == []


def test_wrong_size(boxed):
    _, found = look(boxed(size=(640, 480)))
    assert "wrong-size" in kinds(found)
    assert found.find("wrong-size").examples == ("train/00.png (states 640x480, is 64x48)",)


def test_inclusive_corners_that_coincide_have_no_area(tmp_path, draw, write):
    """Pascal VOC's xmin = xmax is one pixel wide by its own rule."""
    for i in range(3):
        scene(i).save(draw.photo(tmp_path / f"JPEGImages/{i}.png"))
        size = "<width>64</width><height>48</height>"
        objects = draw.object(box=(5, 5, 30, 30))
        if i == 0:
            objects += draw.object(box=(9, 9, 9, 20)) + draw.object(box=(9, 9, 20, 9))
        write(f"Annotations/{i}.xml", draw.page(objects, size))
    data = voc.read(tmp_path, "x")
    found = auditing.audit(data)
    assert found.find("box-without-area").count == 2
    clean, done = mend.fixed(data, found)
    assert auditing.audit(clean).find("box-without-area") is None
    assert [len(i.annotation.boxes) for i in clean.source.items] == [1, 1, 1]
    assert any("2 boxes" in d for d in done)


def test_annotation_drawn_without_the_exif_rotation_has_the_right_size(tmp_path, draw):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(0).save(tmp_path / "a.jpg", exif=exif)
    data = draw.dataset([], tmp_path)
    boxes = np.array([[0, 0, 64, 48.0]])
    data.source.items.append(
        Item("a", str(tmp_path / "a.jpg"), annotation=Annotation(64, 48, boxes, np.array([0])))
    )
    found = auditing.audit(replace(data, rows={"train": np.array([0])}))
    assert found.find("wrong-size") is None
    assert found.find("box-outside") is None
    assert data.sample(0).image.shape == (48, 64, 3)


def test_unknown_label(tmp_path, draw, write):
    draw.photo(tmp_path / "JPEGImages/a.png")
    write("Annotations/a.xml", draw.page(draw.object("cat") + draw.object("unicorn")))
    write("classes.txt", "cat\n")
    data = voc.read(tmp_path, "x")
    finding = auditing.audit(data).find("unknown-label")
    assert (finding.severity, finding.count) == ("error", 1)
    clean, _ = mend.fixed(data, auditing.audit(data))
    assert clean.source.items[0].annotation.labels.tolist() == [0]
    assert clean.source.items[0].annotation.unknown == ()


# --- mending -------------------------------------------------------------------------------------


def state(root):
    return {
        p: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in root.rglob("*")
        if p.is_file()
    }


def mended(root, out, to="folder"):
    before = state(root)
    data, found = look(root)
    clean, done = mend.fixed(data, found)
    convert(clean, out, to)
    assert state(root) == before, "the original was touched"
    again, rest = look(out)
    return data, again, rest, done


@pytest.mark.parametrize(
    "make", [f for f in FILES if f not in (grey, tiny)], ids=lambda f: f.__name__
)
def test_mended_copy_is_clean(root, tmp_path, make):
    make(root)
    data, again, rest, done = mended(root, tmp_path / "out")
    assert rest.findings == []
    lost = FILES[make][0] == {"unreadable"}
    assert rest.images == 32 - lost
    assert again.classes == data.classes
    assert len(done) == 1


def test_mended_picture_is_the_one_that_was_seen(root, tmp_path):
    rotated(root)
    (item,) = [i for i in load_data(root).source.items if i.id == "train/cat/00.png"]
    seen = item.read_image("RGB")
    mended(root, tmp_path / "out")
    kept = Image.open(tmp_path / "out/train/cat/00.png")
    assert 0x0112 not in kept.getexif()
    assert np.array_equal(np.asarray(kept), seen)
    assert kept.size == (48, 64)


def test_untouched_files_are_copied_byte_for_byte(root, tmp_path):
    text(root)
    mended(root, tmp_path / "out")
    for path in root.rglob("*.png"):
        if path != root / "train/cat/00.png":
            copied = tmp_path / "out" / path.relative_to(root)
            assert copied.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("one", "other", "stays"),
    [
        ("train/cat/00.png", "train/cat/01.png", "train/cat/00.png"),
        ("train/cat/00.png", "test/cat/01.png", "test/cat/01.png"),
        ("train/cat/00.png", "val/cat/01.png", "val/cat/01.png"),
        ("val/cat/00.png", "test/cat/01.png", "test/cat/01.png"),
    ],
)
def test_one_of_two_copies_stays(root, tmp_path, one, other, stays):
    copy(root, one, other)
    _, _, rest, done = mended(root, tmp_path / "out")
    assert rest.findings == []
    assert rest.images == 31
    assert (tmp_path / "out" / stays).exists()
    assert not (tmp_path / "out" / (one if stays == other else other)).exists()
    assert done == ["1 exact duplicate left out"]


def test_copies_with_different_labels_both_go(root, tmp_path):
    copy(root, "train/cat/00.png", "train/dog/01.png")
    _, _, rest, _ = mended(root, tmp_path / "out")
    assert rest.findings == []
    assert rest.images == 30


def test_everything_at_once(root, tmp_path):
    for make, name in ((rotated, "02"), (alpha, "03"), (wrong_ending, "04"), (text, "05")):
        make(root)
        (root / "train/cat/00.png").rename(root / f"train/cat/{name}.png")
    scene(500).save(root / "train/cat/00.png")
    scene(501).convert("RGBA").rotate(30).save(root / "train/cat/03.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    scene(502).save(root / "train/cat/02.png", exif=exif)
    copy(root, "train/dog/00.png", "test/dog/00.png")
    assert kinds(look(root)[1]) == {
        "unreadable", "exif-rotation", "alpha", "duplicate-across-splits", "wrong-extension",
    }  # fmt: skip
    _, _, rest, done = mended(root, tmp_path / "out")
    assert rest.findings == []
    assert rest.images == 30
    assert len(done) == 3


def test_mended_boxes_are_clean(boxed, tmp_path):
    root = boxed((5, 5, 0, 10), (5, 5, 1, 10), (-3, 5, 10, 10), (60, -5, 10, 10), (100, 9, 9, 9))
    _, again, rest, done = mended(root, tmp_path / "out", "coco")
    assert rest.findings == []
    assert done == ["5 boxes cut to their image or removed for having no area"]
    first = next(i for i in again.source.items if i.id.endswith("00.png"))
    assert first.annotation.boxes.tolist() == [
        [0, 0, 64, 48], [2, 3, 12, 15.5], [0, 5, 7, 15], [60, 0, 64, 5],
    ]  # fmt: skip


def test_boxes_are_cut_also_where_the_annotation_states_no_size(tmp_path, draw):
    scene(0).save(tmp_path / "a.png")
    data = draw.dataset([], tmp_path)
    boxes = np.array([[5, 5, 100, 100.0]])
    data.source.items.append(
        Item("a", str(tmp_path / "a.png"), annotation=Annotation(0, 0, boxes, np.array([0])))
    )
    data = replace(data, rows={"train": np.array([0])})
    found = auditing.audit(data)
    assert found.find("box-outside").count == 1
    clean, _ = mend.fixed(data, found)
    assert clean.source.items[0].annotation.boxes.tolist() == [[5, 5, 64, 48]]


def test_shapes_and_marks_follow_their_boxes(tmp_path):
    polygon = [np.array([(5, 5), (20, 5), (20, 20)])]
    annotation = Annotation(
        64, 48,
        np.array([[5, 5, 5, 9], [5, 5, 20, 20]]), np.array([1, 0]), [None, polygon],
        crowd=np.array([True, False]), difficult=np.array([True, False]),
        semantic="map.png", semantic_binary=True,
    )  # fmt: skip
    clean, changed = mend._clean_boxes(annotation, 64, 48)
    assert changed == 1
    assert clean.boxes.tolist() == [[5, 5, 20, 20]]
    assert clean.labels.tolist() == [0]
    assert clean.shapes == [polygon]
    assert clean.crowd.tolist() == clean.difficult.tolist() == [False]
    assert (clean.semantic, clean.semantic_binary) == ("map.png", True)


def test_nothing_to_mend_says_so(root):
    data, found = look(root)
    assert mend.fixed(data, found)[1] == ["nothing needed mending"]
