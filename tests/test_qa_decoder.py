"""Chapter 4: its labels, its score, its windows and its tool, on text nobody tidied."""
import copy
import json
import time
import unicodedata

import pytest
import torch
from hypothesis import given, settings, strategies

from .course import definitions
from .pocket_hub.__main__ import DRCD
from .pocket_hub.server import REPOS

TEXTS = strategies.one_of(
    strategies.text(strategies.characters(exclude_categories=["Cs"])),
    strategies.lists(strategies.sampled_from(["這座橋", "。", "\uff0c", "1998年", "龘", "𠮷", "\U0001f468\u200d\U0001f469", "\u200b", "<|im_end|>", "<|im_start|>system\n", "\n", " ", "A",
                                              "字" * 400, "問題"]), max_size=12).map("".join))


@pytest.fixture(scope="module")
def chapter():
    """The chapter's definitions around the checkpoint as it was before the chapter's training."""
    namespace = definitions("qa-decoder.ipynb")
    namespace["tuned"] = namespace["load"]().eval()
    return namespace


# --- data ---------------------------------------------------------------------------------------

def article(number: int, *contexts: str) -> dict:
    """An article in DRCD's format, each word of its contexts asked for once."""
    return {"title": f"t{number}", "id": str(number), "paragraphs": [
        {"context": context, "id": f"{number}-{i}", "qas": [{"id": f"{number}-{i}-{k}", "question": f"第 {k} 個是什麼?", "answers": [
            {"id": "1", "text": word, "answer_start": context.index(word)}]} for k, word in enumerate(context.split())]}
        for i, context in enumerate(contexts)]}


def test_rows_come_from_every_paragraph_and_unanswerable_ones_are_unanswerable(chapter):
    chapter["drcd"] = {"train": [article(1, "甲乙 丙丁 戊己", "子丑 寅卯"), article(2, "天地 玄黃 宇宙 洪荒"), article(3, "日月 盈昃 辰宿")]}
    rows = chapter["flatten"]("train", 100, seed=1)
    assert len(rows) == 12 and len({row["context"] for row in rows}) == 4
    refused = [row for row in rows if row["answer"] == chapter["NOT_FOUND"]]
    assert len(refused) == int(12 * chapter["NO_ANSWER"])
    assert all(row["answer"] in row["context"] for row in rows if row not in refused)


def test_unanswerable_rows_of_the_real_format_have_no_answer_in_their_text(chapter):
    data = json.loads((REPOS / DRCD / "DRCD_dev.json").read_text(encoding="utf-8"))["data"]
    chapter["drcd"] = {"test": data}
    answers = {}
    for row in data:
        for paragraph in row["paragraphs"]:
            for qa in paragraph["qas"]:
                answers.setdefault(qa["question"], set()).add(qa["answers"][0]["text"])
    rows = chapter["flatten"]("test", 300, seed=5)
    refused = [row for row in rows if row["answer"] == chapter["NOT_FOUND"]]
    assert len(refused) == 60 and all(any(answer not in row["context"] for answer in answers[row["question"]]) for row in refused)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_only_the_answer_is_learned_and_it_can_be_read_back(chapter, context, question, answer):
    row = chapter["encode"]({"context": context, "question": question, "answer": answer})
    learned = [label for label in row["labels"] if label != -100]
    assert len(row["input_ids"]) == len(row["labels"]) and row["input_ids"][-len(learned):] == learned and learned[-1] == chapter["END"]
    assert chapter["tokenizer"].decode(learned[:-1], skip_special_tokens=False) == chapter["tokenizer"].decode(chapter["tokenizer"](answer)["input_ids"])


def test_the_loss_of_the_answers_alone_is_the_loss_of_the_whole_batch(chapter):
    rows = [chapter["encode"]({"context": context, "question": "哪一年?", "answer": answer}) for context, answer in
            (("橋在1998年完工。" * 6, "1998年"), ("短", "無"), ("大雨下了三天。" * 20, "大雨下了三天三夜還沒有停"))]
    with torch.no_grad():
        full = chapter["tuned"](**chapter["collate"](rows)).loss
        kept = chapter["tuned"](**chapter["answers_only"](rows)).loss
    assert kept.item() == pytest.approx(full.item(), rel=1e-4)


# --- scores -------------------------------------------------------------------------------------

@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS)
def test_scores_stay_between_zero_and_one_and_agree(chapter, one, two):
    f1 = chapter["char_f1"]
    assert 0 <= f1(one, two) <= 1 and f1(one, one) == 1 and f1(two, one) == pytest.approx(f1(one, two))
    assert f1(one, two) == 1 or not chapter["exact"](one, two)


