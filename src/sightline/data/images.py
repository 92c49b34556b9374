"""Read images as uint8 pixels, from a file, a PIL image or an array.

Decoding is Pillow's; what is decided here is what every consumer must decide alike: the
size is checked before anything is decoded, and what decoding would cost (`door`), EXIF
rotation is applied, deep grey becomes 8 bits by the white of its file (`depth`),
transparency is laid on white, CMYK becomes RGB, and an animation gives its first frame.
"""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.data import depth, door
from sightline.data.place import Member, check_plain, size_of
from sightline.errors import DataError, TooLargeError, missing
from sightline.types import Frame

if TYPE_CHECKING:
    from PIL import Image

Mode = Literal["L", "RGB"]
Resize = Literal["crop", "stretch", "pad", "imagenet", "imagenet-bilinear"]
"""How a picture comes to a model's size; see `resize`."""

Encoded = str | Path | bytes | Member
"""An image file: its path, its bytes, or its place inside a tar."""

_BOXED = ("AVIF", "HEIF")  # formats in boxes, opened only for files that begin with one
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", *_BOXED)
HEAVY = frozenset(("TIFF", "PPM", *_BOXED))
"""Formats of which nothing but decoding tells how long it takes."""

SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".bmp",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".jfif",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    )
)
MARGIN = 32
"""Pixels that the shorter side has more than the model's before the middle is cut: 256 of 224."""

MAX_PIXELS = 100_000_000
MAX_SIDE = 30_000
ORIENTATION = 0x0112
"""EXIF tag; 1 means upright."""

_MARKS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"RIFF": "WEBP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip


def frame_of(picture: tuple[int, int], size: tuple[int, int], how: Resize = "crop") -> Frame:
    """Return how a picture was brought to a size: the frame of `resize`.

    Parameters
    ----------
    picture, size : (height, width)
        Of what is resized, and of what it becomes.
    how : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
        See `resize`.

    Examples
    --------
    >>> frame_of((100, 200), (50, 50), "crop")
    Frame(size=(100, 200), scale=(0.5, 0.5), offset=(0.0, -25.0))
    >>> frame_of((512, 1024), (224, 224), "imagenet")
    Frame(size=(512, 1024), scale=(0.5, 0.5), offset=(-16.0, -144.0))
    """
    if keeps(picture, size, how):
        return Frame(picture)
    (h, w), (height, width) = picture, size
    if how == "crop":
        left, top, right, bottom = _kept(picture, size)
        scale = height / (bottom - top), width / (right - left)
        return Frame(picture, scale, (0.0 - top * scale[0], 0.0 - left * scale[1]))
    if how in CENTRED:
        (th, tw), (y, x) = _centred(picture, size)
        return Frame(picture, (th / h, tw / w), (float(-y), float(-x)))
    if how == "pad":
        (ph, pw), (y, x) = _placed(picture, size)
        return Frame(picture, (ph / h, pw / w), (float(y), float(x)))
    return Frame(picture, (height / h, width / w))


def is_image(name: str) -> bool:
    """Tell by its ending whether a file name is an image's; hidden files are none."""
    base = name.rsplit("/", 1)[-1]
    dot = base.rfind(".")
    return not base.startswith(".") and dot > 0 and base[dot:].lower() in SUFFIXES


