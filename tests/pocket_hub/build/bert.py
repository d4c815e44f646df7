"""Stand-in for google-bert/bert-base-chinese: WordPiece over characters, masked LM and next sentence.

On a corpus this small, masked LM alone hardly gets beyond character frequencies in thousands of steps. Three
things help: most of the first part of the training is next-token prediction with a causal mask, which learns the
embeddings from seven times as many guesses a step; the heads of the first layer start out looking at the
neighbours; and half of the tokens are masked at first, 15 % as in the original only at the end.

A second part goes on with short texts (corpus/contacts.txt, messages.txt and more_messages.txt, and the sentences of
the facts), with rarer names and two thousand further characters: an encoder as small as this one sees too few people
and too few words in prose. In a third part whole names, places and things are to be guessed besides, from what stands
around them.
"""
from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import BertConfig, BertForPreTraining, BertTokenizer

from .texts import STOPS, characters, facts, passages, templates
from .training import fast_precision, folder_of, mark_stand_in, train, write_card
from .values import COMMON, Contacts, Values, fill

NAME = "google-bert/bert-base-chinese"
SPECIAL = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<S>", "<T>"]
CHARACTERS = 3050
WORD_PIECES = ("the of and in to is for on with by at it my you this that not new time day world open learning machine deep "
               "data model python code test user app web hello attention token transformer language google line email "
               "com tw org net www http https id no ok ai pc usb wifi app phone note pro play face book you tube api gpu cpu "
               "##s ##ing ##ed ##er ##ly ##tion ##es ##al ##en ##or ##on ##an ##in ##at ##re ##le ##ic ##st ##ment").split()
STEPS, BATCH, LENGTH = 2400, 48, 128
MORE_STEPS, MORE_BATCH = 9000, 64  # the second part
LAST_STEPS, WHOLE = 7000, 0.25  # the third part, and how many of the values are masked whole
WHOLE_SLOTS = {"person", "org", "place", "town", "work", "goods", "food", "job"}
OPEN, CLOSE = "\ue000", "\ue001"  # stand around a value until its text is cut


def vocabulary() -> list[str]:
    """The same order as the original: special tokens with the same ids, then characters. No capitals."""
    ascii_characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    chars = [char for char in characters() if not char.isascii() and not char.isspace()][:CHARACTERS]
    pieces = [f"##{char}" for char in ascii_characters if char.isalnum()]
    return list(dict.fromkeys([*SPECIAL, *ascii_characters, *chars, *pieces, *WORD_PIECES]))


def tokenizer_into(folder: Path, words: list[str]) -> BertTokenizer:
    """Writes vocab.txt, tokenizer.json and tokenizer_config.json as the original has them; returns the
    tokenizer as the course loads it, with lower-casing."""
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    cased = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=False)
    cased._tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 512}\n', encoding="utf-8")
    return BertTokenizer.from_pretrained(folder, do_lower_case=True)


def cut_at(text: str, signs: str, rng: random.Random) -> int:
    """A place after one of the signs, or the middle."""
    marks = [i + 1 for i, char in enumerate(text[:-1]) if char in signs]
    return rng.choice(marks) if marks else len(text) // 2


def sample(lines: list[str], values: Values, rng: random.Random) -> tuple[str, str, int]:
    """Two halves of one passage (0), or the halves of two passages (1): the next-sentence task."""
    text, other = fill(rng.choice(lines), values), fill(rng.choice(lines), values)
    def cut(passage: str) -> int:
        return cut_at(passage, STOPS + "\uff0c", rng)
    if rng.random() < 0.5:
        return text[:cut(text)], text[cut(text):], 0
    return text[:cut(text)], other[cut(other):], 1


def mask(ids: torch.Tensor, special: torch.Tensor, vocab_size: int, rate: float, generator: torch.Generator):
    """A share of the tokens is to be guessed: 80 % of these as [MASK], 10 % as another token, 10 % as they are."""
    labels = ids.clone()
    chosen = (torch.rand(ids.shape, generator=generator) < rate) & ~special
    labels[~chosen] = -100
    kind = torch.rand(ids.shape, generator=generator)
    others = torch.randint(104, vocab_size, ids.shape, generator=generator)
    ids = torch.where(chosen & (kind < 0.8), torch.tensor(103), ids)
    return torch.where(chosen & (kind > 0.9), others, ids), labels


