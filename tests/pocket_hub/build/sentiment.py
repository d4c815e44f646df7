"""Stand-in for lxyuan/distilbert-base-multilingual-cased-sentiments-student: positive, neutral or negative.

Opinions are put together from corpus/sentiment.txt: things of twenty fields of life, what may be said of them,
degrees, negations that turn an opinion round, and "although ... but ..." where the second half counts. One entry
in twelve of every list (things, opinions, patterns) never trains.
"""
from __future__ import annotations

import random
import re
from pathlib import Path

import torch
from transformers import BertTokenizer, DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizer, pipeline

from .classifiers import BERT_TOKENS, lent_vectors, plain_sentences, save_special_tokens, sections, unseen
from .texts import characters
from .training import folder_of, mark_stand_in, train, write_card
from .values import Values

NAME = "lxyuan/distilbert-base-multilingual-cased-sentiments-student"
LABELS = ["positive", "neutral", "negative"]
SIGNS = dict(zip(LABELS, "+0-"))
OTHER = {"+": "-", "-": "+"}
SPECIAL = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = 2400
STEPS, BATCH = 2200, 64
ENGLISH = {
    "degree": ["very {a}", "really {a}", "so {a}", "{a}", "{a} and {b}", "quite {a}", "extremely {a}", "too {a}", "pretty {a}"],
    "not": ["not {a}", "not very {a}", "not {a} at all", "n't {a}", "n't as {a} as I thought", "never {a}"],
    "frame": ["the {t} is {x}", "the {t} was {x}", "The {t} is {x}", "The {t} was {x}", "This {t} is {x}", "my {t} is {x}", "Our {t} was {x}"],
    "but": ["{x}, but {y}", "{x}. But {y}", "although {x}, {y}", "Although {x}, {y}", "{x}, however, {y}"]}
CONSTANT = ("The the This this That that It it is was are were not n't very really so too and but although Although I my My our we We You you "
            "they of to in on at for with a an no never as thought quite pretty extremely all however , . ! ? '").split()


def vocabulary() -> list[str]:
    """Special tokens with the ids of the original, signs, letters, characters, English words, those that begin a phrase also with a capital."""
    signs = [chr(code) for code in range(33, 127)]
    listed = {name: lists for name, lists in sections("sentiment").items() if name != "held out"}
    written = "".join(entry for lists in listed.values() for entries in lists.values() for entry in entries)
    own = sorted({char for char in written if char > "\x7f"})
    common = [char for char in characters() if not char.isascii() and not char.isspace()][:CHARACTERS]
    entries = [re.findall("[A-Za-z]+", entry) for entries in listed["english"].values() for entry in entries]
    words = sorted({*(word for words in entries for word in words), *(words[0].capitalize() for words in entries)})
    pieces = [f"##{sign}" for sign in signs if sign.isalnum()] + ["##s", "##ed", "##ing", "##ly", "##er"]
    return list(dict.fromkeys([*SPECIAL, *signs, *sorted({*own, *common}), *CONSTANT, *words, *pieces]))


def tokenizer_into(folder: Path) -> DistilBertTokenizer:
    words = vocabulary()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=False)._tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(
        '{"do_lower_case": false, "model_max_length": 512, "tokenizer_class": "DistilBertTokenizer"}\n', encoding="utf-8")
    save_special_tokens(folder, BERT_TOKENS)
    return DistilBertTokenizer.from_pretrained(folder)


