"""Write a folder that answers without Sightline: model, runner, requirements, README.

The runner is `edge_runner`, in which the part of the task, ``deploy/<task>_edge.py``, is put: one
file that imports nothing of this package.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from sightline import tasks
from sightline.deploy.export import MODEL, Exported, Precision, check_alone, export, measured
from sightline.errors import ParameterError
from sightline.estimators import load_model
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
    RunError, MissingExtraError
        See `export.export`.
    ParameterError
        When the task has no edge runner, or the method needs this package, before anything is
        written; or see `export.export`.
    """
    model = load_model(source)
    part = part_of(model.task)
    check_alone(model.task, model.name)
    place = run.create(folder)
    done = export(source, place / MODEL, precision=precision, data=data, progress=progress)
    run.write_text(place / RUNNER, runner(part))
    pins = "".join(f"{name}=={metadata.version(name)}\n" for name in NEEDED)
    run.write_text(place / "requirements.txt", pins)
    run.write_text(place / "README.md", _readme(done, part))
    files = {p.name: p.stat().st_size for p in sorted(place.iterdir()) if p.is_file()}
    return Bundle(place, done, files)


def part_of(task: str) -> str:
    """Return the source of a task's part of the runner.

    Raises
    ------
    ParameterError
        When the task has none.
    """
    for folder in tasks.places("deploy"):
        if (path := folder / f"{task}_edge.py").is_file():
            return path.read_text(encoding="utf-8")
    raise ParameterError(
        f"there is no edge runner for the task '{task}'; export it as onnx or web, or write "
        f"deploy/{task}_edge.py"
    )


def runner(part: str) -> str:
    """Return the source of a runner with a task's part in it: the imports of both come first."""
    source = resources.files("sightline.deploy").joinpath("edge_runner.py")
    before, _, rest = source.read_text(encoding="utf-8").partition("SAYS =")
    after = rest.partition("# and ends here\n")[2]
    tree = ast.parse(part)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for line in map(ast.unparse, imports):
        if f"{line}\n" not in before and "__future__" not in line:
            before = before.replace("import argparse\n", f"import argparse\n{line}\n", 1)
    last = imports[-1] if imports else tree.body[0]  # else the docstring
    own = "\n".join(part.splitlines()[last.end_lineno :]).strip()
    return f"{before}{own}\n\n\n{after}"


def _says(part: str) -> str:
    """Return what a line of the runner says, in words: the constant ``SAYS`` of a task's part."""
    for node in ast.parse(part).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SAYS":
            return str(ast.literal_eval(node.value))
    return "its answer"


def _readme(done: Exported, part: str) -> str:
    about = done.about
    figure = f", {measured(about)}" if about.headline is not None else ""
    weights = "Its first weights" if about.data else "Its weights, as published"
    licence = f"\n{weights}: {about.licence}\n" if about.licence else ""
    trained = f", trained on {about.data}" if about.data else ", as it was trained elsewhere"
    return f"""# {about.name}

{about.method}{trained}{figure};
{about.precision}, version {about.version}.
{licence}
    python3 -m venv env
    env/bin/pip install -r requirements.txt
    env/bin/python {RUNNER} PICTURE...

One line of JSON a picture: {_says(part)}.
Pictures may have any size; `{MODEL}` takes {about.size[1]} x {about.size[0]} pixels, and
`preprocess.onnx` makes them from RGB where there is no Pillow. From Python:

    from predict import Model
    Model().predict("cat.jpg")
"""
