"""The loop that everybody writes: Dataset, torchvision.transforms, DataLoader, SGD.

What the engine is compared with, in the way of torchvision's reference scripts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sightline.training import schedule
from sightline.training.labelled_recipe import LabelledRecipe


class Decoded(Dataset):
    """Images in memory, changed and standardised one by one."""

    def __init__(
        self, X: np.ndarray, y: np.ndarray, mean: np.ndarray, std: np.ndarray, *, train: bool = True
    ) -> None:
        self.X, self.y = torch.tensor(X).permute(0, 3, 1, 2), torch.from_numpy(y)
        side, colour = X.shape[1], X.shape[3] == 3
        moved = [v2.RandomCrop(side, padding=side // 8, padding_mode="reflect")]
        moved += [v2.RandomHorizontalFlip()] if colour else []
        self.change = v2.Compose([
            *(moved if train else []),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean.tolist(), std.tolist()),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.change(self.X[i]), self.y[i]


def loader(images: Dataset, batch: int, workers: int, *, shuffle: bool = True) -> DataLoader:
    return DataLoader(
        images, batch, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )  # fmt: skip


def epochs(
    model: nn.Module, batches: DataLoader, recipe: LabelledRecipe, device: str = "cpu"
) -> Callable[[], None]:
    """Give a call that trains one epoch more, at the rates of the recipe's schedule."""
    sgd = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, nesterov=True,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    steps = round(recipe.epochs * len(batches))
    rate = torch.optim.lr_scheduler.LambdaLR(
        sgd, lambda step: schedule.share(recipe, min(step, steps - 1), steps)
    )
    loss = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)

    def epoch() -> None:
        model.train()
        for x, labels in batches:
            sgd.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=recipe.precision == "bf16-mixed"):
                value = loss(model(x.to(device)), labels.to(device))
            value.backward()
            sgd.step()
            rate.step()

    return epoch


@torch.inference_mode()
def accuracy(model: nn.Module, batches: DataLoader, device: str = "cpu") -> float:
    model.eval()
    right = sum(int((model(x.to(device)).argmax(1).cpu() == labels).sum()) for x, labels in batches)
    return right / len(batches.dataset)


def small_resnet18(classes: int) -> nn.Module:
    """torchvision's, with a 3 x 3 first convolution and no early pooling, for 32 x 32 images."""
    model = torchvision.models.resnet18(num_classes=classes)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model
