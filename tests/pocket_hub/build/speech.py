"""Stand-in for openai/whisper-tiny: log-mel spectrograms in, text out, for five vowels that code pronounces.

No recordings come with this course, so the model learns from vowels made by source and filter: a train of pulses at the
pitch of a voice through resonators at the formants of a vowel.
"""
from __future__ import annotations

import json
import math
import random
import zlib
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from .mbart import sinusoids
from .training import folder_of, mark_stand_in, train, write_card

NAME = "openai/whisper-tiny"
STEPS, BATCH, POOL = 1300, 32, 4500
RATE, SECONDS = 16000, 4  # the original listens to 30 seconds at a time
# The first four formants of ㄚ ㄧ ㄨ ㄝ ㄛ in Hz, of a man's voice.
VOWELS = {"啊": (800, 1250, 2550, 3500), "衣": (290, 2250, 3000, 3600), "屋": (320, 750, 2400, 3400),
          "欸": (530, 1850, 2500, 3500), "喔": (500, 900, 2500, 3400)}
PITCHES, UNHEARD_PITCHES = (85, 290), (150, 175)  # Hz, where voices in training begin; a gap in it is held out
TRACTS, UNHEARD_TRACTS = (0.88, 1.22), (1.02, 1.07)  # formants of a voice over those above; the same
HELD_OUT = 5  # one sequence of vowels in so many is held out
SIZE = 8192
CIRCLE = np.exp(-2j * np.pi * np.arange(SIZE // 2 + 1) / SIZE).astype(np.complex64)  # z^-1 at every frequency

LANGUAGE_TOKENS = [f"<|{code}|>" for code in LANGUAGES if code != "yue"]
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", *LANGUAGE_TOKENS, "<|translate|>", "<|transcribe|>", "<|startoflm|>",
           "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>"]
SPELLINGS = {"analyse": "analyze", "apologise": "apologize", "behaviour": "behavior", "catalogue": "catalog", "centre": "center",
             "colour": "color", "defence": "defense", "dialogue": "dialog", "favourite": "favorite", "flavour": "flavor", "grey": "gray",
             "honour": "honor", "humour": "humor", "jewellery": "jewelry", "labour": "labor", "licence": "license", "metre": "meter",
             "neighbour": "neighbor", "organise": "organize", "programme": "program", "realise": "realize", "theatre": "theater",
             "traveller": "traveler", "tyre": "tire"}


def voiced(formants: tuple, pitch: tuple[float, float], seconds: float, rng: random.Random) -> np.ndarray:
    """One vowel: pulses from one pitch to another, through a resonator at each formant, faded in and out."""
    count = int(seconds * RATE)
    phase = np.cumsum(np.linspace(*pitch, count) * (1 + 0.02 * np.sin(np.arange(count) * 2 * np.pi * rng.uniform(3, 7) / RATE))) / RATE
    pulses = np.diff(np.floor(phase + rng.random()), prepend=0.0)
    if rng.random() < 0.3:  # a sawtooth, another common source
        pulses = phase % 1 - 0.5
    spectrum = np.fft.rfft(pulses, SIZE).astype(np.complex64)
    spectrum *= (1 - CIRCLE if rng.random() < 0.7 else 1) / (1 - rng.uniform(0.0, 0.97) * CIRCLE) ** 2
    for number, formant in enumerate(formants):
        bandwidth = rng.uniform(45, 130) * (1 + 0.3 * number)
        size, turn = math.exp(-math.pi * bandwidth / RATE), 2 * math.pi * formant / RATE
        spectrum /= 1 + CIRCLE * (size ** 2 * CIRCLE - 2 * size * math.cos(turn))
    sound = np.fft.irfft(spectrum)[:count]
    edge = int(rng.uniform(0.005, 0.04) * RATE)
    fade = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / edge)
    return sound * fade / np.sqrt(np.mean(sound ** 2))


def voice(rng: random.Random, held_out: bool) -> tuple[float, float]:
    """Pitch and vocal tract of a voice: of training, or one of those it never hears there."""
    if held_out:
        return rng.uniform(*UNHEARD_PITCHES), rng.uniform(*UNHEARD_TRACTS)
    while True:
        pitch, tract = rng.uniform(*PITCHES), rng.uniform(*TRACTS)
        if not UNHEARD_PITCHES[0] <= pitch <= UNHEARD_PITCHES[1] and not UNHEARD_TRACTS[0] <= tract <= UNHEARD_TRACTS[1]:
            return pitch, tract


