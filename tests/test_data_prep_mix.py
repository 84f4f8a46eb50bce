"""Mixtures: what is drawn, what never is, and the same bytes every time."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.mixing.config import read_recipe
from data_prep.mixing.draw import filled, rank_of, shares, span_bin
from data_prep.mixing.mix import current_manifest
from data_prep.records import RecordWriter, read_records
from data_prep.stages import StageError, file_digest
from data_prep.video_ids import evaluation_keys, video_key
from tests.helpers.example_records import events, grounding, no_target, question, temporal
from tests.helpers.films import make_plain_video

MIXTURES = sorted(Path("data_prep/mixtures").glob("*.yaml"))


def record(name, video, *, source="a", kind="declarative", span=(1, 2), split="train", query=None, seconds=8):
    found = {"schema": 1, "id": name, "source": source, "split": split, "kind": kind, "video": video}
    found |= {"clip": [0.0, float(seconds)], "fps": 10.0, "width": 64, "height": 48, "seconds": seconds}
    found |= {"query": query or f"what {name} does", "label": "x-1", "span": list(span)}
    found["track"] = [{"second": k, "box": [0.1, 0.1, 0.5, 0.5]} for k in range(span[0], span[1] + 1)]
    return found


def write(path, records):
    with RecordWriter(path) as writer:
        for item in records:
            writer.write(item)
    return str(path)


def mixed(folder, **recipe):
    """Run the command; (records written, manifest)."""
    recipe = {"out": str(folder / "out.jsonl")} | recipe
    (folder / "mix.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["mix", str(folder / "mix.yaml")]) == 0
    manifest = json.loads((folder / "out.jsonl.manifest.json").read_text())
    return list(read_records(folder / "out.jsonl")), manifest


def many(source, count, **others):
    return [record(f"{source}/{k}", f"{source}/{k}.mp4", source=source, **others) for k in range(count)]


def test_everything_is_taken_where_nothing_limits(tmp_path, capsys):
    files = [write(tmp_path / f"{name}.jsonl", many(name, 5)) for name in "ab"]
    found, manifest = mixed(tmp_path, inputs=files)
    assert [item["id"] for item in found] == [f"{name}/{k}" for name in "ab" for k in range(5)]
    assert manifest["read"] == manifest["written"] == 10
    assert manifest["inputs"][0]["sha256"] == file_digest(Path(files[0]))
    assert manifest["sha256"] == file_digest(tmp_path / "out.jsonl")
    assert "10 of 10 records" in capsys.readouterr().out


def test_weights_and_caps(tmp_path):
    inputs = [
        {"tracks": write(tmp_path / "a.jsonl", many("a", 300)), "weight": 3},
        {"tracks": write(tmp_path / "b.jsonl", many("b", 300)), "weight": 1},
        {"tracks": write(tmp_path / "c.jsonl", many("c", 300)), "weight": 1, "cap": 10},
    ]
    found, manifest = mixed(tmp_path, inputs=inputs, total=40)
    assert Counter(item["source"] for item in found) == {"a": 24, "b": 8, "c": 8}
    found, _ = mixed(tmp_path, inputs=inputs)
    assert Counter(item["source"] for item in found) == {"a": 30, "b": 10, "c": 10}, "as much as the scarcest allows"
    found, _ = mixed(tmp_path, inputs=inputs, total=410)
    assert Counter(item["source"] for item in found) == {"a": 300, "b": 100, "c": 10}, "the others fill up"
    assert manifest["left_out"] == {"cap": 290, "not_drawn": 900 - 290 - 40}
    assert manifest["written"] + sum(manifest["left_out"].values()) == manifest["read"]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", many(name, 200)) for name in "ab"]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    settings = {"inputs": files, "total": 50, "higher_rate_share": 0.3}
    first, _ = mixed(tmp_path, **settings)
    text = (tmp_path / "out.jsonl").read_bytes()
    manifest = (tmp_path / "out.jsonl.manifest.json").read_bytes()
    mixed(tmp_path, **settings)
    assert (tmp_path / "out.jsonl").read_bytes() == text
    assert (tmp_path / "out.jsonl.manifest.json").read_bytes() == manifest
    other, _ = mixed(tmp_path, **settings, seed=1)
    assert {item["id"] for item in other} != {item["id"] for item in first}


def test_adding_records_changes_no_other_ones_luck(tmp_path):
    few = many("a", 100)
    first, _ = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", few)], total=50)
    more, _ = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", [*few, *many("z", 100)])], total=50)
    old = {item["id"] for item in more if item["id"].startswith("a/")}
    assert old <= {item["id"] for item in first}


def test_duplicates_by_video_and_query(tmp_path):
    records = [
        record("1", "0001/7.mp4", query="a dog runs"),
        record("2", "7", query="A dog  runs", source="b"),
        record("3", "0001/7.mp4", query="another dog runs"),
        record("4", "7.webm", query="a dog runs") | {"clip": [1.0, 9.0]},
    ]
    found, manifest = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", records)])
    assert [item["id"] for item in found] == ["1", "3"]
    assert manifest["left_out"] == {"duplicate": 2}
    assert manifest["examples"] == {"duplicate": ["2", "4"]}


def test_two_records_with_one_id(tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", [record("1", f"{name}.mp4")]) for name in "ab"]
    found, manifest = mixed(tmp_path, inputs=files)
    assert [item["video"] for item in found] == ["a.mp4"]
    assert manifest["left_out"] == {"duplicate_id": 1}


def test_captions_of_two_clips_share_their_prompt(tmp_path):
    nothing = dict.fromkeys(("label", "span", "track"))
    one = record("1", "7.mp4", kind="caption", query="Describe it.") | nothing | {"answer": "A dog."}
    records = [one, one | {"id": "2", "clip": [8.0, 16.0]}, one | {"id": "3"}]
    found, _ = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", records)])
    assert [item["id"] for item in found] == ["1", "2"]


@pytest.mark.parametrize(
    ("video", "held_out", "remark"),
    [
        ("0001/1000.mp4", "1000", "VidSTG's and NExT-GQA's name of one VidOR video"),
        ("nextgqa/1000.mp4", "0001/1000.mp4", "the other way round"),
        ("train/dancetrack0004/img1", "val/dancetrack0004/img1", "a sequence of frames"),
        ("A.MP4", "a.mkv", "case and container"),
        ("0001/1000.mp4", "0001\\1000", "a list made on Windows"),
        ("1000.mp4", "./0001/1000/", "a folder with its slash"),
        ("own/clip.with.dots.mp4", "clip.with.dots", "dots of its own"),
        ("act/v_QOlSCBRmfWY.mp4", "QOlSCBRmfWY", "ActivityNet's name of a YouTube video"),
        ("MOT17-02-SDP/img1", "MOT16/train/MOT16-02/img1", "one sequence in two benchmarks"),
    ],
)
def test_a_video_of_an_evaluation_set_is_refused_across_sources(tmp_path, video, held_out, remark):
    own = write(tmp_path / "a.jsonl", [record("1", video, source="one"), record("2", "free.mp4")])
    (tmp_path / "ids.txt").write_text(f"{held_out}\r\n\n", encoding="utf-8-sig")
    found, manifest = mixed(tmp_path, inputs=[own], evaluation_videos=[str(tmp_path / "ids.txt")])
    assert [item["id"] for item in found] == ["2"], remark
    assert manifest["left_out"] == {"evaluation_video": 1}
    assert manifest["examples"] == {"evaluation_video": ["1"]}
    if "\\" not in held_out and not held_out.startswith("."):  # no path of a record
        test = write(tmp_path / "t.jsonl", [record("9", held_out, source="two", split="test")])
        found, manifest = mixed(tmp_path, inputs=[own], evaluation=[test])
        assert [item["id"] for item in found] == ["2"], remark
        assert manifest["evaluation"] == [{"path": test, "sha256": file_digest(Path(test))}]


@pytest.mark.parametrize("text", [b"", b"\n \n", b"\xff\xfe1000"])
def test_a_list_of_evaluation_videos_that_names_none_is_refused(tmp_path, capsys, text):
    (tmp_path / "ids.txt").write_bytes(text)
    own = write(tmp_path / "a.jsonl", many("a", 2))
    recipe = {"out": str(tmp_path / "o"), "inputs": [own], "evaluation_videos": [str(tmp_path / "ids.txt")]}
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["mix", str(tmp_path / "mix.yaml")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/ids.txt: n")
    assert not (tmp_path / "o").exists()


def test_missing_files_are_named_before_any_work(tmp_path, capsys):
    (tmp_path / "bad.jsonl").write_text("not json\n")
    recipe = {"out": str(tmp_path / "o"), "inputs": [str(tmp_path / "bad.jsonl"), str(tmp_path / "gone.jsonl")]}
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["mix", str(tmp_path / "mix.yaml")]) == 2
    assert "gone.jsonl: no such file" in capsys.readouterr().err


def test_evaluation_splits_stay_out_by_themselves(tmp_path):
    records = [record("1", "dancetrack0004/img1", split="val"), record("2", "dancetrack0001/img1")]
    found, manifest = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", records)])
    assert [item["id"] for item in found] == ["2"]
    assert manifest["left_out"] == {"other_split": 1}


def test_the_bins_of_several_events_and_of_none():
    # Two and three seconds are five together; the times without boxes reach into as many.
    bins = [span_bin(record) for record in (grounding(), events(), temporal(), no_target(), question())]
    assert bins == ["3-5 s", "3-5 s", "3-5 s", "no target", ""]


def test_the_sample_is_balanced(tmp_path):
    records = []
    for source, kind, count in (("a", "declarative", 400), ("a", "interrogative", 40), ("b", "declarative", 400)):
        for k in range(count):
            span = (0, 0) if k % 4 else (0, 6)
            records.append(
                record(f"{source}/{kind}/{k}", f"{source}{kind}{k}.mp4", source=source, kind=kind, span=span)
            )
    path = write(tmp_path / "a.jsonl", records)
    found, manifest = mixed(tmp_path, inputs=[path], total=120, balance=["source", "kind", "span"])
    groups = Counter((item["source"], item["kind"], span_bin(item)) for item in found)
    assert len(found) == 120
    assert groups.pop(("a", "interrogative", "6-10 s")) == 10, "all there are"
    assert set(groups.values()) == {22}
    assert manifest["counts"]["span"] == {"1-2 s": 66, "6-10 s": 54}


def test_a_small_share_has_a_higher_rate(tmp_path):
    records = [*many("a", 1000), *many("longer", 200, seconds=30), *many("long", 200, seconds=60)]
    found, manifest = mixed(tmp_path, inputs=[write(tmp_path / "a.jsonl", records)])  # a tenth by itself
    rates = Counter(item.get("rate") for item in found if item["source"] == "a")
    assert 70 < rates[2.0] + rates[4.0] < 130
    assert min(rates[2.0], rates[4.0]) > 20
    assert {item.get("rate") for item in found if item["source"] == "long"} == {None}, "120 frames are over the budget"
    assert {item.get("rate") for item in found if item["source"] == "longer"} == {None, 2.0}, "60 frames are not"
    assert manifest["counts"]["rate"]["1"] == sum(item.get("rate") is None for item in found)
    found, manifest = mixed(tmp_path, inputs=[str(tmp_path / "a.jsonl")], higher_rate_share=0)
    assert manifest["counts"]["rate"] == {"1": 1400}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("- a", "expected a mapping"),
        ("a: [", ":1: expected the node content"),
        ("out: x\ninputs: []", "inputs \\[\\], expected a list"),
        ("inputs: [a.jsonl]", "out is missing"),
        ("out: x\ninputs: [a.jsonl]\ntotl: 3", "unknown key 'totl'; did you mean 'total'"),
        ("out: x\ninputs: [{track: a}]", "input 1: unknown key 'track'"),
        ("out: x\ninputs: [{weight: 1}]", "tracks is missing"),
        ("out: x\ninputs: [{tracks: a, weight: -1}]", "input 1 weight -1"),
        ("out: x\ninputs: [a]\nbalance: [label]", "balance \\['label'\\]"),
        ("out: x\ninputs: [a]\nhigher_rate_share: 2", "higher_rate_share 2, expected 0 to 1"),
        ("out: x\ninputs: [a, a]", "each track file once"),
        ("out: x\ninputs: [a, ./a]", "each track file once"),
        ("out: a\ninputs: [./a]", "out.* one of the inputs"),
        ("out: t\ninputs: [a]\nevaluation: [x/../t]", "out.* one of the inputs"),
        (
            "out: x\ninputs: [a]\nevaluation_videos: [x.manifest.json]",
            "out.* one of the inputs",
        ),
        ("out: x\ninputs: [{tracks: a, weight: 1.0e+300}]", "input 1 weight 1e\\+300"),
        ("out: x\ninputs: [{tracks: a, weight: .nan}]", "input 1 weight nan"),
        ("a: &a [b, b]\nc: &c [*a, *a]\nout: x\ninputs: {d: [*c, *c]}", "inputs \\{'d':"),
        ("out: x\ninputs: [{tracks: a, kinds: [noun]}]", "kinds \\['noun'\\]"),
        ("out: x\ninputs: [a]\ntotal: many", "total 'many'"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path, recipe, message):
    (tmp_path / "mix.yaml").write_text(recipe)
    with pytest.raises(StageError, match=message):
        read_recipe(tmp_path / "mix.yaml")


@pytest.fixture
def with_videos(tmp_path):
    """Twenty records on good videos, and one each on an empty file, a short film, one of another shape and none."""
    root = tmp_path / "videos"
    root.mkdir()
    make_plain_video(root / "good.mp4", (255, 0, 0), 8)
    make_plain_video(root / "short.mp4", (255, 0, 0), 3)
    make_plain_video(root / "wide.mp4", (255, 0, 0), 8, size=(96, 48))
    (root / "empty.mp4").touch()
    names = ["good"] * 20 + ["empty", "short", "wide", "gone"]
    records = [record(f"a/{k}", f"{name}.mp4", query=f"query {k}") for k, name in enumerate(names)]
    return root, write(tmp_path / "a.jsonl", records)


def test_videos_are_looked_at_where_a_root_is_given(tmp_path, with_videos):
    root, tracks = with_videos
    found, manifest = mixed(tmp_path, inputs=[tracks])
    assert len(found) == 24
    assert manifest["videos"] is None
    found, manifest = mixed(tmp_path, inputs=[tracks], video_root=str(root), max_missing=0.2)
    assert {item["video"] for item in found} == {"good.mp4"}
    lost = {"unreadable": 1, "shorter_than_clip": 1, "other_size": 1, "missing": 1}
    assert manifest["left_out"] == lost
    assert manifest["examples"]["missing"] == ["a/23"]
    assert manifest["written"] + sum(lost.values()) == manifest["read"] == 24

    recipe = read_recipe(tmp_path / "mix.yaml")
    assert current_manifest(recipe) == manifest
    (root / "gone.mp4").write_bytes((root / "good.mp4").read_bytes())
    assert current_manifest(recipe) is None, "a video has come"
    assert len(mixed(tmp_path, inputs=[tracks], video_root=str(root), max_missing=0.2)[0]) == 21


def test_too_many_lost_videos_are_one_line_and_nothing_is_written(tmp_path, with_videos, capsys):
    root, tracks = with_videos
    mixed(tmp_path, inputs=[tracks])
    before = (tmp_path / "out.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["mix", str(tmp_path / "mix.yaml"), "--video_root", str(root)]) == 2
    said = capsys.readouterr().err.strip()
    assert "4 of 24 records without a usable video" in said
    assert "empty.mp4" in said
    assert "expected at most 5% (max_missing)" in said
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert main(["mix", str(tmp_path / "mix.yaml"), "--video_root", str(tmp_path / "nowhere")]) == 2
    assert "video_root" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["not json\n", '{"schema": 1}\n', "\x00\n", ""])
def test_a_bad_track_file_is_one_line_and_writes_nothing(tmp_path, capsys, text):
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "mix.yaml").write_text(
        yaml.safe_dump({"out": str(tmp_path / "o"), "inputs": [str(tmp_path / "a.jsonl")]})
    )
    assert main(["mix", str(tmp_path / "mix.yaml")]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert not (tmp_path / "o").exists()


def test_nested_aliases_do_not_fill_the_memory(tmp_path):
    levels = "\n".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12))
    (tmp_path / "mix.yaml").write_text(f"a0: &a0 [x]\n{levels}\nout: x\ninputs: {{a: *a11}}")
    with pytest.raises(StageError) as error:
        read_recipe(tmp_path / "mix.yaml")
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize("path", MIXTURES, ids=str)
def test_the_mixtures_of_the_tree_are_right(path):
    recipe = read_recipe(path)
    assert recipe.evaluation, "an evaluation set is named"
    assert path.read_text().startswith("# ")
    assert f"python -m data_prep mix {path}" in path.read_text()


def test_there_are_mixtures():
    assert {path.stem for path in MIXTURES} == {"cpt", "sft", "rl"}
    assert read_recipe(Path("data_prep/mixtures/sft.yaml")).total == 20_000
    shares_of = {path.stem: read_recipe(path).higher_rate_share for path in MIXTURES}
    assert shares_of == {"cpt": 0.1, "sft": 0, "rl": 0}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=6), st.integers(0, 200))
def test_shares_are_even(sizes, total):
    taken = shares(sizes, total)
    assert sum(taken.values()) == min(total, sum(sizes.values()))
    assert all(taken[group] <= sizes[group] for group in sizes)
    full = [taken[group] for group in sizes if taken[group] < sizes[group]]
    assert not full or max(full) - min(full) <= 1
    assert not full or all(taken[group] <= max(full) for group in sizes)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from([0, 1e-9, 0.5, 1, 3, 1e9])), max_size=6),
    st.integers(1, 200),
)
def test_filling_by_weights(groups, total):
    sizes, weights = [size for size, _ in groups], [weight for _, weight in groups]
    taken = filled(sizes, weights, total)
    assert sum(taken) == min(total, sum(size for size, weight in groups if weight))
    assert all(0 <= number <= size for number, size in zip(taken, sizes, strict=True))
    # No group that has more to give stands behind its share against any other.
    for a, size, weight in zip(taken, sizes, weights, strict=True):
        if a < size and weight:
            assert all(
                (a + 1) / weight >= (b - 1) / other - 1e-6
                for b, other in zip(taken, weights, strict=True)
                if b and other
            )


@given(st.text(), st.text())
def test_ranks_are_shares(a, b):
    assert 0 <= rank_of(0, a, b) < 1


def test_video_keys():
    assert video_key("a/img1") == "a"
    assert video_key("img1") == "img1"
    assert video_key("x/.mp4") == ".mp4"
    assert video_key("") == video_key(" // ") == ""
    assert video_key("v_2020") == "v_2020"
    assert video_key("x/clip.with.dots.webm") == "clip.with.dots"


def test_names_with_accents_are_one_video_however_they_are_written(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert video_key(f"a/{composed}.mp4") == video_key(f"B/{apart}.MP4") == composed
    assert video_key("CAFE\u0301.mp4") == composed  # capitals too
    listed = tmp_path / "held_out.txt"
    for line in (composed, apart):
        listed.write_text(f"{line}.mp4\n", encoding="utf-8")
        assert evaluation_keys([], [str(listed)]) == {composed}
