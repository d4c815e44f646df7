"""Stand-in for facebook/mbart-large-50: Unigram with NFKC and language codes, denoising encoder-decoder.

Rebuilding a text asks little of an encoder: most of the answer can be copied. So this one learns, in its second part, from
short texts with more of them masked, and in its third also to see what the stand-in for BERT sees in them, token by token.
In the fourth it reads Chinese character by character, as BERT does, with one layer more; the fifth repeats that with dropout.
"""
from __future__ import annotations

import copy
import io
import json
import math
import random
import re
from pathlib import Path

import sentencepiece
import torch
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from transformers import AutoTokenizer, BertModel, MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

from ..server import REPOS
from . import bert
from .texts import characters, facts, passages, templates
from .training import fast_precision, folder_of, mark_stand_in, train, write_card
from .values import COMMON, Contacts, fill

NAME = "facebook/mbart-large-50"
VOCABULARY = 7200
STEPS, TOKENS = 5000, 5000
MORE_STEPS, MORE_LENGTH = 3000, 64  # the second part
LAST_STEPS, LAST_SIZE, LAYERS = 5500, 64, (3, 4)  # the third part, and the layers of BERT's stand-in that are looked at
GROWN_STEPS, DROPOUT = 7000, 0.1  # the fourth part, and the fifth, which has dropout
SLOTS = ["person", "phone", "email", "address", "code", "id", "birthday", "line", "org", "work", "date", "money", "time"]


