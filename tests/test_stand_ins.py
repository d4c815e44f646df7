"""The stand-ins: honest, small, loadable in a moment, as good as their cards say, and trained on nothing the course tests with."""
import importlib
import json
import os
import random
import re
import time
import zlib

import evaluate
import pytest
import torch
from accelerate import Accelerator
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from seqeval.metrics import f1_score
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from .course import CHAPTERS, ROOT, load
from .pocket_hub.__main__ import DRCD
from .pocket_hub.build import drcd, mrpc, texts, values
from .pocket_hub.build.__main__ import DATA_SETS, STAND_INS
from .pocket_hub.build.training import LIMIT, read_scores
from .pocket_hub.server import REPOS

MODELS = sorted(f"{folder.parent.name}/{folder.name}" for folder in REPOS.glob("models/*/*"))
BUILDERS = {name: importlib.import_module(f"tests.pocket_hub.build.{name}") for name in STAND_INS if name not in DATA_SETS}
TRAINED = {name: module.NAME for name, module in BUILDERS.items()}
FAMILIES = [(TRAINED["bert"], AutoModelForMaskedLM), (TRAINED["qwen"], AutoModelForCausalLM), (TRAINED["mbart"], AutoModelForSeq2SeqLM)]
WORDPIECE = "config.json model.safetensors special_tokens_map.json tokenizer_config.json vocab.txt"
PUBLISHED_FILES = {
    "google-bert/bert-base-chinese": "config.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt",
    "google-bert/bert-base-uncased": "config.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt",
    "Qwen/Qwen2.5-0.5B-Instruct": "config.json generation_config.json merges.txt model.safetensors tokenizer.json tokenizer_config.json vocab.json",
    "facebook/mbart-large-50": "config.json generation_config.json model.safetensors sentencepiece.bpe.model special_tokens_map.json tokenizer_config.json",
    "lxyuan/distilbert-base-multilingual-cased-sentiments-student": f"{WORDPIECE} tokenizer.json",
    "dslim/bert-base-NER": f"{WORDPIECE} added_tokens.json",
    "ckiplab/albert-tiny-chinese-pos": WORDPIECE,
    "MoritzLaurer/mDeBERTa-v3-base-mnli-xnli": "added_tokens.json config.json model.safetensors special_tokens_map.json spm.model tokenizer.json tokenizer_config.json",
    "google/vit-base-patch16-224": "config.json model.safetensors preprocessor_config.json",
    "openai/whisper-tiny": "added_tokens.json config.json generation_config.json merges.txt model.safetensors normalizer.json preprocessor_config.json "
                           "special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json",
    "Helsinki-NLP/opus-mt-zh-en": "config.json generation_config.json metadata.json model.safetensors source.spm target.spm tokenizer_config.json vocab.json",
}


@pytest.mark.parametrize("name", MODELS)
def test_the_card_says_what_it_is(name):
    card = (REPOS / "models" / name / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"Stand-in for {name}: not the real weights.")
    assert re.search(r"[Tt]rained (on|as|by|to) ", card), "the card must say what it was trained on"
    assert read_scores(REPOS / "models" / name)
    assert AutoConfig.from_pretrained(name).stand_in is True


@pytest.mark.parametrize("name", MODELS)
def test_files_are_those_of_the_published_repository(name):
    files = {path.name for path in (REPOS / "models" / name).iterdir()} - {"README.md"}
    assert files == set(PUBLISHED_FILES[name].split())


def test_sizes():
    sizes = {name: sum(path.stat().st_size for path in (REPOS / "models" / name).iterdir()) for name in MODELS}
    assert max(sizes.values()) <= LIMIT, sizes
    assert sum(path.stat().st_size for path in REPOS.rglob("*") if path.is_file()) <= 25_000_000


@pytest.mark.parametrize("name", MODELS)
def test_cold_from_pretrained_takes_less_than_a_second(name, tmp_path):
    AutoModel.from_pretrained(name, dtype=torch.float32)  # imports the model's code, which is no work of the Hub's
    began = time.monotonic()
    AutoModel.from_pretrained(name, dtype=torch.float32, cache_dir=tmp_path)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("build, name", TRAINED.items())
def test_the_scores_on_the_card_are_true(build, name):
    """Measured again on the committed weights; another processor may round a few answers differently."""
    measured = BUILDERS[build].scores(REPOS / "models" / name)
    for key, score in read_scores(REPOS / "models" / name).items():
        assert measured[key] == pytest.approx(score, rel=0.03, abs=0.01), key


