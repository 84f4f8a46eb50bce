"""Verdicts: what is confirmed needs an interval above 0 and the same sign in every seed; the rest says why."""

import pytest

from recipe.evaluation.scores import Sample
from recipe.studies import claims
from recipe.studies.claims import CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE, Difference, by_clip, difference
from stvg_rewards import Scores

UP = Difference(0.2, 0.1, 0.3, (0.2, 0.2))
NONE = Difference(0.0, -0.1, 0.1, (0.1, -0.1))


def samples(*vious):
    return [Sample(str(k), Scores(0.5, 0.5, viou), True, False, 0) for k, viou in enumerate(vious)]


def test_a_clips_score_is_the_mean_over_runs_and_a_share_is_strictly_above():
    runs = [samples(0.5, 0.6), samples(0.7, 0.2)]
    assert by_clip(runs, "m_vIoU") == pytest.approx([0.6, 0.4])
    assert by_clip(runs, "vIoU@0.5") == [0.5, 0.5]
    assert by_clip(runs, "mvIoU") == [0.5, 0.5]


def test_a_difference_is_paired_by_clip():
    found = difference([[0.1, 0.9]], [[0.2, 1.0], [0.2, 1.0]])
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1)), "clips differ, gains do not"
    assert found.above
    assert str(found) == "+0.100 [+0.100, +0.100] (seeds +0.100, +0.100)"


def test_one_seed_against_the_others_is_not_above():
    found = difference([[0.0] * 50], [[0.5] * 50, [-0.1] * 50])
    assert found.low > 0
    assert not found.above


def test_rl_over_sft_names_the_metrics_that_fall_short():
    assert claims.rl_over_sft("greedy", {"m_tIoU": UP, "m_vIoU": UP}).verdict == CONFIRMED
    found = claims.rl_over_sft("greedy", {"m_tIoU": NONE, "m_vIoU": UP})
    assert found.verdict == NOT_CONFIRMED
    assert "in every seed: m_tIoU." in found.why


def test_the_whole_verifier():
    grown, same = ({"mviou": ratio, "tiou_mviou": 1.3} for ratio in (1.6, 1.3))
    found = claims.whole_verifier("greedy", UP, NONE, grown)
    assert found.verdict == CONFIRMED
    assert (
        "grow to 1.60 times the true ones (1.30) late in training: it takes nothing for seconds outside the event. "
        "The tube metric itself as the reward is not above" in found.why
    )
    found = claims.whole_verifier("greedy", NONE, UP, same)
    assert found.verdict == NOT_CONFIRMED
    assert "grow to" not in found.why
    assert "does better still" in found.why


@pytest.mark.parametrize(
    ("full", "part", "verdict"),
    [
        ([5, 10], [10, 15], CONFIRMED),
        ([5, 10], [10, None], CONFIRMED),
        ([5, 10], [10, 10], NOT_CONFIRMED),
        ([5, None], [10, 15], NOT_CONFIRMED),
        ([None, None], [None, None], NOT_CONFIRMED),
    ],
)
def test_faster_in_every_seed(full, part, verdict):
    found = claims.faster(0.5, {"tiou_mviou": full, "mviou": part})
    assert found.verdict == verdict
    assert ("never" in found.numbers) == (None in full + part)


def test_the_weak_signal_needs_windows_that_miss():
    few, many = ({"mviou": share, "tiou_mviou": share} for share in (0.01, 0.5))
    silent = {"mviou": 0.3, "tiou_mviou": 0.1}
    assert claims.weak_signal(few, silent).verdict == NOT_TESTABLE
    assert claims.weak_signal(many, silent).verdict == CONFIRMED
    assert claims.weak_signal(many, {"mviou": 0.1, "tiou_mviou": 0.1}).verdict == NOT_CONFIRMED


def test_the_best_rate_is_above_each_other():
    scores = {"1": [0.5, 0.6, 0.7], "2": [0.4, 0.5, 0.6], "4": [0.1, 0.2, 0.3]}
    hota = {"1": 0.5, "2": 0.4, "4": 0.3}
    assert claims.best_rate(scores, hota).verdict == CONFIRMED
    assert claims.best_rate(scores, hota | {"4": 0.6}).verdict == NOT_CONFIRMED
    found = claims.best_rate(scores | {"2": [0.5, 0.6, 0.8]}, hota)
    assert found.verdict == NOT_CONFIRMED
    assert found.why.startswith("not above 2.")


def test_what_is_kept_of_questions():
    right, wrong = [1.0] * 90 + [0.0] * 10, [0.0] * 100
    found = claims.kept(0.9, (0.0, 0.0), right, [right, right], floor=0.5)
    assert found.verdict == CONFIRMED
    assert "unlearns" in found.why, "what SFT on grounding alone did is said"
    assert "unlearns" not in claims.kept(0.9, (0.8, 0.8), right, [right], floor=0.5).why
    assert claims.kept(0.9, (0.0, 0.0), right, [wrong], floor=0.5).verdict == NOT_CONFIRMED
    assert claims.kept(0.9, (0.0, 0.0), wrong, [wrong], floor=0.5).verdict == NOT_TESTABLE


def test_what_may_be_lost_is_the_intervals_low_end():
    # 40 questions, 7 lost and 6 won: -0.025 on average is within the margin of 0.05, but 95 % reach below -0.15.
    before = [1.0] * 30 + [0.0] * 10
    after = [0.0] * 7 + [1.0] * 23 + [1.0] * 6 + [0.0] * 4
    found = difference([before], [after])
    assert found.mean == pytest.approx(-0.025)
    assert found.low < -0.15
    claim = claims.kept(0.9, (0.0, 0.0), before, [after], floor=0.5)
    assert claim.verdict == NOT_CONFIRMED
    assert claim.why.endswith(
        "More than 0.05 may be lost: nothing in the reward holds on to answers, and there is no KL term"
    )


def test_cost_and_smoothing():
    level = {"prompt_tokens": 50.0, "answer_tokens": 50.0}
    cost = {"second": level, "frame": level | {"prompt_tokens": 500.0}, "fps": 10.0, "latency": []}
    cost |= {"ceiling": {"m_tIoU": 0.9, "m_vIoU": 0.8}}
    assert claims.cheaper(cost).verdict == NOT_CONFIRMED, "the answers are as long"
    cost["frame"]["answer_tokens"] = 60.0
    assert claims.cheaper(cost).verdict == CONFIRMED
    assert claims.steadier(UP, 0.0, 0.2).verdict == CONFIRMED
    assert claims.steadier(UP, 0.1, 0.2).verdict == NOT_CONFIRMED, "the span must stay"
    assert claims.steadier(NONE, 0.0, 0.2).verdict == NOT_CONFIRMED
