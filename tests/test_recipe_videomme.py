"""Video-MME-v2's two scores on made-up rows, by hand, in both readings."""

import json

import pytest

from data_prep.stages import StageError
from recipe.evaluation.videomme import logic_score, main, parse, relevance_score, score

CHAIN, MIDDLE, FIRST = "[1,2,3,4]", "[1, [2, 3], 4]", "[[1,2],3,4]"


@pytest.mark.parametrize(
    ("scores", "value", "remark"),
    [
        ([0, 0, 0, 0], 0, "none"),
        ([0, 1, 0, 0], 1 / 16, "one"),
        ([1, 0, 1, 0], 4 / 16, "two, anywhere"),
        ([1, 1, 0, 1], 9 / 16, "three"),
        ([1, 1, 1, 1], 1, "all"),
        ([1, 1, 1, -1], 4 / 16, "the quirk: three right and one unread are two"),
        ([-1, 0, 0, 0], 0, "below none"),
    ],
)
def test_relevance(scores, value, remark):
    assert relevance_score(scores) == pytest.approx(value), remark


@pytest.mark.parametrize(
    ("structure", "scores", "value", "remark"),
    [
        (CHAIN, [1, 1, 0, 1], 4 / 16, "two before the first miss"),
        (CHAIN, [0, 1, 1, 1], 0, "the first is missed"),
        (CHAIN, [-1, -1, -1, -1], 1, "the quirk: unread counts as right"),
        (MIDDLE, [1, 1, 1, 0], 7 / 12, "three"),
        (MIDDLE, [1, 0, 1, 1], 4 / 12, "the third stands for the second, and the fourth is not reached"),
        (MIDDLE, [1, 0, 0, 1], 1 / 12, "one"),
        (MIDDLE, [0, 0, 1, 1], 0, "not without the first"),
        (FIRST, [0, 1, 1, 1], 1 / 10, "the second stands for the first"),
        (FIRST, [1, 1, 0, 0], 2 / 10, "two"),
        (FIRST, [1, 1, 1, 1], 1, "all"),
    ],
)
def test_logic(structure, scores, value, remark):
    assert logic_score(scores, structure) == pytest.approx(value), remark


def test_another_structure_is_named():
    with pytest.raises(ValueError, match=r"group_structure '\[4,3\]', expected one of"):
        logic_score([1, 1, 1, 1], "[4,3]")


def rows(video, kind, structure=None, level=1):
    return [
        {
            "video_id": video, "question_id": f"{video}-{n}", "answer": "A", "level": level if n == 4 else None,
            "second_head": None, "third_head": "order" if n == 4 else "other", "group_type": kind,
            "group_structure": structure,
        }
        for n in (2, 1, 4, 3)
    ]  # fmt: skip


ROWS = rows("001", "relevance") + rows("002", "logic", CHAIN, level=3)
ANSWERS = {"001-1": "A", "001-2": "A", "001-3": "A", "001-4": "no idea", "002-1": "A", "002-2": "", "002-3": "B"}


def test_both_readings_by_hand():
    ours = score(ROWS, ANSWERS, "corrected")
    # Relevance 3 right: 9/16. Logic: one, then a miss: 1/16. Plain: 4 of 8.
    assert ours["relevance"] == pytest.approx(9 / 16)
    assert ours["logic"] == pytest.approx(1 / 16)
    assert ours["non_linear"] == ours["third_head: order"] == pytest.approx(5 / 16)
    assert (ours["plain"], ours["level_1"], ours["level_3"]) == (0.5, pytest.approx(9 / 16), pytest.approx(1 / 16))
    assert "third_head: other" not in ours, "the last question's head is the group's"
    theirs = score(ROWS, ANSWERS, "official")
    # Relevance 3 - 1 = 2: 4/16. Logic: right, unread (right), wrong: 4/16. Plain: 4 of the 5 that name an option.
    assert theirs["relevance"] == pytest.approx(4 / 16)
    assert theirs["logic"] == pytest.approx(4 / 16)
    assert theirs["plain"] == pytest.approx(4 / 5)


def test_the_readings_read_letters_differently():
    answers = {row["question_id"]: "Based on the frames, the answer is A." for row in ROWS}
    assert score(ROWS, answers, "corrected")["plain"] == 1
    assert score(ROWS, answers, "official")["plain"] == 0, "the benchmark's rule takes B out of Based"


def test_a_video_with_three_questions():
    with pytest.raises(StageError, match="video 001: 3 questions, expected 4"):
        score(ROWS[:3], {}, "corrected")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_command(tmp_path, capsys, suffix):
    questions = tmp_path / f"test.{suffix}"
    if suffix == "jsonl":
        questions.write_text("\n".join(json.dumps(row) for row in ROWS))
    else:
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(ROWS), questions)
    lines = [json.dumps({"id": name, "answer": text}) for name, text in ANSWERS.items()] + [
        '{"id": "x", "answer": "A"}'
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    words = [
        "--questions",
        str(questions),
        "--predictions",
        str(tmp_path / "p.jsonl"),
        "--out",
        str(tmp_path / "o.json"),
    ]
    main(*parse(words))
    said = capsys.readouterr()
    assert "corrected: non-linear 31.2 %, plain 50.0 %" in said.out
    assert "1 unknown ids: x" in said.err
    assert "1 missing ids: 002-4" in said.err
    result = json.loads((tmp_path / "o.json").read_text())
    assert (result["n"], result["without_a_letter"]) == (8, 3)
    with pytest.raises(StageError, match="no.jsonl: no such file, or no answer in it to any of the 8 questions"):
        main(*parse([*words[:3], str(tmp_path / "no.jsonl")]))


def log_lines():
    """What lmms-eval 0.7 writes a question: no `doc`, and the question's id among the metrics."""
    for number, row in enumerate(ROWS):
        name = row["question_id"]
        score = {"video_id": row["video_id"], "question_id": name, "pred_answer": "A", "score": 1}
        line = {"doc_id": number, "target": "A", "filtered_resps": ANSWERS.get(name, ""), "token_counts": [None]}
        if name == "001-1":  # with reasoning that a filter took away
            line |= {"resps": ["<think>B is wrong</think>A"], "filtered_resps": "A"}
        yield line | {"videomme_v2_overall_score": score, "videomme_v2_overall_acc": score}


def test_the_log_of_lmms_eval_scores_the_same(tmp_path, capsys):
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    lines = [json.dumps(line) for line in log_lines()]
    log = tmp_path / "20261125_samples_videomme_v2.jsonl"
    log.write_text("\n".join([*lines, lines[0], '{"doc_id": 9, "filtered_resps": "A"}', "[1]", lines[1][:50]]))
    words = ["--questions", str(tmp_path / "q.jsonl"), "--predictions", str(log), "--out", str(tmp_path / "o.json")]
    main(*parse(words))
    result = json.loads((tmp_path / "o.json").read_text())
    for reading in ("corrected", "official"):
        assert {key: result[reading][key] for key in ("plain", "non_linear")} == {
            key: value for key, value in score(ROWS, ANSWERS, reading).items() if key in ("plain", "non_linear")
        }
    assert result["input"]["broken_lines"] == 3
    assert result["input"]["duplicate_ids"] == 1
    assert "3 broken lines" in capsys.readouterr().err
