r"""Build YOLO, the first one: a picture is a grid, and each cell says what is in it.

Redmon et al., You only look once: Unified, real-time object detection, CVPR 2016. The picture is
divided into S x S cells. The cell that has an object's centre answers for it (section 2): it says B
boxes, each with a confidence, and once the probabilities of the C classes, B * 5 + C numbers:

========  =====================================================================
number    meaning
========  =====================================================================
x, y      the box's centre, in cells from the upper left corner of its own cell
w, h      roots of the box's sides, as shares of the picture's
C         confidence: :math:`\Pr(\text{object}) \cdot \mathrm{IoU}`
p(c)      :math:`\Pr(c \mid \text{object})`, one a cell and class
========  =====================================================================

The score of a box for a class is :math:`\Pr(c \mid \text{object}) \cdot C` (equation 1). Training
lowers the sum of squares (equation 3), over the cells i and their boxes j of a picture,

.. math::

    & \lambda_{coord} \sum_i \sum_j 1^{obj}_{ij}
    \left[(x_i - \hat x_i)^2 + (y_i - \hat y_i)^2\right] \\
    & + \lambda_{coord} \sum_i \sum_j 1^{obj}_{ij}
    \left[(\sqrt{w_i} - \sqrt{\hat w_i})^2 + (\sqrt{h_i} - \sqrt{\hat h_i})^2\right] \\
    & + \sum_i \sum_j 1^{obj}_{ij} (C_i - \hat C_i)^2
    + \lambda_{noobj} \sum_i \sum_j 1^{noobj}_{ij} (C_i - \hat C_i)^2 \\
    & + \sum_i 1^{obj}_i \sum_c (p_i(c) - \hat p_i(c))^2

with :math:`\lambda_{coord} = 5` and :math:`\lambda_{noobj} = 0.5`. :math:`1^{obj}_{ij}` is 1 of the
one box of a cell that is *responsible* for its object: that with the highest IoU. Its confidence is
to become that IoU, all others' 0. Roots make an error of a few pixels count more for a small box.

What limits it: a cell has one object, so of several whose centres share a cell the largest teaches
(`YoloV1.learned`), and small things in groups are missed (section 2.4).

It departs from the paper in these points:

- The backbone is a small one with batch normalisation, which learns on a CPU without ImageNet, and
  the last layers are convolutions, not two fully connected layers of 4,096 units. S follows the
  size of the pictures: it is what halving them leaves nearest to 7.
- The paper's text has w and h as the network's outputs, its code (Darknet) their roots, as here:
  no root of a negative number is ever taken.
- Where no box of a cell meets the object, the one whose sides and place are nearest in squares is
  responsible, as in the code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.models.classify import vgg
from sightline.models.detect.answers import Answering
from sightline.models.detect.assign import BACKGROUND
from sightline.models.detect.assignment import Assignment
from sightline.models.detect.boxes import iou, with_area
from sightline.models.detect.network import DetectionModule, Targets

CELLS = 7
"""S of the paper: cells a side, about."""

BOXES = 2
"""B of the paper: boxes a cell."""


@dataclass(frozen=True)
class Weighting:
    """The lambdas of the loss.

    Parameters
    ----------
    coord : float
        Of places and sides.
    noobj : float
        Of the confidence of boxes that are not responsible for an object.
    """

    coord: float = 5.0
    noobj: float = 0.5


class Outputs(NamedTuple):
    """What the network says of a batch.

    Attributes
    ----------
    boxes : float Tensor, shape (N, S, S, B, 5)
        Of each cell (row, then column) its boxes: x, y in cells, roots of w and h, confidence.
    classes : float Tensor, shape (N, S, S, C)
    size : (height, width)
        Of the images.
    """

    boxes: Tensor
    classes: Tensor
    size: tuple[int, int]


class YoloV1(DetectionModule):
    """Divide an image into cells, and let each say what is in it.

    Parameters
    ----------
    backbone : Module
        Maps images to maps of S x S places.
    channels : int
        Of those maps.
    num_classes : int
    boxes : int
        B.
    weighting : Weighting, optional
    answering : Answering, optional
    """

    head_names = ("head",)
    untaught = "their cell has a larger object"
    """Why objects of a picture play no part in training; see `learned`."""

    def __init__(
        self, backbone: nn.Module, channels: int, num_classes: int, boxes: int = BOXES, *,
        weighting: Weighting | None = None, answering: Answering | None = None,
    ) -> None:  # fmt: skip
        super().__init__(answering or Answering(overlap=0.5))
        self.backbone, self.num_classes, self.per_cell = backbone, num_classes, boxes
        self.weighting = weighting or Weighting()
        self.head = nn.Conv2d(channels, 5 * boxes + num_classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        # Boxes of some sizes in the middle of their cells, none of them sure of itself.
        sides = torch.linspace(0.3, 0.7, boxes)[:, None].expand(-1, 2)
        start = torch.cat((torch.full((boxes, 2), 0.5), sides, torch.zeros(boxes, 1)), 1)
        even = torch.full((num_classes,), 1 / num_classes)
        self.head.bias = nn.Parameter(torch.cat((start.flatten(), even)))

    def outputs(self, images: Tensor) -> Outputs:
        """Compute what every cell says.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
        """
        said = self.head(self.backbone(images)).permute(0, 2, 3, 1)
        boxes, classes = said.split((5 * self.per_cell, self.num_classes), -1)
        size = (images.shape[2], images.shape[3])
        return Outputs(boxes.unflatten(-1, (self.per_cell, 5)), classes, size)

    def losses(self, said: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Compute the parts of equation 3, each summed over an image and averaged over the batch.

        Parameters
        ----------
        said : Outputs
        targets : sequence of mappings

        Returns
        -------
        dict of str to Tensor, shape ()
            ``bbox_regression`` (places and sides), ``objectness`` (confidences) and
            ``classification``, their lambdas in them.
        """
        boxes, classes = said.boxes.float(), said.classes.float()
        grid, n = (boxes.shape[1], boxes.shape[2]), max(len(targets), 1)
        wanted = torch.zeros_like(boxes[..., 4])
        responsible = torch.zeros_like(wanted, dtype=torch.bool)
        far, unlike = boxes.new_zeros(()), boxes.new_zeros(())
        for i, target in enumerate(targets):
            taught = learned(target["boxes"], said.size, grid)
            if not taught.any():
                continue
            rows, columns, truth = _in_cells(target["boxes"][taught], said.size, grid)
            own = boxes[i, rows, columns]
            overlaps = ops.box_iou(_corners(own.flatten(0, 1), grid), _corners(truth, grid))
            overlaps = overlaps.nan_to_num(0).view(len(rows), self.per_cell, -1)
            overlaps = overlaps.diagonal(dim1=0, dim2=2).T.detach()
            apart = (own[..., :4] - truth[:, None, :4]).square().sum(-1).detach()
            # Where none meets the object, the nearest one: less than any IoU above 0.
            chosen = torch.where((overlaps > 0).any(1, keepdim=True), overlaps, -apart).argmax(1)
            each = torch.arange(len(rows), device=boxes.device)  # each object's own row
            responsible[i, rows, columns, chosen] = True
            wanted[i, rows, columns, chosen] = overlaps[each, chosen]
            far = far + (own[each, chosen, :4] - truth[:, :4]).square().sum()
            known = functional.one_hot(target["labels"][taught], self.num_classes)
            unlike = unlike + (classes[i, rows, columns] - known).square().sum()
        misjudged = (boxes[..., 4] - wanted).square()
        weights = torch.where(responsible, 1.0, self.weighting.noobj)
        return {
            "bbox_regression": self.weighting.coord * far / n,
            "objectness": (weights * misjudged).sum() / n,
            "classification": unlike / n,
        }

    def learned(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Tell which objects of an image play a part in training.

        Parameters
        ----------
        boxes : float Tensor, shape (G, 4)
        size : (height, width)
            Of the image.

        Returns
        -------
        bool Tensor, shape (G,)
        """
        return learned(boxes, size, self.grid)

    def assignment(self, images: Tensor, target: Mapping[str, Tensor]) -> Assignment:
        """Return which cells of an image are to answer for which of its objects.

        Parameters
        ----------
        images : float Tensor, shape (1, C, H, W)
        target : mapping
            ``boxes``, float (G, 4), xyxy in its pixels.
        """
        (rows, columns), boxes = self.grid, target["boxes"].float()
        size = (images.shape[2], images.shape[3])
        height, width = size[0] / rows, size[1] / columns
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        corners = torch.stack((x * width, y * height, (x + 1) * width, (y + 1) * height), -1)
        cells = corners.view(-1, 4).float()
        row, column, _ = _in_cells(boxes, size, self.grid)
        taught, own = learned(boxes, size, self.grid), row * columns + column
        assigned = torch.full((len(cells),), BACKGROUND)
        assigned[own[taught]] = torch.nonzero(taught).flatten()
        said = []
        for i, known in enumerate(taught.tolist()):
            where = f"row {int(row[i]) + 1}, column {int(column[i]) + 1}"
            if known:
                said.append("")
            elif not bool(with_area(boxes[i])):
                said.append("it has no area, so that it teaches nothing")
            else:
                larger = int(assigned[own[i]]) + 1
                said.append(f"its cell ({where}) answers for a larger one, object {larger}")
        return Assignment(
            cells, torch.zeros(len(cells), dtype=torch.int64), (f"{rows} x {columns}",),
            iou(boxes, cells), assigned, tuple(said), "cell",
        )  # fmt: skip

    @property
    def grid(self) -> tuple[int, int]:
        """Return the rows and columns of cells of the images that it was built for."""
        side: int = self.cells  # set by the builder
        return side, side

    cells = CELLS

    def candidates(self, said: Outputs) -> tuple[Tensor, Tensor]:
        """Compute the boxes of all cells and their scores.

        Parameters
        ----------
        said : Outputs

        Returns
        -------
        boxes : float Tensor, shape (N, S * S * B, 4)
            xyxy, cut to the image.
        scores : float Tensor, shape (N, S * S * B, C)
            Confidence times the class's probability, both cut to [0, 1].
        """
        boxes, (height, width) = said.boxes.float(), said.size
        rows, columns = boxes.shape[1], boxes.shape[2]
        x = (boxes[..., 0] + torch.arange(columns, device=boxes.device).view(1, -1, 1)) / columns
        y = (boxes[..., 1] + torch.arange(rows, device=boxes.device).view(-1, 1, 1)) / rows
        w, h = boxes[..., 2].square(), boxes[..., 3].square()
        corners = torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), -1).clamp(0, 1)
        side = torch.tensor((width, height, width, height), device=boxes.device)
        scores = boxes[..., 4:].clamp(0, 1) * said.classes.float().clamp(0, 1)[..., None, :]
        return (corners * side).flatten(1, 3), scores.flatten(1, 3)


def learned(boxes: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Tell which of an image's objects teach: of each cell the largest with an area.

    Parameters
    ----------
    boxes : float Tensor, shape (G, 4)
    size : (height, width)
        Of the image.
    grid : (rows, columns)

    Returns
    -------
    bool Tensor, shape (G,)
    """
    chosen = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    rows, columns, _ = _in_cells(boxes, size, grid)
    cells = (rows * grid[1] + columns).tolist()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    taken: set[int] = set()
    for i in areas.argsort(descending=True, stable=True).tolist():
        if cells[i] not in taken and bool(with_area(boxes[i])):
            taken.add(cells[i])
            chosen[i] = True
    return chosen


def _in_cells(
    boxes: Tensor, size: tuple[int, int], grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the row and the column of each box's cell, and x, y, root w, root h in it, (G, 4)."""
    (height, width), (rows, columns) = size, grid
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2 / width, (boxes[:, 1] + boxes[:, 3]) / 2 / height
    column = (x * columns).floor().clamp(0, columns - 1)
    row = (y * rows).floor().clamp(0, rows - 1)
    sides = ((boxes[:, 2:] - boxes[:, :2]) / boxes.new_tensor((width, height))).clamp(min=0).sqrt()
    known = torch.cat((torch.stack((x * columns - column, y * rows - row), 1), sides), 1)
    return row.long(), column.long(), known.float()


def _corners(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return corners (M, 4) of boxes in cells, (M, 4 or more), from the corner of their cell.

    Both sides of an IoU are of one cell, so that where it lies does not matter.
    """
    middle = cells[:, :2] / cells.new_tensor((grid[1], grid[0]))
    half = cells[:, 2:4].square() / 2
    return torch.cat((middle - half, middle + half), 1)


class Halved(nn.Sequential):
    """Convolutions with batch normalisation that halve the side, once a stage.

    Parameters
    ----------
    in_channels, stages : int
    """

    WIDTHS = (32, 64, 128, 192, 256, 256, 256)

    def __init__(self, in_channels: int, stages: int) -> None:
        layers: list[nn.Module] = []
        inputs = in_channels
        for stage in range(stages):
            width = self.WIDTHS[min(stage, len(self.WIDTHS) - 1)]
            layers += [nn.Sequential(*_unit(inputs, width, 2), *_unit(width, width))]
            inputs = width
        layers.append(nn.Sequential(*_unit(inputs, inputs), *_unit(inputs, inputs)))
        super().__init__(*layers)
        self.out_channels = inputs
        self.apply(vgg.initialise)


def _unit(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """Build a 3 x 3 convolution, batch normalisation and the paper's leaky ReLU (equation 2)."""
    return [
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    ]


def yolo_v1(
    num_classes: int = 20, in_channels: int = 3, side: int | tuple[int, int] = 224
) -> YoloV1:
    """Build YOLO on a few convolutions.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images; sets how often they are halved, and so the cells a side: 7 of 224, 8
        of 64 and of 128.
    """
    longest = side if isinstance(side, int) else max(side)
    stages = max(round(math.log2(longest / CELLS)), 1)
    backbone = Halved(in_channels, stages)
    model = YoloV1(backbone, backbone.out_channels, num_classes)
    model.cells = math.ceil(longest / 2**stages)
    return model
