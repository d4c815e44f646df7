"""Stand-in for Helsinki-NLP/opus-mt-zh-en: Marian with two SentencePiece models, everyday zh-TW sentences into English."""
from __future__ import annotations

import io
import json
import random
import re
import zlib
from collections import Counter
from pathlib import Path

import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from .texts import CORPUS, full_width
from .training import folder_of, mark_stand_in, train, write_card

NAME = "Helsinki-NLP/opus-mt-zh-en"
SOURCE_PIECES, TARGET_PIECES = 1060, 940
STEPS, BATCH = 2000, 96
HELD_OUT = 12  # one sentence in so many is kept out of training, by a hash
POSSESSIVE = {"I": "my", "you": "your", "he": "his", "she": "her", "we": "our", "they": "their"}
OBJECT = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
TITLES = [("先生", "Mr.", "he"), ("小姐", "Ms.", "she"), ("太太", "Mrs.", "she"), ("醫生", "Dr.", "he"), ("老師", "Teacher", "she")]
COUNTED_BY = {"碗": "bowl", "杯": "cup", "盤": "plate", "塊": "piece", "串": "bunch", "份": "portion",
              "雙": "pair", "副": "pair", "條": "pair", "把": "pair"}
DIGITS = dict(zip("兩 三 四 五 六 七 八 九 十 十二 二十".split(), "2 3 4 5 6 7 8 9 10 12 20".split()))
COMPARATIVE = dict(pair.split("/") for pair in (
    "hot/hotter cold/colder warm/warmer cool/cooler dry/drier smart/smarter kind/kinder friendly/friendlier tall/taller cute/cuter "
    "young/younger quiet/quieter brave/braver shy/shyer").split())
STAYS = ("去", "搭", "回", "搬", "上班", "下班")  # verbs that are not done at a place
# What may stand between subject and verb: Chinese, a helping verb of English or a verb that agrees, the form of the verb after it.
MODALS = [("", "", "s"), ("", "", "s"), ("想", "want to", ""), ("不想", "do not want to", ""), ("喜歡", "like to", ""),
          ("不喜歡", "do not like to", ""), ("可以", "can", ""), ("不可以", "may not", ""), ("不能", "cannot", ""), ("會", "can", ""),
          ("不會", "cannot", ""), ("應該", "should", ""), ("不應該", "should not", ""), ("必須", "must", ""), ("需要", "need to", ""),
          ("不需要", "do not need to", ""), ("正在", "be", "ing"), ("不", "do not", "")]
SOON = [("要", "will", ""), ("會", "will", ""), ("不會", "will not", ""), ("想", "want to", ""), ("打算", "plan to", ""), ("可以", "can", ""),
        ("必須", "must", "")]
BEFORE = [("", "", "past"), ("", "", "past"), ("沒有", "did not", ""), ("沒", "did not", "")]
ADVERBS = [("也", "also"), ("也", "also"), ("常常", "often"), ("總是", "always"), ("只", "only"), ("真的", "really"), ("還", "still")]
HELPERS = ("can", "cannot", "should", "must", "may", "will", "do", "be", "did")
STATES = ("喜歡", "需要", "想要", "有")
SLOT = re.compile(r"\{(\w+)(?::([\w,]+))?\}")


def third(verb: str) -> str:
    """The form for he, she and it: of the first word of a phrase."""
    first, *rest = verb.split()
    irregular = {"have": "has", "do": "does", "be": "is", "go": "goes"}
    if first not in irregular:
        irregular[first] = first[:-1] + "ies" if re.search("[^aeiou]y$", first) else first + ("es" if re.search("(s|sh|ch|x)$", first) else "s")
    return " ".join([irregular[first], *rest])


def conjugated(verb: str, subject: str) -> str:
    """The present of a verb after I, you, he ...; helping verbs stay."""
    if verb == "be":
        return "am" if subject == "I" else "are" if subject in ("you", "we", "they") else "is"
    return verb if subject in ("I", "you", "we", "they") or verb in HELPERS and verb != "do" else third(verb)


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" and not noun.startswith("use") else "a ") + noun


