"""XML, JSON and YAML of others: what is there is read, and nothing runs for ever."""

import json
import math
import time

import pytest

from sightline.data import documents
from sightline.errors import DataError


@pytest.fixture
def put(tmp_path):
    def write(content, encoding="utf-8"):
        path = tmp_path / "x"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("declared", "encoding", "name"),
    [
        ("gb2312", "gbk", "猫"), ("gbk", "gbk", "镕"), ("GB18030", "gb18030", "𠮷"),
        ("big5", "big5", "貓"), ("shift_jis", "shift_jis", "犬"), ("euc-kr", "euc-kr", "개"),
        ("windows-1251", "cp1251", "кот"), ("ansi", "gbk", "猫狗"), ("ansi", "utf-8", "猫狗"),
        ("utf-8", "gbk", "猫狗"), ("gb2312", "utf-8", "猫狗"), ("utf-16", "utf-16", "猫"),
        ("utf-8", "utf-8-sig", "猫"), ("UTF-16", "utf-8", "猫"), ("ansi", "cp1252", "Müller"),
    ],
)  # fmt: skip
def test_xml_of_any_declared_encoding(put, declared, encoding, name):
    page = f"<?xml version='1.0' encoding='{declared}'?>\r\n<a><name>{name}</name></a>"
    assert documents.read_xml(put(page, encoding)).findtext("name") == name


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<a>" * 100_000 + "</a>" * 100_000, "elements are nested more than 100 deep"),
        ("<a>" * 100_000, "not well-formed"),
        ("<!DOCTYPE a><a>" + "<a>" * 100_000, "elements are nested more than 100 deep"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares XML entities"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1/x"><a>&b;</a>', "x: "),
        ("<?xml version='1.0'?>\n<a>\n<b></a>", "mismatched tag: line 3"),
        ("<a>\x01</a>", "invalid token"), ("", "no element found"), ("\0\0\0\0", "is no text"),
        ('<?xml version="1.0" encoding="rot13"?><a', "not well-formed"),
    ],
)  # fmt: skip
def test_xml_that_is_refused(put, page, said):
    with pytest.raises(DataError) as error:
        documents.read_xml(put(page))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_xml_beyond_its_bound_is_not_read(put, monkeypatch):
    monkeypatch.setattr(documents, "MAX_XML_BYTES", 3)
    with pytest.raises(DataError, match="larger than"):
        documents.read_xml(put("<a></a>"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_json_of_any_encoding(put, encoding):
    assert documents.read_json(put('{"a": ["猫", 1.5]}', encoding)) == {"a": ["猫", 1.5]}


def test_json_in_gbk(put):
    assert documents.read_json(put('["猫狗"]', "gbk")) == ["猫狗"]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("\n" + "[" * 200_000, "x:2: nested more than 200 deep"),
        ('{"a":' * 100_000, "x:1: nested more than 200 deep"),
        ('{"a":\n\n' + "1" * 6000 + "}", "x:3: a number of 6,000 digits"),
        ('{"a": {"b": 1},\n"c": "a",\n"a": 2}', "x:3: the key 'a' is there twice"),
        ('{"\\u0061": 1, "a": 2}', "x:1: the key 'a' is there twice"),
        ('{"a": 1,\n}', "x:2: malformed JSON"), ("", "x:1: malformed JSON"),
        ("\0", "is no text"), ('["\x01"]', "x:1: malformed JSON"),
    ],
)  # fmt: skip
def test_json_that_is_refused(put, page, said):
    begun = time.monotonic()
    with pytest.raises(DataError) as error:
        documents.read_json(put(page))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 5


def test_json_that_python_writes_though_it_is_none(put):
    assert math.isnan(documents.read_json(put(json.dumps({"a": math.nan})))["a"])


def test_yaml_stays_as_it_is_written(put):
    page = "names: [no, yes, on, 007, null, 1_000, 2020-01-01, 1e3, '', ~, 0x1F, .inf]\n7: =\n"
    assert documents.read_yaml(put(page)) == {
        "names": ["no", "yes", "on", "007", "null", "1_000", "2020-01-01", "1e3", "", "~", "0x1F",
                  ".inf"],
        "7": "=",
    }  # fmt: skip


def test_yaml_shares_values_by_name(put):
    page = "a: &x {b: c, e: f}\nd:\n  <<: *x\n  e: g\nh: [*x]\n"
    assert documents.read_yaml(put(page)) == {
        "a": {"b": "c", "e": "f"}, "d": {"b": "c", "e": "g"}, "h": [{"b": "c", "e": "f"}],
    }  # fmt: skip


def test_yaml_in_gbk_with_line_ends_of_windows(put):
    page = put("names:\r\n  0: 猫狗\r\n  1: 狗狗\r\ntrain:\r\n", "gbk")
    assert documents.read_yaml(page) == {"names": {"0": "猫狗", "1": "狗狗"}, "train": ""}


def test_yaml_without_anything(put):
    assert documents.read_yaml(put("")) is None
    assert all(map(documents.is_nothing, (None, "", "~", "null")))
    assert not any(map(documents.is_nothing, ("no", "none", [], {}, "0")))


def _bomb():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]")
    return "\n".join([*lines, "names: *j"])


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("[" * 5000, "not a YAML file"), ("{a: " * 900, "x:1: nested more than 100 deep"),
        ("- " * 5000, "x:1: nested more than 100 deep"), ("? " * 5000, "nested more than 100 deep"),
        (_bomb(), "x:7: adds up to more than 1,000,000 values"),
        ("\na: &a [*a]", "x:2: *a stands before &a"),
        ("a: *b", "x:1: *b stands before &b"),
        ("a: 1\nb: 2\na: 3", "x:3: the key 'a' is there twice"),
        ("? [a]\n: b", "x:1: a key is no plain text"),
        ("--- 1\n--- 2", "x:2: holds several documents"),
        ("names: !!python/object/apply:os.getcwd []", "x:1: not a YAML file of plain values"),
        ("names: [cat\n", "x:2: not a YAML file"),
        ("\0", "is no text"), ("a: b: c", "not a YAML file"),
    ],
)  # fmt: skip
def test_yaml_that_is_refused(put, page, said):
    begun = time.monotonic()
    with pytest.raises(DataError) as error:
        documents.read_yaml(put(page))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 5
