"""No image in two splits, none lost, classes in proportion, groups whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data import splits
from sightline.errors import DataError, ParameterError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
labels_of = st.lists(st.integers(-1, 6), min_size=30, max_size=300)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def shares_of(draw):
    parts = draw(st.lists(st.integers(1, 20), min_size=2, max_size=4))
    return {f"part{i}": p / sum(parts) for i, p in enumerate(parts)}


def made(labels, shares, seed, groups=None):
    """Splits of rows that are no plain count from 0; None when there are too few images."""
    rows = np.arange(len(labels)) * 3 + 7
    try:
        return rows, splits.make(rows, np.array(labels, np.int64), shares, seed, groups)
    except DataError:
        return rows, None


@given(labels_of, shares_of(), seeds)
@settings(max_examples=150, deadline=None)
def test_every_image_is_in_one_split(labels, shares, seed):
    rows, parts = made(labels, shares, seed)
    if parts is None:
        return
    assert list(parts) == list(shares)
    assert sorted(np.concatenate(list(parts.values()))) == list(rows)
    assert all((np.diff(part) > 0).all() for part in parts.values())


@given(labels_of, shares_of(), seeds)
@settings(max_examples=150, deadline=None)
def test_each_class_is_shared_within_one_image(labels, shares, seed):
    rows, parts = made(labels, shares, seed)
    if parts is None:
        return
    label_of = dict(zip(rows.tolist(), labels, strict=True))
    for label in set(labels):
        n = labels.count(label)
        for name, part in parts.items():
            held = sum(label_of[r] == label for r in part.tolist())
            assert abs(held - n * shares[name]) < 1 + 1e-6
        first = next(iter(parts))
        assert any(label_of[r] == label for r in parts[first].tolist())


@given(labels_of, seeds)
@settings(max_examples=50, deadline=None)
def test_a_seed_always_gives_the_same_splits(labels, seed):
    _, one = made(labels, SHARES, seed)
    _, other = made(labels, SHARES, seed)
    assert (one is None) == (other is None)
    if one is not None:
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_seeds_give_other_splits():
    labels = np.arange(200) % 4
    found = [splits.make(np.arange(200), labels, SHARES, seed)["test"] for seed in range(5)]
    assert len({part.tobytes() for part in found}) == 5


def test_a_global_seed_has_no_say():
    labels = np.arange(60) % 3
    found = []
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002 - that it is not used is the point
        found.append(splits.make(np.arange(60), labels, SHARES, 5)["test"].tolist())
    assert found[0] == found[1]


def test_every_image_may_come_into_the_test():
    labels = np.arange(40) % 2
    seen = {
        int(r) for s in range(80) for r in splits.make(np.arange(40), labels, SHARES, s)["test"]
    }
    assert seen == set(range(40))


@pytest.mark.parametrize(
    "shares",
    [{"a": 0.5, "b": 0.6}, {"a": 0.5, "b": 0.4}, {"a": 1.2, "b": -0.2}, {"a": 1.0, "b": 0.0}],
)
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ParameterError, match="positive and add up to 1"):
        splits.make(np.arange(10), np.zeros(10, np.int64), shares, 0)


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match=r"too few images \(2 images\) for a split '(val|test)'"):
        splits.make(np.arange(2), np.zeros(2, np.int64), SHARES, 0)


# --- groups --------------------------------------------------------------------------------

grouped = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 25).map(str))),
    min_size=20,
    max_size=200,
)


@given(grouped, shares_of(), seeds)
@settings(max_examples=150, deadline=None)
def test_groups_are_never_parted(pairs, shares, seed):
    labels, groups = [p[0] for p in pairs], [p[1] for p in pairs]
    rows, parts = made(labels, shares, seed, groups)
    units = len({g for g in groups if g is not None}) + groups.count(None)
    if parts is None:
        assert units < len(shares)
        return
    assert sorted(np.concatenate(list(parts.values()))) == list(rows)
    where = {}
    for name, part in parts.items():
        for row in part.tolist():
            group = groups[(row - 7) // 3]
            if group is not None:
                assert where.setdefault(group, name) == name


@given(seeds, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_shares_hold_within_the_smallest_groups(seed, classes):
    """Ten big groups and many single images: the small ones can fill every gap."""
    rng = np.random.default_rng(seed)
    groups = [f"g{i}" for i in range(10) for _ in range(int(rng.integers(2, 40)))] + [None] * 150
    labels = rng.integers(0, classes, len(groups))
    _, parts = made(labels, SHARES, seed, groups)
    for name, share in SHARES.items():
        assert len(parts[name]) / len(groups) == pytest.approx(share, abs=0.05)


def test_one_large_group_goes_to_the_largest_split():
    groups = ["video"] * 60 + ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10
    for seed in range(20):
        parts = splits.make(np.arange(100), np.zeros(100, np.int64), SHARES, seed, groups)
        assert set(range(60)) <= set(parts["train"].tolist())


def test_just_enough_groups_fill_every_split():
    groups = ["a"] * 40 + ["b"] * 30 + ["c"] * 30
    parts = splits.make(np.arange(100), np.zeros(100, np.int64), SHARES, 0, groups)
    assert sorted(len(p) for p in parts.values()) == [30, 30, 40]


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match="too few groups"):
        splits.make(np.arange(60), np.zeros(60, np.int64), SHARES, 0, ["a"] * 30 + ["b"] * 30)


# --- folds -----------------------------------------------------------------------------------


@given(labels_of, st.integers(2, 10), seeds)
@settings(max_examples=150, deadline=None)
def test_folds_partition(labels, k, seed):
    rows = np.arange(len(labels)) * 3 + 7
    found = splits.folds(rows, np.array(labels), k, seed)
    assert len(found) == k
    assert sorted(np.concatenate([held for _, held in found])) == list(rows)
    for train, held in found:
        assert sorted(np.concatenate([train, held])) == list(rows)
    sizes = [len(held) for _, held in found]
    assert max(sizes) - min(sizes) <= 1
    for label in set(labels):
        counts = [sum(labels[(r - 7) // 3] == label for r in held.tolist()) for _, held in found]
        assert max(counts) - min(counts) <= 1


def test_folds_of_classes_of_one_image_are_not_empty():
    found = splits.folds(np.arange(5), np.arange(5), 5, 0)
    assert [len(held) for _, held in found] == [1] * 5


def test_folds_are_seeded():
    labels = np.arange(40) % 2
    held = [splits.folds(np.arange(40), labels, 4, s)[0][1].tolist() for s in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


@given(st.lists(st.integers(0, 12), min_size=20, max_size=80), st.integers(2, 6), seeds)
@settings(max_examples=100, deadline=None)
def test_folds_keep_groups_whole(groups, k, seed):
    names = [f"g{g}" for g in groups]
    rows = np.arange(len(names))
    if len(set(names)) < k:
        with pytest.raises(DataError, match="too few groups"):
            splits.folds(rows, rows * 0, k, seed, names)
        return
    found = splits.folds(rows, rows * 0, k, seed, names)
    assert sorted(np.concatenate([held for _, held in found])) == list(rows)
    for train, held in found:
        assert len(held)
        assert not {names[r] for r in train} & {names[r] for r in held}


@pytest.mark.parametrize("k", [-1, 0, 1, 11])
def test_impossible_numbers_of_folds_are_refused(k):
    with pytest.raises(ParameterError, match="between 2 and the 10 images"):
        splits.folds(np.arange(10), np.zeros(10, np.int64), k, 0)


# --- rules of groups ---------------------------------------------------------------------------

IDS = ["p1/left/a.png", "p1/left/b.png", "p2/right/a.png", "loose.png"]


def test_group_by_folder():
    assert splits.group_of(IDS, "folder") == ["p1/left", "p1/left", "p2/right", None]


def test_group_by_the_first_group_of_an_expression():
    assert splits.group_of(IDS, r"(p\d+)/") == ["p1", "p1", "p2", None]


def test_group_by_the_whole_match():
    assert splits.group_of(IDS, r"left|right") == ["left", "left", "right", None]


def test_expression_may_hold_a_colon():
    assert splits.group_of(["a:1.png", "b:2.png"], r"\w:") == ["a:", "b:"]


@pytest.fixture
def csv(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "who.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_group_by_column(csv):
    path = csv("file,age,patient\np1/left/a.png,3,Ann\nb.png,4,Ann\np2/right/a.png,5,Bo\n")
    assert splits.group_of(IDS, f"{path}:patient") == ["Ann", "Ann", "Bo", None]


def test_group_by_column_of_a_spreadsheets_export(csv):
    path = csv("file,patient\nloose.png,Ünal\n", "utf-8-sig")
    assert splits.group_of(IDS, f"{path}:patient") == [None, None, None, "Ünal"]


def test_short_lines_have_no_group(csv):
    path = csv("file,patient\nloose.png,Ann\nb.png\n")
    assert splits.group_of(IDS, f"{path}:patient")[1] is None


def one_line(call):
    with pytest.raises(ParameterError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_column(csv):
    path = csv("file,age\na,1\n")
    text = one_line(lambda: splits.group_of(IDS, f"{path}:patient"))
    assert "no column 'patient'" in text
    assert "file, age" in text


def test_missing_table(tmp_path):
    text = one_line(lambda: splits.group_of(IDS, f"{tmp_path}/none.csv:patient"))
    assert "cannot read" in text
    assert "none.csv" in text


def test_table_without_a_column_named(csv):
    path = csv("file,patient\nloose.png,Ann\n")
    assert "column" in one_line(lambda: splits.group_of(IDS, str(path)))


def test_table_of_other_images(csv):
    path = csv("file,patient\nx.png,Ann\n")
    assert "none of the images" in one_line(lambda: splits.group_of(IDS, f"{path}:patient"))


def test_table_that_is_no_text(csv, tmp_path):
    (tmp_path / "who.csv").write_bytes(b"file,patient\n\xff\0\n")
    assert "is no text" in one_line(lambda: splits.group_of(IDS, f"{tmp_path}/who.csv:patient"))


def test_no_expression():
    text = one_line(lambda: splits.group_of(IDS, "(p"))
    assert "neither 'folder', FILE.csv:COLUMN nor a regular expression" in text


def test_expression_without_a_match():
    assert "matches no image" in one_line(lambda: splits.group_of(IDS, "patient"))


def test_folder_rule_without_folders():
    assert "no image" in one_line(lambda: splits.group_of(["a.png", "b.png"], "folder"))
