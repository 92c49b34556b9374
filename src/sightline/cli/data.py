"""Run ``sightline data show|audit|convert|list``: look at, check and convert data."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from sightline.cli import console, data_labels, tables
from sightline.cli.examples import under
from sightline.counting import counted
from sightline.data import audit as auditing
from sightline.data import audit_masks, mend, recognise
from sightline.data import convert as converting
from sightline.data import load as loading
from sightline.data.dataset import Dataset
from sightline.errors import ParameterError

app = App(name="data", help="Look at, check and convert DATA.", help_epilogue=under("data"))


@app.command(help_epilogue=under("data show"))
def show(
    data: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    split: str | None = None,
    count: int = 30,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    verify: Annotated[bool, Parameter(negative="")] = False,
    seed: console.Seed = 0,
    json: console.Json = False,
) -> int:
    """Draw a contact sheet of DATA (PNG): images, labels, boxes, masks, class balance.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    output
        PNG to write; default DATA.png.
    split
        Which part of the data; default: train, or the only one there is.
    count
        How many images, at most 200.
    verify
        Decode cached images again, and renew the cache where it differs.
    """
    if not 1 <= count <= 200:
        raise ParameterError(f"--count must be between 1 and 200, not {count}")
    loaded = console.load(
        data,
        seed=seed,
        group=group,
        layout=layout,
        allow_outside=allow_outside,
        verify=verify,
        quiet=json,
    )
    from sightline.data import draw

    target = output or Path(f"{loaded.name}.png")
    split = split or ("train" if "train" in loaded.rows else next(iter(loaded.rows)))
    sheet = draw.contact_sheet(loaded, split, count, seed)
    target = console.save_picture(sheet, target)
    if json:
        console.print_json(describe(loaded) | {"sheet": str(target)})
    else:
        console.out().print(f"contact sheet: {target}", soft_wrap=True)
    return 0


@app.command(help_epilogue=under("data audit"))
def audit(
    data: str,
    /,
    *,
    fix: Path | None = None,
    size: int = audit_masks.SIDE,
    labels: str | None = None,
    folds: int = 5,
    lang: console.Lang = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    seed: console.Seed = 0,
    json: console.Json = False,
) -> int:
    """Find what silently ruins training in DATA; status 1 when there are errors.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    fix
        New folder for a cleaned copy; the original is never touched.
    size
        Pixels of the longer side that a network is to be trained at: objects without a pixel left
        there are named.
    labels
        Run of a classifier, whose method judges each label without having seen the image: a page
        of those that are probably wrong, and a table (CSV).
    folds
        Times that the method of --labels is fitted anew.
    output
        Page of --labels, the table beside it; default labels-DATA.html here.
    """
    if size < 1:
        raise ParameterError(f"--size must be at least 1 pixel, not {size}")
    if labels is None and (output is not None or folds != 5):
        raise ParameterError("--output and --folds belong to --labels RUN")
    doubted = None if labels is None else data_labels.refittable(labels, folds, output)
    if fix is not None:
        converting.check_target(fix)
    with console.bar(f"reading {data}") as report:
        loaded = loading.load_data(
            data,
            seed=seed,
            group=group,
            layout=layout,
            allow_outside=allow_outside,
            progress=report,
            strict=False,
        )
    if labels is not None:
        data_labels.check(loaded, folds)
    with console.bar("looking at every image") as report:
        audited = auditing.audit(loaded, report, size=size)
    written = None
    if labels is not None and doubted is not None:
        written = data_labels.judge(
            labels, doubted, loaded, audited, folds=folds, seed=seed, lang=lang, output=output
        )
    mended: list[str] = []
    if fix is not None:
        clean, mended = mend.fixed(loaded, audited)
        to = converting.target_of(loaded)
        with console.bar(f"writing {fix}") as report:
            converting.convert(clean, fix, to, report)
    if json:
        findings = [{k: v for k, v in asdict(f).items() if k != "rows"} for f in audited.findings]
        console.print_json(
            describe(loaded)
            | {"images": audited.images, "errors": audited.errors, "findings": findings}
            | ({"labels": written.document} if written else {})
            | ({"fixed": str(fix), "mended": mended} if fix else {})
        )
    else:
        _print(loaded.name, audited)
        if written:
            data_labels.show(written)
        if fix is not None:
            console.out().print(f"cleaned copy: {fix} ({'; '.join(mended)})", soft_wrap=True)
    return 1 if audited.errors else 0


@app.command(help_epilogue=under("data convert"))
def convert(
    data: str,
    out: Path,
    /,
    *,
    to: converting.Target,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    seed: console.Seed = 0,
    raw: Annotated[bool, Parameter(negative="")] = False,
    json: console.Json = False,
) -> int:
    """Write DATA in another format into the new folder OUT.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    out
        Folder to make.
    to
        Format to write.
    raw
        Of csv and parquet: leave cells as they are that a spreadsheet would compute, as =1+1; else
        an apostrophe stands before them.
    """
    converting.check_target(out)
    loaded = console.load(
        data, seed=seed, group=group, layout=layout, allow_outside=allow_outside, quiet=json
    )
    with console.bar(f"writing {out}") as report:
        converting.convert(loaded, out, to, report, raw=raw)
    if json:
        console.print_json(describe(loaded) | {"written": str(out), "format": to})
    else:
        console.out().print(f"{to}: {out}", soft_wrap=True)
    return 0


@app.command(name="list", help_epilogue=under("data list"))
def list_names(*, json: console.Json = False) -> int:
    """List the data sets that have a name."""
    if json:
        console.print_json(recognise.names())
        return 0
    columns = (tables.Column("name", text=True), tables.Column("what it is", text=True))
    tables.show(console.out(), columns, list(recognise.names().items()))
    return 0


def describe(data: Dataset) -> dict[str, Any]:
    """Return a data set as JSON has it."""
    return {
        "name": data.name, "layout": data.layout, "tasks": [str(t) for t in data.tasks],
        "mode": data.mode, "classes": list(data.classes),
        "counts": {name: len(rows) for name, rows in data.rows.items()},
        "fingerprint": data.fingerprint(), "notes": data.notes,
        "read": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _print(name: str, audited: auditing.Audit) -> None:
    screen = console.out()
    if not audited.findings:
        screen.print(f"{name}: {counted(audited.images, 'image')}, nothing wrong found")
        return
    columns = (
        tables.Column("severity", text=True, least=8), tables.Column("count"),
        tables.Column("what", text=True, least=24), tables.Column("for example", text=True),
    )  # fmt: skip
    colours = {"error": "red", "warning": "yellow", "note": "dim"}
    rows = []
    for f in audited.findings:
        what = Text(f.text)
        if f.mend:
            what.append(f"\n{console.as_options(f.mend)}", style="dim")
        severity = Text(f.severity, style=colours[f.severity])
        rows.append((severity, f"{f.count:,}", what, "\n".join(f.examples[:3])))
    tables.show(screen, columns, rows, title=f"{name}: {counted(audited.images, 'image')}")
    screen.print(f"{counted(audited.errors, 'kind')} of error" if audited.errors else "no errors")
    if any("a fixed copy" in f.mend for f in audited.findings):
        screen.print("sightline data audit DATA --fix NEW-FOLDER writes a fixed copy")
