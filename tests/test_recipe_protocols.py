"""Frame-level protocols: cases by hand, and an independent, naive second implementation on random answers."""

import random
from fractions import Fraction

import pytest

from recipe.evaluation.protocols import (
    FRAME_PROTOCOLS,
    FrameTruth,
    ceiling,
    predicted_tube,
    score_by_protocol,
    score_frames,
    tube,
    tubedetr_frames,
)
from recipe.inference.expand import expand_boxes

BOX = (0.0, 0.0, 0.5, 0.5)


def truth_of(begin, end, fps=10, num_frames=40, **others):
    return FrameTruth(fps, begin, end, dict.fromkeys(range(begin, end), BOX), num_frames, **others)


# --- expansion to frames ------------------------------------------------------------------------------------------


def test_nothing_expands_to_nothing():
    assert expand_boxes({}, [0.0, 0.5]) == {}
    assert expand_boxes({3: BOX}, [0.0, 0.5]) == {}, "no frame lies in second 3"


def test_one_second_is_held():
    assert expand_boxes({1: BOX}, [0.0, 1.0, 1.5, 2.0]) == {1: BOX, 2: BOX}


def test_a_gap_stays_a_gap_and_the_frames_beside_it_lean_over_it():
    # Knots at 0.25 and 2.25; x_min goes 0 -> 0.4 in 2 s; the frame at 0.5 is 0.25 s after the first knot.
    boxes = expand_boxes({0: (0.0, 0.0, 0.2, 0.2), 2: (0.4, 0.0, 0.6, 0.2)}, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    assert sorted(boxes) == [0, 1, 4, 5]
    assert boxes[1] == pytest.approx((0.05, 0.0, 0.25, 0.2))
    assert boxes[4] == pytest.approx((0.35, 0.0, 0.55, 0.2))


@pytest.mark.parametrize(
    ("last", "remark"),
    [
        ((0.0, 0.0, 0.1, 0.2), "x_max 0.3 - 0.24 * 1.4 < 0: nothing of it would be in the picture"),
        ((0.0, 0.0, 0.2, 0.2), "x_min 0.1 - 0.12 * 1.4 < 0: clipping would shrink it"),
        ((0.1, 0.0, 0.12, 0.2), "x_max 0.3 - 0.216 * 1.4 < 0.1: it would have no width"),
    ],
)
def test_a_box_that_would_leave_the_picture_is_held(last, remark):
    # Knots at 0.5 and (1.0 + 1.1 + 1.9) / 3 = 4/3 s.
    boxes = expand_boxes({0: (0.1, 0.0, 0.3, 0.2), 1: last}, [0.5, 1.0, 1.1, 1.9])
    assert sorted(boxes) == [0, 1, 2, 3], "each frame of the span has a box"
    assert boxes[3] == last, remark
    assert boxes[1] == pytest.approx([0.4 * a + 0.6 * b for a, b in zip((0.1, 0.0, 0.3, 0.2), last, strict=True)])


def test_the_first_half_second_is_held_too():
    boxes = expand_boxes({0: (0.7, 0.5, 1.0, 0.9), 1: (0.5, 0.5, 0.8, 0.9)}, [0.0, 0.5, 0.75, 1.25])
    assert boxes[0] == (0.7, 0.5, 1.0, 0.9), "knots at 5/12 and 1.25 s: x_max would be 1.1"
    assert boxes[2] == pytest.approx((0.62, 0.5, 0.92, 0.9)), "(0.75 - 5/12) / (1.25 - 5/12) = 0.4 of the way"


def test_what_stays_in_the_picture_is_extrapolated():
    boxes = expand_boxes({0: (0.1, 0.1, 0.3, 0.3), 1: (0.2, 0.1, 0.4, 0.3)}, [0.5, 1.25, 1.75])
    assert boxes[2] == pytest.approx((0.225, 0.1, 0.425, 0.3)), "knots at 0.5 and 1.5 s: 1.25 of the way"


@pytest.mark.parametrize(
    "times", [[f / 25 for f in range(100)], [0.0, 0.033, 0.1, 0.9, 1.2, 1.25, 1.9, 2.5, 3.7, 3.9]]
)
def test_linear_motion_survives_second_to_frame_to_second(times):
    def at(t):
        return (0.1 + 0.05 * t, 0.2 + 0.01 * t, 0.4 + 0.05 * t, 0.5 + 0.03 * t)

    by_second = {}
    for second in {int(t) for t in times}:
        seen = [at(t) for t in times if int(t) == second]
        by_second[second] = tuple(sum(values) / len(seen) for values in zip(*seen, strict=True))
    expanded = expand_boxes(by_second, times)
    for frame, t in enumerate(times):
        assert expanded[frame] == pytest.approx(at(t), abs=1e-6)
    for second, box in by_second.items():
        frames = [expanded[f] for f, t in enumerate(times) if int(t) == second]
        assert tuple(sum(v) / len(frames) for v in zip(*frames, strict=True)) == pytest.approx(box, abs=1e-6)


# --- scores by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicted", "scores", "remark"),
    [
        (None, (0, 0, 0), "no answer"),
        ((0, 10), (0, 0, 0), "touches the event [10, 20), half-open: they do not meet"),
        ((20, 30), (0, 0, 0), "touches at the other end"),
        ((10, 20), (1, 1, 1), "perfect"),
        ((19, 20), (0.1, 1, 0.1), "one frame of ten"),
        ((15, 25), (5 / 15, 1, 5 / 15), "5 shared of 15"),
    ],
)
def test_frame_scores(predicted, scores, remark):
    boxes = dict.fromkeys(range(40), BOX)
    answer = None if predicted is None else tube(*predicted, boxes)
    assert score_frames(answer, tube(10, 20, boxes)) == pytest.approx(scores), remark


