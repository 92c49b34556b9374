"""Say the number of a picture, for the runner of a bundle, which copies this."""

from typing import Any

from numpy.typing import NDArray

SAYS = "its number, and the ends of the interval around it"


def answer(
    out: dict[str, NDArray[Any]], about: dict[str, Any], shape: tuple[int, int], top: int
) -> dict[str, object]:
    """Return the number of one picture with its interval."""
    value, reach = float(out["value"]), abs(float(out["reach"]))
    name = about["classes"][0] if about["classes"] else ""
    return {"name": name, "value": value, "low": value - reach, "high": value + reach}
