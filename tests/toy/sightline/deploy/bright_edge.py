"""Counts, answered by a bundle."""

SAYS = "how many of its pixels are bright, and how many there are"


def answer(out, about, shape, top):
    pixels = shape[0] * shape[1]
    return {"count": round(min(max(float(out["share"]), 0.0), 1.0) * pixels), "pixels": pixels}
