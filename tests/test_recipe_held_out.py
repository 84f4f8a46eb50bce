"""What GRPO logs beside TRL's metrics: seconds by phase and held-out scores, in the trainer's own log."""

import json
import shutil

import pytest

from data_prep.records import read_records
from data_prep.stages import StageError
from recipe import grpo
from recipe.inputs.arguments import GRPOArguments
from recipe.inputs.frames import ClipFrames
from recipe.training.held_out import NAMES
from recipe.training.phases import PHASES, PhaseClock
from stvg_rewards import METRIC_NAMES


def test_an_inner_phase_is_not_counted_twice(monkeypatch):
    now = iter((0.0, 1.0, 5.0, 7.0))  # update begins, rollout begins, rollout ends, update ends
    monkeypatch.setattr("recipe.training.phases.time.perf_counter", lambda: next(now))
    clock = PhaseClock()
    with clock.phase("update"), clock.phase("rollout"):
        pass
    assert clock.seconds == {"rollout": 4.0, "update": 3.0}
    assert clock.take() == {}, "no step has ended"
    clock.on_step_end(None, None, None)
    clock.on_step_end(None, None, None)
    expected = {"decode": 0.0, "rollout": 2.0, "reward": 0.0, "update": 1.5}  # an optimiser step
    assert clock.take() == {f"seconds/{name}": value for name, value in expected.items()}
    assert clock.take() == {}


@pytest.fixture(scope="module")
def log(grpo_run):
    """The log of two steps with held-out clips, through the stage itself."""
    return json.loads((grpo_run.folder / "trainer_state.json").read_text())["log_history"]


def test_every_step_has_every_number(log):
    steps = [entry for entry in log if "loss" in entry]
    assert len(steps) == 2
    for entry in steps:
        assert {f"seconds/{name}" for name in PHASES} <= entry.keys()
        assert set(METRIC_NAMES) <= entry.keys()
        assert {"frac_reward_zero_std", "entropy", "clip_ratio/region_mean", "completions/mean_length"} <= entry.keys()
        assert all(entry[f"seconds/{name}"] > 0 for name in ("rollout", "reward", "update"))
    assert steps[0]["seconds/decode"] > 0


def test_held_out_scores_stand_at_the_step_of_the_weights_that_answered(log):
    measured = [entry for entry in log if "held_out/m_vIoU" in entry]
    assert [entry["step"] for entry in measured] == [0, 1, 2], "before training too"
    for entry in measured:
        assert set(NAMES.values()) <= entry.keys()
        assert all(0 <= entry[name] <= 1 for name in NAMES.values())


def test_held_out_needs_tracks():
    args = GRPOArguments(dataset_name=None, held_out_every=5)
    with pytest.raises(StageError, match="validation_tracks is not"):
        grpo.held_out(None, None, None, args)


@pytest.mark.parametrize("broken", [None, "gone", "empty"])
def test_only_the_first_records_are_answered_and_a_broken_clip_counts_0(tiny_data, monkeypatch, tmp_path, broken):
    from recipe.training import held_out

    class Trainer:
        class args:  # noqa: N801
            per_device_train_batch_size = 2

        class model:  # noqa: N801
            training = True

            def eval():
                pass

            def train(mode):
                assert mode

        class control:  # noqa: N801
            should_log = True

        model_wrapped, accelerator = model, None

    videos, asked_about = tmp_path / "videos", list(read_records(tiny_data / "test.jsonl"))[:3]
    shutil.copytree(tiny_data / "videos", videos)
    if broken:
        (videos / asked_about[1]["video"]).unlink()
    if broken == "empty":
        (videos / asked_about[1]["video"]).touch()

    class Builder:
        clips = ClipFrames(videos, 24, 48 * 48)

        def row(self, record):
            return {"box_scale": [1000, 1000], "track": record["track"]}

    from contextlib import nullcontext

    from stvg_rewards import Track, format_answer

    def right(model, processor, rows, max_new_tokens):
        asked.append(len(rows))
        tracks = [Track("a", {s["second"]: tuple(s["box"]) for s in row["track"]}) for row in rows]
        return [format_answer(track, scale=(1000, 1000)) for track in tracks]

    asked, sent = [], []
    monkeypatch.setattr(held_out, "generate", right)
    monkeypatch.setattr(held_out.Trainer, "log", lambda trainer, logs: sent.append(logs))
    monkeypatch.setattr(held_out, "unwrap_model_for_generation", lambda model, accelerator: nullcontext(model))
    callback = held_out.HeldOut(Trainer, str(tiny_data / "test.jsonl"), Builder(), None, every=5, clips=3, longest=9)
    logged = callback.measure()
    assert asked == ([2] if broken else [2, 1])
    assert logged["held_out/m_tIoU"] == pytest.approx(2 / 3 if broken else 1)
    assert logged["held_out/vIoU@0.5"] == pytest.approx(2 / 3 if broken else 1)
    assert sent == [logged]
    answered = [record["id"] for record in asked_about if not broken or record is not asked_about[1]]
    assert list(callback.answers) == answered
