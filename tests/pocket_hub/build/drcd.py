"""A look-alike of DRCD (Delta Reading Comprehension Dataset) in DRCD's own JSON format.

Training and development file share no template, no wording of a question, and no made-up value.
"""
from __future__ import annotations

import json
import random
from pathlib import Path

from ..__main__ import DRCD
from .texts import paragraph, templates
from .values import Values

SIZES = {"train": ("training", 12), "dev": ("dev", 4)}  # paragraphs made of each template


def articles(part: str, per_template: int) -> list[dict]:
    rng = random.Random(part)
    values = Values(rng, part)
    found = []
    for number, template in enumerate(templates(f"drcd_{part}")):
        made = [paragraph(template, values) for _ in range(per_template)]
        for copy, p in enumerate(made):
            article = f"{9000 + number if part == 'dev' else 1000 + number}{copy:02}"
            context = {"context": p.text, "id": f"{article}-1", "qas": []}
            for count, question in enumerate(p.questions, 1):
                answer = {"id": "1", "text": question.answer, "answer_start": question.start}
                assert p.text[question.start:question.start + len(question.answer)] == question.answer
                again = [answer, {**answer, "id": "2"}] if part == "dev" else [answer]
                context["qas"].append({"id": f"{article}-1-{count}", "question": question.text, "answers": again})
            found.append({"title": p.title, "id": article, "paragraphs": [context]})
    rng.shuffle(found)
    return found


def build(root: Path):
    for part, (name, per_template) in SIZES.items():
        data = articles(part, per_template)
        path = root / DRCD / f"DRCD_{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": "1.3", "data": data}, ensure_ascii=False) + "\n", encoding="utf-8")
        questions = sum(len(p["qas"]) for article in data for p in article["paragraphs"])
        print(f"{path.name}: {len(data)} paragraphs, {questions} questions, {path.stat().st_size:,} bytes")
    (root / DRCD / "README.md").write_text(
        "Stand-in for DRCD: not the real data.\n\nMade-up paragraphs in DRCD's JSON format, from templates written for "
        "this course (`tests/pocket_hub/build/drcd.py`). The two files share no wording and no value.\n", encoding="utf-8")
