"""Train/rollout parity of each family and input: does vLLM sample from the model that TRL scores? Needs vLLM.

    .venv-vllm/bin/python -m bench.parity                      # writes docs/parity.md
    .venv-vllm/bin/python -m bench.parity --families qwen3_vl  # prints those rows only

`make bench` measures it too, and writes no page: with `--quick` GLM-4.1V only.

For each family a small random checkpoint of the real classes trains five GRPO steps with the vision tower, two prompts
of 3 to 17 seconds x 4 answers a step, in float32, rollouts from a colocated vLLM.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
from bench.table import Report, parser_of

PAGE = Path("docs/parity.md")
FAMILIES = ("glm4v", "glm46v", "glmga", "qwen2_5_vl", "qwen3_vl", "qwen3_5")
INPUTS = {"frames": "pictures", "pairs": "native video"}
STEPS, SAMPLES, LENGTH, SECONDS = 5, 4, 16, (3, 17, 4, 5)
# What has nothing to be measured, and why: said here, and checked by nothing but the run that it leaves out.
LEFT_OUT = {("qwen2_5_vl", "pairs"): "its video format writes no times: it stays on pictures"}
RATIO, DIFFERENCE = "sampling/importance_sampling_ratio/", "sampling/sampling_logp_difference/max"


def measure(family: str, units: str) -> dict[str, Any]:
    """Train the steps and return what the table holds."""
    from tests.helpers import video_rollouts

    with tempfile.TemporaryDirectory() as temporary:
        folder = video_rollouts.build_checkpoint(family, Path(temporary) / "base")
        rows = [video_rollouts.row(seconds, seed, units) for seed, seconds in enumerate(SECONDS)]
        trainer = video_rollouts.trainer_of(
            folder,
            Path(temporary) / "out",
            rows,
            units,
            steps=STEPS,
            samples=SAMPLES,
            length=LENGTH,
            vllm_mode="colocate",
            vllm_max_model_length=512,
        )
        trainer.train()  # ids that differ end it
        logs = [entry for entry in trainer.state.log_history if RATIO + "min" in entry]
    return {
        "steps": len(logs),
        "difference": max(entry[DIFFERENCE] for entry in logs),
        "lowest": min(entry[RATIO + "min"] for entry in logs),
        "highest": max(entry[RATIO + "max"] for entry in logs),
    }


def row_of(family: str, units: str, report: Report) -> str:
    """Return a line of the page's table, and add a row of the common one; where nothing was measured both say why."""
    begin = f"| `{family}` | {INPUTS[units]} | "
    what = f"{family}, {INPUTS[units]}"
    if (family, units) in LEFT_OUT:
        report.leave_out(f"{what}: {LEFT_OUT[family, units]}")
        return f"{begin}not run: {LEFT_OUT[family, units]} | | |"
    try:
        found = measure(family, units)
    except Exception as error:  # of whatever library: the table says which, and the other rows follow
        lines = [line.strip().replace("|", "/") for line in str(error).splitlines()]
        reason = max(lines, key=len, default=type(error).__name__)  # pydantic's says the cause between two others
        reason = reason.removeprefix("Value error, ").split(". ")[0][:160]
        report.leave_out(f"{what}: {reason}")
        return f"{begin}not run: {reason} | | |"
    report.add(
        f"{what}: largest difference of a token's log-probability between vLLM and the trainer, {found['steps']} "
        f"steps; importance ratio {found['lowest']:.5f} to {found['highest']:.5f}",
        found["difference"],
    )
    ratio = f"{found['lowest']:.5f} to {found['highest']:.5f}"
    return f"{begin}at {found['steps']} of {STEPS} steps | {found['difference']:.1e} | {ratio} |"


def page(rows: list[str]) -> str:
    """Return the page that holds the table."""
    import torch
    import transformers
    import trl
    import vllm

    versions = f"vLLM {vllm.__version__}, TRL {trl.__version__}, transformers {transformers.__version__}"
    return f"""# Train/rollout parity

Does vLLM sample from the model that the trainer scores? Written by `.venv-vllm/bin/python -m bench.parity` on a
CPU, with {versions} and torch {torch.__version__}.

Each row: a small random checkpoint of the family's real classes, {STEPS} GRPO steps in float32 in which all parameters
learn, those of the vision tower among them. A step has two prompts of 3 to 17 seconds x {SAMPLES} answers of up to
{LENGTH} tokens from a colocated vLLM. *Pictures*: one a second. *Native video*: two frames a second, `pairs`.
*Ids equal*: the prompts that vLLM read are those that are scored; where they are not, the run ends. The difference is
the largest of one token's log-probability, the ratio the lowest and highest of an answer.

| family | input | ids equal | largest difference | importance ratio |
|---|---|---|---:|---:|
{chr(10).join(rows)}

`qwen3_vl` needs `mrope_interleaved: true` in the config's `rope_parameters`, as published checkpoints have it. Without
it vLLM lays the parts of a position side by side where transformers interleaves them. Text stays equal, and beside
pictures log-probabilities differ by up to 0.03. GRPO with vLLM refuses such a config.
"""


def main() -> None:
    """Measure and write the page, or print some rows."""
    parser = parser_of(__doc__)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, help="print the rows of these, and write nothing")
    asked = parser.parse_args()
    report = Report("parity", asked.rows)
    if importlib.util.find_spec("vllm") is None:
        report.leave_out("make install-vllm, then .venv-vllm/bin/python -m bench.parity")
        return
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process, as when training
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    rows = []
    for family in asked.families or FAMILIES[: 1 if asked.quick else None]:
        for units in INPUTS:
            # Where no engine could be made, a second try in this process ends in what the first has left.
            no_engine = units == "pairs" and "not run" in rows[-1]
            rows.append(
                f"| `{family}` | {INPUTS[units]} | not run: as pictures | | |"
                if no_engine
                else row_of(family, units, report)
            )
            print(rows[-1], flush=True)
    if not (asked.families or asked.quick or asked.rows):
        aside = PAGE.with_suffix(".part")
        aside.write_text(page(rows))
        aside.rename(PAGE)


if __name__ == "__main__":
    main()
