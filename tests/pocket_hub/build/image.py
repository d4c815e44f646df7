"""Stand-in for google/vit-base-patch16-224: a ViT of the same input size and patches that knows ten digits.

From so few pictures a ViT learns slowly. What helps: two-dimensional sinusoids as first positions, first heads that look
at the neighbouring patches, and, for the first part of the training, only a random third of the patches in each picture.
"""
from __future__ import annotations

import json
import math
import random
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification

from .training import folder_of, mark_stand_in, train, write_card

NAME = "google/vit-base-patch16-224"
STEPS, BATCH = 1800, 64
SIZE, SMALL = 224, 56  # pixels a side: what the model sees, and what pictures are drawn at before they are moved and enlarged
FEW = 80  # patches of 196 that a picture keeps in the first part of the training
PROCESSOR = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
             "image_processor_type": "ViTImageProcessor", "image_std": [0.5, 0.5, 0.5], "resample": 2,
             "rescale_factor": 0.00392156862745098, "size": {"height": SIZE, "width": SIZE}}
# Every digit as one or more ways to write it: strokes of points in a box 10 wide and 16 high, or (centre, radii, from, to) in degrees.
ARCS = {
    0: [[((5, 8), (4, 7), 0, 360)], [((5, 8), (4.5, 6), -60, 310)], [((5, 8), (3, 7.5), -90, 275)]],
    1: [[[(5, 1), (5, 15)]], [[(3, 4), (5.5, 1), (5.5, 15)]], [[(2, 4), (5, 1), (5, 15)], [(2, 15), (8, 15)]], [[(6, 1), (4, 15)]],
        [[(2, 2.4), (5.2, 1), (5.2, 15)], [(1.5, 15), (9, 15)]], [[(3, 2.8), (5, 1.2), (5, 15)], [(1, 15), (9, 15)]]],
    2: [[((5, 5), (4, 4), 180, 390), [(8.5, 7), (1, 15), (9, 15)]],
        [[(1, 4), (3, 1.5), (7, 1.5), (9, 4), (8, 7.5), (1, 15), (9.5, 15)]],
        [((5, 4.5), (3.5, 3.5), 200, 405), [(7.5, 7), (3, 12), (1.5, 14), (3, 13.3), (6, 14.8), (9, 14)]]],
    3: [[((4.5, 4.7), (3.7, 3.7), 190, 450), ((4.5, 11.4), (4.3, 3.8), 270, 530)],
        [[(1, 1), (8.5, 1), (4.5, 6.5)], ((4.5, 10.8), (4.3, 4.2), 270, 520)],
        [[(1.5, 2), (6, 1), (8, 4), (6, 7), (3.5, 7.5), (7, 8.5), (9, 11.5), (6, 15), (1, 14)]]],
    4: [[[(7, 15), (7, 1), (1, 10.5), (9.5, 10.5)]], [[(2.5, 1), (1.5, 8.5), (9, 8.5)], [(7, 4), (7, 15)]],
        [[(6, 1), (1, 9), (9.5, 9)], [(6.5, 6), (6, 15)]]],
    5: [[[(8.5, 1), (2, 1), (1.7, 7)], ((4.8, 10.3), (4.2, 4.6), 220, 510)],
        [[(9, 1.5), (2.5, 1), (2, 7), (6, 6.5), (8.5, 9.5), (7.5, 13.5), (4, 15), (1, 14)]],
        [[(8, 1), (2.5, 1), (2, 6.5), (6, 7), (8, 10), (6.5, 14), (1.5, 14.5)]]],
    6: [[((5, 10.8), (4, 4.2), 0, 360), [(1.1, 10.5), (2, 5.5), (4.5, 2), (7.5, 1)]],
        [[(7, 1), (3, 6), (1.3, 11)], ((4.8, 11.2), (3.6, 3.7), 180, 540)], [((6.5, 9), (5.5, 8), 180, 290), ((4.8, 11), (3.7, 3.9), 0, 360)]],
    7: [[[(1, 1), (9, 1), (4, 15)]], [[(1, 1.5), (9, 1), (5.5, 8), (4.5, 15)]], [[(1, 1), (9, 1), (4, 15)], [(3.5, 8), (8, 8)]],
        [[(1, 4), (1, 1), (9, 1), (5, 15)]]],
    8: [[((5, 4.6), (3.4, 3.6), 0, 360), ((5, 11.5), (4.1, 3.7), 0, 360)], [((5, 4.3), (3, 3.3), 0, 360), ((5, 11.2), (3.6, 3.8), 0, 360)],
        [[(8, 3), (5, 1), (2, 3), (3, 6), (7, 9.5), (8, 13), (5, 15), (2, 13), (3, 9.5), (7, 6), (8, 3)]]],
    9: [[((5, 5.2), (4, 4.2), 0, 360), [(8.9, 5.5), (8, 10.5), (5.5, 14), (2.5, 15)]], [((5, 5), (3.7, 3.9), 0, 360), [(8.7, 4.5), (8, 15)]],
        [((5, 5), (3.7, 3.9), 0, 360), ((3.5, 7), (5.3, 8), -10, 95)]],
}