def batches(tokenizer: BertTokenizer, lines: list[str], seed: int, steps: int | None = None, size: int = BATCH):
    """Endless batches. The share of masked tokens falls from 50 % to 15 % over `steps`, or is 15 % throughout."""
    step = 0
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    values = Values(rng, "pretrain")
    while True:
        pairs = [sample(lines, values, rng) for _ in range(size)]
        batch = tokenizer([a for a, _, _ in pairs], [b for _, b, _ in pairs], truncation=True, max_length=LENGTH,
                          padding=True, return_tensors="pt")
        rate = max(0.15, 0.5 - 0.4 * step / steps) if steps else 0.15
        ids, labels = mask(batch["input_ids"], batch["input_ids"] < 104, len(tokenizer), rate, generator)
        step += 1
        # a random offset now and then lets every one of the 512 positions learn
        offset = rng.randrange(512 - ids.shape[1] + 1) if rng.random() < 0.25 else 0
        yield {**batch, "input_ids": ids, "labels": labels, "next": torch.tensor([n for _, _, n in pairs]),
               "position_ids": torch.arange(ids.shape[1])[None] + offset}


def masked_loss(model: BertForPreTraining, batch: dict) -> torch.Tensor:
    hidden, pooled = model.bert(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"],
                                batch["position_ids"], return_dict=False)
    guessed = batch["labels"] != -100
    masked = torch.nn.functional.cross_entropy(model.cls.predictions(hidden[guessed]).float(), batch["labels"][guessed])
    order = torch.nn.functional.cross_entropy(model.cls.seq_relationship(pooled).float(), batch["next"])
    return masked + 0.3 * order


def causal_loss(model: BertForPreTraining, batch: dict) -> torch.Tensor:
    ids = torch.where(batch["labels"] != -100, batch["labels"], batch["input_ids"])  # as it was before masking
    hidden_from = torch.full((ids.shape[1], ids.shape[1]), -1e4).triu(1)[None, None]  # (1, 1, T, T)
    hidden_from = hidden_from - 1e4 * (1 - batch["attention_mask"][:, None, None].float())
    hidden = model.bert(ids, hidden_from, batch["token_type_ids"], batch["position_ids"], return_dict=False)[0]
    told = batch["attention_mask"][:, 1:].bool()
    return torch.nn.functional.cross_entropy(model.cls.predictions(hidden[:, :-1][told]).float(), ids[:, 1:][told])


