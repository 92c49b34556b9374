"""Objects followed through drawn films: HOTA, IDF1 and MOTA by the package's own measure; speed.

Films of moving shapes, whose truth is known, occlusions and all. Trackers are told of the true
boxes (what following alone loses), and, where a run is named, of what its detector says. Frames a
second are those of following alone, and with the detector.

    python benchmarks/tracks.py [--run RUN] [--films 10] [--frames 150] [--size 128] [--objects 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from rich.console import Console
from rich.table import Table
from trackers.eval.evaluate import evaluate_mot_sequence

import sightline
from sightline.data import moving
from sightline.deploy import tracks
from sightline.deploy.detect import LEAST
from sightline.types import Detections

RATE, GOAL = 25.0, 0.9
"""Frames a second of the films; HOTA that is to be reached with perfect detections."""

Answers = Callable[[moving.Film], list[Detections]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="folder of a detector that was trained on shapes")
    parser.add_argument("--films", type=int, default=10)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--name", default="tracks")
    given = parser.parse_args()
    films = [
        moving.film(seed, frames=given.frames, size=given.size, objects=given.objects)
        for seed in range(given.films)
    ]
    ways: dict[str, Answers] = {"the truth": truth}
    shown: dict[str, Any] = {}
    if given.run:
        model: Any = sightline.load_model(given.run)
        ways[f"a run of {model.name}"] = lambda film: list(model.predict(list(film.frames)))
        shown[f"a run of {model.name}"] = model.thresholds or LEAST  # its own, as predict has them
    rows = [
        measure(way, answers, kind, films, shown.get(way, LEAST))
        for way, answers in ways.items()
        for kind in tracks.KINDS
    ]
    hidden = sum(film.hidden for film in films)
    table = Table(title=f"{len(films)} films of {given.frames} frames; hidden {hidden} times")
    names = ("boxes", "tracker", "hota", "idf1", "mota", "switches", "followed_fps", "whole_fps")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n])
                        for n in names))  # fmt: skip
    Console(width=120).print(table)
    asked = vars(given) | {"run": given.run and Path(given.run).name}
    path = machine.record(
        given.name, {"films": asked, "hidden": hidden, "goal": GOAL, "rows": rows},
        "trackers", "supervision",
    )  # fmt: skip
    print(f"recorded in {path.name}")


def truth(film: moving.Film) -> list[Detections]:
    return [
        Detections(boxes, labels, film.classes)
        for boxes, labels in zip(film.boxes, film.labels, strict=True)
    ]


def measure(
    way: str, answers: Answers, kind: str, films: list[moving.Film], shown: Any
) -> dict[str, Any]:  # fmt: skip
    """Follow all films, and measure each; figures are means over films."""
    figures, asked, following, frames = [], 0.0, 0.0, 0
    for film in films:
        start = time.perf_counter()
        said = answers(film)
        between = time.perf_counter()
        lines, known = [], []
        followed = tracks.Tracks(tracks.Following(kind), RATE, film.frames.shape[1:3], film.classes)
        for i, answer in enumerate(said):
            seen = followed.update(answer, shown)
            lines += [tracks.mot_line(row)
                      for row in tracks.rows_of(followed, seen, answer, i, i / RATE)]  # fmt: skip
        asked, following = asked + between - start, following + time.perf_counter() - between
        frames += len(said)
        for i, (numbers, boxes) in enumerate(zip(film.numbers, film.boxes, strict=True)):
            for number, (x1, y1, x2, y2) in zip(numbers, boxes.tolist(), strict=True):
                known.append(f"{i + 1},{number},{x1},{y1},{x2 - x1},{y2 - y1},1,1,1")
        with tempfile.TemporaryDirectory() as folder:
            for name, content in (("truth", known), ("said", lines)):
                (Path(folder) / name).write_text("\n".join(content))
            result = evaluate_mot_sequence(
                Path(folder) / "truth", Path(folder) / "said", ["CLEAR", "HOTA", "Identity"]
            )
        figures.append((result.HOTA.HOTA, result.Identity.IDF1, result.CLEAR.MOTA,
                        result.CLEAR.IDSW))  # fmt: skip
    hota, idf1, mota, switches = np.array(figures, float).T
    return {
        "boxes": way, "tracker": kind, "hota": float(hota.mean()), "least_hota": float(hota.min()),
        "idf1": float(idf1.mean()), "mota": float(mota.mean()), "switches": int(switches.sum()),
        "followed_fps": frames / following, "whole_fps": frames / (asked + following),
    }  # fmt: skip


if __name__ == "__main__":
    main()
