"""Nothing that is written for people is computed when they open it, and all is read again."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest

from sightline.data.cells import quoted, unquoted
from sightline.data.convert import convert
from sightline.data.load import load_data
from sightline.errors import ParameterError

COMPUTED = [
    "=1+1", "=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "-a", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=",
    "＝1+1", "＋a", "－a", "＠a", "'=1", "''@a", "- a", "-inf", "+49 30 1234", "--5",
]  # fmt: skip
PLAIN = [
    "cat",
    "",
    "a=b",
    "1-2",
    "'tis",
    "'",
    " =1",
    "猫",
    "-5",
    "+1",
    "-.5",
    "1e-3",
    "-1E+05",
    "+5%",
]


@pytest.mark.parametrize("text", COMPUTED)
def test_what_would_be_computed_is_quoted_and_read_as_it_was(text):
    assert quoted(text) == f"'{text}"
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_plain_and_every_number_stays(text):
    assert quoted(text) == unquoted(text) == text


@pytest.mark.parametrize("value", [None, -5, -0.5, True, [0.1, -0.2]])
def test_what_is_no_text_stays(value):
    assert quoted(value) == value


@pytest.fixture
def named(tmp_path):
    from PIL import Image

    for i, name in enumerate(("=1+1", "-5", "@猫", "cat")):
        for k in range(6):
            path = tmp_path / "in" / name / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), 20 * i + k, np.uint8)).save(path)
    return load_data(tmp_path / "in")


@pytest.mark.parametrize("to", ["csv", "parquet"])
@pytest.mark.parametrize("raw", [False, True])
def test_a_table_of_data_is_quoted_unless_it_is_to_be_raw_and_reads_the_same(
    named, tmp_path, to, raw
):
    convert(named, tmp_path / "out", to, raw=raw)
    if to == "csv":
        with (tmp_path / "out/labels.csv").open(encoding="utf-8-sig", newline="") as file:
            labels = {row["label"] for row in csv.DictReader(file)}
    else:
        labels = set(pq.read_table(tmp_path / "out/labels.parquet")["label"].to_pylist())
    assert labels == ({"=1+1", "-5", "@猫", "cat"} if raw else {"'=1+1", "-5", "'@猫", "cat"})
    again = load_data(tmp_path / "out")
    assert sorted(again.classes) == sorted(named.classes)
    assert {s: len(r) for s, r in again.rows.items()} == {s: len(r) for s, r in named.rows.items()}


def test_a_format_without_cells_is_not_raw(named, tmp_path):
    with pytest.raises(ParameterError, match="not for coco"):
        convert(named, tmp_path / "out", "coco", raw=True)
