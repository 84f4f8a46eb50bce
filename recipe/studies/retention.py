"""Score a checkpoint's answers to general questions by topic, to see whether that ability is kept (section 4.2).

    python -m recipe.studies.retention --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/retention.yaml --model runs/tiny/sft --out q.json

For the synthetic source's questions about colour, count and order; the benchmark's own scorer is
recipe.evaluation.videomme.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import check_outputs
from data_prep.records import Record, read_records
from recipe.cli import Parser, run
from recipe.evaluate import EvalArguments, answers_of_model

TOPICS = ("colour", "count", "order")


def topic(question: str) -> str:
    """Return what a synthetic question is about.

    >>> [topic(text) for text in ("how many shapes are there?", "which colour comes first?", "what colour is it?")]
    ['count', 'order', 'colour']
    """
    if question.startswith("how many"):
        return "count"
    return "order" if "first" in question else "colour"


def plain(text: str) -> str:
    """Return an answer in lower case, without its reasoning, tags and final full stop.

    >>> plain("<think>two of them</think><answer> Red. </answer>")
    'red'
    """
    answer = text.rpartition("</think>")[2]
    for tag in ("<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>"):
        answer = answer.replace(tag, "")
    return answer.strip().rstrip(".").casefold()


def right(records: Sequence[Mapping[str, Any]], answers: Mapping[str, str]) -> list[float]:
    """Return 1 for each question that was answered as annotated, else 0; a missing answer is wrong."""
    return [float(plain(answers.get(record["id"], "")) == plain(record["answer"])) for record in records]


def accuracy(records: Sequence[Mapping[str, Any]], answers: Mapping[str, str]) -> dict[str, float]:
    """Return the share of right answers in [0, 1], of all and by topic, with `n` and `floor`.

    `floor` is what a model reaches that knows the answers' distribution of each topic and never looks.
    """
    scores = right(records, answers)
    shares: dict[str, float] = {"all": sum(scores) / len(scores), "n": len(records)}
    best = 0
    for name in TOPICS:
        members = [index for index, record in enumerate(records) if topic(record["query"]) == name]
        if members:
            shares[name] = sum(scores[index] for index in members) / len(members)
            true = [plain(records[index]["answer"]) for index in members]
            best += max(map(true.count, set(true)))
    return shares | {"floor": best / len(records)}


def questions_of(path: str, limit: int | None = None) -> list[Record]:
    """Return the question records of a file.

    Raises:
        StageError: There are none.
    """
    questions = [record for record in read_records(path) if record["kind"] == "qa"][:limit]
    if not questions:
        raise StageError(f"{path}: no question in it, expected records of kind qa")
    return questions


def answer(args: EvalArguments, checkpoint: Path) -> dict[str, str]:
    """Return a checkpoint's greedy answers, id -> text; answers that its folder already holds are reused."""
    out = str(checkpoint / "eval" / "questions.json")
    (answers,), _ = answers_of_model(replace(args, model=str(checkpoint), out=out, repeats=1, temperature=0.0))
    return answers


def main(args: EvalArguments) -> dict[str, float]:
    """Answer the questions, then score, write and print."""
    if not args.model:
        raise StageError("--model is missing: the checkpoint that answers")
    check_outputs({"--out": Path(args.out)}, [args.tracks, args.model])
    shares = accuracy(questions_of(args.tracks, args.limit), answer(args, Path(args.model)))
    with atomic_write(args.out) as stream:
        json.dump(shares, stream, indent=1)
    print(json.dumps(shares))
    return shares


def parse(args: list[str] | None = None) -> tuple[EvalArguments, ...]:
    """Return the settings from --config YAML and the command line (which wins); an unknown key is an error."""
    return Parser((EvalArguments,), "eval").parse_args_and_config(args)


if __name__ == "__main__":
    run(parse, main)
