"""Tables of images: which column means what, what is left out and said, and the way back."""

import csv
import io

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from sightline.data.convert import convert
from sightline.data.load import load_data
from sightline.errors import DataError, SightlineError, UnknownNameError
from sightline.types import Task

N = 30
NAMES = ("猫", "狗", "red fox")
FILES = [f"images/{i:03}.png" for i in range(N)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty pictures of 40 x 30, no two alike."""
    root = tmp_path_factory.mktemp("photos")
    (root / "images").mkdir()
    for i, file in enumerate(FILES):
        pixels = np.random.default_rng(i).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / file)
    return root


@pytest.fixture
def table(photos):
    """Write a table beside the pictures; return its path."""

    def write(*columns, delimiter=",", encoding="utf-8", name="t.csv", header=True):
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        if header:
            writer.writerow([name for name, _ in columns])
        writer.writerows(zip(*(values for _, values in columns), strict=True))
        (photos / name).write_bytes(out.getvalue().encode(encoding))
        return photos / name

    return write


def labelled(data):
    return {i.id: data.classes[i.label] for i in data.source.items}


def boxes(data):
    return {
        i.id: [(data.classes[c], box) for c, box in zip(a.labels, a.boxes.tolist(), strict=True)]
        for i in data.source.items
        if (a := i.read_annotation()) is not None
    }


LABELS = [NAMES[i % 3] for i in range(N)]
EXPECTED = dict(zip(FILES, LABELS, strict=True))


# --- files and their forms --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delimiter", "encoding"),
    [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "gb18030"), ("|", "utf-16")],
)
def test_delimiters_and_encodings(table, delimiter, encoding):
    path = table(("路径", FILES), ("类别", LABELS), delimiter=delimiter, encoding=encoding)
    data = load_data(path)
    assert labelled(data) == EXPECTED
    assert data.layout == "csv"
    assert (len(data.train), len(data.val) + len(data.test)) == (21, 9)


def test_without_names_of_columns(table):
    assert labelled(load_data(table(("", FILES), ("", LABELS), header=False))) == EXPECTED


def test_quoted_cells_hold_delimiters_and_lines(table):
    odd = [("a,\nb", "c")[i % 2] for i in range(N)]
    assert labelled(load_data(table(("file", FILES), ("label", odd)))) == dict(
        zip(FILES, odd, strict=True)
    )


@pytest.mark.parametrize(
    ("image", "label"),
    [("filename", "class"), ("Image Path", "Species"), ("image_id", "breed"), ("id", "anything"),
     ("FILE", "label_name")],
)  # fmt: skip
def test_columns_by_their_names(table, image, label):
    assert labelled(load_data(table((image, FILES), (label, LABELS)))) == EXPECTED


def test_named_columns_win(table):
    path = table(("path", FILES), ("label", ["x"] * N), ("k", LABELS))
    assert labelled(load_data(path, columns={"label": "k"})) == EXPECTED
    assert labelled(load_data(f"{path}:label=k")) == EXPECTED
    with pytest.raises(UnknownNameError, match=r"'labl'.*did you mean 'label'"):
        load_data(path, columns={"label": "labl"})
    with pytest.raises(UnknownNameError, match="unknown role of a column 'lable'"):
        load_data(path, columns={"lable": "k"})


def test_ids_without_ending_are_found_below_the_root(table, photos):
    ids = [f"{i:03}" for i in range(N)]
    path = table(("id", ids), ("breed", LABELS))
    assert labelled(load_data(path)) == dict(zip(ids, LABELS, strict=True))
    moved = photos.parent / "elsewhere.csv"
    moved.write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"30 of 30 images are missing .*root="):
        load_data(_alone(moved))
    assert len(load_data(_alone(moved), root=photos).source.items) == N
    assert len(load_data(f"{_alone(moved)}:root={photos}").source.items) == N


def _alone(path):
    """Move a file into a folder of its own."""
    folder = path.parent / "alone"
    folder.mkdir(exist_ok=True)
    if path.exists():
        path.rename(folder / path.name)
    return folder / path.name


def test_two_files_of_one_name_are_not_guessed(table, photos):
    (photos / "other").mkdir(exist_ok=True)
    (photos / "other/000.png").write_bytes((photos / FILES[1]).read_bytes())
    try:
        data = load_data(table(("id", [f"{i:03}" for i in range(N)]), ("label", LABELS)))
    finally:
        (photos / "other/000.png").unlink()
    assert "000" not in labelled(data)
    assert any("several files have their name, first 000" in note for note in data.notes)


# --- splits and groups ------------------------------------------------------------------------


def test_splits_and_groups(table):
    words = [("train", "Validation", "test", "valid", "TRAIN", "val")[i % 6] for i in range(N)]
    data = load_data(table(("path", FILES), ("label", LABELS), ("split", words)))
    assert {name: len(rows) for name, rows in data.rows.items()} == {
        "train": 10, "val": 15, "test": 5,
    }  # fmt: skip
    patients = [f"p{i // 3}" for i in range(N)]
    path = table(("path", FILES), ("label", LABELS), ("patient", patients))
    for loaded in (load_data(path, group="patient"), load_data(f"{path}:group=patient")):
        of = {name: {i.group for i in split.items} for name, split in loaded.splits.items()}
        assert sum(map(len, of.values())) == 10 == len(set.union(*of.values()))


def test_a_split_that_is_none(table):
    words = ["train"] * (N - 1) + ["holdout"]
    with pytest.raises(DataError, match=r"029.png has 'holdout' in 'split', which is no split"):
        load_data(table(("path", FILES), ("label", LABELS), ("split", words)))


def test_a_group_in_two_splits(table):
    path = table(
        ("path", FILES), ("label", LABELS), ("split", ["train", "test"] * 15), ("group", ["g"] * N)
    )
    with pytest.raises(DataError, match="part the group 'g'"):
        load_data(path)


# --- what is left out -------------------------------------------------------------------------


def test_missing_files_and_empty_labels_are_counted_and_named(table):
    path = table(
        ("path", [*FILES, "gone/1.png", "gone/2.png"]),
        ("label", ["", "nan", *LABELS[2:], "猫", "猫"]),
    )
    data = load_data(path)
    assert labelled(data) == {file: EXPECTED[file] for file in FILES[2:]}
    said = " / ".join(data.notes)
    assert "2 of 32 images are missing" in said
    assert "gone/1.png, gone/2.png" in said
    assert "2 of 32 images have no label and are left out, first images/000.png" in said


def test_several_labels(table):
    few = [("a", "b", "a|b", "c")[i % 4] for i in range(N)]
    data = load_data(table(("path", FILES), ("label", few)))
    assert set(data.classes) == {"a", "b", "c"}
    assert any("7 of 30 images have several labels" in note for note in data.notes)
    twice = table(("path", FILES * 2), ("label", ["a"] * N + ["b"] * N))
    assert load_data(twice).task is Task.MULTILABEL
    names = [("polar bear", "red fox")[i % 2] for i in range(N)]  # a blank is part of a name
    assert set(load_data(table(("path", FILES), ("label", names))).classes) == set(names)


def test_one_column_a_class(table):
    flags = [(name, [int(i % 3 == c) for i in range(N)]) for c, name in enumerate(NAMES)]
    assert labelled(load_data(table(("image_id", FILES), *flags))) == EXPECTED


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((("a", ["1"]), ("b", ["2"]), ("c", ["3"])), "no column of images among 'a', 'b', 'c'"),
        ((("path", FILES), ("b", LABELS), ("c", LABELS)), "no column of labels"),
        ((("path", []), ("label", [])), "has no row"),
        ((("path", ["https://x/a.png"]), ("label", ["a"])), "download them first"),
        ((("path", FILES), ("path", LABELS)), "the column 'path' twice"),
    ],
)
def test_tables_that_are_none(table, columns, said):
    with pytest.raises(DataError, match=said) as caught:
        load_data(table(*columns))
    assert "\n" not in str(caught.value)


def test_a_ragged_line_is_named(photos):
    (photos / "r.csv").write_text("path,label\nimages/000.png,a\nimages/001.png\n")
    with pytest.raises(DataError, match=r"r.csv, line 3: 1 values for 2 columns"):
        load_data(photos / "r.csv")


# --- boxes ------------------------------------------------------------------------------------


def column(values, times=N):
    return [values[i % len(values)] for i in range(times)]


WANT = [("cat", [4.0, 6.0, 20.0, 18.0])]


@pytest.mark.parametrize(
    "columns",
    [
        {"filename": FILES, "width": [40] * N, "height": [30] * N, "class": ["cat"] * N,
         "xmin": [4] * N, "ymin": [6] * N, "xmax": [20] * N, "ymax": [18] * N},
        {"image": FILES, "label": ["cat"] * N, "x": [4] * N, "y": [6] * N, "w": [16] * N,
         "h": [12] * N},
        {"patientId": FILES, "x": [4] * N, "y": [6] * N, "width": [16] * N, "height": [12] * N,
         "Target": ["cat"] * N},
        {"ImageID": FILES, "LabelName": ["cat"] * N, "XMin": [0.1] * N, "XMax": [0.5] * N,
         "YMin": [0.2] * N, "YMax": [0.6] * N},
        {"image": FILES, "label": ["cat"] * N, "x_center": [0.3] * N, "y_center": [0.4] * N,
         "width": [0.4] * N, "height": [0.4] * N},
        {"image_id": FILES, "width": [40] * N, "height": [30] * N, "label": ["cat"] * N,
         "bbox": ["[4.0, 6.0, 16.0, 12.0]"] * N, "source": ["farm"] * N},
        {"image": FILES, "label": ["cat"] * N,
         "annotations": ["[{'x': 4, 'y': 6, 'width': 16, 'height': 12}]"] * N},
    ],
    ids=["tensorflow", "xywh", "rsna", "open-images", "yolo", "wheat", "reef"],
)  # fmt: skip
def test_forms_of_boxes(table, columns):
    data = load_data(table(*columns.items()))
    assert data.tasks == (Task.DETECT,)
    read = boxes(data)
    assert len(read) == N
    for own in read.values():
        assert [name for name, _ in own] == ["cat"]
        np.testing.assert_allclose(own[0][1], WANT[0][1])


def test_many_boxes_an_image_none_and_no_class(table):
    path = table(
        ("image_id", [FILES[0], *FILES]),
        ("bbox", ["[1, 2, 3, 4]", "[5, 6, 7, 8]", *[""] * (N - 1)]),
    )
    data = load_data(path)
    assert data.classes == ("object",)
    assert boxes(data)[FILES[0]] == [("object", [1, 2, 4, 6]), ("object", [5, 6, 12, 14])]
    assert boxes(data)[FILES[1]] == []
    data = load_data(path, columns={"form": "xyxy"})
    assert boxes(data)[FILES[0]][0] == ("object", [1, 2, 3, 4])


def test_a_box_that_is_none(table):
    path = table(("path", FILES), ("label", ["a"] * N), ("bbox", ["[1, 2, 3]"] * N))
    with pytest.raises(DataError, match=r"row 1: .* is no box of four numbers"):
        load_data(path)


# --- tables in memory, Parquet and folders ----------------------------------------------------


def as_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


@pytest.mark.parametrize(
    "kind", [lambda f: f, pyarrow.Table.from_pandas, as_polars, lambda f: f.set_index("path")]
)
def test_tables_in_memory(photos, kind):
    frame = pd.DataFrame({"path": FILES, "label": LABELS, "other": 1.5})
    frame.loc[3, "label"] = None
    data = load_data(kind(frame), root=photos, columns={"label": "label"})
    assert labelled(data) == {k: v for k, v in EXPECTED.items() if k != FILES[3]}
    assert any("1 of 30 images have no label" in note for note in data.notes)


def test_numbers_that_pandas_made_floats(photos):
    frame = pd.DataFrame({"path": FILES, "label": [np.nan, *([1, 2, 10] * 10)[:29]]})
    assert load_data(frame, root=photos).classes == ("1", "2", "10")
    frame.to_csv(photos / "floats.csv", index=False)
    assert load_data(photos / "floats.csv").classes == ("1", "2", "10")


def test_pictures_inside_a_table(photos, tmp_path):
    opened = [Image.open(photos / file) for file in FILES]
    data = load_data(pd.DataFrame({"image": opened, "label": LABELS}))
    assert np.array_equal(data.source.items[2].read_image("RGB"), np.asarray(opened[2]))
    inside = [{"bytes": (photos / f).read_bytes(), "path": f} for f in FILES]
    arrow = pyarrow.table({"image": inside, "label": LABELS})
    pyarrow.parquet.write_table(arrow, tmp_path / "hub.parquet")
    data = load_data(tmp_path / "hub.parquet")
    assert np.array_equal(data.source.items[2].read_image("RGB"), np.asarray(opened[2]))


def test_a_folder_with_a_table_a_split(photos, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/images").symlink_to(photos / "images")
    for split, part in (("train", slice(0, 20)), ("test", slice(20, N))):
        frame = pd.DataFrame({"id": FILES[part], "label": LABELS[part]})
        frame.to_csv(tmp_path / f"set/{split}.csv", index=False)
    pd.DataFrame({"id": FILES[:1]}).to_csv(tmp_path / "set/sample_submission.csv", index=False)
    data = load_data(tmp_path / "set")
    assert (len(data.test), len(data.source.items)) == (10, N)
    assert any("not used: sample_submission.csv" in note for note in data.notes)


@pytest.mark.parametrize("name", ["_annotations.csv", "metadata.csv"])
def test_a_table_in_each_folder_of_a_split(photos, tmp_path, name):
    for split, part in (("train", range(16)), ("valid", range(16, 22)), ("test", range(22, N))):
        (tmp_path / split).mkdir()
        for i in part:
            (tmp_path / split / f"{i}.png").write_bytes((photos / FILES[i]).read_bytes())
        frame = pd.DataFrame({"filename": [f"{i}.png" for i in part]})
        frame["class"] = [LABELS[i] for i in part]
        if name.startswith("_"):
            frame[["xmin", "ymin", "xmax", "ymax"]] = (1, 2, 30, 20)
        frame.to_csv(tmp_path / split / name, index=False)
    data = load_data(tmp_path)
    assert {n: len(r) for n, r in data.rows.items()} == {"train": 16, "val": 6, "test": 8}
    assert data.task is (Task.DETECT if name.startswith("_") else Task.CLASSIFY)
    assert data.test.items[0].id == "test/22.png"


def test_kaggles_form_for_answers_is_no_table(photos, tmp_path):
    (tmp_path / "images").symlink_to(photos / "images")
    pd.DataFrame({"id": FILES, "breed": LABELS}).to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"id": FILES[:3], "label": "x"}).to_csv(
        tmp_path / "sample_submission.csv", index=False
    )
    assert labelled(load_data(tmp_path)) == EXPECTED


def test_fractions_are_numbers_and_a_few_are_no_classes(photos):
    frame = pd.DataFrame({"path": FILES, "label": [i / 4 for i in range(N)]})
    data = load_data(frame, root=photos)
    assert (data.task, data.target) == (Task.REGRESS, "label")
    few = pd.DataFrame({"path": FILES, "label": [0.25 if i == 1 else float(i) for i in range(N)]})
    with pytest.raises(DataError, match=r"row 2: 0.25 in 'label' is no class"):
        load_data(few, root=photos)


def test_folders_of_classes_with_a_table_beside_stay_what_they_are(photos, tmp_path):
    for i, file in enumerate(FILES):
        (tmp_path / "abc"[i % 3]).mkdir(exist_ok=True)
        (tmp_path / "abc"[i % 3] / f"{i}.png").write_bytes((photos / file).read_bytes())
    (tmp_path / "patients.csv").write_text("file,label\n0.png,p1\n")
    assert load_data(tmp_path).layout == "folder"
    (tmp_path / "patients.csv").unlink()
    (tmp_path / "train").mkdir()
    for name in "abc":
        (tmp_path / name).rename(tmp_path / "train" / name)
    (tmp_path / "train/metadata.csv").write_text("file,label\n0.png,p1\n")
    assert load_data(tmp_path).layout == "folder"


@pytest.mark.parametrize("to", ["csv", "parquet"])
@pytest.mark.parametrize("source", ["digits", "shapes:count=40,size=64"])
def test_a_written_table_is_read_as_it_was(tmp_path, to, source):
    data = load_data(source)
    lost = convert(data, tmp_path / "out", to)
    back = load_data(tmp_path / "out")
    assert back.layout == to
    assert back.task == data.task
    assert lost == (["the outlines"] if data.task is Task.DETECT else [])
    for name, split in data.splits.items():
        for mine, theirs in zip(split, back.split(name), strict=True):
            assert np.array_equal(mine.image, theirs.image)
            if mine.label is not None:
                assert data.classes[mine.label] == back.classes[theirs.label]
            if mine.objects is not None:
                assert np.array_equal(mine.objects.boxes, theirs.objects.boxes)
                assert mine.objects.names == theirs.objects.names


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_table_is_written_into_a_folder(tmp_path, to):
    with pytest.raises(DataError, match=f"is to be a folder, with labels.{to}"):
        convert(load_data("digits"), tmp_path / f"out.{to}", to)
    assert not list(tmp_path.iterdir())


def test_a_file_has_no_layout_of_folders(table):
    path = table(("path", FILES), ("label", LABELS))
    assert load_data(path, layout="csv").layout == "csv"
    with pytest.raises(SightlineError, match=r"layout='coco' belongs to folders; t.csv is a table"):
        load_data(path, layout="coco")


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match="no readable Parquet") as caught:
        load_data(tmp_path / "x.parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.Series([1]), pd.DataFrame({"a": [1]})])
def test_frames_that_are_none(frame):
    with pytest.raises(SightlineError) as caught:
        load_data(frame)
    assert "\n" not in str(caught.value)
