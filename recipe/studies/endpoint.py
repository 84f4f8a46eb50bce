"""Ask the systems of table 1 that live behind an OpenAI-compatible endpoint, once a record, and count their tokens."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from recipe.cli import check_keys
from recipe.evaluate import EvalArguments
from recipe.inference.answer_key import AnswerKey, key_of
from recipe.inference.backends import Decoding, Server, openai_server
from recipe.inference.ground_file import ground_file, tokens_of
from recipe.inference.grounding import Policy
from recipe.inference.request import RequestForm
from recipe.inputs.families import FAMILIES
from stvg_rewards.prompts.box_format import BoxFormat


@dataclass(frozen=True)
class Endpoint:
    """A served model.

    Attributes:
        model: its name at the endpoint.
        base_url: such as https://host/v1.
        key: the environment variable that holds the key; "" where none is asked for.
        family: row of the families' table whose coordinates and tags the model uses; most are told to use 0 to 1000.
        box_order, box_unit: order of a box's numbers (xyxy, yxyx, xywh) and their unit (thousandths, pixels of the
            frame shown, unit: 0 to 1) that the prompt asks for; the unit is the family's where none is given.
        media: png, jpeg, video_url or video_file: see `RequestForm`.
        timestamps: whether the time of each frame stands in the text before it.
        openai_only: whether it refuses sampling settings that OpenAI's own API does not know, as some hosted ones do.
        workers: requests at a time.
        dollars_in, dollars_out: price of a million tokens asked and answered; without them only tokens are stated.

    Raises:
        ValueError: No worker, or an unknown family, order, unit or media.
    """

    model: str
    base_url: str
    key: str = ""
    family: str = "glm4v"
    box_order: str = "xyxy"
    box_unit: str = ""
    media: str = "png"
    timestamps: bool = True
    openai_only: bool = False
    workers: int = 4
    dollars_in: float | None = None
    dollars_out: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.workers, int) or self.workers < 1:
            raise ValueError(f"workers is {self.workers!r}, expected a whole number above 0")
        if self.family not in tuple(FAMILIES):
            raise ValueError(f"family is {self.family!r}, expected one of {', '.join(FAMILIES)}")
        RequestForm(self.media, self.timestamps, self.boxes)

    @property
    def boxes(self) -> BoxFormat:
        """Return order and unit that boxes are asked for in."""
        return BoxFormat(self.box_order, self.box_unit or FAMILIES[self.family].coordinates)

    @property
    def form(self) -> RequestForm:
        """Return what the model is shown, and how."""
        return RequestForm(self.media, self.timestamps, self.boxes)

    def server(self) -> Server:
        """Return the server with the key of this process's environment."""
        api_key = os.environ.get(self.key, "") if self.key else ""
        return Server(self.base_url, api_key, self.family, openai_only=self.openai_only, form=self.form)

    def unusable(self) -> str:
        """Return why the endpoint cannot be asked, or an empty string."""
        if self.key and not os.environ.get(self.key):
            return f"no key in ${self.key}"
        return ""


def read_endpoint(where: str, settings: Any) -> Endpoint:
    """Return the endpoint that a system's `api` settings describe.

    Raises:
        ValueError: No mapping, an unknown or missing key, no worker, or a family or form of request that is unknown.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where}: api is {settings!r}, expected settings by name")
    check_keys(f"{where}: api", settings, {field.name for field in fields(Endpoint)}, ("model", "base_url"))
    try:
        return Endpoint(**settings)
    except ValueError as error:
        raise ValueError(f"{where}: api: {error}") from None


POLICY = Policy(smooth=False)  # the evaluation smooths where it is asked to


def key_of_endpoint(args: EvalArguments, endpoint: Endpoint) -> AnswerKey:
    """Return what the endpoint's answers depend on.

    Raises:
        StageError: There is no such track file.
    """
    return key_of(
        endpoint.model,
        args.frames_seen(),
        tracks=args.tracks,
        backend="openai",
        base_url=endpoint.base_url,
        family=endpoint.family,
        boxes=str(endpoint.boxes),
        media=endpoint.media,
        timestamps=endpoint.timestamps,
        temperature=args.temperature,
        max_new_tokens=args.max_new_tokens,
        openai_only=endpoint.openai_only,
        **POLICY.settings(),
    )


def ask(args: EvalArguments, endpoint: Endpoint) -> dict[str, Any]:
    """Write `args.predictions`: one answer a record, on from where an earlier call stopped.

    Records that the endpoint refuses are named on stderr and have no line, so they count 0.

    Returns:
        Tokens of all answers, and dollars where prices are known.

    Raises:
        StageError: The endpoint cannot be reached, or refuses from the start.
        InUse: Another process asks for the same answers.
    """
    assert args.predictions is not None
    decoding = Decoding(args.temperature, args.max_new_tokens)
    out = Path(args.predictions)
    if not endpoint.unusable():
        _, failed = ground_file(
            Path(args.tracks),
            Path(args.video_root),
            out,
            lambda usage: openai_server(args.frames_seen(), endpoint.model, decoding, endpoint.server(), usage),
            POLICY,
            key=key_of_endpoint(args, endpoint),
            workers=endpoint.workers,
            limit=args.limit,
        )
        for line in failed[:10]:
            print(f"not answered: {line}", file=sys.stderr)
    spent = tokens_of(out)
    totals: dict[str, Any] = {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens}
    if endpoint.dollars_in is not None and endpoint.dollars_out is not None:
        dollars = spent.prompt_tokens * endpoint.dollars_in + spent.completion_tokens * endpoint.dollars_out
        totals["dollars"] = round(dollars / 1e6, 4)
    return totals


def cost(result: Mapping[str, Any]) -> str:
    """Return what a cell of the table cost, in words."""
    spent = result.get("cost") or {}
    parts = [f"{spent.get('seconds', 0)} s"]
    if "prompt_tokens" in spent:
        parts.append(f"{spent['prompt_tokens']} tokens asked, {spent['completion_tokens']} answered")
        parts.append(f"${spent['dollars']:.2f}" if "dollars" in spent else "price not stated")
    return ", ".join(parts)