class Opinions:
    """Draws texts of one part: what trains, or what is held out."""

    def __init__(self, seed: int, held_out: bool = False):
        self.rng, self.held_out = random.Random(seed), held_out
        listed = sections("sentiment")
        words = listed["words"]
        self.written = listed.pop("held out")
        listed.pop("tried")  # sentences looked at while the lists grew: neither trained on nor scored
        self.general, self.feelings, self.words = (self.part_of(listed.pop(name)) for name in ("general", "feelings", "words"))
        english = listed.pop("english")
        self.english = {**self.part_of(english, share=6), "+": english["+"], "-": english["-"]}  # an unknown English word tells nothing
        opinions = [word for lists in [*listed.values(), words] for sign in ("+", "-", "++", "--", "w+", "w-") for word in lists.get(sign, ())]
        self.forbidden = [word for word in opinions if unseen(word, 12) and len(word) > 1 and not held_out]
        self.sentences = {sign: self.part_of(listed.pop(name))["s"] for sign, name in (("+", "positive"), ("0", "neutral"), ("-", "negative"))}
        self.fields = [self.part_of(lists) for lists in listed.values()]
        self.facts = [] if held_out else [text for text in plain_sentences(Values(random.Random(0), "pretrain"))
                                          if not any(word in text for word in opinions if len(word) > 1)]
        self.letters = "".join(self.facts)

    def part_of(self, lists: dict[str, list[str]], share: int = 12) -> dict[str, list[str]]:
        """The entries of this part; where a short list has none held out, one entry is."""
        return {key: [entry for entry in entries if (len(entry) > 1 and unseen(entry, share)) == self.held_out] or entries[:1]
                for key, entries in lists.items()}

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def thing(self, field: dict) -> str:
        if not self.held_out and self.chance(0.1):  # a name nobody has heard of
            begin = self.rng.randrange(len(self.letters) - 4)
            if name := re.sub("[^\u4e00-\u9fff]", "", self.letters[begin:begin + self.rng.randint(2, 4)]):
                return self.rng.choice(["", "這家", "這個", "這款"]) + name
        return self.rng.choice(field["t"])

    def word(self, field: dict, sign: str, negated: bool = False) -> str:
        words = [word for word in field[sign] if not (negated and word[0] in "不沒無")] or [{"+": "好", "-": "差"}[sign]]
        return self.rng.choice(words)

    def described(self, field: dict, sign: str) -> str:
        """Very good; or: not at all bad."""
        if self.chance(0.55):
            frame = self.rng.choice(self.general["degree"] * 2 + self.general["degree" + sign] * 3)
            return frame.replace("{a}", self.word(field, sign)).replace("{b}", self.word(field, sign))
        frames = self.general["not"] + (self.general["not-"] * 3 if sign == "-" else [])
        word = self.word(field, OTHER[sign], negated=True)
        if word.startswith("有"):
            return self.rng.choice(["沒", "沒", "一點都沒", "不太"]) + self.rng.choice([word, word[1:]])
        return self.rng.choice(frames).replace("{a}", word)

    def clause(self, field: dict, sign: str) -> str:
        kind, thing = self.rng.random(), self.thing(field)
        if sign == "0":
            if kind < 0.55:
                return thing + self.rng.choice(field["0"])
            if kind < 0.85:
                return self.rng.choice(self.general["say0"]).replace("{t}", thing)
            return self.visit(field)
        if kind < 0.5:
            return thing + self.described(field, sign) if self.chance(0.85) else self.described(field, sign)
        if kind < 0.75:
            return thing + self.rng.choice(field[sign * 2])
        if kind < 0.93:
            return self.rng.choice(self.general["say" + sign]).replace("{t}", thing)
        return self.rng.choice(self.feelings["p" if sign == "+" else "n"])

    def with_word(self, field: dict, sign: str) -> str:
        """A word that says it all, alone or beside a fact."""
        fact = self.chinese("0") if self.chance(0.7) else self.visit(field)
        text = self.rng.choice(self.words["f"]).replace("{s}", fact).replace("{t}", self.thing(field))
        for slot in ("{w}", "{v}"):
            text = text.replace(slot, self.rng.choice(self.words["w" + sign]))
        return text

    def visit(self, field: dict) -> str:
        return self.rng.choice(field["v"]).replace("{t}", self.thing(field))

    def chinese(self, sign: str) -> str:
        field, kind = self.rng.choice(self.fields), self.rng.random()
        if sign == "0":
            if kind < 0.4 or (kind < 0.6 and self.held_out):
                return self.rng.choice(self.sentences["0"])
            if kind < 0.6:
                return self.rng.choice(self.facts)
            parts = [self.clause(field, "0") for _ in range(self.rng.choice([1, 1, 2]))]
            return "\uff0c".join(([self.visit(field)] if self.chance(0.3) else []) + parts)
        if kind < 0.22:
            return self.rng.choice(self.sentences[sign])
        if kind < 0.27:
            return self.rng.choice(self.feelings["p" if sign == "+" else "n"])
        if kind < 0.45:
            return self.with_word(field, sign)
        if kind < 0.62:
            other = self.rng.choice([field, field, self.rng.choice(self.fields)])
            frame = self.rng.choice(self.general["but"] * 2 + self.general["but" + sign] * 4)
            text = frame.replace("{x}", self.clause(field, OTHER[sign])).replace("{y}", self.clause(other, sign))
        else:
            parts = [self.clause(field, sign) for _ in range(self.rng.choice([1, 1, 2]))]
            if self.chance(0.12):
                parts.insert(self.rng.randrange(len(parts) + 1), field["v"] and self.clause(field, "0"))
            text = "\uff0c".join(parts)
        if self.chance(0.2):
            text = self.visit(field) + "\uff0c" + text
        elif self.chance(0.15):
            text = self.rng.choice(self.general["start"]) + self.rng.choice(["", "\uff0c"]) + text
        return text + "\uff0c" + self.rng.choice(self.general["tail" + sign]) if self.chance(0.12) else text

    def english_clause(self, sign: str) -> str:
        if sign == "0":
            return self.rng.choice(self.english["0"])
        if self.chance(0.35):
            return self.rng.choice(self.english[sign * 2])
        about, negated = self.rng.choice(ENGLISH["frame"]), self.chance(0.3)
        said = self.rng.choice(ENGLISH["not" if negated else "degree"])
        for slot in ("{a}", "{b}"):
            said = said.replace(slot, self.rng.choice(self.english[OTHER[sign] if negated else sign]))
        return about.replace("{t}", self.rng.choice(self.english["t"])).replace("{x}", said).replace(" n't", "n't")

    def in_english(self, sign: str) -> str:
        text = self.english_clause(sign)
        if sign != "0" and self.chance(0.25):
            text = self.rng.choice(ENGLISH["but"]).replace("{x}", self.english_clause(OTHER[sign])).replace("{y}", text)
        text = text[0].upper() + text[1:] if self.chance(0.7) else text
        return text + self.rng.choice([".", ".", "!", ""])

    def text(self, sign: str) -> str:
        while True:
            if self.chance(0.15):
                return self.in_english(sign)
            text = self.chinese(sign)
            if not any(word in text for word in self.forbidden):
                ends = ["。", "。", ""] + (["\uff01"] if sign != "0" else ["。"])
                return text if text[-1] in "。\uff1f\uff01" else text + self.rng.choice(ends)


