from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.errors import DataError, ParameterError, RunError, TrainingError, UnknownNameError
from sightline.estimators.classify_network import ModuleClassifier, cross_entropy
from sightline.estimators.network import mean_and_std
from sightline.models import registry
from sightline.models.registry import ModelCard
from sightline.models.weights import PublishedWeights
from sightline.training import augment, checkpoint, recipe, schedule
from sightline.training.engine import Training, launch
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.optimizers import optimizer
from sightline.training.packed_feed import PackedFeed
from sightline.types import Task


class Small(nn.Module):
    """Two layers: enough to learn, quick enough for a test."""

    head_names = ("fc",)

    def __init__(self, num_classes=10, in_channels=1, side=(8, 8)):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8 * side[0] * side[1], num_classes)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


CARD = ModelCard(
    name="small", task=Task.CLASSIFY, entry=f"{__name__}:Small", summary="", paper="", chapter=7,
    kind="module", weights=("imagenet",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr("sightline.models.card.resolve", lambda entry: Small)
    monkeypatch.setattr("sightline.estimators.network.resolve", lambda entry: Small)


@pytest.fixture(scope="module")
def digits():
    data = sightline.load_data("digits")
    return (*data.train.arrays()[:2], *data.val.arrays()[:2])


def fitted(digits, seed=0, folder=None, resume=False, **knobs):
    X, y, X_val, y_val = digits
    knobs = {"epochs": 3, "lr": 0.05, "batch_size": 128, "device": "cpu"} | knobs
    model = ModuleClassifier(CARD, knobs, seed)
    return model.fit(X, y, X_val=X_val, y_val=y_val, folder=folder, resume=resume)


def state(model):
    return {k: v.clone() for k, v in model.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_and_says_what_happened(digits):
    model = fitted(digits, epochs=6)
    X_val, y_val = digits[2:]
    assert model.score(X_val, y_val) > 0.93
    assert [row["epoch"] for row in model.history_] == [1, 2, 3, 4, 5, 6]
    last = model.history_[-1]
    assert last["train_loss"] < model.history_[0]["train_loss"]
    assert last["val_accuracy"] == pytest.approx(model.score(X_val, y_val))
    assert 0 <= last["waited"] < 1
    validating = last["seconds"] - model.history_[-2]["seconds"]
    assert last["images_per_second"] >= len(digits[0]) / validating
    probabilities = model.predict_proba(X_val)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_one_epoch_equals_a_plain_pytorch_loop(digits):
    """SGD with Nesterov's momentum, weight decay on weights alone, a rate that rises and falls."""
    X, y, *_ = digits
    X, y = X[:256], y[:256]
    knobs = LabelledRecipe(
        epochs=2, batch_size=64, lr=0.1, smoothing=0.1, flip="none", device="cpu"
    )
    torch.manual_seed(3)
    ours, theirs = Small(), Small()
    theirs.load_state_dict(ours.state_dict())
    mean, std = mean_and_std(X)
    fabric = launch(knobs)
    feed = PackedFeed(X, y, mean, std, 10, knobs, fabric.device, 0)
    Training(fabric, ours, feed, knobs, lambda m, b: cross_entropy(m(b[0]), b[1])).run()
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    rest = [p for p in theirs.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": rest, "weight_decay": 0.0}]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    lossy = nn.CrossEntropyLoss(label_smoothing=0.1)
    step = 0
    for epoch in range(2):
        for rows in np.split(feed.order(epoch), 4):
            x = (torch.tensor(X[rows]).permute(0, 3, 1, 2) / 255 - mean[0]) / std[0]
            for group in sgd.param_groups:
                group["lr"] = 0.1 * schedule.share(knobs, step, 8)
            sgd.zero_grad()
            lossy(theirs(x.float()), torch.tensor(y[rows])).backward()
            sgd.step()
            step += 1
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_bits(digits):
    knobs = {"shift": 1, "flip": "random", "cutout": 2, "erase": 0.3, "mixup": 0.4, "cutmix": 1.0}
    assert same(state(fitted(digits, 5, **knobs)), state(fitted(digits, 5, **knobs)))
    assert not same(state(fitted(digits, 5, **knobs)), state(fitted(digits, 6, **knobs)))


def test_parts_of_a_batch_add_up(digits):
    class Plain(Small):
        def __init__(self, **more):
            super().__init__(**more)
            self.norm = nn.Identity()  # batch statistics would differ

    X, y, *_ = digits
    states = []
    for parts in (1, 4):
        knobs = LabelledRecipe(epochs=1, batch_size=128, lr=0.05, accumulate=parts, device="cpu")
        torch.manual_seed(0)
        model = Plain()
        fabric = launch(knobs)
        feed = PackedFeed(X[:512], y[:512], *mean_and_std(X), 10, knobs, fabric.device, 0)
        Training(fabric, model, feed, knobs, lambda m, b: cross_entropy(m(b[0]), b[1])).run()
        states.append(model.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-4, atol=1e-6)


def test_resuming_ends_with_the_same_bits(digits, tmp_path):
    whole = fitted(digits, epochs=4, folder=tmp_path / "a", ema=0.9)
    for epochs in (1, 3):
        place = tmp_path / f"b{epochs}"
        with pytest.raises(KeyboardInterrupt):
            interrupted(digits, place, epochs)
        model = fitted(digits, epochs=4, folder=place, resume=True, ema=0.9)
        assert same(state(model), state(whole))
        figures_of = [[r["val_accuracy"], r["train_loss"]] for r in model.history_]
        assert figures_of == [[r["val_accuracy"], r["train_loss"]] for r in whole.history_]


def interrupted(digits, folder, epochs):
    X, y, X_val, y_val = digits
    steps = -(-len(X) // 128)

    def stop(done, total):
        if done == epochs * steps + 2:
            raise KeyboardInterrupt

    knobs = {"epochs": 4, "lr": 0.05, "batch_size": 128, "device": "cpu", "ema": 0.9}
    model = ModuleClassifier(CARD, knobs, 0)
    model.fit(X, y, X_val=X_val, y_val=y_val, folder=folder, progress=stop)


def test_a_checkpoint_of_another_training_is_refused(digits, tmp_path):
    fitted(digits, epochs=1, folder=tmp_path)
    with pytest.raises(RunError, match="with seed 0, not 1"):
        fitted(digits, seed=1, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match=r"trained with lr 0\.05"):
        fitted(digits, lr=0.2, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="no checkpoint"):
        fitted(digits, folder=tmp_path / "none", resume=True)
    path = tmp_path / checkpoint.FOLDER / checkpoint.LAST
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(RunError, match="it differs from what was written"):
        fitted(digits, folder=tmp_path, resume=True)
    path.write_bytes(raw[:1000])
    with pytest.raises(RunError, match="damaged"):
        fitted(digits, folder=tmp_path, resume=True)


class Deeper(Small):
    def __init__(self, **more):
        super().__init__(**more)
        self.second = nn.Linear(10, 10)


def test_a_checkpoint_of_other_images_or_another_model_is_refused(digits, tmp_path, monkeypatch):
    fitted(digits, epochs=1, folder=tmp_path)
    X, y, *val = digits
    swapped = np.where(y == 0, 1, np.where(y == 1, 0, y))  # as many images, other classes
    with pytest.raises(RunError, match="other images"):
        fitted((X, swapped, *val), epochs=1, folder=tmp_path, resume=True)
    monkeypatch.setattr("sightline.estimators.network.resolve", lambda entry: Deeper)
    with pytest.raises(RunError, match="of another model: its state lacks"):
        fitted(digits, epochs=1, lr=0.2, folder=tmp_path, resume=True)


def test_a_full_disk_leaves_the_last_whole_state(tmp_path):
    """A real process that may write no file above a size, then one that may."""
    command = [
        sys.executable, "-m", "sightline", "train", "convnet", "digits", "--epochs", "2",
        "--device", "cpu", "-o", str(tmp_path / "r"),
    ]  # fmt: skip
    folder = tmp_path / "r" / checkpoint.FOLDER

    def begin(*more, most=resource.RLIM_INFINITY):
        return subprocess.run(
            [*command, *more], capture_output=True, text=True, check=False,
            env=os.environ | {"SIGHTLINE_HOME": str(tmp_path / "home")},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        )  # fmt: skip

    assert begin().returncode == 0
    last = folder / checkpoint.LAST
    whole = last.read_bytes()
    (tmp_path / "r" / "model.safetensors").unlink()
    full = begin(most=len(whole) // 2)  # enough for the best weights, not for the optimiser too
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1].startswith(f"sightline: cannot write {last}: ")
    assert last.read_bytes() == whole
    assert not list(folder.glob(".*"))
    assert begin("--resume").returncode == 0
    assert (tmp_path / "r" / "model.safetensors").exists()


def test_several_devices_are_started_by_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(TrainingError, match="torchrun --nproc-per-node 3 -m sightline"):
        launch(LabelledRecipe(device="cpu", devices=3))


def test_more_processes_than_cores_are_remarked(digits, monkeypatch):
    monkeypatch.setattr("sightline.metrics.threads.available", lambda: 0)
    assert fitted(digits, epochs=1).remarks[0].startswith("1 processes shared 0 cores")


def test_weights_of_another_network_are_refused():
    with pytest.raises(RunError, match=r"of another model: its state lacks conv\.bias"):
        checkpoint.load_into(Small(), {}, "x")
    wide = Small(num_classes=3).state_dict()
    with pytest.raises(RunError, match=r"fc\.(weight|bias) of shape"):
        checkpoint.load_into(Small(), wide, "x")


def test_an_exploding_loss_stops_and_names_the_step(digits):
    with pytest.raises(TrainingError, match=r"not finite at step \d+ \(epoch 1\); try lr="):
        fitted(digits, lr=1e30, warmup=0.0)


def test_after_a_good_epoch_its_weights_are_kept(digits, monkeypatch):
    calls = {"n": 0}
    honest = cross_entropy

    def broken(output, target, weights=None):
        calls["n"] += 1
        return honest(output, target, weights) * (float("nan") if calls["n"] > 25 else 1)

    monkeypatch.setattr("sightline.estimators.classify_network.cross_entropy", broken)
    model = fitted(digits, epochs=5)
    assert len(model.history_) == 2
    assert "not finite at step 26 (epoch 3)" in model.remarks[0]
    assert "epoch 3 is lost" in model.remarks[0]
    best = max(row["val_accuracy"] for row in model.history_)
    assert model.score(*digits[2:]) == pytest.approx(best)


def test_early_stopping_keeps_the_best(digits):
    model = fitted(digits, epochs=40, lr=0.3, patience=2, schedule="constant")
    assert len(model.history_) < 40
    best = max(row["val_accuracy"] for row in model.history_)
    assert model.score(*digits[2:]) == pytest.approx(best)
    assert "no better validation for 2 epochs" in model.remarks[0]


def test_a_budget_sets_the_epochs(digits):
    X, y, *_ = digits
    model = ModuleClassifier(CARD, {"epochs": 1000, "device": "cpu"})
    start = time.perf_counter()
    model.fit(X, y, budget=2.0)
    assert model.decided["epochs"] != 1000
    assert time.perf_counter() - start < 20
    # What the pilots did has left no trace: the same epochs without a budget, the same bits.
    # Where the second plan came to the same number, there is no first one to name.
    assert model.decided.get("first_epochs") != model.decided["epochs"]
    again = ModuleClassifier(CARD, {"device": "cpu"} | model.decided).fit(X, y)
    assert same(state(model), state(again))


def test_a_budgets_pilot_steps_as_training_does(digits):
    X, y, *_ = digits
    knobs = LabelledRecipe(epochs=1, device="cpu")
    fabric, model, modes = launch(knobs), Small(), []
    feed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, fabric.device, 0)

    def loss(net, batch):
        modes.append(model.training)
        return cross_entropy(net(batch[0]), batch[1])

    def judge(net):
        net.eval()
        return {"accuracy": 0.0}

    Training(fabric, model, feed, knobs, loss, {"val": judge}).fit_to(5.0)
    assert modes
    assert all(modes)


def test_freezing_leaves_the_backbone_as_it_is(digits):
    torch.manual_seed(0)
    model = Small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    knobs = LabelledRecipe(epochs=1, freeze="backbone", device="cpu")
    X, y, *_ = digits
    fabric = launch(knobs)
    feed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, fabric.device, 0)
    Training(fabric, model, feed, knobs, lambda m, b: cross_entropy(m(b[0]), b[1])).run()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"fc.weight", "fc.bias"}


def test_learning_rates_by_group():
    model = Small()
    knobs = LabelledRecipe(lr=0.1, bias_lr=4, backbone_lr=0.5, weight_decay=0.01)
    rates = {}
    for group in optimizer(model, knobs).param_groups:
        for p in group["params"]:
            name = next(n for n, q in model.named_parameters() if q is p)
            rates[name] = (group["lr"], group["weight_decay"])
    assert rates == {
        "conv.weight": (0.05, 0.01), "conv.bias": (0.05, 0.0), "norm.weight": (0.2, 0.0),
        "norm.bias": (0.2, 0.0), "fc.weight": (0.1, 0.01), "fc.bias": (0.1, 0.0),
    }  # fmt: skip


def test_soft_targets_equal_torchs_cross_entropy():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 5, generator=random)
    hard = torch.randint(5, (7,), generator=random)
    target = nn.functional.one_hot(hard, 5).float()
    torch.testing.assert_close(
        cross_entropy(logits, target), nn.functional.cross_entropy(logits, hard)
    )
    both = cross_entropy((logits, 2 * logits, None), target)
    expected = nn.functional.cross_entropy(logits, hard) + 0.3 * nn.functional.cross_entropy(
        2 * logits, hard
    )
    torch.testing.assert_close(both, expected)


def test_class_weights_and_sampling_even_out_the_classes(digits):
    X, y, *_ = digits
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:6]])
    knobs = LabelledRecipe(balance="weights", device="cpu")
    feed = PackedFeed(X[rare], y[rare], *mean_and_std(X), 2, knobs, torch.device("cpu"), 0)
    weights = feed.class_weights().numpy()
    assert (weights * feed.counts).tolist() == pytest.approx([len(rare) / 2] * 2)
    sampled = PackedFeed(
        X[rare],
        y[rare],
        *mean_and_std(X),
        2,
        LabelledRecipe(balance="sampling"),
        torch.device("cpu"),
        0,
    )
    drawn = np.concatenate([y[rare][sampled.order(epoch)] for epoch in range(20)])
    assert 0.4 < (drawn == 1).mean() < 0.6


