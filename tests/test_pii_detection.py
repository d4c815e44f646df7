"""Chapter 3: its tool on hostile text, its training when it is killed, and its script on two processes."""
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings, strategies

from .course import ROOT, definitions, script

NAME = "pii-detection-encoder.ipynb"
SMALL = {"TRAIN_SIZE": 1200, "VALID_SIZE": 120, "TEST_SIZE": 60, "EPOCHS": 4}
RESULT = "\nif trainer.is_world_process_zero():\n    print('RESULT', json.dumps(trainer.state.log_history))"


@pytest.fixture(scope="module")
def chapter():
    """The chapter's definitions, with the checkpoint and a head that was never trained: it marks a lot, and wrongly."""
    namespace = definitions(NAME)
    rows = namespace["encode"](namespace["documents"]("train", 200, seed=0))
    namespace["moves"] = namespace["transition_table"](rows)
    namespace["model"] = namespace["fresh_model"]().eval()
    namespace["find_all"].__defaults__ = (namespace["model"], True)
    return namespace


# --- the tool -----------------------------------------------------------------------------------

PIECES = strategies.sampled_from(["林", "陳怡君", "0912-345-678", "A123456789", "4111 1111 1111 1111", "@", "a.b@c.tw", "LINE:", "賴", "生日", "78/5/3", "民國",
                                  "臺北市中山路1號", "\u200b", "\ufeff", "\ud800", "\udfff", "\U0001f600", "\u0301", "\x00", "\n", "\t", "|", ",", "姓名", "‧",
                                  "\u3000", "\uff10\uff19", "\ufdfa", "\u00ad", "零九", "Ⅷ", "㈱", "1" * 120, "Mr. ", "Chen, ", "姓名,電話\n", " "])
TEXTS = strategies.one_of(strategies.text(), strategies.text(strategies.characters(exclude_categories=[])), strategies.lists(PIECES, max_size=12).map("".join))


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_redact_never_raises_and_changes_nothing_outside_the_spans(chapter, text):
    spans, redacted = chapter["find_pii"](text), chapter["redact"](text)
    rest, last = [], 0
    for span in spans:
        assert last <= span.start < span.end <= len(text) and span.text == text[span.start:span.end]
        rest.append(text[last:span.start])
        last = span.end
    rest.append(text[last:])
    expected = rest[0] + "".join(f"[{span.label}]{piece}" for span, piece in zip(spans, rest[1:]))
    assert redacted == expected


def test_an_untrained_head_marks_something(chapter):
    """Otherwise the test above would only try the rules."""
    texts = [document.text for document in chapter["documents"]("test", 60, seed=1)]
    chapter["NEEDED"].update(dict.fromkeys(chapter["LABELS"], 0.0))
    assert any(span.score < 1 for spans in chapter["find_all"](texts) for span in spans)


@settings(max_examples=200, deadline=None)
@given(strategies.lists(strategies.tuples(strategies.integers(0, 40), strategies.integers(1, 9), strategies.sampled_from(["PERSON", "PHONE", "DOB"]),
                                          strategies.floats(0, 1)), max_size=12))
def test_overlapping_detections_become_separate_spans_that_cover_the_same(chapter, drawn):
    spans = [(start, start + size, label, score) for start, size, label, score in drawn]
    merged = chapter["resolve"](spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(merged))
    assert {i for start, end, *_ in spans for i in range(start, end)} == {i for start, end, *_ in merged for i in range(start, end)}


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_normalised_text_leads_back_to_the_original(chapter, text):
    clean, origin = chapter["normalise"](text)
    assert len(origin) == len(clean) + 1 and origin[-1] == len(text)
    assert all(one <= other for one, other in itertools.pairwise(origin)) and all(0 <= place < len(text) for place in origin[:-1])


@pytest.mark.parametrize("text", ["1" * 100_000, "a" * 100_000, "@" * 100_000, "林" * 33_000, "0 9" * 33_000, "A1" * 50_000, "‧王" * 33_000, "a." * 50_000,
                                  "民國七十八年" * 5_000, "Chen-" * 20_000, "姓名,電話\n" * 10_000, "\u200b" * 50_000, "臺北市" * 11_000, "LINE" * 25_000])
