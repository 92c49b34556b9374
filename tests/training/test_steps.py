"""The loop never looks inside a batch: other batches, steps and optimisers than a classifier's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sightline.errors import ParameterError
from sightline.models.head import heads_of
from sightline.training import checkpoint, schedule
from sightline.training.engine import Training, launch, used
from sightline.training.feed import steps_of
from sightline.training.optimizers import optimizer
from sightline.training.recipe import Recipe

KNOBS = Recipe(epochs=4, batch_size=16, lr=0.01, momentum=0.5, device="cpu")


class Points:
    """A feed whose batches are dictionaries of numbers: points of a ring, in a seeded order."""

    def __init__(self, recipe, n=96, seed=0):
        self.recipe, self.n, self.seed, self.waited = recipe, n, seed, 0.0
        angles = np.random.default_rng(7).uniform(0, 2 * np.pi, n)
        self.points = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    @property
    def steps(self):
        return steps_of(self.n, self.recipe.batch_size)

    digest = "points"

    def epoch(self, epoch, first=0):
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
        size = self.recipe.batch_size
        for step in range(first, self.steps):
            rows = order[step * size : (step + 1) * size]
            noise = np.random.default_rng([self.seed, epoch, step]).normal(size=(len(rows), 3))
            yield {
                "real": torch.from_numpy(self.points[rows]),
                "noise": torch.from_numpy(noise.astype(np.float32)),
            }

    def parts(self, batch, n):
        chunks = [value.chunk(n) for value in batch.values()]
        return [dict(zip(batch, part, strict=True)) for part in zip(*chunks, strict=True)]

    def size(self, batch):
        return len(batch["real"])


class Gan(nn.Module):
    """Two networks in one: what makes points, and what tells them from real ones."""

    def __init__(self):
        super().__init__()
        self.make = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        self.tell = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, noise):
        return self.make(noise)


def alternate(training, batch):
    """First the judge of points, then their maker: two optimisers, one step of each."""
    model, (maker, teller) = training.plain, training.optimizers
    bce = nn.functional.binary_cross_entropy_with_logits
    made = model.make(batch["noise"])
    right, wrong = model.tell(batch["real"]), model.tell(made.detach())
    loss = bce(right, torch.ones_like(right)) + bce(wrong, torch.zeros_like(wrong))
    teller.zero_grad()
    training.fabric.backward(loss)
    teller.step()
    fooled = model.tell(made)
    maker.zero_grad()
    training.fabric.backward(bce(fooled, torch.ones_like(fooled)))
    maker.step()
    return loss.detach()


def gan(folder=None, epochs=4, judges=None):
    torch.manual_seed(3)
    model = Gan()
    recipe = Recipe(epochs=epochs, batch_size=16, lr=0.01, device="cpu")
    two = [
        torch.optim.Adam(model.make.parameters(), lr=0.01),
        torch.optim.Adam(model.tell.parameters(), lr=0.02),
    ]
    return Training(
        launch(recipe), model, Points(recipe), recipe, lambda m, b: m(b["noise"]).mean(), judges,
        optimizers=two, step=alternate, folder=folder, higher_is_better=False,
    )  # fmt: skip


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_a_gan_steps_two_optimisers_as_a_loop_by_hand_does():
    training = gan()
    training.run()
    torch.manual_seed(3)
    model = Gan()
    maker = torch.optim.Adam(model.make.parameters(), lr=0.01)
    teller = torch.optim.Adam(model.tell.parameters(), lr=0.02)
    bce = nn.functional.binary_cross_entropy_with_logits
    feed, shares = Points(training.recipe), []
    for epoch in range(4):
        for batch in feed.epoch(epoch):
            shares.append(schedule.share(training.recipe, len(shares), 24))
            maker.param_groups[0]["lr"] = 0.01 * shares[-1]
            teller.param_groups[0]["lr"] = 0.02 * shares[-1]
            made = model.make(batch["noise"])
            right, wrong = model.tell(batch["real"]), model.tell(made.detach())
            ones = torch.ones(len(right), 1)
            teller.zero_grad()
            (bce(right, ones) + bce(wrong, 1 - ones)).backward()
            teller.step()
            maker.zero_grad()
            bce(model.tell(made), ones).backward()
            maker.step()
    for a, b in zip(training.plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_gan_that_was_killed_goes_on_with_the_same_bits(tmp_path):
    whole = gan()
    whole.run()
    first = gan(tmp_path)
    stop = 0

    def end(row):
        nonlocal stop
        stop += 1
        if stop == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(on_epoch=end)
    rest = gan(tmp_path)
    rest.resume()
    assert rest.step == 12
    rest.run()
    assert same(rest.plain.state_dict(), whole.plain.state_dict())
    facts = checkpoint.read(tmp_path / "checkpoints/last.safetensors")[1]
    assert len(facts["optimizers"]) == 2


def test_judges_are_named_and_the_first_one_is_watched():
    worse = iter([3.0, 1.0, 2.0, 4.0])
    judges = {
        "val": lambda model: {"distance": next(worse), "spread": 0.5},
        "train": lambda model: {"distance": 9.0, "loss": 7.0},
    }
    training = gan(judges=judges)
    outcome = training.run()
    row = outcome.history[1]
    assert (row["val_distance"], row["val_spread"], row["train_distance"]) == (1.0, 0.5, 9.0)
    assert row["train_loss"] != 7.0  # the loop's own
    assert training.best == -1.0  # the lowest, of the first judge
    assert training.since_best == 2


def test_parts_of_a_batch_that_is_no_tensor_add_up():
    states = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        recipe = Recipe(epochs=1, batch_size=32, lr=0.1, accumulate=parts, device="cpu")
        loss = lambda m, b: (m(b["real"]) ** 2).mean()  # noqa: E731
        Training(launch(recipe), model, Points(recipe), recipe, loss).run()
        states.append(model.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-5, atol=1e-7)


class TwoHeads(nn.Module):
    """As a detector: the last layer is the regression of boxes, which is not all of the head."""

    head_names = ("score", "boxes")

    def __init__(self):
        super().__init__()
        self.body, self.score, self.boxes = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 8)


def test_freezing_the_backbone_leaves_every_layer_of_the_head_to_learn():
    model = TwoHeads()
    optimizer(model, Recipe(freeze="backbone"))
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learning == {"score.weight", "score.bias", "boxes.weight", "boxes.bias"}
    model = TwoHeads()
    optimizer(model, Recipe(freeze="backbone"), head=["boxes"])
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        "boxes.weight", "boxes.bias",
    }  # fmt: skip


def test_the_stages_of_a_detector_are_those_of_the_network_it_stands_on():
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.stem = nn.Linear(2, 2, bias=False)
    model.backbone.blocks = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(2)))
    model.backbone.scale, model.extra = nn.Parameter(torch.ones(2)), nn.Linear(2, 2)
    head = ["extra", "backbone.scale"]
    groups = optimizer(model, Recipe(lr=1.0, layer_decay=0.5), head=head).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {n: rates[id(p)] for n, p in model.named_parameters()} == {
        "backbone.scale": 1.0, "backbone.stem.weight": 0.125, "backbone.blocks.0.weight": 0.25,
        "backbone.blocks.1.weight": 0.5, "extra.weight": 1.0, "extra.bias": 1.0,
    }  # fmt: skip


def test_a_network_that_does_not_say_its_head_is_not_guessed_at():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    assert heads_of(model) == {}
    optimizer(model, Recipe())  # nothing is treated apart: no head is needed
    for knobs in ({"freeze": "backbone"}, {"backbone_lr": 0.1}):
        with pytest.raises(ParameterError, match="does not say which layer is its head"):
            optimizer(model, Recipe(**knobs))
    model.head_names = ("nowhere",)
    with pytest.raises(ParameterError, match="its head is not there"):
        heads_of(model)


def test_what_a_training_was_computed_on_is_told_by_name(monkeypatch):
    fabric = launch(KNOBS)
    assert used(fabric, KNOBS) == {"device": "cpu", "devices": 1, "precision": "32-true"}

    class Cuda:
        device, world_size = torch.device("cuda", 1), 4

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert used(Cuda, Recipe(precision="bf16-mixed")) == {
        "device": "GPU 1", "devices": 4, "precision": "bf16-mixed",
    }  # fmt: skip
