"""Check what rows of the stage's data really teach, and whether prompts are the ones that generation sends.

Everything is taken through the stage's own processor and, for CPT and SFT, TRL's collator: a chat template that writes
an answer otherwise than it was meant trains without an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from transformers import GenerationConfig
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from data_prep.events import events_of, has_no_target, is_temporal
from data_prep.records import Record
from data_prep.video.sampling import VideoError
from recipe.checks.findings import Finding, refuse
from recipe.inference.generation import prompt_inputs, unexpanded_ids
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.loading import row_builder
from recipe.rollouts.vllm import collapse_runs

SHOWN = 60  # characters of a text that a finding quotes from each side


@dataclass(frozen=True)
class Taught:
    """What one row becomes: ids of the prompt and of the labelled tokens; no labels where only prompts are trained on.

    Attributes:
        kind: such as "declarative with reasoning".
        completion: the answer that the row is meant to teach; "" for a prompt.
        sent: ids of the prompt that generation sends, pictures expanded.
        sent_to_vllm: the same as vLLM gets it, each picture or the video one token.
    """

    kind: str
    record: str
    prompt: list[int]
    labels: list[int]
    completion: str
    sent: list[int]
    sent_to_vllm: list[int]


def kind_of(record: Record) -> str:
    """Return which kind of row a record becomes.

    >>> kind_of({"kind": "scene", "reasoning": "Two of them."}), kind_of({"kind": "qa"})
    ('scene with reasoning', 'qa')
    >>> kind_of({"schema": 2, "kind": "declarative", "no_target": True})
    'declarative without a target'
    """
    form = " of several events" if len(events_of(record)) > 1 else ""
    form = " without a target" if has_no_target(record) else " without boxes" if is_temporal(record) else form
    return f"{record['kind']}{form}{' with reasoning' if record.get('reasoning') else ''}"


def rows_of_kinds(kinds: Mapping[str, Sequence[Record]], builder: RowBuilder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each kind and the row of its shortest record whose frames can be decoded, if it has one."""
    for kind, records in sorted(kinds.items()):
        for record in sorted(records, key=lambda one: one["seconds"] or float("inf")):
            if builder.clips.fault(record) is not None:
                continue
            try:
                row = builder.row(record)
            except VideoError:  # the stage says so of every such record when it comes to it
                continue
            yield kind, row
            break


def taught(processor: Any, kind: str, row: dict[str, Any], template_kwargs: Mapping[str, Any]) -> Taught:
    """Take a row through TRL's collator (with a completion) or TRL's way to a prompt (without).

    Args:
        template_kwargs: GRPO's own for the chat template.
    """
    sent = [int(one) for one in prompt_inputs(processor, [row])["input_ids"][0]]
    vllm = unexpanded_ids(processor, row)
    if "completion" not in row:
        prompt = [int(one) for one in prompt_inputs(processor, [row], **template_kwargs)["input_ids"][0]]
        return Taught(kind, row["id"], prompt, [], "", sent, vllm)
    collator = DataCollatorForVisionLanguageModeling(processor=processor, completion_only_loss=True)
    batch = collator([deepcopy({name: row[name] for name in ("prompt", "completion", "images")})])
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    first = next((index for index, label in enumerate(labels) if label != -100), len(labels))
    completion = row["completion"][0]["content"]
    return Taught(kind, row["id"], ids[:first], [one for one in labels if one != -100], completion, sent, vllm)


def rows_taught(
    script_args: StageArguments,
    training_args: Any,
    kinds: Mapping[str, Sequence[Record]],
    config: Any,
    processor: Any,
) -> Iterator[Taught]:
    """Yield what one row of each kind in the stage's data teaches.

    Args:
        kinds: records by kind of row.
    """
    grpo = isinstance(script_args, GRPOArguments)
    builder = row_builder(script_args, SimpleNamespace(config=config), processor, completions=not grpo)
    kwargs = (training_args.chat_template_kwargs or {}) if grpo else {}
    for kind, row in rows_of_kinds(kinds, builder):
        yield taught(processor, kind, row, kwargs)


def labels_are_the_completion(
    row: Taught, ends: Collection[int], decode: Callable[[Sequence[int]], str]
) -> list[Finding]:
    """Check that the labels are exactly the completion and one end token; text after that token is never generated.

    Args:
        ends: ids that generation stops at.
        decode: ids -> text, special tokens kept.
    """
    if not row.completion:
        return []
    text, names = decode(row.labels), sorted(decode([end]) for end in ends)
    rest = text.removeprefix(row.completion)
    counted = sum(label in ends for label in row.labels)
    if text.startswith(row.completion) and rest.rstrip() in names and counted == 1:
        return []
    return [
        refuse(
            "labels",
            f"record {row.record} ({row.kind}): the labels decode to {_short(text)}, expected the completion "
            f"{_short(row.completion)} and one end token of the model's ({', '.join(names)}); the chat template "
            "writes it so: leave it to the family's in recipe/inputs/templates, or mend it",
        )
    ]


def prompts_are_the_same(
    row: Taught,
    image_token_id: int,
    decode: Callable[[Sequence[int]], str],
    collapsed: Sequence[int] | None = None,
) -> list[Finding]:
    """Check that the prompt of training is the one that evaluation sends, and the one that vLLM gets.

    Args:
        collapsed: the prompt that is sent, its video one token (`NativeVideoProcessor.unexpanded`); None: it has
            pictures, of which each becomes one token.
    """
    findings = []
    collapsed = collapse_runs(row.sent, image_token_id) if collapsed is None else collapsed
    for name, ours, theirs in (
        ("generation sends", row.prompt, row.sent),
        ("vLLM gets", collapsed, row.sent_to_vllm),
    ):
        if list(ours) == list(theirs):
            continue
        pairs = zip(ours, theirs, strict=False)
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
        before = max(first - 8, 0)
        findings.append(
            refuse(
                "prompts",
                f"record {row.record} ({row.kind}): the prompt that {name} differs from token {first} of {len(ours)}: "
                f"{_short(decode(theirs[before:]))}, expected {_short(decode(ours[before:]))}; the chat template "
                "must write a prompt in one way, with and without an answer after it",
            )
        )
    return findings


def end_ids(name: str, config: Any) -> set[int]:
    """Return the ids that a checkpoint's generation stops at, as transformers reads them."""
    try:
        ids = GenerationConfig.from_pretrained(name).eos_token_id
    except OSError:
        ids = GenerationConfig.from_model_config(config).eos_token_id
    return set(ids if isinstance(ids, list) else [] if ids is None else [ids])


def folded(text: str, image_token: str) -> str:
    """Return a text in which each run of a picture's tokens is written once, with their number.

    >>> folded("0s<|image|><|image|><|image|>Who?", "<|image|>")
    '0s<|image|> x 3 Who?'
    """
    token = re.escape(image_token)
    return re.sub(f"(?:{token})+", lambda run: f"{image_token} x {run.group().count(image_token)} ", text)


def _short(text: str) -> str:
    whole = text if len(text) <= 2 * SHOWN + 5 else f"{text[:SHOWN]} ... {text[-SHOWN:]}"
    return repr(whole)
