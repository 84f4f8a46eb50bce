"""Write `report.html`: SFT against RL in one self-contained page, from the stages' logs and answers.

    python -m recipe.studies.report --config recipe/configs/tiny/eval.yaml --run runs/tiny --grpo grpo-tiou_mviou-s0

makes it again from what lies in the GRPO run's folder. The page needs no network; text of a model is shown as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image
from trl import ModelConfig

from data_prep.drawing.boxes import RL, SFT, TRUE, Layer, boxes_at, draw_boxes, is_photograph
from data_prep.drawing.overlay import film_of_seconds
from data_prep.drawing.page import as_uri, tile_values
from data_prep.events import events_of
from data_prep.files import atomic_write
from data_prep.records import Record, read_records, resolve_video
from data_prep.seconds import frame_times
from data_prep.stages import StageError, read_stamp
from data_prep.video.sampling import VideoError, sample_frames
from recipe.cli import Parser, run
from recipe.drawing.curves import curves
from recipe.evaluate import EvalArguments
from recipe.evaluation.logs import read_log
from recipe.evaluation.scores import METRICS, counted_spans, score_record, true_track
from recipe.inference.predictions import read_answers
from recipe.inputs.arguments import StageArguments
from recipe.inputs.families import Family, family_of, fit_frame, frame_grid
from recipe.inputs.loading import load_config, load_processor
from recipe.studies.report_places import ComparedArguments, greedy_answers, grpo_folder, kept_answers, page_templates
from stvg_rewards import Answer, parse_answer

CLIPS = 6
RULE = (
    "Clips are ordered by the change in greedy vIoU from SFT to RL; shown are the one that lost most, the one that "
    "gained most, and four at even steps of rank between them. Boxes are drawn on the frame in the middle of a second."
)
LOSS = [("loss", [("loss", "loss")]), ("share of answer tokens right", [("mean_token_accuracy", "accuracy")])]
GRPO = [
    ("reward", [("reward", "reward")]),
    ("scores of the rollouts", [("tIoU", "tIoU"), ("mvIoU", "mvIoU"), ("vIoU", "vIoU")]),
    ("parse rate", [("parse_rate", "parse rate")]),
    ("share of tokens clipped", [("clip_ratio/region_mean", "clipped")]),
    ("completion length, tokens", [("completions/mean_length", "mean")]),
    ("entropy", [("entropy", "entropy")]),
]


@dataclass
class ReportArguments(ComparedArguments):
    """Settings that name the run that the page shows, and a picture of it."""

    picture: str | None = field(default=None, metadata={"help": "also write a PNG of a few clips here"})


@dataclass(frozen=True)
class Clip:
    """One held-out clip with the parsed answers of both systems.

    Attributes:
        texts: raw answers of SFT and RL.
        answers: the same, read.
        scores: their vIoU.
    """

    record: Record
    texts: tuple[str, str]
    answers: tuple[Answer, Answer]
    scores: tuple[float, float]

    @property
    def change(self) -> float:
        """vIoU of RL minus that of SFT."""
        return self.scores[1] - self.scores[0]


def box_scale(checkpoint: Path, record: Record) -> tuple[float, float]:
    """Return what a checkpoint's coordinates are divided by, for one record."""
    config, family = _known(str(checkpoint))
    settings = (read_stamp(checkpoint) or {}).get("settings", {})
    size = record["width"], record["height"]
    most = settings.get("max_frame_pixels", StageArguments.max_frame_pixels)  # a stamp leaves out what is as ever
    return family.box_scale(fit_frame(*size, grid=frame_grid(config), max_pixels=most))


@lru_cache
def _known(checkpoint: str) -> tuple[Any, Family]:
    """Return a checkpoint's config and family, read once for all records."""
    config = load_config(checkpoint)
    return config, family_of(config, load_processor(ModelConfig(model_name_or_path=checkpoint)))


