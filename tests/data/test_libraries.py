"""Data sets of Hugging Face and PyTorch: classes, splits, and pictures that stay undecoded."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset

from sightline.data.load import load_data
from sightline.errors import DataError, SightlineError
from sightline.types import Task

N, NAMES = 30, ["猫", "dog", "c"]


def photo(i, size=(100, 80, 3)):
    return np.random.default_rng(i).integers(0, 256, size, np.uint8)


# --- Hugging Face -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hf(tmp_path_factory):
    """Their library, with its cache in a folder of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        library = pytest.importorskip("datasets")
        library.disable_progress_bars()
        yield library


def images_of(hf, n=N, size=(100, 80, 3), labels=None):
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=NAMES)})
    pictures = [Image.fromarray(photo(i, size)) for i in range(n)]
    columns = {"image": pictures, "label": labels or [i % 3 for i in range(n)]}
    return hf.Dataset.from_dict(columns, features=features)


def test_class_labels_and_pictures_that_wait(hf, monkeypatch):
    from sightline.data import huggingface

    read = []
    true = huggingface._decoded
    monkeypatch.setattr(huggingface, "_decoded", lambda *a: read.append(a[2]) or true(*a))
    data = huggingface.read(images_of(hf))
    assert data.classes == tuple(NAMES)
    assert [item.label for item in data.source.items] == [i % 3 for i in range(N)]
    assert read == []
    assert np.array_equal(data.source.items[7].read_image("RGB"), photo(7))
    assert read == [7]


def test_splits_of_a_dataset_dict(hf):
    given = {"train": images_of(hf), "validation": images_of(hf, 6), "test": images_of(hf, 9)}
    for data in (
        load_data(hf.DatasetDict(given | {"extra": images_of(hf, 3)})), load_data(given),
    ):  # fmt: skip
        assert {n: len(r) for n, r in data.rows.items()} == {"train": 30, "val": 6, "test": 9}
    data = load_data(hf.DatasetDict(given | {"extra": images_of(hf, 3)}))
    assert "splits not used: extra" in data.notes


def test_grey_small_pictures_are_packed(hf):
    data = load_data(images_of(hf, size=(8, 8)))
    assert (data.mode, data.size) == ("L", (8, 8))
    assert np.array_equal(data.source.pack().pixels[5, :, :, 0], photo(5, (8, 8)))


def test_images_without_a_label_are_counted(hf):
    data = load_data(images_of(hf, labels=[-1, -1, *[0, 1] * 14]))
    assert len(data.source.items) == 28
    assert "2 of 30 train images have no label and are left out" in data.notes


def test_boxes_in_objects(hf):
    features = hf.Features(
        {
            "image": hf.Image(),
            "objects": {
                "bbox": hf.List(hf.List(hf.Value("float32"), length=4)),
                "category": hf.List(hf.ClassLabel(names=["x", "y"])),
            },
        }
    )
    objects = [{"bbox": [[1, 2, 3, 4]] * (i % 3), "category": [1] * (i % 3)} for i in range(N)]
    pictures = [Image.fromarray(photo(i)) for i in range(N)]
    data = load_data(
        hf.Dataset.from_dict({"image": pictures, "objects": objects}, features=features)
    )
    assert (data.tasks, data.classes) == ((Task.DETECT,), ("x", "y"))
    second = data.source.items[2].annotation
    assert second.boxes.tolist() == [[1, 2, 4, 6]] * 2
    assert second.labels.tolist() == [1, 1]
    assert len(data.source.items[0].annotation.boxes) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.remove_columns("image"), "no column of images among label"),
        (lambda d: d.remove_columns("label"), "no column of labels among image"),
        (lambda d: d.to_iterable_dataset(), "has no length"),
    ],
)
def test_sets_that_are_none(hf, change, said):
    with pytest.raises(DataError, match=said) as caught:
        load_data(change(images_of(hf)))
    assert "\n" not in str(caught.value)


def test_columns_may_be_named(hf):
    given = images_of(hf).rename_columns({"image": "a", "label": "b"})
    data = load_data(given, columns={"image": "a", "label": "b"})
    assert data.classes == tuple(NAMES)
    with pytest.raises(SightlineError, match="unknown column of the data set 'bb'"):
        load_data(given, columns={"label": "bb"})


# --- PyTorch ----------------------------------------------------------------------------------


class Photos(torch.utils.data.Dataset):
    classes = NAMES
    size = (20, 16, 3)

    def __len__(self):
        return N

    def __getitem__(self, i):
        return Image.fromarray(photo(i, self.size)), i % 3


class Tensors(Photos):
    def __getitem__(self, i):
        return torch.from_numpy(photo(i, (20, 16, 3))).permute(2, 0, 1) / 255, torch.tensor(i % 3)


@pytest.mark.parametrize("kind", [Photos, Tensors])
def test_pictures_or_tensors_with_numbers(kind):
    data = load_data(kind())
    assert (data.classes, data.mode, data.size) == (tuple(NAMES), "RGB", (20, 16))
    assert [item.label for item in data.source.items] == [i % 3 for i in range(N)]
    packed = data.source.pack().pixels
    assert all(np.array_equal(packed[i], photo(i, (20, 16, 3))) for i in range(N))


def test_subsets_and_splits():
    data = load_data({"train": Subset(Photos(), range(0, N, 2)), "test": Subset(Photos(), [1, 4])})
    assert len(data.test) == 2
    assert {i.label for i in data.test.items} == {1}
    assert np.array_equal(data.test[1].image, photo(4, (20, 16, 3)))


def test_an_image_folder_is_read_from_its_files(tmp_path):
    for i in range(20):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(photo(i)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    folder = torchvision.datasets.ImageFolder(tmp_path)
    data = load_data(folder)
    assert all(isinstance(item.image, str) for item in data.source.items)
    assert data.classes == ("a", "b")
    kept = load_data(
        torchvision.datasets.ImageFolder(tmp_path, torchvision.transforms.Resize((30, 30)))
    )
    assert kept.size == (30, 30)
    assert any("through the transform" in note for note in kept.notes)


def test_labels_are_not_read_through_the_pictures():
    class Known(Photos):
        targets = [i % 3 for i in range(N)]
        asked: list = []

        def __getitem__(self, i):
            self.asked.append(i)
            return super().__getitem__(i)

    from sightline.data import torch_data

    data = torch_data.read(Known())
    assert [item.label for item in data.source.items] == Known.targets
    assert set(Known.asked) == {0}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TensorDataset(torch.rand(9, 8)), r"gives tuple at 0, not \(image, label\)"),
        (TensorDataset(torch.rand(9, 1, 8, 8) * 9 + 2, torch.arange(9)), r"must lie in \[0, 1\]"),
        (DataLoader(Photos()), "its .dataset"),
        (Subset(Photos(), []), "has no image"),
        ({"train": Photos(), "holdout": Photos()}, "'holdout' is no split"),
    ],
)
def test_torch_sets_that_are_none(data, said):
    with pytest.raises(DataError, match=said) as caught:
        load_data(data)
    assert "\n" not in str(caught.value)
