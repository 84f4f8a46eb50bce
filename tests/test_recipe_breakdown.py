"""Groups, bootstrap intervals and the page of an evaluation."""

import json

import numpy as np
import pytest

from recipe.evaluation.breakdown import (
    EVENT_SECONDS,
    GROUPS,
    NAMES,
    bin_name,
    breakdown,
    intervals,
    score_table,
    target_percent,
)
from recipe.evaluation.page import markdown
from recipe.evaluation.scores import metrics, score_records

BOX = [0.0, 0.0, 0.5, 0.5]


def record(name, span=(0, 3), seconds=8, **others):
    track = [{"second": k, "box": BOX} for k in range(span[0], span[1] + 1)]
    base = {
        "id": name,
        "video": f"{name}.mp4",
        "label": "cat-1",
        "kind": "declarative",
        "seconds": seconds,
        "span": list(span),
    }
    return base | {"track": track} | others


def states(seconds):
    return [{"second": k, "box": BOX} for k in seconds]


RECORDS = [
    record("a"),
    record("b", kind="interrogative", distractors=2),
    record("c", span=(3, 3), seconds=40, distractors=[1, 2, 3, 4, 5]),
]
SAMPLES = score_records(RECORDS, {"a": states(range(4)), "b": states(range(2)), "c": states([5])})


def test_groups_by_hand():
    found = breakdown(RECORDS, [SAMPLES])
    groups = found["groups"]
    # a: 1, b: 2 of 4 seconds, c: beside the event.
    assert groups["kind"]["declarative"]["m_tIoU"] == 0.5
    assert groups["kind"]["interrogative"]["m_vIoU"] == 0.5
    assert {name: part["n"] for name, part in groups["event_seconds"].items()} == {"1-2": 1, "3-5": 2}
    assert {name: part["n"] for name, part in groups["clip_seconds"].items()} == {"1-10": 2, "31-60": 1}
    assert {name: part["n"] for name, part in groups["target_percent"].items()} == {"16-36": 3}
    assert {name: part["n"] for name, part in groups["distractors"].items()} == {"2": 1, "4+": 1}
    assert found["ceiling"] == dict.fromkeys(NAMES, 1.0)


def test_a_kind_of_group_that_no_record_states_is_left_out():
    assert "distractors" not in breakdown(RECORDS[:1], [SAMPLES[:1]])["groups"]


def test_the_groups_of_a_kind_make_the_whole():
    found = breakdown(RECORDS, [SAMPLES])
    whole = metrics(SAMPLES)
    for kind in ("kind", "event_seconds", "clip_seconds", "target_percent"):
        parts = found["groups"][kind].values()
        for name in NAMES:
            assert sum(part["n"] * part[name] for part in parts) / len(SAMPLES) == pytest.approx(whole[name])


def test_ceiling_of_an_event_with_invisible_seconds():
    holes = record("a") | {"track": states([0, 1, 3])}
    found = breakdown([holes], [score_records([holes], {"a": states([0, 1, 3])})])
    # A perfect answer: 3 boxes for 4 seconds, so it reaches the ceiling of 0.75.
    assert found["ceiling"]["m_vIoU"] == found["groups"]["kind"]["declarative"]["m_vIoU"] == 0.75
    assert found["ceiling"]["mvIoU"] == 1.0


def test_intervals_are_those_of_the_mean():
    rng = np.random.default_rng(3)
    values = rng.random((500, 2))
    members = np.column_stack([np.ones(500, dtype=bool), np.arange(500) < 100])
    ends = intervals(values, members, resamples=4000)
    for group, size in ((0, 500), (1, 100)):
        chosen = values[members[:, group]]
        half = 1.96 * chosen.std(axis=0, ddof=1) / np.sqrt(size)
        # The normal approximation: within a tenth of its half width.
        np.testing.assert_allclose(ends[group, :, 0], chosen.mean(axis=0) - half, atol=half.max() / 10)
        np.testing.assert_allclose(ends[group, :, 1], chosen.mean(axis=0) + half, atol=half.max() / 10)


