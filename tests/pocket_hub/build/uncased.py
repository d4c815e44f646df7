"""Stand-in for the tokenizer of google-bert/bert-base-uncased: an English WordPiece vocabulary, no weights."""
from __future__ import annotations

import json
from pathlib import Path
from pydoc_data import topics

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertTokenizer

from .training import folder_of, mark_stand_in, write_card

NAME = "google-bert/bert-base-uncased"
VOCABULARY = 5000
SPECIAL = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# The original's vocabulary holds a few hundred Chinese characters as well, mostly those of names and places.
CHINESE = ("一三上下不世中主久之也事二五井人今仁介代伊佐侍保信健元光八公内出分前力加勝北十千南博原口古史司合吉同名和四国國"
           "土地城堂場士夏外大天太夫女子学宀宇安宗定宣宮家宿寺將小尚山岡島川州平年幸広弘張彳後御德心忠愛成我戸手政文新方日明星春"
           "昭智曲書月有朝木本李村東松林森楊樹橋歌止正武比氏民水江河治法海清漢火版王生田男白的皇目相省真石示社神福秀秋空立章竹"
           "美義耳良花英華葉藤行街西見言谷貝貴車道郎郡部都里野金鈴鎮長門間陳陽雄青面風食香馬高龍")


def english() -> list[str]:
    """The language reference that every Python carries."""
    return [line for _, text in sorted(topics.topics.items()) for line in text.splitlines() if line.strip()]


def build(root: Path):
    folder = folder_of(NAME, root)
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=True)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.decoder = decoders.WordPiece()
    lines = english()
    train, held_out = [line for i, line in enumerate(lines) if i % 10], lines[::10]
    trained.train_from_iterator(train, trainers.WordPieceTrainer(vocab_size=VOCABULARY, show_progress=False, special_tokens=["[UNK]"]))
    words = list(dict.fromkeys([*SPECIAL, *sorted(CHINESE), *sorted(trained.get_vocab(), key=trained.get_vocab().get)]))
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer._tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 512}\n', encoding="utf-8")
    config = BertConfig(vocab_size=len(words), architectures=["BertForMaskedLM"])
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict(), indent=2) + "\n", encoding="utf-8")
    mark_stand_in(folder, vocab_size=len(words))
    tokens = [token for line in held_out for token in tokenizer.tokenize(line)]
    pieces = sum(len(line.split()) for line in held_out)
    write_card(folder, NAME, {"unknown_share": tokens.count("[UNK]") / len(tokens), "tokens_per_word": len(tokens) / pieces}, f"""
The tokenizer alone, without weights: `AutoModel` will not load this id here. WordPiece, {len(words):,} lower-case
tokens, trained on Python's own language reference (nine lines in ten), with some Chinese characters, as in
the original. The scores are the share of [UNK] and the tokens per word on the lines kept out.
""", "uncased")