def test_missing_boxes():
    true = tube(0, 4, {0: BOX, 1: BOX, 3: BOX})
    # Frame 2 has no true box: it is no box of mvIoU, but a frame of the union. The answer lacks frame 1: 0.
    assert score_frames(tube(0, 4, {0: BOX, 2: BOX, 3: BOX}), true) == pytest.approx((1.0, 2 / 3, 2 / 4))


def test_predicted_seconds_end_with_the_clip():
    found = predicted_tube({0: BOX, 1: BOX}, (0, 1), 10, 15)
    assert (found.begin, found.end) == (0, 15)
    assert predicted_tube({7: BOX}, (7, 9), 10, 15) is None
    # 29.97 fps: second 1 starts at frame 30, second 2 at 60.
    found = predicted_tube({1: BOX}, (1, 1), 29.97, 90)
    assert (found.begin, found.end) == (30, 60)
    assert (found.boxes == BOX).all()


def test_a_perfect_answer_under_each_protocol():
    boxes, span = dict.fromkeys(range(1, 3), BOX), (1, 2)
    truth = truth_of(10, 30)
    assert score_by_protocol("frame", boxes, span, truth) == pytest.approx((1, 1, 1))
    assert score_by_protocol("tubedetr", boxes, span, truth) == pytest.approx((1, 1, 1))
    # The stored last frame taken as an open end: (N - 1) / N.
    assert score_by_protocol("cgstvg", boxes, span, truth) == pytest.approx((19 / 20, 1, 19 / 20))


def test_tubedetr_takes_one_based_frames_as_they_are():
    truth = truth_of(10, 30, one_based=True)
    # Truth [11, 31), answer [10, 30): 19 shared of 21. Kept at 5 of 10 fps: 10, 12, ... 30 in the union (11), and
    # 12, 14, ..., 28 in the intersection (9).
    scores = score_by_protocol("tubedetr", {1: BOX, 2: BOX}, (1, 2), truth)
    assert scores == pytest.approx((19 / 21, 1, 9 / 11))
    assert score_by_protocol("frame", {1: BOX, 2: BOX}, (1, 2), truth) == pytest.approx((1, 1, 1))


def test_tubedetr_frames():
    assert tubedetr_frames(0, 1, 25) == [0]
    assert tubedetr_frames(3, 20, 25) == [3, 5, 10, 15]  # the rule counts from the video's start
    assert tubedetr_frames(0, 5, 4) == [0, 1, 2, 3, 4]  # below 5 fps every frame
    long = tubedetr_frames(0, 3000, 30)  # 500 kept, then every 2.5th of them
    assert len(long) == 200
    assert long[:3] == [0, 12, 30]  # ids 0, 2, 5 of 0, 6, 12, 18, 24, 30


def test_unknown_protocol_is_named():
    with pytest.raises(ValueError, match="protocol 'official', expected one of frame, tubedetr, cgstvg"):
        score_by_protocol("official", {}, None, truth_of(0, 1))


def test_ceiling_of_a_short_event():
    # [5, 25) at 10 fps, 2 s long over three seconds. Seconds 0..2 give 20 / 30; 0..1 or 1..2 give 15 / 25.
    truth = truth_of(5, 25)
    assert ceiling("frame", dict.fromkeys(range(3), BOX), truth) == pytest.approx((2 / 3, 1, 2 / 3))
    # [1, 19): seconds 0..1 give 18 / 20.
    assert ceiling("frame", {0: BOX, 1: BOX}, truth_of(1, 19)).tIoU == pytest.approx(0.9)
    # An event inside one second has no other rounding.
    assert ceiling("frame", {0: BOX}, truth_of(2, 6)).tIoU == pytest.approx(0.4)


def test_ceiling_rounds_each_end_of_the_event_both_ways():
    # [9, 30) at 10 fps has one frame in second 0: seconds 1..2 give 20 / 21, 0..2 would give 21 / 30.
    assert ceiling("frame", dict.fromkeys(range(3), BOX), truth_of(9, 30)).tIoU == pytest.approx(20 / 21)
    # [0, 21) has one in second 2: seconds 0..1 give 20 / 21.
    assert ceiling("frame", dict.fromkeys(range(3), BOX), truth_of(0, 21)).tIoU == pytest.approx(20 / 21)
    # [1, 29) is best rounded outwards: 28 / 30 against 19 / 28.
    assert ceiling("frame", dict.fromkeys(range(3), BOX), truth_of(1, 29)).tIoU == pytest.approx(28 / 30)


