"""The batch just seen is not read again, and nothing that a score depends on is ever taken from another row."""

import copy
import json
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stvg_rewards.batch
from stvg_rewards import (
    Track,
    format_answer,
    format_reward,
    generalised_mviou_reward,
    mviou_reward,
    parse_answer,
    scaled_tiou_reward,
    score_answer,
    tiou_reward,
    viou_reward,
)
from stvg_rewards.aligned import copy_states, is_usual
from stvg_rewards.plain import read_written

BOX = [0.0, 0.0, 0.5, 0.5]
TRUTH = [{"second": k, "box": list(BOX)} for k in (2, 3, 4, 5)]
USUAL = format_answer(Track("a", dict.fromkeys((3, 4), (0.0, 0.0, 0.5, 0.25))), scale=(1000, 1000))
ODD = USUAL.replace("[0, 0", "[[0, 0").replace("250]", "250]]")


def a_batch():
    """Fresh objects, as a data loader makes them for each row."""
    rows = [(text, copy.deepcopy(TRUTH)) for text in (USUAL, ODD, "no idea", USUAL)]
    return {"completions": [str(text) for text, _ in rows], "track": [truth for _, truth in rows], "seconds": [8] * 4}


@pytest.fixture
def reads(monkeypatch):
    """Count the texts that are read."""
    texts = []

    def counted(read):
        return lambda text, *args, **kwargs: texts.append(text) or read(text, *args, **kwargs)

    monkeypatch.setattr(stvg_rewards.batch, "read_written", counted(stvg_rewards.batch.read_written))
    monkeypatch.setattr(stvg_rewards.batch, "_last_batch", [])
    return texts


def test_a_second_reward_reads_no_text_again(reads):
    batch = a_batch()
    first = tiou_reward(**batch)
    assert len(reads) == 4
    again = copy.deepcopy(batch)
    assert mviou_reward(**again) == [0.5, 0.5, 0.0, 0.5]
    assert viou_reward(**batch) == [0.25, 0.25, 0.0, 0.25]
    assert tiou_reward(**again) == first == [0.5, 0.5, 0.0, 0.5]
    assert len(reads) == 4, "equal by value is enough"
    tiou_reward(**{**batch, "completions": ["new", *batch["completions"][1:]]})
    assert len(reads) == 5, "the other rows were kept"


