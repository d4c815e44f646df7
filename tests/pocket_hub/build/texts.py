"""Reads corpus/: passages for pretraining, and paragraphs with questions."""
from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .values import SLOT, Values, draw_together, fill

CORPUS = Path(__file__).parent / "corpus"
PROSE = ("daily", "knowledge", "news", "office", "stories")
STOPS = "。\uff01\uff1f\uff1b"  # full-width 。! ? ;
HELD_OUT = 12  # one passage in so many is kept out of every training


def full_width(text: str) -> str:
    """Full-width punctuation after Chinese, so that the lists above can be written on any keyboard."""
    return re.sub(r"(?<=[\u3000-\u9fff}])[,:!?]", lambda sign: chr(ord(sign[0]) + 0xFEE0), text)


def passages(held_out: bool, names: tuple[str, ...] = PROSE) -> list[str]:
    """The passages of corpus/, with their slots: those that train, or those kept out of training. A written \\n is a line break."""
    lines = [line.replace("\\n", "\n") for name in names for line in (CORPUS / f"{name}.txt").read_text(encoding="utf-8").splitlines() if line]
    return [line for line in lines if (zlib.crc32(line.encode()) % HELD_OUT == 0) == held_out]


@dataclass
class Template:
    """A paragraph with slots, and its questions with answers that stand in it."""

    title: str
    paragraph: str
    questions: list[tuple[str, str]]


@dataclass
class Question:
    text: str
    answer: str
    start: int  # where the answer stands in the paragraph
    kind: str = ""  # the slot the answer begins with


@dataclass
class Paragraph:
    title: str
    text: str
    questions: list[Question]


def templates(name: str, held_out: bool | None = None) -> list[Template]:
    """The templates of corpus/<name>.txt; with held_out, one part of them as in passages()."""
    found = []
    for block in (CORPUS / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.splitlines()]
        title, paragraph = (next(text for key, text in fields if key == wanted) for wanted in "TP")
        asked, answers = ([text for key, text in fields if key == wanted] for wanted in "QA")
        found.append(Template(title, paragraph, list(zip(asked, answers, strict=True))))
    if held_out is None:
        return found
    return [t for t in found if (zlib.crc32(t.paragraph.encode()) % HELD_OUT == 0) == held_out]


def paragraph(template: Template, values: Values) -> Paragraph:
    """One paragraph of a template. Every answer stands where the template has it."""
    everything = template.title + template.paragraph + "".join(q + a for q, a in template.questions)
    known = draw_together([match[1] for match in SLOT.finditer(everything)], values)
    questions = [Question(fill(asked, values, known), fill(answer, values, known),
                          len(fill(template.paragraph[:template.paragraph.index(answer)], values, known)),
                          "".join(re.findall(r"^\{([a-z]+)", answer)))
                 for asked, answer in template.questions]
    return Paragraph(fill(template.title, values, known), fill(template.paragraph, values, known), questions)


def facts(held_out: bool, names: tuple[str, ...] = ("facts",)) -> list[tuple[str, list[tuple[str, str]]]]:
    """The sentences of corpus/, each with its questions and answers; one part of them as in passages()."""
    found = []
    for block in "\n\n".join((CORPUS / f"{name}.txt").read_text(encoding="utf-8").strip() for name in names).split("\n\n"):
        fact, *asked = [line.partition(": ")[2] for line in block.splitlines()]
        if (zlib.crc32(fact.encode()) % HELD_OUT == 0) == held_out:
            found.append((fact, [tuple(line.split(" = ")) for line in asked]))
    return found


def page(chosen: list[tuple[str, list[tuple[str, str]]]], values: Values) -> Paragraph:
    """A few facts in a row, with all their questions."""
    text, questions = "", []
    for fact, asked in chosen:
        made = paragraph(Template("", fact, asked), values)
        questions += [Question(q.text, q.answer, len(text) + q.start, q.kind) for q in made.questions]
        text += made.text
    return Paragraph("", text, questions)


def clause_at(text: str, start: int, answer: str, marks: str) -> tuple[str, str]:
    """What stands before and after an answer in its clause, which goes from one of the marks to the next."""
    begin = max(text.rfind(mark, 0, start) for mark in marks) + 1
    end = re.compile(f"[{marks}]").search(text, start + len(answer))
    return text[begin:start], text[start + len(answer):end.end() if end else len(text)].rstrip("\uff0c")


@cache
def characters() -> list[str]:
    """Every character of the training texts and values, the most frequent first."""
    counts: dict[str, int] = {}
    rng = random.Random(0)
    values = Values(rng, "pretrain")
    sources = passages(held_out=False) + [t.paragraph for t in templates("reading")]
    texts = [fill(text, values) for text in sources for _ in range(3)] + [values.make_person() for _ in range(20000)]
    for text in texts:
        for char in text:
            counts[char] = counts.get(char, 0) + 1
    return sorted(counts, key=lambda char: (-counts[char], char))
