"""Text in whatever encoding people have."""

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data import text
from sightline.errors import DataError


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ("猫\n狗\n", "utf-8"), ("猫\n狗\n", "utf-8-sig"), ("猫\n狗\n", "utf-16"),
        ("猫\n狗\n", "utf-32"), ("\ufeff猫\n狗\n", "utf-16-be"), ("cat\n狗\n", "utf-16-le"),
        ("猫\n狗\n", "gbk"), ("猫\n狗\n", "gb18030"), ("𠮷野\n镕\n狗狗\n", "gb18030"),
        ("Müller\nJosé\n", "cp1252"), ("Müller\nJosé\n", "utf-8"),
    ],
)  # fmt: skip
def test_lines_in_the_encodings_that_people_have(tmp_path, written, encoding):
    path = tmp_path / "classes.txt"
    path.write_bytes(written.encode(encoding))
    assert text.lines(path) == written.lstrip("\ufeff").split()


def test_lines_end_as_on_any_system_and_nowhere_else(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes("a b\r\n\r\n  c\x0bd\ne\u2028f\rg".encode())
    assert text.lines(path) == ["a b", "c\x0bd", "e\u2028f", "g"]


@pytest.mark.parametrize(
    ("declared", "written", "truth"),
    [
        ("gb2312", "猫", "gbk"), ("GBK", "镕", "gbk"), ("gb18030", "𠮷", "gb18030"),
        ("big5", "貓", "big5"), ("shift_jis", "犬", "shift_jis"), ("Shift-JIS", "①", "cp932"),
        ("euc-kr", "똠", "cp949"), ("windows-1251", "кот", "cp1251"),
        ("windows-936", "猫", "gbk"), ("windows-1252", "é", "cp1252"),
        ("ISO-8859-1", "“é”", "cp1252"),
        ("ascii", "猫", "utf-8"), ("utf-8", "猫", "utf-8"), ("windows-31j", "①", "cp932"),
        ("x-sjis", "犬", "cp932"), ("x-gbk", "猫", "gbk"), ("ks_c_5601-1987", "개", "cp949"),
        ("MS936", "猫", "gbk"), ("cp936", "猫", "gbk"), ("koi8-r", "кот", "koi8-r"),
        ("windows-874", "แมว", "cp874"), ("IBM866", "кот", "cp866"),
    ],
)  # fmt: skip
def test_a_declared_encoding_is_believed(declared, written, truth):
    decoded = text.decode(written.encode(truth), declared)
    assert (decoded.text, decoded.guessed) == (written, False)


@pytest.mark.parametrize(
    ("declared", "written", "truth"),
    [
        ("gb2312", "猫狗", "utf-8"), ("utf-8", "猫狗", "gbk"), ("ansi", "猫狗", "gbk"),
        ("ansi", "Müller", "cp1252"), ("utf-16", "猫狗", "gbk"), ("rot13", "猫狗", "utf-8"),
        ("zlib", "猫狗", "utf-8"), ("x" * 99, "猫狗", "utf-8"), ("shift_jis", "猫狗狗", "utf-8"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_seen_through(declared, written, truth):
    assert text.decode(written.encode(truth), declared).text == written


def test_what_was_guessed_is_said_once_a_kind(tmp_path):
    for name, raw in [("a", "猫狗"), ("b", "狗狗"), ("c", "plain")]:
        (tmp_path / name).write_bytes(raw.encode("gbk"))
    (tmp_path / "d").write_bytes("né".encode("cp1252"))
    with text.noticing() as said:
        for name in "abcd":
            text.read(tmp_path / name)
        assert said == []
    assert said == [
        f"2 files are not UTF-8, and read as GB 18030: first {tmp_path / 'a'}",
        f"1 file is not UTF-8, and read as Windows 1252: {tmp_path / 'd'}",
    ]


def test_other_threads_note_what_they_guess_where_they_joined(tmp_path):
    (tmp_path / "a").write_bytes("猫狗".encode("gbk"))
    with text.noticing() as said:
        join = text.join()
        thread = threading.Thread(target=lambda: (join(), text.read(tmp_path / "a")))
        thread.start()
        thread.join()
    assert len(said) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "classes.txt")
    for path in (tmp_path / "classes.txt", tmp_path):
        with pytest.raises(DataError, match="is no file, but a folder, a pipe or a device"):
            text.read(path)
    (tmp_path / "picture").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(DataError, match="is no text"):
        text.read(tmp_path / "picture")
    with pytest.raises(DataError, match="No such file"):
        text.read(tmp_path / "gone")


@given(st.binary(max_size=60), st.sampled_from([None, "gbk", "ansi", "utf-8", "big5", "cp1251"]))
@settings(max_examples=200)
def test_any_bytes_are_text(raw, declared):
    text.decode(raw, declared)


# Python writes a Japanese dot and a bar where newer standards have the Chinese ones.
@given(st.text(st.characters(codec="gb2312", exclude_characters="\0\u30fb\u2015"), min_size=3))
def test_chinese_text_survives_any_way_of_saving_it(written):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert text.decode(written.encode(encoding)).text == written
    assert text.decode(written.encode("gb2312"), "gb2312").text == written


def test_names_of_other_bytes_can_be_written():
    name = os.fsdecode("狗".encode("gbk"))
    assert text.readable(name) == r"\xb9\xb7"
    assert text.readable("猫 \ud800") == r"猫 \ud800"
    text.readable(name).encode("ascii")
