"""Losses of pixels equal torch's own, definitions written out, and figures known by hand."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, log_loss
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from sightline.errors import ParameterError
from sightline.models.segment import losses
from sightline.models.segment.losses import IGNORE

CLASSES = 4
LOSSES = {
    "cross-entropy": losses.cross_entropy,
    "weighted": lambda x, y: losses.cross_entropy(
        x, y, weight=torch.arange(1.0, CLASSES + 1), pixels=torch.ones(y.shape)
    ),
    "focal": losses.focal,
    "focal, flat": partial(losses.focal, gamma=0.5),
    "dice": losses.dice,
    "lovasz": losses.lovasz_softmax,
}
every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def batch():
    """Logits and labels of which a few do not count; class 3 is nowhere."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, CLASSES, 5, 7, generator=random) * 2
    labels = torch.randint(3, (2, 5, 7), generator=random)
    labels[torch.rand(labels.shape, generator=random) < 0.3] = IGNORE
    return logits, labels


def counted(logits, labels):
    """Probabilities and labels of the pixels that count, one after the other."""
    kept = labels != IGNORE
    return logits.double().softmax(1).permute(0, 2, 3, 1)[kept].numpy(), labels[kept].numpy()


# --- what all have in common -----------------------------------------------------------------


@every
def test_a_batch_where_no_pixel_counts_is_0_with_a_gradient(loss):
    logits = torch.randn(2, CLASSES, 3, 5, requires_grad=True)
    value = loss(logits, torch.full((2, 3, 5), IGNORE))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every
def test_what_is_said_of_ignored_pixels_changes_nothing(loss, batch):
    logits, labels = batch
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    value.backward()
    ignored = (labels == IGNORE)[:, None].expand_as(logits)
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()
    other = torch.where(ignored, torch.full_like(logits, 50.0).cumsum(1), logits)
    assert loss(other, labels).item() == value.item()


@every
def test_a_right_answer_is_0_and_a_wrong_one_more(loss):
    labels = torch.tensor([[[0, 1], [2, IGNORE]]])
    right = 40.0 * functional.one_hot(labels.clamp(max=2), CLASSES).permute(0, 3, 1, 2)
    assert loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    assert loss(right.roll(1, dims=1), labels).item() > 0.99


@every
def test_bytes_and_half_precision_are_taken(loss, batch):
    logits, labels = batch
    expected = loss(logits.bfloat16().float(), labels)
    value = loss(logits.bfloat16(), labels.to(torch.uint8))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@every
@pytest.mark.parametrize("label", [CLASSES, 254, -1])
def test_a_label_that_is_no_class_is_said(loss, label):
    labels = torch.zeros(1, 3, 3, dtype=torch.long)
    labels[0, :2, 0] = label
    message = rf"2 pixels have labels such as {label}, which is none of the {CLASSES} classes"
    with pytest.raises(ParameterError, match=message):
        loss(torch.zeros(1, CLASSES, 3, 3), labels)


@every
def test_a_mask_of_another_size_is_said(loss):
    with pytest.raises(ParameterError, match=r"\(1, 3, 3\), not \(1, 3, 4\)"):
        loss(torch.zeros(1, CLASSES, 3, 3), torch.zeros(1, 3, 4, dtype=torch.long))


def test_more_classes_than_labels_are_said():
    with pytest.raises(ParameterError, match="256 classes are too many"):
        losses.cross_entropy(torch.zeros(1, 256, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long))


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.focal])
def test_weights_of_other_classes_are_said(loss, batch):
    with pytest.raises(ParameterError, match="one number for each of the 4 classes"):
        loss(*batch, weight=torch.ones(3))


# --- cross-entropy and focal -----------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2, 3, 1])])
def test_cross_entropy_is_torchs(batch, weight):
    logits, labels = batch
    expected = functional.cross_entropy(logits, labels, weight, ignore_index=IGNORE)
    assert losses.cross_entropy(logits, labels, weight=weight).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_pixels_weigh_as_samples_do_in_sklearn(batch):
    logits, labels = batch
    weight, pixels = torch.tensor([0.5, 2, 3, 1]), torch.rand(labels.shape)
    p, t = counted(logits, labels)
    each = (weight[torch.tensor(t)] * pixels[labels != IGNORE]).numpy()
    expected = log_loss(t, p, sample_weight=each, labels=range(CLASSES))
    value = losses.cross_entropy(logits, labels, weight=weight, pixels=pixels)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_pixels_without_any_weight_are_0(batch):
    assert losses.cross_entropy(*batch, pixels=torch.zeros(batch[1].shape)).item() == 0


def test_focal_of_two_classes_is_torchvisions(batch):
    logits, labels = batch
    two, of_two = logits[:, :2], torch.where(labels == 2, 1, labels)
    kept = of_two != IGNORE
    expected = sigmoid_focal_loss(
        (two[:, 1] - two[:, 0])[kept], of_two[kept].float(), alpha=-1, gamma=2, reduction="mean"
    )
    assert losses.focal(two, of_two).item() == pytest.approx(expected.item(), rel=1e-5)


def test_focal_without_a_power_is_the_cross_entropy(batch):
    weight = torch.tensor([0.5, 2, 3, 1])
    value = losses.focal(*batch, gamma=0, weight=weight)
    assert value.item() == pytest.approx(losses.cross_entropy(*batch, weight=weight).item())


