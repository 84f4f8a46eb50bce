"""Evaluate a checkpoint, or anybody's predictions, on a track file.

    python -m recipe.evaluate --config recipe/configs/tiny/eval.yaml --model runs/tiny/sft --out metrics.json
    python -m recipe.evaluate --tracks test.jsonl --predictions answers.jsonl --out metrics.json
    python -m recipe.evaluate --tracks test.jsonl --predictions a.jsonl --protocol frame \\
        --frame_annotations test.frames.jsonl

Writes the metrics as JSON and, beside it, as a Markdown page. With `--repeats 3 --temperature 1` the answers are
sampled three times and the metrics are means over the runs. docs/evaluation.md says what the files hold.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.events import events_of
from data_prep.files import atomic_write
from data_prep.identity import check_outputs
from data_prep.locks import locked
from data_prep.records import Record, read_records
from data_prep.video.rates import FRAME_BUDGET
from recipe.cli import Parser, run
from recipe.evaluation.apart import apart, only
from recipe.evaluation.breakdown import breakdown
from recipe.evaluation.page import is_page, markdown
from recipe.evaluation.protocols import FRAME_PROTOCOLS, PROTOCOLS, FrameTruth
from recipe.evaluation.scores import BOXES, Sample, mean_metrics, metrics, score_records, scored
from recipe.evaluation.submission import Submission, problems, read_submission
from recipe.evaluation.truths import read_truths
from recipe.evaluation.vuestg import published_table, read_tube_submission
from recipe.inference.answer_key import AnswerKey, key_of
from recipe.inference.backends import Decoding, backend_named, builder_of
from recipe.inference.engines import check_engines, engines_named
from recipe.inference.jobs import AnswerBatches, engines_of
from recipe.inference.predictions import predict
from recipe.inputs.arguments import StageArguments
from recipe.inputs.frames import ClipFrames
from recipe.inputs.loading import trained_with
from recipe.inputs.media import MAX_MISSING, sift
from recipe.inputs.video_units import FRAMES, rate_stated

ScaleOf = Callable[[Record], tuple[float, float]]


@dataclass
class EvalArguments:
    """What is evaluated, on what, and how answers are decoded."""

    tracks: str = field(default="", metadata={"help": "records with true tracks (JSONL)"})
    model: str | None = field(default=None, metadata={"help": "checkpoint folder or model id"})
    predictions: str | None = field(
        default=None,
        metadata={"help": 'JSONL of {"id", "answer"} or {"id", "track"} instead of a model, or VUE-STG\'s CSV'},
    )
    protocol: str = field(default="second", metadata={"help": f"{', '.join(PROTOCOLS)}: see docs/definitions.md"})
    frames: str | None = field(
        default=None,
        metadata={"help": "frame annotations (JSONL) for the protocols on frames", "aliases": "--frame_annotations"},
    )
    smooth: str = field(default="off", metadata={"help": "on or off: inter-second smoothing of the answers' boxes"})
    out: str = field(default="metrics.json", metadata={"help": "metrics (JSON); a page and answers lie beside it"})
    video_root: str = field(default="data/videos", metadata={"help": "folder that the records' video paths start at"})
    prompts: str | None = field(default=None, metadata={"help": "folder of prompt templates"})
    max_frame_pixels: int = field(default=448 * 448, metadata={"help": "most pixels of a resized frame"})
    video_units: str | None = field(
        default=None, metadata={"help": "frames or pairs; none: what the model was trained with here, else frames"}
    )
    frame_rate: str | None = field(
        default=None, metadata={"help": 'frames a second that the model sees, or "dynamic"; none: 1, with pairs 2'}
    )
    frame_budget: int = field(default=FRAME_BUDGET, metadata={"help": "most frames of a clip under dynamic"})
    temperature: float = field(default=0.0, metadata={"help": "0 decodes greedily"})
    repeats: int = field(default=1, metadata={"help": "sampled runs to average"})
    max_new_tokens: int = field(default=512, metadata={"help": "longest answer, tokens"})
    batch_size: int = field(default=50, metadata={"help": "records that Hugging Face's generate gets together"})
    group_by_length: bool = field(
        default=False,
        metadata={"help": "batches of similar lengths, longest first; sampling is then seeded by record (hf)"},
    )
    backend: str = field(
        default="hf", metadata={"help": "hf (Hugging Face's generate), vllm, or auto: vllm where it is installed"}
    )
    engines: str = field(
        default="auto", metadata={"help": "processes that answer, one a GPU; auto: all visible GPUs, and 1 on a CPU"}
    )
    limit: int | None = field(
        default=None, metadata={"help": "use only the first records", "aliases": "--max_records"}
    )
    max_missing: float = field(
        default=MAX_MISSING, metadata={"help": "share of the records that may have no usable video; they count 0"}
    )
    box_scale: float = field(default=1000, metadata={"help": "what 1.0 is called in raw answers of --predictions"})
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.tracks:
            raise ValueError("--tracks is missing: the file of records to evaluate on")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"--protocol {self.protocol!r}: expected one of {', '.join(PROTOCOLS)}")
        if self.protocol in FRAME_PROTOCOLS and not self.frames:
            raise ValueError(
                f"--protocol {self.protocol} needs --frame_annotations: the file that its converter wrote beside "
                "--tracks"
            )
        if self.backend not in ("hf", "vllm", "auto"):
            raise ValueError(f"--backend {self.backend!r}: expected hf, vllm or auto (recipe.ground asks servers)")
        check_engines(self.engines)
        if isinstance(self.smooth, bool):  # what YAML makes of an unquoted on or off
            self.smooth = "on" if self.smooth else "off"
        if self.smooth not in ("on", "off"):
            raise ValueError(f"--smooth {self.smooth!r}: expected on or off")
        rate_stated(self.frame_rate, self.video_units or FRAMES)  # refuses other units
        if not 0 < self.box_scale < float("inf"):
            raise ValueError(f"--box_scale {self.box_scale!r}: expected a number above 0, such as 1000")
        if not 0 <= self.max_missing <= 1:
            raise ValueError(f"--max_missing {self.max_missing!r}: expected a share from 0 to 1, such as 0.05")
        if self.repeats < 1 or (self.repeats > 1 and self.temperature == 0):
            raise ValueError("--repeats above 1 needs --temperature above 0: greedy runs are all the same")

    def frames_seen(self) -> StageArguments:
        """Return the settings of videos, prompts and frames in the form that a stage takes."""
        return StageArguments(
            video_root=self.video_root,
            prompts=self.prompts,
            max_frame_pixels=self.max_frame_pixels,
            video_units=self.video_units or (self.model and trained_with(self.model, "video_units")) or FRAMES,
            frame_rate=self.frame_rate,
            frame_budget=self.frame_budget,
        )


def key_of_run(args: EvalArguments, repeat: int) -> AnswerKey:
    """Return what the answers of a repeat depend on; greedy ones do not depend on the seed.

    Raises:
        StageError: There is no such checkpoint or track file.
    """
    decoding: dict[str, Any] = {"seed": args.seed + repeat} if args.temperature > 0 else {}
    backend = backend_named(args.backend)
    if backend == "hf":
        decoding["batch_size"] = args.batch_size  # answers of one batch are padded to one length
        if args.group_by_length:  # else sampled from one stream too
            decoding["group_by_length"] = True
    return key_of(
        args.model,
        args.frames_seen(),
        tracks=args.tracks,
        backend=backend,
        temperature=args.temperature,
        max_new_tokens=args.max_new_tokens,
        **decoding,
    )


def answers_path(args: EvalArguments, repeat: int) -> Path:
    """Return where the answers of a repeat lie: beside the metrics, under what they depend on."""
    return Path(args.out).with_suffix(f".answers-{key_of_run(args, repeat).short}-{repeat}.jsonl")


def check_paths(args: EvalArguments) -> None:
    """Refuse to write over an input, or over a page that no evaluation wrote.

    Raises:
        StageError: Names the file.
    """
    page = Path(args.out).with_suffix(".md")
    check_outputs({"--out": Path(args.out), "--out's page": page}, [args.predictions, args.tracks, args.frames])
    if page.exists() and not is_page(page):
        raise StageError(
            f"{page}: no page of an evaluation, and that of --out {args.out} would replace it; choose another"
        )


def answers_of_model(args: EvalArguments) -> tuple[list[dict[str, str]], ScaleOf]:
    """Return one id -> answer mapping for each repeat, and the function that gives a record's coordinate scale.

    A model is loaded, in this process or in others, once there is something to ask it.

    Raises:
        StageError: There is no such checkpoint, no such GPU or no vLLM, or an engine died.
    """
    model, backend = args.model or "", backend_named(args.backend)
    keys = [key_of_run(args, repeat) for repeat in range(args.repeats)]
    builder = builder_of(args.frames_seen(), model)
    job = AnswerBatches(args.frames_seen(), model, Decoding(args.temperature, args.max_new_tokens), backend)
    with engines_of(job, engines_named(args.engines)) as answering:
        runs = [
            predict(
                answering,
                args.tracks,
                builder,
                answers_path(args, repeat),
                key=key,
                seed=args.seed + repeat,
                batch_size=args.batch_size if backend == "hf" else 1,
                limit=args.limit,
                by_record=args.group_by_length or backend == "vllm",
            )
            for repeat, key in enumerate(keys)
        ]
    return runs, lambda record: builder.family.box_scale(builder.frame_size(record))


def evaluate(args: EvalArguments) -> tuple[dict[str, Any], list[list[Sample]]]:
    """Score predictions; return metrics (means over repeats) and each repeat's samples; write metrics and page.

    Samples that come back are those of records that have a true track, which studies compare.

    Raises:
        StageError: No such file of predictions, one without any of the records, or records without a truth; too
            many videos are of no use; the protocol has no rule for a record; an output is an input.
        InUse: Another process writes these metrics.
    """
    check_paths(args)
    with locked(Path(args.out)):  # before a model is loaded
        return _evaluate(args)


def _evaluate(args: EvalArguments) -> tuple[dict[str, Any], list[list[Sample]]]:
    every = read_tracks(Path(args.tracks))
    records = scored(every[: args.limit])
    if not records:
        raise StageError(f"{args.tracks}: none of its {len(every)} records has a truth to score against")
    check_protocol(args, records)
    videos: dict[str, int] = {}
    if args.predictions:
        submissions = [submission_of(Path(args.predictions), every)]
        scale_of: ScaleOf = lambda record: (args.box_scale, args.box_scale)  # noqa: E731
    else:
        videos = look_at_videos(args, records)
        runs, scale_of = answers_of_model(args)
        submissions = [Submission(dict(answers)) for answers in runs]
    found = check_answered(args, [r["id"] for r in records], {r["id"] for r in every}, submissions[0])
    if videos:
        found["videos"] = videos
    truths = frame_truths(args, records)
    samples = [
        score_records(
            records,
            submission.predictions,
            scale_of,
            protocol=args.protocol,
            truths=truths,
            smoothing=args.smooth == "on",
            ceilings=place == 0,
        )
        for place, submission in enumerate(submissions)
    ]
    result = summary_of(args, records, samples) | {"input": found}
    with atomic_write(args.out) as stream:
        json.dump(result, stream, indent=1)
    with atomic_write(Path(args.out).with_suffix(".md")) as stream:
        stream.write(markdown(result, name=args.predictions or args.model or ""))
    return result, only(samples, BOXES)


def check_protocol(args: EvalArguments, records: Sequence[Record]) -> None:
    """Refuse records that the protocol has no rule for.

    Raises:
        StageError: A protocol on frames, whose span has two ends, and records with several events.
    """
    several = [record["id"] for record in records if record.get("track") and len(events_of(record)) > 1]
    if several and args.protocol in FRAME_PROTOCOLS:
        raise StageError(
            f"--protocol {args.protocol}: {_named(several)} with several events, and it is about one; second and "
            "vuestg compare sets of seconds"
        )


def submission_of(path: Path, records: Sequence[Record]) -> Submission:
    """Return the predictions in a file: VUE-STG's form where its name ends in .csv, else JSONL."""
    return read_tube_submission(path, records) if path.suffix.lower() == ".csv" else read_submission(path)


