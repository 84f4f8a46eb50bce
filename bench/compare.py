"""How long the comparison page takes: 50 runs with 10,000 log entries each, and the memory at its peak.

python -m bench.compare
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path

from recipe import compare

RUNS, STEPS, VARIANTS = 50, 10_000, 5


def make(folder: Path, variant: int, seed: int) -> None:
    """Write one run's stamp and log, with every metric of the page."""
    folder.mkdir()
    settings = {"reward": f"variant-{variant}", "seed": seed}
    (folder / "stamp.json").write_text(
        json.dumps({"stage": "grpo", "complete": True, "fingerprint": "0", "settings": settings})
    )
    names = [metric for metrics in compare.SECTIONS.values() for metric, _ in metrics]
    log = [{"step": k + 1} | dict.fromkeys(names, (k * (variant + 1) + seed) % 997 / 997) for k in range(STEPS)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))


def main() -> None:
    """Print seconds, megabytes, and the same against the bare reading of the logs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        root.mkdir()
        for number in range(RUNS):
            make(root / f"grpo-{number}", number % VARIANTS, number // VARIANTS)
        began = time.perf_counter()
        for path in root.glob("*/trainer_state.json"):
            json.loads(path.read_text())
        bare = time.perf_counter() - began
        began = time.perf_counter()
        compare.main(*compare.parse([str(root), "--out", str(Path(folder) / "c.html")]))
        spent = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{RUNS} runs x {STEPS} steps: {spent:.1f} s ({spent / bare:.1f}x reading the logs), peak {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
