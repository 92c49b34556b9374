"""What is said of work that takes long: by moving bars, and by plain lines."""

from __future__ import annotations

import io

from rich.console import Console

from sightline.cli import progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_plain_lines_come_at_once_and_then_ever_more_rarely():
    clock, lines = Clock(), []
    told = progress.PlainLines("training knn", lines.append, clock)
    assert lines == ["training knn ..."]
    times = []
    for second in range(1, 301):
        clock.now = float(second)
        before = len(lines)
        told(second, 300)
        times += [second] if len(lines) > before else []
    assert times == [5, 15, 35, 75, 135, 195, 255]
    assert lines[1] == "training knn: 5 of 300, 5.0 s so far, about 4 m 55 s left"


def test_no_estimate_before_anything_is_known():
    clock, lines = Clock(), []
    told = progress.PlainLines("reading", lines.append, clock)
    clock.now = 6.0
    told(0, 10)
    assert lines[-1] == "reading: 0 of 10, 6.0 s so far"


def test_the_pace_of_what_is_done_and_of_what_runs():
    clock = Clock()
    pace = progress.Pace(["a", "b", "c", "d"], clock)
    assert pace.left() is None
    pace.take("a", "fit", 0, 10)
    clock.now = 10.0
    pace.take("a", "done", 1, 1)
    assert pace.left() == 30.0  # three more as long as the first
    pace.take("b", "fit", 0, 10)
    clock.now = 15.0
    pace.take("b", "fit", 1, 4)
    # b: 5 s for a quarter, so 15 s more; c and d: the mean of 10 s and 20 s each
    assert pace.left() == 15.0 + 2 * 15.0
    assert pace.left_text() == "; about 45.0 s left"
    assert pace.place("b") == "[2/4]"


def test_several_say_each_end_in_a_line_where_there_is_no_terminal():
    written = io.StringIO()
    with progress.several(["a", "b"], Console(file=written, width=80)) as report:
        report("a", "fit", 0, 3)
        assert written.getvalue() == "[1/2] a ...\n"  # at once, not at the end
        report("a", "done", 1, 1)
        report("b", "fit", 0, 3)
        report("b", "failed", 1, 1)
    lines = written.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[1/2] a ...",
        "[1/2] a",
        "[2/2] b ...",
        "[2/2] b",
    ]
    assert "failed" in lines[-1]


def test_a_terminal_animates_only_what_runs_and_the_whole():
    written = io.StringIO()
    screen = Console(file=written, width=80, force_terminal=True)
    with progress.several(["first", "second", "third"], screen) as report:
        report("first", "done", 1, 1)
        report("second", "fit", 1, 3)
    said = written.getvalue()
    assert "first: done" in said
    assert "second: fit" in said
    assert "1 of 3" in said
    assert "third" not in said  # it waits


def test_what_is_larger_takes_longer():
    clock = Clock()
    pace = progress.Pace(["a", "b", "c"], clock, {"a": 100.0, "b": 100.0, "c": 1000.0})
    for name in ("a", "b"):
        pace.take(name, "fit", 0, 1)
        clock.now += 2
        pace.take(name, "done", 1, 1)
    assert pace.left() == 20


def test_what_was_done_before_says_nothing_of_the_rest():
    clock = Clock()
    pace = progress.Pace(["a", "b", "c", "d"], clock)
    for name in ("a", "b"):
        pace.take(name, "done", 1, 1)
    assert pace.left() is None
    pace.take("c", "fit", 0, 1)
    clock.now += 6
    pace.take("c", "done", 1, 1)
    assert pace.left() == 6
