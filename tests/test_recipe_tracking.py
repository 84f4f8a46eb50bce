"""Scenes of several objects: HOTA and IDF1 through TrackEval, and the study of frame rates that reports them."""

import json

import pytest

from recipe import evaluate
from recipe.evaluate import EvalArguments
from recipe.inputs.families import FAMILIES
from recipe.studies import frame_rates as fps_study
from recipe.studies.tracking import score_scenes, sequence, true_tubes
from stvg_rewards import Track, format_tracks

A = dict.fromkeys(range(4), (0.0, 0.0, 0.25, 0.25))
B = dict.fromkeys(range(1, 4), (0.5, 0.5, 0.75, 0.75))
SCENE = {
    "id": "s",
    "seconds": 4,
    "tracks": [
        {"label": name, "track": [{"second": k, "box": list(box)} for k, box in boxes.items()]}
        for name, boxes in (("a", A), ("b", B), ("never seen", {}))
    ],
}


def score(*tubes):
    pytest.importorskip("trackeval")
    tracks = [Track(f"t-{n}", boxes) for n, boxes in enumerate(tubes)]
    return score_scenes([SCENE], {"s": format_tracks(tracks, scale=(1000, 1000))} if tubes else {})


def test_true_tubes_are_those_that_are_seen():
    assert [track.label for track in true_tubes(SCENE)] == ["a", "b"]


def test_the_form_of_trackevals_metrics():
    data = sequence([Track("x", {0: A[0], 9: A[0]})], true_tubes(SCENE), 4)
    assert data["num_timesteps"] == len(data["gt_ids"]) == 4
    assert (data["num_gt_ids"], data["num_tracker_ids"]) == (2, 1)
    assert (data["num_gt_dets"], data["num_tracker_dets"]) == (7, 1), "what lies past the clip is left out"
    assert data["similarity_scores"][0].tolist() == [[1.0]]
    assert data["similarity_scores"][1].shape == (2, 0)


def test_a_right_answer_whatever_its_names():
    found = score(B, A)
    assert {name: found[name] for name in ("m_vIoU", "HOTA", "IDF1")} == pytest.approx(
        {"m_vIoU": 1.0, "HOTA": 1.0, "IDF1": 1.0}
    )


def test_no_answer():
    found = score()
    assert (found["m_vIoU"], found["HOTA"], found["IDF1"], found["n"]) == (0.0, 0.0, 0.0, 1)


def test_one_object_of_two():
    found = score(A)
    assert found["m_vIoU"] == pytest.approx(0.5)
    assert found["IDF1"] == pytest.approx(2 * 4 / (4 + 7))  # 4 of 7 boxes found, nothing else


def test_swapped_identities_cost_association_and_not_detection():
    swapped = [{0: A[0], 1: A[1], 2: B[2], 3: B[3]}, {1: B[1], 2: A[2], 3: A[3]}]
    found = score(*swapped)
    assert found["DetA"] == pytest.approx(1.0)
    assert found["AssA"] < 0.7
    assert found["IDF1"] < 0.7


def test_the_study_reads_each_answer_in_the_pixels_of_its_own_pictures(tmp_path, monkeypatch):
    """It took the first record's scale for all, which is another picture's where a model writes pixels."""
    sizes = {"small": (64, 48), "large": (640, 480)}
    records = [SCENE | {"id": name, "kind": "scene", "width": w, "height": h} for name, (w, h) in sizes.items()]
    tubes = [Track("a", A), Track("b", B)]
    answers = {name: format_tracks(tubes, scale=size) for name, size in sizes.items()}

    class Builder:
        family = FAMILIES["qwen2_5_vl"]

        def frame_size(self, record):
            return record["width"], record["height"]

        def row(self, record):
            return {"images": []}

    scales = []

    def score(records, answers, scale_of):
        scales.extend(map(scale_of, records))
        return {}

    for name, value in {
        "load_processor": lambda *args: Processor(), "builder_of": lambda *args: Builder(),
        "read_records": lambda path: records, "prompt_tokens": lambda *args: 1, "score_scenes": score,
    }.items():  # fmt: skip
        monkeypatch.setattr(fps_study, name, value)
    monkeypatch.setattr(evaluate, "builder_of", lambda *args: Builder())
    monkeypatch.setattr(evaluate, "predict", lambda *args, **options: answers)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "t.jsonl").write_text("")
    args = EvalArguments(tracks=str(tmp_path / "t.jsonl"), temperature=1.0)
    found = fps_study.evaluate_rate(args, "1", tmp_path)
    assert scales == [(64, 48), (640, 480)]
    assert found["vIoU_by_scene"] == pytest.approx([1.0, 1.0], abs=0.1), "pixels are whole numbers"