def test_intervals_draw_videos():
    """Ten sentences about each of 40 videos say no more than one would: drawn one by one, they look 3 times surer."""
    rng = np.random.default_rng(5)
    of_video = rng.random(40)
    values, videos = np.repeat(of_video, 10)[:, None], np.repeat(np.arange(40), 10)
    members = np.ones((400, 1), dtype=bool)
    by_video = intervals(values, members, videos, resamples=4000)
    half = 1.96 * of_video.std(ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(by_video[0, 0], of_video.mean() + np.array([-half, half]), atol=half / 10)
    singly = intervals(values, members, resamples=4000)
    assert np.ptp(by_video) > 2.5 * np.ptp(singly)
    own = intervals(values, members, np.arange(400))
    assert (own == intervals(values, members)).all(), "a video of its own each: the same draws"


def test_a_breakdown_draws_the_videos_of_its_records():
    """Eight sentences about each of six videos, right in half of the videos: six draws, not 48."""
    records = [record(f"{video}/{k}", video=f"{video}.mp4") for video in range(6) for k in range(8)]
    answers = {one["id"]: states(range(4)) for one in records if int(one["id"][0]) % 2}
    together = breakdown(records, [score_records(records, answers)])["interval95"]["m_vIoU"]
    apart = [one | {"video": f"{index}.mp4"} for index, one in enumerate(records)]
    singly = breakdown(apart, [score_records(apart, answers)])["interval95"]["m_vIoU"]
    assert together[1] - together[0] > 2 * (singly[1] - singly[0])


def test_intervals_do_not_depend_on_the_block(monkeypatch):
    values, members = np.arange(6.0).reshape(6, 1), np.ones((6, 1), dtype=bool)
    whole = intervals(values, members)
    assert (intervals(values, members) == whole).all(), "seeded"
    monkeypatch.setattr("recipe.evaluation.breakdown._BLOCK", 6 * 7)
    np.testing.assert_allclose(intervals(values, members), whole, atol=0.5)


def test_the_mean_over_repeats_is_taken_first():
    other = score_records(RECORDS, {})
    table = score_table([SAMPLES, other])
    assert table[0].tolist() == [0.5] * len(NAMES)


def test_the_page_says_what_the_metrics_say():
    result = metrics(SAMPLES) | {"protocol": "second", "repeats": 3, "temperature": 1.0, "smooth": "on"}
    result |= breakdown(RECORDS, [SAMPLES]) | {"spread": dict.fromkeys(NAMES, 0.013)}
    result["input"] = {"missing_ids": 7, "examples": {"missing_ids": ["x"]}}
    page = markdown(json.loads(json.dumps(result)), name="p.jsonl")
    assert page.startswith("# Evaluation of p.jsonl\n\nProtocol `second`, smoothing on, n = 3, mean of 3 runs.")
    assert "| m_vIoU | 50.0 | [0.0, 100.0] | 100.0 | 1.3 |" in page
    assert "| missing ids | 7 |" in page
    assert "| interrogative | 1 | 50.0 | 50.0 | 100.0 | 0.0 | 100.0 |" in page
    assert {line.count("|") for line in page.splitlines()} == {0, 3, 6, 10}, "rows as wide as their head"


def test_thresholds_are_strict_and_those_of_the_metrics():
    given = record("a", span=(0, 9), seconds=20)
    for count, above in ((3, (0.0, 0.0)), (4, (1.0, 0.0)), (5, (1.0, 0.0)), (6, (1.0, 1.0))):
        samples = score_records([given], {"a": states(range(count))})
        part = breakdown([given], [samples])["groups"]["kind"]["declarative"]
        assert (part["vIoU@0.3"], part["vIoU@0.5"]) == above, f"vIoU {count}/10"
        assert {name: part[name] for name in NAMES} == {name: metrics(samples)[name] for name in NAMES}


@pytest.mark.parametrize(
    ("value", "name"), [(1, "1-2"), (2, "1-2"), (3, "3-5"), (5, "3-5"), (60, "21-60"), (61, "61+")]
)
def test_the_ends_of_bins(value, name):
    assert bin_name(value, EVENT_SECONDS) == name


@pytest.mark.parametrize(
    ("boxes", "percent"),
    [
        ([(0, 0, 1, 1)], 100),
        ([(0.2, 0.1, 0.6, 0.2)], 4),  # 0.4 x 0.1: sides of unlike length, away from the corner
        ([(0, 0, 0.1, 0.1), (0.5, 0.5, 1, 0.9), (0, 0, 0.3, 0.3)], 10),  # (1 + 20 + 9) / 3
    ],
)
def test_a_target_is_as_large_as_its_boxes_are_on_average(boxes, percent):
    given = {"track": [{"second": second, "box": box} for second, box in enumerate(boxes)]}
    assert target_percent(given) == pytest.approx(percent)


@pytest.mark.parametrize(
    ("kind", "changes", "name"),
    [
        ("event_seconds", {"span": [3, 3]}, "1-2"),
        ("event_seconds", {"span": [3, 4]}, "1-2"),  # both ends belong to it: 2 seconds
        ("event_seconds", {"span": [3, 5]}, "3-5"),
        ("event_seconds", {"span": [0, 4]}, "3-5"),
        ("event_seconds", {"span": [0, 59]}, "21-60"),
        ("clip_seconds", {"seconds": 10}, "1-10"),
        ("clip_seconds", {"seconds": 11}, "11-30"),
        ("clip_seconds", {"seconds": 181}, "181+"),
        ("target_percent", {"track": [{"second": 0, "box": [0, 0, 0.5, 0.05]}]}, "1-4"),
        ("target_percent", {"track": [{"second": 0, "box": [0, 0, 0.5, 0.75]}]}, "36+"),
        ("distractors", {"distractors": 0}, "0"),
        ("distractors", {"distractors": []}, "0"),
        ("distractors", {"distractors": 3}, "3"),
        ("distractors", {"distractors": 4}, "4+"),
        ("distractors", {"distractors": [1, 2, 3]}, "3"),
        ("distractors", {"distractors": True}, None),
    ],
)
def test_the_group_of_a_record(kind, changes, name):
    assert GROUPS[kind](record("a") | changes) == name
