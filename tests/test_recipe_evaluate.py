"""The command: golden cases, protocols from files, smoothing, bad predictions, and a naive second implementation."""

import json
import random
import shutil

import pytest

from data_prep.locks import InUse, locked
from data_prep.records import RecordError
from data_prep.stages import StageError
from recipe import evaluate as evaluation
from recipe.cli import Parser
from recipe.evaluate import EvalArguments, evaluate, parse, report
from recipe.evaluation.scores import metrics, score_records
from recipe.evaluation.truths import read_truths
from stvg_rewards import Track, format_answer

BOX = [0.0, 0.0, 0.5, 0.5]


def record(name="a", span=(1, 2), seconds=4, box=BOX, **others):
    track = [{"second": k, "box": box} for k in range(span[0], span[1] + 1)]
    return {
        "schema": 1, "id": name, "source": "vidstg", "split": "test", "kind": "declarative", "video": "a.mp4",
        "clip": [0.0, float(seconds)], "fps": 10, "width": 64, "height": 48, "seconds": seconds, "query": "a cat",
        "label": "cat-1", "span": list(span), "track": track, "answer": None,
    } | others  # fmt: skip


def frames_of(given, begin, end, box=BOX):
    boxes = [{"frame": f, "box": box} for f in range(begin, end)]
    return {"id": given["id"], "fps": 10, "begin": begin, "end": end, "boxes": boxes}


def states(seconds, box=BOX):
    return [{"second": k, "box": box} for k in seconds]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(tmp_path, records, predictions, **settings):
    arguments = EvalArguments(
        tracks=write(tmp_path / "t.jsonl", records),
        predictions=write(tmp_path / "p.jsonl", predictions),
        out=str(tmp_path / "m.json"),
        **settings,
    )
    return evaluate(arguments)[0]


def test_tracks_and_texts_score_alike(tmp_path):
    text = json.dumps({str(k): [{"label": "x", "bbox_2d": [0, 0, 500, 500]}] for k in (1, 2)})
    predictions = [{"id": "a", "answer": f"<think>A cat.</think>{text}"}, {"id": "b", "track": states([1, 2])}]
    found = run(tmp_path, [record("a"), record("b")], predictions)
    assert found["m_vIoU"] == found["m_tIoU"] == found["mvIoU"] == found["vIoU@0.5"] == 1.0
    assert json.loads((tmp_path / "m.json").read_text()) == found
    assert (tmp_path / "m.md").read_text().startswith(f"# Evaluation of {tmp_path / 'p.jsonl'}")


@pytest.mark.parametrize(
    ("protocol", "t_iou", "v_iou", "best"),
    [
        # The event is frames [15, 30) of 40 at 10 fps: seconds 1 and 2; seconds 1..2 are frames [10, 30).
        ("second", 1.0, 1.0, 1.0),
        ("frame", 15 / 20, 15 / 20, 15 / 20),
        # Frames 0, 2, 4, ...: 8 of the 10 that both hold are 16, 18, ..., 28 = 7; 10, ..., 28 = 10 in the union.
        ("tubedetr", 15 / 20, 7 / 10, 1.0),
        # One frame less of the event: [15, 29).
        ("cgstvg", 14 / 20, 14 / 20, 14 / 20),
    ],
)
def test_protocols_by_hand(tmp_path, protocol, t_iou, v_iou, best):
    given = record(span=(1, 2))
    frames = write(tmp_path / "t.frames.jsonl", [frames_of(given, 15, 30)])
    found = run(tmp_path, [given], [{"id": "a", "track": states([1, 2])}], protocol=protocol, frames=frames)
    assert found["m_tIoU"] == pytest.approx(t_iou)
    assert found["m_vIoU"] == pytest.approx(v_iou)
    assert found["protocol"] == protocol
    if protocol != "tubedetr":
        assert found["ceiling"]["m_vIoU"] == pytest.approx(best)