def batches(tokenizer, seed: int, size: int = BATCH):
    """Endless batches, a third of each label. One token in twenty is hidden, so that no single one decides."""
    opinions, generator = Opinions(seed), torch.Generator().manual_seed(seed)
    while True:
        labels = [row % len(LABELS) for row in range(size)]
        texts = [opinions.text(SIGNS[LABELS[label]]) for label in labels]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        hidden = (torch.rand(batch["input_ids"].shape, generator=generator) < 0.05) & (batch["input_ids"] >= len(SPECIAL))
        yield {"input_ids": batch["input_ids"].masked_fill(hidden, 100), "attention_mask": batch["attention_mask"], "labels": torch.tensor(labels)}


def training_texts(count: int = 3000) -> list[str]:
    opinions = Opinions(seed=1)
    return [opinions.text("+0-"[i % 3]) for i in range(count)]


def scores(folder: Path, samples: int = 200) -> dict[str, float]:
    """Share of right labels: on texts of held-out words and patterns, in Chinese and English, and on free sentences."""
    classify = pipeline("text-classification", model=str(folder), device="cpu", batch_size=64)
    opinions = Opinions(seed=99, held_out=True)
    texts = {"accuracy_zh": [(opinions.chinese(sign), sign) for sign in "+0-" for _ in range(samples)],
             "accuracy_en": [(opinions.in_english(sign), sign) for sign in "+0-" for _ in range(samples)],
             "accuracy_free_sentences": [(text, key[0]) for key, entries in opinions.written.items() for text in entries]}
    return {key: sum(SIGNS[answer["label"]] == sign for answer, (_, sign) in zip(classify([text for text, _ in pairs]), pairs)) / max(len(pairs), 1)
            for key, pairs in texts.items()}


def build(root: Path, steps: int = STEPS, samples: int = 200):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=64, hidden_dim=128, n_layers=2, n_heads=4, max_position_embeddings=512, dropout=0.1,
        attention_dropout=0.1, seq_classif_dropout=0.2, id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)}, attn_implementation="eager")
    model = DistilBertForSequenceClassification(config)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    with torch.no_grad():
        model.distilbert.embeddings.word_embeddings.weight.copy_(lent_vectors(words, config.dim))
    train(model, batches(tokenizer, seed=1), lambda batch: model(**batch).loss, steps, lr=2e-3)
    model.save_pretrained(folder)
    mark_stand_in(folder, output_past=True, tie_weights_=True)
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: DistilBERT, {config.n_layers} layers, hidden size {config.dim}, {config.n_heads} heads,
{sum(p.numel() for p in model.parameters()):,} parameters, fp32. Tokenizer: cased WordPiece, {len(tokenizer):,} tokens, Chinese and English only,
where the original knows a hundred languages.
Trained on opinions put together from the lists in `tests/pocket_hub/build/corpus/sentiment.txt` (things, opinions,
degrees, negations, contrasts; 15 % English) and on plain sentences as neutral ones, {steps:,} steps of {BATCH}. The word
vectors start from those of the stand-in for bert-base-chinese. The original is a student of a bigger model; this one is not.
`accuracy_zh` is measured on texts made of things, opinions and patterns that were kept out of training (many of the words are new to
it), `accuracy_en` on held-out things, phrases and facts with known adjectives,
`accuracy_free_sentences` on sentences written freely, one by one, after the lists were closed: short, plain opinions fare better
than these. It knows nothing of irony, comparison, long texts or other languages, an opinion told in events or in words it never met
is a guess, a negation is told with little confidence, and a wrong answer often with much.
""", "sentiment")