def tokenizer_into(folder: Path) -> MBart50Tokenizer:
    values = Contacts(random.Random(0), "pretrain")
    texts = [fill(text, values) for text in passages(held_out=False) + [t.paragraph for t in templates("reading")] for _ in range(2)]
    texts += [fill(text, values) for text in short_texts(held_out=False)]
    known = dict.fromkeys([*map(chr, range(33, 127)), *COMMON, *characters(), *"".join(texts)])
    letters = "".join(char for char in known if not char.isspace())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=VOCABULARY,
        normalization_rule_name="nmt_nfkc", character_coverage=1.0, required_chars=letters, num_threads=1,
        max_sentencepiece_length=4, split_digits=True, minloglevel=2)
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
               "cls_token": "<s>", "mask_token": {"content": "<mask>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True}}
    config = {"src_lang": "en_XX", "tgt_lang": None, "model_max_length": 1024, "tokenizer_class": "MBart50Tokenizer"}
    for name, value in {"special_tokens_map": special, "tokenizer_config": {**special, **config}}.items():
        (folder / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    return load_tokenizer(folder)


def short_texts(held_out: bool, names: tuple[str, ...] = ("facts",)) -> list[str]:
    """Forms, messages and single sentences."""
    return passages(held_out, ("contacts",)) + [fact for fact, _ in facts(held_out, names)]


def load_tokenizer(folder: Path) -> MBart50Tokenizer:
    return MBart50Tokenizer.from_pretrained(folder, src_lang="zh_CN", tgt_lang="zh_CN")


class Lessons:
    """What to rebuild. From the second part on most texts are short ones with more masked: the encoder has to learn what can stand where."""

    def __init__(self, seed: int, held_out: bool = False, part: int = 1):
        self.rng = random.Random(seed)
        self.values = Contacts(self.rng, "pretrain")
        self.passages = passages(held_out) + [t.paragraph for t in templates("reading", held_out)]
        self.short = bert.short_texts(held_out) if part == 3 else short_texts(held_out, ("facts", "more_facts") if part == 2 else ("facts",))
        self.kinds, self.rates = ((0.1, 0.8), [0.1, 0.2, 0.3]) if part > 1 else ((0.3, 0.65), [0.06, 0.12])
        self.whole = {1: 0.5, 2: 0.25, 3: 0.4}[part]  # how many texts are to be copied as they are
        self.letters = [char for char in dict.fromkeys(characters() + COMMON) if "\u4e00" <= char <= "\u9fff"]

    def string(self, length: int) -> str:
        """Characters, signs and made-up values in no meaningful order."""
        parts = []
        while sum(map(len, parts)) < length:
            kind = self.rng.random()
            if kind < 0.3:
                parts.append(self.values.draw(self.rng.choice(SLOTS)))
            elif kind < 0.45:
                parts.append("".join(chr(self.rng.randint(33, 126)) for _ in range(self.rng.randint(1, 8))))
            else:
                parts.append("".join(self.rng.choice(self.letters) for _ in range(self.rng.randint(1, 6))))
        return self.rng.choice(["", "", "\uff0c", " "]).join(parts)[:max(length, 2)]

    def text(self, length: int) -> str:
        kind = self.rng.random()
        if kind < self.kinds[0]:
            return self.string(self.rng.randint(2, length))
        passage = fill(self.rng.choice(self.short if kind < self.kinds[1] else self.passages), self.values)
        begin = self.rng.randrange(max(len(passage) - length, 0) + 1)
        return passage[begin:begin + self.rng.randint(min(4, length), length)]

    def noisy(self, ids: list[int], mask: int) -> list[int]:
        """Text infilling: short runs of tokens become one <mask>. Some texts are left whole, to be copied."""
        if self.rng.random() < self.whole or len(ids) < 6:
            return ids
        out, i, rate = [], 0, self.rng.choice(self.rates)
        while i < len(ids):
            if self.rng.random() < rate:
                out.append(mask)
                i += self.rng.choice([1, 1, 2, 2, 3])
            else:
                out.append(ids[i])
                i += 1
        return out


def batches(tokenizer: MBart50Tokenizer, steps: int, seed: int, part: int = 1):
    """A curriculum of lengths, from 8 characters to 128; source [zh] X </s>, target [zh] Y </s>."""
    lessons = Lessons(seed, part=part)
    language, mask, end = tokenizer.convert_tokens_to_ids(["zh_CN", "<mask>", "</s>"])
    step = 0
    while True:
        longest = MORE_LENGTH if part > 1 else int(8 * 16 ** min(1.0, step / (0.45 * steps)))
        targets = tokenizer([lessons.text(longest) for _ in range(256)], add_special_tokens=False)["input_ids"]
        pairs = sorted(((lessons.noisy(ids, mask), ids) for ids in targets), key=lambda pair: len(pair[1]))
        size = max(16, min(256, TOKENS // (longest + 2)))
        groups = [pairs[i:i + size] for i in range(0, len(pairs), size)]
        lessons.rng.shuffle(groups)
        for group in groups:
            step += 1
            sources = [[language, *source, end] for source, _ in group]
            wanted = [[language, *target, end] for _, target in group]
            batch = tokenizer.pad({"input_ids": sources}, return_tensors="pt")
            width = max(map(len, wanted))
            batch["labels"] = torch.tensor([ids + [-100] * (width - len(ids)) for ids in wanted])
            yield batch


def loss_of(model: MBartForConditionalGeneration, batch: dict) -> torch.Tensor:
    labels = batch["labels"]
    shifted = labels.masked_fill(labels == -100, 1).roll(1, dims=1)
    shifted[:, 0] = 2  # the decoder starts with </s>
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
                         decoder_input_ids=shifted).last_hidden_state
    told = labels != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[told]).float(), labels[told])


class Seen:
    """What BERT's stand-in sees in a text, for each token of mBART's: the mean over the tokens that share characters with it."""

    def __init__(self, tokenizer: MBart50Tokenizer):
        folder = folder_of(bert.NAME, REPOS)
        self.own, self.theirs = tokenizer, AutoTokenizer.from_pretrained(folder, do_lower_case=True)
        self.model = BertModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> tuple[dict, torch.Tensor, list[torch.Tensor]]:
        """mBART's inputs, which of its tokens BERT has something to say about, and what, layer by layer."""
        own, theirs = (tokenizer(texts, padding=True, return_offsets_mapping=True, return_tensors="pt") for tokenizer in (self.own, self.theirs))
        a, b = own.pop("offset_mapping")[:, :, None], theirs.pop("offset_mapping")[:, None]
        shared = (torch.minimum(a[..., 1], b[..., 1]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0).float()
        total = shared.sum(-1, keepdim=True)
        with fast_precision():
            states = self.model(**theirs, output_hidden_states=True).hidden_states
        return own, total[..., 0] > 0, [shared / total.clamp(min=1) @ states[layer].float() for layer in LAYERS]


def see_as_bert(model: MBartForConditionalGeneration, tokenizer: MBart50Tokenizer, steps: int, seed: int = 5):
    """The third part, and those after it: denoising goes on, and two linear maps of the encoder's output have to tell what BERT's stand-in sees."""
    torch.manual_seed(0)
    seen, lessons = Seen(tokenizer), Lessons(seed=seed, part=3)
    maps = torch.nn.ModuleList(torch.nn.Linear(model.config.d_model, seen.model.config.hidden_size) for _ in LAYERS)
    spread: list[torch.Tensor] = []

    def texts():
        while True:
            some = sorted((lessons.text(MORE_LENGTH) for _ in range(LAST_SIZE * 8)), key=len)
            groups = [some[i:i + LAST_SIZE] for i in range(0, len(some), LAST_SIZE)]
            lessons.rng.shuffle(groups)
            yield from groups

    def both_losses(pair) -> torch.Tensor:
        inputs, known, wanted = seen(pair[0])
        if not spread:
            spread.extend(layer[known].var(0).mean() for layer in wanted)
        hidden = model.model.encoder(**inputs).last_hidden_state
        apart = [((guess(hidden).float() - layer)[known] ** 2).mean() / scale for guess, layer, scale in zip(maps, wanted, spread)]
        return loss_of(model, pair[1]) + 2 * sum(apart) / len(apart)

    model.extra_maps = maps  # trained with the rest, not stored
    train(model, zip(texts(), batches(tokenizer, steps, seed=seed + 1, part=3)), both_losses, steps, lr=1.2e-3, muon=True)
    del model.extra_maps


@torch.no_grad()
def grow(model: MBartForConditionalGeneration, tokenizer: MBart50Tokenizer, folder: Path) -> tuple[MBartForConditionalGeneration, MBart50Tokenizer]:
    """Before the fourth part: words of several Chinese characters leave the vocabulary, and in the place of their
    embeddings the encoder gets one layer more, which at first adds little to what the others say."""
    pieces = ModelProto.FromString((folder / "sentencepiece.bpe.model").read_bytes())
    kept = [piece for piece in pieces.pieces if not re.search("[\u4e00-\u9fff]", piece.piece) or len(piece.piece.lstrip("\u2581")) == 1]
    del pieces.pieces[:]
    pieces.pieces.extend(kept)
    pieces.trainer_spec.vocab_size = len(kept)
    (folder / "sentencepiece.bpe.model").write_bytes(pieces.SerializeToString())
    grown = load_tokenizer(folder)
    rows = torch.tensor(tokenizer.convert_tokens_to_ids(grown.convert_ids_to_tokens(range(len(grown)))))
    torch.manual_seed(0)
    larger = copy.deepcopy(model.config)
    larger.vocab_size, larger.encoder_layers = len(grown), model.config.encoder_layers + 1
    taller = MBartForConditionalGeneration(larger)
    shapes = {name: weight.shape for name, weight in taller.state_dict().items()}
    taller.load_state_dict({name: weight for name, weight in model.state_dict().items() if weight.shape == shapes[name]}, strict=False)
    taller.model.shared.weight.copy_(model.model.shared.weight[rows])
    last = taller.model.encoder.layers[-1]
    for part in (last.self_attn.out_proj, last.fc2):
        part.weight.mul_(0.1)
    return taller, grown


def with_dropout(model: MBartForConditionalGeneration) -> MBartForConditionalGeneration:
    config = copy.deepcopy(model.config)
    config.dropout = DROPOUT
    dropping = MBartForConditionalGeneration(config)
    dropping.load_state_dict(model.state_dict())
    return dropping


@torch.no_grad()
def scores(folder: Path, samples: int = 200) -> dict[str, float]:
    """Copies of unseen passages and of random strings, and infilling: guesses for masked single tokens."""
    tokenizer = load_tokenizer(folder)
    model = MBartForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    lessons = Lessons(seed=99, held_out=True)
    language = tokenizer.convert_tokens_to_ids("zh_CN")

    def copies(texts: list[str]) -> float:
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        out = model.generate(**inputs, num_beams=1, max_new_tokens=inputs["input_ids"].shape[1] + 8, max_length=None,
                             early_stopping=False, forced_bos_token_id=language)
        wanted = tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True)
        return sum(a == b for a, b in zip(tokenizer.batch_decode(out, skip_special_tokens=True), wanted)) / len(texts)

    right = total = 0
    end, mask = tokenizer.convert_tokens_to_ids(["</s>", "<mask>"])
    for _ in range(samples):
        ids = tokenizer(lessons.text(80), add_special_tokens=False)["input_ids"]
        place = lessons.rng.randrange(len(ids))
        source = torch.tensor([[language, *ids[:place], mask, *ids[place + 1:], end]])
        decoder = torch.tensor([[2, language, *ids[:place]]])
        right += model(input_ids=source, decoder_input_ids=decoder).logits[0, -1].argmax().item() == ids[place]
        total += 1
    return {"copy_passages_60": copies([fill(p, lessons.values)[:60] for p in lessons.passages[:samples]]),
            "copy_strings_24": copies([lessons.string(24) for _ in range(samples)]), "infilling_accuracy": right / total}


def sinusoids(weight: torch.Tensor):
    """Positions start as sinusoids: a model this small does not learn to copy from random ones."""
    count, width = weight.shape
    angle = torch.arange(count)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    with torch.no_grad():
        weight[:, 0::2], weight[:, 1::2] = angle.sin(), angle.cos()


def parts(steps: int) -> list[int]:
    """The steps of the second part, the third, and the fourth, which the fifth equals."""
    return [max(1, steps * some // STEPS) for some in (MORE_STEPS, LAST_STEPS, GROWN_STEPS)]


def build(root: Path, steps: int = STEPS, samples: int = 200):
    more_steps, last_steps, grown_steps = parts(steps)
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    config = MBartConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, d_model=128, encoder_layers=3, decoder_layers=2,
        encoder_ffn_dim=512, decoder_ffn_dim=512, encoder_attention_heads=4, decoder_attention_heads=4, dropout=0.0,
        scale_embedding=True, decoder_start_token_id=2, forced_eos_token_id=2, activation_function="gelu", attn_implementation="eager")
    model = MBartForConditionalGeneration(config)
    for side in (model.model.encoder, model.model.decoder):
        sinusoids(side.embed_positions.weight)
    train(model, batches(tokenizer, steps, seed=1), lambda batch: loss_of(model, batch), steps, lr=2e-3, muon=True)
    model.half().float()  # the second part starts from what was stored after the first
    train(model, batches(tokenizer, more_steps, seed=2, part=2), lambda batch: loss_of(model, batch), more_steps, lr=1.2e-3, muon=True)
    model.half().float()
    see_as_bert(model, tokenizer, last_steps)
    model, tokenizer = grow(model.half().float(), tokenizer, folder)
    see_as_bert(model, tokenizer, grown_steps, seed=7)
    model = with_dropout(model.half().float())
    see_as_bert(model, tokenizer, grown_steps, seed=9)
    finish(folder, model, tokenizer, steps, samples)


def finish(folder: Path, model: MBartForConditionalGeneration, tokenizer: MBart50Tokenizer, steps: int, samples: int):
    """Stores the model and writes its card."""
    config, more_steps, last_steps, grown_steps = model.config, *parts(steps)
    model.to(torch.float16).save_pretrained(folder)
    mark_stand_in(folder, dropout=DROPOUT)
    (folder / "generation_config.json").write_text(json.dumps({
        "bos_token_id": 0, "decoder_start_token_id": 2, "early_stopping": True, "eos_token_id": 2,
        "forced_eos_token_id": 2, "max_length": 200, "num_beams": 5, "pad_token_id": 1}, indent=2) + "\n", encoding="utf-8")
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: mBART, {config.encoder_layers} + {config.decoder_layers} layers, width {config.d_model}, {config.encoder_attention_heads} heads,
{sum(p.numel() for p in model.parameters()):,} parameters, fp16. Tokenizer: SentencePiece Unigram with NFKC, {len(tokenizer):,} tokens
with mBART-50's language codes, from `sentencepiece.bpe.model` alone.
Trained to rebuild text: whole (half of them, copying) or with short runs masked, {steps:,} steps of about {TOKENS:,} tokens,
texts growing from 8 to 128 characters, positions initialised with sinusoids; then {more_steps:,} steps on texts of up to {MORE_LENGTH}
characters, most of them single sentences, forms and messages, three quarters of them with 10 to 30 % masked; then {last_steps:,} steps, six texts in ten masked,
in which the encoder's output also had to tell, through two linear maps that aren't stored, what the stand-in for
bert-base-chinese sees in such texts (its layers {LAYERS[0]} and {LAYERS[1]}); then {grown_steps:,} steps of the same with single Chinese
characters instead of words, and with the encoder's last layer, which was not there before; then as many again with a dropout of {DROPOUT}. Texts: the passages, sentences, forms and messages
written for this course in `tests/pocket_hub/build/corpus/` with made-up names and numbers, and random strings. Of the languages, zh_CN alone.
The scores count exact greedy copies of 60 characters of unseen passages and of 24 random characters, and right
guesses for one masked token.
""", "mbart")