def test_a_clip_inside_its_video_counts_from_its_first_frame(tmp_path):
    given = record(span=(1, 2), clip=[7.3, 11.3])
    frames = write(tmp_path / "t.frames.jsonl", [frames_of(given, 10, 30)])
    found = run(tmp_path, [given], [{"id": "a", "track": states([1, 2])}], protocol="frame", frames=frames)
    assert found["m_vIoU"] == 1.0


def test_smoothing_moves_boxes_and_not_the_span(tmp_path):
    track = [{"second": k, "box": BOX} for k in range(7) if k != 3] + [{"second": 3, "box": [0.5, 0.5, 1.0, 1.0]}]
    given = record(span=(0, 6), seconds=8)
    off = run(tmp_path, [given], [{"id": "a", "track": track}])
    on = run(tmp_path, [given], [{"id": "a", "track": track}], smooth="on")
    assert (off["smooth"], on["smooth"]) == ("off", "on")
    assert off["m_vIoU"] == pytest.approx(6 / 7)
    assert on["m_vIoU"] == pytest.approx(1.0)
    assert on["m_tIoU"] == off["m_tIoU"] == 1.0
    # A second with an invalid box at the span's end: the span keeps it, and its box goes on from the others.
    broken = [*states(range(6)), {"second": 6, "box": [0.5, 0.5, 0.5, 0.5]}]
    on = run(tmp_path, [given], [{"id": "a", "track": broken}], smooth="on")
    assert on["m_tIoU"] == 1.0
    assert on["m_vIoU"] == pytest.approx(1.0)
    off = run(tmp_path, [given], [{"id": "a", "track": broken}])
    assert off["m_vIoU"] == pytest.approx(6 / 7)