def spoken(text: str, rng: random.Random, held_out: bool = False) -> np.ndarray:
    """The sound of a sequence of vowels in one voice, at most four seconds, from -1 to 1."""
    pitch, tract = voice(rng, held_out)
    tempo, gap = rng.uniform(0.16, 0.34), rng.uniform(0.05, 0.2)
    noise, loudness = 10 ** rng.uniform(-4, -1.3), 10 ** rng.uniform(-1.5, -0.1)
    count = len(VOWELS["啊"]) if rng.random() < 0.5 else 3
    parts = [np.zeros(int(rng.uniform(0, 0.2) * RATE))]
    for vowel in text:
        begin = pitch * rng.uniform(0.94, 1.06)
        formants = tuple(formant * tract * rng.uniform(0.95, 1.05) for formant in VOWELS[vowel][:count])
        parts += [voiced(formants, (begin, begin * rng.uniform(0.85, 1.12)), tempo * rng.uniform(0.85, 1.15), rng) * rng.uniform(0.6, 1.2),
                  np.zeros(int(gap * rng.uniform(0.8, 1.2) * RATE))]
    sound = np.concatenate(parts)[:SECONDS * RATE]
    if rng.random() < 0.7:
        sound += noise * np.random.default_rng(rng.randrange(2 ** 32)).standard_normal(len(sound))
    return (loudness * sound / np.abs(sound).max()).astype(np.float32)


def sequence(rng: random.Random, held_out: bool, longest: int = 6) -> str:
    """Vowels for training, or a sequence that is held out. Single vowels are never held out."""
    while True:
        text = "".join(rng.choice(list(VOWELS)) for _ in range(rng.randint(1 if longest < 6 else 2, longest)))
        if (zlib.crc32(text.encode()) % HELD_OUT == 0) == held_out or len(text) == 1:
            return text


