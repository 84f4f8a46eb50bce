"""Collect what the checks need to know of a stage's records and model, without loading weights or decoding a frame."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from data_prep.events import events_of, has_no_target, is_temporal, num_seconds
from data_prep.records import Record, State, read_records
from data_prep.validation import GROUNDING_KINDS
from data_prep.video.rates import parse_policy, rate_of
from recipe.checks.data import Sample, Volume
from recipe.checks.labels import kind_of
from recipe.checks.native_video import spelled
from recipe.checks.weights import count_weights, linear_layers, model_without_memory
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.dataset import completion_text
from recipe.inputs.families import Family, fit_frame
from recipe.inputs.loading import control_tokens
from recipe.inputs.prompts import Shown, load_prompts, question, user_message
from recipe.inputs.video_units import IN_A_GRID, PAIRS, grid_starts
from stvg_rewards.prompts.box_format import BoxFormat

OF_A_KIND = 16  # records of a kind that its shortest is chosen from, for the labels gate
SAMPLED = 256  # answers that are tokenised, besides the longest


@dataclass
class Facts:
    """What the records say, collected in one pass."""

    count: int = 0
    grounding: int = 0  # records that ask for one track
    reasoned: int = 0  # of these, records with reasoning
    no_target: int = 0  # of these, sentences without a target
    temporal: int = 0  # records of which only the times are known; supervised stages leave them out of all else
    frames: dict[str, int] = field(default_factory=dict)  # of records without any
    sizes: set[tuple[int, int]] = field(default_factory=set)
    longest: list[tuple[int, int, Record]] = field(default_factory=list)  # by tokens, estimated
    wordiest: list[tuple[int, int, Record]] = field(default_factory=list)  # by the answer's states
    sample: list[Record] = field(default_factory=list)
    kinds: dict[str, list[Record]] = field(default_factory=dict)  # the first records of each kind of row
    volumes: list[Volume] = field(default_factory=list)  # the smallest and the largest clip


def read_facts(script_args: StageArguments, grid: int) -> Facts:
    """Read the track files in one pass and return what they say.

    Captions and questions that state no length or size are not measured.
    """
    facts, chance, supervised = Facts(), random.Random(0), not isinstance(script_args, GRPOArguments)
    for record in _records(script_args):
        if is_temporal(record):
            facts.temporal += 1
            if supervised:
                continue
        facts.count += 1
        if record["kind"] in GROUNDING_KINDS:
            facts.grounding += 1
            facts.no_target += has_no_target(record)
            facts.reasoned += bool((record.get("reasoning") or "").strip())
        of_kind = facts.kinds.setdefault(kind_of(record), [])
        if len(of_kind) < OF_A_KIND:
            of_kind.append(record)
        if record["seconds"] is None or not (states_size(record) or record["kind"] in GROUNDING_KINDS):
            continue
        frames = len(starts_of(record, script_args))
        if not frames:
            facts.frames[record["id"]] = 0
        size = size_of(record, grid, script_args.max_frame_pixels)
        if states_size(record):
            facts.sizes.add(size)
        volume = Volume(record["id"], frames * IN_A_GRID[script_args.video_units], size)
        both = [*facts.volumes, volume]
        facts.volumes = [min(both, key=lambda one: one.pixels), max(both, key=lambda one: one.pixels)]
        states = sum(len(track["track"]) for track in record.get("tracks") or []) or len(record.get("track") or ())
        states = states or num_seconds(events_of(record))
        tokens = frames * (size[0] // grid) * (size[1] // grid) + 30 * states + len(record.get("reasoning") or "") // 4
        _keep(facts.longest, tokens, facts.count, record, most=3)
        _keep(facts.wordiest, states, facts.count, record, most=8)
        if len(facts.sample) < SAMPLED:
            facts.sample.append(record)
        elif (place := chance.randrange(facts.count)) < SAMPLED:
            facts.sample[place] = record
    return facts


def states_size(record: Record) -> bool:
    """Return whether a record says how large its pictures are; one without boxes need not."""
    return record["width"] is not None and record["height"] is not None


def size_of(record: Record, grid: int, most: int) -> tuple[int, int]:
    """Return (width, height) of a record's frames, pixels: the largest square where the record states no size.

    Args:
        grid: pixels that sides are multiples of.
        most: pixels of a frame.
    """
    width, height = (record["width"], record["height"]) if states_size(record) else (most, most)
    return fit_frame(width, height, grid=grid, max_pixels=most)


def starts_of(record: Record, script_args: StageArguments) -> list[float]:
    """Return when the interval of each picture begins, seconds, as the stage will sample the record."""
    return grid_starts(record["seconds"], rate_seen(record, script_args), script_args.video_units)


def rate_seen(record: Record, script_args: StageArguments) -> float:
    """Return the frames a second that the stage will sample a record at."""
    training = not isinstance(script_args, GRPOArguments)
    return rate_of(record, parse_policy(script_args.frame_rate), budget=script_args.frame_budget, training=training)


def with_boxes(record: Record) -> Record:
    """Return a temporal record with the whole picture as the box of each of its seconds; any other as it is."""
    if not is_temporal(record):
        return record
    seconds = [second for first, last in events_of(record) for second in range(first, last + 1)]
    track: list[State] = [{"second": second, "box": [0.0, 0.0, 1.0, 1.0]} for second in seconds]
    return record | {"task": None, "label": record["label"] or "target-1", "track": track}


def _records(script_args: StageArguments) -> Iterator[Record]:
    for path in script_args.tracks:
        for number, record in enumerate(read_records(path)):
            if number == script_args.max_records:
                break
            if script_args.max_seconds is None or (record["seconds"] or 0) <= script_args.max_seconds:
                yield record


def _keep(heap: list[tuple[int, int, Record]], size: int, number: int, record: Any, *, most: int) -> None:
    heapq.heappush(heap, (size, number, record))
    if len(heap) > most:
        heapq.heappop(heap)


class Texts:
    """Prompts and answers of records in tokens, as the stage will make them."""

    def __init__(self, script_args: StageArguments, family: Family, grid: int, processor: Any) -> None:
        self.settings, self.family, self.grid, self.processor = script_args, family, grid, processor
        self.prompts = load_prompts(script_args.prompts)
        self.control = control_tokens(processor.tokenizer)

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(self, record: Record) -> tuple[str, tuple[int, int]]:
        """Return the true completion of a record, and the scale (x, y) of its boxes.

        Of a temporal record nobody knows the boxes: they are the whole picture, in an answer as long as a true one.
        """
        scale = self.family.box_scale(size_of(record, self.grid, self.settings.max_frame_pixels))
        return completion_text(with_boxes(record), self.family, scale, self.control), scale

    def completion(self, record: Record) -> str:
        """Return the true completion of a record."""
        return self.answer(record)[0]

    def answer_tokens(self, record: Record) -> int:
        """Return the number of tokens of a record's true answer without reasoning."""
        return self.count(self.completion(record | {"reasoning": ""}))

    def messages(self, record: Record) -> list[dict[str, Any]]:
        """Return the messages of a record's prompt: the user's turn."""
        starts = starts_of(record, self.settings)
        size = size_of(record, self.grid, self.settings.max_frame_pixels)
        pairs = self.settings.video_units == PAIRS
        shown = Shown(BoxFormat(unit=self.family.coordinates), size, "video" if pairs else "timed")
        text = question(record, self.prompts, self.control, shown)
        return [user_message(starts, text, "frames" if pairs else "timed")]

    def rendered(self, record: Record, *, completion: bool) -> str:
        """Return the prompt, with the completion if asked for, as the chat template writes them."""
        messages = self.messages(record)
        if completion:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": self.completion(record)}]})
        text: str = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=not completion)
        return text

    def measure(self, record: Record, answer: int | None) -> Sample:
        """Return the number of tokens of a record's parts.

        Args:
            answer: tokens that are set aside for the answer; None takes the length of the true one.
        """
        frames = len(starts_of(record, self.settings))
        width, height = size_of(record, self.grid, self.settings.max_frame_pixels)
        rendered = self.rendered(record, completion=False)
        if self.settings.video_units == PAIRS:  # a token a grid, and what the family writes around it
            written = spelled(self.processor, frames, rate_seen(record, self.settings))
            rendered = rendered.replace(self.family.video_token, written)
        text = self.count(rendered) - frames
        images = frames * (width // self.grid) * (height // self.grid)
        given = self.count(self.completion(record)) if answer is None else answer
        return Sample(record["id"], record["seconds"], images, text, given)


def skeleton(config: Any) -> tuple[dict[str, tuple[int, int]], int, int]:
    """Return (linear layer -> its two sizes, number of weights, of the vision tower's) without memory for weights."""
    model = model_without_memory(config)
    parts = count_weights(model).all
    return linear_layers(model), sum(parts.values()), parts["vision"] + parts["projector"]
