"""How long the comparison page takes: 50 runs with 10,000 log entries each, and the memory at its peak.

python -m bench.compare
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path

from bench.table import Pair, Report, parser_of
from recipe import compare

RUNS, STEPS, VARIANTS = 50, 10_000, 5


def make(folder: Path, variant: int, seed: int, steps: int) -> None:
    """Write one run's stamp and log, with every metric of the page."""
    folder.mkdir()
    settings = {"reward": f"variant-{variant}", "seed": seed}
    (folder / "stamp.json").write_text(
        json.dumps({"stage": "grpo", "complete": True, "fingerprint": "0", "settings": settings})
    )
    names = [metric for metrics in compare.SECTIONS.values() for metric, _ in metrics]
    log = [{"step": k + 1} | dict.fromkeys(names, (k * (variant + 1) + seed) % 997 / 997) for k in range(steps)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))


def main() -> None:
    """Measure the page's seconds and memory against the bare reading of the logs."""
    options = parser_of(__doc__).parse_args()
    runs, steps = (RUNS // 10, STEPS // 20) if options.quick else (RUNS, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        root.mkdir()
        for number in range(runs):
            make(root / f"grpo-{number}", number % VARIANTS, number // VARIANTS, steps)
        began = time.perf_counter()
        for path in root.glob("*/trainer_state.json"):
            json.loads(path.read_text())
        bare = time.perf_counter() - began
        began = time.perf_counter()
        compare.main(*compare.parse([str(root), "--out", str(Path(folder) / "c.html")]))
        spent = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        Report("compare", options.rows).add(
            f"page of {runs} runs x {steps} steps", spent, bare, "s", "reading the logs", memory=Pair(peak)
        )


if __name__ == "__main__":
    main()
