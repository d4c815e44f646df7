"""Chapter 5's own code: whatever the model writes, what comes out holds nothing but characters of the source and placeholders."""
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.mbart.modeling_mbart import shift_tokens_right

from .course import definitions, load, tagged

NAME = "pii-masking-encode-decode.ipynb"


@pytest.fixture(scope="module")
def chapter() -> dict:
    """What the notebook defines, with the stand-in as it is before fine-tuning in place of the tuned model."""
    namespace = definitions(NAME)
    namespace["tuned"] = namespace["load"]().eval()
    return namespace


def test_the_generator_is_chapter_3s_byte_for_byte():
    ours, theirs = ([cell.source for cell in tagged(load(name), "generator")] for name in (NAME, "pii-detection-encoder.ipynb"))
    assert ours == theirs and len(ours) > 30


def test_decoder_inputs_are_labels_moved_by_one(chapter):
    labels = torch.tensor([[8, 5, 6, 2, -100, -100], [8, 9, 7, 7, 4, 2]])
    moved = chapter["shifted"](labels, start=2, pad=1)
    assert moved.tolist() == [[2, 8, 5, 6, 2, 1], [2, 8, 9, 7, 7, 4]]
    assert torch.equal(moved[1:], shift_tokens_right(labels[1:], 1))


def test_slips_stay_in_the_input_and_are_not_taught(chapter):
    """What was copied by mistake is seen by the decoder, never asked of it; the placeholder is asked of it right after."""
    rows = chapter["encode"](chapter["short_documents"]("train", 200, seed=8), training=True)
    batch = chapter["collator"]([rows[i] for i in range(len(rows))])
    slips = [(i, place) for i, row in enumerate(rows) for place in row["slips"]]
    assert 10 < len(slips) == (batch["labels"] == -100).sum() - sum(batch["labels"].shape[1] - len(row["labels"]) for row in rows)
    for i, place in slips:
        assert batch["decoder_input_ids"][i, place + 1] == rows[i]["labels"][place]
        if place + 1 not in rows[i]["slips"]:  # a character may be two tokens
            assert batch["labels"][i, place + 1].item() in chapter["STARTS"]


def test_the_loss_is_the_librarys_over_the_tokens_of_the_batch(chapter):
    model = chapter["load"](kind=chapter["Masker"]).eval()
    rows = chapter["encode"](chapter["short_documents"]("train", 8, seed=8))
    batch = dict(chapter["collator"]([rows[i] for i in range(len(rows))]))
    with torch.no_grad():
        loss, labels = model(**batch).loss, batch.pop("labels")
        scores = model(**batch).logits.flatten(0, 1)
    absent = torch.ones(scores.shape[1], dtype=torch.bool)
    absent[torch.cat([batch["input_ids"].flatten(), labels[labels >= 0]])] = False
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores.masked_fill(absent, -torch.inf), labels.flatten()))


def test_on_an_fp16_base_all_that_is_trained_is_float32(chapter, monkeypatch):
    """GradScaler takes no other."""
    monkeypatch.setitem(chapter, "BASE_DTYPE", torch.float16)
    model = chapter["with_lora"]()
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    assert chapter["generate"](model.eval(), ["我是林書瑤"])  # without autocast, too


def test_surnames_are_marked_and_while_training_those_of_the_training_part_alone(chapter):
    """The encoder's input differs from the plain embeddings by one vector, at the tokens that can be a surname."""
    model = chapter["load"](kind=chapter["Masker"])
    torch.nn.init.ones_(model.surname.weight[1])
    kept, held = (next(name for name in chapter["OTHER_SURNAMES"] if chapter["part_of"](name) == part) for part in ("train", "test"))
    compound, unseen = (next(name for name in chapter["COMPOUND"] if chapter["part_of"](name) == part and not {*name} & chapter["SURNAMES"][False])
                        for part in ("train", "test"))
    for training, marked in ((True, kept + compound), (False, kept + held + compound + unseen)):
        embed = model.train(training).model.encoder.embed_tokens
        ids = chapter["tokenizer"](f"找{kept}、{held}、{compound}、{unseen}", return_tensors="pt")["input_ids"]
        added = (embed(ids) - torch.nn.functional.embedding(ids, embed.weight) * embed.embed_scale)[0].mean(-1) / embed.embed_scale
        assert "".join(chapter["tokenizer"].convert_ids_to_tokens(ids[0][added > 0.5])) == marked
        assert added[added < 0.5].abs().max() < 1e-5 and (added[added > 0.5] - 1).abs().max() < 1e-4


@pytest.mark.parametrize("value, label, answer, leaked", [
    ("0912-345-678", "PHONE", "打[PHONE]", False), ("0912-345-678", "PHONE", "打0912 345 678", True), ("0912-345-678", "PHONE", "末四碼5678", True),
    ("林書瑤", "PERSON", "[PERSON]您好", False), ("林書瑤", "PERSON", "書瑤您好", True), ("林書瑤", "PERSON", "林小姐您好", False),
    ("amy@example.org", "EMAIL", "Amy@Example.org", True), ("amy@example.org", "EMAIL", "[EMAIL]", False)])
