"""Run ``sightline VERB ...``: find the verb, and print every failure as one line."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline import __version__
from sightline.cli import streams
from sightline.cli.examples import under
from sightline.errors import SightlineError

if TYPE_CHECKING:
    from cyclopts import App

ABOUT = (
    "One bench for image recognition: point it at images, and it says which method is good "
    "enough, what each costs and why it errs."
)

DEBUG = "--debug"
UNEXPECTED = 70
"""Exit status of an error that nobody foresaw: EX_SOFTWARE of sysexits.h."""

REPORT_TO = "https://github.com/sightline-bench/sightline/issues"
NO_MEMORY = "out of memory; try smaller images (--size) or fewer of them"

VERBS: dict[str, tuple[str, str]] = {
    "compare": ("compare:compare", "Train and measure methods on DATA; say which to take."),
    "curve": ("curve:curve", "Say whether more training images would help, by learning curves."),
    "train": ("train:train", "Train MODEL on DATA and keep the run."),
    "tune": ("tune:tune", "Find the best knobs of MODEL by cross-validation."),
    "eval": ("evaluate:evaluate", "Measure a RUN on a split of DATA."),
    "predict": ("predict:predict", "Say what a RUN sees in images."),
    "serve": ("serve:serve", "Answer over HTTP with one or several RUNs."),
    "explain": ("explain:app", "Show why a RUN answers as it does."),
    "style": ("style:style", "Draw CONTENT in the style of other pictures."),
    "generate": ("generate:generate", "Make pictures with a RUN that has learned to."),
    "export": ("export:export", "Write a RUN as files that run without Sightline."),
    "cost": ("cost:cost", "Compare what it costs to deploy a RUN, and where."),
    "data": ("data:app", "Look at, check and convert DATA."),
    "plot": ("plot:app", "Draw the pictures of the textbook."),
    "models": ("models:app", "List the methods, or show one."),
    "runs": ("runs:runs", "List past runs with their headline figures."),
}  # fmt: skip
"""Verb -> (module:function in this folder, help); imported when called."""


def build(*, whole: bool = False) -> App:
    """Build the application; no verb's code is imported.

    Parameters
    ----------
    whole : bool
        Whether the verbs that read their own options show them here too, for completion.
    """
    from cyclopts import App
    from rich.console import Console

    app = App(
        name="sightline",
        console=Console(),  # else verbs with verbs of their own keep the width of their first call
        help=ABOUT,
        version=__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for verb, (place, text) in VERBS.items():
        entry = f"sightline.cli.{place}"
        if verb in ("train", "tune"):  # MODEL decides their options: they read --help themselves
            shown: Any = _options_of(entry) if whole else entry
            app.command(shown, name=verb, help=text, help_flags=[])
        elif place.endswith(":app"):  # it has verbs of its own, and brings its examples along
            app.command(entry, name=verb, help=text)
        else:
            app.command(entry, name=verb, help=text, help_epilogue=under(verb))
    app.register_install_completion_command(
        help="Complete verbs and options in this shell: bash, zsh, fish or PowerShell."
    )
    return app


def _options_of(entry: str) -> Any:
    """Return a verb whose options depend on a model, with those that it always has."""
    import importlib

    from sightline.cli.options import with_knobs

    module, verb = entry.split(":")
    return with_knobs(getattr(importlib.import_module(module), f"{verb}_model"), None)


def overview() -> str:
    """Return the text of ``sightline --help``, without importing the parser, which is slow."""
    room = max(shutil.get_terminal_size((80, 24)).columns, 30)
    wide = max(map(len, VERBS))
    lines = [
        line
        for verb, (_, text) in VERBS.items()
        for line in textwrap.wrap(
            text, room, initial_indent=f"  {verb:<{wide}}  ", subsequent_indent=" " * (wide + 4)
        )
    ]  # fmt: skip
    more = (
        "sightline VERB --help tells more, with examples; --version says which this is; "
        "--install-completion lets the shell complete verbs and options; --debug shows where an "
        "error arose."
    )
    return "\n".join(
        ["Usage: sightline VERB ...", "", *textwrap.wrap(ABOUT, room), "", *lines, "",
         *textwrap.wrap(more, room, break_on_hyphens=False)]
    )  # fmt: skip


def main(tokens: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its status: 0, 1 (findings), 2 (misuse), 70, 130."""
    streams.prepare()
    code = status(sys.argv[1:] if tokens is None else list(tokens))
    streams.finish()
    sys.exit(code)


def status(tokens: Sequence[str]) -> int:
    """Run a command line and return its exit status.

    An error that nobody foresaw is one line, too, with the way to report it; ``--debug``, anywhere
    before ``--``, shows where any error arose.
    """
    options, behind = _parted(list(tokens))
    debug = DEBUG in options
    try:
        return _status([t for t in options if t != DEBUG] + behind, debug=debug)
    except Exception as error:  # noqa: BLE001 - the guard at the edge
        _show(error, debug=debug)
        if _is_about_memory(error):
            return _fail(NO_MEMORY, 2)
        line = " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())
        return _fail(
            f"an unexpected error ({line[:300]}, {_place(error)}); this is a fault of Sightline: "
            f"please report it at {REPORT_TO}, with what {DEBUG} shows", UNEXPECTED,
        )  # fmt: skip


def _status(tokens: list[str], *, debug: bool) -> int:
    if not tokens or tokens in (["--help"], ["-h"]):
        print(overview())  # noqa: T201
        return 0
    from cyclopts import CycloptsError

    from sightline.data import fonts

    try:
        with fonts.noticing() as lacking:
            result = build(whole="--install-completion" in tokens)(tokens)
        sys.stdout.flush()
        if lacking:
            from sightline.cli import console

            console.note(fonts.remark(lacking))
    except CycloptsError as error:
        _show(error, debug=debug)
        return _fail(str(error), 2)
    except SightlineError as error:
        from sightline.cli import console

        _show(error, debug=debug)
        return _fail(console.as_options(str(error)), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        streams.finish()
        return 0
    except MemoryError as error:
        _show(error, debug=debug)
        return _fail(NO_MEMORY, 2)
    except OSError as error:
        _show(error, debug=debug)
        if _is_about_memory(error):
            return _fail(NO_MEMORY, 2)
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 2)
    return result if isinstance(result, int) else 0


def _parted(tokens: list[str]) -> tuple[list[str], list[str]]:
    """Part a command line before ``--``, behind which nothing is an option."""
    end = tokens.index("--") if "--" in tokens else len(tokens)
    return tokens[:end], tokens[end:]


def _show(error: Exception, *, debug: bool) -> None:
    if debug:
        import traceback

        print("".join(traceback.format_exception(error)), file=sys.stderr)  # noqa: T201


def _place(error: Exception) -> str:
    """Return the file and line of Sightline where an error arose or passed last."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "sightline" in frame.filename] or list(frames)
    return "/".join(Path(own[-1].filename).parts[-2:]) + f":{own[-1].lineno}" if own else "?"


def _is_about_memory(error: BaseException | None) -> bool:
    """Tell whether a library says in its own words that memory ran out, or had that as a cause."""
    if error is None or isinstance(error, MemoryError):
        return error is not None
    if _is_about_memory(error.__cause__) or _is_about_memory(error.__context__):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in said for words in ("can't allocate memory", "cannot allocate memory",
                                    "not enough memory", "out of memory", "failed to map segment",
                                    "can't start new thread",
                                    "could not find/load shared object")
    )  # fmt: skip


def _fail(message: str, code: int) -> int:
    from sightline.data import text

    line = text.line(" ".join(message.split()))
    print(f"sightline: {line}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    main()
