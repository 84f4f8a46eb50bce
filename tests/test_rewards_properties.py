"""What raises a reward and what cannot: properties of answers, from text to score."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg_rewards import Track, format_answer, mviou_reward, parse_answer, score_answer, tiou_reward

coordinates = st.integers(0, 9)
boxes = st.tuples(coordinates, coordinates, st.integers(1, 5), st.integers(1, 5)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
predictions = st.dictionaries(st.integers(0, 8), boxes, min_size=1, max_size=8)
# 16 units a side, so that every number is exact.
truths = st.dictionaries(st.integers(0, 8), boxes.map(lambda b: tuple(v / 16 for v in b)), min_size=1).map(
    lambda boxes: Track("", boxes)
)


def text_of(states, others=()):
    """Answer text: the target's boxes, then (second, box) of another label."""
    answer = {str(second): [{"label": "a", "bbox_2d": box}] for second, box in states.items()}
    for second, box in others:
        answer.setdefault(str(second), []).append({"label": "b", "bbox_2d": box})
    return json.dumps(answer)


def scores_of(states, true, others=()):
    return score_answer(parse_answer(text_of(states, others), scale=(16, 16)), true)


@given(predictions, truths, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(states, true, random):
    shuffled = list(states.items())
    random.shuffle(shuffled)
    assert scores_of(dict(shuffled), true) == scores_of(states, true)


@given(predictions, truths, st.data())
def test_viou_never_rises_when_a_true_second_is_left_out(states, true, data):
    first, last = true.span
    inside = [second for second in states if first <= second <= last]
    if inside:
        left_out = data.draw(st.sampled_from(inside))
        fewer = {second: box for second, box in states.items() if second != left_out}
        assert scores_of(fewer, true).vIoU <= scores_of(states, true).vIoU + 1e-12


@given(predictions, truths, st.data())
def test_boxes_of_a_label_in_fewer_seconds_change_nothing(states, true, data):
    others = data.draw(
        st.lists(st.tuples(st.integers(0, 8), boxes), max_size=len(states) - 1, unique_by=lambda o: o[0])
    )
    assert scores_of(states, true, others) == scores_of(states, true)


WHOLE = (0.0, 0.0, 1.0, 1.0)


@given(st.integers(1, 12), st.lists(st.integers(0, 16), min_size=2, max_size=12))
def test_what_shortening_the_span_by_a_true_second_pays(more, widths):
    """n shared seconds of u; the last has IoU b, the others m on average. Without the last:

    tIoU - 1/u, mvIoU + (m - b)/n, vIoU - b/u. So the combined reward rises exactly where tIoU < m - b.
    """
    n, u = len(widths), len(widths) + more - 1
    true = Track("", dict.fromkeys(range(u), WHOLE))
    # An inverted box is discarded, and its second keeps counting: IoU 0.
    states = {second: [0, 0, width, 16] for second, width in enumerate(widths)}
    ious = [width / 16 for width in widths]
    m, b = sum(ious[:-1]) / (n - 1), ious[-1]
    before = scores_of(states, true)
    after = scores_of({second: states[second] for second in range(n - 1)}, true)
    assert after.tIoU - before.tIoU == pytest.approx(-1 / u)
    assert after.mvIoU - before.mvIoU == pytest.approx((m - b) / n)
    assert after.vIoU - before.vIoU == pytest.approx(-b / u)


def test_a_missing_column_is_named():
    for reward in (tiou_reward, mviou_reward):
        with pytest.raises(TypeError, match="'track'"):
            reward(["{}"], prompts=["p"])


def test_mixed_tasks_row_by_row_and_from_async_code():
    truth = [{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]
    right = format_answer(Track("a", {0: (0.0, 0.0, 0.5, 0.5)}), scale=(1000, 1000))

    async def reward(completions, **columns):
        return await asyncio.to_thread(tiou_reward, completions, **columns)

    rewards = asyncio.run(
        reward(
            [right, "a caption", right, "B"],
            track=[truth, None, truth, []],
            span=[[0, 0], None, None, None],
            seconds=[1, None, None, None],
            box_scale=[None, None, [1000, 1000], None],
        )
    )
    assert rewards == [1.0, None, 1.0, None]