def test_a_hundred_kilobytes_of_anything_take_seconds(chapter, text):
    began = time.monotonic()
    chapter["rule_spans"](chapter["normalise"](text)[0])
    assert time.monotonic() - began < 8


def test_long_text_is_found_in_windows(chapter):
    """The tokens of all windows, joined, are those of the whole text."""
    text = chapter["normalise"]("".join(document.text + "。" for document in chapter["documents"]("test", 40, seed=2)))[0]
    places = chapter["tag_texts"]([text], chapter["model"])[0][0]
    assert places == chapter["tokenizer"](text, return_offsets_mapping=True, verbose=False)["offset_mapping"][1:-1]


# --- the generator and the challenge set --------------------------------------------------------

def test_no_challenge_value_stands_in_the_generators_lists(chapter):
    rows = [json.loads(line) for line in (ROOT / "tests/challenge/pii-zh-tw.jsonl").read_text(encoding="utf-8").splitlines()]
    values = {mask["value"] for row in rows for mask in row["mask"]}
    lists = {item for value in chapter.values() if isinstance(value, (list, tuple)) for item in value if isinstance(item, str)}
    lists |= {piece for pieces in chapter["FRAGMENTS"].values() for piece in pieces}
    assert not values & lists
    fragments = "\n".join(lists)
    assert not [row["id"] for row in rows if len(row["text"]) > 9 and row["text"] in fragments]
    assert not [value for value in values if len(value) > 2 and value in fragments]


def test_generated_values_are_of_their_own_part(chapter):
    drawn = {part: {document.text[start:end] for document in chapter["documents"](part, 1500, seed=11) for start, end, _ in document.spans}
             for part in ("train", "valid", "test")}
    assert not drawn["train"] & drawn["test"] and not drawn["train"] & drawn["valid"] and not drawn["valid"] & drawn["test"]


# --- training -----------------------------------------------------------------------------------

def run(folder, *command, **more):
    return subprocess.Popen([sys.executable, *command], cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"}, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True, **more)


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path):
    (tmp_path / "chapter.py").write_text(script(NAME, "trained", **SMALL) + RESULT, encoding="utf-8")
    first = run(tmp_path, "chapter.py")
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("outputs/*/run-*/checkpoint-*/trainer_state.json")):
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[0]
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    half_written = next(tmp_path.glob("outputs/*/run-*")) / "checkpoint-99999"
    half_written.mkdir()
    (half_written / "trainer_state.json").write_text('{"epoch": 3.9, "glo')
    second = run(tmp_path, "chapter.py")
    text = second.communicate(timeout=300)[0]
    assert second.returncode == 0, text
    resumed = int(re.search(r"從 checkpoint-(\d+) 接著練", text)[1])
    history = json.loads(text.rsplit("RESULT ", 1)[1])
    assert 0 < resumed < 99999 and not half_written.exists()
    assert history[0]["step"] < resumed < history[-1]["step"]  # the log of the first run was kept, and steps were added


def test_two_processes_learn_as_one_does(tmp_path):
    """accelerate launch with two CPU processes and the global batch of one: the validation loss falls alike."""
    (tmp_path / "chapter.py").write_text(script(NAME, "trained", **SMALL) + RESULT, encoding="utf-8")
    losses = []
    for command in (["chapter.py"], ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
                                     "--dynamo_backend", "no", "chapter.py"]):
        process = run(tmp_path, *command)
        text = process.communicate(timeout=400)[0]
        assert process.returncode == 0, text
        losses.append([row["eval_loss"] for row in json.loads(text.rsplit("RESULT ", 1)[1].splitlines()[0]) if "eval_loss" in row])
        assert "RESULT" in text and len(losses[-1]) >= 4
    alone, together = losses
    assert together[-1] < 0.6 * together[0] and alone[-1] < 0.6 * alone[0]
    assert together[-1] == pytest.approx(alone[-1], rel=0.25)