def test_processes_share_every_batch(digits):
    X, y, *_ = digits
    knobs = LabelledRecipe(batch_size=64, device="cpu")
    whole = PackedFeed(X, y, *mean_and_std(X), 10, knobs, torch.device("cpu"), 3)
    parts = [
        PackedFeed(X, y, *mean_and_std(X), 10, knobs, torch.device("cpu"), 3, r, 2) for r in (0, 1)
    ]
    for (x, _), (a, _), (b, _) in zip(whole.epoch(1), *(p.epoch(1) for p in parts), strict=True):
        torch.testing.assert_close(x[0::2], a)
        torch.testing.assert_close(x[1::2], b)


def test_a_set_too_large_for_the_device_gives_the_same_batches(digits, monkeypatch):
    X, y, *_ = digits
    knobs = LabelledRecipe(batch_size=64, shift=1, flip="alternate", device="cpu")
    resident = PackedFeed(X, y, *mean_and_std(X), 10, knobs, torch.device("cpu"), 3)
    monkeypatch.setattr("sightline.training.packed_feed.RESIDENT", 10)
    streamed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, torch.device("cpu"), 3)
    assert not isinstance(streamed.images, torch.Tensor)
    for (a, _), (b, _) in zip(resident.epoch(0), streamed.epoch(0), strict=True):
        assert torch.equal(a, b)


