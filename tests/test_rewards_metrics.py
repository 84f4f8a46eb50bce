"""Means over samples."""

import math

import pytest

from stvg_rewards import Scores, summarize


def test_nothing_has_no_mean():
    summary = summarize([])
    assert summary["n"] == 0
    assert all(math.isnan(summary[name]) for name in ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5"))
    assert summarize([None])["n"] == 0


def test_worked_example():
    summary = summarize([Scores(1.0, 0.6, 0.6), Scores(0.5, 0.8, 0.4), Scores(0.0, 0.0, 0.0)])
    assert summary == {
        "m_tIoU": pytest.approx(0.5),  # 1.5 / 3
        "m_vIoU": pytest.approx(1.0 / 3),
        "vIoU@0.3": pytest.approx(2 / 3),
        "vIoU@0.5": pytest.approx(1 / 3),
        "n": 3,
    }


def test_thresholds_are_strict():
    summary = summarize([Scores(1.0, 0.5, 0.5), Scores(1.0, 0.3, 0.3)])
    assert (summary["vIoU@0.3"], summary["vIoU@0.5"]) == (0.5, 0.0)


def test_samples_without_truth_are_skipped_and_bad_predictions_stay():
    summary = summarize([Scores(1.0, 1.0, 1.0), None, Scores(0.0, 0.0, 0.0)])
    assert (summary["n"], summary["m_vIoU"]) == (2, 0.5)


def test_takes_any_iterable_once():
    assert summarize(iter([Scores(1.0, 1.0, 1.0)]))["m_tIoU"] == 1.0