def read_clips(tracks: Path, answers: dict[str, Path], checkpoint: Path) -> list[Clip]:
    """Return every record that has a true track, with both systems' answers; a missing answer is an empty text."""
    texts = [read_answers(answers[name]) for name in ("sft", "rl")]
    clips = []
    scale: tuple[float, float] = (0, 0)
    for record in read_records(tracks):
        if not record.get("track") or all(record["id"] not in known for known in texts):
            continue
        # The same for all records of a family in thousandths; a pixel family's differs by picture size.
        if scale != (1000, 1000):
            scale = box_scale(checkpoint, record)
        both = [known.get(record["id"], "") for known in texts]
        read = [parse_answer(text, seconds=record["seconds"], scale=scale) for text in both]
        scored = [score_record(answer, record) for answer in read]
        scores = [score.vIoU if score else 0.0 for score in scored]
        clips.append(Clip(record, (both[0], both[1]), (read[0], read[1]), (scores[0], scores[1])))
    return clips


def choose(clips: Sequence[Clip], count: int = CLIPS) -> list[Clip]:
    """Choose clips at even steps of rank by the change in vIoU, the worst and the best included (`RULE`)."""
    ranked = sorted(clips, key=lambda clip: (clip.change, clip.record["id"]))
    if len(ranked) <= count:
        return ranked
    return [ranked[round(index * (len(ranked) - 1) / (count - 1))] for index in range(count)]


def sampled(clip: Clip, video_root: Path) -> list[Image.Image]:
    """Return the frame in the middle of each of the clip's seconds."""
    record = clip.record
    video = resolve_video(video_root, record["video"])
    return sample_frames(video, frame_times(record["seconds"]), clip_start_s=record["clip"][0])


def clip_frames(clip: Clip, video_root: Path, *, side: int = 144) -> list[Image.Image]:
    """Draw the clip's frames, one a second, with the true box and both systems' boxes."""
    layers = layers_of(clip)
    return [
        draw_boxes(frame, boxes_at(k, layers), side=side, smooth=is_photograph(frame))
        for k, frame in enumerate(sampled(clip, video_root))
    ]


def layers_of(clip: Clip) -> list[Layer]:
    """Return what the annotation and both systems say, in the order of the bars."""
    events, (sft, rl) = events_of(clip.record), clip.answers
    return [
        Layer(TRUE, events, true_track(clip.record).boxes),
        Layer(SFT, counted_spans(sft, events), sft.track.boxes),
        Layer(RL, counted_spans(rl, events), rl.track.boxes),
    ]


def clip_section(clip: Clip, video_root: Path) -> dict[str, Any]:
    """Return the values that the template shows of one clip."""
    frames, layers = sampled(clip, video_root), layers_of(clip)
    sharp = not is_photograph(frames[0])
    return {
        "id": clip.record["id"],
        "query": clip.record["query"],
        "seconds": clip.record["seconds"],
        "sft": f"{clip.scores[0]:.2f}",
        "rl": f"{clip.scores[1]:.2f}",
        "change": f"{clip.change:+.2f}",
        "sharp": sharp,
        "tiles": [tile_values(frame, k, layers, (k, k + 1), photograph=not sharp) for k, frame in enumerate(frames)],
        "film": as_uri(film_of_seconds(frames, layers, clip.record["query"]), "video/mp4"),
        "answers": [("SFT", clip.texts[0]), ("RL", clip.texts[1])],
    }


def table_rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the comparison's table, one dict a row."""
    rows = []
    for decoding in summary["sft"]:
        for index, metric in enumerate((*METRICS, "mvIoU")):
            sft, rl = summary["sft"][decoding][metric], summary["rl"][decoding][metric]
            gain = summary["gain"][decoding].get(metric if metric.startswith(("m_", "v")) else f"m_{metric}")
            row = {"first": index == 0, "decoding": decoding, "metric": metric, "sft": f"{sft:.3f}", "rl": f"{rl:.3f}"}
            row["ratio"] = f"×{rl / sft:.2f}" if sft else ""
            row["gain"] = f"{gain['mean']:+.3f}" if gain else f"{rl - sft:+.3f}"
            row["interval"] = f"{gain['low95']:+.3f} … {gain['high95']:+.3f}" if gain else ""
            rows.append(row)
    return rows


