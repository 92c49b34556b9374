"""Write a folder that classifies without Sightline: model, runner, requirements, README."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from sightline.deploy.export import MODEL, Exported, Precision, export, measured
from sightline.training import run
from sightline.types import Progress

RUNNER = "predict.py"
NEEDED = ("numpy", "onnxruntime", "pillow")


@dataclass(frozen=True)
class Bundle:
    """The folder that `bundle` wrote, and the sizes of its files.

    Parameters
    ----------
    folder : path
    exported : Exported
    files : dict
        Bytes of each file by name.
    """

    folder: Path
    exported: Exported
    files: dict[str, int]


def bundle(
    source: str | Path,
    folder: str | Path,
    *,
    precision: Precision = "fp32",
    data: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write a run as a folder that answers alone: model, resize, runner, requirements, README.

    Parameters
    ----------
    source : path
        Folder of a run.
    folder : path
    precision, data, progress
        See `export.export`.

    Raises
    ------
    RunError, ParameterError, MissingExtraError
        See `export.export`.
    """
    place = run.create(folder)
    done = export(source, place / MODEL, precision=precision, data=data, progress=progress)
    runner = resources.files("sightline.deploy").joinpath("edge_runner.py")
    run.write_text(place / RUNNER, runner.read_text(encoding="utf-8"))
    pins = "".join(f"{name}=={metadata.version(name)}\n" for name in NEEDED)
    run.write_text(place / "requirements.txt", pins)
    run.write_text(place / "README.md", _readme(done))
    files = {p.name: p.stat().st_size for p in sorted(place.iterdir()) if p.is_file()}
    return Bundle(place, done, files)


def _readme(done: Exported) -> str:
    about = done.about
    figure = f", {measured(about)}" if about.headline is not None else ""
    licence = f"\nIts first weights: {about.licence}\n" if about.licence else ""
    return f"""# {about.name}

{about.method} for {len(about.classes)} classes, trained on {about.data}{figure};
{about.precision}, version {about.version}.
{licence}
    python3 -m venv env
    env/bin/pip install -r requirements.txt
    env/bin/python {RUNNER} PICTURE...

One line of JSON a picture: its label, its score and the most probable classes. Pictures may have
any size; `{MODEL}` takes {about.size[1]} x {about.size[0]} pixels, and `preprocess.onnx` makes
them from RGB where there is no Pillow. From Python:

    from predict import Model
    Model().predict("cat.jpg")
"""
