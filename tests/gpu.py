"""python -m tests.gpu    measures what a training step costs on this GPU at the published sizes, and writes the table into README

The weights are random: time and memory don't depend on their values, and nothing is downloaded. Each chapter's model, in a batch about as large
as its notebook takes, three ways: all weights in float32; all weights in fp16 mixed precision; a frozen fp16 base with LoRA.
"""
from __future__ import annotations

import gc
import math
import re
import sys
import time
from itertools import product
from typing import NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from transformers import (BertConfig, BertForTokenClassification, MBartConfig, MBartForConditionalGeneration, PreTrainedConfig, Qwen2Config,
                          Qwen2ForCausalLM)

from .course import ROOT

WAYS = ("float32", "fp16 混合精度", "fp16 底座 + LoRA")
STEPS, WARM_UP, ANSWER = 10, 3, 16  # ANSWER: chapter 4 computes the logits of so many tokens
HEAD = "| 章 | 模型 | 作法 | 每步毫秒 | 每秒詞元 | 峰值 GB |\n|---|---|---|---|---|---|\n"


class Model(NamedTuple):
    chapter: str
    name: str
    kind: type
    config: PreTrainedConfig
    batch: int
    length: int


PUBLISHED = [
    Model("3", "BERT-base，1.0 億", BertForTokenClassification, BertConfig(vocab_size=21128, num_labels=17), 32, 128),
    Model("4", "Qwen2.5-0.5B，4.9 億", Qwen2ForCausalLM, Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
        tie_word_embeddings=True), 8, 512),
    Model("5", "mBART-large-50，6.1 億", MBartForConditionalGeneration, MBartConfig(vocab_size=250054), 32, 96),
]


def batch_of(model: Model, device: str) -> dict:
    ids = torch.randint(4, model.config.vocab_size, (model.batch, model.length), device=device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.kind is BertForTokenClassification:
        return {**inputs, "labels": ids % model.config.num_labels}
    if model.kind is Qwen2ForCausalLM:
        return {**inputs, "labels": ids[:, -ANSWER:], "logits_to_keep": ANSWER}
    return {**inputs, "labels": ids}


def measure(model: Model, way: str, device: str) -> tuple[float, float | None, float]:
    """Seconds a step takes, peak memory in GB, and the loss of the last step."""
    half = torch.float16 if device == "cuda" else torch.bfloat16
    torch.manual_seed(0)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with torch.device(device):
        network = model.kind(model.config).train()
    if "LoRA" in way:
        network = get_peft_model(network.to(half), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))  # its A and B are float32
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer, scaler = torch.optim.AdamW(trained, lr=1e-5), torch.amp.GradScaler(device, enabled=device == "cuda" and way != "float32")
    batch = batch_of(model, device)
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            if device == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
        with torch.autocast(device, half, enabled=way != "float32"):
            loss = network(**batch).loss
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    last = loss.item()  # waits for the GPU
    seconds = (time.perf_counter() - began) / STEPS
    if not math.isfinite(last):
        raise FloatingPointError(f"chapter {model.chapter}, {way}: the loss is {last}")
    return seconds, torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None, last


def table(models: list[Model], device: str) -> str:
    rows = []
    for model, way in product(models, WAYS):
        print(f"chapter {model.chapter}, {model.name}, {way} …", file=sys.stderr, flush=True)
        try:
            seconds, peak, _ = measure(model, way, device)
            cells = f"{1000 * seconds:.0f} | {model.batch * model.length / seconds:,.0f} | {f'{peak:.1f}' if peak else '-'}"
        except torch.cuda.OutOfMemoryError:
            cells = "放不下 | - | -"
        rows.append(f"| {model.chapter} | {model.name}，一批 {model.batch} × {model.length} | {way} | {cells} |\n")
        gc.collect()
        torch.cuda.empty_cache()
    return HEAD + "".join(rows)


def write(name: str, measured: str):
    """Puts the table of this GPU at the end of README's measurements, or in the place of its older one."""
    path, title = ROOT / "README.md", f"### {name}"
    text = re.sub(rf"(?ms)^{re.escape(title)}\n.*?(?=^##)", "", path.read_text(encoding="utf-8"))
    note = f"一步訓練的成本，`python -m tests.gpu` 實測（PyTorch {torch.__version__.partition('+')[0]}）。尺寸是原版的，權重是隨機的，時間與記憶體不受影響。"
    text, found = re.subn(r"(?m)^## 一起改進", f"{title}\n\n{note}\n\n{measured}\n\\g<0>", text)
    assert found == 1, "README has no heading to put the table before"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("no CUDA GPU here: this table is measured on one")
    measured = table(PUBLISHED, "cuda")
    print(measured)
    write(torch.cuda.get_device_name(), measured)