def look_at_videos(args: EvalArguments, records: Sequence[Record]) -> dict[str, int]:
    """Look at the videos before a model is loaded; say how many records have no usable one, by reason.

    Those are not asked about and count 0.

    Raises:
        StageError: More than `max_missing` of the records have none.
    """
    found = sift(records, ClipFrames(Path(args.video_root), 1, args.max_frame_pixels), what=f"videos of {args.tracks}")
    found.check(args.tracks, args.max_missing)
    if found.lost:
        print(f"{args.tracks}: counted 0: {found.text}", file=sys.stderr)
    return found.counts


def summary_of(args: EvalArguments, records: Sequence[Record], samples: Sequence[Sequence[Sample]]) -> dict[str, Any]:
    """Return the content of metrics.json, except the problems of the predictions."""
    runs = [metrics(run) for run in samples]
    result: dict[str, Any] = mean_metrics(runs)
    result |= {"protocol": args.protocol, "repeats": len(runs), "temperature": args.temperature}
    result |= {"smooth": args.smooth} | breakdown(records, samples) | apart(samples)
    if args.protocol == "vuestg" and result["n"]:
        overlaps = [[sample.overlap for sample in run if sample.overlap is not None] for run in samples]
        result["vuestg"] = published_table([record for record in records if record.get("track")], overlaps)
    if len(runs) > 1:
        # Between runs, where interval95 is between samples.
        counted = [name for name, value in runs[0].items() if name != "n" and value is not None]
        result["spread"] = {name: statistics.stdev(run[name] for run in runs) for name in counted}
    return result


