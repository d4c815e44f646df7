"""Stand-in for Qwen/Qwen2.5-0.5B-Instruct: byte-level BPE, ChatML, causal LM that copies from its context."""
from __future__ import annotations

import json
import random
import re
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from .texts import STOPS, characters, common_characters, full_width, paragraph, passages, sentence_at, templates
from .training import folder_of, mark_stand_in, train, write_card
from .values import Values, fill

NAME = "Qwen/Qwen2.5-0.5B-Instruct"
VOCABULARY = 5400
STEPS = 2000
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
ASK_WRITE = ["寫一段文字。", "請隨意寫幾句話。", "給我一段短文。", "說點什麼吧。"]


for _list in (ASK_READING, ASK_COPY, ASK_NEXT, ASK_LOOKUP):
    _list[:] = map(full_width, _list)


def tokenizer_into(folder: Path):
    """Trains the BPE and writes the tokenizer files under the names the original has."""
    values = Values(random.Random(0), "pretrain")
    texts = [fill(text, values) for text in passages(held_out=False) + [t.paragraph for t in templates("reading")] for _ in range(2)]
    texts += ["\n".join(characters()), "\n".join(common_characters()), SYSTEM, *ASK_READING, *ASK_COPY, *ASK_NEXT, *ASK_LOOKUP]
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


class Lessons:
    """Draws the texts the model learns from."""

    def __init__(self, seed: int, held_out: bool = False):
        self.rng = random.Random(seed)
        self.values = Values(self.rng, "pretrain")
        self.passages = passages(held_out)
        self.templates = templates("reading", held_out)
        self.letters = "".join(char for char in characters() if "\u4e00" <= char <= "\u9fff")
        self.rare = "".join(common_characters())

    def chat(self, asked: str, answer: str) -> tuple[str, str]:
        system = SYSTEM if self.rng.random() < 0.7 else self.rng.choice(["你是一位助理。", "請用繁體中文回答。", "你負責回答問題。"])
        return (f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n",
                f"{answer}<|im_end|>\n")

    def string(self, low: int, high: int) -> str:
        """Characters in no meaningful order, or a made-up value: nothing that could be known by heart."""
        kind = self.rng.random()
        if kind < 0.3:
            return "".join(self.values.draw(self.rng.choice(["person", "org", "town", "code", "phone", "work", "address"]))
                           for _ in range(self.rng.randint(1, max(1, high // 8))))
        letters = self.rare if kind < 0.5 else self.letters
        return "".join(self.rng.choice(letters) for _ in range(self.rng.randint(low, high)))

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

    def reading(self) -> tuple[str, str, str]:
        """A question about a paragraph, answered by quoting the sentence that holds the answer."""
        made = paragraph(self.rng.choice(self.templates), self.values)
        question = self.rng.choice(made.questions)
        asked = self.rng.choice(ASK_READING).replace("{text}", made.text).replace("{question}", question.text)
        return asked, sentence_at(made.text, question.start), question.answer

    def text(self, progress: float) -> tuple[str, str]:
        """What is given, and what the model has to tell from there on. Only the latter counts in the loss."""
        kind = self.rng.random()
        if progress < 0.18:  # repetition first: a model that can copy learns the rest sooner
            if kind < 0.7:
                few = self.rng.sample(self.letters, self.rng.randint(8, 60))
                line = "".join(self.rng.choice(few) for _ in range(self.rng.randint(10, 50))) + "\n"
                return line, line * 2
            if kind < 0.85:
                return self.chat(*self.copying(2, 12))
            return self.chat(*self.lookup(2))
        if kind < 0.15:
            return self.chat(*self.copying(2, 20))
        if kind < 0.35:
            return self.chat(*self.lookup())
        if kind < 0.5:
            return self.chat(*self.next_words())
        if kind < 0.8:
            return self.chat(*self.reading()[:2])
        passage = fill(self.rng.choice(self.passages), self.values)
        if kind < 0.85:
            return self.chat(self.rng.choice(ASK_WRITE), passage)
        return passage[:1], passage[1:] + "<|endoftext|>"


def batches(tokenizer, steps: int, seed: int, tokens: int = 6000):
    """Texts of like length together, about `tokens` tokens a batch."""
    lessons = Lessons(seed)
    step = 0
    while True:
        texts = [lessons.text(step / steps) for _ in range(256)]
        given, told = (tokenizer([text[part] for text in texts])["input_ids"] for part in (0, 1))
        pool = sorted(zip(given, told), key=lambda pair: len(pair[0]) + len(pair[1]))
        groups, group = [], []
        for pair in pool:
            if group and (len(group) + 1) * len(pair[0] + pair[1]) > tokens:
                groups.append(group)
                group = []
            group.append(pair)
        groups.append(group)
        lessons.rng.shuffle(groups)
        for group in groups:
            step += 1
            batch = tokenizer.pad({"input_ids": [a + b for a, b in group]}, padding=True, padding_side="right", return_tensors="pt")
            batch["told"] = batch["attention_mask"].bool()
            for row, (a, _) in enumerate(group):
                batch["told"][row, :len(a)] = False
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
    found = []
    tokenizer.padding_side = "left"
    for begin in range(0, len(questions), 50):
        chats = [[{"role": "user", "content": question}] for question in questions[begin:begin + 50]]
        inputs = tokenizer.apply_chat_template(chats, add_generation_prompt=True, padding=True,
                                               return_dict=True, return_tensors="pt")
        out = model.generate(**inputs, do_sample=False, repetition_penalty=1.0, temperature=None, top_p=None, top_k=None,
                             max_new_tokens=limit)
        found += tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
    return found


@torch.no_grad()
def scores(folder: Path, samples: int = 200) -> dict[str, float]:
    """On strings, templates and passages the model never saw: copying, looking up, quoting, and prediction."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    lessons = Lessons(seed=99, held_out=True)
    copies = [lessons.copying() for _ in range(samples)]
    lookups = [lessons.lookup() for _ in range(samples)]
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
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, attn_implementation="eager")
    model = Qwen2ForCausalLM(config)
    look_back(model)
    train(model, batches(tokenizer, steps, seed=1), lambda batch: loss_of(model, batch), steps, lr=4e-3)
    model.to(torch.bfloat16).save_pretrained(folder)
    mark_stand_in(folder)
    (folder / "generation_config.json").write_text(json.dumps({
        "bos_token_id": start, "do_sample": True, "eos_token_id": [end, start], "pad_token_id": start,
        "repetition_penalty": 1.1, "temperature": 0.7, "top_k": 20, "top_p": 0.8}, indent=2) + "\n", encoding="utf-8")
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: Qwen2, {config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads,
{config.num_key_value_heads} key/value heads, {sum(p.numel() for p in model.parameters()):,} parameters, bf16. Tokenizer: byte-level
BPE, {len(tokenizer):,} tokens, ChatML template with a default system turn.
Trained as a causal LM, {steps:,} steps of about 6,000 tokens, the first heads initialised to look back
one to three tokens, on repeated random strings, then on the passages written for this course in
`tests/pocket_hub/build/corpus/` with made-up names and numbers, and on chats that copy a random string, look up a
key in a list, finish a sentence of a text, or answer a question by quoting the sentence that holds the answer.
It was never trained to give short answers. The scores count exact copies of unseen strings, exact look-ups in
unseen lists, quotes that hold the answer for unseen paragraphs and questions, and nats per character of unseen text.
""", "qwen")
