"""The study of video units: its arithmetic and verdict on made-up results, what frames show, and (slow) a real run."""

import json

import pytest

from data_prep.stages import StageError, read_stamp
from recipe.evaluate import EvalArguments
from recipe.evaluation.scores import Sample
from recipe.evaluation.two_level import TwoLevelGain, two_level_gain
from recipe.studies import video_units
from recipe.studies.shown_boxes import ceilings, shown_boxes
from recipe.studies.video_units import UnitsArguments, compare, main, parse
from recipe.studies.video_units_page import Found, page_of
from recipe.studies.video_units_verdict import BUDGETS, Arm, steps_at_equal_tokens, verdict
from stvg_rewards import Scores

ABOVE = TwoLevelGain(0.05, 0.01, 0.09, (0.04, 0.06))
BELOW = TwoLevelGain(-0.05, -0.09, -0.01, (-0.04, -0.06))
ACROSS = TwoLevelGain(0.01, -0.02, 0.04, (0.03, -0.01))
ONE_SEED_BELOW = TwoLevelGain(0.05, 0.01, 0.09, (0.11, -0.01))


@pytest.mark.parametrize(
    ("steps", "tokens", "says"),
    [
        ((ABOVE, ABOVE), (ABOVE, ABOVE), "better"),
        ((ACROSS, ABOVE), (ACROSS, ACROSS), "better"),
        ((ACROSS, BELOW), (ACROSS, ACROSS), "worse"),
        ((ACROSS, ABOVE), (BELOW, ACROSS), "mixed"),
        ((ACROSS, ACROSS), (ACROSS, ACROSS), "no difference shown"),
        ((ACROSS, ONE_SEED_BELOW), (ACROSS, ACROSS), "no difference shown"),  # the seeds do not agree
    ],
)
def test_the_verdict_follows_one_rule(steps, tokens, says):
    gains = {
        budget: dict(zip(("m_tIoU", "m_vIoU"), pair, strict=True))
        for budget, pair in zip(BUDGETS, (steps, tokens), strict=True)
    }
    assert verdict(gains) == says


def test_an_interval_is_wide_where_the_seeds_disagree():
    """200 videos at +0.1 in one seed and -0.1 in another: over videos alone the interval would be a point at 0."""
    videos = [str(n) for n in range(200)]
    before = [[0.5] * 200] * 2
    gain = two_level_gain(before, [[0.6] * 200, [0.4] * 200], videos)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.0, -0.1, 0.1))
    assert gain.side == 0
    assert two_level_gain(before, [[0.6] * 200] * 2, videos).side == 1
    assert two_level_gain(before, [[0.4] * 200] * 2, videos).side == -1


def test_whole_videos_are_drawn():
    """Ten sentences of one video are one draw: 20 samples of 2 videos vary as 2 do, not as 20."""
    after = [[1.0] * 10 + [0.0] * 10]
    by_video = two_level_gain([[0.0] * 20], after, ["a"] * 10 + ["b"] * 10)
    by_sample = two_level_gain([[0.0] * 20], after, [str(n) for n in range(20)])
    assert (by_video.low, by_video.high) == (0.0, 1.0)
    assert 0.2 < by_sample.low < by_sample.high < 0.8
    uneven = two_level_gain([[0.0] * 3], [[1.0, 1.0, 0.0]], ["a", "a", "b"])
    assert uneven.mean == pytest.approx(2 / 3), "a mean over samples, as the metrics are"


@pytest.mark.parametrize(
    ("before", "after", "videos"),
    [([], [], ["a"]), ([[0.1]], [[0.1], [0.2]], ["a"]), ([[0.1]], [[0.1, 0.2]], ["a"]), ([[]], [[]], [])],
)
def test_scores_that_are_no_pairs_are_refused(before, after, videos):
    with pytest.raises(ValueError, match="expected the same seeds and samples on both sides"):
        two_level_gain(before, after, videos)


def test_steps_at_equal_tokens():
    assert steps_at_equal_tokens(300, 60, 80) == 225  # 300 * 60 = 225 * 80
    assert steps_at_equal_tokens(300, 60, 45) == 400
    assert steps_at_equal_tokens(300, 60, 61) == 300, "within three per cent: one training tells both"
    assert steps_at_equal_tokens(1, 1, 10) == 1


@pytest.mark.parametrize("text", ["pairs", "pair@2", "pairs@", "pairs@x", "frames@0", "frames@-1", "frames@nan"])
def test_an_arm_that_is_none_is_named(text):
    with pytest.raises(ValueError, match=rf"arm '{text}', expected units@frames a second, such as frames@1"):
        Arm.parse(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arms", "frames@1"], "expected at least two, each once"),
        (["--arms", "frames@1", "frames@1"], "expected at least two, each once"),
        (["--steps", "0"], "expected at least one step and one seed"),
        ([], "--train is missing"),
        (["--arms", "frames@1", "pears@2"], "arm 'pears@2'"),
    ],
)
def test_settings_that_make_no_sense(words, message, tmp_path):
    given = ["--tracks", "a.jsonl", *(["--train", "b.jsonl", *words] if words else [])]
    with pytest.raises(ValueError, match=message):
        parse([*given, "--configs", "recipe/configs/tiny", "--run", str(tmp_path)])