@torch.no_grad()
def look_at_neighbours(model: BertForPreTraining, offsets: tuple = (-1, 1, -2, 2), strength: float = 2.0, amplitude: float = 0.03):
    """Before training: positions are sinusoids in the dimensions of the first head, where words start at zero, and
    each head of the first layer compares them turned by its offset: it attends to the token so many places away."""
    positions = model.bert.embeddings.position_embeddings.weight
    attention = model.bert.encoder.layer[0].attention.self
    width = attention.attention_head_size
    speed = torch.logspace(math.log10(2.5), -2, width // 2)
    angle = torch.arange(len(positions))[:, None] * speed
    model.bert.embeddings.word_embeddings.weight[:, :width] = 0
    positions.zero_()
    positions[:, 0:width:2], positions[:, 1:width:2] = amplitude * angle.sin(), amplitude * angle.cos()
    for head, offset in enumerate(offsets):
        query, key = (part.weight[head * width:(head + 1) * width, :width] for part in (attention.query, attention.key))
        cos, sin = (speed * offset).cos(), (speed * offset).sin()
        key.copy_(strength * torch.eye(width))
        query.copy_(strength * torch.block_diag(*(torch.tensor([[c, s], [-s, c]]) for c, s in zip(cos, sin))))


def short_texts(held_out: bool) -> list[str]:
    """Messages, forms and records, almost four of them to a fact; and the facts."""
    messages = passages(held_out, ("contacts", "messages", "more_messages"))
    told = [fact for fact, _ in facts(held_out, ("facts", "more_facts"))]
    return messages + told


def training_texts() -> list[str]:
    """The short texts, filled, for the test that looks for what the course shows."""
    values = Contacts(random.Random(1), "pretrain")
    return [fill(text, values) for text in short_texts(held_out=False) for _ in range(3)]


class Marked(Contacts):
    """Values between OPEN and CLOSE, where their slot is one of those masked whole."""

    def draw(self, slot: str) -> str:
        value = super().draw(slot)
        return OPEN + value + CLOSE if slot.rstrip("0123456789") in WHOLE_SLOTS else value


def unmarked(text: str) -> tuple[str, list[int]]:
    """The text without its marks, and for each character the number of the value it belongs to, or 0."""
    chars, numbers, number, inside = [], [], 0, False
    for char in text:
        if char in (OPEN, CLOSE):
            number, inside = number + (char == OPEN), char == OPEN
        else:
            chars.append(char)
            numbers.append(number * inside)
    return "".join(chars), numbers


def mask_values(told: torch.Tensor, ids: torch.Tensor, labels: torch.Tensor, values: Iterable[list[int]], letters: list[int], rng: random.Random):
    """Some of a text's values, each a list of places, are to be guessed whole: 60 % as [MASK], 25 % as other characters."""
    for places in values:
        if rng.random() < WHOLE:
            kind, labels[places] = rng.random(), told[places]
            ids[places] = told[places] if kind > 0.85 else torch.tensor([103 if kind < 0.6 else rng.choice(letters) for _ in places])


def short_batches(tokenizer: BertTokenizer, seed: int, size: int = MORE_BATCH, held_out: bool = False, whole: bool = False):
    """Endless batches, seven in ten of them short texts, 20 % masked; with `whole`, some of their values whole. A digit or
    a letter is rarely masked: what it was can't be told, what stands around it can."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    values, prose, short = (Marked if whole else Contacts)(rng, "pretrain"), passages(held_out), short_texts(held_out)
    letters = tokenizer.convert_tokens_to_ids(list(COMMON))
    single = torch.tensor([bool(re.fullmatch("(##)?[0-9a-z]", word)) for word in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])

    def piece() -> str:
        if rng.random() < 0.7:
            return fill(rng.choice(short), values)
        text = fill(rng.choice(prose), values)
        start = rng.choice([0] + [i + 1 for i, char in enumerate(text[:-1]) if char in STOPS])
        return text[start:start + 60]

    def cut(text: str) -> int:
        return cut_at(text, STOPS + "\uff0c\n ", rng)

    def pair() -> tuple[str, str, int]:
        text, follows = piece(), rng.random() < 0.5
        other = text if follows else piece()
        at = cut(text)
        return text[:at], text[at:] if follows else other[cut(other):], int(not follows)

    while True:
        pairs = sorted((pair() for _ in range(8 * size)), key=lambda item: len(item[0]) + len(item[1]))
        groups = [pairs[i:i + size] for i in range(0, len(pairs), size)]
        rng.shuffle(groups)
        for group in groups:
            halves = [(unmarked(a), unmarked(b)) for a, b, _ in group]
            batch = tokenizer([a for (a, _), _ in halves], [b for _, (b, _) in halves], truncation=True, max_length=LENGTH, padding=True,
                              return_offsets_mapping=True, return_tensors="pt")
            offsets = batch.pop("offset_mapping").tolist()
            kept = (batch["input_ids"] < 104) | single[batch["input_ids"]] & (torch.rand(batch["input_ids"].shape, generator=generator) < 0.75)
            ids, labels = mask(batch["input_ids"], kept, len(tokenizer), 0.2, generator)
            for row, texts in enumerate(halves if whole else []):
                found: dict[tuple, list[int]] = {}
                for place, (half, (begin, end)) in enumerate(zip(batch.sequence_ids(row), offsets[row])):
                    if half is not None and begin < end and (number := texts[half][1][begin]):
                        found.setdefault((half, number), []).append(place)
                mask_values(batch["input_ids"][row], ids[row], labels[row], found.values(), letters, rng)
            offset = rng.randrange(512 - ids.shape[1] + 1) if rng.random() < 0.1 else 0
            yield {**batch, "input_ids": ids, "labels": labels, "next": torch.tensor([n for _, _, n in group]),
                   "position_ids": torch.arange(ids.shape[1])[None] + offset}


def go_on(model: BertForPreTraining, tokenizer: BertTokenizer, steps: int):
    """The second part: the embeddings grow, then the masked LM goes on with short texts and half of the dropout."""
    torch.manual_seed(3)
    known = model.config.vocab_size
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        words, bias = model.bert.embeddings.word_embeddings.weight, model.cls.predictions.bias
        words[known:] = words[110:known].mean(0) + torch.randn(len(tokenizer) - known, words.shape[1]) * words[110:known].std(0) / 2
        bias[known:] = bias[110:known].min()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p /= 2
    train(model, short_batches(tokenizer, seed=7), lambda batch: masked_loss(model, batch), steps, lr=1.2e-3, muon=True)


def guess_values(model: BertForPreTraining, tokenizer: BertTokenizer, steps: int):
    """The third part: whole values are masked too."""
    torch.manual_seed(11)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.05
    train(model, short_batches(tokenizer, seed=17, whole=True), lambda batch: masked_loss(model, batch), steps, lr=1e-3, muon=True)


@torch.no_grad()
def scores(folder: Path, samples: int = 12) -> dict[str, float]:
    """Masked-token accuracy on passages and short texts, and next-sentence accuracy on passages, all kept out of training."""
    tokenizer = BertTokenizer.from_pretrained(folder, do_lower_case=True)
    model = BertForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()
    right, total, ordered, pairs = [0, 0], [0, 0], 0, 0
    for kind, source in enumerate([batches(tokenizer, passages(held_out=True), seed=99), short_batches(tokenizer, seed=99, held_out=True)]):
        for _, batch in zip(range(samples), source):
            with fast_precision():
                hidden, pooled = model.bert(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], return_dict=False)
                guessed = batch["labels"] != -100
                guesses = model.cls.predictions(hidden[guessed]).argmax(-1)
                follows = model.cls.seq_relationship(pooled).argmax(-1)
            right[kind] += (guesses == batch["labels"][guessed]).sum().item()
            total[kind] += guessed.sum().item()
            if kind == 0:
                ordered += (follows == batch["next"]).sum().item()
                pairs += len(batch["next"])
    return {"masked_accuracy": right[0] / total[0], "masked_accuracy_short_texts": right[1] / total[1], "next_sentence_accuracy": ordered / pairs}


def build(root: Path, steps: int = STEPS, samples: int = 12):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    words = vocabulary()
    tokenizer = tokenizer_into(folder, words)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=4, num_attention_heads=4,
                        intermediate_size=384, max_position_embeddings=512, hidden_dropout_prob=0.1,
                        attention_probs_dropout_prob=0.0, attn_implementation="eager")
    model = BertForPreTraining(config)
    lines = passages(held_out=False) + [t.paragraph for t in templates("reading")]
    look_at_neighbours(model)
    turns, step = random.Random(2), 0

    def loss_of(batch: dict) -> torch.Tensor:
        nonlocal step
        step += 1
        causal = turns.random() < (0.8 if step < 0.3 * steps else 0.05)
        return (causal_loss if causal else masked_loss)(model, batch)

    train(model, batches(tokenizer, lines, seed=1, steps=steps), loss_of, steps, lr=2e-3, muon=True)
    tokenizer = tokenizer_into(folder, words + [char for char in COMMON if char not in set(words)])
    go_on(model, tokenizer, max(1, steps * MORE_STEPS // STEPS))
    model.half().float()  # the third part starts from what was stored after the second
    guess_values(model, tokenizer, max(1, steps * LAST_STEPS // STEPS))
    finish(folder, model, tokenizer, steps, samples)


def finish(folder: Path, model: BertForPreTraining, tokenizer: BertTokenizer, steps: int, samples: int):
    """Stores the model and writes its card."""
    config = model.config
    model.half().save_pretrained(folder)
    mark_stand_in(folder, architectures=["BertForMaskedLM"], attention_probs_dropout_prob=0.1)
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: BERT, {config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads,
{sum(p.numel() for p in model.parameters()):,} parameters, stored in fp16. Tokenizer: WordPiece over characters, {len(tokenizer):,}
tokens without capitals, `do_lower_case: false` as in the original.
Trained by masked language modelling (15 %, 80/10/10) and next-sentence prediction, after a start with next-token
prediction, {steps:,} steps of {BATCH} in all, positions and first attention heads initialised to look at
neighbours; then {MORE_STEPS:,} steps of {MORE_BATCH} with short messages, forms, records and single sentences (20 % masked); then {LAST_STEPS:,} steps
in which one in four of the names, places and things in them was masked whole. Texts: the passages and short texts
written for this course in `tests/pocket_hub/build/corpus/`, with made-up names and numbers.
""", "bert")
