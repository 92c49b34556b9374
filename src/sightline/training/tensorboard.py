"""Write the epochs of a training for TensorBoard: ``tensorboard --logdir RUN``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


def require() -> type[SummaryWriter]:
    """Import TensorBoard's writer.

    Raises
    ------
    MissingExtraError
        When the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("writing for TensorBoard", "tensorboard") from None
    return SummaryWriter


class Scalars:
    """Writes a row of a run's history as TensorBoard scalars after each epoch.

    The first row begins a new file, and a resumed training gives the rows before it again: so
    each epoch is written once.

    Parameters
    ----------
    run : path
        Folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER
        self.writer: SummaryWriter | None = None

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Write an epoch; ``train_loss`` becomes ``loss/train``, and so on."""
        if self.writer is None:
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.writer = require()(str(self.folder))
        for name, value in row.items():
            part, _, figure = name.partition("_")
            tag = f"{figure}/{part}" if part in ("train", "val") else name
            if name != "epoch":
                self.writer.add_scalar(tag, value, row["epoch"])
        self.writer.flush()
