"""Who may import whom: what the import contracts cannot say of tasks that are yet to come."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

from sightline import tasks

SOURCE = Path(__file__).parents[1] / "src/sightline"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("sightline")


def of_task(module: str) -> bool:
    """Whether a module is a task's own file (or one that belongs to it: its name begins alike)."""
    last = module.rpartition(".")[2]
    return any(last == task or last.startswith(f"{task}_") for task in tasks.names())


@pytest.mark.parametrize("room", ["bench", "report", "cli", "deploy", "explain"])
def test_no_room_imports_a_tasks_estimator_or_metrics_by_name(graph, room):
    """But for the tasks' own files there."""
    named = {f"sightline.{r}.{task}" for r in ("estimators", "metrics") for task in tasks.names()}
    guilty = [
        (module, imported)
        for module in graph.modules
        if module.startswith(f"sightline.{room}.") and not of_task(module)
        for imported in graph.find_modules_directly_imported_by(module) & named
    ]
    assert guilty == []


def test_only_task_modules_name_a_classifier():
    guilty = [
        path.relative_to(SOURCE).as_posix()
        for room in ("bench", "report", "cli", "deploy")
        for path in (SOURCE / room).rglob("*.py")
        if "Classifier" in path.read_text(encoding="utf-8") and not of_task(path.stem)
    ]
    assert guilty == []


def test_the_engine_knows_no_task_and_stays_short(graph):
    training = {m for m in graph.modules if m.startswith("sightline.training.")}
    imported = {i for m in training for i in graph.find_modules_directly_imported_by(m)}
    assert not [
        m for m in imported if re.match(r"sightline\.(models\.\w+\.|metrics\.(?!cost)\w)", m)
    ]
    assert len((SOURCE / "training/engine.py").read_text().splitlines()) < 450


def test_no_two_modules_of_data_or_estimators_import_each_other(graph):
    rooms = ("sightline.data", "sightline.estimators")
    modules = [m for m in graph.modules if m.startswith(rooms)]
    circles = [
        (a, b)
        for a in modules
        for b in graph.find_modules_directly_imported_by(a)
        if a < b and a in graph.find_modules_directly_imported_by(b)
    ]
    assert circles == []
