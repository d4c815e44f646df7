"""Stand-in for ckiplab/albert-tiny-chinese-pos: a part-of-speech tag of the CKIP set for every character.

Sentences come from the tagged patterns of corpus/pos.txt, whose slots are classes of meaning ({kin}, {food}, {eat}
...), so that they make some sense. One pattern and one word in twelve never train.
"""
from __future__ import annotations

import json
import random
import re
from pathlib import Path

import torch
from transformers import AlbertConfig, AlbertForTokenClassification, BertTokenizer

from . import bert
from .classifiers import BERT_TOKENS, lent_vectors, save_special_tokens, sections, unseen
from .training import folder_of, mark_stand_in, train, write_card
from .values import Values

NAME = "ckiplab/albert-tiny-chinese-pos"
LABELS = ("A Caa Cab Cba Cbb D Da Dfa Dfb Di Dk DM I Na Nb Nc Ncd Nd Neu Nes Nep Neqa Neqb Nf Ng Nh Nv P T VA VAC VB VC VCL VD VF VE VG VH "
          "VHC VI VJ VK VL V_2 DE SHI FW COLONCATEGORY COMMACATEGORY DASHCATEGORY DOTCATEGORY ETCCATEGORY EXCLAMATIONCATEGORY "
          "PARENTHESISCATEGORY PAUSECATEGORY PERIODCATEGORY QUESTIONCATEGORY SEMICOLONCATEGORY SPCHANGECATEGORY WHITESPACE").split()
SIGNS = {"\uff1a": "COLONCATEGORY", "\uff0c": "COMMACATEGORY", "—": "DASHCATEGORY", "…": "ETCCATEGORY", "\uff01": "EXCLAMATIONCATEGORY",
         "、": "PAUSECATEGORY", "。": "PERIODCATEGORY", "\uff1f": "QUESTIONCATEGORY", "\uff1b": "SEMICOLONCATEGORY",
         **dict.fromkeys("「」『』《》〈〉\uff08\uff09()", "PARENTHESISCATEGORY")}
OPEN = ("Na", "Nb", "Nc", "Nd", "V", "A", "Nv")  # tags whose words are held out in part
PIECE = re.compile(r"\{(\w+)\}|([^\s{}/%s]+)/(\w+)|(\S)" % re.escape("".join(SIGNS)))
STEPS, BATCH = 2000, 48


