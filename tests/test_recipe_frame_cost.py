"""What second-level tracks cost against frame-level ones: tokens counted by hand on one clip."""

import json

import pytest

from data_prep.records import read_records
from recipe.studies import frame_cost
from recipe.studies.frame_cost import compare, frame_record, synthetic_truth


@pytest.fixture(scope="module")
def measured(tiny_data):
    records = list(read_records(tiny_data / "test.jsonl"))
    with (tiny_data / "annotations/test.jsonl").open() as stream:
        by_video = {item["video"]: item for item in map(json.loads, stream)}
    return records, {record["id"]: synthetic_truth(record, by_video[record["video"]]) for record in records}


def test_a_state_for_every_frame_of_the_event(measured):
    records, truths = measured
    for record in records:
        truth = truths[record["id"]]
        stated = frame_record(record, truth)
        assert len(stated["track"]) == truth.end - truth.begin
        assert [state["second"] for state in stated["track"]] == list(range(truth.begin, truth.end))
        first, last = record["span"]
        assert (int(truth.begin / truth.fps), int((truth.end - 1) / truth.fps)) == (first, last)


def test_both_levels(measured, tiny_data, tiny_base, monkeypatch):
    from tests.helpers.tiny_parts import parts

    records, truths = measured
    model, processor, builder, _ = parts(tiny_data, tiny_base, False, None)
    timed = []

    def latency(model, inputs, tokens):
        timed.append((inputs["input_ids"].shape[1], tokens))
        return float(tokens)

    monkeypatch.setattr(frame_cost, "latency", latency)
    found = compare(records, truths, builder, processor, model, timed=1)
    assert found["n"] == len(records)
    assert found["fps"] == sum(truth.fps for truth in truths.values()) / len(truths)
    # 4 tokens a frame, and a timestamp: the longer prompt holds a frame for each of the clip's.
    more = sum(record["seconds"] * (truths[record["id"]].fps - 1) for record in records) / len(records)
    assert found["frame"]["prompt_tokens"] - found["second"]["prompt_tokens"] > 4 * more
    assert found["frame"]["answer_tokens"] > 5 * found["second"]["answer_tokens"]
    assert 0.5 < found["ceiling"]["m_vIoU"] <= 1
    (second, frame) = timed
    assert found["latency"][0]["ratio"] == frame[1] / second[1]
    assert frame[0] > second[0]


def test_latency_is_of_an_answer_of_that_length(measured, tiny_data, tiny_base, monkeypatch):
    from tests.helpers.tiny_parts import parts

    model, processor, builder, _ = parts(tiny_data, tiny_base, False, None)
    lengths = []
    generate = type(model).generate

    def counted(self, **options):
        output = generate(self, **options)
        lengths.append(output.shape[1] - options["input_ids"].shape[1])
        return output

    monkeypatch.setattr(type(model), "generate", counted)
    inputs = frame_cost.prompt_inputs(processor, measured[0][0], builder, 1.0)
    assert frame_cost.latency(model, inputs, 7) > 0
    assert lengths == [7] * frame_cost.LATENCY_ROUNDS
