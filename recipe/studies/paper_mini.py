"""The paper's claims in miniature: each confirmed, not confirmed, or not testable here, with its numbers.

    python -m recipe.studies.paper_mini --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/paper-mini.yaml

After recipe.studies.rewards, recipe.studies.questions and recipe.studies.frame_rates (`make paper-mini` runs all): it
measures what second-level tracks cost, judges, and writes the page and its figures. What was answered before is not
asked again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trl import ModelConfig

from data_prep.records import read_records
from data_prep.stages import StageError, read_stamp
from recipe.cli import run
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.learning import reached, running_mean
from recipe.evaluation.logs import read_log, series
from recipe.inputs.loading import load_answering, load_processor, row_builder
from recipe.studies import claims, frame_cost
from recipe.studies.claims import Claim, Runs, by_clip, difference
from recipe.studies.harness import DECODING, evaluate_both, parse_study
from recipe.studies.paper_mini_page import write_page
from recipe.studies.questions import MIXED, PLAIN
from recipe.studies.rewards import LOGGED, to_one_score

METRICS = ("m_tIoU", "m_vIoU", "vIoU@0.5")
FULL, PART, TUBE = "tiou_mviou", "mviou", "viou"
ENTRIES = 8  # of the log, at the start and at the end of RL
EARLY = slice(None, ENTRIES)


@dataclass
class PaperMiniArguments:
    """Settings that name the studies' folders, and the page that is made from them."""

    run: str = field(default="$RUN", metadata={"help": "folder of the recipe's stages"})
    study_out: str = field(default="$RUN/paper-mini", metadata={"help": "folder of the reward study"})
    fps_study: str = field(default="$RUN/fps-study.json", metadata={"help": "result of the frame-rate study"})
    annotations: str = field(default="$RUN/data/annotations/test.jsonl", metadata={"help": "frame annotations"})
    cost_clips: int = field(default=100, metadata={"help": "clips whose cost is counted"})
    page: str = field(default="$RUN/paper-mini.md", metadata={"help": "the page; figures go to images/ beside it"})
    command: str = field(default="make paper-mini", metadata={"help": "what the page says that it was made by"})


@dataclass
class Study:
    """Read what the trainings gave, once.

    Attributes:
        args: where the studies lie.
        evaluation: how checkpoints are evaluated.
    """

    args: PaperMiniArguments
    evaluation: EvalArguments

    @cached_property
    def rewards(self) -> dict[str, Any]:
        """Return the reward study's result.

        Raises:
            StageError: It was not made, or without the rewards that the claims are about.
        """
        found = _read(Path(self.args.study_out) / "reward-study.json", "make paper-mini makes it")
        missing = [name for name in (FULL, PART, TUBE) if name not in found["rewards"]]
        if missing:
            raise StageError(f"{self.args.study_out}: no run with reward {missing[0]}, which the claims are about")
        return found

    @cached_property
    def rates(self) -> dict[str, Any]:
        """Return the frame-rate study's result."""
        return _read(Path(self.args.fps_study), "make fps-study makes it")

    @cached_property
    def questions(self) -> dict[str, Any]:
        """Return the result of the study of questions."""
        return _read(Path(self.args.study_out) / "retention-study.json", "make paper-mini makes it")

    @property
    def sft(self) -> Path:
        """Return the checkpoint that every RL run starts from."""
        return Path(self.args.run) / "sft"

    def rl(self, reward: str) -> list[Path]:
        """Return the checkpoints of a reward, one a seed."""
        return [Path(self.args.study_out) / f"grpo-{reward}-s{seed}" for seed in self.rewards["rewards"][reward]]

    def samples(self, checkpoint: Path) -> dict[str, Runs]:
        """Return the scored answers of a checkpoint by decoding; the reward study kept them."""
        if checkpoint not in self._samples:
            both = evaluate_both(self.evaluation, checkpoint)
            self._samples[checkpoint] = {decoding: both[decoding][1] for decoding in DECODING}
        return self._samples[checkpoint]

    @cached_property
    def _samples(self) -> dict[Path, dict[str, Runs]]:
        return {}

    def scores(self, checkpoints: Sequence[Path], decoding: str, metric: str) -> list[list[float]]:
        """Return a metric by clip, one list a checkpoint."""
        return [by_clip(self.samples(checkpoint)[decoding], metric) for checkpoint in checkpoints]