def read_tracks(path: Path) -> list[Record]:
    """Read all records of a track file.

    Raises:
        StageError: Two records have one id, so an answer could not be told from the other's.
    """
    records = list(read_records(path))
    seen: set[str] = set()
    for record in records:
        if record["id"] in seen:
            raise StageError(f"{path}: two records have the id {record['id']!r}, expected one for each id")
        seen.add(record["id"])
    return records


def frame_truths(args: EvalArguments, records: Sequence[Record]) -> Mapping[str, FrameTruth] | None:
    """Return the frame annotations of the records; None for a protocol that counts seconds.

    Raises:
        StageError: A record has none.
    """
    if args.protocol not in FRAME_PROTOCOLS:
        return None
    assert args.frames is not None  # checked with the settings
    records = [record for record in records if record.get("track")]
    truths = read_truths(Path(args.frames), records)
    without = [record["id"] for record in records if record["id"] not in truths]
    if without:
        raise StageError(f"{args.frames}: {_named(without)} of {args.tracks} without frame annotations")
    return truths


def check_answered(args: EvalArguments, wanted: list[str], known: set[str], submission: Submission) -> dict[str, Any]:
    """Say what is wrong with the predictions: records without one count 0, the rest is left out.

    Returns:
        How often each problem came, and the first names of each.

    Raises:
        StageError: No record has a prediction, so the file is another one than was meant.
    """
    where = args.predictions or args.model
    named = problems(submission, wanted, known)
    missing = named["missing_ids"]
    if len(missing) == len(wanted):
        broken = f" ({_named(submission.broken)} left out)" if submission.broken else ""
        raise StageError(
            f"{where}: no such file, or no answer in it to any of the {len(wanted)} records of {args.tracks}{broken}"
        )
    says = {
        "missing_ids": f"of {len(wanted)} records have no answer and count 0",
        "unknown_ids": f"answers to no record of {args.tracks} left out",
        "duplicate_ids": "second answers to one record left out, the first stands",
        "broken_lines": "lines that cannot be read left out",
    }
    for name, text in says.items():
        if named[name]:
            more = ", ..." if len(named[name]) > 3 else ""
            print(f"{where}: {len(named[name])} {text}: {', '.join(named[name][:3])}{more}", file=sys.stderr)
    counts: dict[str, Any] = {name: len(names) for name, names in named.items()}
    return counts | {"examples": {name: names[:10] for name, names in named.items() if names}}


def _named(names: Sequence[str]) -> str:
    """Return a number of records with the first ids, such as "3 records: a, b, c"."""
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} ({', '.join(names[:3])}{more})"


def parse(args: list[str] | None = None) -> tuple[EvalArguments, ...]:
    """Read the settings from --config YAML and the command line (which wins); refuse an unknown key."""
    return Parser((EvalArguments,), "eval").parse_args_and_config(args)


def report(args: EvalArguments) -> None:
    """Evaluate, then print the page, and the metrics as JSON on the last line."""
    result, _ = evaluate(args)
    print(markdown(result, name=args.predictions or args.model or ""))
    print(json.dumps(result))


if __name__ == "__main__":
    run(parse, report)
