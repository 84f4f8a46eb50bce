"""Score answers to Video-MME-v2 from a predictions file: grouped non-linear accuracy and plain accuracy.

    python -m recipe.evaluation.videomme --questions test.parquet --predictions answers.jsonl --out videomme.json

Questions: the benchmark's own table (Parquet) or the same columns as JSONL. Predictions: `{"id": question_id,
"answer": "raw model text"}` a line, or the sample log of lmms-eval's tasks `videomme_v2*`. Two readings are given.
`corrected`: the letter is read by `option_letter`, and an answer without one is wrong. `official`: the letter is read
by the benchmark's rule, and an answer without one scores -1 as in its script, which takes one from a relevance group's
sum, counts as right in a logic group, and is left out of plain accuracy.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import check_outputs
from recipe.cli import OneLineParser, run
from recipe.evaluation.lmms_eval_log import is_log, read_log
from recipe.evaluation.option_letter import official_letter, option_letter
from recipe.evaluation.submission import problems, read_submission

COLUMNS = ("video_id", "question_id", "answer", "level", "second_head", "third_head", "group_type", "group_structure")
READINGS = ("corrected", "official")
GROUP = 4  # questions a video
# Score by number right (relevance) or by length of the right beginning (logic, by its structure).
RELEVANCE = (0.0, 1 / 16, 4 / 16, 9 / 16, 1.0)
LOGIC = {
    "[1,2,3,4]": (0.0, 1 / 16, 4 / 16, 9 / 16, 1.0),
    "[1,[2,3],4]": (0.0, 1 / 12, 4 / 12, 7 / 12, 1.0),
    "[[1,2],3,4]": (0.0, 1 / 10, 2 / 10, 5 / 10, 1.0),
}
# A step of two questions may also be taken at its second one: (right ones before it, that question).
_SECOND_OF_TWO = {"[1,[2,3],4]": (1, 2), "[[1,2],3,4]": (0, 1)}


def relevance_score(scores: Sequence[int]) -> float:
    """Score of four questions that belong together; scores 1, 0 or (official) -1.

    >>> relevance_score([1, 1, 1, 0]), relevance_score([1, 1, 1, -1])
    (0.5625, 0.25)
    """
    right = sum(scores)
    return RELEVANCE[right] if right >= 0 else 0.0


def logic_score(scores: Sequence[int], structure: str) -> float:
    """Score of four questions of which each builds on the ones before; -1 counts as right (official).

    >>> logic_score([1, 1, 0, 1], "[1, 2, 3, 4]"), logic_score([1, 0, 1, 1], "[1, [2, 3], 4]")
    (0.25, 0.3333333333333333)

    Raises:
        ValueError: Another structure.
    """
    try:
        name = str(ast.literal_eval(structure)).replace(" ", "")
    except (ValueError, SyntaxError):
        name = structure
    if name not in LOGIC:
        raise ValueError(f"group_structure {structure!r}, expected one of {', '.join(LOGIC)}")
    right = next((index for index, score in enumerate(scores) if not score), len(scores))
    before, question = _SECOND_OF_TWO.get(name, (-1, 0))
    if right == before and scores[question]:
        right += 1
    return LOGIC[name][right]


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read the benchmark's rows.

    Raises:
        StageError: No such file, or rows without the columns.
    """
    if not path.is_file():
        raise StageError(f"{path}: no such file; --questions is the benchmark's test.parquet or its rows as JSONL")
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows = parquet.read_table(path, columns=list(COLUMNS)).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows):
        missing = [name for name in COLUMNS if name not in row]
        if missing:
            raise StageError(f"{path}: row {number} has no {', '.join(missing)}")
    return rows