def _read(path: Path, hint: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StageError(f"{path}: no such file; {hint}") from None
    except ValueError as error:
        raise StageError(f"{path}: no JSON ({error}); {hint}") from None


def quality_claims(study: Study) -> list[Claim]:
    """Judge table 1 and the reward ablation."""
    found = []
    for decoding in DECODING:
        gains = {
            metric: difference(
                study.scores([study.sft], decoding, metric), study.scores(study.rl(FULL), decoding, metric)
            )
            for metric in METRICS
        }
        found.append(claims.rl_over_sft(decoding, gains))
    for decoding in DECODING:
        full, part, tube = (study.scores(study.rl(name), decoding, "m_vIoU") for name in (FULL, PART, TUBE))
        spans = {name: phase(study, name, "span_ratio", slice(-ENTRIES, None)) for name in (FULL, PART)}
        found.append(claims.whole_verifier(decoding, difference(part, full), difference(full, tube), spans))
    return found


def steps_by_seed(study: Study, score: float) -> dict[str, list[float | None]]:
    """Return, by reward, the step of each seed at which its running mean of the training m_vIoU reaches a score."""
    found: dict[str, list[float | None]] = {}
    for reward in study.rewards["rewards"]:
        for checkpoint in study.rl(reward):
            steps, values = series(read_log(checkpoint).entries, LOGGED["m_vIoU"])
            found.setdefault(reward, []).append(reached((steps, running_mean(values)), score))
    return found


def phase(study: Study, reward: str, name: str, entries: slice) -> float:
    """Return the mean of a logged metric over some of the log entries of a reward's runs."""
    logged = [series(read_log(checkpoint).entries, name)[1] for checkpoint in study.rl(reward)]
    values = [value for values in logged for value in values[entries]]
    if not values:
        raise StageError(f"{study.args.study_out}: the runs with reward {reward} logged no {name}")
    return sum(values) / len(values)


def speed_claims(study: Study) -> list[Claim]:
    """Judge how fast the rewards learn, and why."""
    curves = study.rewards["curves"]["m_vIoU"]
    score = to_one_score({name: curves[name] for name in (FULL, PART)})["score"]
    empty = {name: phase(study, name, "empty_intersection_rate", EARLY) for name in (FULL, PART)}
    silent = {name: phase(study, name, "frac_reward_zero_std", EARLY) for name in (FULL, PART)}
    return [claims.faster(score, steps_by_seed(study, score)), claims.weak_signal(empty, silent)]


def retention_claim(found: dict[str, Any]) -> Claim:
    """Judge the study of questions; RL on grounding alone is the mean over seeds."""
    plain, mixed = found["lines"][PLAIN], found["lines"][MIXED]

    def mean(checkpoints: Sequence[dict[str, Any]]) -> float:
        return sum(float(one["questions"]["all"]) for one in checkpoints) / len(checkpoints)

    return claims.kept(
        found["cpt"]["questions"]["all"],
        (mean(plain["sft"]), mean(plain["rl"])),
        mixed["sft"][0]["right"],
        [one["right"] for one in mixed["rl"]],
        found["cpt"]["questions"]["floor"],
    )


def smoothing_claim(study: Study) -> Claim:
    """Judge smoothing on against off, on the greedy answers of the RL checkpoints."""
    before: list[list[float]] = []
    after: list[list[float]] = []
    temporal = 0.0
    for checkpoint in study.rl(FULL):
        out = str(checkpoint / "eval" / "greedy.json")
        settings = replace(study.evaluation, model=str(checkpoint), out=out)
        runs = {smooth: evaluate(replace(settings, smooth=smooth))[1] for smooth in ("on", "off")}
        before.append(by_clip(runs["off"], "m_vIoU"))
        after.append(by_clip(runs["on"], "m_vIoU"))
        times = (by_clip(runs[smooth], "m_tIoU") for smooth in ("on", "off"))
        temporal += sum(on - off for on, off in zip(*times, strict=True))
    pairs = [pair for columns in zip(before, after, strict=True) for pair in zip(*columns, strict=True)]
    changed = sum(a != b for a, b in pairs) / len(pairs)
    return claims.steadier(difference(before, after), temporal, changed)


def measured_cost(study: Study) -> dict[str, Any]:
    """Return what second-level and frame-level tracks cost with the SFT checkpoint's processor and model."""
    args, evaluation = study.args, study.evaluation
    records = [record for record in read_records(evaluation.tracks) if record.get("track")][: args.cost_clips]
    with Path(args.annotations).open(encoding="utf-8") as stream:
        by_video = {item["video"]: item for item in map(json.loads, stream)}
    truths = {record["id"]: frame_cost.synthetic_truth(record, by_video[record["video"]]) for record in records}
    model_args = ModelConfig(model_name_or_path=str(study.sft), dtype="auto")
    script = evaluation.frames_seen()
    model, processor = load_answering(model_args, script), load_processor(model_args)
    builder = row_builder(script, model, processor, completions=False)
    return frame_cost.compare(records, truths, builder, processor, model)


def training_minutes(study: Study) -> dict[str, float]:
    """Return the CPU minutes of each part, from the stamps."""

    def minutes(folder: Path) -> float:
        return float(((read_stamp(folder) or {}).get("results") or {}).get("cpu_seconds") or 0) / 60

    rl = [checkpoint for reward in study.rewards["rewards"] for checkpoint in study.rl(reward)]
    return {
        "CPT": minutes(Path(study.args.run) / "cpt"),
        "SFT": minutes(study.sft),
        "SFT with questions and its RL": sum(
            minutes(folder) for folder in Path(study.args.study_out).glob("*-questions*") if folder.is_dir()
        ),
        f"{len(rl)} GRPO runs": sum(map(minutes, rl)),
        f"{len(study.rates)} frame-rate runs": sum(
            float(found["training_cpu_seconds"] or 0) / 60 for found in study.rates.values()
        ),
    }


def main(args: PaperMiniArguments, evaluation: EvalArguments) -> list[Claim]:
    """Collect what the studies measured, judge the claims, write the page and print the verdicts."""
    study = Study(args, evaluation)
    found = quality_claims(study) + speed_claims(study)
    rates = {rate: result["vIoU_by_scene"] for rate, result in study.rates.items()}
    found.append(claims.best_rate(rates, {rate: result["HOTA"] for rate, result in study.rates.items()}))
    found.append(retention_claim(study.questions))
    cost = measured_cost(study)
    found += [claims.cheaper(cost), smoothing_claim(study)]
    settings = (read_stamp(study.rl(FULL)[0]) or {}).get("settings") or {}
    write_page(
        Path(args.page),
        found,
        rewards=study.rewards,
        rates=study.rates,
        questions=study.questions,
        cost=cost,
        minutes=training_minutes(study),
        settings=settings,
        command=args.command,
    )
    for item in found:
        print(f"{item.verdict:>20}: {item.text} [{item.numbers}]")
    print(f"page: {args.page}")
    return found


def parse(argv: list[str] | None = None) -> tuple[PaperMiniArguments, EvalArguments]:
    """Return the page's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(PaperMiniArguments, argv)


if __name__ == "__main__":
    run(parse, main)
