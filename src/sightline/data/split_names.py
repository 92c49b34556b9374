"""Tell from the name of a folder or a file which split it holds: train, val or test."""

from __future__ import annotations

import re
import unicodedata

SPLITS = ("train", "val", "test")

_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test", "tst": "test",
    "训练": "train", "訓練": "train", "训练集": "train", "訓練集": "train",
    "验证": "val", "驗證": "val", "验证集": "val", "驗證集": "val",
    "测试": "test", "測試": "test", "测试集": "test", "測試集": "test",
}  # fmt: skip

_BESIDE = frozenset((
    "set", "sets", "data", "dataset", "split", "folder", "dir", "image", "images", "img", "imgs",
    "picture", "pictures", "photo", "photos", "jpegimages", "jpg", "png", "label", "labels",
    "annotation", "annotations", "annot", "annots", "ann", "anns", "mask", "masks", "gt", "gts",
    "instances", "coco", "yolo", "voc", "集", "数据", "数据集", "图片", "图像", "标注", "标签",
))  # fmt: skip
"""Words that may stand beside a split's in the name of a folder, and leave it one."""

_BETWEEN = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|[\W\d_]+")


def words(name: str) -> list[str]:
    """Part a name into its words, in small letters: ``valSet-2017`` is ``val`` and ``set``."""
    return [w.casefold() for w in _BETWEEN.split(unicodedata.normalize("NFC", name)) if w]


def split_of(name: str) -> str | None:
    """Return the split that a folder is called by: ``Train``, ``val2017``, ``test_images``.

    None where its name has any other word: ``train station`` is no split.
    """
    parts = words(name)
    return split_in(name) if all(w in _WORDS or w in _BESIDE for w in parts) else None


def split_in(name: str) -> str | None:
    """Return the split that one of a name's words says: ``instances_train2017`` is ``train``.

    None where no word says one, or two say different ones; ``test-dev`` is ``test``.
    """
    said = [w for w in words(name) if w in _WORDS]
    if said == ["test", "dev"]:
        return "test"
    splits = {_WORDS[w] for w in said}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(relative: str) -> str | None:
    """Return the split that one of a file's folders is called by, the innermost first."""
    folders = relative.replace("\\", "/").split("/")[:-1]
    return next((s for folder in reversed(folders) if (s := split_of(folder))), None)


def ordered(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the splits that have files, in their usual order."""
    return {name: splits[name] for name in SPLITS if splits.get(name)}
