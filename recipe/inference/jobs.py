"""What an engine does: a model, and how a unit of work is answered with it.

A job is pickled into the processes of `recipe.inference.engines`, and its `answer` runs in this one too where one
process is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.identity import text_digest
from data_prep.records import Record
from recipe.inference.backends import Answerer, Decoding, hugging_face, vllm_in_process
from recipe.inference.engines import Engines
from recipe.inference.ground_file import ask_record
from recipe.inference.grounding import Policy
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import RowBuilder
from recipe.rollouts.vllm import check_installed

AT_ONCE = 32  # prompts that vLLM gets together; twice as many clips are in memory: 36 MB a minute of 448 x 448


@dataclass(frozen=True)
class Asked:
    """A checkpoint and how it is asked.

    Attributes:
        backend: "hf" or "vllm".
    """

    script_args: StageArguments
    model: str
    decoding: Decoding
    backend: str = "hf"

    @property
    def together(self) -> int:
        """Units that the model answers together: a batch of Hugging Face's is one as it is."""
        return AT_ONCE if self.backend == "vllm" else 1

    @property
    def in_hand(self) -> int:
        """Units that an engine has at a time: while some are answered, the clips of others are decoded."""
        return 2 * self.together

    def load(self) -> tuple[RowBuilder, Answerer]:
        """Return the row builder and the answerer; the model is loaded.

        Raises:
            StageError: See `recipe.inference.backends`.
        """
        make = vllm_in_process if self.backend == "vllm" else hugging_face
        return make(self.script_args, self.model, self.decoding)


@dataclass(frozen=True)
class Batch:
    """Records that are asked about together, and how they are sampled.

    Attributes:
        seed: of the batch as a whole, or of each record together with its id.
        own: whether each record has a seed of its own, so that its answer does not depend on the others.
    """

    records: Sequence[Record]
    seed: int
    own: bool

    def sampling(self, record: Record) -> dict[str, int]:
        """Return what a record's row says about its sampling."""
        if self.own:
            return {"seed": int(text_digest([self.seed, record["id"]])[:8], 16)}
        return {"batch_seed": self.seed}


@dataclass(frozen=True)
class AnswerBatches(Asked):
    """Answers to batches of records: a unit is a `Batch`, its result the texts."""

    def answer(self, builder: RowBuilder, answerer: Answerer, batch: Batch) -> list[str]:
        """Return the raw answer to each record of a batch."""
        return answerer([builder.row(record) | batch.sampling(record) for record in batch.records])


@dataclass(frozen=True)
class GroundRecords(Asked):
    """Groundings: a unit is a record, its result the fields of its line, or a StageError that says why not."""

    videos: Path = Path()
    policy: Policy = Policy()

    def answer(self, builder: RowBuilder, answerer: Answerer, record: Record) -> dict[str, Any] | StageError:
        """Ground a record's sentence."""
        found = ask_record(record, self.videos, builder, answerer, self.policy)
        return StageError(str(found)) if isinstance(found, Exception) else found


class InThisProcess:
    """The same as `Engines`, without any: the model is loaded here with the first unit."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self._loaded: tuple[RowBuilder, Answerer] | None = None

    def map(self, units: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (place among the units, result) of each unit in order."""
        for number, unit in enumerate(units):
            if self._loaded is None:
                self._loaded = self.job.load()
            yield number, self.job.answer(*self._loaded, unit)


@contextmanager
def engines_of(job: Any, count: int) -> Iterator[Engines | InThisProcess]:
    """Give what answers the units of a job: processes, or this one for a single model of Hugging Face.

    vLLM always gets a process: what its engine holds of a GPU is free for sure when that ends.

    Raises:
        StageError: vLLM is asked for and not installed.
    """
    if job.backend == "hf" and count == 1:
        yield InThisProcess(job)
        return
    if job.backend == "vllm":
        check_installed()
    with Engines(job, count) as engines:
        yield engines
