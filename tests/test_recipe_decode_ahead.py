"""The next rollout's clips are decoded by a thread, in time and in vain nowhere; results do not change."""

import copy
import json
import threading
import time

import pytest
from trl import GRPOConfig
from trl.trainer.utils import RepeatSampler

from data_prep.records import read_records
from data_prep.video.sampling import VideoError
from recipe.inputs import frames
from recipe.inputs.frames import ClipFrames
from recipe.training.decode_ahead import AheadSampler, Decoder, rollouts_left
from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts

MAIN = threading.main_thread()


def thread_names():
    return [thread.name for thread in threading.enumerate()]


def clips_of(data, **settings):
    return ClipFrames(data / "videos", grid=24, max_pixels=2304, **settings)


def sampler(rows=10, prompts=2, samples=3, passes=4):
    return RepeatSampler(range(rows), samples, prompts, passes, shuffle=True, seed=1)


def test_indices_are_the_samplers_and_each_rollout_announces_the_next():
    calls = []
    ahead = AheadSampler(sampler(), 6, 4, lambda now, following: calls.append((now, following)), lambda: 99)
    indices, expected = [], list(sampler())
    for index in ahead:
        indices.append(index)
        assert len(calls) == -(-len(indices) // 24)
    assert indices == expected
    assert len(ahead) == len(expected) == 5 * 24
    blocks = [expected[begin : begin + 6] for begin in range(0, len(expected), 24)]
    assert calls == list(zip(blocks, [*blocks[1:], []], strict=True))
    assert ahead.generator is ahead.sampler.generator
    assert not hasattr(ahead, "set_epoch"), "accelerate asks, and upstream's has none"


def test_no_rollout_is_announced_that_training_does_not_reach():
    calls = []
    list(AheadSampler(sampler(), 6, 4, lambda now, following: calls.append(following), lambda: 3))
    assert len(calls) == 2
    assert (
        rollouts_left(step=3, most=10, epoch=4, each=2) == 5
    )  # resumed in the first epoch: 5 rollouts from its start
    assert rollouts_left(step=4, most=10, epoch=4, each=2) == 3


@pytest.fixture
def records(tiny_data):
    """One of each clip: some clips have several sentences."""
    return list({record["video"]: record for record in read_records(tiny_data / "ground.jsonl")}.values())


def waited(condition):
    """Wait until it holds, at most ten seconds, and return whether it does."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_a_decoder_decodes_what_fits_and_ends(tiny_data, records):
    clips = clips_of(tiny_data, cache_clips=4)
    decoder = Decoder(clips)
    decoder.want([0, 1], [1, 2, 3], records.__getitem__)
    assert waited(lambda: clips.decoded == 2)
    expected = [picture.tobytes() for picture in clips_of(tiny_data).frames(records[2])]
    assert [picture.tobytes() for picture in clips.frames(records[2])] == expected
    assert clips.decoded == 2, "the trainer finds them"
    decoder.want([0, 1], [2, 3, 4], records.__getitem__)  # five clips, of which four would be kept
    decoder.end()
    assert clips.decoded == 2
    assert "decode-ahead" not in thread_names()


def test_a_newer_request_replaces_an_older_one(tiny_data, records):
    clips, gate, asked = clips_of(tiny_data), threading.Event(), []

    def slowly(index):
        asked.append(index)
        gate.wait(10)
        return records[index]

    decoder = Decoder(clips)
    decoder.want([], [0, 1, 2], slowly)
    assert waited(lambda: asked == [0])
    decoder.want([], [3], slowly)
    gate.set()
    assert waited(lambda: clips.decoded == 2)
    decoder.end()
    assert asked == [0, 3]


def test_a_clip_that_cannot_be_decoded_is_the_trainers_error(tiny_data, records):
    clips = clips_of(tiny_data)
    lost = copy.deepcopy(records[0]) | {"video": "lost.mp4"}
    decoder = Decoder(clips)
    decoder.want([], [0, 1], [lost, records[1]].__getitem__)
    assert waited(lambda: clips.decoded == 1), "the thread goes on"
    decoder.end()
    with pytest.raises(VideoError, match=r"lost\.mp4"):
        clips.frames(lost)


def test_of_two_threads_one_decodes(tiny_data, records, monkeypatch):
    clips, gate, begun = clips_of(tiny_data), threading.Event(), []
    size = clips.frame_size

    def slowly(record):
        begun.append(threading.current_thread())
        gate.wait(10)
        return size(record)

    monkeypatch.setattr(clips, "frame_size", slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(clips.frames(records[0]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert waited(lambda: len(begun) == 1)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(begun) == 1
    assert len(found) == 3
    assert found[0] is found[1] is found[2]
    assert clips.decoded == 1


def test_one_that_waits_for_a_thread_that_fails_tries_itself(tiny_data, records, monkeypatch):
    clips, gate, begun = clips_of(tiny_data), threading.Event(), []
    size = clips.frame_size

    def fails_first(record):
        begun.append(record)
        if len(begun) == 1:
            gate.wait(10)
            raise VideoError("a.mp4", "is damaged")
        return size(record)

    monkeypatch.setattr(clips, "frame_size", fails_first)
    failed, found = [], []

    def first():
        try:
            clips.frames(records[0])
        except VideoError as error:
            failed.append(error)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert waited(lambda: begun)
    threads.append(threading.Thread(target=lambda: found.append(clips.frames(records[0]))))
    threads[1].start()
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(failed) == len(found) == 1


def variety(completions, **kwargs):
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


def trainer_of(data, base, folder, ahead, reward=variety, **settings):
    """A trainer on 6 clips, 2 a rollout, each used in 2 steps."""
    model, processor, builder, rows = parts(data, base, False, None)
    args = GRPOConfig(
        output_dir=str(folder), per_device_train_batch_size=2, num_generations=2, steps_per_generation=2,
        max_completion_length=2, log_multimodal=False, logging_steps=1, **COMMON | {"max_steps": 4} | settings,
    )  # fmt: skip
    trainer = GroundingGRPOTrainer(
        model=model, reward_funcs=[reward], args=args, train_dataset=rows, processing_class=processor
    )
    builder.clock = trainer.clock
    trainer.clips_ahead = builder.clips if ahead else None
    return trainer, builder


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.fixture
def decoders(monkeypatch):
    """The thread of each decoding."""
    noted, upstream = [], frames.clip_frames

    def decode(*args, **kwargs):
        noted.append(threading.current_thread())
        return upstream(*args, **kwargs)

    monkeypatch.setattr(frames, "clip_frames", decode)
    return noted


def test_training_is_the_same_and_a_thread_decodes_ahead(tiny_data, tiny_base, tmp_path, decoders):
    alone, _ = trainer_of(tiny_data, tiny_base, tmp_path / "alone", False)
    alone.train()
    count = len(decoders)
    assert 2 <= count <= 4, "two rollouts of two rows"
    assert set(decoders) == {MAIN}
    ahead, builder = trainer_of(tiny_data, tiny_base, tmp_path / "ahead", True)
    ahead.train()
    assert losses(ahead) == losses(alone)
    assert len(losses(ahead)) == 4
    assert builder.clips.decoded == len(decoders) - count == count, "none that training does not reach"
    assert any(thread.name == "decode-ahead" for thread in decoders)
    assert "decode-ahead" not in thread_names()
    assert all("seconds/decode" in entry for entry in ahead.state.log_history if "loss" in entry)


def test_a_reward_that_raises_leaves_no_thread(tiny_data, tiny_base, tmp_path):
    def broken(completions, **kwargs):
        assert "decode-ahead" in thread_names()
        raise ZeroDivisionError

    trainer, _ = trainer_of(tiny_data, tiny_base, tmp_path, True, reward=broken)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert "decode-ahead" not in thread_names()


@pytest.mark.slow
def test_a_resumed_run_takes_the_same_rows(tiny_data, tiny_base, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
    whole, _ = trainer_of(tiny_data, tiny_base, tmp_path / "run", True, **settings)
    whole.train()
    again, _ = trainer_of(tiny_data, tiny_base, tmp_path / "run", True, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert json.dumps(losses(again)[:3]) == json.dumps(losses(whole)[:3])
    assert again.state.global_step == 6
    assert "decode-ahead" not in thread_names()