def test_shown_boxes_are_means_of_the_frames_in_a_second():
    """8 frames a second, x grows by 1 a frame: the middle is frame 4, the quarter points are frames 2 and 6."""
    boxes = {frame: (frame, 0, frame + 1, 1) for frame in range(16)}
    assert shown_boxes(boxes, 8, 2, 1) == {0: (4, 0, 5, 1), 1: (12, 0, 13, 1)}
    assert shown_boxes(boxes, 8, 2, 2) == {0: (4, 0, 5, 1), 1: (12, 0, 13, 1)}
    del boxes[2]
    assert shown_boxes(boxes, 8, 2, 2)[0] == (6, 0, 7, 1), "a frame without the target says nothing"
    del boxes[6]
    assert list(shown_boxes(boxes, 8, 2, 2)) == [1]
    with pytest.raises(ValueError, match="rate 0.5, expected at least 1"):
        shown_boxes(boxes, 8, 2, 0.5)


def test_the_exact_reader_of_middle_boxes_needs_the_middle_frame(tiny_data):
    """The true boxes of the old clips are those of the middle frame: one frame a second says all, two do not."""
    found = ceilings(str(tiny_data / "test.jsonl"), str(tiny_data / "annotations/test.jsonl"), [1.0, 2.0])
    assert found[1.0]["m_vIoU"] > 0.99  # the answer's whole thousandths
    assert found[2.0]["m_vIoU"] < 0.97
    assert found[1.0]["m_tIoU"] == 1.0
    with pytest.raises(StageError, match="no such file"):
        ceilings(str(tiny_data / "test.jsonl"), str(tiny_data / "nowhere.jsonl"), [1.0])


def made_up(**changes):
    scores = {
        "frames@1": {"looks": [3.0, 2.5], "steps": [{"m_tIoU": 0.8, "m_vIoU": 0.4}] * 2},
        "pairs@2": {"looks": [3.5, 2.0], "steps": [{"m_tIoU": 0.8, "m_vIoU": 0.5}] * 2},
    }
    scores = {arm: found | {"tokens": found["steps"]} for arm, found in scores.items()}
    gains = {"pairs@2": {"m_tIoU": ACROSS, "m_vIoU": ABOVE}}
    found = {
        "base": "frames@1",
        "seeds": [0, 1],
        "clips": 200,
        "inputs": {arm: {"pictures": 4.5, "prompt_tokens": 60.0} for arm in scores},
        "budgets": {arm: {"steps": 300, "tokens": 300} for arm in scores},
        "scores": scores,
        "gains": dict.fromkeys(BUDGETS, gains),
        "ceilings": {1.0: {"m_tIoU": 1.0, "m_vIoU": 0.75}, 2.0: {"m_tIoU": 1.0, "m_vIoU": 0.89}},
    }
    return Found(**found | changes)


def test_the_page_says_what_was_found():
    page = page_of(made_up(), "make it")
    assert page.startswith("# Pairs of frames or still pictures\n\nWritten by `make it`")
    assert "| `pairs@2` | 4.5 | 60.0 | 300 | 300 | 2.0 | 1.000 | 0.890 |" in page
    assert "| `frames@1` | 300 | 0.800 |  | 0.400 |  |" in page
    assert "| `pairs@2` | 300 | 0.800 | +0.010 [-0.020, +0.040] (seeds +0.030, -0.010) | 0.500 | +0.050 [" in page
    assert "- `pairs@2` against `frames@1`: **better**." in page
    assert "hardly looks" not in page
    assert json.loads(json.dumps(made_up().as_json()))["verdicts"] == {"pairs@2": "better"}


def test_a_blind_training_is_said():
    scores = made_up().scores
    blind = made_up(scores=scores | {"pairs@2": scores["pairs@2"] | {"looks": [3.0, 1.1]}})
    assert blind.blind() == ["pairs@2"]
    assert "A training of `pairs@2` hardly looks at its frames" in page_of(blind, "make it")


def test_differences_are_paired_by_seed_and_clip():
    def runs(*values):
        return [[Sample("a", Scores(v, v, v), True, False, 0, video="a")] for v in values]

    found = compare({"frames@1": runs(0.1, 0.4), "pairs@2": runs(0.2, 0.6)}, "frames@1")
    assert found.keys() == {"pairs@2"}
    assert found["pairs@2"]["m_vIoU"].seeds == pytest.approx((0.1, 0.2))


