"""Compare methods of image recognition on one bench.

Examples
--------
>>> import sightline
>>> data = sightline.load_data("digits")
>>> model = sightline.create_model("knn", data, k=3).fit(data.train, val=data.val)
>>> model.score(data.test).headline > 0.97
True
"""

from __future__ import annotations

import importlib
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# A task may lie outside this package; see `sightline.tasks`.
__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset
    from sightline.data.load import load_data
    from sightline.errors import SightlineError
    from sightline.estimators import create_model, load_model
    from sightline.estimators.backbone import load_backbone
    from sightline.metrics import Metrics
    from sightline.models.registry import list_models
    from sightline.report.comparison import Comparison, compare
    from sightline.report.learning import LearningCurve, curve
    from sightline.types import (
        Classification,
        Detections,
        Generated,
        Instances,
        Sample,
        Segmentation,
        Task,
    )

_HOME = {
    "load_data": "sightline.data.load",
    "Dataset": "sightline.data.dataset",
    "create_model": "sightline.estimators",
    "load_model": "sightline.estimators",
    "load_backbone": "sightline.estimators.backbone",
    "list_models": "sightline.models.registry",
    "compare": "sightline.report.comparison",
    "Comparison": "sightline.report.comparison",
    "curve": "sightline.report.learning",
    "LearningCurve": "sightline.report.learning",
    "Metrics": "sightline.metrics",
    "SightlineError": "sightline.errors",
    "Classification": "sightline.types",
    "Detections": "sightline.types",
    "Generated": "sightline.types",
    "Sample": "sightline.types",
    "Instances": "sightline.types",
    "Segmentation": "sightline.types",
    "Task": "sightline.types",
}

__all__ = [
    "Classification",
    "Comparison",
    "Dataset",
    "Detections",
    "Generated",
    "Instances",
    "LearningCurve",
    "Metrics",
    "Sample",
    "Segmentation",
    "SightlineError",
    "Task",
    "compare",
    "create_model",
    "curve",
    "list_models",
    "load_backbone",
    "load_data",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
