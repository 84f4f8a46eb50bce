"""Means over answers by hand, and an independent second implementation of protocol `second`."""

import json
import math
import random

import pytest

from data_prep.records import read_records
from data_prep.stages import StageError
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.scores import mean_metrics, metrics, paired_gain, per_sample, score_records

BOX = [0.0, 0.0, 0.5, 0.5]


def record(name="a", span=(0, 3), seconds=8, **others):
    track = [{"second": k, "box": BOX} for k in range(span[0], span[1] + 1)]
    base = {"id": name, "video": f"{name}.mp4", "label": "cat-1", "seconds": seconds, "span": list(span)}
    return base | {"track": track} | others


def text(seconds, box=(0, 0, 500, 500)):
    return json.dumps({str(k): [{"label": "cat-1", "bbox_2d": list(box)}] for k in seconds})


def test_by_hand():
    records = [record("perfect"), record("half"), record("missing"), record("nonsense"), record("qa", track=None)]
    answers = {"perfect": text(range(4)), "half": text(range(2)), "nonsense": "I see a cat.", "qa": "red"}
    samples = score_records(records, answers)
    assert [sample.id for sample in samples] == ["perfect", "half", "missing", "nonsense"]
    found = metrics(samples)
    # tIoU 1, 2/4, 0, 0; vIoU the same; mvIoU 1, 1, 0, 0; vIoU@0.5 strictly above.
    assert found["m_tIoU"] == found["m_vIoU"] == pytest.approx(1.5 / 4)
    assert found["mvIoU"] == pytest.approx(0.5)
    assert (found["vIoU@0.3"], found["vIoU@0.5"], found["n"]) == (0.5, 0.25, 4)
    assert found["parse_failures"] == 0.5  # one missing, one nonsense


def test_discarded_and_salvaged_are_counted():
    cut = text(range(4))[:-30]
    late = text([2, 3, 9])
    samples = score_records([record("cut"), record("late")], {"cut": cut, "late": late})
    found = metrics(samples)
    assert found["salvaged_answers"] == 0.5
    assert found["discarded_states"] == 0.5  # second 9 of 8
    assert found["parse_failures"] == 0.0


def test_the_scale_is_the_records():
    pixels = score_records([record()], {"a": text(range(4), (0, 0, 32, 24))}, lambda _: (64, 48))
    assert pixels[0].scores.vIoU == 1.0


def test_means_over_runs():
    runs = [{"m_tIoU": 0.2, "n": 3}, {"m_tIoU": 0.4, "n": 3}]
    assert mean_metrics(runs) == {"m_tIoU": pytest.approx(0.3), "n": 3}
    one, two = (score_records([record()], {"a": text(range(k))}) for k in (2, 4))
    assert per_sample([one, two], "tIoU") == [0.75]