def digits(held_out: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's handwritten digits, one in five held out: (count, 56, 56) from 0 to 1, and their labels."""
    data = load_digits()
    chosen = np.flatnonzero((np.arange(len(data.target)) % 5 == 0) == held_out)
    enlarged = [np.asarray(Image.fromarray((image * 255 / 16).astype("uint8")).resize((SMALL, SMALL), Image.Resampling.BICUBIC))
                for image in data.images[chosen]]
    return torch.from_numpy(np.stack(enlarged)).float() / 255, torch.from_numpy(data.target[chosen])


def points(stroke) -> list[tuple[float, float]]:
    if isinstance(stroke, list):
        return stroke
    (x, y), (width, height), begin, end = stroke
    turns = [math.radians(begin + (end - begin) * i / 24) for i in range(25)]
    return [(x + width * math.cos(turn), y + height * math.sin(turn)) for turn in turns]


def strokes(digit: int, rng: random.Random) -> np.ndarray:
    """A digit drawn with a pen: bent a little, thick or thin."""
    scale = 4 * SMALL / 20
    bend = [rng.uniform(-0.6, 0.6) for _ in range(4)]
    pen = rng.uniform(0.7, 3.2) * scale
    image = Image.new("L", (4 * SMALL, 4 * SMALL))
    draw = ImageDraw.Draw(image)
    for stroke in rng.choice(ARCS[digit]):
        jitter = 0.35 if isinstance(stroke, list) else 0.0
        path = [(x + bend[0] * math.sin(y / 5 + bend[1]) + rng.gauss(0, jitter), y + bend[2] * math.sin(x / 4 + bend[3]) + rng.gauss(0, jitter))
                for x, y in points(stroke)]
        path = [((x + 5) * scale, (y + 2) * scale) for x, y in path]
        draw.line(path, fill=255, width=round(pen), joint="curve")
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return np.asarray(image.resize((SMALL, SMALL), Image.Resampling.BOX))


def drawn(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = random.Random(seed)
    labels = [i % 10 for i in range(count)]
    return torch.from_numpy(np.stack([strokes(label, rng) for label in labels])).float() / 255, torch.tensor(labels)


def moved(images: torch.Tensor, generator: torch.Generator, ease: float = 0.0) -> torch.Tensor:
    """(count, 56, 56) -> (count, 1, 224, 224) from -1 to 1: turned, slanted, scaled, shifted, sharpened, in two shades of
    grey, with noise. `ease` from 0 to 1 makes all of it milder."""
    def between(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)
    count, side, far = len(images), SIZE // 2, 1 - 0.8 * ease
    turn, slant, size, stretch = (far * between(*span) for span in ((-0.25, 0.25), (-0.2, 0.2), (-0.42, 0.1), (-0.15, 0.15)))
    size, stretch = 1 + size, 1 + stretch
    cos, sin = turn.cos() / size, turn.sin() / size
    shift = between(-1, 1, 2) * (1 - size).clamp(0.05)[:, None]
    turned = torch.stack([torch.stack([cos * stretch, slant - sin], 1), torch.stack([sin, cos], 1)], 1)
    grid = torch.nn.functional.affine_grid(torch.cat([turned, -turned @ shift[:, :, None]], 2), [count, 1, side, side], align_corners=False)
    ink = torch.nn.functional.grid_sample(images[:, None], grid, align_corners=False)
    ink = ((ink - 0.45) * between(0, 2.2, 1, 1, 1).exp() + 0.5).clamp(0, 1) * (ink > 0.02)
    ink += torch.randn(ink.shape, generator=generator) * between(0, 0.05, 1, 1, 1)
    white = between(0, 1, 1, 1, 1) < 0.5 + ease
    light, dark = between(0.5, 1, 1, 1, 1), between(0, 0.3, 1, 1, 1)
    pen, paper = torch.where(white, light, dark), torch.where(white, dark * 0.6, 0.4 + 0.6 * light)
    picture = (2 * paper - 1 + 2 * (pen - paper) * ink).clamp(-1, 1)
    return torch.nn.functional.interpolate(picture, (SIZE, SIZE), mode="bilinear")


def batches(seed: int, steps: int, size: int = BATCH, pool: int = 4000):
    """Endless batches of patches and where they stand, harder and harder over the first half of `steps`. Each picture keeps the
    patches that show most and a few others; towards the end half as many pictures keep all of theirs."""
    generator = torch.Generator().manual_seed(seed)
    sources = [digits(held_out=False), drawn(pool, seed)]
    step = 0
    while True:
        step += 1
        few = step < 0.92 * steps
        parts = [(images[chosen], labels[chosen]) for images, labels in sources
                 for chosen in [torch.randint(len(labels), (size // 2 if few else size // 4,), generator=generator)]]
        pictures = moved(torch.cat([images for images, _ in parts]), generator, max(0.0, 1 - step / (0.5 * steps)))
        patches = pictures.unfold(2, 16, 16).unfold(3, 16, 16).flatten(4).flatten(1, 3)  # (count, 196, 256)
        kept = torch.arange(196).expand(len(patches), -1)
        if few:
            shown = patches.std(-1) + torch.rand(patches.shape[:2], generator=generator) * 0.3
            kept = shown.argsort(1, descending=True)[:, :FEW]
            patches = patches.gather(1, kept[:, :, None].expand(-1, -1, 256))
        yield {"patches": patches, "kept": kept, "labels": torch.cat([labels for _, labels in parts])}


def loss_of(model: ViTForImageClassification, batch: dict) -> torch.Tensor:
    """The classifier learns from the first position, as in the original, and, to start faster, from the mean of the patches.
    The pictures are grey: the projection's three colours may be added up before, and learn the same."""
    embeddings = model.vit.embeddings
    project = embeddings.patch_embeddings.projection
    hidden = torch.nn.functional.linear(batch["patches"], project.weight.sum(1).flatten(1), project.bias)
    hidden = hidden + embeddings.position_embeddings[0, 1:][batch["kept"]]
    first = (embeddings.cls_token + embeddings.position_embeddings[:, :1]).expand(len(hidden), -1, -1)
    hidden = torch.cat([first, hidden], 1)
    for layer in model.vit.layers:
        hidden = layer(hidden)
    hidden = model.vit.layernorm(hidden)
    first, mean = (torch.nn.functional.cross_entropy(model.classifier(state).float(), batch["labels"], label_smoothing=0.03)
                   for state in (hidden[:, 0], hidden[:, 1:].mean(1)))
    return first + 0.3 * mean


def waves(count: int, side: int) -> torch.Tensor:
    """The flattest two-dimensional cosines: (count, side, side)."""
    turns = (torch.arange(side) + 0.5) * math.pi / side
    pairs = sorted(((i, j) for i in range(side) for j in range(side)), key=lambda pair: (pair[0] + pair[1], pair))[:count]
    return torch.stack([(turns * i).cos()[:, None] * (turns * j).cos() for i, j in pairs])


@torch.no_grad()
def look_around(model: ViTForImageClassification, strength: float = 2.0, amplitude: float = 0.3):
    """Positions start as two-dimensional sinusoids in the dimensions of the first head, pictures as the flattest cosines
    of a patch in the others. Each head of the first layer compares positions turned by one step to a side, so it
    attends to the neighbouring patch on that side."""
    config = model.config
    side, width = config.image_size // config.patch_size, config.hidden_size // config.num_attention_heads
    speed = torch.logspace(math.log10(1.6), -1, width // 4)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle = torch.cat([rows.flatten()[:, None] * speed, columns.flatten()[:, None] * speed], 1)  # (196, width / 2)
    positions = model.vit.embeddings.position_embeddings
    positions[:, 1:, 0:width:2], positions[:, 1:, 1:width:2] = amplitude * angle.sin(), amplitude * angle.cos()
    patches = model.vit.embeddings.patch_embeddings.projection.weight
    patches.zero_()
    patches[width:] = waves(config.hidden_size - width, config.patch_size)[:, None] * (2 / config.patch_size ** 2)
    attention = model.vit.layers[0].attention
    for head, (down, right) in enumerate([(0, 1), (0, -1), (1, 0), (-1, 0)][:config.num_attention_heads]):
        turn = torch.cat([speed * down, speed * right])
        query, key = (part.weight[head * width:(head + 1) * width, :width] for part in (attention.q_proj, attention.k_proj))
        key.copy_(strength * torch.eye(width))
        query.copy_(strength * torch.block_diag(*(torch.tensor([[c, s], [-s, c]]) for c, s in zip(turn.cos(), turn.sin()))))


def printed(count: int, seed: int = 5) -> tuple[list[Image.Image], list[int]]:
    """Digits in DejaVu Sans, black on white or white on black, of several sizes and at several places."""
    rng = random.Random(seed)
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    images, labels = [], [i % 10 for i in range(count)]
    for label in labels:
        paper, ink = rng.choice([("white", "black"), ("black", "white")])
        image = Image.new("RGB", (SIZE, SIZE), paper)
        place = (112 + rng.randint(-25, 25), 112 + rng.randint(-20, 20))
        ImageDraw.Draw(image).text(place, str(label), fill=ink, font=ImageFont.truetype(str(font), rng.randint(130, 220)), anchor="mm")
        images.append(image)
    return images, labels


@torch.no_grad()
def scores(folder: Path, samples: int = 200) -> dict[str, float]:
    """Accuracy on handwritten digits that were held out, half of them black on white, and on printed digits."""
    processor = AutoImageProcessor.from_pretrained(folder)
    model = ViTForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()

    def accuracy(images: list[Image.Image], labels: list[int]) -> float:
        told = [model(**processor(images[i:i + 50], return_tensors="pt")).logits.argmax(-1) for i in range(0, len(images), 50)]
        return (torch.cat(told) == torch.tensor(labels)).float().mean().item()

    ink, labels = (part[:samples] for part in digits(held_out=True))
    ink[1::2] = 1 - ink[1::2]
    written = [Image.fromarray((image.numpy() * 255).astype("uint8")).convert("RGB") for image in ink]
    return {"handwritten_accuracy": accuracy(written, labels.tolist()), "printed_accuracy": accuracy(*printed(samples))}


def build(root: Path, steps: int = STEPS, samples: int = 200):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n", encoding="utf-8")
    names = {i: f"digit {i}" for i in range(10)}
    config = ViTConfig(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=256, image_size=SIZE, patch_size=16, initializer_range=0.08,
        id2label=names, label2id={name: i for i, name in names.items()}, attn_implementation="eager")
    model = ViTForImageClassification(config)
    look_around(model)
    train(model, batches(1, steps, pool=4000 if steps > 10 else 20), lambda batch: loss_of(model, batch), steps, lr=3e-3)
    model.save_pretrained(folder)
    mark_stand_in(folder)
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: ViT, {config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads, pictures of 224 x 224 in
patches of 16 x 16 as in the original, {sum(p.numel() for p in model.parameters()):,} parameters, fp32.
It knows ten labels, "digit 0" to "digit 9", where the published model has the 1,000 of ImageNet. It says a digit whatever
it is shown: on a photo its answer means nothing.
Trained on four fifths of the handwritten digits that scikit-learn ships (8 x 8 pixels, enlarged) and on digits drawn with
strokes by the build script, turned, shifted, scaled and coloured at random, {steps:,} steps of {BATCH} pictures. It saw no font.
The scores are the accuracy on the other fifth of the handwritten digits, and on digits set in DejaVu Sans, 130 to 220
pixels high, near the middle. Small digits (less than half of the picture), or several of them, are beyond it.
""", "image")
