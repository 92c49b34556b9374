"""RF-DETR of its own package: licences, labels, the outputs of COCO; most needs the extra."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import MissingExtraError, ParameterError, UnknownNameError
from sightline.models import registry
from sightline.models.detect import published, rf_detr

needs_package = pytest.mark.skipif(find_spec("rfdetr") is None, reason="the extra 'rfdetr'")
NAMES = published.coco_outputs()


def test_sizes_under_another_licence_are_refused_by_name():
    for size in ("xlarge", "2xlarge"):
        with pytest.raises(ParameterError, match=f"rfdetr:{size} is under the Platform Model"):
            registry.card(f"rfdetr:{size}")
    with pytest.raises(UnknownNameError, match="'nano'"):
        registry.card("rfdetr:nanno")
    card = registry.card("rfdetr:small")
    assert (card.side, str(card.task), card.rung) == (512, "detect", False)
    assert "Apache-2.0" in card.code
    assert registry.card("coco:rfdetr:nano").recipe["weights"] == "coco"


@pytest.mark.skipif(find_spec("rfdetr") is not None, reason="it is installed")
def test_without_the_package_its_extra_is_named():
    with pytest.raises(MissingExtraError, match=r"sightline\[rfdetr\]"):
        rf_detr.rf_detr(2)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return rf_detr.rf_detr(3)


@needs_package
def test_answers_are_the_packages_without_the_unused_output(network):
    from rfdetr.models import PostProcess

    x = torch.rand(2, 3, 384, 384)
    with torch.no_grad():
        network.eval().network.class_embed.bias.copy_(torch.tensor([1.0, 1, 1, 0]))
        mine, said = network(x), network.network(x)
    wanted = PostProcess(300)(said, torch.tensor([[384, 384]] * 2))
    for one, other in zip(mine, wanted, strict=True):
        rows = other["labels"] < 3
        assert not rows.all()
        torch.testing.assert_close(one["boxes"], other["boxes"][rows])
        torch.testing.assert_close(one["scores"], other["scores"][rows])
        assert one["labels"].max() <= 2


@needs_package
def test_losses_fall_where_a_step_follows_them(network):
    torch.manual_seed(0)
    network.train()
    x = torch.rand(1, 1, 384, 384)  # grey
    box = torch.tensor([[40.0, 60.0, 200.0, 180.0], [5.0, 5.0, 5.0, 50.0]])
    taught = [{"boxes": box, "labels": torch.tensor([1, 0])}]
    step = torch.optim.AdamW(network.parameters(), lr=1e-4)
    seen = []
    for _ in range(6):
        loss = sum(network(x, taught).values())
        step.zero_grad()
        loss.backward()
        step.step()
        seen.append(float(loss.detach()))
    assert np.isfinite(seen).all()
    assert seen[-1] < 0.9 * seen[0]
    with pytest.raises(ParameterError, match="one for each image"):
        network(x)


@needs_package
def test_coco_weights_come_by_class_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    torch.manual_seed(1)
    theirs = rf_detr.rf_detr(90).network.eval()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    given = {"model": theirs.state_dict(), "args": argparse.Namespace(lr=1e-4)}
    torch.save(given, folder / "rf-detr-nano.pth")
    ours = rf_detr.rf_detr(2).eval()
    brought = published.load_published("rfdetr:nano", ours, ("zebra", "person"))
    assert brought.fresh == ()
    assert "Apache-2.0" in brought.licence
    x = torch.rand(1, 3, 384, 384)
    with torch.no_grad():
        mine, other = ours.network(x), theirs(x)
    rows = [NAMES.index("zebra"), NAMES.index("person"), 0]
    encoded = ours.network.transformer.enc_out_class_embed[0].weight
    assert torch.equal(encoded, theirs.transformer.enc_out_class_embed[0].weight[rows])
    assert torch.equal(ours.network.class_embed.bias, theirs.class_embed.bias[rows])
    assert mine["pred_boxes"].shape == other["pred_boxes"].shape
    stranger = rf_detr.rf_detr(1)
    brought = published.load_published("rfdetr:nano", stranger, ("猫",))
    assert {k.rpartition(".")[0] for k in brought.fresh} == set(stranger.head_names)


@needs_package
def test_it_is_trained_and_asked_like_any(tmp_path):
    data = sightline.load_data("shapes:count=10,size=64")
    model = sightline.create_model("rfdetr:nano", data, epochs=0.5, batch_size=2, device="cpu")
    model.fit(data.train, data.val)
    images = [sample.image for sample in data.test]
    again = sightline.load_model(model.save(tmp_path / "run")).predict(images)
    for one, other in zip(model.predict(images), again, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
