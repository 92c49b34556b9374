"""Say what a drawing network's output means, for the runner of a bundle, which copies this."""

import base64
import io
from typing import Any

from numpy.typing import NDArray
from PIL import Image

SAYS = "the picture drawn in its style, as a PNG in a data URI"


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the drawing of one picture of a shape (height, width)."""
    (height, width), (high, wide) = about["size"], shape
    part_w, part_h = width, height  # of the model's image that the picture fills
    if about["resize"] == "pad" and wide / high > width / height:
        part_h = max(1, round(high / wide * width))
    elif about["resize"] == "pad":
        part_w = max(1, round(wide / high * height))
    left, over = round((width - part_w) / 2), round((height - part_h) / 2)
    drawn = Image.fromarray(out["picture"][over : over + part_h, left : left + part_w].copy())
    written = io.BytesIO()
    drawn.resize((wide, high), Image.Resampling.BILINEAR).save(written, "PNG")
    coded = base64.b64encode(written.getvalue()).decode()
    return {"size": [high, wide], "picture": f"data:image/png;base64,{coded}"}
