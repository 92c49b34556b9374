"""Turn fitted models of each task into graphs: from uint8 images to output tensors.

``deploy/<task>.py`` names the outputs and decodes them.
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any, cast

from sightline import tasks

if TYPE_CHECKING:
    from torch import nn

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`


def graph(run: Any) -> nn.Module:
    """Return a fitted estimator as one module that does all that its ``predict`` does.

    Parameters
    ----------
    run : Estimator
        Fitted.

    Returns
    -------
    Module
        uint8 images of the run's own size, shape (N, H, W, C), to a tuple of tensors with a row an
        image: those that ``OUTPUTS`` of ``deploy/<task>.py`` names, in its order; the last ones may
        be missing.

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    return cast("nn.Module", tasks.module("deploy.graphs", run.task).graph(run))
