"""Well-known sets from the files that torchvision keeps, and one line where there are none.

No test goes to the network: every way out is shut, and the files are made here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import socket
import struct
import tarfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from sightline.data import download
from sightline.data.load import load_data
from sightline.data.recognise import names
from sightline.errors import DataError, UnknownNameError
from sightline.types import Task


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    tried = []

    def refuse(*args, **_):
        tried.append(args)
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


@pytest.fixture
def place(home):
    folder = home / "datasets"
    folder.mkdir()
    return folder


def rng():
    return np.random.default_rng(0)


def idx(values):
    """LeCun's format: type 8 (bytes), the number of axes, their lengths, the values."""
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim)
    return header + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def put_idx(folder, packed=False):
    folder.mkdir(parents=True)
    made, sums = {}, {}
    for part, n in (("train", 40), ("t10k", 12)):
        X = rng().integers(0, 256, (n, 28, 28), np.uint8)
        y = np.arange(n, dtype=np.uint8) % 10
        made[part] = X, y
        for name, values in ((f"{part}-images-idx3-ubyte", X), (f"{part}-labels-idx1-ubyte", y)):
            if packed:
                body = gzip.compress(idx(values))
                sums[f"{name}.gz"] = hashlib.md5(body).hexdigest()
                (folder / f"{name}.gz").write_bytes(body)
            else:
                (folder / name).write_bytes(idx(values))
    return made, sums


@pytest.mark.parametrize(
    ("name", "folder", "first"),
    [("mnist", "MNIST", "0 - zero"), ("fashion-mnist", "FashionMNIST", "T-shirt/top")],
)
def test_idx_files(place, offline, name, folder, first):
    made, _ = put_idx(place / folder / "raw")
    data = load_data(name)
    assert offline == []
    assert (data.name, data.layout, data.mode, data.size) == (name, "download", "L", (28, 28))
    assert data.classes[0] == first
    assert len(data.classes) == 10
    X, y, _ = data.test.arrays()
    assert np.array_equal(X[..., 0], made["t10k"][0])
    assert y.tolist() == made["t10k"][1].tolist()
    learned = np.sort(np.concatenate([data.train.rows, data.val.rows]))
    assert learned.tolist() == list(range(40))
    assert np.array_equal(data.train[0].image[..., 0], made["train"][0][data.train.rows[0]])


def test_gzipped_idx_files_as_the_message_says(place, offline, monkeypatch):
    made, sums = put_idx(place / "MNIST" / "raw", packed=True)
    monkeypatch.setattr(datasets.MNIST, "resources", list(sums.items()))
    data = load_data("mnist")
    assert offline == []
    assert np.array_equal(data.test.arrays().X[..., 0], made["t10k"][0])


CIFAR = {
    "cifar10": (datasets.CIFAR10, "cifar-10-batches-py", "batches.meta", "labels", "label_names"),
    "cifar100": (
        datasets.CIFAR100,
        "cifar-100-python",
        "meta",
        "fine_labels",
        "fine_label_names",
    ),
}


