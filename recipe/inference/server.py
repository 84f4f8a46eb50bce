"""A served model: where it is, and what it means that it gave no answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from data_prep.errors import StageError
from recipe.inference.request import RequestForm


class Refused(StageError):
    """A server that may answer others gave this one request no answer: too long, or against its rules."""


class Unanswered(Refused):
    """All tries of this one request failed: errors of the server, no answer in time, or none that is an answer."""


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible endpoint.

    Attributes:
        base_url: such as http://localhost:8000/v1.
        api_key: "" where the server asks for none.
        family: row of the families' table that the served model belongs to, for its coordinates and tags.
        openai_only: whether it refuses settings that OpenAI's own API does not know (`top_k`, `min_p`,
            `repetition_penalty`), so that they are not stated.
        form: what it is shown, and how boxes are asked for.
        timeout_s: longest wait for one answer, all of it, seconds.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    family: str = "glm4v"
    timeout_s: float = 600.0
    openai_only: bool = False
    form: RequestForm = RequestForm()
