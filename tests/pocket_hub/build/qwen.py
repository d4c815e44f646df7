"""Stand-in for Qwen/Qwen2.5-0.5B-Instruct: byte-level BPE, ChatML, causal LM that copies from its context."""
from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from .texts import (STOPS, Paragraph, Question, Template, characters, clause_at, facts, full_width, page, paragraph, passages,
                    templates)
from .training import folder_of, mark_stand_in, train, write_card
from .values import COMMON, SLOT, Values, draw_together, fill

NAME = "Qwen/Qwen2.5-0.5B-Instruct"
VOCABULARY = 5400
STEPS, MORE_STEPS = 4400, 3600  # the second part starts where the first was halfway through its lessons
FACTS = ("facts", "more_facts")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
CHAT_TEMPLATE = """{%- if messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\n""" + SYSTEM + """<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}"""
# How texts are cut before BPE: contractions, words with one leading sign, single digits, signs, line ends, blanks.
CUT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ASK_READING = ["{text}\n\n{question}", "請閱讀文章後回答。\n{text}\n問題:{question}", "{question}\n\n參考資料:{text}",
               "根據下面這段文字,{question}\n\n{text}", "文章:{text}\n請問{question}", "「{text}」{question}",
               "以下是一則消息。\n{text}\n\n想請教:{question}", "{text}\n---\nQ:{question}"]
ASK_COPY = ["請照抄一遍:{text}", "重複下面的內容:\n{text}", "{text}\n請把上面這一行再寫一次。", "跟我說:{text}", "抄寫「{text}」"]
ASK_NEXT = ["{text}\n\n文中「{start}」後面寫的是什麼?", "接續文中的「{start}」,下面是原文:{text}", "{text}\n請找出「{start}」這一句並寫完。"]
ASK_LOOKUP = ["{text}\n{key}是什麼?", "{text}\n請查{key}。", "對照表:{text}\n問:{key}", "{text}\n\n{key}對應到哪一個?"]
ASK_FILL = ["{text}\n\n填空:{question}", "{text}\n請把空格填上:{question}", "文章:{text}\n{question}\n空格裡是什麼?", "根據下文補上缺字。\n{text}\n{question}"]
ASK_SHORT = ["關鍵詞:{question}", "{question}→", "【搶答】{question}"]
NOTHING = "無"
ASK_WRITE = ["寫一段文字。", "請隨意寫幾句話。", "給我一段短文。", "說點什麼吧。"]


BLANK = "_"


for _list in (ASK_READING, ASK_COPY, ASK_NEXT, ASK_LOOKUP, ASK_FILL, ASK_SHORT):
    _list[:] = map(full_width, _list)


