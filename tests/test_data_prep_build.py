"""One command makes what the full-size stages read, from the data sets' folders in their published layouts."""

import shutil
from pathlib import Path

import pytest
import yaml

from data_prep.__main__ import main
from data_prep.chain.plan import read_plan
from data_prep.records import read_records, resolve_video
from data_prep.stages import StageError
from recipe.inputs.config_files import read_file
from tests.helpers.datasets import PLAN, ROOT, lines_of, make_folder
from tests.helpers.teacher_server import Teacher

TEMPLATE = ("--teacher", "template")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which the full-size data was made once."""
    folder = make_folder(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["build", str(PLAN), *TEMPLATE]) == 0
    return folder


@pytest.fixture
def here(whole, tmp_path, monkeypatch):
    """A copy of it that a test may change, as the working folder."""
    shutil.copytree(whole, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def build(*words, plan=PLAN):
    return main(["build", str(plan), *words])


def one_line(capsys):
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    return said[-1]


def test_what_the_stages_read_is_what_it_makes():
    """No file that a full-size stage, study or mixture names is made by nobody, and none is read from elsewhere."""
    plan = read_plan(PLAN)
    made = {str(one.out) for one in plan.conversions} | {recipe.out for _, recipe in plan.mixtures}
    for _, recipe in plan.mixtures:
        assert {one.tracks for one in recipe.inputs} | set(recipe.evaluation) <= made
    assert plan.traces["tracks"] in made
    made.add(f"{plan.traces['out']}/traces.jsonl")
    read = []
    for name in ("full/cpt", "full/sft", "full/grpo", "full/eval", "studies/frame-rates"):
        settings = read_file(ROOT / f"recipe/configs/{name}.yaml")
        for key in ("tracks", "validation_tracks", "train"):
            value = settings.get(key) or []
            read += value if isinstance(value, list) else [value]
        assert settings.get("video_root", "data") == str(plan.datasets)
    for benchmark in read_file(ROOT / "recipe/configs/studies/table1.yaml")["benchmarks"].values():
        read += [benchmark["tracks"]]
        assert benchmark["video_root"] == str(plan.datasets)
    assert set(read) <= made
    assert read_file(ROOT / "recipe/configs/full/sft.yaml")["tracks"] == ["data/traces/traces.jsonl"]


def test_every_record_finds_its_video_and_evaluation_videos_stay_out(whole):
    tracks = [*sorted((whole / "data/tracks").glob("*.jsonl")), *sorted((whole / "data/mix").glob("*.jsonl"))]
    tracks = [path for path in tracks if not path.name.endswith(".frames.jsonl")]
    assert len(tracks) == 16 + 3
    for path in tracks:
        for record in read_records(path):
            assert resolve_video(whole / "data", record["video"]).exists(), record["video"]
    sources = {record["source"] for record in read_records(whole / "data/mix/cpt.jsonl")}
    assert sources == {
        *("vidstg", "hcstvg", "mot", "trackingnet", "got10k", "lasot", "vspw", "sav", "activitynet", "nextgqa")
    }
    ids = {record["id"] for record in read_records(whole / "data/mix/cpt.jsonl")}
    assert "nextgqa/train/1000_1" in ids
    assert "nextgqa/train/2000_1" not in ids, "a question about a validation video of VidSTG"
    asked = {record["id"] for record in read_records(whole / "data/mix/sft.jsonl")}
    traced = list(read_records(whole / "data/traces/traces.jsonl"))
    assert {record["id"] for record in traced} == asked
    assert len(asked) == 6 * 2 + 5
    assert all(record["reasoning"] for record in traced)


def test_the_same_command_makes_nothing_again(here, capsys):
    before = {path: path.stat().st_mtime_ns for path in here.glob("data/[tm]*/*.jsonl")}
    assert build() == 0  # nor does it ask for a teacher: the traces are there
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 16 + 3 + 1
    assert all("up to date" in line for line in said)
    assert {path: path.stat().st_mtime_ns for path in here.glob("data/[tm]*/*.jsonl")} == before


def test_what_changed_is_made_again_and_nothing_else(here, capsys):
    path = here / "data/activitynet/captions/train.json"
    path.write_text(path.read_text().replace("A square appears.", "A red square appears."))
    (here / "data/tracks/sav-train.jsonl").unlink()
    assert build(*TEMPLATE) == 0
    said = capsys.readouterr().out
    again = [line.split(":")[0] for line in said.splitlines() if ": activitynet --" in line or ": sav --" in line]
    assert again == ["sav-train", "activitynet-train"]
    assert "data/mix/cpt.jsonl: 28 of 29 records" in said
    assert "data/mix/sft.jsonl: up to date, 17 records" in said
    assert any(line["answer"] == "A red square appears." for line in lines_of(here / "data/mix/cpt.jsonl"))
    capsys.readouterr()
    assert build("--again", "got10k-train") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if ": got10k --" in line]


def test_without_a_teacher_all_else_is_made_and_one_line_says_the_ways_on(here, capsys):
    shutil.rmtree("data/traces")
    shutil.rmtree("data/mix")
    assert build() == 2
    line = one_line(capsys)
    assert line.startswith("error: traces: no teacher is named, and SFT reads its traces: --teacher openai --base_url")
    assert "--teacher template" in line
    assert Path("data/mix/rl.jsonl").is_file()
    assert build("--teacher", "openai", "--model", "m") == 2
    assert one_line(capsys) == "error: traces: --teacher openai needs --base_url (or OPENAI_BASE_URL, OPENAI_MODEL)"
    assert not Path("data/traces").exists()


def test_a_served_teacher_is_asked_once_and_shown_the_videos(here, capsys):
    teacher = Teacher()
    served = ("--teacher", "openai", "--base_url", teacher.url, "--model", "m")
    try:
        assert build(*served) == 2
        assert "--overwrite_output_dir" in one_line(capsys), "the template's traces are there"
        assert build(*served, "--overwrite_output_dir") == 0
        assert (here / "data/traces.old-1/traces.jsonl").is_file()
        asked = [content for _, _, _, body in teacher.asked for content in body["messages"][0]["content"]]
        assert len(teacher.asked) == 17
        assert any(part["type"] == "image_url" for part in asked)
        assert build(*served) == 0, "the same command goes on from the journal"
        assert build() == 0
        assert len(teacher.asked) == 17
    finally:
        teacher.close()
    said = {record["reasoning"].split(":")[0] for record in read_records("data/traces/traces.jsonl")}
    assert said == {"First when"}


def test_traces_of_other_records_are_none_of_these(here, capsys):
    """Traces that were made before the mixture changed are not taken for its own."""
    mixture = here / "data_prep/mixtures"
    copied = {file.name: file.read_text() for file in mixture.iterdir()}
    mixture.unlink()
    mixture.mkdir()
    for name, text in copied.items():
        (mixture / name).write_text(text.replace("total: 20000", "total: 5"))
    assert build() == 2
    assert "no teacher is named" in one_line(capsys)


def test_a_missing_data_set_is_named_with_where_to_get_it(here, capsys):
    shutil.rmtree("data/lasot")
    shutil.rmtree("data/vidor/video")
    assert build(*TEMPLATE) == 2
    line = one_line(capsys)
    assert "data/lasot (for lasot-train; from https://github.com/HengLan/LaSOT_Evaluation_Toolkit)" in line
    assert "data/vidor/video (for vidstg-train, vidstg-val, vidstg-test, nextgqa-train; from https://xdshang" in line
    assert "--skip_missing" in line


def test_a_missing_data_set_can_be_left_out(here, capsys):
    shutil.rmtree("data/lasot")
    assert build(*TEMPLATE, "--skip_missing") == 0
    found = capsys.readouterr()
    assert "build: left out, as it is missing: data/lasot" in found.err
    assert "data/mix/cpt.jsonl: 27 of 28 records" in found.out
    assert "lasot" not in {record["source"] for record in read_records("data/mix/cpt.jsonl")}


def test_the_data_sets_may_lie_elsewhere(here, tmp_path):
    """Links out of a video root are refused, but the root itself may be anywhere."""
    (tmp_path / "disk").mkdir()
    for folder in ("vidstg", "vidor", "hcstvg1", "hcstvg2"):
        shutil.move(f"data/{folder}", tmp_path / "disk" / folder)
    shutil.rmtree("data")
    assert build("--datasets", str(tmp_path / "disk"), "--skip_missing", *TEMPLATE) == 0
    for record in read_records("data/traces/traces.jsonl"):
        assert resolve_video(tmp_path / "disk", record["video"]).is_file()


def test_frames_are_made_where_the_plan_says(here, capsys):
    plan = yaml.safe_load(PLAN.read_text())
    plan["sources"] = {"hcstvg2-val": plan["sources"]["hcstvg2-val"]}
    plan |= {"mixtures": [], "traces": {}}
    plan["frames"] = [{"tracks": ["data/tracks/hcstvg2-val.jsonl"], "out": "data/frames", "max_frame_pixels": 2304}]
    Path("mine.yaml").write_text(yaml.safe_dump(plan))
    assert build(plan="mine.yaml") == 0
    assert list(Path("data/frames").glob("*.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": {}}, "unknown key 'source'; did you mean 'sources'?"),
        ({"sources": []}, "expected a mapping with `sources`"),
        ({"sources": {"a": {"source": "mot"}}}, "a: annotations is missing"),
        ({"sources": {"a": {"source": "mott", "annotations": "x"}}}, "did you mean 'mot'?"),
        ({"sources": {"a": {"source": "mot", "annotations": "x", "splitt": "train"}}}, "did you mean '--split'?"),
        (
            {"sources": {"a": {"source": "mot", "annotations": "x", "videos": "../x"}}},
            "--video_prefix: '../x', expected a folder's path",
        ),
        ({"traces": {"out": "x"}}, "traces: tracks is missing"),
        ({"mixtures": "x.yaml"}, "mixtures is 'x.yaml', expected a list"),
    ],
)
def test_a_faulty_plan_is_one_line(tmp_path, change, message):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({"sources": {"b": {"source": "mot", "annotations": "x"}}} | change))
    with pytest.raises(StageError) as error:
        read_plan(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_an_unknown_source_to_make_again_is_one_line(here, capsys):
    assert build("--again", "got10k") == 2
    assert "--again got10k: no source of" in one_line(capsys)
