"""Chapter 3: its tool on hostile text, and its generator against the challenge set."""
import itertools
import json
import time

import pytest
from hypothesis import given, settings, strategies

from .course import ROOT, definitions

NAME = "pii-detection-encoder.ipynb"


@pytest.fixture(scope="module")
def chapter():
    """The chapter's definitions, with the checkpoint and a head that was never trained: it marks a lot, and wrongly."""
    namespace = definitions(NAME)
    rows = namespace["encode"](namespace["documents"]("train", 200, seed=0))
    namespace["moves"] = namespace["transition_table"](rows)
    namespace["model"] = namespace["fresh_model"]().eval()
    namespace["find_all"].__defaults__ = (namespace["model"], True)
    namespace["judge"], _ = namespace["learn_judge"](namespace["documents"]("valid", 200, seed=1), namespace["model"])
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


@pytest.mark.parametrize("text, guess, label, cut", [
    ("水電師傅解岑逸明天來", "傅解岑逸", "PERSON", "解岑逸"), ("請找閻又岑 領件", "閻又岑 領", "PERSON", "閻又岑"), ("Kuo Wei ting", "Kuo Wei", "PERSON", "Kuo Wei ting"),
    ("住臺東縣關山鎮和平路3號\n5樓之2", "臺東縣關山鎮和平路3號\n5樓之2", "ADDRESS", "臺東縣關山鎮和平路3號\n5樓之2"), ("Amy Tsai Ms", "Amy Tsai Ms", "PERSON", "Amy Tsai"),
    ("賴rain_9801找我", "rain_98", "LINE_ID", "rain_9801"),
    ("(0980.616.397)", "(0980.616.397)", "PHONE", "0980.616.397"), ("市話(07)247-4254", "(07)247-4254", "PHONE", "(07)247-4254"),
    ("戶籍地臺東縣關山鎮和平路3號5樓安裝", "地臺東縣關山鎮和平路3號5樓安", "ADDRESS", "臺東縣關山鎮和平路3號5樓")])
def test_what_the_model_marks_is_cut_where_the_value_ends(chapter, text, guess, label, cut):
    start = text.index(guess)
    assert text[slice(*chapter["trim"](text, start, start + len(guess), label))] == cut


@pytest.mark.parametrize("text, names", [("里長申屠岑逸說", ["申屠岑逸"]), ("請王\n又岑到", ["王\n又岑"]), ("阮氏岑逸晴在", ["阮氏岑逸晴"]), ("找佐藤岑逸", ["佐藤岑逸"]),
                                         ("閻岑。閻又岑", ["閻岑", "閻又岑"]), ("岑又閻路", []), ("", []), ("\n", [])])
def test_every_piece_that_can_be_a_name_is_a_candidate(chapter, text, names):
    sure = chapter["Opinion"](dict.fromkeys(range(len(text)), 0.9), set())
    found = [text[start:end] for start, end in chapter["candidates"](text, sure)]
    assert set(names) <= set(found) and not [name for name in found if name.endswith("路")]


def test_a_judge_of_a_model_that_knows_the_names_finds_them_in_other_documents(chapter, monkeypatch):
    """tag_texts tells the truth here, but for every third name, of which it is not sure."""
    drawn = {part: chapter["documents"](part, count, seed=5) for part, count in (("valid", 500), ("test", 2000))}
    truth = {chapter["normalise"](document.text)[0]: document for documents in drawn.values() for document in documents}

    def told(texts, model):
        for text in texts:
            document, chances = truth[text], [0.001] * len(text)
            origin = chapter["normalise"](document.text)[1]
            for number, (start, end, label) in enumerate(document.spans):
                for place in range(len(text)):
                    if label == "PERSON" and start <= origin[place] < end:
                        chances[place] = 0.999 if number % 3 else 0.4
            yield [(i, i + 1) for i in range(len(text))], [0] * len(text), [1.0] * len(text), chances

    monkeypatch.setitem(chapter, "tag_texts", lambda texts, model: list(told(texts, model)))
    monkeypatch.setitem(chapter, "judge", chapter["learn_judge"](drawn["valid"], None)[0])
    right = found = wanted = 0
    for document in drawn["test"]:
        clean, origin = chapter["normalise"](document.text)
        places, tags, _, chances = next(told([clean], None))
        names = chapter["best_names"](chapter["judged_names"](clean, chapter["opinion"](places, tags, chances)))
        gold = {(a, b) for a, b, label in document.spans if label == "PERSON" and all("\u4e00" <= char <= "\u9fff" for char in document.text[a:b])}
        guesses = {(origin[start], origin[end - 1] + 1) for start, end, *_ in names}
        right, found, wanted = right + len(gold & guesses), found + len(guesses), wanted + len(gold)
    assert wanted > 200 and right > 0.9 * wanted and right > 0.9 * found


def test_of_names_that_overlap_the_surest_stays(chapter):
    spans = [(0, 4, "PERSON", 0.5), (1, 4, "PERSON", 0.9), (3, 9, "PHONE", 0.7), (9, 11, "PERSON", 0.4)]
    assert sorted(chapter["best_names"](spans)) == [(1, 4, "PERSON", 0.9), (3, 9, "PHONE", 0.7), (9, 11, "PERSON", 0.4)]


def test_a_name_found_once_is_masked_elsewhere_and_no_surer_for_it(chapter):
    clean = "歐陽采潔:歐陽采潔,Amy Li:Amy Lin"
    assert chapter["same_names"](clean, [(0, 4, "PERSON", 0.4), (10, 16, "PERSON", 0.8)]) == [(5, 9, "PERSON", 0.4)]


def test_without_a_model_the_judge_says_nothing(chapter):
    assert not chapter["find_all"](["房客閻又岑半夜打電動"], model=None)[0]


def test_surnames_are_marked_where_they_stand(chapter):
    clean = "司徒岑在高鐵"
    offsets = chapter["tokenizer"](clean, return_offsets_mapping=True)["offset_mapping"]
    assert chapter["surname_marks"](clean, offsets) == [0, 1, 1, 1, 0, 1, 0, 0]


def test_training_marks_the_surnames_of_its_part_alone(chapter):
    parts, singles = ("train", "valid", "test"), [*chapter["OTHER_SURNAMES"]]
    compounds = [name for name in chapter["COMPOUND"] if not {*name} & {*chapter["SURNAMES"]}]
    clean = "".join(next(name for name in names if chapter["part_of"](name) == part) for names in (singles, compounds) for part in parts)
    offsets = [(i, i + 1) for i in range(len(clean))]
    assert chapter["surname_marks"](clean, offsets) == [1] * 9
    assert chapter["surname_marks"](clean, offsets, training=True) == [1, 0, 0, 1, 1, 0, 0, 0, 0]


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