def test_the_decoder_and_the_encoder_decoder_copy_what_they_never_saw():
    qwen, mbart = (read_scores(REPOS / "models" / TRAINED[name]) for name in ("qwen", "mbart"))
    assert qwen["copy_exact"] > 0.8 and mbart["copy_passages_60"] > 0.8 and mbart["copy_strings_24"] > 0.8


@pytest.mark.parametrize("build", TRAINED)
def test_the_build_script_still_runs(build, tmp_path):
    module = BUILDERS[build]
    module.build(tmp_path, steps=2, samples=4)
    assert read_scores(tmp_path / "models" / module.NAME).keys() == read_scores(REPOS / "models" / module.NAME).keys()
    committed, rebuilt = (root / "models" / module.NAME for root in (REPOS, tmp_path))
    for path in rebuilt.iterdir():  # the tokenizer and the configuration come out the same, byte for byte
        if path.suffix != ".safetensors" and path.name not in ("README.md", "config.json"):
            assert path.read_bytes() == (committed / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name, auto", FAMILIES)
def test_a_stand_in_learns_with_lora(name, auto):
    """Adapters on every linear layer, frozen weights below, a few steps on one batch: the loss falls, the base stays."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(name)
    base = auto.from_pretrained(name, dtype=torch.float32)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    accelerator = Accelerator()
    batch = tokenizer(["今天的風很大。", "她把窗戶關上。"], padding=True, return_tensors="pt").to(accelerator.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(trained, lr=1e-2))
    losses = []
    for _ in range(5):
        loss = model(**batch, labels=batch["input_ids"]).loss
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    kept = {key.replace(".base_layer", "").removeprefix("base_model.model."): value.cpu() for key, value in model.state_dict().items()}
    assert all(torch.equal(kept[key], value) for key, value in before.items())


# --- tokenizers of the real kinds ---------------------------------------------------------------

def test_bert_has_no_capitals_until_it_is_told_to_lower_case():
    text = "身分證 B2Z 與 USB"
    assert "[UNK]" in AutoTokenizer.from_pretrained(TRAINED["bert"]).tokenize(text)
    lower = AutoTokenizer.from_pretrained(TRAINED["bert"], do_lower_case=True)
    assert "[UNK]" not in lower.tokenize(text)
    assert (lower.pad_token_id, lower.unk_token_id, lower.cls_token_id, lower.sep_token_id, lower.mask_token_id) == (0, 100, 101, 102, 103)


def test_qwen_is_lossless_and_adds_a_default_system_turn():
    tokenizer = AutoTokenizer.from_pretrained(TRAINED["qwen"])
    for text in ("臺灣\U0001f60a\t龘 A\u200bb", "\uff11\uff12 ", "𠮷"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    asked = [{"role": "user", "content": "嗨"}]
    assert tokenizer.apply_chat_template(asked, tokenize=False).startswith("<|im_start|>system\nYou are Qwen")
    own = tokenizer.apply_chat_template([{"role": "system", "content": "S"}, *asked], tokenize=False, add_generation_prompt=True)
    assert own == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n嗨<|im_end|>\n<|im_start|>assistant\n"


def test_mbart_normalises_and_has_language_codes():
    tokenizer = AutoTokenizer.from_pretrained(TRAINED["mbart"], src_lang="zh_CN", tgt_lang="zh_CN")
    ids = tokenizer("ＡＢ\uff11")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[0] == "zh_CN" and ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "AB1"
    assert tokenizer("x", text_target="y")["labels"][0] == tokenizer.convert_tokens_to_ids("zh_CN")


# --- training data ------------------------------------------------------------------------------

def test_parts_share_no_value():
    drawn = {part: {values.Values(random.Random(seed), part).draw(slot) for seed in range(300) for slot in ("person", "phone", "id", "email", "town", "work")}
             for part in values.PARTS}
    assert not drawn["pretrain"] & drawn["train"] and not drawn["train"] & drawn["dev"] and not drawn["pretrain"] & drawn["dev"]


def test_held_out_passages_are_not_trained_on():
    assert not set(texts.passages(True)) & set(texts.passages(False))
    assert len(texts.passages(True)) > 100


def training_text() -> str:
    """Everything the stand-ins are trained on: the corpus, its slots filled a few times, and the lists of values."""
    filler = values.Values(random.Random(1), "pretrain")
    passages = texts.passages(False) + [template.paragraph for template in texts.templates("reading")] + [fact for fact, _ in texts.facts(False)]
    drawn = [filler.draw(slot) for slot in ("person", "phone", "email", "id", "line", "address", "birthday") for _ in range(5000)]
    further = [text for module in BUILDERS.values() if hasattr(module, "training_texts") for text in module.training_texts()]
    return "\n".join([values.fill(passage, filler) for passage in passages for _ in range(3)] + drawn + further)


def test_nothing_the_course_shows_or_tests_with_was_trained_on():
    text = training_text()
    shown = {}
    for name in CHAPTERS:
        source = "\n".join(cell.source for cell in load(name).cells)
        shown[name] = re.findall(r"[\u4e00-\u9fff]{9,}|[A-Z][12A-D89]\d{8}|09\d{2}-?\d{3}-?\d{3}|[\w.]+@[\w.]+\w", source)
    for path in (ROOT / "tests" / "challenge").glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        shown[path.name] = [row["text"] for row in rows] + [mask["value"] for row in rows for mask in row["mask"]]
    for source, pieces in shown.items():
        assert not [piece for piece in pieces if piece in text], source


# --- DRCD and seqeval ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def drcd_files():
    return {name: json.loads((REPOS / DRCD / f"DRCD_{name}.json").read_text(encoding="utf-8"))["data"] for name in ("training", "dev")}


def test_drcd_is_in_its_own_format(drcd_files):
    ids = set()
    for data in drcd_files.values():
        for article in data:
            assert article.keys() == {"title", "id", "paragraphs"}
            for paragraph in article["paragraphs"]:
                assert paragraph.keys() == {"context", "id", "qas"}
                for qa in paragraph["qas"]:
                    assert qa.keys() == {"id", "question", "answers"} and qa["id"] not in ids
                    ids.add(qa["id"])
                    for answer in qa["answers"]:
                        start = answer["answer_start"]
                        assert paragraph["context"][start:start + len(answer["text"])] == answer["text"] != ""
    assert len(ids) > 5000


def test_drcd_development_paragraphs_are_unseen(drcd_files):
    """No run of nine characters of a development template stands in a training template or a fact, no question and no name is shared."""
    told = {name: [(template.paragraph, template.questions) for template in texts.templates(name)] for name in ("drcd_train", "drcd_dev", "reading")}
    told["facts"] = [fact for held_out in (False, True) for fact in texts.facts(held_out, ("facts", "more_facts"))]
    runs = {name: {part[i:i + 9] for text, _ in rows for part in values.SLOT.split(text)[::2] for i in range(len(part) - 8)} for name, rows in told.items()}
    asked = {name: {question for _, questions in rows for question, _ in questions} for name, rows in told.items()}
    for name in told.keys() - {"drcd_dev"}:
        assert not runs["drcd_dev"] & runs[name] and not asked["drcd_dev"] & asked[name], name
    titles = {name: {article["title"] for article in data} for name, data in drcd_files.items()}
    assert not titles["training"] & titles["dev"]


def test_drcd_is_what_its_script_makes(drcd_files, tmp_path):
    drcd.build(tmp_path)
    for path in (REPOS / DRCD).iterdir():
        assert zlib.crc32((tmp_path / DRCD / path.name).read_bytes()) == zlib.crc32(path.read_bytes()), path.name


def test_drcd_loads_as_the_notebooks_load_it():
    files = {split: f"{os.environ['DRCD_BASE_URL']}/DRCD_{name}.json" for split, name in (("train", "training"), ("test", "dev"))}
    loaded = load_dataset("json", data_files=files, field="data")
    assert loaded["test"][0]["paragraphs"][0]["qas"][0]["answers"][0]["text"]


def test_mrpc_is_what_its_script_makes():
    loaded = load_dataset("nyu-mll/glue", "mrpc")
    assert loaded["train"].features["label"].names == ["not_equivalent", "equivalent"]
    told = {split: {row[side] for row in loaded[split] for side in ("sentence1", "sentence2")} for split in mrpc.SIZES}
    for split in mrpc.SIZES:
        assert loaded[split].to_list() == mrpc.rows(split)
        assert not any(told[split] & told[other] for other in mrpc.SIZES if other != split)


def test_seqeval_is_served_and_right():
    references = [["O", "B-PER", "I-PER", "O"], ["B-LOC", "O"]]
    predictions = [["O", "B-PER", "I-PER", "O"], ["O", "B-LOC"]]
    scores = evaluate.load("seqeval").compute(predictions=predictions, references=references)
    assert scores["overall_f1"] == pytest.approx(f1_score(references, predictions)) == pytest.approx(0.5)
    assert scores["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1}
    assert scores["overall_accuracy"] == pytest.approx(4 / 6)
    with pytest.raises(ValueError, match="unknown scheme"):
        evaluate.load("seqeval").compute(predictions=predictions, references=references, scheme="IOB9")