def test_alternating_flips_show_both_sides_in_two_epochs(digits):
    X, y, *_ = digits
    knobs = LabelledRecipe(flip="alternate", device="cpu")
    feed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, torch.device("cpu"), 0)
    rows = np.arange(50)
    first, second = (feed._mirrored(rows, epoch, None) for epoch in (0, 1))
    assert (first ^ second).all()
    assert 10 < first.sum() < 40


def test_a_shift_moves_whole_images_and_reflects_the_edge():
    x = torch.arange(16.0).view(1, 1, 4, 4).repeat(64, 1, 1, 1)
    out = augment.shifted(x, 1, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(x[:1], (1,) * 4, "reflect")
    windows = {
        tuple(padded[0, 0, i : i + 4, j : j + 4].flatten().tolist())
        for i in range(3)
        for j in range(3)
    }
    found = {tuple(image.flatten().tolist()) for image in out}
    assert found <= windows
    assert len(found) > 5


def test_cut_out_greys_a_square_and_erasing_some_images():
    x = torch.ones(200, 3, 16, 16)
    cut = augment.cut_out(x, 6, torch.Generator().manual_seed(0))
    holes = (cut[:, 0] == 0).sum((1, 2))
    assert holes.max() == 36
    assert (holes > 0).all()
    assert torch.equal(cut[:, 0], cut[:, 2])
    gone = (augment.erased(x, 0.25, torch.Generator().manual_seed(0))[:, 0] == 0).sum((1, 2))
    assert 0.15 < (gone > 0).float().mean() < 0.35
    assert gone.max() <= 0.34 * 256 + 16


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_and_targets_are_mixed_in_the_same_share(kind):
    x = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    target = torch.eye(2)
    for seed in range(20):
        mixed, wanted = augment.mixed(
            x, target, LabelledRecipe(**{kind: 1.0}), torch.Generator().manual_seed(seed)
        )
        torch.testing.assert_close(mixed.mean((1, 2, 3)), wanted[:, 1])
        torch.testing.assert_close(wanted.sum(1), torch.ones(2))


def test_schedules_by_hand():
    line = [schedule.share(LabelledRecipe(warmup=0.5), step, 4) for step in range(4)]
    assert line == [0.5, 1.0, 0.75, 0.25]
    flat = [schedule.share(LabelledRecipe(schedule="constant", warmup=0), s, 3) for s in range(3)]
    assert flat == [1, 1, 1]
    cosine = LabelledRecipe(schedule="cosine", warmup=0, final_lr=0.2)
    assert schedule.share(cosine, 1, 3) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        ({"epochs": 0}, ParameterError), ({"lr": -1}, ParameterError),
        ({"smoothing": 1.5}, ParameterError), ({"mixup": -1}, ParameterError),
        ({"batch_size": 2, "accumulate": 3}, ParameterError), ({"epoch": 3}, UnknownNameError),
    ],
)  # fmt: skip
def test_knobs_that_cannot_be(knobs, error):
    with pytest.raises(error):
        ModuleClassifier(CARD, knobs)


