"""Questions: what counts as right, the floor of never looking, and a checkpoint that is asked once."""

import json

import pytest

from data_prep.__main__ import main as data_prep
from data_prep.records import read_records
from data_prep.stages import StageError
from recipe.evaluate import EvalArguments
from recipe.studies import questions as retention_study
from recipe.studies import retention
from recipe.studies.retention import accuracy, plain, questions_of, right


def record(name, query, answer):
    return {"id": name, "query": query, "answer": answer, "kind": "qa"}


RECORDS = [
    record("a", "how many shapes are there?", "2"),
    record("b", "how many shapes are there?", "1"),
    record("c", "how many shapes are there?", "2"),
    record("d", "what colour is the square?", "red"),
    record("e", "which colour comes first?", "blue"),
]


@pytest.mark.parametrize(
    "text", ["red", "Red.", "<think>blue?</think>red", "<answer>red</answer>", "<|begin_of_box|> red <|end_of_box|>"]
)
def test_right_however_it_is_dressed(text):
    assert plain(text) == "red"


@pytest.mark.parametrize("text", ["red square", "", "<think>red</think>", '{"0": [{"label": "red"}]}'])
def test_anything_else_is_wrong(text):
    assert plain(text) != "red"


def test_accuracy_by_topic_and_its_floor():
    found = accuracy(RECORDS, {"a": "2", "b": "2", "c": "2", "d": "red"})
    assert found == {
        "all": pytest.approx(3 / 5),
        "n": 5,
        "count": pytest.approx(2 / 3),
        "colour": 1.0,
        "order": 0.0,
        "floor": pytest.approx(4 / 5),
    }
    assert right(RECORDS, {"b": "1"}) == [0, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    clip = {"seconds": [3], "min_objects": 2, "max_objects": 2, "min_event": 2, "max_event": 3, "rates": [8]}
    config = {"seed": 1, "splits": {"questions": {"clips": 6, "use": "questions", "clip": clip}}}
    (folder / "c.yaml").write_text(json.dumps(config))
    assert data_prep(["synthetic", "--config", str(folder / "c.yaml"), "--out", str(folder / "d")]) == 0
    return folder / "d"


def test_the_synthetic_split_holds_questions_alone(questions):
    records = list(read_records(questions / "questions.jsonl"))
    assert [item["kind"] for item in records] == ["qa"] * 6
    assert len({item["video"] for item in records}) == 6
    assert all(item["answer"] for item in records)


def test_a_checkpoint_is_asked_once(questions, tiny_base, tmp_path, capsys, monkeypatch):
    words = ["--tracks", str(questions / "questions.jsonl"), "--video_root", str(questions / "videos")]
    words += ["--prompts", "tiny", "--max_frame_pixels", "2304", "--max_new_tokens", "4"]
    words += ["--model", str(tiny_base), "--out", str(tmp_path / "q.json")]
    found = retention.main(*retention.parse(words))
    assert found == json.loads((tmp_path / "q.json").read_text()) == json.loads(capsys.readouterr().out)
    assert found["n"] == 6
    assert 0 <= found["all"] <= 1
    monkeypatch.setattr("recipe.inference.backends.generate", lambda *args, **options: pytest.fail("asked again"))
    assert retention.main(*retention.parse(words)) == found


def test_a_file_without_questions_is_named(tiny_data):
    with pytest.raises(StageError, match=r"test\.jsonl: no question in it"):
        questions_of(str(tiny_data / "test.jsonl"))


# --- the study: training itself is not run here -------------------------------------------------------------------


@pytest.fixture
def studied(tmp_path, tiny_data, monkeypatch):
    """What was trained, and the study's arguments; a checkpoint with questions among its data answers them."""
    asked = []

    def run_stage(args, stage, out, seed, *words):
        asked.append((stage, out.name, seed, words))
        return {}

    def answer(args, checkpoint):
        assert args.video_root == "theirs"
        known = "questions" in checkpoint.name or checkpoint.name == "cpt"
        return {item["id"]: item["answer"] if known else "no" for item in RECORDS}

    questions_of_file = retention_study.questions_of
    monkeypatch.setattr(retention_study, "run_stage", run_stage)
    monkeypatch.setattr(retention_study, "answer", answer)
    monkeypatch.setattr(
        retention_study, "evaluate", lambda args: ({"m_tIoU": 0.5, "m_vIoU": 0.4, "vIoU@0.5": 0.3}, [])
    )
    monkeypatch.setattr(
        retention_study,
        "questions_of",
        lambda path, limit=None: RECORDS if path == "held-out" else questions_of_file(path, limit),
    )
    return asked, retention_study.RetentionArguments(
        run=str(tmp_path / "run"),
        study_out=str(tmp_path / "study"),
        questions="held-out",
        question_videos="theirs",
        sft_tracks="traces.jsonl",
        more_from=str(tiny_data / "general.jsonl"),
        more=4,
        seeds=[0, 1],
        jobs=1,
        grpo_words=["--max_steps", "2"],
    )


def test_both_lines_and_what_is_trained(studied, tmp_path, capsys):
    asked, args = studied
    found = retention_study.main(args, EvalArguments(tracks="test.jsonl"))
    added = list(read_records(tmp_path / "study/sft-questions.jsonl"))
    assert [item["kind"] for item in added] == ["qa"] * 4
    assert [(stage, name, seed) for stage, name, seed, _ in asked] == [
        ("sft", "sft-questions", 0),
        ("grpo", "grpo-tiou_mviou-questions-s0", 0),
        ("grpo", "grpo-tiou_mviou-questions-s1", 1),
    ]
    sft, grpo = asked[0][3], asked[1][3]
    tracks = sft.index("--tracks")
    assert sft[tracks + 1 : tracks + 3] == ("traces.jsonl", str(tmp_path / "study/sft-questions.jsonl"))
    assert grpo[grpo.index("--model_name_or_path") + 1] == str(tmp_path / "study/sft-questions")
    assert grpo[-2:] == ("--max_steps", "2")
    assert found["lines"]["grounding alone"]["rl"][1]["questions"]["all"] == 0.0
    assert found["lines"]["with questions"]["rl"][1]["right"] == [1.0] * 5
    assert json.loads((tmp_path / "study/retention-study.json").read_text()) == found
    said = capsys.readouterr().out
    assert "|  | CPT | 1.000 | 1.000 | 1.000 | 1.000 |  |  |" in said
    assert "| with questions | RL | 1.000 | 1.000 | 1.000 | 1.000 | 0.500 | 0.400 |" in said
