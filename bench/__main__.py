"""Run the benches and write one Markdown table of what they measured, `build/bench.md`.

    python -m bench                      # make bench
    python -m bench --quick              # minutes
    python -m bench --only pixels sampler --again

Each bench is a process of its own. The table is written after each, so one that fails or is interrupted loses nothing
of the others, and a second call goes on: what was measured with the same code and sizes is not measured again. Those
that need vLLM run in `.venv-vllm` where `make install-vllm` has made it. The exit status is 1 where a bench failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bench.table import Row, read_rows, table_of

ROOT = Path(__file__).parent.parent
HELPERS = {"__main__", "table", "smoothing_kinds"}  # not benches
WITH_VLLM = {"native_video", "parity", "rollouts"}
CODE = ("bench", "recipe", "data_prep", "rewards/stvg_rewards")
TIMEOUT = 3600  # seconds of one bench


@dataclass(frozen=True)
class Place:
    """Where the measurements are kept.

    Attributes:
        page: the Markdown page; the rows of each bench lie in a folder of its name beside it.
        mode: what rows must have been measured with to be kept.
    """

    page: Path
    mode: dict[str, object]

    def rows(self, bench: str) -> Path:
        """Return the file of a bench's rows."""
        return self.page.with_suffix("") / f"{bench}.jsonl"

    def state(self, bench: str) -> Path:
        """Return the file that says how a bench ended."""
        return self.page.with_suffix("") / f"{bench}.json"

    def is_done(self, bench: str) -> bool:
        """Return whether a bench has ended well with this mode."""
        state = self.state(bench)
        return state.is_file() and json.loads(state.read_text()) == self.mode


def benches() -> list[str]:
    """Return the names of all benches."""
    return sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem not in HELPERS)


def code_digest(root: Path = ROOT) -> str:
    """Return what the code is known by: a digest of its files."""
    digest = hashlib.sha256()
    for path in sorted(path for room in CODE for path in (root / room).rglob("*") if path.is_file()):
        if path.suffix in (".py", ".yaml", ".txt", ".jinja"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def python_of(bench: str, root: Path = ROOT) -> str:
    """Return the interpreter for a bench: of the environment with vLLM where it needs one and there is one."""
    done = root / ".venv-vllm" / ".done"
    ready = done.is_file() and done.stat().st_size > 0
    return str(root / ".venv-vllm/bin/python") if bench in WITH_VLLM and ready else sys.executable


def run(bench: str, place: Place, quick: bool) -> bool:
    """Run a bench and keep its rows, and how it ended; return whether it ended well."""
    rows = place.rows(bench)
    rows.parent.mkdir(parents=True, exist_ok=True)
    for path in (rows, place.state(bench)):
        path.unlink(missing_ok=True)
    words = [python_of(bench), "-m", f"bench.{bench}", "--rows", str(rows.resolve())] + ["--quick"] * quick
    try:
        done = subprocess.run(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
        reason = None if done.returncode == 0 else f"exit status {done.returncode}: {last_line(done.stderr)}"
        sys.stderr.write(done.stderr)
    except subprocess.TimeoutExpired:
        reason = f"no end within {TIMEOUT} s"
    if reason is not None:
        with rows.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"bench": bench, "what": f"failed: {reason}"}) + "\n")
        return False
    place.state(bench).write_text(json.dumps(place.mode))
    return True


def last_line(text: str) -> str:
    """Return the last line of an error's text that says something, shortened."""
    return next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "no message")


def write_page(place: Place, names: Sequence[str], quick: bool) -> None:
    """Write the page of all rows that there are; aside, then renamed."""
    rows = [row for name in names for row in read_rows(place.rows(name)) or [Row(name, "not measured yet")]]
    sizes = "quick sizes" if quick else "full sizes"
    text = (
        f"# Benchmarks\n\n`make bench`, {sizes}, {date.today()}, {os.cpu_count()} cores of {platform.machine()}. Each "
        "row was measured beside its peer in one run: compare the ratios, as seconds are this machine's and its "
        f"load's.\n\n{table_of(rows)}\n"
    )
    aside = place.page.with_suffix(".part")
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.write_text(text, encoding="utf-8")
    aside.replace(place.page)


def main(argv: list[str] | None = None) -> int:
    """Run what is not measured yet; return the exit status."""
    names = benches()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: all together take minutes")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--again", action="store_true", help="measure again what has been measured")
    parser.add_argument("--out", type=Path, default=Path("build/bench.md"), help="the page")
    options = parser.parse_args(argv)
    place = Place(options.out, {"code": code_digest(), "quick": options.quick})
    failed = []
    for name in options.only:
        if place.is_done(name) and not options.again:
            print(f"\n== {name}: measured already", flush=True)
        else:
            print(f"\n== {name}", flush=True)
            began = time.perf_counter()
            if not run(name, place, options.quick):
                failed.append(name)
            print(f"({time.perf_counter() - began:.0f} s)", flush=True)
        write_page(place, names, options.quick)
    print(f"\n{options.out}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