def groups_of(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group the rows by video, each group in the order of its questions.

    Raises:
        StageError: A video has another number of questions than four.
    """
    by_video: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_video.setdefault(str(row["video_id"]), []).append(row)
    for video, group in by_video.items():
        if len(group) != GROUP:
            raise StageError(f"video {video}: {len(group)} questions, expected {GROUP}")
        group.sort(key=lambda row: int(str(row["question_id"]).rpartition("-")[2]))
    return list(by_video.values())


def score(rows: Sequence[dict[str, Any]], answers: dict[str, str], reading: str) -> dict[str, Any]:
    """Return scores in [0, 1] under one reading of the answers.

    Args:
        answers: question_id -> raw text.

    Returns:
        `non_linear` (mean of the groups' scores), `plain` (share of right answers), the groups' means by type and, of
        the last question of each group, by level and head.
    """
    letter = official_letter if reading == "official" else option_letter
    by_part: dict[str, list[float]] = {}
    plain: list[int] = []
    for group in groups_of(rows):
        letters = [letter(answers.get(str(row["question_id"]), "")) for row in group]
        unread = -1 if reading == "official" else 0
        scores = [
            int(chosen == row["answer"]) if chosen else unread for chosen, row in zip(letters, group, strict=True)
        ]
        plain += [one for one in scores if one >= 0]
        last = group[-1]
        if last["group_type"] not in ("relevance", "logic"):
            raise StageError(
                f"video {last['video_id']}: group_type {last['group_type']!r}, expected relevance or logic"
            )
        is_logic = last["group_type"] == "logic"
        value = logic_score(scores, str(last["group_structure"])) if is_logic else relevance_score(scores)
        names = ["non_linear", str(last["group_type"])]
        names += [f"level_{last['level']}"] if str(last["level"]) != "None" else []
        names += [f"{head}: {last[head]}" for head in ("second_head", "third_head") if str(last[head]) != "None"]
        for name in names:
            by_part.setdefault(name, []).append(value)
    means = {name: sum(values) / len(values) for name, values in sorted(by_part.items())}
    return {"plain": sum(plain) / len(plain) if plain else 0.0} | means


def score_file(questions: Path, predictions: Path) -> dict[str, Any]:
    """Score a file under both readings; count the problems of the file and print them to stderr.

    Raises:
        StageError: No such file, or one without an answer to any question.
    """
    rows = read_questions(questions)
    submission = read_log(predictions) if is_log(predictions) else read_submission(predictions)
    ids = [str(row["question_id"]) for row in rows]
    listed = problems(submission, ids, set(ids))
    answers = {name: text for name, text in submission.predictions.items() if isinstance(text, str)}
    if not answers.keys() & set(ids):
        raise StageError(f"{predictions}: no such file, or no answer in it to any of the {len(ids)} questions")
    for problem, names in listed.items():
        if names:
            print(f"{predictions}: {len(names)} {problem.replace('_', ' ')}: {names[0]}, ...", file=sys.stderr)
    result: dict[str, Any] = {reading: score(rows, answers, reading) for reading in READINGS}
    result["n"] = len(rows)
    result["without_a_letter"] = sum(not option_letter(answers.get(name, "")) for name in ids)
    result["input"] = {name: len(names) for name, names in listed.items()}
    return result


def main(args: argparse.Namespace) -> None:
    """Score, print and write.

    Raises:
        StageError: `--out` is one of the files that are read, or see `score_file`.
    """
    check_outputs({"--out": args.out}, [args.questions, args.predictions])
    result = score_file(args.questions, args.predictions)
    with atomic_write(args.out) as stream:
        json.dump(result, stream, indent=1)
    for reading in READINGS:
        values = result[reading]
        print(f"{reading}: non-linear {100 * values['non_linear']:.1f} %, plain {100 * values['plain']:.1f} %")
    print(f"{result['without_a_letter']} of {result['n']} answers name no option; {args.out}")


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command line."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, required=True, help="test.parquet, or its rows as JSONL")
    parser.add_argument(
        "--predictions", type=Path, required=True, help='JSONL of {"id": question_id, "answer"}, or a sample log'
    )
    parser.add_argument("--out", type=Path, default=Path("videomme.json"), help="scores (JSON)")
    return (parser.parse_args(argv),)


if __name__ == "__main__":
    run(parse, main)
