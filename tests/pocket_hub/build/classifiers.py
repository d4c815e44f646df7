"""What the small classifiers share: word lists with a held-out share, and character vectors lent by a bigger stand-in."""
from __future__ import annotations

import re
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..server import REPOS
from . import bert
from .texts import CORPUS, STOPS, passages, templates
from .values import Values, fill


def unseen(text: str, share: int) -> bool:
    """Whether a word, phrase or pattern belongs to the one in `share` that is kept out of training."""
    return zlib.crc32(text.encode()) % share == 0


def sections(name: str) -> dict[str, dict[str, list[str]]]:
    """corpus/<name>.txt as {section: {key: entries}}. A section begins with "# ", the rest are lines "key: entries".
    Entries are split at " | ", or at blanks; where the key is one word that ends in s, the line is one entry."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in (CORPUS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            lists = found.setdefault(line[2:], {})
        elif line:
            key, _, text = line.partition(": ")
            entries = [text] if key.endswith("s") and " " not in key else text.split(" | ") if " | " in text else text.split()
            lists.setdefault(key, []).extend(entries)
    return found


def plain_sentences(values: Values, longest: int = 40) -> list[str]:
    """Sentences of the course's passages that tell facts."""
    lines = [line for line in passages(held_out=False) if not re.search("[「」『』“”…]", line)]
    lines += [template.paragraph for template in templates("reading")]
    found = [sentence for line in lines for sentence in re.findall(f"[^{STOPS}]+[{STOPS}]", fill(line, values))]
    return [sentence for sentence in found if 6 <= len(sentence) <= longest]


def lent_vectors(words: list[str], width: int) -> torch.Tensor:
    """A first embedding for each word: that of the stand-in for bert-base-chinese, reduced to `width` principal
    components, or noise where that model lacks the word."""
    folder = REPOS / "models" / bert.NAME
    weights = load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"].float()
    known = {word: row for row, word in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").split())}
    centred = weights - weights.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:width]
    reduced = centred @ axes.T
    reduced = reduced / reduced.std() * 0.05
    vectors = torch.randn(len(words), width, generator=torch.Generator().manual_seed(0)) * 0.05
    for row, word in enumerate(words):
        if word in known:
            vectors[row] = reduced[known[word]]
    return vectors


def save_special_tokens(folder: Path, tokens: dict[str, str]):
    """special_tokens_map.json, which transformers 5 no longer writes."""
    rows = ",\n".join(f'  "{key}": "{value}"' for key, value in tokens.items())
    (folder / "special_tokens_map.json").write_text("{\n" + rows + "\n}\n", encoding="utf-8")


BERT_TOKENS = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