@pytest.fixture
def cifar(place, monkeypatch):
    """Pickles under the names and checksums that torchvision expects."""

    def make(name, archive=False):
        kind, folder, meta, labels, label_names = CIFAR[name]
        bodies = {}
        made = {"train": [], "test": []}
        parts = [(f, "train") for f, _ in kind.train_list] + [
            (f, "test") for f, _ in kind.test_list
        ]
        for i, (file, split) in enumerate(parts):
            X = np.random.default_rng(i).integers(0, 256, (40, 3, 32, 32), np.uint8)
            y = [(3 * i + j) % 10 for j in range(40)]
            made[split].append((X, y))
            bodies[file] = pickle.dumps({"data": X.reshape(40, -1), labels: y}, protocol=2)
        bodies[meta] = pickle.dumps({label_names: [f"class{i}" for i in range(10)]}, protocol=2)
        md5 = {f: hashlib.md5(b).hexdigest() for f, b in bodies.items()}
        monkeypatch.setattr(kind, "train_list", [[f, md5[f]] for f, _ in kind.train_list])
        monkeypatch.setattr(kind, "test_list", [[f, md5[f]] for f, _ in kind.test_list])
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5[meta]})
        if archive:
            held = io.BytesIO()
            with tarfile.open(fileobj=held, mode="w:gz") as t:
                for file, body in bodies.items():
                    info = tarfile.TarInfo(f"{folder}/{file}")
                    info.size = len(body)
                    t.addfile(info, io.BytesIO(body))
            (place / kind.filename).write_bytes(held.getvalue())
            monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(held.getvalue()).hexdigest())
        else:
            (place / folder).mkdir()
            for file, body in bodies.items():
                (place / folder / file).write_bytes(body)
        return {
            split: (np.concatenate([X for X, _ in p]), [v for _, y in p for v in y])
            for split, p in made.items()
        }

    return make


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(cifar, offline, name, archive):
    made = cifar(name, archive)
    data = load_data(name)
    assert offline == []
    assert (data.mode, data.size) == ("RGB", (32, 32))
    assert data.classes == tuple(f"class{i}" for i in range(10))
    X, y, _ = data.test.arrays()
    assert np.array_equal(X.transpose(0, 3, 1, 2), made["test"][0])
    assert y.tolist() == made["test"][1]
    row = int(data.train.rows[3])
    assert np.array_equal(data.train[3].image.transpose(2, 0, 1), made["train"][0][row])
    assert data.train.labels[3] == made["train"][1][row]


def put_voc(root, year="2007", test=True):
    pages = {"train": ["000001", "000002"], "val": ["000003"]} | (
        {"test": ["000004"]} if test else {}
    )
    for split, stems in pages.items():
        lists = root / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            (root / "JPEGImages").mkdir(exist_ok=True)
            (root / "Annotations").mkdir(exist_ok=True)
            Image.new("RGB", (100, 80)).save(root / "JPEGImages" / f"{stem}.jpg")
            (root / "Annotations" / f"{stem}.xml").write_text(
                "<annotation><size><width>100</width><height>80</height></size><object>"
                "<name>dog</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax>"
                "<ymax>60</ymax></bndbox></object></annotation>"
            )


def test_voc(place, offline):
    put_voc(place / "VOCdevkit" / "VOC2007")
    data = load_data("voc2007")
    assert offline == []
    assert {s: len(r) for s, r in data.rows.items()} == {"train": 2, "val": 1, "test": 1}
    assert len(data.classes) == 20
    assert data.task is Task.DETECT
    assert data.test[0].objects.boxes.tolist() == [[10, 20, 40, 60]]
    assert data.test[0].objects.names == ["dog"]


def test_voc2012_has_no_test_of_its_own(place):
    put_voc(place / "VOCdevkit" / "VOC2012", test=False)
    (place / "VOCdevkit/VOC2012/ImageSets/Main/train.txt").write_text("000001\n000002")
    data = load_data("voc2012")  # a tenth of two is none
    with pytest.raises(DataError, match="too few images"):
        data.test  # noqa: B018


def served(folder, monkeypatch, bodies):
    """Serve archives from a folder in place of the network."""
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_bytes(body)

    def fetch(url, filename, **_):
        Path(filename).write_bytes((folder / url.rsplit("/", 1)[-1]).read_bytes())

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", fetch)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)


def packed(root, inside):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as t:
        t.add(root, inside)
    return held.getvalue()


def serve_voc(tmp_path, monkeypatch):
    from torchvision.datasets import voc as theirs

    made = tmp_path / "made"
    put_voc(made)
    (made / "ImageSets/Main/trainval.txt").write_text("000001\n000002\n000003")
    body = packed(made, "VOCdevkit/VOC2007")
    bodies = {}
    for key in ("2007", "2007-test"):
        entry = dict(theirs.DATASET_YEAR_DICT[key], md5=hashlib.md5(body).hexdigest())
        monkeypatch.setitem(theirs.DATASET_YEAR_DICT, key, entry)
        bodies[entry["url"].rsplit("/", 1)[-1]] = body
    served(tmp_path / "served", monkeypatch, bodies)


def test_voc_is_downloaded_whole(place, tmp_path, monkeypatch):
    serve_voc(tmp_path, monkeypatch)
    assert len(load_data("voc2007").test) == 1
    assert [p.name for p in place.iterdir()] == ["VOCdevkit"], "archives are left behind"


