"""Who may import whom: what the import contracts cannot say of tasks that are yet to come."""

from __future__ import annotations

import graphlib
import re
from pathlib import Path

import grimp
import pytest

from sightline import tasks
from sightline.types import Task

SOURCE = Path(__file__).parents[1] / "src/sightline"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("sightline")


NAMES = {*tasks.names(), *Task}  # a task may have some of its files before it has all of them


def of_task(module: str) -> bool:
    """Whether a module is a task's own file (or one that belongs to it: its name begins alike)."""
    last = module.rpartition(".")[2]
    return any(last == task or last.startswith(f"{task}_") for task in NAMES)


def in_task(module: str) -> bool:
    """Whether a module is a task's own, or lies in the folder of its methods."""
    return of_task(module) or any(part in NAMES for part in module.split("."))


def test_only_a_tasks_own_files_import_them_by_name(graph):
    """Everything else finds them by the task's name, in every room."""
    guilty = [
        (module, imported)
        for module in graph.modules
        if not in_task(module)
        for imported in graph.find_modules_directly_imported_by(module)
        if in_task(imported)
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
        m
        for m in imported
        if re.match(r"sightline\.(models\.\w+\.|metrics\.(?!cost|threads)\w)", m)
    ]
    assert len((SOURCE / "training/engine.py").read_text().splitlines()) < 450


def test_no_module_imports_itself_by_way_of_others(graph):
    """Not even inside a function: static_order raises CycleError, which names the circle."""
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    assert set(graphlib.TopologicalSorter(imports).static_order()) == set(imports)