# --- Dice and Lovász -------------------------------------------------------------------------


def test_dice_written_out(batch):
    p, t = counted(*batch)
    expected = []
    for c in (0, 1, 2):  # class 3 is nowhere in the truth
        both = sum(p[i, c] for i in range(len(t)) if t[i] == c)
        expected.append(1 - 2 * both / (p[:, c].sum() + (t == c).sum()))
    assert losses.dice(*batch).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_dice_by_hand():
    logits = torch.log(torch.tensor([[[[0.75, 0.5]], [[0.25, 0.5]]]]))
    # class 0: 2 * 0.75 / (1.25 + 1); class 1: 2 * 0.5 / (0.75 + 1)
    expected = 1 - (1.5 / 2.25 + 1 / 1.75) / 2
    value = losses.dice(logits, torch.tensor([[[0, 1]]]))
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_lovasz_of_sure_answers_is_what_they_lose_of_iou():
    """At the corners of the cube the extension is the function itself."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (2, 6, 6), generator=random)
    said = torch.where(torch.rand(labels.shape, generator=random) < 0.6, labels, 1)
    logits = 60.0 * functional.one_hot(said, CLASSES).permute(0, 3, 1, 2)
    iou = jaccard_score(labels.flatten(), said.flatten(), average="macro", labels=[0, 1, 2])
    assert losses.lovasz_softmax(logits, labels).item() == pytest.approx(1 - iou, rel=1e-5)


def test_lovasz_by_its_definition_on_sets(batch):
    p, t = counted(*batch)
    expected = []
    for c in (0, 1, 2):
        errors, wrong, value, before = np.abs((t == c) - p[:, c]), set(), 0.0, 0.0
        truth = set(np.flatnonzero(t == c))
        for i in np.argsort(-errors):
            wrong.add(i)
            now = 1 - len(truth - wrong) / len(truth | wrong)
            value, before = value + errors[i] * (now - before), now
        expected.append(value)
    assert losses.lovasz_softmax(*batch).item() == pytest.approx(np.mean(expected), rel=1e-5)


# --- auxiliary heads -------------------------------------------------------------------------


def test_an_auxiliary_head_counts_half(batch):
    logits, labels = batch
    loss = partial(losses.cross_entropy, labels=labels)
    both = losses.with_auxiliary({"out": logits, "aux": 2 * logits}, loss)
    assert both.item() == pytest.approx(loss(logits).item() + 0.5 * loss(2 * logits).item())
    assert losses.with_auxiliary(logits, loss).item() == loss(logits).item()


# --- weights ---------------------------------------------------------------------------------


def test_median_frequencies_by_hand():
    counts = [[60, 40, 0, 0], [10, 0, 90, 0]]  # shares: 70 / 200, 40 / 100, 90 / 100
    weights = losses.class_weights(np.array(counts))
    np.testing.assert_allclose(weights, [0.4 / 0.35, 1, 0.4 / 0.9, 1], rtol=1e-6)
    np.testing.assert_allclose(losses.class_weights(np.array([75, 25])), [2 / 3, 2])
    assert losses.class_weights(np.zeros((2, 3), int)).tolist() == [1, 1, 1]
    with pytest.raises(ParameterError, match="negative"):
        losses.class_weights(np.array([3, -1]))


def brute(instances, w0=10.0, sigma=5.0):
    """Equation 2, pixel by pixel."""
    objects = [np.argwhere(instances == n) for n in np.unique(instances[instances != 0])]
    weights = np.ones(instances.shape)
    for place in itertools.product(*map(range, instances.shape)):
        if instances[place] == 0 and len(objects) > 1:
            d = sorted(np.sqrt(((o - place) ** 2).sum(1).min()) for o in objects)
            weights[place] += w0 * np.exp(-((d[0] + d[1]) ** 2) / (2 * sigma**2))
    return weights


def test_a_gap_of_one_pixel_by_hand():
    weights = losses.boundary_weights(np.array([[1, 0, 2, 2, 0]]))
    expected = [1, 1 + 10 * np.exp(-4 / 50), 1, 1, 1 + 10 * np.exp(-(5**2) / 50)]
    np.testing.assert_allclose(weights, [expected], rtol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_boundary_weights_by_brute_force(sigma):
    random = np.random.default_rng(0)
    instances = np.zeros((70, 90), np.uint16)
    for number in random.choice(60_000, 9, replace=False) + 1:  # numbers with gaps
        y, x = random.integers(0, (62, 82))
        instances[y : y + random.integers(1, 9), x : x + random.integers(1, 9)] = number
    weights = losses.boundary_weights(instances, sigma=sigma)
    np.testing.assert_allclose(weights, brute(instances, sigma=sigma), atol=2e-6)
    assert weights.dtype == np.float32
    assert weights.max() > 2


def test_fewer_than_two_objects_have_no_gap():
    base = np.array([[0.5, 2.0]])
    for instances in ([[0, 0]], [[7, 0]], [[7, 7]]):
        weights = losses.boundary_weights(np.array(instances), base=base)
        assert weights.tolist() == [[0.5, 2.0]]
    assert base.tolist() == [[0.5, 2.0]]


def test_objects_may_have_any_number():
    few = losses.boundary_weights(np.array([[1, 0, 2]]))
    assert np.array_equal(losses.boundary_weights(np.array([[2**40, 0, 3]])), few)