CHANGES = {
    "text": ({"completions": ["no idea"] * 4}, [0.0] * 4),
    "seconds": ({"seconds": [4] * 4}, [0.25, 0.25, 0.0, 0.25]),
    "scale": ({"box_scale": [[500, 1000]] * 4}, [0.5, 0.5, 0.0, 0.5]),
    "span": ({"span": [[2, 9]] * 4}, [0.25, 0.25, 0.0, 0.25]),
    "spans": ({"spans": [[[2, 2], [4, 5]]] * 4}, [0.25, 0.25, 0.0, 0.25]),
    "temporal": (
        {"track": [None] * 4, "spans": [[[3, 10]]] * 4, "temporal": [True] * 4},
        [0.25, 0.25, 0.0, 0.25],
    ),
    "no target": ({"track": [None] * 4, "no_target": [True] * 4}, [0.0] * 4),
    "truth": ({"track": [TRUTH[1:]] * 4}, [2 / 3, 2 / 3, 0.0, 2 / 3]),
    "no truth": ({"track": [None] * 4}, [None] * 4),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_is_seen(what):
    change, expected = CHANGES[what]
    plain = tiou_reward(**a_batch())
    assert tiou_reward(**{**a_batch(), **change}) == pytest.approx(expected)
    assert tiou_reward(**a_batch()) == plain


def test_a_truth_that_is_changed_in_place_is_seen():
    batch = a_batch()
    assert mviou_reward(**batch)[0] == 0.5
    batch["track"][0][1]["box"][3] = 0.25  # second 3: the answer's own box
    assert mviou_reward(**batch)[0] == 0.75
    batch["track"][0][1]["second"] = 2
    with pytest.raises(ValueError, match="row 0 second 2: it is there twice"):
        mviou_reward(**batch)
    batch["track"][0][1]["second"] = 3.0
    assert mviou_reward(**batch)[0] == 0.75
    batch["track"][0][1]["second"] = 3.5
    with pytest.raises(ValueError, match=r"row 0 second 3\.5: expected a whole number"):
        mviou_reward(**batch)
    batch["track"][0][1] = {"second": 3, "box": [0.0, 0.0, 0.5]}
    with pytest.raises(ValueError, match="row 0 second 3: box .* not four"):
        mviou_reward(**batch)


def test_only_one_batch_is_kept(monkeypatch):
    for number in range(50):
        tiou_reward([f"{number} {USUAL}"] * 3, [TRUTH] * 3)
    assert len(stvg_rewards.batch._last_batch) == 3
    monkeypatch.setattr(stvg_rewards.batch, "_MOST_CHARACTERS", 10)
    kept = stvg_rewards.batch._last_batch
    assert tiou_reward(["too long to keep: " + USUAL], [TRUTH]) == [0.5]
    assert stvg_rewards.batch._last_batch is kept
    assert tiou_reward([], track=[]) == []


def test_threads_with_batches_of_their_own_get_their_own_scores():
    def answer(width):
        return format_answer(Track("a", dict.fromkeys((2, 3, 4, 5), (0.0, 0.0, width, 0.5))), scale=(1000, 1000))

    wrong = []

    def work(width):
        batch = {"completions": [answer(width)] * 8, "track": [TRUTH] * 8}
        for _ in range(100):
            for reward, expected in ((mviou_reward, width / 0.5), (tiou_reward, 1.0)):
                if reward(**batch) != pytest.approx([expected] * 8):
                    wrong.append(width)

    threads = [threading.Thread(target=work, args=(width / 20,)) for width in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- the fast way through a usual row is only fast -------------------------------------------------------------------

sides = st.integers(0, 12)
boxes = st.tuples(sides, sides, st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: [min(b[0], 11), min(b[1], 11), min(b[0] + b[2], 12), min(b[1] + b[3], 12)]
)
tracks = st.dictionaries(st.integers(0, 9), boxes, min_size=1, max_size=6) | st.tuples(
    st.integers(0, 6), st.lists(boxes, min_size=1, max_size=6)
).map(lambda run: {run[0] + place: box for place, box in enumerate(run[1])})


@given(tracks, tracks, st.none() | st.tuples(st.integers(0, 4), st.integers(4, 12)), st.booleans())
def test_rewards_are_the_scores_of_the_answer(states, true, span, in_order):
    text = json.dumps({str(k): [{"label": "a", "bbox_2d": states[k]}] for k in sorted(states)})
    seconds = sorted(true) if in_order else list(true)
    truth = [{"second": k, "box": [side / 12 for side in true[k]]} for k in seconds]
    columns = {"track": [truth], "span": [span], "seconds": [20], "box_scale": [[12, 12]]}
    expected = score_answer(
        parse_answer(text, scale=(12, 12)), Track("", {k: tuple(side / 12 for side in true[k]) for k in true}), span
    )
    got = [reward([text], **columns)[0] for reward in (tiou_reward, mviou_reward, viou_reward)]
    assert got == pytest.approx(list(expected), abs=1e-12)


def test_a_usual_answer_is_read_from_its_text_and_any_change_of_a_character_is_seen():
    """Put another character at each place: the fast reader gives what the careful one gives, or leaves it to it."""
    text = format_answer(Track("p-1", {9: (0.0, 0.1, 0.5, 0.6), 10: (0.1, 0.1, 0.9, 1.0)}), scale=(1000, 1000))
    assert read_written(text, 60, (1000, 1000)).track() == parse_answer('{"x"}' + text, seconds=60).track
    rng = random.Random(0)
    num_read = 0
    for place in range(len(text)):
        for char in ("", *'0159 ,:"[]{}#@\\-.e', rng.choice("aA\n\x00\u00e9")):
            changed = text[:place] + char + text[place + 1 :]
            written = read_written(changed, 60, (1000, 1000))
            if written is not None:
                careful = parse_answer('{"x"}' + changed, seconds=60)
                assert careful.complete, changed
                assert (careful.track, careful.span) == (written.track(), (written.seconds[0], written.seconds[-1]))
                num_read += 1
    assert num_read > 50, "digits, and characters of both labels"


def test_several_changes_at_once_are_seen_too():
    """Move digits and separators about: what the fast reader takes, the careful one reads the same way."""
    text = format_answer(Track("p-1", {9: (0.0, 0.1, 0.5, 0.6), 10: (0.1, 0.1, 0.9, 1.0)}), scale=(1000, 1000))
    rng = random.Random(1)
    num_read = 0
    for _ in range(4000):
        changed = text
        for _ in range(rng.randint(1, 3)):
            place, char = rng.randrange(len(changed)), rng.choice(["", *'0123456789 ,:"[]{}@', ", ", '": [', ']}], "'])
            changed = changed[:place] + char + changed[place + rng.randint(0, 1) :]
        written = read_written(changed, 60, (1000, 1000))
        if written is not None:
            careful = parse_answer('{"x"}' + changed, seconds=60)
            assert careful.complete, changed
            assert (careful.track, careful.span) == (written.track(), (written.seconds[0], written.seconds[-1]))
            num_read += 1
    assert num_read > 100


@pytest.mark.parametrize(
    "text",
    [
        '{"3"4: [{"label": "a", "bbox_2d": [0, 2, 400, 40]}]}',
        '{3"": [{"label": "a", "bbox_2d": [0, 2, 400, 40]}]}',
        '{"": 3[{"label": "a", "bbox_2d": [0, 2, 400, 40]}]}',
        '{"3": [{"label": "a", "bbox_2d": [0, 2, 400, ]40}]}',
        '{"3": [{"label": "a", "bbox_2d": [0, 2, 400]}], "4, 5": [{"label": "a", "bbox_2d": [0, 2, 9, 40]}]}',
        '{"3@0, 2, 400, 40]}], "4": [{"label": "a", "bbox_2d": [0, 2, 9, 40]}]}',
        '{"03": [{"label": "a", "bbox_2d": [0, 2, 400, 40]}]}',
        '{"3": [{"label": "a", "bbox_2d": [0, 2, 400, 4 0]}]}',
    ],
)
def test_digits_in_other_places_are_left_to_the_careful_reader(text):
    assert read_written(text, 60, (1000, 1000)) is None


@pytest.mark.parametrize(
    ("box", "usual"),
    [
        ([0, 0, 1, 1], True),
        ([0.5, 0.5, 0.4, 1.0], False),
        ([0.0, 0.0, 1.0, 1.0000001], False),
        ([-0.1, 0.0, 1.0, 1.0], False),
        ([0.0, float("nan"), 1.0, 1.0], False),
        (["0", 0.0, 1.0, 1.0], False),
    ],
)
def test_usual_truths(box, usual):
    states = [{"second": 0, "box": [0.0, 0.0, 1.0, 1.0]}, {"second": 1, "box": box}]
    assert is_usual(copy_states(states)) is usual


# --- sentences with several events, and without a target -------------------------------------------------------------


def listing(*seconds, box=(0, 0, 500, 500)):
    return json.dumps({str(k): [{"label": "a", "bbox_2d": list(box)}] for k in seconds})


EVENTS = [{"second": k, "box": BOX} for k in (1, 2, 7)]
SPANS = [[1, 2], [7, 8]]  # the target is hidden in second 8


@pytest.mark.parametrize(
    ("text", "expected", "remark"),
    [
        (listing(1, 2, 7, 8), (1.0, 1.0, 0.75), "all of both; no true box in second 8"),
        (listing(1, 2), (0.5, 1.0, 0.5), "one event"),
        (listing(*range(1, 9)), (0.5, 1.0, 3 / 8), "the hull of both"),
        (listing(1, 2, 7, 8, box=(9, 9, 5, 5)), (1.0, 0.0, 0.0), "invalid boxes are listed"),
        (listing(4, 5), (0.0, 0.0, 0.0), "between the events: no second of either"),
        ("no idea", (0.0, 0.0, 0.0), "unreadable"),
    ],
)
def test_several_events_are_sets_of_seconds(text, expected, remark):
    columns = {"track": [EVENTS], "spans": [SPANS], "seconds": [10]}
    got = [reward([text], **columns)[0] for reward in (tiou_reward, mviou_reward, viou_reward)]
    assert got == pytest.approx(list(expected)), remark
    (soft,) = generalised_mviou_reward([text], **columns)
    assert soft == pytest.approx(expected[1])


def test_one_event_is_a_span():
    columns = {"track": [EVENTS[:2]], "seconds": [10]}
    for text in (listing(1, 2), listing(0, 3)):
        for reward in (tiou_reward, mviou_reward, viou_reward, scaled_tiou_reward):
            assert reward([text], spans=[[[1, 2]]], **columns) == reward([text], span=[[1, 2]], **columns)


def test_the_ends_of_several_events_are_those_of_all():
    # tIoU 4 of 5 seconds, and the last second is off by 1 of 10.
    (reward,) = scaled_tiou_reward([listing(1, 2, 7, 8, 9)], track=[EVENTS], spans=[SPANS], seconds=[10])
    assert reward == pytest.approx(0.8 * 0.9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{}", 1.0), ('<think>None?</think>{"3": []}', 1.0), (listing(1), 0.0), ("no idea", 0.0), ('{"x": [1]}', 0.0)],
)
def test_a_sentence_without_a_target_wants_the_empty_answer(text, expected):
    for reward in (tiou_reward, mviou_reward, viou_reward, scaled_tiou_reward, generalised_mviou_reward):
        assert reward([text], track=[None], no_target=[True], seconds=[10]) == [expected]
    assert tiou_reward([text], track=[None], no_target=[False]) == [None]


def test_rows_without_a_target_are_logged_apart():
    logged = {}
    columns = {"track": [[], TRUTH, []], "no_target": [True, None, True], "seconds": [10] * 3}
    tiou_reward(["{}", USUAL, USUAL], **columns, log_metric=logged.__setitem__)
    assert (logged["tIoU"], logged["no_target/score"]) == (0.5, 0.5)


TEMPORAL = {"track": [None], "temporal": [True], "seconds": [10]}


@pytest.mark.parametrize(
    ("text", "spans", "expected", "remark"),
    [
        (listing(1, 4), [[2, 5]], 3 / 5, "one event: the hull 1..4 and 2..5 share three of five seconds"),
        (listing(1, 2, 7, 8), SPANS, 1.0, "several events: the seconds that are listed"),
        (listing(1, 8), SPANS, 0.5, "no hull"),
        (listing(2, box=(9, 9, 5, 5)), [[2, 3]], 0.5, "a box that is invalid is listed all the same"),
        ("{}", SPANS, 0.0, "nothing listed"),
        ("no idea", [[2, 3]], 0.0, "unreadable"),
    ],
)
def test_spans_without_boxes_are_scored_by_time_only(text, spans, expected, remark):
    columns = TEMPORAL | {"spans": [spans]}
    assert tiou_reward([text], **columns) == [pytest.approx(expected)], remark
    for reward in (mviou_reward, viou_reward, generalised_mviou_reward):
        assert reward([text], **columns) == [None], "there is no box to compare with"
    assert tiou_reward([text], **columns | {"temporal": [None]}) == [None], "a row of another task, unless it is said"


def test_a_temporal_row_may_have_one_span():
    assert tiou_reward([listing(1, 4)], span=[[2, 5]], **TEMPORAL) == [0.6]
    # 0.6, the first second 1 of 10 off, and the last.
    assert scaled_tiou_reward([listing(1, 4)], span=[[2, 5]], **TEMPORAL) == [pytest.approx(0.6 * 0.9 * 0.9)]
    assert format_reward([listing(1, 4), "no"], [None] * 2, temporal=[True] * 2, spans=[[[2, 5]]] * 2) == [1.0, 0.0]


def test_temporal_rows_are_logged_apart():
    logged, extra = {}, {}
    columns = {"track": [[], TRUTH, []], "temporal": [True, None, True], "spans": [SPANS, None, [[2, 3]]]}
    texts = [listing(1, 2), USUAL, listing(2, 3)]
    tiou_reward(texts, **columns, log_metric=logged.__setitem__, log_extra=extra.__setitem__)
    assert (logged["tIoU"], logged["temporal/tIoU"]) == (0.5, 0.75) and "no_target/score" not in logged
    assert extra["tiou_reward/vIoU"] == [None, 0.25, None]


def test_three_kinds_of_truth_in_one_batch():
    columns = {
        "track": [TRUTH, None, None, None],
        "spans": [None, SPANS, None, None],
        "temporal": [None, True, None, None],
        "no_target": [None, None, True, None],
    }
    texts = [USUAL, listing(1, 2, 7, 8), "{}", "a caption"]
    assert tiou_reward(texts, **columns) == [0.5, 1.0, 1.0, None]
    assert mviou_reward(texts, **columns) == [0.5, None, 1.0, None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"track": [None], "temporal": [True]}, "column 'temporal' row 0: got true, but neither 'spans' nor 'span'"),
        ({"temporal": [True]}, "column 'temporal' row 0: got true, but its 'track' has states"),
        ({"temporal": ["yes"]}, "column 'temporal' row 0: got 'yes', expected true, false or nothing"),
        ({"track": [None], "no_target": [True], "spans": [SPANS]}, "column 'no_target' row 0: .* has a span"),
        ({"track": [None], "no_target": [True], "temporal": [True]}, "column 'no_target' row 0: .* it is temporal"),
        ({"spans": [[[1, 2], [2, 3]]]}, "column 'spans' row 0: .* share no second"),
        (
            {"spans": [[[1, 3], [5, 6]]], "schema": [2]},
            r"'spans' row 0: those of a record \(schema 2\) are times \[begin",
        ),
        ({"spans": [[]]}, "column 'spans' row 0"),
        ({"spans": [[None]]}, "column 'spans' row 0"),
        ({"spans": [[1, 2]]}, "column 'span.*' row 0"),
        ({"no_target": [1]}, "column 'no_target' row 0"),
        ({"no_target": [True]}, "column 'no_target' row 0: got true, but its 'track' has states"),
    ],
)
def test_wrong_columns_are_named(columns, message):
    with pytest.raises(ValueError, match=message):
        tiou_reward([USUAL], **{"track": [TRUTH]} | columns)
