"""Ask vLLM once for each distinct prompt, for as many answers as there are copies of it.

TRL 1.16 hands a colocated vLLM every prompt `num_generations` times and asks each copy for one answer, so that the
pictures of a prompt are hashed and looked up once for each answer. Its server mode asks for `n` answers already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Prompt = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What TRL reads of one answer: the prompt as vLLM read it, and the answer as the only one of its request."""

    prompt_token_ids: Sequence[int]
    outputs: Sequence[Any]


class AskedOnce:
    """An engine's `generate` that gets each distinct prompt once.

    Args:
        generate: `LLM.generate`.
        media: what a prompt's pictures are to vLLM, from the list of them; applied to distinct prompts only.
    """

    def __init__(
        self, generate: Callable[..., Any], media: Callable[[list[Any]], dict[str, Any]] | None = None
    ) -> None:
        self.generate, self.media = generate, media

    def __call__(self, prompts: Sequence[Prompt], sampling_params: Any, **options: Any) -> list[Answer]:
        """Return an answer for each prompt, copies included, in order.

        Greedy decoding has one answer: it is asked for once and stands for every copy.
        """
        runs = runs_of_copies(prompts)
        sampling = []
        for _, copies in runs:
            one = sampling_params.clone()
            one.n = copies if sampling_params.temperature > 0 else 1
            sampling.append(one)
        distinct = [self._with_media(prompts[first]) for first, _ in runs]
        outputs = self.generate(distinct, sampling_params=sampling, **options)
        return [
            Answer(output.prompt_token_ids, [output.outputs[copy % len(output.outputs)]])
            for output, (_, copies) in zip(outputs, runs, strict=True)
            for copy in range(copies)
        ]

    def _with_media(self, prompt: Prompt) -> Prompt:
        """Return the prompt with its pictures as `media` makes them; TRL writes a list of one as the one picture."""
        pictures = prompt.get("multi_modal_data", {}).get("image")
        if self.media is None or pictures is None:
            return prompt
        return {**prompt, "multi_modal_data": self.media(pictures if isinstance(pictures, list) else [pictures])}


def runs_of_copies(prompts: Sequence[Prompt]) -> list[tuple[int, int]]:
    """Return (index of the first, number) of each run of neighbours that are one prompt: same ids, same pictures.

    >>> runs_of_copies([{"prompt_token_ids": [1]}, {"prompt_token_ids": [1]}, {"prompt_token_ids": [2]}])
    [(0, 2), (2, 1)]
    """
    runs: list[tuple[int, int]] = []
    for index, prompt in enumerate(prompts):
        if runs and _is_copy(prompt, prompts[runs[-1][0]]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _is_copy(prompt: Prompt, other: Prompt) -> bool:
    # Ids first: comparing pictures that are equal but not the same object reads all their pixels. TRL's own copies
    # are the same objects, except those that another process sent.
    return bool(prompt["prompt_token_ids"] == other["prompt_token_ids"]) and bool(
        prompt.get("multi_modal_data") == other.get("multi_modal_data")
    )
