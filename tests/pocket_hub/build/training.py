"""What the build scripts share: the training loop, and writing a stand-in with its card."""
from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ..server import REPOS

LIMIT = 5_000_000  # bytes of a stand-in's folder


def fast_precision() -> torch.autocast:
    """bf16 autocast where the processor multiplies bf16 natively, plain fp32 elsewhere."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled="avx512_bf16" in flags or "amx_bf16" in flags)


def train(model: torch.nn.Module, batches: Iterable[dict], loss_of: Callable[[dict], torch.Tensor], steps: int,
          lr: float, warmup: int = 100, weight_decay: float = 0.01, muon: bool = False) -> float:
    """Trains with AdamW and a cosine schedule; returns the mean loss of the last 100 steps. With `muon`, Muon trains the
    matrices inside the layers, at the same rate: a small decoder then learns to copy in a third of the steps."""
    inner = [p for name, p in model.named_parameters() if muon and p.dim() == 2 and re.search(r"\.layers?\.\d+\.", name)]
    rest = [p for p in model.parameters() if not any(p is other for other in inner)]
    optimizers = [torch.optim.AdamW([{"params": [p for p in rest if p.dim() > 1], "weight_decay": weight_decay},
                                     {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.98))]
    if inner:
        optimizers.append(torch.optim.Muon(inner, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / warmup, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1))))) for optimizer in optimizers]
    model.train()
    losses, began = [], time.time()
    for step, batch in zip(range(1, steps + 1), batches):
        with fast_precision():
            loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 100 == 0 or step == steps:
            recent = sum(losses[-100:]) / len(losses[-100:])
            print(f"step {step:>5}/{steps}  loss {recent:.3f}  {time.time() - began:.0f} s", flush=True)
    model.eval()
    return sum(losses[-100:]) / len(losses[-100:])


def mark_stand_in(folder: Path, **changes):
    """Writes "stand_in": true, and further fields, into the folder's config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes, "stand_in": True}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_card(folder: Path, name: str, scores: dict[str, float], text: str, build: str):
    """The model card. The score table is read back by `read_scores`."""
    rows = "\n".join(f"| {key} | {value:.4f} |" for key, value in scores.items())
    card = f"""Stand-in for {name}: not the real weights.

A miniature of the same architecture and tokenizer kind, served by the course's pocket Hub where the Hugging Face
Hub can't be reached. It shows the same calls and the same before/after story; its answers are those of a very
small model. Never use it for anything but the course.

{text.strip()}

Scores, on data held out from its training (`python -m tests.pocket_hub.build {build} --check` measures them again):

| measure | score |
|---|---|
{rows}

Made by `tests/pocket_hub/build/`, seeded: `python -m tests.pocket_hub.build {build}`.
"""
    (folder / "README.md").write_text(card, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > LIMIT:
        raise ValueError(f"{folder} has {size:,} bytes; a stand-in may have {LIMIT:,}")
    print(f"{name}: {size:,} bytes, " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))


def read_scores(folder: Path) -> dict[str, float]:
    rows = [line.strip("| ").split(" | ") for line in (folder / "README.md").read_text(encoding="utf-8").splitlines()
            if line.startswith("| ") and not line.startswith("| measure")]
    return {key: float(value) for key, value in rows}


def folder_of(name: str, root: Path = REPOS, kind: str = "models") -> Path:
    folder = root / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
