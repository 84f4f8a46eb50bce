"""Answers are kept as they come; a run that was cut short ends with the same ones."""

import json

import pytest

from data_prep.errors import StageError
from data_prep.records import read_records
from recipe.inference import backends
from recipe.inference.answer_key import AnswerKey
from recipe.inference.backends import Decoding, builder_of
from recipe.inference.engines import EngineEnded
from recipe.inference.jobs import AnswerBatches, Batch, engines_of
from recipe.inference.predictions import predict, read_answers
from recipe.inputs.arguments import StageArguments


@pytest.fixture(scope="module")
def parts(tiny_data, tiny_base):
    """Answerer settings but for the decoding, the track file and the row builder."""
    script = StageArguments(video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304)
    return script, str(tiny_base), str(tiny_data / "test.jsonl"), builder_of(script, str(tiny_base))


KEY = AnswerKey("base", {"temperature": 1.0}, {"model": "0" * 64})


def answer(parts, out, engines=1, temperature=1.0, **settings):
    script, model, tracks, builder = parts
    job = AnswerBatches(script, model, Decoding(temperature, 10))
    with engines_of(job, engines) as answering:
        return predict(answering, tracks, builder, out, **{"key": KEY, "batch_size": 2} | settings)


@pytest.fixture(scope="module")
def loaded():
    """Models by checkpoint: each call of `answer` would load one."""
    return {}


@pytest.fixture(autouse=True)
def load_once(loaded, monkeypatch):
    upstream = backends.load_answering

    def load(model_args, script_args):
        name = model_args.model_name_or_path
        loaded[name] = loaded.get(name) or upstream(model_args, script_args)
        return loaded[name]

    monkeypatch.setattr(backends, "load_answering", load)


@pytest.fixture
def asked(monkeypatch):
    """Ids' batches that the model was asked for, in this process."""
    seen = []
    upstream = backends.generate

    def generate(model, processor, rows, **settings):
        seen.append([row["id"] for row in rows])
        return upstream(model, processor, rows, **settings)

    monkeypatch.setattr(backends, "generate", generate)
    return seen


def test_every_record_is_answered_in_order(parts, tmp_path, asked):
    found = answer(parts, tmp_path / "a.jsonl")
    ids = [record["id"] for record in read_records(parts[2])]
    assert list(found) == ids == [name for batch in asked for name in batch]
    assert read_answers(tmp_path / "a.jsonl") == found
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"], "neither .part nor lock is left"
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0]) == {"about": KEY.describe()}


def test_what_is_there_is_not_asked_again(parts, tmp_path, asked):
    first = answer(parts, tmp_path / "a.jsonl")
    del asked[:]
    assert answer(parts, tmp_path / "a.jsonl") == first
    assert asked == []


@pytest.mark.parametrize(
    ("lines", "rest", "batches_left"),
    [
        (0, "", 3),
        (2, "", 2),
        (2, '{"id": "synthetic/te', 2),
        (3, "", 2),  # half a batch: asked as a whole, so that sampling is the same
        (4, "[1, 2]\nnull\n\n\xff", 1),
        (5, "", 0),
    ],
)
def test_a_run_that_was_cut_short_ends_with_the_same_answers(parts, tmp_path, asked, lines, rest, batches_left):
    whole = answer(parts, tmp_path / "whole.jsonl")
    kept = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)[: 1 + lines]
    (tmp_path / "cut.jsonl.part").write_bytes("".join(kept).encode() + rest.encode("latin-1"))
    del asked[:]
    assert answer(parts, tmp_path / "cut.jsonl") == whole
    assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(asked) == batches_left


def test_repeats_differ_by_their_seed(parts, tmp_path):
    first, same, other = (answer(parts, tmp_path / f"{n}.jsonl", seed=s) for n, s in enumerate((0, 0, 1)))
    assert first == same != other


def test_a_limit(parts, tmp_path):
    assert list(answer(parts, tmp_path / "a.jsonl", limit=3)) == [r["id"] for r in read_records(parts[2])][:3]


def test_records_of_similar_length_are_asked_together_the_longest_first(parts, tmp_path, asked):
    _, _, tracks, builder = parts
    whole = answer(parts, tmp_path / "a.jsonl", by_record=True)
    lengths = {record["id"]: builder.length(record) for record in read_records(tracks)}
    found = [lengths[name] for batch in asked for name in batch]
    assert len(set(found)) > 1
    assert found == sorted(found, reverse=True)
    assert list(whole) == list(lengths), "the file keeps the order of the records"


def test_sampling_by_record_depends_on_no_batch(parts, tmp_path, asked):
    first, other, seeded = (
        answer(parts, tmp_path / f"{n}.jsonl", by_record=True, batch_size=size, seed=seed)
        for n, (size, seed) in enumerate([(2, 0), (5, 0), (2, 1)])
    )
    assert first == other != seeded
    assert len(set(first.values())) > 1
    (tmp_path / "cut.jsonl.part").write_text("".join((tmp_path / "0.jsonl").read_text().splitlines(True)[:3]))
    del asked[:]
    assert answer(parts, tmp_path / "cut.jsonl", by_record=True) == first
    assert sum(map(len, asked)) == 3, "only what is missing"
    seeds = [Batch([], seed, own=True).sampling({"id": name})["seed"] for seed in (0, 1) for name in first]
    assert len(set(seeds)) == 2 * len(first), "no two records share a stream"


def test_an_engine_that_dies_keeps_what_was_answered(parts, tmp_path):
    script, model, tracks, builder = parts
    whole = answer(parts, tmp_path / "whole.jsonl")

    class Dying:
        """Gives the second batch first, then dies."""

        def map(self, units):
            yield 1, [whole[record["id"]] for record in units[1].records]
            raise EngineEnded("engine 2 of 2 was ended by SIGKILL")

    with pytest.raises(StageError, match=r"engine 2 of 2 .* SIGKILL; 2 of 5 answers are in .*a\.jsonl\.part, and the"):
        predict(Dying(), tracks, builder, tmp_path / "a.jsonl", key=KEY, batch_size=2)
    assert len(read_answers(tmp_path / "a.jsonl.part")) == 2
    assert answer(parts, tmp_path / "a.jsonl") == whole
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.slow
def test_two_engines_answer_as_this_process_does(parts, tmp_path):
    """Sampled by batch, with batches of 2, 2 and 1."""
    assert answer(parts, tmp_path / "one.jsonl") == answer(parts, tmp_path / "two.jsonl", engines=2)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_any_text_survives_the_file(tmp_path):
    texts = {"a": "line\nbreak \u2028 \x00", "b": '{"0": []}', "c": "", "d": "日本語 ☃"}
    lines = [json.dumps({"id": name, "answer": text}) for name, text in texts.items()]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert read_answers(tmp_path / "a.jsonl") == texts


def test_no_file_is_no_answer(tmp_path):
    assert read_answers(tmp_path / "no.jsonl") == {}
