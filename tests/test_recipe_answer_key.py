"""What an answer depends on is in its key, whatever the files are called; and nothing else is."""

import json
import shutil

import pytest

from data_prep.stages import StageError
from recipe.evaluate import EvalArguments, answers_path, key_of_run
from recipe.inference.answer_key import AnswerKey, check_known, file_name, key_of, public, video_stamp
from recipe.inputs import chat_templates
from recipe.inputs.arguments import StageArguments
from recipe.inputs.prompts import PROMPTS


@pytest.fixture
def model(tiny_base, tmp_path):
    """A checkpoint folder that no stage made, as `checkpoint-N` is one."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_base, folder, ignore=shutil.ignore_patterns("stamp.json"))
    return folder


@pytest.fixture
def settings(model, tiny_data, tmp_path):
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_bytes((tiny_data / "test.jsonl").read_bytes())
    shutil.copytree(PROMPTS / "tiny", tmp_path / "prompts")
    return {"tracks": str(tracks), "model": str(model), "prompts": str(tmp_path / "prompts")}


def short(settings, repeat=0, **change):
    return key_of_run(EvalArguments(**settings | change), repeat).short


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1.0},
        {"max_new_tokens": 9},
        {"max_frame_pixels": 2304},
        {"frame_rate": "2"},
        {"frame_rate": "dynamic"},
        {"batch_size": 3},
        {"model": "another/model"},
    ],
    ids=str,
)
def test_settings_that_change_answers(settings, change):
    assert short(settings, **change) != short(settings)


def test_a_chat_template_that_replaces_a_checkpoints_own_counts(settings, monkeypatch, tmp_path):
    before = short(settings)
    shutil.copytree(chat_templates.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(chat_templates, "TEMPLATES", tmp_path / "templates")
    assert short(settings) == before
    (tmp_path / "templates" / "glm4v.jinja").write_text("{{ messages }}")
    assert short(settings) != before


def test_the_sampler_is_stated_in_full(settings):
    stated = key_of_run(EvalArguments(**settings), 0).settings["sampling"]
    assert stated == {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"out": "x.json"},
        {"limit": 2},  # the first records' answers are the same
        {"smooth": "on"},  # the evaluation's, not the answers'
        {"protocol": "frame", "frames": "f.jsonl"},
        {"seed": 3},  # greedy
        {"frame_rate": "1.0"},
        {"frame_budget": 9},  # of the policy "dynamic" only
        {"video_root": "elsewhere"},  # each answer's line knows its video
        {"prompts": "tiny"},  # the same text
    ],
    ids=str,
)
def test_settings_that_do_not(settings, change):
    assert short(settings, **change) == short(settings)


def test_sampled_answers_depend_on_their_seed(settings):
    sampled = settings | {"temperature": 1.0, "repeats": 2}
    assert short(sampled, 1) == short(sampled, 0, seed=1) != short(sampled, 0)
    dynamic = settings | {"frame_rate": "dynamic"}
    assert short(dynamic) != short(dynamic, frame_budget=9)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json"],
)
def test_the_files_of_a_checkpoint_count_by_content(settings, model, name):
    """Every `checkpoint-N` has the same config.json: the weights must count, and so must the template."""
    before = short(settings)
    path = model / name
    if not path.is_file():
        path.write_text("new")
        assert short(settings) != before
        return
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert short(settings) != before
    content[-1] ^= 1
    path.write_bytes(content)
    assert short(settings) == before, "known by its content and not by its time"


def test_what_lies_beside_the_weights_does_not_count(settings, model, tmp_path):
    before = short(settings)
    (model / "optimizer.pt").write_bytes(b"state")
    (model / "eval").mkdir(exist_ok=True)
    (model / "eval" / "metrics.json").write_text("{}")
    assert short(settings) == before
    model.rename(tmp_path / "renamed")
    assert short(settings, model=str(tmp_path / "renamed")) == before, "a folder is no name"


def test_the_text_of_the_templates_counts(settings, tmp_path):
    before = short(settings)
    ground = tmp_path / "prompts" / "ground.txt"
    ground.write_text("Where is it? $query")
    assert short(settings) != before


def test_the_records_count(settings, tmp_path):
    before = short(settings)
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_text(tracks.read_text() + "\n")
    assert short(settings) != before


def test_a_stage_that_did_not_end_is_not_asked(settings, model):
    (model / "stamp.json").write_text(json.dumps({"fingerprint": "x", "complete": False}))
    with pytest.raises(StageError, match="begun and did not end"):
        short(settings)


def test_a_model_that_is_not_there_has_no_key(settings):
    with pytest.raises(StageError, match="no/such/model: no config.json there"):
        short(settings, model="no/such/model")


def served(**others):
    values = {"backend": "openai", "base_url": "http://me:pw@host/v1", "family": "glm4v", "temperature": 0.0}
    return key_of("m", StageArguments(), **values | others)


def test_a_served_model_is_its_name_and_address():
    keys = {served().short, served(base_url="http://other/v1").short, served(family="qwen2_5_vl").short}
    assert len(keys) == 3
    assert served(base_url="http://you:other@host/v1").short == served().short, "who asks does not count"
    assert "pw" not in served().first_line()
    assert key_of("n", StageArguments(), backend="openai", temperature=0.0).short not in keys


def test_an_address_shows_no_secret():
    assert public("https://user:pw@host:8000/v1?key=1#x") == "https://host:8000/v1"
    assert public("http://localhost:8000/v1") == "http://localhost:8000/v1"


def test_differences_are_named():
    was = AnswerKey("a", {"temperature": 0.0, "seed": 1}, {"model": "1" * 64, "prompts": "2" * 64})
    now = AnswerKey("b", {"temperature": 1.0}, {"model": "3" * 64, "prompts": "4" * 64})
    said = json.loads(was.first_line())["about"]
    assert now.differences(said) == [
        "seed 1 -> null",
        "temperature 0.0 -> 1.0",
        'model "a" -> "b"',
        "prompts (other content)",
    ]
    assert was.differences(said) == []
    assert AnswerKey("a", now.settings, now.contents).differences(said)[2:] == [
        "model (other content)",
        "prompts (other content)",
    ]
    with pytest.raises(StageError, match=r"o.jsonl: holds answers made with another seed 1 -> null; .*another --out"):
        check_known(now, said, "o.jsonl")
    check_known(was, said, "o.jsonl")
    with pytest.raises(StageError, match="does not say with which model"):
        check_known(now, None, "o.jsonl")


def test_names_that_look_alike_share_no_file():
    names = ["模型甲", "模型乙", "GPT 5", "GPT-5", "GPT/5", "..", "", "a" * 300, "a" * 301]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    for name in files:
        assert name.strip(".")
        assert "/" not in name
        assert len(name) < 100


def test_the_file_beside_the_metrics_has_the_key(settings):
    args = EvalArguments(**settings | {"out": "m.json"})
    assert answers_path(args, 0).name == f"m.answers-{key_of_run(args, 0).short}-0.jsonl"


def test_the_stamp_of_a_video(tmp_path):
    assert video_stamp(tmp_path / "none.mp4") is None
    (tmp_path / "a.mp4").write_bytes(b"one")
    before = video_stamp(tmp_path / "a.mp4")
    assert before.startswith("3|")
    (tmp_path / "a.mp4").write_bytes(b"other")
    assert video_stamp(tmp_path / "a.mp4") != before