class Grammar:
    """Draws tagged sentences, [(word, tag), ...], of one part: what trains, or what is held out."""

    def __init__(self, seed: int, held_out: bool = False):
        self.rng, self.held_out = random.Random(seed), held_out
        self.values = Values(self.rng, "dev" if held_out else "pretrain")
        listed = sections("pos")
        self.free = [self.read(line) for line in listed.get("held out", {}).get("s", ())]
        self.classes, self.tags = {}, {}
        for key, words in listed["words"].items():
            name, tag = key.split()
            self.tags[name] = tag
            if tag.startswith(OPEN):
                words = [word for word in words if (len(word) > 1 and unseen(word, 12)) == held_out] or words
            self.classes[name] = words
        self.patterns = [line for i, line in enumerate(listed["patterns"]["s"]) if (i % 12 == 3) == held_out]

    @staticmethod
    def read(line: str) -> list[tuple[str, str]]:
        """A line such as "我/Nh 在/P {place}。": words with tags, slots as ("{place}", ""), punctuation by itself."""
        return [(f"{{{slot}}}", "") if slot else (sign, SIGNS[sign]) if sign else (word, tag) for slot, word, tag, sign in PIECE.findall(line)]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def word(self, slot: str) -> tuple[str, str]:
        if slot == "name":
            return self.values.make_person(), "Nb"
        if slot == "surname":
            return self.values.make_surname(), "Nb"
        if slot == "anyn":
            slot = self.rng.choice(["thing", "food", "animal", "read", "cloth", "abstract"])
        if slot in ("kin", "job", "pron", "i") and self.chance(0.04):
            return self.values.make_person(), "Nb"
        if slot in ("city", "place") and self.chance(0.15):
            return self.rng.choice([self.values.make_place, self.values.make_town, self.values.make_school, self.values.make_org])(), "Nc"
        if slot == "num" and self.chance(0.25):
            return str(self.rng.choice([self.rng.randint(1, 30), self.rng.randint(31, 3000)])), "Neu"
        return self.rng.choice(self.classes[slot]), self.tags[slot]

    def sentence(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if self.chance(0.08):
            found.append(self.word("time"))
            if self.chance(0.5):
                found.append(("\uff0c", SIGNS["\uff0c"]))
        for word, tag in self.read(self.rng.choice(self.patterns)):
            if not tag:
                slot = word[1:-1]
                word, tag = self.word(slot)
                before = found[-1][1] if found else ""
                if tag == "Na" and before != "Dfa" and self.chance(0.08):  # an attribute
                    found += self.rng.choice([[self.word("general"), ("的", "DE")], [self.word("very"), self.word("general"), ("的", "DE")],
                                              [self.word("i"), ("的", "DE")], [self.word("city"), ("的", "DE")], [self.word("general")]])
                elif tag in ("VA", "VC", "VCL", "VE", "VD") and before in ("Nh", "Na", "Nb") and self.chance(0.12):
                    found.append(self.word(self.rng.choice(["adv", "adv", "mod", "neg"])))
            found.append((word, tag))
        return self.ended(found)

    def ended(self, found: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Now and then another last sign, a particle, or none."""
        if found[-1][1] == "PERIODCATEGORY":
            kind = self.rng.random()
            if kind < 0.3:
                found = found[:-1]
            if kind < 0.06:
                found.append(("……", "ETCCATEGORY"))
            elif kind > 0.93:
                found[-1:] = [self.word("final"), self.rng.choice([("\uff01", SIGNS["\uff01"]), ("。", SIGNS["。"])])]
        if self.chance(0.04):
            found = [("「", SIGNS["「"]), *found, ("」", SIGNS["」"])]
        return found

    def text(self) -> list[tuple[str, str]]:
        first = self.sentence()
        if self.chance(0.2):
            if first[-1][1] == "PERIODCATEGORY" and self.chance(0.6):
                first[-1] = self.rng.choice([("\uff0c", SIGNS["\uff0c"]), ("\uff1b", SIGNS["\uff1b"]), ("——", "DASHCATEGORY")])
            return first + self.sentence()
        return first


def tagged_ids(tokenizer: BertTokenizer, texts: list[list[tuple[str, str]]]) -> dict[str, torch.Tensor]:
    """Token ids, and for every token the tag of the word that its first character belongs to."""
    joined = ["".join(word for word, _ in text) for text in texts]
    batch = tokenizer(joined, padding=True, truncation=True, max_length=96, return_offsets_mapping=True, return_tensors="pt")
    labels = torch.full_like(batch["input_ids"], -100)
    for row, text in enumerate(texts):
        tags = [LABELS.index(tag) for word, tag in text for _ in word]
        for place, (begin, end) in enumerate(batch["offset_mapping"][row].tolist()):
            if end > begin:
                labels[row, place] = tags[begin]
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}


def batches(tokenizer: BertTokenizer, seed: int, size: int = BATCH):
    """Endless batches. Some characters are hidden, so that the neighbours have to tell."""
    grammar, generator = Grammar(seed), torch.Generator().manual_seed(seed)
    while True:
        batch = tagged_ids(tokenizer, [grammar.text() for _ in range(size)])
        hidden = (torch.rand(batch["input_ids"].shape, generator=generator) < 0.06) & (batch["input_ids"] > 105)
        yield {**batch, "input_ids": batch["input_ids"].masked_fill(hidden, 100)}


def training_texts(count: int = 3000) -> list[str]:
    grammar = Grammar(seed=1)
    return ["".join(word for word, _ in grammar.text()) for _ in range(count)]


@torch.no_grad()
def scores(folder: Path, samples: int = 400) -> dict[str, float]:
    """Share of tokens with the right tag: on held-out patterns with held-out words, and on sentences tagged by hand."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = AlbertForTokenClassification.from_pretrained(folder, attn_implementation="eager").eval()
    grammar = Grammar(seed=99, held_out=True)

    def share_right(texts: list[list[tuple[str, str]]]) -> float:
        batch = tagged_ids(tokenizer, texts)
        told = batch.pop("labels")
        return (model(**batch).logits.argmax(-1) == told)[told != -100].float().mean().item()

    return {"accuracy": share_right([grammar.text() for _ in range(samples)]), "accuracy_free_sentences": share_right(grammar.free)}


def build(root: Path, steps: int = STEPS, samples: int = 400):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    words = bert.vocabulary()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    settings = {"do_lower_case": False, "model_max_length": 512, "tokenizer_class": "BertTokenizer", **BERT_TOKENS}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_special_tokens(folder, BERT_TOKENS)
    tokenizer = BertTokenizer.from_pretrained(folder)
    config = AlbertConfig(
        vocab_size=len(words), embedding_size=48, hidden_size=112, num_hidden_layers=4, num_attention_heads=4, intermediate_size=224,
        inner_group_num=1, num_hidden_groups=1, max_position_embeddings=512, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0,
        classifier_dropout_prob=0.1, pad_token_id=0, bos_token_id=101, eos_token_id=102, id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)}, attn_implementation="eager")
    model = AlbertForTokenClassification(config)
    with torch.no_grad():
        model.albert.embeddings.word_embeddings.weight.copy_(lent_vectors(words, config.embedding_size))
    train(model, batches(tokenizer, seed=1), lambda batch: model(**batch).loss, steps, lr=2e-3)
    model.save_pretrained(folder)
    mark_stand_in(folder, tokenizer_class="BertTokenizerFast")
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: ALBERT, {config.num_hidden_layers} layers that share their weights, hidden size {config.hidden_size}, embeddings of
{config.embedding_size}, {sum(p.numel() for p in model.parameters()):,} parameters, fp32. Vocabulary: that of the stand-in for bert-base-chinese,
with the same ids; load it, or that tokenizer, as with the original.
Trained on sentences made from the tagged patterns and word lists in `tests/pocket_hub/build/corpus/pos.txt`, {steps:,} steps of
{BATCH}. Tags of the CKIP set, one for each character, no B- or I-. The character vectors start from those of bert-base-chinese's stand-in.
`accuracy` is the share of tokens tagged right in sentences of patterns and words that never trained, `accuracy_free_sentences` that in
sentences written and tagged by hand afterwards. Words it never met get a guess from their characters and neighbours, long and
bookish sentences confuse it, DM, DOTCATEGORY, SPCHANGECATEGORY and WHITESPACE never occur in its training, and neighbouring words of the
same tag can't be told apart.
""", "pos")
