"""Track -> text -> track."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg_rewards import Track, format_answer, format_tracks, parse_answer, parse_tracks


def test_empty_track():
    assert format_answer(Track("cat", {}), scale=(1000, 1000)) == "{}"


def test_contract_of_appendix_a1():
    track = Track("circle-1", {4: (0.1, 0.2, 0.3, 0.4), 3: (0.0, 0.25, 0.5, 1.0)})
    text = format_answer(track, scale=(1000, 1000))
    assert text == (
        '{"3": [{"label": "circle-1", "bbox_2d": [0, 250, 500, 1000]}],'
        ' "4": [{"label": "circle-1", "bbox_2d": [100, 200, 300, 400]}]}'
    )
    assert text == json.dumps(json.loads(text))


def test_pixel_scale():
    text = format_answer(Track("a", {0: (0.25, 0.5, 0.75, 1.0)}), scale=(640, 360))
    assert json.loads(text)["0"][0]["bbox_2d"] == [160, 180, 480, 360]


@pytest.mark.parametrize(
    ("low", "high", "expected", "remark"),
    [
        (0.5001, 0.5002, (5, 6), "the unit that holds the middle"),
        (0.0, 0.001, (0, 1), "at the left edge"),
        (0.9999, 1.0, (9, 10), "at the right edge: not outside the picture"),
        (1 - 2**-53, 1.0, (9, 10), "whose middle rounds to the edge itself"),
        (0.44, 0.46, (4, 5), "4.4 and 4.6 round to 4 and 5: nothing to mend"),
        (0.46, 0.49, (4, 5), "4.6 and 4.9 both round to 5, the middle 4.75 lies in 4..5"),
        (0.51, 0.54, (5, 6), "5.1 and 5.4 both round to 5"),
    ],
)
def test_rounding_never_empties_a_box(low, high, expected, remark):
    x = json.loads(format_answer(Track("a", {0: (low, 0.0, high, 1.0)}), scale=(10, 10)))["0"][0]["bbox_2d"]
    y = json.loads(format_answer(Track("a", {0: (0.0, low, 1.0, high)}), scale=(10, 10)))["0"][0]["bbox_2d"]
    assert (x[0], x[2]) == (y[1], y[3]) == expected, remark


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (Track("a", {-1: (0.0, 0.0, 1.0, 1.0)}), "second -1"),
        (Track("a", {7: (0.5, 0.0, 0.4, 1.0)}), "second 7: box .* empty or inverted"),
        (Track("a", {7: (0.0, 0.0, 30.0, 40.0)}), "second 7: box .* normalised"),
        (Track("a", {7: (0.0, 0.0, float("nan"), 1.0)}), "second 7: box .* normalised"),
        (Track("a", {7: (0.0, 0.0, 1.0)}), "second 7: box .* four"),
    ],
)
def test_wrong_tracks_are_refused(track, message):
    with pytest.raises(ValueError, match=message):
        format_answer(track, scale=(1000, 1000))


@pytest.mark.parametrize("scale", [(0, 10), (10,), (10.5, 10), (10, 10, 10)])
def test_wrong_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        format_answer(Track("a", {}), scale=scale)


@pytest.mark.parametrize(
    "label",
    [
        'a "quoted" one',
        "back\\slash",
        "</think>",
        "<answer>",
        "```",
        "[/THINK]",
        "\u25c1/think\u25b7",
        "{",
        "",
        "\ud800",
    ],
)
def test_labels_that_look_like_something_else(label):
    text = format_answer(Track(label, {0: (0.0, 0.0, 1.0, 1.0)}), scale=(10, 10))
    text.encode()
    assert parse_answer(text, scale=(10, 10)).track == Track(label, {0: (0.0, 0.0, 1.0, 1.0)})


sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda side: side[0] < side[1])
boxes = st.tuples(sides, sides).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1]))
tracks = st.builds(Track, st.text(max_size=12), st.dictionaries(st.integers(0, 5000), boxes, min_size=1, max_size=8))
scales = st.tuples(st.integers(1, 2000), st.integers(1, 2000))


@given(tracks, scales)
def test_round_trip_gives_the_track_rounded(track, scale):
    text = format_answer(track, scale=scale)
    answer = parse_answer(text, scale=scale)
    assert answer.complete and answer.parsed and not answer.salvaged and answer.discarded == 0
    assert (answer.track.label, answer.span) == (track.label, track.span)
    assert list(answer.track.boxes) == sorted(track.boxes)
    for second, box in track.boxes.items():
        for side, (read, true) in enumerate(zip(answer.track.boxes[second], box, strict=True)):
            units = read * scale[side % 2]
            assert units == pytest.approx(round(units))  # a whole number of units, at most one away
            assert abs(units - true * scale[side % 2]) <= 1.0 + 1e-9
    # Rounding is done once: what was read is written the same way again.
    assert format_answer(answer.track, scale=scale) == text


def test_several_objects_come_back_by_label():
    a = Track("person-1", {0: (0.1, 0.2, 0.3, 0.4), 2: (0.2, 0.2, 0.4, 0.4)})
    b = Track("person-2", {2: (0.5, 0.5, 1.0, 1.0), 1: (0.5, 0.5, 0.9, 0.9)})
    text = format_tracks([a, b], scale=(1000, 1000))
    assert list(json.loads(text)) == ["0", "1", "2"]
    assert [state["label"] for state in json.loads(text)["2"]] == ["person-1", "person-2"]
    assert parse_tracks(text) == [a, Track("person-2", dict(sorted(b.boxes.items())))]
    assert format_tracks([], scale=(1000, 1000)) == "{}"
    assert parse_tracks("nothing") == []


def test_labels_of_several_objects_must_differ():
    same = Track("person-1", {0: (0.1, 0.2, 0.3, 0.4)})
    with pytest.raises(ValueError, match="each track needs a label of its own"):
        format_tracks([same, same], scale=(1000, 1000))


def test_an_object_without_a_valid_box_is_left_out():
    text = '{"0": [{"label": "a", "bbox_2d": [9, 9, 1, 1]}, {"label": "b", "bbox_2d": [0, 0, 500, 500]}]}'
    assert [track.label for track in parse_tracks(text)] == ["b"]