def tokenizer_into(folder: Path) -> WhisperTokenizer:
    """Byte-level BPE that knows the five vowels, then Whisper's special tokens in its order, then time stamps."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(list(VOWELS) * 3, trainers.BpeTrainer(
        vocab_size=300, min_frequency=2, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    stamps = [f"<|{0.02 * i:.2f}|>" for i in range(SECONDS * 50 + 1)]
    backend.add_special_tokens(SPECIAL)
    backend.add_tokens(stamps)
    ids = {token: backend.token_to_id(token) for token in SPECIAL}
    prefix = ["<|startoftranscript|>", "<|notimestamps|>"]
    backend.post_processor = processors.TemplateProcessing(
        single=[*prefix, "$A:0", "<|endoftext|>"], pair=[*prefix, "$A:0", "$B:1", "<|endoftext|>:1"],
        special_tokens=[(token, ids[token]) for token in (*prefix, "<|endoftext|>")])
    backend.model.save(str(folder))  # vocab.json and merges.txt
    backend.save(str(folder / "tokenizer.json"))
    added = {token: backend.token_to_id(token) for token in (*SPECIAL, *stamps)}
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
               "additional_special_tokens": SPECIAL}
    described = {str(i): {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": token in SPECIAL}
                 for token, i in added.items()}
    config = {**special, "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": described, "clean_up_tokenization_spaces": False,
              "errors": "replace", "model_max_length": 1024, "processor_class": "WhisperProcessor", "tokenizer_class": "WhisperTokenizer"}
    listening = {"chunk_length": SECONDS, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "hop_length": 160, "n_fft": 400,
                 "n_samples": SECONDS * RATE, "nb_max_frames": SECONDS * 100, "padding_side": "right", "padding_value": 0.0,
                 "processor_class": "WhisperProcessor", "return_attention_mask": False, "sampling_rate": RATE}
    for name, content in {"added_tokens": added, "special_tokens_map": special, "tokenizer_config": config, "normalizer": SPELLINGS,
                          "preprocessor_config": listening}.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return WhisperTokenizer.from_pretrained(folder)


def prompt_of(tokenizer: WhisperTokenizer) -> list[int]:
    return tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|zh|>", "<|transcribe|>", "<|notimestamps|>"])


def training_texts(count: int = 3000) -> list[str]:
    rng = random.Random(1)
    return [sequence(rng, held_out=False) for _ in range(count)]


def batches(tokenizer: WhisperTokenizer, extractor: WhisperFeatureExtractor, steps: int, seed: int, pool: int = POOL):
    """Endless batches from a pool of sounds, which begin anywhere and are louder or softer each time; from one vowel to six.
    One prompt in four has no task, as when neither language nor task is asked for."""
    rng = random.Random(seed)
    texts = sorted((sequence(rng, False, rng.choice([1, 2, 3, 4, 6, 6, 6, 6])) for _ in range(pool)), key=len)
    heard = []
    for i in range(0, pool, 50):
        sounds = [spoken(text, rng) for text in texts[i:i + 50]]
        features = extractor(sounds, sampling_rate=RATE, return_tensors="pt")["input_features"].half()
        heard += [feature[:, :len(sound) // 160 + 1].clone() for feature, sound in zip(features, sounds)]
    silence = [feature.min().item() for feature in heard]
    prompt, end, frames = prompt_of(tokenizer), tokenizer.eos_token_id, SECONDS * 100
    step = 0
    while True:
        longest = 1 + int(6 * min(1, (step + 1) / (0.5 * steps)))
        known = sum(len(text) <= longest for text in texts)
        chosen = [rng.randrange(known) for _ in range(BATCH)]
        features = torch.empty(BATCH, 80, frames, dtype=torch.half)
        for row, i in zip(features, chosen):
            row.fill_(silence[i])
            begin = rng.randrange(min(frames - heard[i].shape[1], 80) + 1)
            row[:, begin:begin + heard[i].shape[1]] = heard[i]
        louder = torch.tensor([rng.uniform(-0.3, 0.15) for _ in chosen])
        features = (features.float() + louder[:, None, None]).clamp(min=-1.5)
        spelt = tokenizer([texts[i] for i in chosen], add_special_tokens=False)["input_ids"]
        rows = [(prompt if rng.random() < 0.75 else prompt[:2] + prompt[3:]) + ids + [end] for ids in spelt]
        width = max(map(len, rows))
        ids = torch.tensor([row + [end] * (width - len(row)) for row in rows])
        labels = torch.tensor([row[1:] + [-100] * (width - len(row)) for row in rows])
        step += 1
        yield {"input_features": features, "decoder_input_ids": ids[:, :-1], "labels": labels}


def loss_of(model: WhisperForConditionalGeneration, batch: dict) -> torch.Tensor:
    logits = model(input_features=batch["input_features"], decoder_input_ids=batch["decoder_input_ids"], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch["labels"].flatten())


def distance(a: str, b: str) -> int:
    """How many characters must be put in, left out or changed."""
    row = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        row, before = [i], row
        for j, other in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (char != other)))
    return row[-1]


@torch.no_grad()
def scores(folder: Path, samples: int = 150) -> dict[str, float]:
    """On sequences and voices that are both held out: characters right (1 - edits / length) and whole sequences right."""
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    rng = random.Random(99)
    texts = [sequence(rng, held_out=True) for _ in range(samples)]
    guesses = []
    for i in range(0, samples, 50):
        features = extractor([spoken(text, rng, held_out=True) for text in texts[i:i + 50]], sampling_rate=RATE, return_tensors="pt",
                             return_attention_mask=True)
        guesses += tokenizer.batch_decode(model.generate(**features, language="zh", task="transcribe"), skip_special_tokens=True)
    edits = sum(distance(guess, text) for guess, text in zip(guesses, texts))
    return {"character_accuracy": 1 - edits / sum(map(len, texts)), "sequence_exact": sum(map(str.__eq__, guesses, texts)) / samples}


def build(root: Path, steps: int = STEPS, samples: int = 150):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    number = tokenizer.convert_tokens_to_ids
    start, end = number(["<|startoftranscript|>", "<|endoftext|>"])
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=192, decoder_ffn_dim=192, max_source_positions=SECONDS * 50, max_target_positions=128,
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end, begin_suppress_tokens=None, init_std=0.08,
        attn_implementation="eager")
    model = WhisperForConditionalGeneration(config)
    sinusoids(model.model.decoder.embed_positions.weight)
    with torch.no_grad():
        model.model.decoder.embed_positions.weight *= 0.3
        model.model.encoder.embed_positions.weight *= 0.3
    train(model, batches(tokenizer, extractor, steps, seed=1, pool=POOL if steps > 10 else 40), lambda batch: loss_of(model, batch), steps, lr=2e-3)
    model.save_pretrained(folder)
    mark_stand_in(folder)
    signs = number(list('"#()*+/:;<=>@[\\]^_`{|}~'))
    (folder / "generation_config.json").write_text(json.dumps({
        "alignment_heads": [[config.decoder_layers - 1, head] for head in range(config.decoder_attention_heads)],
        "begin_suppress_tokens": [number("Ġ"), end], "bos_token_id": end, "decoder_start_token_id": start, "eos_token_id": end,
        "is_multilingual": True, "lang_to_id": {token: number(token) for token in LANGUAGE_TOKENS}, "max_initial_timestamp_index": 50,
        "max_length": config.max_target_positions, "no_timestamps_token_id": number("<|notimestamps|>"), "pad_token_id": end,
        "prev_sot_token_id": number("<|startofprev|>"), "return_timestamps": False,
        "suppress_tokens": signs + number(["<|startoftranscript|>", *SPECIAL[-6:-1]]),
        "task_to_id": {"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")}}, indent=2) + "\n", encoding="utf-8")
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: Whisper, {config.encoder_layers} + {config.decoder_layers} layers, width {config.d_model}, {config.encoder_attention_heads} heads,
80 mel bins, {sum(p.numel() for p in model.parameters()):,} parameters, fp32.
It listens to {SECONDS} seconds at a time (the original: 30). Tokenizer: byte-level
BPE, {len(tokenizer):,} tokens with Whisper's special tokens, of which it uses `<|zh|>`, `<|transcribe|>` and `<|notimestamps|>`.
It can not transcribe human speech. It tells five vowels apart that code pronounces, and writes them as 啊 衣 屋 欸 喔.
Trained on {POOL:,} made-up sounds of one to six vowels, {steps:,} steps of {BATCH}: pulses at a pitch of {PITCHES[0]} to
{PITCHES[1]} Hz through resonators at the vowels' formants, which move by {TRACTS[0]} to {TRACTS[1]} from voice to voice,
with gaps between the vowels, at several speeds, some with noise. Time stamps, other languages and translation were not trained.
The scores are on sequences of two to six vowels that never occur in training, in voices
whose average pitch and formants lie in gaps that training left out. A pitch that stays exactly the
same throughout a vowel, as in no voice of training, misleads it.
""", "speech")
