from __future__ import annotations

import pytest

from sightline.data.table import read_table
from sightline.errors import DataError, UnknownNameError


@pytest.fixture
def write(tmp_path):
    def call(text, encoding="utf-8"):
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return call


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_names_and_numbers(write, encoding, delimiter):
    table = read_table(write("长度,费用\n1,2\n\n 3 ,4.5\n".replace(",", delimiter), encoding))
    assert table.names == ("长度", "费用")
    assert table.values.tolist() == [[1, 2], [3, 4.5]]
    assert table.column("费用") == 1
    with pytest.raises(UnknownNameError, match="unknown column 'fee'"):
        table.column("fee")


def test_without_a_line_of_names(write):
    table = read_table(write("1,2\n3,4\n"))
    assert table.names == ("column 1", "column 2")
    assert len(table.values) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "no numbers"),
        ("a,b\n1,2\n3\n", "line 3: 1 values for 2 columns"),
        ("a,b\n1,x\n", "line 2, column 'b': 'x' is not a finite number"),
        ("a,b\n1,2\nnan,3\n", "line 3, column 'a': 'nan'"),
    ],
)
def test_what_is_no_table_is_said(write, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(text))


def test_a_file_that_is_not_there_or_not_text(write, tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: No such file"):
        read_table(tmp_path / "none.csv")
    path = write("")
    path.write_bytes(b"\xff\xff\xff\x00")
    with pytest.raises(DataError, match="is no text"):
        read_table(path)