def test_leaks_are_seen(chapter, value, label, answer, leaked):
    assert chapter["is_leaked"](value, label, answer) is leaked


def test_grades_of_the_right_answer_and_of_none(chapter):
    rows = chapter["short_documents"]("test", 60, seed=5)
    right = chapter["grade"](rows, [chapter["rewritten"](row) for row in rows])
    nothing = chapter["grade"](rows, ["" for _ in rows])
    everything = chapter["grade"](rows, [row.text for row in rows])
    assert (right["完全相符"], right["洩漏"], right["字元保留"], right["乾淨文件被動到"]) == (1, 0, 1, 0)
    assert nothing["洩漏"] == 0 and nothing["字元保留"] == 0 and nothing["乾淨文件被動到"] == 1
    assert everything["洩漏"] == 1 and everything["乾淨文件被動到"] == 0 and everything["BLEU"] > 0.3


def test_projection_of_a_right_answer_masks_what_was_marked(chapter):
    """On documents without two marks side by side, and whatever the width of the signs."""
    for row in chapter["short_documents"]("train", 300, seed=6):
        spans = [(a, b) for a, b, _ in chapter["project"](row.text, chapter["rewritten"](row))]
        apart = all(row.text[b:c].strip() for (_, b, _), (c, _, _) in zip(row.spans, row.spans[1:]))
        if apart and not any(sign in row.text for sign in "[]"):
            for start, end, _ in row.spans:
                assert any(a <= start and end <= b for a, b in spans), (row, spans)


def test_marks_with_nothing_but_a_space_between_are_told_apart(chapter):
    """A value that holds a space itself may be any of the parts, so those don't count."""
    found = 0
    for row in chapter["short_documents"]("train", 1500, seed=6):
        close = any(row.text[b:c].isspace() for (_, b, _), (c, _, _) in zip(row.spans, row.spans[1:]))
        if close and not any(" " in row.text[a:b] for a, b, _ in row.spans) and not any(sign in row.text for sign in "[]"):
            spans = chapter["project"](row.text, chapter["rewritten"](row))
            assert [span for span in spans if span[2] != "PII"] == row.spans, row
            found += 1
    assert found > 10


@pytest.mark.parametrize("source, answer, result", [
    ("身分證A123456789", "身分證[PERSONAL_ID]", "身分證[PII]"), ("身分證A123456789", "身分證[NATIONAL_ID", "身分證[PII]"),
    ("選項[AB]林書瑤", "選項[AB][PERSON]", "選項[AB][PERSON]"), ("林 書瑤 0912", "[PERSON] [PHONE]", "[PERSON]")])
def test_a_misspelt_placeholder_masks_and_what_looks_like_one_stays(chapter, source, answer, result):
    assert chapter["apply"](source, chapter["project"](source, answer)) == result


pieces = st.sampled_from(["[PERSON]", "[PHONE]", "[PII]", "[", "王", "小明", "0912", " ", "\n", "\uff0c", ",", "<unk>", "</s>", "\U0001f600", "e\u0301", "\u200b", "\ufb01"])
texts = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=30).map("".join))


def from_source(source: str, answer: str, chapter: dict) -> bool:
    rest = iter(source)
    return all(char in rest for char in "".join(chapter["PLACEHOLDER"].split(answer)))


@settings(max_examples=400, deadline=None)
@given(source=texts, answer=texts)
def test_projection_holds_for_any_source_and_any_answer(chapter, source, answer):
    spans = chapter["project"](source, answer)
    edges = [edge for start, end, _ in spans for edge in (start, end)]
    assert edges == sorted(edges) and all(start < end for start, end, _ in spans) and (not edges or edges[-1] <= len(source))
    assert from_source(source, chapter["apply"](source, spans), chapter)


@settings(max_examples=25, deadline=None)
@given(batch=st.lists(st.one_of(texts, st.text(st.characters(), max_size=60), st.text(st.characters(categories=["Cs", "Co", "Cn"]), max_size=9)), min_size=1, max_size=6))
def test_masking_never_raises_and_never_invents(chapter, batch):
    for source, masked in zip(batch, chapter["mask_all"](batch), strict=True):
        assert from_source(source, masked, chapter)


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab1@.\uff0c。\n 王", max_size=400))
def test_windows_join_to_the_text(chapter, text):
    parts = chapter["windows"](text)
    assert "".join(parts) == text and all(len(part) <= chapter["MAX_CHARS"] for part in parts)


def test_a_long_text_is_masked_window_by_window(chapter):
    rng = random.Random(0)
    text = "".join(rng.choice("我的電話是零九一二,。abc 123\n") for _ in range(20_000))
    assert from_source(text, chapter["mask_pii"](text), chapter)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["list"]])
def test_wrong_types_are_named(chapter, wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        chapter["mask_pii"](wrong)
    with pytest.raises(TypeError, match="mask_all"):
        chapter["mask_all"]("not a list")