@pytest.mark.parametrize(("frames", "kept"), [(199, 199), (200, 200), (201, 200), (400, 200)])
def test_tubedetr_looks_at_200_frames_at_most(frames, kept):
    # At 5 fps each frame would be kept; of 201 the one left out is the last: 199 * 201 // 200 = 199.
    found = tubedetr_frames(0, frames, 5)
    assert found == [j * frames // kept for j in range(kept)]


# --- a second implementation ------------------------------------------------------------------------------------


def naive(protocol, boxes, span, truth):
    """Sets of frames and plain loops, from the definitions, sharing nothing with the recipe."""
    fps = Fraction(str(truth.fps))
    true_begin, true_end = truth.begin, truth.end
    true_boxes = dict(truth.boxes)
    if protocol == "cgstvg":
        true_end -= 1
    if protocol == "tubedetr" and truth.one_based:
        true_begin, true_end = true_begin + 1, true_end + 1
        true_boxes = {f + 1: b for f, b in true_boxes.items()}
    true_frames = set(range(true_begin, true_end))
    predicted = set()
    if span is not None:
        predicted = {f for f in range(truth.num_frames) if span[0] <= Fraction(f) / fps < span[1] + 1}
    if not predicted & true_frames:
        return 0.0, 0.0, 0.0
    t_iou = len(predicted & true_frames) / len(predicted | true_frames)
    usable = predicted | true_frames
    if protocol == "tubedetr":
        rate = 5 / truth.fps if truth.fps > 5 else 1.0
        ids, previous = [truth.first_frame], truth.first_frame
        for f in range(truth.first_frame, truth.first_frame + truth.num_frames):
            if int(previous * rate) < int(f * rate):
                ids.append(f)
                previous = f
        if len(ids) > 200:
            ids = [ids[j * len(ids) // 200] for j in range(200)]
        usable &= {f - truth.first_frame for f in ids}
    knots = []
    for k in sorted(boxes):
        times = [float(f / fps) for f in range(truth.num_frames) if k <= f / fps < k + 1]
        if times:
            knots.append((sum(times) / len(times), k))

    def box_at(f):
        t = float(f / fps)
        if int(f / fps) not in boxes:
            return None
        if len(knots) == 1:
            return boxes[knots[0][1]]
        pair = knots[0], knots[1]
        for a, b in zip(knots, knots[1:], strict=False):
            if a[0] <= t:
                pair = a, b
        (t0, k0), (t1, k1) = pair
        w = (t - t0) / (t1 - t0)
        box = [p + w * (q - p) for p, q in zip(boxes[k0], boxes[k1], strict=True)]
        if not 0 <= w <= 1 and (min(box) < 0 or max(box) > 1 or box[0] >= box[2] or box[1] >= box[3]):
            return boxes[k0] if w < 0 else boxes[k1]
        return box

    def iou(a, b):
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)

    total, count = 0.0, 0
    for f in sorted(usable & predicted & true_frames):
        if f in true_boxes:
            count += 1
            predicted_box = box_at(f)
            if (
                predicted_box is not None
                and predicted_box[0] < predicted_box[2]
                and predicted_box[1] < predicted_box[3]
            ):
                total += iou(predicted_box, true_boxes[f])
    return t_iou, total / count if count else 0.0, total / len(usable) if usable else 0.0


def random_box(rng):
    x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
    return x, y, x + rng.uniform(0.05, 0.3), y + rng.uniform(0.05, 0.3)


@pytest.mark.parametrize("protocol", FRAME_PROTOCOLS)
def test_agrees_with_the_naive_implementation(protocol):
    rng = random.Random(protocol)
    met = 0
    for case in range(500):
        fps = rng.choice([5, 8, 10, 12.5, 23.976, 25, 29.97])
        # A few long clips, so that TubeDETR's 200 frames are passed.
        num_frames = rng.randint(1, 90) if case % 50 else int(fps * 50)
        begin = rng.randrange(num_frames)
        end = rng.randint(begin + 1, num_frames)
        visible = {f: random_box(rng) for f in range(begin, end) if rng.random() < 0.8}
        truth = FrameTruth(
            fps, begin, end, visible, num_frames, first_frame=rng.randint(0, 60), one_based=rng.random() < 0.5
        )
        seconds = int((num_frames - 1) / fps) + 1
        first = rng.randrange(seconds)
        span = (first, rng.randint(first, seconds)) if rng.random() < 0.95 else None
        boxes = {}
        if span is not None:
            boxes = {k: random_box(rng) for k in range(span[0], span[1] + 1) if rng.random() < 0.8}
        found = score_by_protocol(protocol, boxes, span, truth)
        assert found == pytest.approx(naive(protocol, boxes, span, truth), abs=1e-9), (case, truth, boxes, span)
        met += found.tIoU > 0
    assert met > 200
