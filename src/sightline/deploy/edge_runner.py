"""Answer for pictures with the model beside this file: python predict.py PICTURE...

Needs numpy, Pillow and onnxruntime, nothing else. Prints one JSON line a picture; a picture that
cannot be read gets an error in its line, and exit status 2 at the end.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

SAYS = ""  # the task's own part begins here: see deploy/edge.py


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the answer for one picture from the outputs of the graph."""
    raise NotImplementedError


# and ends here
HERE = Path(__file__).resolve().parent
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 100_000_000


class Model:
    """An exported model with its ONNX Runtime session.

    Parameters
    ----------
    path : path
        Of the .onnx file.
    threads : int
        0: as many as there are cores.
    """

    def __init__(self, path: str | Path = HERE / "model.onnx", threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(path), options, ["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"]
        )
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["sightline"])

    def predict(self, picture: str | Path, top: int = 5) -> dict[str, object]:
        """Return the answer for one picture, of at most `top` parts where it has several."""
        about = self.about
        pixels, shape = prepared(picture, about["size"], about["mode"], about["resize"])
        names = [output.name for output in self.session.get_outputs()]
        out = self.session.run(None, {"images": pixels[None]})
        return answer({n: a[0] for n, a in zip(names, out, strict=True)}, about, shape, top)


def prepared(
    picture: str | Path, size: list[int], mode: str, how: str
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode a picture, turn it upright and resize it; return it, (H, W, C), and its first size."""
    image: Image.Image = Image.open(picture, formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"the picture has too many pixels: {image.width} x {image.height}")
    tags = getattr(image, "tag_v2", {})
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        said = tags.get(258, (16,)) != (16,) or tags.get(262) == 0 or {281, 340, 341} & set(tags)
        if said or not image.mode.startswith("I;16"):
            raise ValueError("deep pixels of another white than 65,535; save them with 8 bits")
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = (image.convert("RGB") if image.mode == "LAB" else image).convert(mode)
    (height, width), (w, h) = size, image.size
    if how.startswith("imagenet"):  # the shorter side 32 pixels longer than needed, the middle cut
        th, tw = height + 32, width + 32
        tall = th * w >= tw * h
        sh, sw = (th, int(th * w / h)) if tall else (int(tw * h / w), tw)
        y, x = round((sh - height) / 2), round((sw - width) / 2)
        box = (x * w / sw, y * h / sh, (x + width) * w / sw, (y + height) * h / sh)
        image = resized(image, width, height, box, cubic=how == "imagenet")
    elif (w, h) != (width, height):
        if how == "crop":
            kw, kh = min(w, h * width / height), min(h, w * height / width)
            left, top = (w - kw) / 2, (h - kh) / 2
            image = resized(image, width, height, (left, top, left + kw, top + kh))
        elif how == "stretch":
            image = resized(image, width, height, (0, 0, w, h))
        else:
            wide = w / h > width / height
            pw = width if wide else max(1, round(w / h * height))
            ph = max(1, round(h / w * width)) if wide else height
            sheet = Image.new(mode, (width, height), 128 if mode == "L" else (128, 128, 128))
            place = round((width - pw) / 2), round((height - ph) / 2)
            sheet.paste(resized(image, pw, ph, (0, 0, w, h)), place)
            image = sheet
    return np.asarray(image).reshape(height, width, -1), (h, w)


def resized(
    image: Image.Image, width: int, height: int, box: tuple[float, ...], *, cubic: bool = False
) -> Image.Image:
    """Resize a box of the image with antialiasing, columns first."""
    left, top, right, bottom = box
    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    narrow = image.resize((width, image.height), method, (left, 0, right, image.height))
    return narrow.resize((width, height), method, (0, top, width, bottom))


def main() -> int:
    """Answer for the pictures named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"Of each: {SAYS}.")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--top", type=int, default=5)
    given = parser.parse_args()
    model, bad = Model(), False
    for picture in given.pictures:
        try:
            line = {"image": picture, **model.predict(picture, given.top)}
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            bad, line = True, {"image": picture, "error": str(error)}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 2 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