def test_a_paired_gain_draws_videos():
    """Sentences about one video move together, so twenty of them are no twenty samples."""
    rng = random.Random(2)
    after = [gain for gain in (rng.gauss(0.1, 0.2) for _ in range(30)) for _ in range(20)]
    before, videos = [0.0] * 600, [str(k // 20) for k in range(600)]
    fewer = {"resamples": 1000}
    by_video, singly = paired_gain(before, after, videos=videos, **fewer), paired_gain(before, after, **fewer)
    assert by_video["mean"] == singly["mean"]
    assert by_video["high95"] - by_video["low95"] > 3.5 * (singly["high95"] - singly["low95"])
    assert paired_gain(before, after, videos=[str(k) for k in range(600)], **fewer) == singly


def test_the_interval_of_a_paired_gain():
    rng = random.Random(1)
    before = [rng.random() for _ in range(400)]
    after = [value + 0.1 + rng.gauss(0, 0.2) for value in before]
    gain = paired_gain(before, after)
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean = sum(differences) / 400
    deviation = math.sqrt(sum((d - mean) ** 2 for d in differences) / 399)
    assert gain["mean"] == pytest.approx(mean)
    # The normal approximation of the same interval: within a tenth of its half width.
    half = 1.96 * deviation / 20
    assert gain["low95"] == pytest.approx(mean - half, abs=half / 10)
    assert gain["high95"] == pytest.approx(mean + half, abs=half / 10)


def naive(predicted, true_span, true_seconds):
    """(tIoU, vIoU) from sets of seconds; `predicted`: second -> box."""
    if not predicted:
        return 0.0, 0.0
    ours = set(range(min(predicted), max(predicted) + 1))
    theirs = set(range(true_span[0], true_span[1] + 1))
    if not ours & theirs:
        return 0.0, 0.0
    union = len(ours | theirs)
    total = 0.0
    for k in ours & theirs & true_seconds.keys() & predicted.keys():
        (a, b, c, d), (e, f, g, h) = predicted[k], true_seconds[k]
        w, v = max(0.0, min(c, g) - max(a, e)), max(0.0, min(d, h) - max(b, f))
        total += w * v / ((c - a) * (d - b) + (g - e) * (h - f) - w * v)
    return len(ours & theirs) / union, total / union


def test_agrees_with_a_naive_implementation():
    rng = random.Random(7)

    def box():
        x, y = rng.randint(0, 700), rng.randint(0, 700)
        return [x, y, x + rng.randint(20, 300), y + rng.randint(20, 300)]

    for _ in range(2000):
        seconds = rng.randint(1, 20)
        first = rng.randrange(seconds)
        span = (first, rng.randrange(first, seconds))
        true = {k: box() for k in range(span[0], span[1] + 1) if rng.random() < 0.8 or k == first}
        predicted = {k: box() for k in range(seconds) if rng.random() < 0.4}
        rows = [{"second": k, "box": [v / 1000 for v in b]} for k, b in true.items()]
        given = record(span=span, seconds=seconds, track=rows)
        answer = json.dumps({str(k): [{"label": "x", "bbox_2d": b}] for k, b in predicted.items()})
        scores = score_records([given], {"a": answer})[0].scores
        assert (scores.tIoU, scores.vIoU) == pytest.approx(naive(predicted, span, true), abs=1e-9)


def test_predictions_of_anybody(tiny_data, tmp_path):
    records = list(read_records(tiny_data / "test.jsonl"))
    with (tmp_path / "answers.jsonl").open("w") as out:
        for item in records[1:]:
            states = {
                str(s["second"]): [{"label": "x", "bbox_2d": [v * 100 for v in s["box"]]}] for s in item["track"]
            }
            out.write(json.dumps({"id": item["id"], "answer": json.dumps(states)}) + "\n")
    arguments = EvalArguments(
        tracks=str(tiny_data / "test.jsonl"),
        predictions=str(tmp_path / "answers.jsonl"),
        out=str(tmp_path / "metrics.json"),
        box_scale=100,
    )
    found, _ = evaluate(arguments)
    assert found["n"] == len(records)
    assert found["m_vIoU"] == pytest.approx((len(records) - 1) / len(records))  # the missing one counts 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tracks": ""}, "--tracks is missing"),
        ({"tracks": "a", "protocol": "official"}, "official"),
        ({"tracks": "a", "repeats": 3}, "--repeats above 1 needs --temperature"),
        ({"tracks": "a", "repeats": 0}, "--repeats"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        EvalArguments(**settings)


def test_predictions_that_answer_nothing_are_an_error(tiny_data, tmp_path, capsys):
    settings = {"tracks": str(tiny_data / "test.jsonl"), "out": str(tmp_path / "metrics.json")}
    with pytest.raises(StageError, match="no.jsonl: no such file, or no answer in it to any of the 5 records"):
        evaluate(EvalArguments(predictions=str(tmp_path / "no.jsonl"), **settings))
    assert not (tmp_path / "metrics.json").exists()
    first = next(read_records(tiny_data / "test.jsonl"))["id"]
    (tmp_path / "one.jsonl").write_text(json.dumps({"id": first, "answer": "{}"}) + "\n")
    evaluate(EvalArguments(predictions=str(tmp_path / "one.jsonl"), **settings))
    assert "4 of 5 records have no answer and count 0" in capsys.readouterr().err


def test_records_without_tracks_are_an_error(tiny_data, tmp_path):
    questions = [r for r in read_records(tiny_data / "general.jsonl") if r["kind"] == "qa"]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(r) + "\n" for r in questions))
    (tmp_path / "one.jsonl").write_text(json.dumps({"id": questions[0]["id"], "answer": "red"}) + "\n")
    with pytest.raises(StageError, match="none of its 6 records has a truth"):
        evaluate(EvalArguments(tracks=str(tmp_path / "qa.jsonl"), predictions=str(tmp_path / "one.jsonl")))