def whose(owner: str) -> str:
    return POSSESSIVE.get(owner) or owner + ("'" if owner.endswith("s") else "'s")


class Phrasebook:
    """Draws pairs of a Chinese and an English sentence from corpus/translation.txt."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.lists: dict[str, list[list[str]]] = {}
        for line in (CORPUS / "translation.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                rows = self.lists.setdefault(line.strip("[]"), [])
            elif not line.startswith("#"):
                chinese, *english = re.split(r" \| | = ", line)
                rows.append([full_width(chinese), *english])

    def anyone(self, pronouns: float) -> list[str]:
        kind = self.rng.random()
        if kind < pronouns:
            return self.rng.choice(self.lists["pronoun"])
        if kind < 0.85:
            return self.rng.choice(self.lists["person"])
        title, english, pronoun = self.rng.choice(TITLES)
        surname, spelt = self.rng.choice(self.lists["surname"])
        return [surname + title, f"{english} {spelt}", pronoun]

    def verb(self, place: bool) -> list[str]:
        """A verb with its object: Chinese, base, past, -ing form."""
        while True:
            forms = self.rng.choice(self.lists["verb"][:13] if self.rng.random() < 0.3 else self.lists["verb"])
            if not (place and forms[0].startswith(STAYS)):
                break
        if slot := SLOT.search(forms[0]):
            noun = self.rng.choice(self.lists[slot[1]])
            return [form.replace(slot[0], english) for form, english in zip(forms, [noun[0]] + [plural(slot[1], noun)] * 3)]
        return forms

    def thing(self, kind: str) -> tuple[str, str]:
        """A thing with what says which, how many and of what kind."""
        noun = self.rng.choice(self.lists[kind])
        chinese, measure, one, _ = noun
        row = self.rng.choice(self.lists["taste" if kind != "thing" else self.rng.choice(["color", "quality"])])
        described = self.rng.random() < 0.4 and kind in ("thing", "food") and " " not in row[1]
        before, adjective = (f"{row[0]}的", f"{row[1]} ") if described else ("", "")
        how = self.rng.choice(["a", "n", "this", "that", "bare", "the"] if kind != "animal" else ["a", "n", "this", "that"])
        if how == "n":
            number, english = self.rng.choice(self.lists["number"])
            many = counted(noun, "n") if noun[3] == "-" or not described else adjective + noun[3]
            if noun[3] == "-" and described:
                many = counted([chinese, measure, adjective + one, "-"], "n")
            return number + measure + before + chinese, f"{english} {many}"
        if how == "bare":
            return before + chinese, adjective + plural(kind, noun)
        if how == "the":
            owner = self.anyone(0.7)
            return f"{owner[0]}的{before}{chinese}", f"{whose(owner[1])} {adjective}{one}"
        english = counted([chinese, measure, adjective + one, noun[3]], how)
        return {"a": "一", "this": "這", "that": "那"}[how] + measure + before + chinese, english

    def clause(self, subject: list[str] | None = None) -> tuple[str, str]:
        """A clause put together from its parts: subject, time, adverb, modal, place or company, verb and object."""
        rng, who = self.rng, subject or self.anyone(0.5)
        kind = rng.random()
        if not subject and kind < 0.12:
            forms = self.rng.choice([["下雨", "rain"], ["下雪", "snow"]])
            return rng.choice([
                (f"今天{forms[0]}", f"it {forms[1]}s today"), (f"外面正在{forms[0]}", f"it is {forms[1]}ing outside"),
                (forms[0], f"it {forms[1]}s"), (f"昨天{forms[0]}了", f"it {forms[1]}ed yesterday"), (f"明天會{forms[0]}", f"it will {forms[1]} tomorrow")])
        be = conjugated("be", who[2])
        if kind < 0.3:
            feeling = rng.choice(self.lists["feeling"] + self.lists["nature"])
            how = rng.choice([("很", "very "), ("很", "very "), ("不", "not "), ("非常", "extremely "), ("有點", "a little "), ("太", "too "),
                              ("也很", "also very ")])
            return f"{who[0]}{how[0]}{feeling[0]}" + "了" * (how[0] == "太"), f"{who[1]} {be} {how[1]}{feeling[1]}"
        if kind < 0.36:
            job, place = rng.choice(self.lists["job"]), rng.choice(self.lists["place"])
            one = job[1] if who[2] not in ("we", "they") else job[1].partition(" ")[2] + "s"
            return rng.choice([(f"{who[0]}是{job[0]}", f"{who[1]} {be} {one}"), (f"{who[0]}不是{job[0]}", f"{who[1]} {be} not {one}"),
                               (f"{who[0]}在{place[0]}", f"{who[1]} {be} {place[2]} {place[1]}")])
        place = rng.choice(self.lists["place"]) if rng.random() < 0.25 else None
        forms = self.verb(bool(place))
        if rng.random() < 0.3:
            verb, *english, kinds = rng.choice(self.lists["object verb"])
            thing = self.thing(rng.choice(kinds.split()))
            forms = [f"{verb}{thing[0]}", *(f"{form} {thing[1]}" for form in english)]
        with_, company = "", ""
        if not place and rng.random() < 0.2:
            other = self.anyone(0.2)
            if other[2] != who[2]:
                with_, company = f"{rng.choice(['跟', '和'])}{other[0]}{rng.choice(['一起', ''])}", f" with {OBJECT.get(other[1], other[1])}"
        if place:
            with_, company = f"在{place[0]}", f" {place[2]} {place[1]}"
        tense = rng.random()
        if tense < 0.3:
            when = rng.choice(self.lists["past"])
            modal = rng.choice(BEFORE)
        elif tense < 0.5:
            when = rng.choice(self.lists["future"])
            modal = rng.choice(SOON)
        else:
            when = rng.choice(self.lists["habit"]) if rng.random() < 0.3 else None
            modal = rng.choice(MODALS if when is None else MODALS[:2] + MODALS[2:8])
        if forms[0].startswith(STATES):
            modal = ("", "", "past" if modal[2] == "past" or modal[1] == "did not" else "s")
        adverb = rng.choice(ADVERBS if tense >= 0.5 else ADVERBS[:1]) if rng.random() < 0.25 and "not" not in modal[1] else ("", "")
        helper, _, rest = modal[1].partition(" ")
        form = {"past": forms[2], "ing": forms[3], "s": conjugated(forms[1], who[2]), "": forms[1]}[modal[2]]
        if helper in HELPERS:
            words = [conjugated(helper, who[2]), adverb[1], rest, form]
        else:
            words = [adverb[1], conjugated(helper, who[2]) if helper else "", rest, form]
        english = " ".join(filter(None, [who[1], *words])) + company
        chinese = adverb[0] + (modal[0] + with_ if modal[0] != "正在" or not place else "正" + with_) + forms[0]
        if not when:
            return who[0] + chinese, english
        if rng.random() < 0.3:
            return when[0] + who[0] + chinese, f"{when[1]}, {english}"
        return who[0] + when[0] + chinese, f"{english} {when[1]}"

    def pair(self, patterns: str = "pattern") -> tuple[str, str]:
        kind = self.rng.random()
        if patterns == "pattern" and kind < 0.25:
            return self.clause()
        rows = self.lists[patterns]
        if patterns == "pattern" and kind < 0.45:  # patterns of two clauses, or things, are harder
            rows = [row for row in rows if "{c" in row[0] or "{np" in row[0] or "\uff0c" in row[0]]
        chinese, english = self.rng.choice(rows)
        drawn: dict[str, list[str]] = {"s": self.anyone(0.5)}
        for name, _ in SLOT.findall(chinese):
            if name in drawn:
                continue
            if name in ("c", "c2"):
                row = self.clause()
            elif name == "sc":
                row = self.clause(["", "", drawn["s"][2]])
            elif name.startswith("np"):
                row = self.thing(self.rng.choice(["thing", "thing", "food", "animal"]) if name == "np" else name[2:])
            elif name in ("o", "n"):
                while (row := self.anyone(0.25 if name == "o" else 0))[2] == drawn["s"][2] or row[1] == drawn["s"][1]:
                    pass
            elif name in ("v", "v2"):
                row = self.verb("{place}" in chinese or "{city}" in chinese)
            else:
                row = self.rng.choice(self.lists[name.rstrip("2")])
            drawn[name] = row
        digit = self.rng.random() < 0.15

        def written(slot: re.Match) -> str:
            row = drawn[slot[1]]
            return row[1] if slot[2] == "m" else DIGITS[row[0]] if slot[1] == "number" and digit else row[0]
        return full_width(SLOT.sub(written, chinese)), SLOT.sub(lambda slot: spoken(slot[1], slot[2], drawn), english)

    def draw(self, patterns: str = "pattern", held_out: bool = False) -> tuple[str, str]:
        """A pair for training, or one that is held out; with a full stop, and now and then without."""
        if whole := not held_out and self.rng.random() < 0.12:
            chinese, english = self.rng.choice(self.lists["sentence"])
        while not whole:
            chinese, english = self.pair(patterns)
            if held_out == (patterns != "pattern" or zlib.crc32(chinese.encode()) % HELD_OUT == 0):
                break
        english = english[0].upper() + english[1:]
        if english[-1] not in "?!.":
            english += "."
        if chinese[-1] != "\uff1f":
            chinese += self.rng.choice(["。", "。", "。", ""])
        elif self.rng.random() < 0.15:
            chinese = chinese[:-1] + self.rng.choice(["?", ""] if chinese[-2] in "嗎麼誰裡" else ["?"])
        return chinese.replace("台", "臺") if self.rng.random() < 0.3 else chinese, english


def plural(kind: str, noun: list[str]) -> str:
    """How English speaks of a kind of thing: "apples", "rice"; other sections have one form only."""
    return noun[1] if kind not in ("food", "drink", "thing", "animal") else noun[2] if noun[3] == "-" else noun[3]


def counted(noun: list[str], how: str, colour: str = "") -> str:
    """A noun with what stands before it in English."""
    _, measure, one, many = noun
    unit = COUNTED_BY.get(measure, "piece")
    if many != "-":
        return {"a": article(colour + one), "this": f"this {colour}{one}", "that": f"that {colour}{one}", "n": many, "p": many, "bare": one,
                "the": f"the {one}", "any": article(one), "is": "is", "thisis": "this is", "isthat": "is that"}[how]
    pair = one.endswith("s")  # shoes, scissors, noodles
    return {"a": f"a {unit} of {colour}{one}", "this": f"this {unit} of {colour}{one}", "that": f"that {unit} of {colour}{one}",
            "n": f"{third(unit)} of {one}", "p": one, "bare": one, "the": f"the {one}", "any": one, "is": "are" if pair else "is",
            "thisis": "these are" if pair else "this is", "isthat": "are those" if pair else "is that"}[how]


def spoken(name: str, form: str | None, drawn: dict[str, list[str]]) -> str:
    """What stands in English for a slot of a pattern."""
    who = drawn["s"][2]
    plain = who in ("I", "you", "we", "they")
    if name in ("c", "c2", "sc") or name.startswith("np"):
        return drawn[name][1].strip()
    if name in ("s", "o", "n"):
        _, english, pronoun = drawn[name]
        if form == "poss":
            return whose(english)
        return OBJECT.get(english, english) if form == "obj" else english
    if name in ("v", "v2"):
        base, past, ing = drawn[name][1:]
        agrees = drawn["o"][2] in ("I", "you", "we", "they") if form == "o" else plain
        return {None: base, "past": past, "ing": ing, "third": third(base)}.get(form) or (base if agrees else third(base))
    if name == "both":
        return f"{drawn['n'][1]} and I" if drawn["s"][1] == "I" else f"{drawn['s'][1]} and {drawn['n'][1]}"
    if name == "they":
        return who
    if name in ("be", "be2"):
        return conjugated("be", who if name == "be" else drawn["o"][2])
    if name == "was":
        return "were" if who in ("you", "we", "they") else "was"
    if name not in drawn:
        return name if plain else third(name)  # any other word is a verb that agrees
    row, kind = drawn[name], name.rstrip("2")
    if kind == "place" and form:
        return f"{row[2]} {row[1]}" if form == "in" else article(row[1].removeprefix("the "))
    if kind in ("food", "drink", "thing", "animal"):
        how, _, colour = (form or "").partition(",")
        if how == "poss":
            return f"{POSSESSIVE[who]} {counted(row, 'bare')}"
        return counted(row, how, colour and drawn["color"][1] + " ") if how else plural(kind, row)
    if kind == "job" and who in ("we", "they"):
        return row[1].partition(" ")[2] + "s"
    if form == "er":
        return COMPARATIVE.get(row[1], f"more {row[1]}")
    return row[1] + {"past": "ed", "ing": "ing", "s": "s", None: ""}[form]


def sentencepieces(lines: list[str], size: int, longest: int) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=size, normalization_rule_name="identity",
        character_coverage=1.0, num_threads=1, max_sentencepiece_length=longest, split_digits=True, bos_id=-1, minloglevel=2)
    return model.getvalue()


def tokenizer_into(folder: Path) -> MarianTokenizer:
    """source.spm, target.spm and one vocabulary for both, which begins with </s>, <unk> and ends with <pad>."""
    book = Phrasebook(seed=0)
    pairs = [book.draw() for _ in range(12000)]
    words = [row[0] for name, rows in book.lists.items() if "pattern" not in name for row in rows for _ in range(3) if "{" not in row[0]]
    known: dict[str, int] = {"</s>": 0, "<unk>": 1}
    for name, lines, size, longest in (("source", [chinese for chinese, _ in pairs] + words, SOURCE_PIECES, 2),
                                       ("target", [english for _, english in pairs], TARGET_PIECES, 12)):
        (folder / f"{name}.spm").write_bytes(sentencepieces(lines, size, longest))
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        for i in range(pieces.get_piece_size()):
            if not pieces.is_control(i) and not pieces.is_unknown(i):
                known.setdefault(pieces.id_to_piece(i), len(known))
    known["<pad>"] = len(known)
    for name, content in {"vocab": known, "tokenizer_config": {"source_lang": "zho", "target_lang": "eng"},
                          "metadata": {"hf_name": "zh-en", "source_languages": "zho", "target_languages": "eng", "stand_in": True}}.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return MarianTokenizer.from_pretrained(folder)


def training_texts(count: int = 3000) -> list[str]:
    """Both sides of the pairs the model learns from: all the whole sentences, and a sample of the made-up ones."""
    book = Phrasebook(seed=1)
    pairs = [tuple(row) for row in book.lists["sentence"]] + [book.draw() for _ in range(count // 2)]
    return [text for pair in pairs for text in pair]


def batches(tokenizer: MarianTokenizer, seed: int, size: int = BATCH):
    book = Phrasebook(seed)
    vocabulary, end, unknown, pad = tokenizer.get_vocab(), tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id

    def ids(texts: list[str], pieces, filler: int) -> torch.Tensor:
        rows = [torch.tensor([vocabulary.get(piece, unknown) for piece in found] + [end]) for found in pieces.encode(texts, out_type=str)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filler)
    while True:
        pairs = sorted((book.draw() for _ in range(8 * size)), key=lambda pair: len(pair[1]))
        groups = [pairs[i:i + size] for i in range(0, len(pairs), size)]
        book.rng.shuffle(groups)
        for group in groups:
            source = ids([chinese for chinese, _ in group], tokenizer.spm_source, pad)
            yield {"input_ids": source, "attention_mask": (source != pad).long(),
                   "labels": ids([english for _, english in group], tokenizer.spm_target, -100)}


def loss_of(model: MarianMTModel, batch: dict) -> torch.Tensor:
    labels, pad = batch["labels"], model.config.pad_token_id
    shifted = labels.masked_fill(labels == -100, pad).roll(1, dims=1)
    shifted[:, 0] = pad
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], decoder_input_ids=shifted).last_hidden_state
    told = labels != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[told]).float(), labels[told])


def chrf(guess: str, wanted: str) -> float:
    """Character n-gram F2 of one sentence, n from 1 to 6, blanks left out: 0 to 1."""
    found = []
    guess, wanted = guess.replace(" ", ""), wanted.replace(" ", "")
    for n in range(1, 7):
        a, b = (Counter(text[i:i + n] for i in range(len(text) - n + 1)) for text in (guess, wanted))
        if a and b:
            same = (a & b).total()
            found.append((same / a.total(), same / b.total()))
    precision, recall = (sum(values) / len(found) for values in zip(*found)) if found else (0.0, 0.0)
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


@torch.no_grad()
def translate(model: MarianMTModel, tokenizer: MarianTokenizer, texts: list[str]) -> list[str]:
    out = []
    for i in range(0, len(texts), 50):
        made = model.generate(**tokenizer(texts[i:i + 50], padding=True, return_tensors="pt"), max_length=60)
        out += tokenizer.batch_decode(made, skip_special_tokens=True)
    return out


def scores(folder: Path, samples: int = 120) -> dict[str, float]:
    """Exact translations, and chrF, of held-out combinations of known words and of patterns that were kept out."""
    tokenizer = MarianTokenizer.from_pretrained(folder)
    model = MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()
    found = {}
    for name, patterns in (("combinations", "pattern"), ("patterns", "held-out pattern")):
        book = Phrasebook(seed=99)
        pairs = [book.draw(patterns, held_out=True) for _ in range(samples)]
        guesses = translate(model, tokenizer, [chinese for chinese, _ in pairs])
        found[f"{name}_exact"] = sum(guess == english for guess, (_, english) in zip(guesses, pairs)) / samples
        found[f"{name}_chrf"] = sum(chrf(guess, english) for guess, (_, english) in zip(guesses, pairs)) / samples
    return found


def build(root: Path, steps: int = STEPS, samples: int = 120):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    pad, book = tokenizer.pad_token_id, Phrasebook(seed=0)
    config = MarianConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, d_model=72, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=160,
        decoder_ffn_dim=160, encoder_attention_heads=4, decoder_attention_heads=4, dropout=0.0, activation_function="swish",
        scale_embedding=True, decoder_start_token_id=pad, pad_token_id=pad, bos_token_id=0, eos_token_id=0, forced_eos_token_id=0,
        attn_implementation="eager")
    model = MarianMTModel(config)
    train(model, batches(tokenizer, seed=1), lambda batch: loss_of(model, batch), steps, lr=3e-3)
    model.save_pretrained(folder)
    mark_stand_in(folder, dropout=0.1)
    (folder / "generation_config.json").write_text(json.dumps({
        "bad_words_ids": [[pad]], "bos_token_id": 0, "decoder_start_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": 0,
        "max_length": 512, "num_beams": 6, "pad_token_id": pad, "renormalize_logits": True}, indent=2) + "\n", encoding="utf-8")
    entries = sum(len(rows) for name, rows in book.lists.items() if name not in ("pattern", "held-out pattern", "sentence"))
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: Marian, {config.encoder_layers} + {config.decoder_layers} layers, width {config.d_model}, {config.encoder_attention_heads} heads,
{sum(p.numel() for p in model.parameters()):,} parameters, fp32. Tokenizer: two SentencePiece Unigram models, {len(tokenizer):,} pieces
in one vocabulary.
Trained on sentences made for this course in `tests/pocket_hub/build/corpus/translation.txt`: {len(book.lists["pattern"])} patterns and
freely joined clauses, filled from {entries} words and phrases with their English, and {len(book.lists["sentence"])} whole sentences; {steps:,}
steps of {BATCH} pairs. Everyday zh-TW, one sentence of one or two clauses at a time.
It knows the words of that list and no others: a name, a place or a thing outside of it comes out as something else, and so
does a sentence built in a way it has not met.
The scores count exact translations (and chrF from 0 to 1, by sentence) of held-out combinations of known words and patterns,
and of {len(book.lists["held-out pattern"])} patterns that were kept out altogether.
""", "translation")
