"""The hand-written challenge set: offsets, counts, check digits, and its distance from what the notebooks generate."""
import json
import re
import unicodedata
from collections import Counter

import pytest

from .course import ROOT

ROWS = [json.loads(line) for line in (ROOT / "tests/challenge/pii-zh-tw.jsonl").read_text(encoding="utf-8").splitlines()]
TYPES = {"PERSON", "NATIONAL_ID", "PHONE", "EMAIL", "ADDRESS", "DOB", "CREDIT_CARD", "LINE_ID"}
SUITES = {"plain", "names", "forms", "spacing", "width", "invisible", "linebreak", "case", "numerals", "ocr", "obfuscated",
          "variants", "long", "no_context", "negative"}
LETTERS = {letter: 10 + i for i, letter in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO")}


def test_size_suites_and_types():
    assert len(ROWS) >= 200 and len({row["id"] for row in ROWS}) == len({row["text"] for row in ROWS}) == len(ROWS)
    assert {row["suite"] for row in ROWS} == SUITES
    negative = [row for row in ROWS if row["suite"] == "negative"]
    assert len(negative) >= 0.3 * len(ROWS) and not any(row["mask"] for row in negative)
    counts = Counter(mask["type"] for row in ROWS for mask in row["mask"])
    assert counts.keys() == TYPES and min(counts.values()) >= 15, counts


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_offsets_and_what_must_survive(row):
    last = 0
    for mask in row["mask"]:
        assert last <= mask["start"] < mask["end"] and row["text"][mask["start"]:mask["end"]] == mask["value"]
        last = mask["end"]
    kept = "\0".join(part for part in re.split("|".join(re.escape(mask["value"]) for mask in row["mask"]) or "$^", row["text"]))
    assert all(string in kept for string in row["keep"]), row["keep"]
    if row["suite"] == "long":
        assert len(row["text"]) > 700


def plain(value: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", unicodedata.normalize("NFKC", value).upper())


def test_check_digits():
    """Of what is written with plain digits; the ocr, numerals and obfuscated suites disturb them on purpose."""
    checked = Counter()
    for row in ROWS:
        for mask in row["mask"]:
            value = plain(mask["value"])
            if mask["type"] == "NATIONAL_ID" and re.fullmatch(r"[A-Z][1289A-D]\d{8}", value):
                second = LETTERS[value[1]] % 10 if value[1].isalpha() else int(value[1])
                numbers = [*divmod(LETTERS[value[0]], 10), second, *map(int, value[2:])]
                assert sum(n * w for n, w in zip(numbers, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0, mask
            elif mask["type"] == "CREDIT_CARD" and re.fullmatch(r"\d{15,16}", value):
                numbers = [int(digit) for digit in reversed(value)]
                assert (sum(numbers[::2]) + sum(sum(divmod(2 * n, 10)) for n in numbers[1::2])) % 10 == 0, mask
            else:
                continue
            checked[mask["type"]] += 1
    assert checked["NATIONAL_ID"] > 20 and checked["CREDIT_CARD"] > 10