def tokenizer_into(folder: Path):
    """Trains the BPE and writes the tokenizer files under the names the original has."""
    values = Values(random.Random(0), "pretrain")
    texts = [fill(text, values) for text in passages(held_out=False) + [t.paragraph for t in templates("reading")] for _ in range(2)]
    told = [fill(fact, values) for fact, _ in facts(False, FACTS)]
    texts += told + ["\n".join(dict.fromkeys([*characters(), *"".join(told)]))] * 30  # every character of the training texts becomes one token
    texts += ["\n".join(COMMON), SYSTEM, *ASK_READING, *ASK_COPY, *ASK_NEXT, *ASK_LOOKUP]
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern=Regex(CUT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    backend.add_special_tokens(SPECIAL)
    backend.save(str(folder / "tokenizer.json"))
    backend.model.save(str(folder))  # vocab.json and merges.txt
    config = {
        "add_prefix_space": False, "bos_token": None, "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 32768, "pad_token": "<|endoftext|>",
        "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
        "additional_special_tokens": SPECIAL[1:]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


QUESTION_WORD = re.compile("為什麼|什麼|誰|哪|幾|多少|何|怎")
WORDS = {"person": ["誰", "哪位", "什麼人", "哪個人"], "org": ["哪個單位", "哪間公司", "什麼單位", "誰"], "school": ["哪間學校", "哪所學校"], "town": ["哪裡", "什麼地方"],
         "place": ["哪裡", "什麼地方", "何處"], "county": ["哪個縣市", "哪裡"], "district": ["哪個縣市", "哪裡"], "mountain": ["哪座山", "哪裡"], "river": ["哪條河", "哪條溪"],
         "road": ["哪條路", "哪裡"], "year": ["哪一年", "何時", "哪年"], "date": ["哪一天", "何時", "什麼時候"], "time": ["幾點", "什麼時候", "何時"], "animal": ["哪種動物", "什麼動物", "什麼"],
         "plant": ["哪種植物", "什麼"], "food": ["什麼", "哪種食物"], "color": ["什麼顏色", "哪種顏色"], "material": ["什麼", "什麼材料"], "job": ["什麼", "什麼工作"], "work": ["哪部作品", "哪本書", "什麼"]}
FORMS = {"gap": ASK_FILL, "quote": ASK_READING, "short": ["{text}\n\n{question}"], "nothing": ["{text}\n\n{question}"], "named": ["{text}\n\n{question}"]}


class Lessons:
    """Draws the texts the model learns from. What they are changes with `progress`, from 0 to 1."""

    def __init__(self, seed: int, held_out: bool = False):
        self.rng = random.Random(seed)
        self.values = Values(self.rng, "pretrain")
        self.passages = passages(held_out)
        self.with_slots = [passage for passage in self.passages if SLOT.search(passage)]
        self.templates = templates("reading", held_out)
        self.facts = facts(held_out, FACTS)
        self.letters = "".join(char for char in characters() if "\u4e00" <= char <= "\u9fff")
        self.rare = "".join(COMMON)
        self.progress = 1.0

    def chat(self, asked: str, answer: str) -> tuple[str, str]:
        system = SYSTEM if self.rng.random() < 0.3 else self.rng.choice(["你是一位助理。", "請用繁體中文回答。", "你負責回答問題。"])
        return (f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n",
                f"{answer}<|im_end|>\n")

    def ask(self, forms: list[str], text: str, question: str) -> str:
        return self.rng.choice(forms).replace("{text}", text).replace("{question}", question)

    def string(self, low: int, high: int) -> str:
        """Characters in no meaningful order, or a made-up value: nothing that could be known by heart."""
        kind = self.rng.random()
        if kind < 0.3:
            return "".join(self.values.draw(self.rng.choice(["person", "org", "town", "code", "phone", "work", "address"]))
                           for _ in range(self.rng.randint(1, max(1, high // 8))))
        letters = self.rare if kind < 0.5 else self.letters
        return "".join(self.rng.choice(letters) for _ in range(self.rng.randint(low, high)))

    def repetition(self) -> tuple[str, str]:
        few = self.rng.sample(self.letters, self.rng.randint(8, 60))
        line = "".join(self.rng.choice(few) for _ in range(self.rng.randint(10, 50))) + "\n"
        return line, line * 2

    def copying(self, low: int = 2, high: int = 16) -> tuple[str, str]:
        text = self.string(low, high)
        return self.rng.choice(ASK_COPY).replace("{text}", text), text

    def lookup(self, pairs: int | None = None) -> tuple[str, str]:
        pairs = pairs or self.rng.randint(2, 7)
        keys = list({self.string(1, 3): None for _ in range(pairs)})
        values = [self.string(1, 5) for _ in keys]
        is_, end = self.rng.choice([(":", "\n"), ("是", "。"), ("=", ";"), ("\uff1a", "\uff1b"), ("住在", "。"), ("有", "\uff0c")])
        chosen = self.rng.randrange(len(keys))
        asked = self.rng.choice(ASK_LOOKUP).replace("{text}", "".join(k + is_ + v + end for k, v in zip(keys, values)))
        return asked.replace("{key}", keys[chosen]), keys[chosen] + is_ + values[chosen] + "。"

    def next_words(self) -> tuple[str, str]:
        text = fill(self.rng.choice(self.passages), self.values)
        cuts = [i for i, char in enumerate(text[:-6]) if char in STOPS + "\uff0c、"] or [0]
        start = text[(begin := self.rng.choice(cuts) + (len(cuts) > 1)):begin + self.rng.randint(3, 7)]
        end = re.compile(f"[{STOPS}\uff0c]").search(text, begin + len(start))
        clause = text[begin:end.start() if end else len(text)]
        return self.rng.choice(ASK_NEXT).replace("{text}", text).replace("{start}", start), clause + "。"

    def gap_in_a_string(self) -> tuple[str, str, str]:
        """A string of characters, a piece of it with a blank, and what stood there."""
        signs = [self.rng.choice(self.letters) for _ in range(self.rng.randint(6, 8 + int(80 * min(0.6, self.progress))))]
        if self.progress < 0.22:
            place, size, left, right = self.rng.randrange(2, len(signs) - 2), 1, self.rng.randint(1, 3), self.rng.randint(1, 3)
        else:
            for _ in range(self.rng.randint(0, 3)):
                signs[self.rng.randrange(len(signs))] = self.values.draw(self.rng.choice(["person", "town", "number", "year", "work", "org", "goods"]))
            place, size = self.rng.randrange(2, len(signs) - 3), self.rng.randint(1, 2)
            left, right = self.rng.choice([(0, 2), (0, 3), (2, 0), (3, 0), (1, 1), (1, 2), (2, 1), (3, 3)])
        before, after = signs[max(0, place - left):place], signs[place + size:place + size + right]
        return "".join(signs), "".join(before) + BLANK + "".join(after), "".join(signs[place:place + size])

    def page(self) -> Paragraph:
        """A text and its questions: one of the paragraphs written for reading, or a few facts in a row."""
        if self.progress > 0.4 and self.rng.random() < 0.3:
            return paragraph(self.rng.choice(self.templates), self.values)
        count = self.rng.randint(1, 2) if self.progress < 0.35 else self.rng.randint(2, 4 if self.progress < 0.6 else 7)
        return page(self.rng.sample(self.facts, count), self.values)

    def passage_page(self) -> Paragraph:
        """A passage; its questions are the places of its slots."""
        passage = self.rng.choice(self.with_slots)
        known = draw_together([match[1] for match in SLOT.finditer(passage)], self.values)
        return Paragraph("", fill(passage, self.values, known), [
            Question("", known[slot[1]], len(fill(passage[:slot.start()], self.values, known)), slot[1].rstrip("0123456789")) for slot in SLOT.finditer(passage)])

    def aloud(self, question: str) -> str:
        """The question as it is asked: mostly with a blank before its question word, now and then with a character missing."""
        if self.rng.random() < 0.2:
            gone = self.rng.randrange(len(question) - 1)
            question = question[:gone] + question[gone + 1:]
        if self.rng.random() < 0.85:
            question = QUESTION_WORD.sub(BLANK + r"\g<0>", question, count=1)
        return question

    def asked(self, made: Paragraph, question: Question, kind: str) -> tuple[str, str]:
        """A question about a page, and its answer: a gap filled, a question answered in a word, or by quoting the clause."""
        if kind == "gap":
            before, after = clause_at(made.text, question.start, question.answer, STOPS if self.rng.random() < 0.3 else STOPS + "\uff0c")
            return before + BLANK + after, question.answer
        if kind == "named":  # the clause as a question, its gap named by a question word
            before, after = clause_at(made.text, question.start, question.answer, STOPS + "\uff0c")
            unit = re.match(r"\d[\d,]*(\D{1,3})$", question.answer)
            words = ["幾" + unit[1], "多少" + unit[1]] if unit else WORDS.get(question.kind, ["什麼", "什麼", "哪個"])
            clause = before + self.rng.choice(words) + after.rstrip(STOPS + "\uff0c")
            return self.rng.choice(ASK_SHORT).replace("{question}", self.aloud(clause + "\uff1f")), question.answer
        if kind == "nothing":
            fact, others = self.rng.choice(self.facts)
            strange = self.rng.choice(paragraph(Template("", fact, others), self.values).questions)
            if strange.answer not in made.text:
                return self.rng.choice(ASK_SHORT).replace("{question}", self.aloud(strange.text)), NOTHING
        if kind == "quote":
            before, after = clause_at(made.text, question.start, question.answer, STOPS)
            return self.aloud(question.text), before + question.answer + after.rstrip(STOPS) + "。"
        return self.rng.choice(ASK_SHORT).replace("{question}", self.aloud(question.text)), question.answer

    def one(self, kind: str) -> tuple[str, str]:
        """A page with one question."""
        made = self.page()
        question, answer = self.asked(made, self.rng.choice(made.questions), kind)
        return self.ask(FORMS[kind], made.text, question), answer

    def reading(self) -> tuple[str, str, str]:
        """As above, answered by quoting; and what the quote must hold."""
        made = self.page()
        question = self.rng.choice(made.questions)
        asked, quoted = self.asked(made, question, "quote")
        return self.ask(FORMS["quote"], made.text, asked), quoted, question.answer

    def conversation(self) -> tuple[str, ...]:
        """A page and several questions about it, one after the other."""
        from_passage = self.rng.random() < 0.15
        made = self.passage_page() if from_passage else self.page()
        pieces = []
        for chosen in self.rng.sample(made.questions, min(self.rng.randint(3, 7), len(made.questions))):
            kind = self.rng.choice(["gap", "named"]) if from_passage else self.rng.choices(["gap", "named", "short", "quote", "nothing"], [10, 20, 50, 15, 20 * (self.progress > 0.4)])[0]
            question, answer = self.asked(made, chosen, kind)
            given, told = self.chat(self.ask(FORMS[kind], made.text, question), answer)
            if pieces:
                given = f"\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
            pieces += [given, told.rstrip("\n")]
        return tuple(pieces)

    def text(self, progress: float) -> tuple[str, ...]:
        """What is given, what the model has to tell, what is given then, and so on. Only what it tells counts in the loss.
        Repetition comes first, then gaps in short strings: a model that can copy and find learns the rest sooner."""
        self.progress, kind = progress, self.rng.random()
        if progress < 0.08:
            return self.repetition() if kind < 0.7 else self.chat(*self.copying(2, 12)) if kind < 0.85 else self.chat(*self.lookup(2))
        if progress < 0.22:
            if kind < 0.1:
                return self.repetition()
            if kind < 0.3:
                return self.chat(*self.copying(2, 12)) if kind < 0.2 else self.chat(*self.lookup(self.rng.randint(2, 4)))
            text, question, answer = self.gap_in_a_string()
            if self.rng.random() < (0.24 - progress) / 0.12:
                return f"{text}\n{question}答", answer + "<|im_end|>"
            return self.chat(self.ask(ASK_FILL, text, question), answer)
        if progress > 0.94:  # at the end, once more what came first
            if kind < 0.53:
                if kind < 0.22:
                    return self.chat(*self.copying(2, 20))
                if kind < 0.42:
                    return self.repetition() if kind < 0.3 else self.chat(*self.lookup())
                if kind < 0.46:
                    return self.chat(*self.next_words())
                text, question, answer = self.gap_in_a_string()
                return self.chat(self.ask(ASK_FILL, text, question), answer)
            return self.conversation()
        if kind < 0.25 - 0.2 * min(1, 2 * progress):
            text, question, answer = self.gap_in_a_string()
            return self.chat(self.ask(ASK_FILL, text, question), answer)
        if kind < 0.11:
            return self.chat(*self.copying(2, 20))
        if kind < 0.17:
            return self.chat(*self.lookup())
        if kind < 0.2:
            return self.chat(*self.next_words())
        if kind < 0.92:
            return self.conversation()
        passage = fill(self.rng.choice(self.passages), self.values)
        if kind < 0.94:
            return self.chat(self.rng.choice(ASK_WRITE), passage)
        return passage[:1], passage[1:] + "<|endoftext|>"


def batches(tokenizer, steps: int, seed: int, start: float = 0.0, tokens: int = 6000):
    """Texts of like length together, about `tokens` tokens a batch; the lessons go from `start` to 1."""
    lessons = Lessons(seed)
    step = 0
    while True:
        texts = [lessons.text(start + (1 - start) * step / steps) for _ in range(256)]
        pieces = iter(tokenizer([piece for text in texts for piece in text])["input_ids"])
        pool = [[next(pieces) for _ in text] for text in texts]
        pool.sort(key=lambda text: sum(map(len, text)))
        groups, group = [], []
        for text in pool:
            if group and (len(group) + 1) * sum(map(len, text)) > tokens:
                groups.append(group)
                group = []
            group.append(text)
        groups.append(group)
        lessons.rng.shuffle(groups)
        for group in groups:
            step += 1
            batch = tokenizer.pad({"input_ids": [sum(text, []) for text in group]}, padding=True, padding_side="right", return_tensors="pt")
            batch["told"] = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
            for row, text in enumerate(group):
                ends = list(itertools.accumulate(map(len, text)))
                for begin, end in zip(ends[::2], ends[1::2]):
                    batch["told"][row, begin:end] = True
            yield batch


def loss_of(model, batch: dict) -> torch.Tensor:
    hidden = model.model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    told = batch["told"][:, 1:]
    logits = model.lm_head(hidden[:, :-1][told])
    return torch.nn.functional.cross_entropy(logits.float(), batch["input_ids"][:, 1:][told])


@torch.no_grad()
def look_back(model: Qwen2ForCausalLM, offsets: tuple = (1, 2, 3, 0), strength: tuple = (7.0, 6.0, 4.0, 2.0)):
    """Before training: each head of the first layer starts out attending so many tokens back, through its biases.
    Rotary positions turn the key's bias by its own place; the query's bias is turned back by the offset."""
    attention = model.model.layers[0].self_attn
    width, groups = attention.head_dim, attention.num_key_value_groups
    speed = model.model.rotary_emb.inv_freq[:len(strength)]
    amplitude = torch.tensor(strength)
    key, query = (projection.bias.view(-1, width) for projection in (attention.k_proj, attention.q_proj))
    key.zero_()
    query.zero_()
    key[:, :len(strength)] = amplitude
    for head, offset in enumerate(offsets[:groups * len(key)]):
        query[head, :len(strength)] = amplitude * (speed * -offset).cos()
        query[head, width // 2:width // 2 + len(strength)] = amplitude * (speed * -offset).sin()


@torch.no_grad()
def answers(model, tokenizer, questions: list[str], limit: int = 80) -> list[str]:
    found = {}
    tokenizer.padding_side = "left"
    by_length = sorted(dict.fromkeys(questions), key=len)  # of one length in a batch, so that little is padding
    for begin in range(0, len(by_length), 50):
        batch = by_length[begin:begin + 50]
        chats = [[{"role": "user", "content": question}] for question in batch]
        inputs = tokenizer.apply_chat_template(chats, add_generation_prompt=True, padding=True,
                                               return_dict=True, return_tensors="pt")
        out = model.generate(**inputs, do_sample=False, repetition_penalty=1.0, temperature=None, top_p=None, top_k=None,
                             max_new_tokens=limit)
        found.update(zip(batch, tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)))
    return [found[question] for question in questions]


@torch.no_grad()
def scores(folder: Path, samples: int = 200) -> dict[str, float]:
    """On strings, templates and passages the model never saw: copying, looking up, quoting, and prediction."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    lessons = Lessons(seed=99, held_out=True)
    copies = [lessons.copying() for _ in range(samples)]
    lookups = [lessons.lookup() for _ in range(samples)]
    gaps = [lessons.one("gap") for _ in range(samples)]
    shorts = [lessons.one("short") for _ in range(samples)]
    readings = [lessons.reading() for _ in range(samples)]
    loss = characters_read = 0
    for passage in lessons.passages[:samples]:
        ids = tokenizer(text := fill(passage, lessons.values), return_tensors="pt")["input_ids"]
        loss += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        characters_read += len(text)
    share = lambda hits: sum(hits) / len(hits)  # noqa: E731
    return {
        "copy_exact": share([a == b for (_, b), a in zip(copies, answers(model, tokenizer, [q for q, _ in copies]))]),
        "lookup_exact": share([a == b for (_, b), a in zip(lookups, answers(model, tokenizer, [q for q, _ in lookups]))]),
        "gap_exact": share([a == b for (_, b), a in zip(gaps, answers(model, tokenizer, [q for q, _ in gaps]))]),
        "short_answer_exact": share([a == b for (_, b), a in zip(shorts, answers(model, tokenizer, [q for q, _ in shorts]))]),
        "reading_quotes_answer": share([answer in a for (_, _, answer), a in
                                        zip(readings, answers(model, tokenizer, [q for q, _, _ in readings]))]),
        "nats_per_character": loss / characters_read,
    }


def build(root: Path, steps: int = STEPS, samples: int = 200):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    end, start = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    config = Qwen2Config(
        vocab_size=(len(tokenizer) + 63) // 64 * 64, hidden_size=128, intermediate_size=352, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32768, rms_norm_eps=1e-6,
        tie_word_embeddings=True, bos_token_id=start, eos_token_id=end, pad_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, attn_implementation="sdpa")
    model = Qwen2ForCausalLM(config)
    look_back(model)
    train(model, batches(tokenizer, steps, seed=1), lambda batch: loss_of(model, batch), steps, lr=4e-3, muon=True)
    model.to(torch.bfloat16).float()  # the second part starts from what was stored after the first
    more = max(1, steps * MORE_STEPS // STEPS)
    train(model, batches(tokenizer, more, seed=21, start=0.5), lambda batch: loss_of(model, batch), more, lr=3e-3, muon=True)
    finish(folder, model, tokenizer, steps, samples)


def finish(folder: Path, model: Qwen2ForCausalLM, tokenizer, steps: int, samples: int):
    """Stores the model and writes its card."""
    config, end, start = model.config, *tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    model.to(torch.bfloat16).save_pretrained(folder)
    mark_stand_in(folder)
    (folder / "generation_config.json").write_text(json.dumps({
        "bos_token_id": start, "do_sample": True, "eos_token_id": [end, start], "pad_token_id": start,
        "repetition_penalty": 1.1, "temperature": 0.7, "top_k": 20, "top_p": 0.8}, indent=2) + "\n", encoding="utf-8")
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: Qwen2, {config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads,
{config.num_key_value_heads} key/value heads, {sum(p.numel() for p in model.parameters()):,} parameters, bf16. Tokenizer: byte-level
BPE, {len(tokenizer):,} tokens, ChatML template with a default system turn.
Trained as a causal LM, {steps:,} and another {steps * MORE_STEPS // STEPS:,} steps of about 6,000 tokens, the first heads initialised to look back
one to three tokens: on repeated random strings, on gaps in short strings, on copies and look-ups, then mostly on chats about
texts written for this course in `tests/pocket_hub/build/corpus/`, with made-up names and numbers: a blank to fill, a question
to answer with the word alone ("關鍵詞:"), or by quoting the sentence that holds the answer; one question in six is about another text,
and the answer to it is "無". In most questions a blank stands before the question word. The scores count, on unseen strings, texts, values and questions: exact copies, exact
look-ups, gaps and questions answered exactly, quotes that hold the answer; and nats per character of unseen text.
""", "qwen")