class Processor:
    def tokenizer(self, text):
        return {"input_ids": [1]}


def test_the_studys_yaml_and_what_it_needs():
    files = ["--config", "recipe/configs/tiny/eval.yaml", "--config", "recipe/configs/tiny/frame-rates.yaml"]
    args, _ = fps_study.parse(files)
    assert args.rates == ["0.5", "1", "2", "4", "dynamic"]
    with pytest.raises(ValueError, match="--train is missing"):
        fps_study.parse(["--tracks", "t.jsonl"])
    with pytest.raises(ValueError, match="expected frames a second"):
        fps_study.parse([*files, "--rates", "fast"])


def test_the_table_counts_time_against_one_frame_a_second():
    one = {"m_vIoU": 0.5, "HOTA": 0.4, "IDF1": 0.3, "frames": 4, "prompt_tokens": 40, "answer_tokens": 9}
    results = {"1": one | {"training_cpu_seconds": 10.0}, "4": one | {"training_cpu_seconds": 25.0}}
    rows = fps_study.table(results).splitlines()
    assert rows[2].endswith("| x1.00 |")
    assert rows[3].startswith("| 4 | 0.500 | 0.400 | 0.300 |")
    assert rows[3].endswith("| x2.50 |")


def test_the_figure_is_an_svg(tmp_path):
    one = {"m_vIoU": 0.5, "HOTA": 0.4, "IDF1": 0.3, "prompt_tokens": 40}
    fps_study.figure({"1": one, "dynamic": one}, tmp_path / "f.svg")
    assert "<svg" in (tmp_path / "f.svg").read_text()


def test_synthetic_scenes_are_records(tmp_path):
    from data_prep.__main__ import main
    from data_prep.records import read_records

    config = {"seed": 1, "clip": {"seconds": [4], "max_event": 3}, "splits": {"s": {"clips": 3, "use": "scene"}}}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    assert main(["synthetic", "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "d")]) == 0
    records = list(read_records(tmp_path / "d" / "s.jsonl"))
    assert [record["kind"] for record in records] == ["scene"] * 3
    for record in records:
        labels = [item["label"] for item in record["tracks"]]
        assert labels == [f"shape-{n}" for n in range(1, len(labels) + 1)]


def test_only_scenes_are_asked_for(tmp_path, tiny_data):
    from data_prep.records import RecordWriter, read_records
    from data_prep.stages import StageError

    (other, *_) = read_records(tiny_data / "test.jsonl")
    empty = {"label": None, "span": None, "track": None}
    scene = other | empty | {"id": "scene", "kind": "scene", "tracks": [{"label": "a-1", "track": other["track"]}]}
    for name, records in (("mixed", [other, scene]), ("alone", [scene]), ("none", [other])):
        with RecordWriter(tmp_path / f"{name}.jsonl") as writer:
            for record in records:
                writer.write(record)
    assert fps_study.scenes_alone(str(tmp_path / "alone.jsonl"), tmp_path) == str(tmp_path / "alone.jsonl")
    path = fps_study.scenes_alone(str(tmp_path / "mixed.jsonl"), tmp_path)
    assert [record["id"] for record in read_records(path)] == ["scene"]
    with pytest.raises(StageError, match="none of its 1 records is a scene"):
        fps_study.scenes_alone(str(tmp_path / "none.jsonl"), tmp_path)
