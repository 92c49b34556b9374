"""Objects are followed through a film: their ways, who crosses a line, and who stays in a zone.

Run: python examples/ch01_tracks.py [PICTURE.png [FRAMES]]: four frames of a drawn film of shapes
that pass before and behind each other. The boxes are the truth; a detector's come from
sightline predict RUN film.mp4 --track --count-line door=0,80,160,80 -o out
"""

import sys

from PIL import Image

from sightline.data import moving
from sightline.data.fonts import figure
from sightline.deploy.tracks import Following, Place, Tracks
from sightline.report.tracks import TrackDrawer
from sightline.types import Detections

SIDE, RATE, SHOWN = 160, 25, 4


def main(picture: str = "ch01_tracks.png", frames: str = "120") -> None:
    film = moving.film(2, frames=int(frames), size=SIDE, objects=5)
    asked = Following(
        "bytetrack",
        lines=(Place.parse("door=0,80,160,80", "line", 1),),
        zones=(Place.parse("corner=0,0,70,0,70,70,0,70", "zone", 1),),
    )
    tracks = Tracks(asked, RATE, (SIDE, SIDE), film.classes)
    drawer, sheets = TrackDrawer(tracks), {}
    for i, pixels in enumerate(film.frames):
        answer = Detections(film.boxes[i], film.labels[i], film.classes)
        drawn = drawer.draw(Image.fromarray(pixels), answer, tracks.update(answer, 0.3))
        if (i + 1) % (int(frames) // SHOWN) == 0:
            sheets[i] = drawn
    counts = tracks.counts()
    print(f"{sum(counts['tracks'].values())} tracks of 5 objects; hidden {film.hidden} times")
    (line,), (zone,) = counts["lines"], counts["zones"]
    print(f"{line['name']}: {line['in']} in, {line['out']} out")
    print(f"{zone['name']}: {zone['visitors']} visitors, {zone['longest_seconds']} s at most")
    sheet = figure(12, 3.4)
    for axes, (i, drawn) in zip(sheet.subplots(1, SHOWN), sheets.items(), strict=True):
        axes.imshow(drawn)
        axes.set_title(f"after {(i + 1) / RATE:.1f} s", fontsize=9)
        axes.axis("off")
    sheet.savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