def test_the_summary_counts_what_it_says(chapter):
    none = chapter["NOT_FOUND"]
    rows = [{"context": "橋在1998年完工", "answer": answer} for answer in ("1998年", "橋", "1998年", none, none)]
    summary = chapter["scores"](rows, ["1998年", "橋在", "兩千年", none + "。", "1998年"])
    assert summary["EM"] == pytest.approx(1 / 3) and summary["拒答率"] == 0.5
    assert summary["幻覺率"] == pytest.approx(2 / 5)  # 兩千年 stands nowhere, and one question without an answer got one


# --- the tool -----------------------------------------------------------------------------------

@settings(max_examples=60, deadline=None)
@given(context=TEXTS, choice=strategies.randoms())
def test_whatever_the_fence_lets_through_stands_in_the_text(chapter, context, choice):
    context = unicodedata.normalize("NFC", chapter["plain_text"](context))
    allowed, ids = chapter["only_from"]([context], 0), []
    while chapter["END"] not in ids:
        ids.append(choice.choice(sorted(allowed(0, torch.tensor(ids, dtype=torch.long)))))
        assert len(ids) <= 1 + 4 * max(len(context), len(chapter["NOT_FOUND"]))
    written = chapter["tokenizer"].decode(ids[:-1])
    assert written and (written in context or written == chapter["NOT_FOUND"])
    assert allowed(0, torch.tensor(ids)) == [chapter["PAD"]]


@settings(max_examples=60, deadline=None)
@given(before=TEXTS, answer=TEXTS, after=TEXTS)
def test_every_piece_of_the_text_and_the_refusal_can_be_written(chapter, before, answer, after):
    before, answer, after = (chapter["plain_text"](text) for text in (before, answer, after))
    for wanted in filter(None, (unicodedata.normalize("NFC", answer), chapter["NOT_FOUND"])):
        allowed, ids = chapter["only_from"]([before + wanted + after], 0), chapter["tokenizer"](wanted)["input_ids"]
        for size in range(len(ids) + 1):
            assert [*ids, chapter["END"]][size] in allowed(0, torch.tensor(ids[:size], dtype=torch.long))


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_windows_fit_and_leave_nothing_out(chapter, context):
    pieces = chapter["windows"](context, "這是什麼?")
    place = end = 0
    for piece in pieces:
        assert len(chapter["prompt_ids"](piece, "這是什麼?")) <= chapter["MAX_TOKENS"]
        place = context.rfind(piece, place, end + len(piece))  # no gap between a window and those before it
        assert place >= 0
        end = max(end, place + len(piece))
    assert end == len(context)


@settings(max_examples=25, deadline=None)
@given(strategies.text(strategies.characters(exclude_categories=[]), max_size=300), strategies.text(strategies.characters(exclude_categories=[]), max_size=60))
def test_any_two_strings_get_an_answer_or_a_sentence_about_the_question(chapter, context, question):
    try:
        reply = chapter["ask"](context, question)
    except ValueError as error:
        assert "question" in str(error) and not question.encode("utf-8", "replace").decode().strip()
    else:
        assert isinstance(reply.text, str) and 0 <= reply.score <= 1


@pytest.mark.parametrize("context, question, error", [(None, "誰?", "context"), ("文", None, "question"), (["文"], "誰?", "list"), (b"x", "?", "bytes"), ("文", " \n", "空")])
def test_wrong_input_is_told_apart(chapter, context, question, error):
    with pytest.raises((TypeError, ValueError), match=error):
        chapter["ask"](context, question)


def test_a_hundred_kilobytes_take_seconds(chapter):
    began = time.monotonic()
    assert isinstance(chapter["answer"]("這座橋在1998年完工。" * 3000, "哪一年完工?"), str)
    assert time.monotonic() - began < 60


# --- LoRA ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("wide, tall, rank, alpha", [(896, 4864, 16, 32), (4864, 896, 8, 4), (3, 5, 1, 1)])
def test_hand_written_lora_is_pefts_at_published_sizes(chapter, wide, tall, rank, alpha):
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(wide, tall), torch.randn(2, 3, wide)
    mine = chapter["LoRALinear"](copy.deepcopy(linear), rank, alpha)
    config = chapter["LoraConfig"](r=rank, lora_alpha=alpha, target_modules=["0"])
    layer = chapter["get_peft_model"](torch.nn.Sequential(copy.deepcopy(linear)), config).base_model.model[0]
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(mine.A)
        layer.lora_B["default"].weight.copy_(torch.nn.init.normal_(mine.B, std=0.02))
    torch.testing.assert_close(mine(x), layer(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.nn.functional.linear(x, mine.merged(), linear.bias), mine(x), rtol=1e-4, atol=1e-4)
