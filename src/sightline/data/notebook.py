"""Show data and pictures in a notebook: as HTML with the pictures inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sightline.errors import MissingExtraError, SightlineError

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

SHEET = 12
"""Images on a contact sheet."""

_SIDE = 128


def sheet(data: Dataset, split: str) -> str:
    """Return a small contact sheet of a split as HTML: images, labels, boxes, masks, balance."""
    if not len(data.rows.get(split, ())):
        return f"<p>{html.escape(repr(data))}</p>"
    from sightline.data import draw, fonts

    buffer = io.BytesIO()
    fonts.save(draw.contact_sheet(data, split, SHEET), buffer, format="png", dpi=64)
    picture = _uri(buffer.getvalue())
    text = html.escape(repr(data))
    return f'<p>{text}</p><img src="{picture}" style="max-width: 100%; width: 760px" alt="{text}">'


def thumbnail(image: Any) -> str:
    """Return an image of any accepted form as a small PNG in a data URI; empty if unreadable."""
    from PIL import Image

    from sightline.data import images
    from sightline.data.item import Item

    try:
        pixels = image.read_image("RGB") if isinstance(image, Item) else images.as_array(image)
    except SightlineError:
        return ""
    picture = images.as_picture(pixels)
    if max(picture.size) <= _SIDE // 2:
        factor = _SIDE // max(picture.size)
        size = (picture.width * factor, picture.height * factor)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return _uri(buffer.getvalue())


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as HTML; cells are text."""
    head = "".join(f"<th>{html.escape(str(h))}</th>" for h in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pandas(what: str) -> Any:
    """Return the library pandas.

    Raises
    ------
    MissingExtraError
        When it is not installed; `what` begins the message.
    """
    try:
        import pandas as library
    except ImportError as error:
        raise MissingExtraError(what, "tables") from error
    return library


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
