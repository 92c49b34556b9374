"""Help as a person reads it: at the width of the terminal, with examples; and completion."""

from __future__ import annotations

import datetime
import locale
import shlex
import subprocess

import pytest

from sightline import tasks
from sightline.cli import console, main, options
from sightline.cli.examples import EXAMPLES

WIDTHS = (50, 60, 80, 120, 200)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["", *EXAMPLES])
def test_help_wraps_at_the_width_of_the_terminal(run, verb, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    assert max(map(len, out.splitlines())) <= width
    if width == 200:  # and no line ends before it must: sentences are whole
        assert "…" not in out


@pytest.mark.parametrize("verb", EXAMPLES)
def test_every_verb_has_two_examples(run, verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(*verb.split(), "--help")
    examples = " ".join(out.partition("Examples:")[2].split())
    assert examples.count("sightline ") >= 2
    for line, _ in EXAMPLES[verb]:
        assert line.startswith(verb)
        assert f"sightline {line}" in examples


def test_every_verb_is_among_the_examples():
    from cyclopts import App

    def walk(app, path):
        for name in app:
            if name.startswith("-"):
                continue
            yield " ".join((*path, name))
            inner = app[name]
            if isinstance(inner, App):
                yield from walk(inner, (*path, name))

    assert set(walk(main.build(), ())) == set(EXAMPLES)


@pytest.mark.parametrize(
    "line", [line for lines in EXAMPLES.values() for line, _ in lines], ids=str
)
def test_examples_can_be_parsed(line, monkeypatch):
    words = shlex.split(line)
    if words[0] in ("train", "tune"):
        from sightline.cli import options, train, tune

        verb = {"train": train.train_model, "tune": tune.tune_model}[words[0]]
        from cyclopts import App

        app = App(exit_on_error=False, print_error=False)
        app.default(options.with_knobs(verb, words[1]))
        app.parse_args(words[1:], exit_on_error=False, print_error=False)
    else:
        main.build().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    ("model", "resize", "scale"),
    [("knn", "crop", "none"), ("unet-lite", "pad", "none"), ("mlp-numpy", "crop", "standardise")],
)
def test_the_help_of_a_method_tells_its_own_defaults(model, resize, scale):
    known = {knob.name: knob.default for knob in options.knobs_of(model)}
    assert (known["resize"], known["scale"]) == (resize, scale)


def test_help_names_the_tasks_that_have_methods(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for verb in ("compare", "models"):
        out = run(verb, "--help")[1]
        line = next(line for line in out.splitlines() if "--task" in line)
        assert all(task in line for task in tasks.with_cards())
        assert "localize" not in line
    status, _, err = run("models", "--task", "segmnt")
    assert status == 2
    assert "did you mean 'segment'" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_knows_verbs_and_options(run, shell, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    monkeypatch.setattr("cyclopts.completion.detect.detect_shell", lambda: shell)
    script = main.build(whole=True).generate_completion(shell=shell)
    for word in (*main.VERBS, "margin", "find-lr", "folds", "neighbours"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_install_completion_is_a_command(run, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    status, out, _ = run("--install-completion")
    assert status == 0
    assert str(tmp_path) in out.replace("\n", "")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("find-lr" in path.read_text(encoding="utf-8") for path in written)


# --- times ------------------------------------------------------------------------------------


@pytest.fixture
def language():
    before = locale.setlocale(locale.LC_TIME)
    yield
    locale.setlocale(locale.LC_TIME, before)


def test_times_are_the_readers(monkeypatch, language):
    import time

    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert console.when("2026-11-26T00:15:02+00:00") == "2026-11-26 08:15"
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert console.when("") == ""
    here = datetime.datetime.now().astimezone().replace(microsecond=0)
    assert console.when(here.isoformat()) == here.strftime("%Y-%m-%d %H:%M")
