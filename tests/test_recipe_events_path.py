"""A mixed file through the stages in small: SFT, GRPO, evaluation and grounding, with real commands' own functions."""

import json

import pytest

from data_prep.records import read_records
from data_prep.stages import read_stamp
from recipe import evaluate as evaluation
from recipe import ground as command
from recipe import grpo
from recipe.training import supervised
from tests.helpers.mixed_records import KINDS, write_mixed
from tests.helpers.tiny_parts import COMMON

pytestmark = pytest.mark.slow


def words(**options):
    return [str(word) for name, value in options.items() for word in (f"--{name}", value)]


@pytest.fixture(scope="module")
def run(tiny_data, tiny_base, tmp_path_factory):
    """Folder of a mixed file and of the SFT and GRPO steps on it."""
    folder = tmp_path_factory.mktemp("events")
    tracks = write_mixed(tiny_data, folder / "mixed.jsonl")
    common = COMMON | {
        "tracks": tracks, "validation_tracks": tracks, "video_root": tiny_data / "videos", "prompts": "tiny",
        "max_frame_pixels": 2304, "dtype": "float32", "logging_steps": 1, "held_out_every": 1, "held_out_clips": 4,
        "save_strategy": "no",
    }  # fmt: skip
    sft = common | {"model_name_or_path": tiny_base, "output_dir": folder / "sft", "per_device_train_batch_size": 3}
    sft |= {"max_length": "None", "held_out_tokens": 8}
    supervised.main("sft", *supervised.parse(words(**sft), section="sft"))
    rl = common | {
        "model_name_or_path": folder / "sft", "output_dir": folder / "grpo", "reward": "tiou_mviou",
        "num_generations": 2, "per_device_train_batch_size": 8, "max_completion_length": 8, "media_clips": 4,
    }  # fmt: skip
    grpo.main(*grpo.parse(words(**rl)))
    return folder


def log_of(folder):
    return json.loads((folder / "trainer_state.json").read_text())["log_history"]


def test_sft_learns_what_has_an_answer_and_measures_all(run):
    stamp = read_stamp(run / "sft")
    assert stamp["complete"] and stamp["results"]["wrong_image_loss_ratio"] > 0
    entries = log_of(run / "sft")
    held_out = [entry for entry in entries if "held_out/no_target/score" in entry]
    assert len(held_out) == 2 and all("held_out/temporal/m_tIoU" in entry for entry in held_out)
    assert [entry["loss"] > 0 for entry in entries if "loss" in entry] == [True]


def test_grpo_scores_every_kind_of_row_in_one_step(run):
    (entry,) = [entry for entry in log_of(run / "grpo") if "loss" in entry]
    # All four prompts are in the one step, twice each; the untrained model answers none rightly but by chance.
    for name in ("tIoU", "mvIoU", "no_target/score", "temporal/tIoU", "rewards/tiou_reward/mean"):
        assert 0 <= entry[name] <= 1, name
    answered = (run / "grpo/media/step-000001/answers.jsonl").read_text().splitlines()[1:]
    rows = {row["id"]: row for row in map(json.loads, answered)}
    assert set(rows) == set(KINDS) and rows["times"]["vIoU"] is None and rows["none"]["vIoU"] in (0.0, 1.0)


def test_the_checkpoint_is_evaluated_and_asked(run, tiny_data, capsys):
    places = {"tracks": run / "mixed.jsonl", "video_root": tiny_data / "videos", "model": run / "grpo"}
    settings = {"prompts": "tiny", "max_frame_pixels": 2304, "max_new_tokens": 8, "out": run / "metrics.json"}
    evaluation.report(*evaluation.parse(words(**places, **settings)))
    found = json.loads((run / "metrics.json").read_text())
    assert (found["n"], found["no_target"]["n"], found["temporal"]["n"]) == (2, 1, 1)
    assert found["groups"]["events"].keys() == {"1", "2+"}
    assert "sentences without a target" in capsys.readouterr().out
    ask = words(
        tracks=places["tracks"], video_root=places["video_root"], model=places["model"], out=run / "ground.jsonl"
    )
    command.main(*command.parse([*ask, "--max_new_tokens", "8"]))
    lines = [json.loads(line) for line in (run / "ground.jsonl").read_text().splitlines()[1:]]
    assert [line["id"] for line in lines] == [record["id"] for record in read_records(run / "mixed.jsonl")]
    assert all({"spans", "no_target"} <= line.keys() for line in lines)
    again = {"tracks": places["tracks"], "predictions": run / "ground.jsonl", "out": run / "again.json"}
    evaluation.report(*evaluation.parse(words(**again)))
    assert json.loads((run / "again.json").read_text())["no_target"]["n"] == 1