def test_interrupted_download_of_voc_is_not_taken_for_whole(place, tmp_path, monkeypatch):
    serve_voc(tmp_path, monkeypatch)
    original = tarfile.TarFile.extractall

    def interrupt(self, path, *args, **kwargs):
        (Path(path) / "VOCdevkit/VOC2007/Annotations").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(tarfile.TarFile, "extractall", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_data("voc2007")
    monkeypatch.setattr(tarfile.TarFile, "extractall", original)
    assert len(load_data("voc2007").test) == 1


def test_pets(place, offline):
    root = place / "oxford-iiit-pet"
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    lines = {"trainval.txt": [], "test.txt": []}
    for i in range(24):
        for number, breed in ((1, "Abyssinian"), (2, "american_bulldog")):
            stem = f"{breed}_{i}"
            Image.new("RGB", (90, 70 + i)).save(root / "images" / f"{stem}.jpg")
            lines["test.txt" if i < 4 else "trainval.txt"].append(f"{stem} {number} 1 1")
    for name, text in lines.items():
        (root / "annotations" / name).write_text("\n".join(text) + "\n")
    data = load_data("pets")
    assert offline == []
    assert data.classes == ("Abyssinian", "American Bulldog")
    assert {s: len(r) for s, r in data.rows.items()} == {"test": 8, "train": 36, "val": 4}
    first = data.test[0]
    assert (first.id, first.label, first.image.shape) == ("images/Abyssinian_0.jpg", 0, (70, 90, 3))
    assert data.size is None


@pytest.mark.parametrize("name", sorted(download.CATALOGUE))
def test_offline_is_one_line_with_the_remedy(home, offline, name, capfd, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(urllib.request, "urlopen", offline_urlopen)
    with pytest.raises(DataError) as caught:
        load_data(name)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{name} (")
    assert "could not be downloaded" in text
    assert str(home / "datasets") in text
    wanted = {
        "mnist": ("train-images-idx3-ubyte.gz", "MNIST/raw"),
        "fashion-mnist": ("train-images-idx3-ubyte.gz", "FashionMNIST/raw"),
        "cifar10": ("cifar-10-python.tar.gz",),
        "cifar100": ("cifar-100-python.tar.gz",),
        "voc2007": ("VOCdevkit/VOC2007",),
        "voc2012": ("VOCdevkit/VOC2012",),
        "pets": ("oxford-iiit-pet/images",),
    }[name]
    assert all(word in text for word in wanted)
    assert capfd.readouterr().out == ""


def offline_urlopen(*_, **__):
    raise urllib.request.URLError("Network is unreachable")


@pytest.mark.parametrize("body", [b"", b"\0\0\x08\x03\0\0", b"<html>404 not found</html>"])
def test_broken_files_are_named_as_such(place, body):
    put_idx(place / "MNIST" / "raw")
    (place / "MNIST/raw/train-images-idx3-ubyte").write_bytes(body)
    with pytest.raises(DataError) as caught:
        load_data("mnist")
    assert "broken" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(place) in str(caught.value)


def test_home_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cifar10"):
        load_data("cifar10")


def test_the_socket_timeout_is_put_back(place, cifar):
    cifar("cifar10")
    socket.setdefaulttimeout(123)
    try:
        load_data("cifar10")
        assert socket.getdefaulttimeout() == 123
    finally:
        socket.setdefaulttimeout(None)


def test_options_of_a_download_are_refused():
    with pytest.raises(UnknownNameError, match="option of mnist"):
        load_data("mnist:size=3")


def test_every_name_is_listed():
    assert set(names()) == {"digits", "shapes", "textures", *download.CATALOGUE}
    assert "MB download" in names()["cifar10"]


def test_torchvisions_prints_do_not_reach_standard_output(place, monkeypatch, capsys):
    def noisy(name, folder):
        print("Extracting", folder)  # noqa: T201
        return load_data("digits")

    monkeypatch.setattr(
        download, "CATALOGUE", {"mnist": replace(download.CATALOGUE["mnist"], read=noisy)}
    )
    assert len(load_data("mnist").source.items) == 1797
    assert capsys.readouterr().out == ""