def test_both_spellings_and_yaml_switches(tmp_path):
    words = ["--tracks", "t", "--predictions", "p"]
    for spelling in ("--box-scale", "--box_scale"):
        assert parse([*words, spelling, "100"])[0].box_scale == 100
    (tmp_path / "c.yaml").write_text("tracks: t\nsmooth: on\n")
    assert Parser((EvalArguments,)).parse_args_and_config(["--config", str(tmp_path / "c.yaml")])[0].smooth == "on"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "frame"}, "--protocol frame needs --frame_annotations"),
        ({"smooth": "maybe"}, "--smooth 'maybe': expected on or off"),
        ({"box_scale": 0}, "--box_scale 0: expected a number above 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        EvalArguments(tracks="t", **settings)


def test_bad_predictions_are_counted_and_named(tmp_path, capsys):
    records = [record(name) for name in "abc"] + [record("q", kind="qa", label=None, track=None, answer="x")]
    records[-1]["span"] = None
    predictions = [
        {"id": "a", "track": states([1, 2])},
        {"id": "a", "answer": "again"},
        {"id": "stranger", "answer": "{}"},
        {"id": "q", "answer": "red"},
        {"id": "b"},
    ]
    path = tmp_path / "p.jsonl"
    write(path, predictions)
    path.write_text(path.read_text() + '{"id": "c", "ans')
    arguments = EvalArguments(
        tracks=write(tmp_path / "t.jsonl", records), predictions=str(path), out=str(tmp_path / "m.json")
    )
    found, _ = evaluate(arguments)
    assert found["n"] == 3
    assert found["m_vIoU"] == pytest.approx(1 / 3), "missing ones stay as 0"
    assert found["input"] == {
        "missing_ids": 2, "unknown_ids": 1, "duplicate_ids": 1, "broken_lines": 2,
        "examples": {
            "missing_ids": ["b", "c"], "unknown_ids": ["stranger"], "duplicate_ids": ["a"],
            "broken_lines": ["line 5: neither answer nor track", "line 6: no JSON, the file ends in it"],
        },
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert said[0] == f"{path}: 2 of 3 records have no answer and count 0: b, c"
    assert said[1].endswith("left out: stranger")


def test_two_records_of_one_id_are_an_error(tmp_path):
    with pytest.raises(StageError, match="two records have the id 'a'"):
        run(tmp_path, [record(), record()], [{"id": "a", "answer": "{}"}])


def test_frame_annotations_that_are_missing_or_broken(tmp_path):
    settings = {"protocol": "frame", "frames": str(tmp_path / "f.jsonl")}
    prediction = [{"id": "a", "track": states([1])}]
    write(tmp_path / "f.jsonl", [frames_of(record("other"), 0, 5)])
    with pytest.raises(StageError, match=r"f.jsonl: 1 \(a\) of .*t.jsonl without frame annotations"):
        run(tmp_path, [record()], prediction, **settings)
    write(tmp_path / "f.jsonl", [frames_of(record(), 5, 5)])
    with pytest.raises(RecordError, match=r"f.jsonl:1: record a: begin 5, end 5: expected begin < end"):
        run(tmp_path, [record()], prediction, **settings)
    (tmp_path / "f.jsonl").write_text("{")
    with pytest.raises(RecordError, match="f.jsonl:1: no JSON "):
        run(tmp_path, [record()], prediction, **settings)


def test_the_last_line_that_is_printed_is_the_json(tmp_path, capsys):
    report(
        EvalArguments(
            tracks=write(tmp_path / "t.jsonl", [record()]),
            predictions=write(tmp_path / "p.jsonl", [{"id": "a", "track": states([1, 2])}]),
            out=str(tmp_path / "m.json"),
        )
    )
    said = capsys.readouterr().out
    assert "| m_vIoU | 100.0 | [100.0, 100.0] | 100.0 |" in said
    assert json.loads(said.splitlines()[-1]) == json.loads((tmp_path / "m.json").read_text())


# --- a second implementation ----------------------------------------------------------------------------------------


def naive(predictions, records):
    """The metrics of protocol `second` from the definitions with sets and plain loops; predictions: id -> states."""
    t_ious, mv_ious, v_ious = [], [], []
    for given in records:
        listed, boxes = set(), {}
        for state in predictions.get(given["id"], []):
            k, (a, b, c, d) = state["second"], state["box"]
            if k < given["seconds"] and k not in listed:
                listed.add(k)
                a, b, c, d = max(a, 0), max(b, 0), min(c, 1), min(d, 1)
                if a < c and b < d:
                    boxes[k] = a, b, c, d
        ours = set(range(min(listed), max(listed) + 1)) if listed else set()
        theirs = set(range(given["span"][0], given["span"][1] + 1))
        true = {state["second"]: state["box"] for state in given["track"]}
        omega = [k for k in ours & theirs if k in true]
        total = 0.0
        for k in omega:
            if k in boxes:
                (a, b, c, d), (e, f, g, h) = boxes[k], true[k]
                w, v = max(0.0, min(c, g) - max(a, e)), max(0.0, min(d, h) - max(b, f))
                total += w * v / ((c - a) * (d - b) + (g - e) * (h - f) - w * v)
        meet = bool(ours & theirs)
        t_ious.append(len(ours & theirs) / len(ours | theirs) if meet else 0.0)
        v_ious.append(total / len(ours | theirs) if meet else 0.0)
        mv_ious.append(total / len(omega) if omega else 0.0)
    return t_ious, mv_ious, v_ious


def test_agrees_with_the_naive_implementation():
    rng = random.Random(11)

    def box(outside=0.0):
        x, y = rng.uniform(-outside, 0.7), rng.uniform(-outside, 0.7)
        return [x, y, x + rng.uniform(-outside / 4, 0.4), y + rng.uniform(0.05, 0.4)]

    records, predictions = [], {}
    for case in range(2000):
        seconds = rng.randint(1, 20)
        first = rng.randrange(seconds)
        span = (first, rng.randrange(first, seconds))
        track = [{"second": k, "box": box()} for k in range(span[0], span[1] + 1) if rng.random() < 0.8]
        given = record(str(case), span, seconds)
        given["track"] = track or [{"second": first, "box": box()}]
        records.append(given)
        if rng.random() < 0.95:
            picked = rng.choices(range(seconds + 2), k=rng.randint(0, seconds))
            predictions[str(case)] = [{"second": k, "box": box(0.2)} for k in picked]
    samples = score_records(records, predictions)
    t_ious, mv_ious, v_ious = naive(predictions, records)
    for sample, t_iou, mv_iou, v_iou in zip(samples, t_ious, mv_ious, v_ious, strict=True):
        assert tuple(sample.scores) == pytest.approx((t_iou, mv_iou, v_iou), abs=1e-9)
        assert sample.scores.vIoU <= sample.ceiling.vIoU + 1e-9
    found = metrics(samples)
    assert found["m_vIoU"] == pytest.approx(sum(v_ious) / 2000, abs=1e-9)
    assert found["vIoU@0.3"] == pytest.approx(sum(v > 0.3 for v in v_ious) / 2000, abs=1e-9)
    assert 0.1 < found["m_tIoU"] < 0.9


def test_what_a_frame_annotation_becomes(tmp_path):
    given = record(clip=[2.0, 6.0], source="hcstvg")
    path = tmp_path / "f.jsonl"
    write(path, [frames_of(given, 10, 30)])
    truth = read_truths(path, [given])["a"]
    assert (truth.num_frames, truth.first_frame, truth.one_based) == (40, 20, True), "from the record"
    write(path, [frames_of(given, 10, 30) | {"num_frames": 39, "first_frame": 21}])
    truth = read_truths(path, [given | {"source": "vidstg"}])["a"]
    assert (truth.num_frames, truth.first_frame, truth.one_based) == (39, 21, False), "the file's own"
    assert len(truth.boxes) == 20


def of_a_model(tiny_data, tmp_path, monkeypatch, broken, **others):
    """Settings of an evaluation whose model answers every record that it is asked about with the truth."""
    videos = tmp_path / "videos"
    shutil.copytree(tiny_data / "videos", videos)
    records = [json.loads(line) for line in (tiny_data / "test.jsonl").read_text().splitlines()]
    for record in records[:broken]:
        path = videos / record["video"]
        path.write_bytes(path.read_bytes()[:500])

    def answers(args):
        asked.append(args.model)
        texts = {
            record["id"]: format_answer(
                Track("a", {state["second"]: tuple(state["box"]) for state in record["track"]}), scale=(1000, 1000)
            )
            for record in records[broken:]
        }
        return [texts], lambda record: (1000, 1000)

    asked = []
    monkeypatch.setattr(evaluation, "answers_of_model", answers)
    settings = {"tracks": str(tiny_data / "test.jsonl"), "model": "m", "video_root": str(videos)}
    return EvalArguments(out=str(tmp_path / "m.json"), **settings | others), asked


def test_a_video_that_is_of_no_use_counts_0_and_is_named(tiny_data, tmp_path, monkeypatch, capsys):
    args, _ = of_a_model(tiny_data, tmp_path, monkeypatch, 1, max_missing=0.2)
    result, _ = evaluation.evaluate(args)
    assert result["n"] == 5
    assert result["m_tIoU"] == pytest.approx(4 / 5)
    assert result["input"]["videos"] == {"unreadable": 1}
    assert "counted 0: 1 of 5 records without a usable video: 1 unreadable" in capsys.readouterr().err


def test_too_many_of_them_end_it_before_a_model_is_loaded(tiny_data, tmp_path, monkeypatch):
    args, asked = of_a_model(tiny_data, tmp_path, monkeypatch, 1)
    with pytest.raises(StageError, match=r"1 of 5 records .* expected at most 5% \(max_missing\)"):
        evaluation.evaluate(args)
    assert not asked


def test_a_second_evaluation_is_refused_before_a_model_is_loaded(tiny_data, tmp_path, monkeypatch):
    args, asked = of_a_model(tiny_data, tmp_path, monkeypatch, 0)
    with locked(tmp_path / "m.json"), pytest.raises(InUse, match="m.json"):
        evaluation.evaluate(args)
    assert not asked
    evaluation.evaluate(args)
    assert asked == ["m"]
