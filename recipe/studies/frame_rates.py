"""Which training frame rate? Supervised training at each rate on scenes of several objects (section 4.3, figure 3).

    python -m recipe.studies.frame_rates --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/frame-rates.yaml

From one checkpoint, on the same scenes with the same steps, at 0.5, 1, 2 and 4 frames a second and `dynamic`; each is
evaluated at the rate that it was trained at (`dynamic` only by the clip's duration). Writes `fps-study.json`, a page
and a figure. What exists with the same settings is not made again. On DanceTrack give its converted scenes as `train`
and `tracks`, and another recipe as `configs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trl import ModelConfig
from trl.data_utils import prepare_multimodal_messages

from data_prep.files import atomic_write
from data_prep.records import RecordWriter, read_records
from data_prep.stages import StageError, read_stamp
from data_prep.video.rates import parse_policy
from recipe.cli import run
from recipe.drawing import plots
from recipe.evaluate import EvalArguments, answers_of_model
from recipe.evaluation.tables import markdown_table
from recipe.inference.backends import builder_of
from recipe.inputs.loading import load_processor
from recipe.inputs.pair_pictures import frames_shown
from recipe.inputs.video_units import FRAMES
from recipe.studies.harness import StudyArguments, parse_study, run_all, run_stage, write_result
from recipe.studies.tracking import matched_vious, score_scenes

SHOWN = ("m_vIoU", "HOTA", "IDF1")


@dataclass
class FpsStudyArguments(StudyArguments):
    """Settings of the study: the rates, and what is trained at them."""

    rates: list[str] = field(default_factory=lambda: ["0.5", "1", "2", "4", "dynamic"])
    train: list[str] = field(default_factory=list, metadata={"help": "track files with scenes to train on"})
    start: str = field(default="$RUN/cpt", metadata={"help": "checkpoint that every training starts from"})
    study_out: str = field(default="$RUN", metadata={"help": "folder of trainings and results"})
    sft_words: list[str] = field(default_factory=list, metadata={"help": "SFT settings on top of its YAML"})

    def __post_init__(self) -> None:
        for rate in self.rates:
            parse_policy(rate)
        if not self.train:
            raise ValueError("--train is missing: the track files with scenes to train on")


def scenes_alone(tracks: str, folder: Path) -> str:
    """Return the track file or, where it holds other kinds of records too, one in `folder` with its scenes.

    Raises:
        StageError: There is no scene in it.
    """
    scenes, others = [], 0
    for record in read_records(tracks):
        if record["kind"] == "scene":
            scenes.append(record)
        else:
            others += 1
    if not scenes:
        raise StageError(f"{tracks}: none of its {others} records is a scene (kind scene, several tracks)")
    if not others:
        return tracks
    path = folder / f"{Path(tracks).stem}-scenes.jsonl"
    with RecordWriter(path) as writer:
        for record in scenes:
            writer.write(record)
    return str(path)


def evaluate_rate(evaluation: EvalArguments, rate: str, checkpoint: Path) -> dict[str, Any]:
    """Return a training's scores on scenes by greedy answers, the tokens that they took, and its CPU time."""
    out = str(checkpoint / "eval" / "scenes.json")
    given = replace(evaluation, model=str(checkpoint), out=out, frame_rate=rate, temperature=0.0, repeats=1)
    processor = load_processor(ModelConfig(model_name_or_path=str(checkpoint)), given.frames_seen().video_units)
    builder = builder_of(given.frames_seen(), str(checkpoint))
    records = list(read_records(given.tracks))[: given.limit]
    (answers,), scale_of = answers_of_model(given)
    scores = score_scenes(records, answers, scale_of)
    rows = [builder.row(record) for record in records]
    prompts = [prompt_tokens(processor, row) for row in rows]
    completions = [len(processor.tokenizer(answers[record["id"]])["input_ids"]) for record in records]
    cpu = ((read_stamp(checkpoint) or {}).get("results") or {}).get("cpu_seconds")
    return scores | {
        "frames": sum(len(frames_shown(row["images"])) for row in rows) / len(rows),
        "prompt_tokens": sum(prompts) / len(prompts),
        "answer_tokens": sum(completions) / len(completions),
        "training_cpu_seconds": cpu,
        "vIoU_by_scene": matched_vious(records, answers, scale_of),  # for differences paired by scene
    }


def prompt_tokens(processor: Any, row: dict[str, Any]) -> int:
    """Return the number of tokens of a row's prompt, pictures included."""
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    inputs = processor.apply_chat_template([messages], add_generation_prompt=True, tokenize=True, return_dict=True)
    return len(inputs["input_ids"][0])


def figure(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the scores over the training rate, and the prompt's length beside them."""
    with atomic_write(path, "wb") as out, plots.drawn(out, 7.6, 2.8, "fps-study") as page:
        left, right = page.subplots(1, 2)
        positions = range(len(results))
        for colour, name in zip(plots.COLOURS, SHOWN, strict=False):
            left.plot(positions, [result[name] for result in results.values()], "o-", color=colour, label=name)
        plots.legend(left)
        right.bar(positions, [result["prompt_tokens"] for result in results.values()], color=plots.COLOURS[0])
        for axes, title in ((left, "scores by training rate"), (right, "prompt tokens a clip")):
            axes.set_xticks(list(positions), list(results))
            plots.label(axes, title, "frames a second")
            plots.soften(axes, lines="y")


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the results as Markdown, times as multiples of the training at 1 frame a second."""
    base = (results.get("1") or next(iter(results.values())))["training_cpu_seconds"]
    heads = ["training rate", *SHOWN, "frames", "prompt tokens", "answer tokens", "training time"]
    rows = []
    for rate, found in results.items():
        scores = [f"{found[name]:.3f}" for name in SHOWN]
        spent = f"x{found['training_cpu_seconds'] / base:.2f}" if base and found["training_cpu_seconds"] else ""
        counts = [f"{found[name]:.1f}" for name in ("frames", "prompt_tokens", "answer_tokens")]
        rows.append([rate, *scores, *counts, spent])
    return markdown_table(heads, rows)


def main(args: FpsStudyArguments, evaluation: EvalArguments) -> dict[str, dict[str, Any]]:
    """Train at each rate, evaluate, write the result, its page and its figure."""
    folder = Path(args.study_out)
    evaluation = replace(evaluation, tracks=scenes_alone(evaluation.tracks, folder))

    def train(rate: str) -> Path:
        units = evaluation.video_units or FRAMES
        out = folder / f"{'fps' if units == FRAMES else units}-{rate.replace('.', '_')}"
        argv = ["--model_name_or_path", args.start, "--tracks", *args.train, "--validation_tracks", ""]
        argv += ["--reasoning_share", "0"]  # scenes have none
        argv += ["--video_root", evaluation.video_root, "--frame_rate", rate, "--video_units", units]
        argv += ["--frame_budget", str(evaluation.frame_budget), *args.sft_words]
        run_stage(args, "sft", out, evaluation.seed, *argv)
        return out

    checkpoints = run_all(args, train, args.rates)
    results = {rate: evaluate_rate(evaluation, rate, checkpoint) for rate, checkpoint in checkpoints.items()}
    figure(results, folder / "fps-study.svg")
    write_result(folder / "fps-study.json", results, table(results))
    return results


def parse(argv: list[str] | None = None) -> tuple[FpsStudyArguments, EvalArguments]:
    """Return the study's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(FpsStudyArguments, argv)


if __name__ == "__main__":
    run(parse, main)