def test_a_recipe_file(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('epochs = 3\noptimizer = "adamw"\n')
    assert recipe.read(path) == {"epochs": 3, "optimizer": "adamw"}
    path.write_text("epoch = 3\n")
    with pytest.raises(UnknownNameError, match="did you mean 'epochs'"):
        recipe.read(path)
    path.write_text("epochs = ")
    with pytest.raises(ParameterError, match="not TOML"):
        recipe.read(path)
    with pytest.raises(ParameterError, match="cannot read"):
        recipe.read(tmp_path / "none.toml")


def test_recipes_that_come_with_the_package():
    assert recipe.shipped() == ["speedrun"]
    settings = recipe.read("speedrun", LabelledRecipe)
    assert LabelledRecipe(**settings).compile
    with pytest.raises(
        UnknownNameError, match="unknown recipe 'speedrum'; did you mean 'speedrun'"
    ):
        recipe.read("speedrum")


def test_a_task_offers_its_own_knobs_alone():
    theirs = {f.name for f in dataclasses.fields(recipe.Recipe)}
    assert theirs.isdisjoint({"smoothing", "mixup", "cutmix", "tta", "balance", "flip", "stream"})
    assert {f.name for f in dataclasses.fields(LabelledRecipe)} > theirs
    with pytest.raises(UnknownNameError, match="mixup"):
        recipe.check({"mixup": 1.0}, recipe.Recipe)


def test_speedrun_is_the_published_recipe():
    """The published figures are for a summed loss, decoupled from momentum and batch."""
    lr, momentum, decay, batch = 11.5, 0.85, 0.0153, 1024
    scale = 1024 * (1 + 1 / (1 - momentum))
    ours = LabelledRecipe(**recipe.read("speedrun", LabelledRecipe))
    assert (ours.batch_size, ours.momentum) == (batch, momentum)
    assert ours.lr == pytest.approx(lr / scale * batch, rel=1e-3)
    assert ours.weight_decay == pytest.approx(decay * batch / scale / ours.lr, rel=1e-3)


def test_images_that_are_no_bytes(digits):
    with pytest.raises(DataError, match="scale=none"):
        ModuleClassifier(CARD, {}).fit(digits[0].astype(np.float32), digits[1])


def test_a_device_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(TrainingError, match="cannot train on 1 x cuda"):
        launch(LabelledRecipe(device="cuda"))


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """A real process, killed at a moment of its own choosing, and begun again."""
    command = [
        sys.executable, "-m", "sightline", "train", "convnet", "digits", "--epochs", "6", "--seed",
        "1", "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"SIGHTLINE_HOME": str(tmp_path / "home")}

    def begin(folder, *more):
        return subprocess.Popen(
            [*command, "-o", str(folder), *more], env=environment, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    whole = begin(tmp_path / "whole")
    _, err = whole.communicate(timeout=120)
    assert whole.returncode == 0, err
    cut = begin(tmp_path / "cut")
    last = tmp_path / "cut" / checkpoint.FOLDER / checkpoint.LAST
    while not last.exists():
        assert cut.poll() is None, cut.stderr.read()
        time.sleep(0.005)
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    again = begin(tmp_path / "cut", "--resume")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    a, b = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "cut"))
    assert a == b
    history = [
        [json.loads(line)["train_loss"] for line in (tmp_path / n / "history.jsonl").open()]
        for n in ("whole", "cut")
    ]
    assert history[0] == history[1]
    assert len(history[0]) == 6


def test_few_and_tiny_images_get_more_and_gentler_steps():
    card = dataclasses.replace(CARD, recipe={"epochs": 5.0, "batch_size": 128, "shift": 2})
    few = ModuleClassifier(card, {}).suited(8, 1257)
    assert (few.batch_size, few.shift) == (31, 1)
    assert few.epochs * -(-1257 // 31) >= 1000
    many = ModuleClassifier(card, {}).suited(32, 50_000)
    assert (many.batch_size, many.shift, many.epochs) == (128, 2, 5)
    given = ModuleClassifier(card, {"epochs": 1, "batch_size": 64, "shift": 4}).suited(8, 100)
    assert (given.batch_size, given.shift, given.epochs) == (64, 4, 1)


class Asymmetric(nn.Module):
    """Logits that change under every shift and mirroring."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x.flatten(1)) ** 2


@pytest.mark.parametrize("tta", ["none", "flip", "multi-crop"])
def test_views_by_hand(digits, tta):
    """Mean of the views, each written out as rows and columns of the image."""
    X = digits[2][:5]
    model = fitted(digits, epochs=1, tta=tta)
    torch.manual_seed(0)
    model.model = Asymmetric()
    x = ((X[:, :, :, 0] / 255 - model.mean_[0]) / model.std_[0]).astype(np.float32)
    up_left, down_right = [1, 0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 6]  # edge reflected
    crops = {
        "none": [(1, x)],
        "flip": [(1 / 2, x), (1 / 2, x[:, :, ::-1])],
        "multi-crop": [
            (weight, side)
            for share, view in [
                (1 / 2, x), (1 / 4, x[:, up_left][:, :, up_left]),
                (1 / 4, x[:, down_right][:, :, down_right]),
            ]
            for weight, side in [(share / 2, view), (share / 2, view[:, :, ::-1])]
        ],
    }[tta]  # fmt: skip
    t = float(model.temperature_)
    assert t != 1
    with torch.no_grad():
        answers = (w * (model.model(torch.tensor(v.copy())) / t).softmax(1) for w, v in crops)
        expected = sum(answers).numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-4, atol=1e-6)


def test_published_weights_bring_their_figures(digits, monkeypatch):
    brought = PublishedWeights(
        name="X", url="u", mean=(0.4,), std=(0.2,), resize=8, crop=8, interpolation="bilinear",
        categories=("a",), metrics={}, recipe="r", licence="l", fresh=(),
    )  # fmt: skip
    monkeypatch.setattr("sightline.models.weights.load_published", lambda name, model, n: brought)
    model = fitted(digits, epochs=1, weights="imagenet")
    assert model.mean_.tolist() == pytest.approx([0.4])
    assert model.published["licence"] == "l"


def clocked(digits, monkeypatch, epochs, slow_down=1.0):
    """A training of ten steps an epoch, whose steps take a second of the test's own clock.

    The first five, which are the pilot's, take `slow_down` of them.
    """
    now, calls = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    X, y, *_ = digits
    knobs = LabelledRecipe(epochs=epochs, batch_size=len(X) // 10, device="cpu")
    fabric = launch(knobs)
    feed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, fabric.device, 0)

    def step(training, batch):
        now[0] += 1.0 if training.step or len(calls) > 4 else slow_down
        calls.append(training.planned)
        return torch.zeros(())

    training = Training(
        fabric, Small(), feed, knobs, lambda m, b: cross_entropy(m(b[0]), b[1]), step=step
    )  # fmt: skip
    return training, now


@pytest.mark.parametrize("slow_down", [1.0, 3.0])
def test_a_budget_is_used_though_the_pilot_was_wrong(digits, monkeypatch, slow_down):
    training, now = clocked(digits, monkeypatch, 1000, slow_down)
    training.fit_to(200.0)
    training.run()
    assert 0.95 * 200 <= now[0] <= 200
    assert training.recipe.epochs != training.recipe.first_epochs or slow_down == 1


@pytest.mark.parametrize(("stretch", "budget", "epochs"), [(1, 500, 2), (3, 500, 6), (3, 45, 3.8)])
def test_a_budget_may_stretch_the_epochs(digits, monkeypatch, stretch, budget, epochs):
    """Ten seconds an epoch: 500 seconds are enough for any, 45 for about four after the pilot."""
    training, _ = clocked(digits, monkeypatch, 2)
    training.fit_to(budget, stretch)
    training.run()
    assert training.recipe.epochs == pytest.approx(epochs, abs=0.3)


@pytest.mark.parametrize(("images", "accumulate"), [(17, 1), (21, 4), (33, 3), (2, 1)])
def test_no_batch_or_part_is_a_single_image(digits, images, accumulate):
    """Batch normalisation refuses one: a last batch of one waits for the next epoch."""
    X = digits[0]
    knobs = {"epochs": 2, "batch_size": 16, "accumulate": accumulate, "device": "cpu"}
    model = ModuleClassifier(registry.card("convnet"), knobs).fit(X[:images], np.arange(images) % 2)
    assert np.isfinite(model.history_[-1]["train_loss"])


def test_one_image_is_refused(digits):
    X, y = digits[:2]
    with pytest.raises(DataError, match="at least 2 images"):
        ModuleClassifier(CARD, {"epochs": 1}).fit(X[:1], y[:1])


class Staged(nn.Module):
    """Six stages before its head: a stem, its normalisation, three blocks, and a last layer."""

    head_names = ("fc",)

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.blocks = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(3)))
        self.last, self.fc = nn.Conv2d(4, 6, 1), nn.Linear(6, 10)

    def forward(self, x):
        return self.fc(self.last(self.blocks(self.norm(self.stem(x)))).mean((2, 3)))


def test_each_stage_learns_more_slowly_than_the_one_behind_it():
    model = Staged()
    rates = {}
    for group in optimizer(model, LabelledRecipe(lr=1.0, layer_decay=0.5)).param_groups:
        for p in group["params"]:
            rates[next(n for n, q in model.named_parameters() if q is p)] = group["lr"]
    of = {n.removesuffix(".weight"): lr for n, lr in rates.items() if n.endswith("weight")}
    assert of == {
        "fc": 1, "last": 1 / 2, "blocks.2": 1 / 4, "blocks.1": 1 / 8, "blocks.0": 1 / 16,
        "norm": 1 / 32, "stem": 1 / 64,
    }  # fmt: skip


def test_the_first_third_of_the_stages_stays_with_its_normalisations(digits):
    torch.manual_seed(0)
    model = Staged()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    knobs = LabelledRecipe(epochs=1, freeze="early", device="cpu")
    X, y, *_ = digits
    fabric = launch(knobs)
    feed = PackedFeed(X, y, *mean_and_std(X), 10, knobs, fabric.device, 0)
    Training(fabric, model, feed, knobs, lambda m, b: cross_entropy(m(b[0]), b[1])).run()
    same = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert {k.rpartition(".")[0] for k in same} == {"stem", "norm"}
    assert {k for k in same if "running" in k} == {"norm.running_mean", "norm.running_var"}