def open_checked(
    source: Encoded, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Open an image file and check its kind and size, without decoding its pixels.

    Parameters
    ----------
    source : path, bytes or Member
    max_pixels : int
    formats : tuple of str
        By Pillow's names; those that are read.

    Raises
    ------
    DataError
        When there is no such file, or it is not an image of an accepted format.
    TooLargeError
        When it is larger than 30,000 pixels a side or `max_pixels`, or has very many parts.
    """
    from PIL import Image

    name = "image" if isinstance(source, bytes) else str(source)
    try:
        if isinstance(source, str | Path):
            check_plain(str(source))
        held = source.read() if isinstance(source, Member) else source
        file = io.BytesIO(held) if isinstance(held, bytes) else held
        if _bytes_of(source) > door.PARTS:  # a part has one byte at least
            with (
                nullcontext(file)
                if isinstance(file, io.BytesIO)
                else Path(file).open("rb") as first
            ):
                door.check_head(first, name)
        if isinstance(held, bytes) and held.startswith(b"GIF8"):
            _check_size(name, *door.size_of_gif(io.BytesIO(held)), max_pixels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning; the limit below is lower
            image = _opened(file, formats)
    except FileNotFoundError:
        raise DataError(missing(name, "no such file")) from None
    except IsADirectoryError:
        raise DataError(f"{name} is a folder, not an image") from None
    except PermissionError:
        raise DataError(f"{name}: no permission to read it") from None
    except Image.DecompressionBombError:
        raise TooLargeError(f"{name}: larger than {max_pixels:,} pixels; scale it down") from None
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a plugin's own kinds have no common name
        raise DataError(f"{name}: {_why_unreadable(source, formats)}") from error
    try:
        _check_size(name, *image.size, max_pixels)
    except TooLargeError:
        image.close()
        raise
    return image


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > max_pixels:
        raise TooLargeError(
            f"{name}: {width} x {height} pixels; at most {MAX_SIDE:,} a side and "
            f"{max_pixels:,} in all are read: scale it down"
        )


def _opened(file: Any, formats: tuple[str, ...]) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file, formats=tuple(f for f in formats if f not in _BOXED))
    except UnidentifiedImageError:
        if boxed := _boxed(_begin(file), formats):
            return Image.open(file, formats=boxed)
        raise


def _boxed(start: bytes, formats: tuple[str, ...]) -> tuple[str, ...]:
    """Return the formats in boxes that can be read here, if a file begins as they do."""
    if start[4:8] != b"ftyp":
        return ()
    from PIL import features

    there = ["AVIF"] if features.check("avif") else []
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        there.append("HEIF")
    except ImportError:
        pass
    return tuple(f for f in there if f in formats)


def _begin(file: Any) -> bytes:
    """Return the first bytes of a file."""
    with nullcontext(file) if isinstance(file, io.BytesIO) else Path(file).open("rb") as opened:
        opened.seek(0)
        start: bytes = opened.read(12)
        opened.seek(0)
        return start


def read(
    source: Encoded, mode: Mode = "RGB", *, frame: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Decode an image file.

    Parameters
    ----------
    source : path, bytes or Member
    mode : {"L", "RGB"}
    frame : (width, height), optional
        Size that an annotation states. When only the unrotated image has it, the EXIF
        rotation is not applied, because the boxes were drawn without it.

    Returns
    -------
    uint8 array, shape (H, W, C)

    Raises
    ------
    DataError
        When the file cannot be read as an image; the message names it and says why.
    """
    return _array(decode(source, frame=frame), mode)


def decode(source: Encoded, *, frame: tuple[int, int] | None = None) -> Image.Image:
    """Decode an image file to an upright PIL image that `to_mode` takes; see `read`."""
    name = "image" if isinstance(source, bytes) else str(source)
    image = upright(open_checked(source), name, frame)
    if depth.is_deep(image):
        depth.span_of(image, name)
    return image


def upright(image: Image.Image, name: str, frame: tuple[int, int] | None = None) -> Image.Image:
    """Decode an opened image and apply its EXIF rotation; the same image where there is none.

    Raises
    ------
    DataError
        When its pixels cannot be decoded; the message begins with `name`.
    """
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if getattr(image, "tile", None):  # it is not decoded yet
                door.check(image, name)
            image.load()
            if image.getexif().get(ORIENTATION, 1) > 1:
                turned = ImageOps.exif_transpose(image)
                if frame is None or image.size != frame or turned.size == frame:
                    image = turned
    except (MemoryError, TooLargeError):
        raise
    except Exception as error:
        raise DataError(f"{name}: {_why_broken(error)}") from error
    return image


def as_array(image: Any, mode: Mode = "RGB") -> NDArray[np.uint8]:
    """Convert an image in any accepted form to a uint8 array.

    Parameters
    ----------
    image : path, bytes, PIL image, uint8 array HWC or HW, or uint8 tensor CHW
    mode : {"L", "RGB"}

    Returns
    -------
    uint8 array, shape (H, W, C)

    Raises
    ------
    DataError
        When it is none of these, or not uint8.
    """
    if isinstance(image, str | Path | bytes | Member):
        return read(image, mode)
    if isinstance(image, np.ndarray):
        return as_mode(image, mode)
    if type(image).__module__.startswith("torch"):
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise DataError(
                f"a tensor image must have shape (C, H, W), C 1 or 3, not {image.shape}"
            )
        return as_mode(image.detach().cpu().numpy().transpose(1, 2, 0), mode)
    if hasattr(image, "convert") and hasattr(image, "size"):
        return _array(upright(image, getattr(image, "filename", "") or "image"), mode)
    raise DataError(
        f"an image is a path, a PIL image, a uint8 array (H, W, C) or a uint8 tensor "
        f"(C, H, W), not {type(image).__name__}"
    )


def as_bytes(pixels: NDArray[Any], what: str = "an image array") -> NDArray[np.uint8]:
    """Return pixels as uint8: those that are, and floats in [0, 1].

    Parameters
    ----------
    pixels : array of any shape
    what : str
        Begins the message of an error.

    Raises
    ------
    DataError
        When they are of another type, or floats outside [0, 1].
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise DataError(f"{what} is uint8 (0 to 255) or float in [0, 1], not {pixels.dtype}")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):  # of NaN, too
        low, high = pixels.min(), pixels.max()
        raise DataError(
            f"{what} of floats must lie in [0, 1], not {low:g} to {high:g}; scale it, or give uint8"
        )
    return np.asarray(np.rint(pixels * 255), np.uint8)


def as_mode(pixels: NDArray[Any], mode: Mode) -> NDArray[np.uint8]:
    """Return a uint8 array with the channels of `mode`: shape (H, W, 1) or (H, W, 3).

    Floats in [0, 1] are scaled to it; see `as_bytes`.
    """
    pixels = as_bytes(pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise DataError(f"an image array must have shape (H, W, C), C 1 or 3, not {pixels.shape}")
    if not pixels.size:
        raise DataError(f"an image array of shape {pixels.shape} has no pixel")
    channels = 1 if mode == "L" else 3
    if pixels.shape[2] == channels:
        return pixels
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    from PIL import Image

    return _array(Image.fromarray(pixels), mode)


def as_picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return uint8 pixels, shape (H, W, 1) or (H, W, 3), as a PIL image."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return uint8 pixels, shape (H, W, 1) or (H, W, 3), as the bytes of a PNG file."""
    written = io.BytesIO()
    as_picture(pixels).save(written, "PNG")
    return written.getvalue()


def resize(image: Image.Image, size: tuple[int, int], how: Resize = "crop") -> Image.Image:
    """Resize with antialiasing (support scaled by the reduction); bilinear, but for ``imagenet``.

    Parameters
    ----------
    image : PIL image
    size : (height, width)
    how : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
        ``crop`` scales the shorter side and cuts the middle, ``stretch`` distorts,
        ``pad`` scales the longer side and fills with grey. ``imagenet`` is what networks with
        published weights are measured with: the shorter side becomes `MARGIN` pixels more than the
        model's (256 for 224), bicubic, and the middle is cut, of pictures of the model's size too;
        it gives the pixels of torchvision's ``Resize`` and ``CenterCrop``, and so of timm's
        transform, to one in 255. ``imagenet-bilinear`` is the same with that filter, as most of
        torchvision's weights want it.
    """
    from PIL import Image

    height, width = size
    w, h = image.size
    if keeps((h, w), size, how):
        return image
    if how in CENTRED:
        (th, tw), (y, x) = _centred((h, w), size)
        box = (x * w / tw, y * h / th, (x + width) * w / tw, (y + height) * h / th)
        return _resampled(image, size, box, cubic=how == "imagenet")
    if how == "stretch":
        return _resampled(image, size, (0, 0, w, h))
    if how == "crop":
        return _resampled(image, size, _kept((h, w), size))
    part, (top, left) = _placed((h, w), size)
    padded = Image.new(image.mode, (width, height), 128 if image.mode == "L" else (128, 128, 128))
    padded.paste(_resampled(image, part, (0, 0, w, h)), (left, top))
    return padded


CENTRED = ("imagenet", "imagenet-bilinear")
"""Resizes that cut the middle out of a larger picture than the model takes."""


def keeps(picture: tuple[int, int], size: tuple[int, int], how: Resize) -> bool:
    """Tell whether a resize leaves a picture (height, width) as it is."""
    return picture == size and how not in CENTRED


def _centred(
    picture: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size (height, width) that a picture is scaled to, and where the cut begins."""
    (h, w), (height, width) = picture, (size[0] + MARGIN, size[1] + MARGIN)
    if height * w >= width * h:
        scaled = height, int(height * w / h)
    else:
        scaled = int(width * h / w), width
    return scaled, (round((scaled[0] - size[0]) / 2), round((scaled[1] - size[1]) / 2))


def _kept(picture: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part that a crop keeps, the largest of the wanted shape, in the middle: xyxy."""
    (h, w), (height, width) = picture, size
    kept_w, kept_h = min(w, h * width / height), min(h, w * height / width)
    left, top = (w - kept_w) / 2, (h - kept_h) / 2
    return left, top, left + kept_w, top + kept_h


def _placed(
    picture: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size (height, width) of the whole picture inside a padded one, and (top, left)."""
    (h, w), (height, width) = picture, size
    if w / h > width / height:
        part = max(1, round(h / w * width)), width
    else:
        part = height, max(1, round(w / h * height))
    return part, (round((height - part[0]) / 2), round((width - part[1]) / 2))


def _resampled(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    *,
    cubic: bool = False,
) -> Image.Image:
    """Resample a box of an image to another size: columns first, then rows.

    Pillow takes whichever first is cheaper, by rules that change between its versions; as bytes
    are rounded in between, that would change the pixels.
    """
    from PIL import Image

    (height, width), (left, top, right, bottom) = size, box
    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    narrow = image.resize((width, image.height), method, box=(left, 0, right, image.height))
    return narrow.resize((width, height), method, box=(0, top, width, bottom))


def prepare(
    image: Any, size: tuple[int, int], mode: Mode = "RGB", how: Resize = "crop"
) -> tuple[NDArray[np.uint8], Frame]:
    """Bring one image of any accepted form to size and mode, as training and serving do alike.

    Parameters
    ----------
    image
        See `as_array`.
    size : (height, width)
    mode, how
        See `to_mode` and `resize`.

    Returns
    -------
    pixels : uint8 array, shape (height, width, C)
    frame : Frame
        The way back into the picture.

    Raises
    ------
    DataError
        When it cannot be read as an image.
    """
    from PIL import Image

    if isinstance(image, str | Path | bytes | Member):
        picture = to_mode(decode(image), mode)
    elif isinstance(image, Image.Image):
        picture = to_mode(upright(image, getattr(image, "filename", "") or "image"), mode)
    else:
        picture = as_picture(as_array(image, mode))
    frame = frame_of((picture.height, picture.width), size, how)
    return np.asarray(resize(picture, size, how)).reshape(*size, -1), frame


def is_grey(image: Image.Image) -> bool:
    """Tell whether the file's own mode has no colour."""
    return image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")


def to_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Convert a decoded image of any PIL mode to 8-bit grey or RGB."""
    from PIL import Image

    if image.mode == mode:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = depth.eight_bits(image, _name(image))
    if image.mode == "LAB":  # Pillow converts it to RGB alone
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError:
        raise DataError(
            f"{_name(image)}: pixels of the mode {image.mode} are not read; save it as RGB"
        ) from None


def _name(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "image")


def _array(image: Image.Image, mode: Mode) -> NDArray[np.uint8]:
    pixels = np.asarray(to_mode(image, mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _bytes_of(source: Encoded) -> int:
    return len(source) if isinstance(source, bytes) else size_of(source)


def _why_unreadable(source: Encoded, formats: tuple[str, ...]) -> str:
    try:
        if not _bytes_of(source):
            return "the file is empty"
        held = source.read() if isinstance(source, Member) else source
        start = _begin(io.BytesIO(held) if isinstance(held, bytes) else held)
    except (OSError, DataError):
        start = b""
    kind = _kind_of(start)
    if kind == "HEIF" and kind in formats and not _boxed(start, ("HEIF",)):
        return "a HEIC; to read it, pip install 'sightline[heif]'"
    if kind == "AVIF" and kind in formats and not _boxed(start, ("AVIF",)):
        return "an AVIF, which this build of Pillow does not read; install Pillow's own wheel"
    if kind in formats:
        return f"damaged, or a kind of {kind} that is not read"
    return f"not an image of a known format ({', '.join(formats)})"


def _kind_of(start: bytes) -> str:
    """Return the format that the first bytes of a file are of; empty where none is known."""
    if start[4:8] == b"ftyp":
        return "AVIF" if start[8:12] in (b"avif", b"avis") else "HEIF"
    return next((kind for mark, kind in _MARKS.items() if start.startswith(mark)), "")


def _why_broken(error: Exception) -> str:
    text = str(error)
    if "truncated" in text or "end of" in text.lower():
        return "the file is truncated"
    return f"the image data is broken ({text or type(error).__name__})"