def checks(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value, meaning) of each condition that must hold before the numbers mean anything."""

    def shown(value: float | None, form: str) -> str:
        return "not logged" if value is None else format(value, form)

    ratios = summary["wrong_image_loss_ratio"]
    rows = [
        (f"wrong-image loss ratio, {name}", shown(ratios.get(name), ".2f"), "1.0 would be a model that does not look")
        for name in ("cpt", "sft")
    ]
    for name, system in (("SFT", "sft"), ("RL", "rl")):
        for decoding, result in summary[system].items():
            rows.append((f"parse failures, {name} {decoding}", f"{result['parse_failures']:.2%}", "count as 0"))
    clipped = summary.get("clip_ratio_region_mean")
    rows.append(("share of tokens clipped, mean", shown(clipped, ".4f"), "0 where each rollout is used for one step"))
    rows.append(("reward, seed", f"{summary.get('reward')}, {summary.get('seed')}", "of the GRPO stage"))
    return rows


def write_report(
    folder: Path,
    *,
    summary: dict[str, Any],
    tracks: Path,
    video_root: Path,
    stages: dict[str, Path],
    answers: dict[str, Path],
) -> Path:
    """Write `report.html` into the GRPO run's folder.

    Args:
        folder: the GRPO run's.
        summary: what `recipe.studies.before_after.summarise` returns.
        tracks, video_root: the held-out records and where their videos lie.
        stages: "cpt", "sft" and "grpo" -> the stage's folder.
        answers: "sft" and "rl" -> greedy answers, JSONL.

    Returns:
        The page's path.
    """
    clips = read_clips(tracks, answers, stages["grpo"])
    sections, problem = [], "there are no answers."
    for clip in choose(clips):
        try:
            sections.append(clip_section(clip, video_root))
        except (OSError, VideoError) as error:
            problem = str(error)
    drawn = [
        (title, curves(read_log(stages[name]).entries, panels))
        for title, name, panels in (("CPT", "cpt", LOSS), ("SFT", "sft", LOSS), ("GRPO", "grpo", GRPO))
        if name in stages
    ]
    page = (
        page_templates()
        .get_template("report.html")
        .render(
            title=f"SFT against RL on held-out clips: {summary.get('reward')}, seed {summary.get('seed')}",
            n=summary["sft"]["greedy"]["n"],
            rows=table_rows(summary),
            checks=checks(summary),
            signs=[(stage, sign) for stage, found in summary.get("signs", {}).items() for sign in found],
            # The figures are ours; everything else in the page is escaped.
            curves=[(title, [Markup(svg) for svg in svgs]) for title, svgs in drawn],  # noqa: S704
            rule=RULE,
            looks=(TRUE, SFT, RL),
            clips=sections,
            no_clips=problem,
        )
    )
    path = folder / "report.html"
    with atomic_write(path) as out:
        out.write(page)
    return path


def main(args: ReportArguments, evaluation: EvalArguments) -> None:
    """Make the page again from `summary.json` and the answers of the GRPO run."""
    from recipe.studies.picture import write_picture

    run, grpo = Path(args.run), grpo_folder(args.run, args.grpo)
    sft = Path(args.sft or run / "sft")
    summary_file = grpo / "summary.json"
    if not summary_file.is_file():
        raise StageError(f"{summary_file}: no such file; `make grpo` makes it")
    stages = {"cpt": run / "cpt", "sft": sft, "grpo": grpo}
    kept = kept_answers(sft, grpo)
    answers = {"sft": greedy_answers(evaluation, sft, kept), "rl": greedy_answers(evaluation, grpo, grpo / "eval")}
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    tracks, video_root = Path(evaluation.tracks), Path(evaluation.video_root)
    print(write_report(grpo, summary=summary, tracks=tracks, video_root=video_root, stages=stages, answers=answers))
    if args.picture:
        print(write_picture(Path(args.picture), read_clips(tracks, answers, stages["grpo"]), video_root))


def parse(argv: list[str] | None = None) -> tuple[ReportArguments, EvalArguments]:
    """Return which run is shown and how it was evaluated, from --config YAML and the command line (which wins)."""
    settings, evaluation = Parser((ReportArguments, EvalArguments), "eval").parse_args_and_config(argv)
    return settings, evaluation


if __name__ == "__main__":
    run(parse, main)
