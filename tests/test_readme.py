"""The two READMEs say the same: commands, code, numbers, links, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")

NAMES = {"README.md", "README.zh.md"}


def blocks(text):
    """Code in fences: its language and its lines without their comments."""
    return [
        (kind, [line.split("  #")[0].rstrip() for line in body.splitlines()])
        for kind, body in re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)
    ]


def prose(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def code(text):
    """What stands in backticks, spaces and line ends as one."""
    return [" ".join(word.split()) for word in re.findall(r"`([^`]+)`", prose(text))]


def tables(text):
    """The rows of each table, as cells."""
    found = re.findall(r"(?:^\|.*\|\n)+", prose(text), flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in one.splitlines()]
        for one in found
    ]


def numbers(text):
    return sorted(re.findall(r"\d[\d,.]*\d|\d", text))


def links(text):
    return sorted(set(re.findall(r"\]\(([^)]+)\)", text)) - NAMES)


def test_code_blocks_are_the_same():
    assert blocks(CHINESE) == blocks(ENGLISH)
    assert len(blocks(ENGLISH)) == 5


def test_the_same_commands_and_names_stand_in_backticks():
    assert sorted(set(code(CHINESE))) == sorted(set(code(ENGLISH)))


@pytest.mark.parametrize("place", range(5))
def test_tables_have_the_same_rows_code_and_numbers(place):
    english, chinese = tables(ENGLISH)[place], tables(CHINESE)[place]
    assert [len(row) for row in chinese] == [len(row) for row in english]
    for row, other in zip(english[2:], chinese[2:], strict=True):
        for cell, zh in zip(row, other, strict=True):
            assert code(zh) == code(cell), (cell, zh)
            assert numbers(zh) == numbers(cell), (cell, zh)
            assert bool(zh) == bool(cell), (cell, zh)


def test_no_table_is_missing():
    assert len(tables(CHINESE)) == len(tables(ENGLISH)) == 6


def test_links_and_pictures_are_the_same_and_there():
    assert links(CHINESE) == links(ENGLISH)
    for link in links(ENGLISH):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_sections_follow_in_the_same_order():
    def order(text):
        return [len(mark) for mark in re.findall(r"^(#+) ", prose(text), flags=re.MULTILINE)]

    assert order(CHINESE) == order(ENGLISH)