def test_what_is_trained_and_evaluated(tmp_path, tiny_data, monkeypatch):
    """Two arms of other token counts: each is trained once a seed, with a checkpoint at its smaller budget."""
    asked, evaluated = [], []

    def run_stage(args, stage, out, seed, *words):
        asked.append((stage, out.name, seed, " ".join(words)))
        (out / "checkpoint-100").mkdir(parents=True)
        return {}

    def evaluate(given):
        evaluated.append((given.model, given.video_units, given.frame_rate))
        score = 0.5 if "frames-2" in given.model else 0.4
        samples = [Sample(str(n), Scores(score, score, score), True, False, 0, video=str(n)) for n in range(5)]
        return {"m_tIoU": score, "m_vIoU": score}, [samples]

    monkeypatch.setattr(video_units, "run_stage", run_stage)
    monkeypatch.setattr(video_units, "evaluate", evaluate)
    counts = {"frames@1": 60.0, "frames@2": 120.0}
    monkeypatch.setattr(
        video_units, "count_inputs", lambda e, arm, start: {"pictures": 1.0, "prompt_tokens": counts[arm.name]}
    )
    args = UnitsArguments(
        run=str(tmp_path),
        arms=list(counts),
        seeds=[0, 5],
        steps=200,
        train=["t.jsonl"],
        start="base",
        study_out=str(tmp_path / "units"),
        page=str(tmp_path / "page.md"),
        jobs=1,
    )
    found = main(args, EvalArguments(tracks=str(tiny_data / "test.jsonl")))
    assert [(stage, out, seed) for stage, out, seed, _ in asked] == [
        ("sft", "frames-1-s0", 0),
        ("sft", "frames-2-s0", 0),
        ("sft", "frames-1-s5", 5),
        ("sft", "frames-2-s5", 5),
    ]
    assert "--video_units frames --frame_rate 2 --max_steps 200 --save_steps 100" in asked[1][3]
    assert "--max_steps 200 --save_steps 200" in asked[0][3]
    units = tmp_path / "units"
    assert set(evaluated) == {
        (str(units / name), "frames", rate)
        for name, rate in [
            *(("frames-1-s0", "1"), ("frames-1-s5", "1"), ("frames-2-s0", "2"), ("frames-2-s5", "2")),
            *(("frames-2-s0/checkpoint-100", "2"), ("frames-2-s5/checkpoint-100", "2")),
        ]
    }
    assert found.gains["tokens"]["frames@2"]["m_vIoU"].mean == pytest.approx(0.1)
    assert json.loads((units / "video-units.json").read_text())["budgets"]["frames@2"] == {"steps": 200, "tokens": 100}
    assert "**better**" in (tmp_path / "page.md").read_text()


@pytest.mark.slow
def test_pairs_and_pictures_are_really_trained_and_compared(tmp_path, tiny_data, tiny_base):
    """Four steps, one seed; at equal tokens a grid for two seconds trains longer than a picture a second."""
    words = ["--per_device_train_batch_size", "2", "--reasoning_share", "0", "--dataloader_num_workers", "0"]
    args = UnitsArguments(
        run=str(tmp_path),
        arms=["frames@1", "pairs@1"],
        seeds=[3],
        steps=4,
        train=[str(tiny_data / "ground.jsonl")],
        validation=str(tiny_data / "test.jsonl"),
        annotations=str(tiny_data / "annotations/test.jsonl"),
        start=str(tiny_base),
        study_out=str(tmp_path / "units"),
        page=str(tmp_path / "page.md"),
        sft_words=words,
    )
    evaluation = EvalArguments(
        tracks=str(tiny_data / "test.jsonl"),
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        max_new_tokens=8,
    )
    found = main(args, evaluation)
    assert found.inputs["pairs@1"]["pictures"] < 0.7 * found.inputs["frames@1"]["pictures"]
    assert found.inputs["pairs@1"]["prompt_tokens"] < found.inputs["frames@1"]["prompt_tokens"]
    assert found.budgets["frames@1"] == {"steps": 4, "tokens": 4}
    assert found.budgets["pairs@1"]["tokens"] > 4
    for arm in ("frames-1", "pairs-1"):
        stamp = read_stamp(tmp_path / "units" / f"{arm}-s3")
        assert stamp["settings"].get("video_units", "frames") == arm.partition("-")[0]
        assert stamp["results"]["wrong_image_loss_ratio"] > 0
    assert all(ratio > 0 for scores in found.scores.values() for ratio in scores["looks"])
    assert found.ceilings[1.0]["m_vIoU"] > 0.99
    written = json.loads((tmp_path / "units/video-units.json").read_text())
    assert written["verdicts"] == found.verdicts()
    assert "| `pairs@1` |" in (tmp_path / "page.md").read_text()
    files = {path.name for path in (tmp_path / "units/pairs-1-s3").iterdir()}
    assert {"model.safetensors", "processor_config.json", "checkpoint-4"} <= files
