"""The table of a GPU: measured here on the CPU, with small models."""
import re

import pytest
import torch
from transformers import BertConfig, MBartConfig, Qwen2Config

from . import gpu


def test_the_sizes_are_the_published_ones():
    with torch.device("meta"):
        sizes = {model.chapter: sum(weight.numel() for weight in model.kind(model.config).parameters()) for model in gpu.PUBLISHED}
    assert sizes["4"] == 494_032_768 and sizes["5"] == 610_879_488 and 101e6 < sizes["3"] < 103e6
    assert [f"{size / 1e8:.1f} 億" in model.name for size, model in zip(sizes.values(), gpu.PUBLISHED)] == [True] * 3


def test_small_models_are_measured_and_the_table_is_written(tmp_path, monkeypatch):
    """The same steps on the CPU, where half precision is bfloat16; the table is written once, however often it is measured."""
    narrow = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2}
    both = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in (("layers", 1), ("ffn_dim", 16), ("attention_heads", 2))}
    configs = [BertConfig(**narrow, num_labels=5), Qwen2Config(**narrow, num_key_value_heads=1), MBartConfig(vocab_size=99, d_model=16, **both)]
    models = [model._replace(batch=2, length=20, config=config) for model, config in zip(gpu.PUBLISHED, configs)]
    monkeypatch.setattr(gpu, "STEPS", 1)
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    losses = [[gpu.measure(model, way, "cpu")[2] for way in gpu.WAYS] for model in models]
    assert all(exact == pytest.approx(half, rel=0.02) for exact, half, _ in losses)
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    before = "# 課程\n\n## 測量結果\n\n還沒量\n\n## 一起改進\n"
    (tmp_path / "README.md").write_text(before, encoding="utf-8")
    measured = gpu.table(models, "cpu")
    for _ in range(2):
        gpu.write("Some GPU", measured)
    after = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert after.count("### Some GPU") == 1 and len(re.findall(r"^\| [345] \|", after, re.M)) == 9 and after.endswith("|\n\n## 一起改進\n")
