"""A look-alike of nyu-mll/glue, config mrpc: pairs of news sentences that tell the same or not, in parquet files.

The splits share no event of corpus/events.txt, so no wording, and no name or number; weekdays, months and small
number words are too few for that.
"""
from __future__ import annotations

import random
import re
from pathlib import Path

import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Value

from .english import Names, events, pair, unmarked
from .training import folder_of

DATA_SET = "nyu-mll/glue"
SIZES = {"train": 1600, "validation": 240, "test": 400}
LABELS = ["not_equivalent", "equivalent"]
FEATURES = Features({"sentence1": Value("string"), "sentence2": Value("string"), "label": ClassLabel(names=LABELS), "idx": Value("int32")})
CARD = """---
annotations_creators:
- other
language:
- en
license: other
task_categories:
- text-classification
pretty_name: GLUE (General Language Understanding Evaluation benchmark), a stand-in for one of its configurations
config_names:
- mrpc
dataset_info:
- config_name: mrpc
  features:
  - name: sentence1
    dtype: string
  - name: sentence2
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': not_equivalent
          '1': equivalent
  - name: idx
    dtype: int32
  splits:
{splits}
configs:
- config_name: mrpc
  data_files:
{files}
---

Stand-in for nyu-mll/glue: not the real data, and of its configurations mrpc alone.

Made-up sentences in the style of news, with made-up facts, from events written for this course
(`tests/pocket_hub/build/corpus/events.txt`, `tests/pocket_hub/build/mrpc.py`). Two sentences of a pair tell the same
event in different words (equivalent), or one fact of the second is another: a name, a number, a day, a direction, who
did it to whom (not_equivalent). About 67 % of the pairs are equivalent, as in the published data.

| split | pairs here | published |
|---|---|---|
{table}

The splits share no event, no wording, and no name, place or number.
"""
PUBLISHED = {"train": 3668, "validation": 408, "test": 1725}


def as_published(text: str) -> str:
    """Punctuation with spaces around it, as the published data have it."""
    return re.sub(r"([,;.])(?=\s|$)", r" \1", text.replace("$", "$ "))


def rows(split: str) -> list[dict]:
    rng = random.Random(f"mrpc {split}")
    names, told = Names(rng, split), events(split)
    made = [pair(told[i % len(told)], names, rng) for i in range(SIZES[split])]
    rng.shuffle(made)
    return [{"sentence1": as_published(unmarked(a)), "sentence2": as_published(unmarked(b)), "label": label, "idx": i}
            for i, (a, b, label) in enumerate(made)]


def build(root: Path):
    folder = folder_of(DATA_SET, root, "datasets")
    (folder / "mrpc").mkdir(exist_ok=True)
    splits, files, table = [], [], []
    for split, size in SIZES.items():
        path = folder / "mrpc" / f"{split}-00000-of-00001.parquet"
        table_of = Dataset.from_list(rows(split), features=FEATURES).data.table
        pq.write_table(table_of, path)
        splits.append(f"  - name: {split}\n    num_bytes: {table_of.nbytes}\n    num_examples: {size}")
        files.append(f"  - split: {split}\n    path: mrpc/{split}-*")
        table.append(f"| {split} | {size:,} | {PUBLISHED[split]:,} |")
        print(f"{path.name}: {size} pairs, {path.stat().st_size:,} bytes")
    card = CARD.format(splits="\n".join(splits), files="\n".join(files), table="\n".join(table))
    (folder / "README.md").write_text(card, encoding="utf-8")
