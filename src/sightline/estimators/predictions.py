"""Hold the answers for several images: a list that can be a table, and be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from sightline.data import notebook
from sightline.data.dataset import Dataset, Split
from sightline.data.item import Item
from sightline.errors import DataError, ParameterError, wrong_kind

SHOWN = 12
"""Answers with their picture in a notebook; lines of a printed list."""


class Predictions(list[Any]):
    """The answers for several images, in their order.

    Parameters
    ----------
    answers : iterable of Prediction
    images : sequence, same length
        What was asked about, of any form that `predict` takes, or items of a data set.
    """

    def __init__(self, answers: Iterable[Any] = (), images: Sequence[Any] = ()) -> None:
        super().__init__(answers)
        self.images = list(images)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return Predictions(super().__getitem__(index), self.images[index])
        return super().__getitem__(index)

    def __repr__(self) -> str:
        lines = [f"{name}: {answer!r}" for name, answer in zip(self.names(), self[:SHOWN],
                                                              strict=False)]  # fmt: skip
        more = [f"... {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []
        return f"{len(self):,} predictions\n" + "\n".join(lines + more)

    def _repr_html_(self) -> str:
        cells = []
        for name, answer, image in zip(self.names(), self[:SHOWN], self.images, strict=False):
            shown = answer._repr_html_() if hasattr(answer, "_repr_html_") else f"{answer!r}"
            if 'src="data:' not in shown:
                shown = f'<img src="{notebook.thumbnail(image)}" alt=""><br>{shown}'
            cells.append(f'<div style="margin: 0 1em 1em 0">{shown}<small>{name}</small></div>')
        more = f"<p>... {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return f'<div style="display: flex; flex-wrap: wrap">{"".join(cells)}</div>{more}'

    def names(self) -> list[str]:
        """Return the name of each image: its path or id, else its number."""
        return [_name(image, number) for number, image in enumerate(self.images)]

    def to_frame(self) -> Any:
        """Return the answers as a `pandas.DataFrame`.

        Returns
        -------
        pandas.DataFrame
            A row an image, with ``image`` and what the answer says; of detected objects a row each.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        pandas = notebook.pandas("a data frame of predictions")
        rows = [
            {"image": name, **row}
            for name, answer in zip(self.names(), self, strict=True)
            for row in _rows(answer)
        ]
        return pandas.DataFrame(rows, columns=None if rows else ["image"])


def _name(image: Any, number: int) -> str:
    if isinstance(image, Item):
        return image.id
    return str(image) if isinstance(image, str | Path) else str(number)


def _rows(answer: Any) -> list[dict[str, Any]]:
    if hasattr(answer, "rows"):
        rows: list[dict[str, Any]] = answer.rows()
        return rows
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return [dataclasses.asdict(answer)]
    return [{"answer": answer}]


def images_in(given: Any) -> list[Any]:
    """Return images of any accepted form, one or several, as a list.

    Parameters
    ----------
    given : image, sequence of images, Split, array (N, H, W, C) or (N, H, W), tensor (N, C, H, W)

    Raises
    ------
    ParameterError
        When it is a whole data set.
    """
    if isinstance(given, Dataset):
        raise ParameterError(
            "images are those of a split, not of a whole data set; give data.test, data.val or "
            "data.train"
        )
    if isinstance(given, Split):
        return list(given.items)
    if isinstance(given, list | tuple):
        return list(given)
    shape: tuple[int, ...] = getattr(given, "shape", ())
    if isinstance(given, np.ndarray):
        many = len(shape) == 4 or (len(shape) == 3 and shape[2] not in (1, 3, 4))
        return list(given) if many or given.dtype == object else [given]
    if type(given).__module__.startswith("torch") and len(shape) == 4:
        return list(given)
    if type(given).__name__ == "Series":
        return list(given)
    return [given]


def class_numbers(
    split: Split, own: tuple[str, ...], theirs: tuple[str, ...] | None = None
) -> NDArray[np.int64]:
    """Return the place of each class of a split's data in a model's own list, shape (C,).

    Parameters
    ----------
    split : Split
    own : tuple of str
        The model's.
    theirs : tuple of str, optional
        The data's; default: those of its images and objects.

    Raises
    ------
    DataError
        When the model was not trained on one of them.
    """
    theirs = split.data.classes if theirs is None else theirs
    unknown = sorted(set(theirs) - set(own))
    if unknown:
        raise DataError(
            f"{split.data.name} has classes that the model was not trained on: "
            f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
        )
    return np.array([own.index(name) for name in theirs], np.int64)


def check_split(value: Any, what: str) -> None:
    """Refuse what is no split of a data set.

    Raises
    ------
    ParameterError
        It says how to come by one.
    """
    if isinstance(value, Split):
        return
    if isinstance(value, Dataset):
        raise ParameterError(
            f"{what} is a split, not a whole data set; give data.train, data.val or data.test"
        )
    raise wrong_kind(f"{what} is a split of a data set, such as load_data((X, y)).train", value)
