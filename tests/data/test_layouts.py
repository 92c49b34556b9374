"""Layouts that people have: each is read as what it is, or refused with what lies there."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.audit import audit
from sightline.data.load import check_task, load_data
from sightline.errors import DataError
from sightline.types import Task

XML = (
    "<annotation><size><width>40</width><height>30</height></size><object><name>cat</name>"
    "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>11</xmax><ymax>12</ymax></bndbox></object>"
    "</annotation>"
)
ROW = "0 .5 .5 .4 .4\n"
BOX = [12.0, 9.0, 28.0, 21.0]


@pytest.fixture
def put(tmp_path):
    """Write files: images by their ending, others as the text given."""
    drawn = 0

    def make(files, root="d", **same):
        nonlocal drawn
        for name in files:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in (".jpg", ".png"):
                drawn += 1
                noise = np.random.default_rng(drawn).integers(0, 255, (30, 40, 3), np.uint8)
                Image.fromarray(noise).save(path)
            else:
                path.write_text(same.get(path.suffix[1:], files[name] if isinstance(files, dict)
                                         else ""), encoding="utf-8")  # fmt: skip
        return tmp_path / root

    return make


def few(pattern, n=12):
    return [pattern.format(k) for k in range(n)]


def boxes_of(data):
    return {tuple(b) for i in data.source.items for b in i.annotation.boxes.tolist()}


# --- VOC --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pictures", "pages", "splits"),
    [
        ("images/{}.jpg", "annotations/{}.xml", {"train"}),
        ("images/{}.jpg", "annots/{}.xml", {"train"}),
        ("Images/{}.png", "XML/{}.xml", {"train"}),
        ("pics/{}.jpg", "whatever/{}.xml", {"train"}),
        ("{}.jpg", "{}.xml", {"train"}),
        ("{}.jpg", "labels/{}.xml", {"train"}),
        ("train/{}.jpg", "train/{}.xml", {"train"}),
        ("dev/{}.jpg", "dev/{}.xml", {"val"}),
        ("images/Train/{}.jpg", "annotations/Train/{}.xml", {"train"}),
        ("test/images/{}.jpg", "test/annotations/{}.xml", {"test"}),
        ("JPEGImages/{}.jpg", "labels/{}.xml", {"train"}),
        ("photos/{}.jpg", "photos/{}.jpg.xml", {"train"}),
    ],
)
def test_voc_wherever_its_xml_lies(put, pictures, pages, splits):
    folder = put([*few(pictures), *few(pages)], xml=XML)
    data = load_data(folder)
    assert data.layout == "voc"
    assert (data.classes, len(data.source.items)) == (("cat",), 12)
    assert boxes_of(data) == {(1.0, 2.0, 11.0, 12.0)}
    assert splits <= set(data.rows)
    assert audit(data).errors == 0


def test_voc_of_splits_with_the_same_names_takes_the_nearest(put):
    other = XML.replace("<xmin>2<", "<xmin>5<")
    put([*few("train/images/{}.jpg"), *few("train/ann/{}.xml")], xml=XML)
    folder = put([*few("valid/images/{}.jpg"), *few("valid/ann/{}.xml")], xml=other)
    data = load_data(folder)
    assert {i.annotation.boxes[0][0] for i in data.train.items} == {1.0}
    assert {i.annotation.boxes[0][0] for i in data.val.items} == {4.0}


def test_voc_lists_with_endings_and_folders(put):
    folder = put([*few("JPEGImages/{}.jpg"), *few("Annotations/{}.xml")], xml=XML)
    put({"ImageSets/Main/train.txt": "".join(f"JPEGImages/{k}.jpg\n" for k in range(12))})
    assert len(load_data(folder).source.items) == 12


def test_what_has_no_partner_is_an_error_of_the_audit(put):
    folder = put([*few("images/{}.jpg"), *few("ann/{}.xml", 10), "ann/lonely.xml"], xml=XML)
    audited = audit(load_data(folder))
    assert audited.find("annotation-without-image").examples == ("ann/lonely.xml",)
    assert audited.find("image-without-annotation").count == 2
    assert audited.errors >= 2


# --- YOLO -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pictures", "labels", "more", "classes"),
    [
        ("images/{}.jpg", "labels/{}.txt", {}, ("class 0",)),
        ("images/{}.jpg", "labels/{}.txt", {"classes.txt": "cat\ndog\n"}, ("cat", "dog")),
        ("images/{}.jpg", "labels/{}.txt", {"obj.names": "cat\n"}, ("cat",)),
        ("images/{}.jpg", "labels/{}.txt", {"labels/classes.txt": "猫\n"}, ("猫",)),
        ("Images/{}.JPG", "Labels/{}.txt", {}, ("class 0",)),
        ("{}.jpg", "{}.txt", {}, ("class 0",)),
        ("{}.jpg", "{}.txt", {"classes.txt": "cat\n"}, ("cat",)),
        ("images/train/{}.jpg", "labels/train/{}.txt", {}, ("class 0",)),
        ("train/images/{}.jpg", "train/labels/{}.txt", {}, ("class 0",)),
        ("train/{}.jpg", "train/{}.txt", {}, ("class 0",)),
        ("images/{}.jpg", "labels/{}.txt",
         {"fruit.yaml": "train: images\nnames: [apple]\n"}, ("apple",)),
        ("obj_train_data/{}.jpg", "obj_train_data/{}.txt",
         {"obj.data": "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\n",
          "obj.names": "cat\n",
          "train.txt": "".join(f"data/obj_train_data/{k}.jpg\n" for k in range(12))}, ("cat",)),
        ("img/{}.jpg", "img/labels/{}.txt", {"names.txt": "cat\n"}, ("cat",)),
        ("pics/{}.jpg", "yolo_labels/{}.txt", {"names.txt": "cat\n"}, ("cat",)),
        ("images/train/{}.jpg", "bbox-txt/train/{}.txt", {}, ("class 0",)),
    ],
)  # fmt: skip
def test_yolo_with_and_without_a_yaml(put, pictures, labels, more, classes):
    folder = put(dict.fromkeys([*few(pictures), *few(labels)], ROW) | more)
    data = load_data(folder)
    assert data.layout == "yolo"
    assert data.classes == classes
    assert boxes_of(data) == {tuple(BOX)}
    assert len(data.source.items) == 12
    assert audit(data).errors == 0


def test_yolo_keypoints_are_no_polygons(put):
    row = "0 .5 .5 .4 .4 .1 .1 2 .9 .9 2\n"
    folder = put({"data.yaml": "train: images\nkpt_shape: [2, 3]\nnames: [person]\n"}
                 | dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], row))  # fmt: skip
    data = load_data(folder)
    assert boxes_of(data) == {tuple(BOX)}
    assert data.tasks == (Task.DETECT,)


def test_yolo_without_any_label_is_an_error(put):
    folder = put({"data.yaml": "train: pics\nnames: [a]\n"} | dict.fromkeys(few("pics/{}.jpg"), ""))
    problem = audit(load_data(folder)).find("no-object")
    assert problem.severity == "error"
    assert "no object in any of 12 images" in problem.text
    assert "looked for" in problem.text


def test_yolo_labels_without_image_are_an_error(put):
    files = dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt", 14)], ROW)
    folder = put({"data.yaml": "train: images\nnames: [a]\n"} | files)
    assert audit(load_data(folder)).find("label-without-image").count == 2


def test_a_yaml_is_taken_as_the_set(put):
    folder = put({"my set.yaml": "train: images\nnames: {0: a}\n"}
                 | dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW))  # fmt: skip
    data = load_data(folder / "my set.yaml")
    assert (data.layout, data.name, boxes_of(data)) == ("yolo", "d", {tuple(BOX)})


# --- what leads outside -----------------------------------------------------------------------


def test_a_folder_beside_it_is_allowed_and_others_only_when_asked(put, tmp_path):
    put(dict.fromkeys([*few("a/images/{}.jpg"), *few("a/labels/{}.txt")], ROW))
    folder = put({"b/data.yaml": "train: ../a/images\nnames: [a]\n"}) / "b"
    assert len(load_data(folder).source.items) == 12
    put(dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW), root="far")
    yaml = folder / "data.yaml"
    for entry in ("../../far/images", str(tmp_path / "far/images"), str(tmp_path)):
        yaml.write_text(f"train: {entry}\nnames: [a]\n")
        with pytest.raises(DataError, match="lies outside"):
            load_data(folder)
        if entry != str(tmp_path):
            assert len(load_data(folder, allow_outside=True).source.items) == 12


def test_the_whole_disk_is_not_walked(put):
    folder = put({"data.yaml": "train: /\nnames: [a]\n", "images/a.jpg": ""})
    with pytest.raises(DataError, match="lies outside"):
        load_data(folder)


def test_another_computers_paths_are_found_below_the_folder(put):
    folder = put({"data.yaml": "path: C:\\Users\\me\\d\ntrain: /home/me/d/images\nnames: [a]\n"}
                 | dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW))  # fmt: skip
    assert len(load_data(folder).source.items) == 12


def test_nothing_leads_out_of_an_archive(put, tmp_path):
    import shutil

    put(dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW), root="beside")
    put({"data.yaml": "train: ../beside/images\nnames: [a]\n", "x/a.jpg": ""})
    archive = shutil.make_archive(str(tmp_path / "d"), "zip", tmp_path / "d")
    home = Path(os.environ["SIGHTLINE_HOME"]) / "archives"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tmp_path / "beside", home / "beside")
    with pytest.raises(DataError, match="outside the archive"):
        load_data(archive)


@pytest.mark.parametrize("name", ["../../outside/{}.jpg", "{root}/outside/{}.jpg"])
def test_coco_and_tables_do_not_lead_outside(put, tmp_path, name):
    put(few("{}.jpg"), root="outside")
    names = [name.replace("{root}", str(tmp_path)).format(k) for k in range(12)]
    page = {
        "images": [{"id": k, "file_name": n} for k, n in enumerate(names)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "a"}],
    }
    coco = put({"x.json": json.dumps(page)}, root="in/coco")
    table = put({"t.csv": "path,label\n" + "".join(f"{n},a\n" for n in names)}, root="in/table")
    for folder in (coco, table):
        with pytest.raises(DataError, match="lies outside"):
            load_data(folder)
        assert len(load_data(folder, allow_outside=True).source.items) == 12


# --- COCO, LabelMe, CVAT, Label Studio --------------------------------------------------------


def coco_page(k, box=(12, 9, 16, 12)):
    return {
        "images": [{"id": k, "file_name": f"{k}.jpg", "width": 40, "height": 30}],
        "annotations": [{"id": 1, "image_id": k, "category_id": 1, "bbox": list(box)}],
        "categories": [{"id": 1, "name": "cat"}],
    }


@pytest.mark.parametrize("name", ["result.json", "x/y/my labels.json", "instances_default.json"])
def test_coco_under_any_name(put, name):
    folder = put({name: json.dumps(coco_page(3)), "photos/deep/3.jpg": ""})
    data = load_data(folder)
    assert (data.layout, list(data.rows)) == ("coco", ["train"])
    assert boxes_of(data) == {tuple(BOX)}
    assert boxes_of(load_data(folder / name)) == {tuple(BOX)}


def test_coco_in_several_files_by_whole_words(put):
    names = enumerate(("Train", "validate", "testing"))
    pages = {f"fruit_{name}.json": json.dumps(coco_page(k)) for k, name in names}
    folder = put(pages | dict.fromkeys(few("{}.jpg", 3), ""))
    data = load_data(folder)
    assert [i.id for i in data.train.items] == ["0.jpg"]
    assert [i.id for i in data.val.items] == ["1.jpg"]
    assert [i.id for i in data.test.items] == ["2.jpg"]


def labelme(k, shapes):
    return json.dumps({"shapes": shapes, "imagePath": f"{k}.jpg", "imageWidth": 40,
                       "imageHeight": 30, "imageData": None})  # fmt: skip


def test_labelme(put):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 5), 255, np.uint8)).save(buffer, "PNG")
    shapes = [
        {"label": "猫", "points": [[28, 21], [12, 9]], "shape_type": "rectangle"},
        {"label": "dog", "points": [[1, 2], [9, 2], [9, 8]], "shape_type": "polygon"},
        {"label": "dog", "points": [[20, 15], [20, 20]], "shape_type": "circle"},
        {"label": "dog", "points": [[30, 20], [34, 23]], "shape_type": "mask",
         "mask": base64.b64encode(buffer.getvalue()).decode()},
        {"label": "dog", "points": [[3, 3]], "shape_type": "point"},
    ]  # fmt: skip
    folder = put({f"{k}.json": labelme(k, shapes) for k in range(12)}
                 | dict.fromkeys(few("{}.jpg", 13), ""))  # fmt: skip
    data = load_data(folder)
    assert (data.layout, data.classes) == ("labelme", ("dog", "猫"))
    assert data.tasks == (Task.DETECT, Task.INSTANCES, Task.SEGMENT)
    annotation = data.source.items[0].annotation
    assert annotation.labels.tolist() == [1, 0, 0, 0]
    assert np.allclose(annotation.boxes, [BOX, [1, 2, 9, 8], [15, 10, 25, 20], [30, 20, 35, 24]])
    objects = data.train[0].objects
    assert objects.masks[3].sum() == 20
    assert abs(objects.masks[2].sum() - np.pi * 25) < 5
    audited = audit(data)
    assert any("12 shapes are points or lines" in f.text for f in audited.findings)
    assert audited.find("unused-image").examples[0] == "12.jpg"


def test_cvat_for_images(put):
    images = "".join(
        f'<image id="{k}" name="sub/{k}.jpg" width="40" height="30" subset="{s}">'
        '<box label="cat" xtl="12" ytl="9" xbr="28" ybr="21" occluded="0"/>'
        '<polygon label="dog" points="1,2;9,2;9,8"/>'
        '<mask label="dog" rle="2, 3, 1" left="30" top="20" width="3" height="2"/>'
        '<points label="dog" points="1,1"/></image>'
        for k, s in enumerate(("Train", "Validation") * 6)
    )
    text = f'<?xml version="1.0" encoding="utf-8"?><annotations><meta/>{images}</annotations>'
    folder = put({"annotations.xml": text} | dict.fromkeys(few("images/sub/{}.jpg"), ""))
    for path in (folder, folder / "annotations.xml"):
        data = load_data(path)
        assert (data.layout, data.classes) == ("cvat", ("cat", "dog"))
        assert len(data.train) + len(data.test) == 6
        assert len(data.val) == 6
        annotation = data.source.items[0].annotation
        assert np.allclose(annotation.boxes, [BOX, [1, 2, 9, 8], [30, 20, 33, 22]])
        assert data.train[0].objects.masks[2].sum() == 3
        assert any("12 shapes are points" in note for note in data.notes)


@pytest.mark.parametrize("form", ["full", "min"])
def test_label_studio(put, form):
    box = {"x": 30, "y": 30, "width": 40, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]}
    poly = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["dog"]}
    tasks = []
    for k in range(12):
        image = f"/data/upload/1/1a2b3c4d-{k}.jpg"
        if form == "full":
            result = [
                {"type": "rectanglelabels", "value": box},
                {"type": "polygonlabels", "value": poly},
                {"type": "keypointlabels", "value": {"x": 1, "y": 1}},
            ]
            annotations = [{"was_cancelled": True, "result": []}, {"result": result}]
            tasks.append({"id": k, "data": {"image": image}, "annotations": annotations})
        else:
            tasks.append({"id": k, "image": image, "label": [box, poly]})
    folder = put({"export.json": json.dumps(tasks)} | dict.fromkeys(few("imgs/{}.jpg"), ""))
    data = load_data(folder)
    assert (data.layout, data.classes) == ("label_studio", ("cat", "dog"))
    assert np.allclose(data.source.items[0].annotation.boxes, [BOX, [0, 0, 20, 15]])
    assert any("12 regions have no label" in note for note in data.notes) == (form == "full")


def test_label_studio_choices_are_classes(put):
    tasks = [{"id": k, "image": f"https://x.org/{k}.jpg", "choice": "ab"[k % 2]} for k in range(24)]
    folder = put({"export.json": json.dumps(tasks).replace('"id"', '"labels": [], "id"')}
                 | dict.fromkeys(few("imgs/{}.jpg", 24), ""))  # fmt: skip
    data = load_data(folder)
    assert (data.task, data.classes) == (Task.CLASSIFY, ("a", "b"))


# --- masks ------------------------------------------------------------------------------------


def mask(folder, pattern, n=12, ending="png"):
    for k in range(n):
        path = folder / pattern.format(k)
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.zeros((30, 40), np.uint8)
        values[: k + 2, :20] = 1
        values[:, 30:] = 2
        Image.fromarray(values).save(path)


@pytest.mark.parametrize(
    ("pictures", "drawn"),
    [
        ("img_dir/{}.jpg", "ann_dir/{}.png"),
        ("imgs/{}.jpg", "gts/{}.png"),
        ("img_dir/train/{}.jpg", "ann_dir/train/{}.png"),
        ("photo/{}.jpg", "Ground Truth/{}.png"),
        ("train/images/{}.jpg", "train/masks/{}.png"),
        ("images/{}.jpg", "labels/{}_L.png"),
        ("leftImg8bit/train/{}.png", "gtFine/train/{}.png"),
        ("a/{}.jpg", "b/{}.png"),
        ("Image/{}.jpg", "Mask/{}_mask.png"),
        ("images/{}.jpg", "mask/mask_{}.png"),
    ],
)
def test_masks_in_any_pair_of_folders(put, pictures, drawn):
    folder = put(few(pictures))
    mask(folder, drawn)
    data = load_data(folder)
    assert data.layout == "masks"
    assert len(data.source.items) == 12
    assert data.train[0].segmentation.label_map.max() == 2
    assert audit(data).errors == 0


def test_masks_as_jpeg_are_refused_with_the_reason(put):
    folder = put([*few("images/{}.jpg"), *few("masks/{}.jpg")])
    with pytest.raises(DataError, match="smeared"):
        load_data(folder)


def test_soft_edges_are_no_classes(put):
    folder = put(few("images/{}.jpg"))
    mask(folder, "masks/{}.png")
    for k in range(12):
        wide = Image.new("L", (40, 30), 0)
        wide.paste(255, (10, 5, 35, 25))
        wide.resize((400, 300), Image.Resampling.BICUBIC).rotate(
            7 + k, Image.Resampling.BICUBIC).resize((40, 30), Image.Resampling.BICUBIC).save(
            folder / f"masks/{k}.png")  # fmt: skip
    with pytest.raises(DataError, match="soft edges"):
        load_data(folder)


def test_values_without_a_name_are_an_error_of_the_audit(put):
    folder = put(few("images/{}.jpg"))
    mask(folder, "masks/{}.png")
    (folder / "classes.txt").write_text("background\nthing\n")
    extra = audit(load_data(folder)).find("unknown-mask-value")
    assert (extra.severity, extra.count) == ("error", 12)


# --- folders of classes -----------------------------------------------------------------------


def test_train_beside_bus_and_car_is_a_class(put):
    folder = put([*few("train/{}.jpg"), *few("bus/{}.jpg"), *few("car/{}.jpg")])
    data = load_data(folder)
    assert (data.layout, data.classes) == ("folder", ("bus", "car", "train"))
    assert any("train/ is read as a class" in note for note in data.notes)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "dev", "test"), {"train": 24, "val": 24, "test": 24}),
        (("Training", "validate"), {"val": 24}),
        (("TRAIN", "eval", "testing"), {"train": 24, "val": 24, "test": 24}),
        (("train2017", "val2017"), {"val": 24}),
        (("训练集", "测试集"), {"test": 24}),
        (("train_images", "test_images"), {"test": 24}),
    ],
)
def test_splits_by_any_usual_name(put, folders, splits):
    folder = put([f"{s}/{c}/{k}.jpg" for s in folders for c in "ab" for k in range(12)])
    data = load_data(folder)
    assert {s: len(data.rows[s]) for s in splits} == splits
    assert data.classes == ("a", "b")


@pytest.mark.parametrize(
    "names",
    [
        ("constrain", "trained"),
        ("Testarossa", "value"),
        ("train station", "bus station"),
        ("test tube", "flask"),
    ],
)
def test_a_part_of_a_name_is_no_split(put, names):
    folder = put([f"{c}/{k}.jpg" for c in names for k in range(12)])
    data = load_data(folder)
    assert set(data.classes) == set(names)


@pytest.mark.parametrize("wrapper", ["photos", "a/b/c", "train"])
def test_a_wrapper_is_looked_through(put, wrapper):
    folder = put([f"{wrapper}/{c}/{k}.jpg" for c in "ab" for k in range(12)])
    put({"README.txt": "", ".hidden/x.jpg": "", "__MACOSX/y.jpg": ""})
    data = load_data(folder)
    assert (data.classes, len(data.source.items)) == (("a", "b"), 24)


def test_a_stray_image_beside_a_wrapper_is_counted(put):
    folder = put([*(f"photos/{c}/{k}.jpg" for c in "ab" for k in range(12)), "stray.jpg"])
    data = load_data(folder)
    assert data.classes == ("a", "b")
    assert audit(data).find("unused-image").examples == ("stray.jpg",)


def test_a_path_of_another_computer_that_is_also_here(put):
    folder = put({"data.yaml": "path: /usr\ntrain: images\nnames: [a]\n"}
                 | dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW))  # fmt: skip
    assert len(load_data(folder).source.items) == 12


def test_background_in_underscores_is_a_class(put):
    folder = put([f"{c}/{k}.jpg" for c in ("a", "__background__") for k in range(12)])
    assert load_data(folder).classes == ("__background__", "a")


def test_one_class_is_an_error_of_the_audit(put):
    assert audit(load_data(put(few("cat/{}.jpg")))).find("one-class").severity == "error"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({**dict.fromkeys(few("images/{}.jpg"), "")}, "called as no class is"),
        ({**dict.fromkeys(few("a/{}.jpg"), ""), **dict.fromkeys(few("b/{}.jpg"), ""),
          **dict.fromkeys(few("notes/{}.json"), '{"regions": []}')}, r"12 .*\.json.* annotations"),
        ({**dict.fromkeys(few("images/{}.jpg"), ""), "via.json": '{"_via": 1}'}, "1 .json"),
    ],
)  # fmt: skip
def test_annotations_of_another_form_are_not_class_folders(put, files, said):
    with pytest.raises(DataError, match=said):
        check_task(load_data(put(files)), "classify")


@pytest.mark.parametrize(
    ("ending", "content"),
    [("txt", "a cat on 2 mats"), ("jpg.json", '{"title": "IMG", "geoData": {"latitude": 1.5}}')],
)
def test_what_says_nothing_of_objects_leaves_class_folders(put, ending, content):
    own = [f"{c}/{k}.{e}" for c in "ab" for k in range(12) for e in ("jpg", ending)]
    folder = put(dict.fromkeys(own, content))
    assert load_data(folder).layout == "folder"


def test_rows_that_are_there_twice_are_counted(put):
    rows = "".join(f"{k}.jpg,{'ab'[k % 2]}\n" for k in range(24))
    folder = put({"t.csv": "file,label\n" + rows + "0.jpg,a\n1.jpg,b\n1.jpg,b\n"}
                 | dict.fromkeys(few("{}.jpg", 24), ""))  # fmt: skip
    again = audit(load_data(folder)).find("duplicate-row")
    assert (again.severity, again.count, again.examples[0]) == ("warning", 3, "0.jpg, a")


def test_a_link_in_a_class_is_followed_once(put, tmp_path):
    folder = put([f"{c}/{k}.jpg" for c in "ab" for k in range(12)])
    put(few("{}.jpg", 3), root="more")
    (folder / "a/linked").symlink_to(tmp_path / "more")
    (folder / "b/round").symlink_to(folder)
    assert load_data(folder).train.data.source.items[0].id == "a/0.jpg"
    assert len(load_data(folder).source.items) == 27


# --- nothing is dropped in silence ------------------------------------------------------------


def test_a_split_without_classes_is_an_error_of_the_audit(put):
    folder = put([f"train/{c}/{k}.jpg" for c in "ab" for k in range(12)] + few("test/{}.jpg", 9))
    data = load_data(folder)
    assert any("9 images are not used: test/ (9)" in note for note in data.notes)
    unused = audit(data).find("unused-image")
    assert (unused.severity, unused.count) == ("error", 9)


def test_endings_that_are_not_read_are_counted(put):
    own = [f"{c}/{k}.jpg" for c in "ab" for k in range(12)]
    folder = put(dict.fromkeys([*own, *few("a/{}.CR2", 30), *few("b/x{}", 7)], "x"))
    (folder / "b/0.jpg").rename(folder / "b/photo")
    audited = audit(load_data(folder))
    assert "30 .cr2" in audited.find("unread-ending").text
    assert "1 without an ending" in audited.find("unread-ending").text  # it is one by its bytes
    assert "7 without an ending" in audited.find("other-file").text
    assert audited.errors


def test_masks_beside_the_images_are_no_images_left_out(put):
    folder = put([*few("images/{}.jpg"), *few("labels/{}.txt")], txt=ROW)
    mask(folder, "panoptic/{}.png")
    audited = audit(load_data(folder))
    assert audited.find("unused-image") is None
    assert (audited.find("twin").severity, audited.find("twin").count) == ("note", 12)


def test_boxes_that_are_there_twice(put):
    folder = put(dict.fromkeys([*few("images/{}.jpg"), *few("labels/{}.txt")], ROW + ROW))
    assert audit(load_data(folder)).find("duplicate-box").count == 12
