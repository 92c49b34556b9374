"""SSD300 is torchvision's under one state dict; the other forms learn."""

from __future__ import annotations

import itertools

import pytest
import torch
from torchvision.models import vgg16, vgg16_bn
from torchvision.models.detection import ssd300_vgg16

from sightline.errors import ParameterError
from sightline.models.classify.efficientnet_lite import efficientnet_lite0
from sightline.models.detect import ssd, ssd_light
from sightline.models.detect.answers import Answering
from sightline.models.detect.ssd import TORCHVISION, Teaching
from sightline.models.head import heads_of

CLASSES = 5


def drawn(model):
    """A random state dict that keeps the signal's size through the layers."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for key, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            small = 0.2 if "regression" in key else 1.0  # boxes stay near their default boxes
            bound = small * (6 / tensor[0].numel()) ** 0.5
            state[key] = (torch.rand(tensor.shape, generator=random) * 2 - 1) * bound
        elif key.endswith("scale_weight"):
            state[key] = torch.rand(tensor.shape, generator=random) + 10
        else:
            state[key] = torch.randn(tensor.shape, generator=random) * 0.1
    return state


@pytest.fixture(scope="module")
def pair():
    with torch.device("meta"):
        theirs = ssd300_vgg16(
            weights=None, weights_backbone=None, num_classes=1 + CLASSES, image_std=[0.3] * 3
        )  # else pixels are of the order of 100, and every score is 0 or 1
        ours = ssd.ssd300(CLASSES, teaching=TORCHVISION)
    state = drawn(theirs)
    ours.load_state_dict(state, assign=True)
    theirs.load_state_dict(state, assign=True)
    return ours, theirs


def batch(sizes, objects, seed=0):
    """Images of some sizes with so many objects each, labels from 0."""
    random = torch.Generator().manual_seed(seed)
    images, targets = [], []
    for (h, w), n in zip(sizes, objects, strict=True):
        images.append(torch.rand(3, h, w, generator=random))
        corner = torch.rand(n, 2, generator=random) * 0.6
        side = 0.05 + torch.rand(n, 2, generator=random) * 0.35
        scale = torch.tensor([w, h, w, h])
        targets.append({
            "boxes": torch.cat((corner, corner + side), 1) * scale,
            "labels": torch.randint(CLASSES, (n,), generator=random),
        })  # fmt: skip
    return images, targets


def prepared(theirs, images, targets):
    """The batch as torchvision makes it: of 300 pixels, standardised; and its targets."""
    moved = [{"boxes": t["boxes"].clone(), "labels": t["labels"]} for t in targets]
    made, moved = theirs.transform([i.clone() for i in images], moved)
    return made.tensors, moved


def shifted(targets):
    return [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]


BATCHES = [
    pytest.param([(300, 300)], [3], id="one"),
    pytest.param([(120, 200), (300, 300), (64, 40)], [4, 0, 9], id="three, one without an object"),
]


@pytest.mark.parametrize(("sizes", "objects"), BATCHES)
def test_losses_equal_torchvisions(pair, sizes, objects):
    ours, theirs = pair
    images, targets = batch(sizes, objects)
    pixels, moved = prepared(theirs, images, targets)
    with torch.no_grad():
        own = ours.train()(pixels, moved)
        expected = theirs.train()(images, shifted(targets))
    assert own.keys() == expected.keys()
    for name, value in expected.items():
        assert value > 0
        assert own[name].item() == pytest.approx(value.item(), abs=1e-4, rel=1e-5)


@pytest.mark.parametrize(("sizes", "objects"), BATCHES)
def test_answers_equal_torchvisions(pair, sizes, objects):
    ours, theirs = pair
    images, targets = batch(sizes, objects, seed=1)
    pixels, _ = prepared(theirs, images, targets)
    with torch.no_grad():
        own, expected = ours.eval()(pixels), theirs.eval()(images)
    assert len(own) == len(sizes)
    for (h, w), mine, other in zip(sizes, own, expected, strict=True):
        assert len(other["scores"]) == 200
        back = mine["boxes"] * torch.tensor([w / 300, h / 300, w / 300, h / 300])
        assert torch.allclose(back, other["boxes"], atol=1e-4, rtol=1e-5)
        assert torch.allclose(mine["scores"], other["scores"], atol=1e-4)
        assert torch.equal(mine["labels"] + 1, other["labels"])


def test_only_images_without_an_object(pair):
    """There the loss is 0 in torchvision; ours, as it is for users, teaches background."""
    ours, theirs = pair
    images, targets = batch([(300, 300)], [0])
    pixels, moved = prepared(theirs, images, targets)
    with torch.no_grad():
        said = ours.outputs(pixels)
        expected = theirs.train()(images, shifted(targets))
        assert {k: v.item() for k, v in ours.losses(said, moved).items()} == {
            k: v.item() for k, v in expected.items()
        }
        ours.teaching = Teaching()
        taught = ours.losses(said, moved)
        ours.teaching = TORCHVISION
    assert taught["bbox_regression"].item() == 0
    assert taught["classification"].item() > 0.1


def test_a_vgg_fills_the_backbone_and_fc6_and_fc7_are_thinned():
    with torch.device("meta"):
        model, source = ssd.ssd300(CLASSES), vgg16(weights=None)
        normed, of_normed = ssd.ssd300_bn(CLASSES), vgg16_bn(weights=None)
    state = {key: torch.zeros(t.shape) for key, t in source.state_dict().items()}
    wide = torch.arange(4096 * 25088, dtype=torch.float32)
    state["classifier.0.weight"] = wide.view(4096, 25088)
    made = model.from_classifier(state)
    for mine, theirs in ((model, source), (normed, of_normed)):
        own = mine.state_dict()
        named = mine.from_classifier(theirs.state_dict())
        assert all(own[key].shape == tensor.shape for key, tensor in named.items())
        missing = {k for k in own if k.startswith(("backbone.features", "backbone.extra.0"))}
        assert {k for k in missing - named.keys() if not k.startswith("backbone.extra.0.")} == set()
    fc6 = made["backbone.extra.0.7.1.weight"]
    assert fc6.shape == (1024, 512, 3, 3)
    assert fc6[2, 5, 1, 2] == wide.view(4096, 512, 7, 7)[8, 5, 3, 6]
    assert set(made) == {
        key
        for key in model.state_dict()
        if key.startswith(("backbone.features", "backbone.extra.0"))
    }


def test_batch_norm_follows_every_convolution_of_the_maps():
    with torch.device("meta"):
        model = ssd.ssd300_bn(CLASSES)
    layers = [m for m in model.backbone.modules() if not list(m.children())]
    pairs = list(itertools.pairwise(layers))
    assert sum(isinstance(a, torch.nn.Conv2d) for a in layers) == 13 + 2 + 8
    assert all(
        isinstance(b, torch.nn.BatchNorm2d) for a, b in pairs if isinstance(a, torch.nn.Conv2d)
    )
    assert model.backbone.features(torch.zeros(1, 3, 300, 300, device="meta")).shape[2] == 38


@pytest.mark.parametrize("side", [32, 64, 96, 128, 224, 320])
@pytest.mark.parametrize("build", [ssd_light.ssd_small, ssd_light.ssdlite])
def test_forms_of_any_size(build, side):
    with torch.device("meta"):
        model = build(CLASSES, 3, side).eval()
    assert isinstance(heads_of(model)["head.classification_head"], ssd.Scores)
    maps = model.backbone(torch.zeros(2, 3, side, side, device="meta"))
    assert 1 <= len(maps) <= 6
    assert [m.shape[1] for m in maps] == list(model.backbone.out_channels)
    anchors = sum(
        m.shape[2] * m.shape[3] * n for m, n in zip(maps, model.boxes.counts, strict=True)
    )
    logits, deltas = model.head(maps)
    assert logits.shape == (2, anchors, 1 + CLASSES)
    assert deltas.shape == (2, anchors, 4)
    assert len(model.boxes([tuple(m.shape[2:]) for m in maps], (side, side))) == anchors


def test_every_default_box_answers_for_its_own_place():
    """A score that is raised at one place of one map becomes a box there."""
    model = ssd_light.ssd_small(2, 3, 64).eval()
    with torch.no_grad():
        said = model.outputs(torch.zeros(1, 3, 64, 64))
        chosen = 777
        said.logits.zero_()
        said.logits[..., 0] = 9
        said.logits[0, chosen, 2] = 20
        said.deltas.zero_()
        [answer] = model.answers(said)
    assert answer["labels"].tolist() == [1]
    assert torch.allclose(answer["boxes"][0], said.anchors[chosen].clamp(0, 64), atol=1e-4)


def test_published_backbone_fits_ssdlite():
    with torch.device("meta"):
        model, source = ssd_light.ssdlite(CLASSES), efficientnet_lite0()
    own = model.backbone.state_dict()
    shared = {k: v for k, v in source.state_dict().items() if k in own}
    assert {k for k in own if not k.startswith("extra.")} == set(shared)
    assert all(own[k].shape == v.shape for k, v in shared.items())


def scenes(n):
    """Images of one bright square each, label 0 or 1 by its colour; every other has none."""
    random = torch.Generator().manual_seed(0)
    images, targets = torch.randn(n, 3, 64, 64, generator=random) * 0.1, []
    for i in range(n):
        x, y = torch.randint(4, 36, (2,), generator=random).tolist()
        empty, label = i % 2, i // 2 % 2
        if not empty:
            images[i, label, y : y + 20, x : x + 24] += 2
        boxes = [] if empty else [[x, y, x + 24, y + 20]]
        targets.append({
            "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
            "labels": torch.tensor([] if empty else [label], dtype=torch.long),
        })  # fmt: skip
    return images, targets


def trained(steps=60):
    torch.manual_seed(0)
    model = ssd_light.ssd_small(2, 3, 64).train()
    images, targets = scenes(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()
    return model.eval(), images, targets


@pytest.fixture(scope="module")
def learned():
    return trained()


def test_half_of_the_images_without_an_object_and_it_learns_all(learned):
    """Label 0 is a class, and an image without an object is background."""
    model, images, targets = learned
    with torch.no_grad():
        answers = model(images)
    for target, answer in zip(targets, answers, strict=True):
        sure = answer["scores"] > 0.5
        assert answer["labels"][sure].tolist() == target["labels"].tolist()
        assert torch.allclose(answer["boxes"][sure], target["boxes"], atol=3)


def test_two_trainings_with_one_seed_have_equal_bits():
    once, again = (trained(2)[0].state_dict() for _ in "ab")
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_an_object_without_area_teaches_nothing(learned):
    model, images, targets = learned
    flat = [
        {
            "boxes": torch.cat((t["boxes"], torch.tensor([[5.0, 5, 5, 20], [0, 0, 0, 0]]))),
            "labels": torch.cat((t["labels"], torch.tensor([0, 1]))),
        }
        for t in targets
    ]
    with torch.no_grad():
        said = model.outputs(images)
        assert model.losses(said, flat) == model.losses(said, targets)


def test_blank_image_gives_an_empty_answer_and_a_batch_equals_its_images(learned):
    model, images, _ = learned
    model.answering = Answering(score=0.5)
    try:
        with torch.no_grad():
            [blank] = model(torch.zeros(1, 3, 64, 64))
            together = model(images)
            alone = [model(image[None])[0] for image in images]
    finally:
        model.answering = Answering()
    assert [blank[k].shape for k in ("boxes", "scores", "labels")] == [(0, 4), (0,), (0,)]
    for a, b in zip(together, alone, strict=True):
        for name in a:
            assert torch.allclose(a[name], b[name], atol=1e-4)


def test_most_answers_are_kept_to(learned):
    model, images, _ = learned
    model.answering = Answering(score=0.0, overlap=1.0, most=7)
    try:
        with torch.no_grad():
            assert {len(a["scores"]) for a in model(images[:2])} == {7}
    finally:
        model.answering = Answering()


def test_training_needs_a_target_for_each_image():
    model = ssd_light.ssd_small(2, 3, 32).train()
    with pytest.raises(ParameterError, match="2 images, none given"):
        model(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ParameterError, match="2 images, 1 given"):
        model(torch.zeros(2, 3, 32, 32), [{}])


class Candidates(torch.nn.Module):
    """What is exported of a detector, before suppression."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model.candidates(self.model.outputs(images))


@pytest.mark.parametrize("build", [ssd_light.ssd_small, ssd_light.ssdlite])
def test_the_network_exports_for_any_number_of_images(build):
    graph = Candidates(build(2, 3, 32)).eval()
    example = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(graph, (example,), dynamic_shapes=({0: torch.export.Dim("n")},))
    for images in (example[:1], example, torch.cat((example, example))):
        for own, exported in zip(graph(images), program.module()(images), strict=True):
            assert torch.allclose(own, exported, atol=1e-4)
