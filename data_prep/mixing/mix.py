"""Track files -> one training set: weights, caps, balance, no video of an evaluation set, the same bytes every time.

    python -m data_prep mix data_prep/mixtures/cpt.yaml

The YAML names inputs and what to draw (data_prep/README.md). Beside the output appears `<out>.manifest.json`: inputs
with sha256, counts, seed, versions, and what was left out and why. Which records are drawn depends only on their
ids and the seed, so the same inputs give the same bytes on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from data_prep.files import atomic_write, remove_leftovers
from data_prep.locks import locked
from data_prep.mixing.config import MixRecipe, read_recipe
from data_prep.mixing.draw import filled, rank_of, shares, span_bin
from data_prep.mixing.videos import AT_A_TIME, VideoCheck, compared, sizes_digest
from data_prep.records import Record, RecordWriter, read_records
from data_prep.stages import StageError, file_digest
from data_prep.validation import SCHEMA_VERSION, TEXT_KINDS
from data_prep.video_ids import evaluation_keys, video_key

MANIFEST_VERSION = 1
EXAMPLES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, help="YAML of the mixture")
    parser.add_argument("--out", type=Path, help="track file to write; default: the YAML's `out`")
    parser.add_argument("--seed", type=int, help="default: the YAML's `seed`")
    parser.add_argument(
        "--video_root", type=Path, help="folder of the videos, which are looked at; default: the YAML's `video_root`"
    )


def run(args: argparse.Namespace) -> None:
    """Draw the mixture and write it with its manifest.

    Raises:
        StageError: the recipe is at fault, nothing is drawn, or another process writes there. What was there stays.
        RecordError, OSError: a track file cannot be read.
    """
    recipe = read_recipe(args.recipe, out=args.out, seed=args.seed, video_root=args.video_root)
    write_mixture(recipe, str(args.recipe))


def write_mixture(recipe: MixRecipe, where: str) -> dict[str, Any]:
    """Draw a mixture, write it with its manifest, print and return the manifest.

    Args:
        where: what messages call the mixture, such as its YAML file.

    Raises:
        StageError, RecordError, OSError: see `run`.
    """
    manifest_path = Path(f"{recipe.out}.manifest.json")
    mixture = Mixture(recipe)
    with locked(Path(recipe.out)):
        remove_leftovers(recipe.out, manifest_path)
        mixture.look(where)
        chosen = mixture.draw()
        if not chosen:
            raise StageError(f"{where}: nothing to write: {dict(mixture.left_out) or 'the inputs are empty'}")
        written = mixture.write(chosen)
        manifest = mixture.manifest(written, file_digest(Path(recipe.out)))
        with atomic_write(manifest_path) as out:
            json.dump(manifest, out, indent=1, ensure_ascii=False, sort_keys=True)
    print(table(manifest))
    return manifest


def current_manifest(recipe: MixRecipe) -> dict[str, Any] | None:
    """Return the manifest of a mixture that is what `recipe` draws from the inputs as they are; None for any other."""
    try:
        manifest: dict[str, Any] = json.loads(Path(f"{recipe.out}.manifest.json").read_text(encoding="utf-8"))
        read = [*manifest["inputs"], *({"tracks": one["path"], **one} for one in manifest["evaluation"])]
        same = manifest["recipe"] == json.loads(json.dumps(asdict(recipe)))
        same = same and manifest["versions"]["schema"] == SCHEMA_VERSION
        same = same and manifest["sha256"] == file_digest(Path(recipe.out))
        same = same and manifest.get("videos") == sizes_digest(
            (one.tracks for one in recipe.inputs), recipe.video_root
        )
        return manifest if same and all(one["sha256"] == file_digest(Path(one["tracks"])) for one in read) else None
    except (OSError, StageError, ValueError, KeyError, TypeError):
        return None


class Mixture:
    """One run: a pass over the inputs that counts and checks, the draw, and a pass that writes.

    In memory there are a rank and a group a usable record and two digests a record, not the records.
    """

    def __init__(self, recipe: MixRecipe) -> None:
        for path in (*(source.tracks for source in recipe.inputs), *recipe.evaluation, *recipe.evaluation_videos):
            if not Path(path).is_file():  # found out now, not after a pass over the files before it
                raise StageError(f"{path}: no such file; data_prep/README.md says how track files are made")
        self.recipe = recipe
        self.left_out: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)
        self.seen: set[bytes] = set()  # digests, for the search of duplicates
        self.read: list[int] = []
        self.usable: list[list[tuple[float, int, str]]] = []  # of each input: (rank, line number, group)
        self.held_out = evaluation_keys(recipe.evaluation, recipe.evaluation_videos)

    def _leave_out(self, reason: str, name: str) -> None:
        self.left_out[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append(name)

    def look(self, where: str) -> None:
        """Read the inputs for the first time, and note which records may be used.

        Raises:
            StageError: too many of them have no usable video.
        """
        root = self.recipe.video_root
        check = None if root is None else VideoCheck(root, self.recipe.max_missing)
        for source in self.recipe.inputs:
            numbered = enumerate(_progress(source.tracks, "look"))
            ranked: list[tuple[float, int, str]] = []
            count = 0
            while some := list(islice(numbered, AT_A_TIME)):
                count += len(some)
                passed = []
                for number, record in some:
                    reason = self._reason_against(record, source.kinds)
                    if reason:
                        self._leave_out(reason, record["id"])
                    else:
                        rank = rank_of(self.recipe.seed, "draw", record["id"])
                        passed.append(((rank, number, self._group(record)), compared(record)))
                faults = check and check.faults([seen for _, seen in passed], f"videos of {source.tracks}")
                for (place, seen), fault in zip(passed, faults or [None] * len(passed), strict=True):
                    if fault is None:
                        ranked.append(place)
                    else:
                        self._leave_out(str(fault), seen["id"])
            self.read.append(count)
            self.usable.append(ranked)
        if check is not None:
            check.check(where)

    def _reason_against(self, record: Record, kinds: list[str]) -> str:
        if kinds and record["kind"] not in kinds:
            return "other_kind"
        if self.recipe.splits and record["split"] not in self.recipe.splits:
            return "other_split"
        if video_key(record["video"]) in self.held_out:
            return "evaluation_video"
        if self.recipe.most_seconds and (record["seconds"] or 0) > self.recipe.most_seconds:
            return "too_long"
        if self._is_second(f"id\0{record['id']}"):  # traces and predictions go by the id
            return "duplicate_id"
        query = " ".join(record["query"].split()).casefold()
        # Captions and questions of many clips of one video may share a template's words.
        clip = record["clip"] if record["kind"] in TEXT_KINDS else None
        return "duplicate" if self._is_second(f"{video_key(record['video'])}\0{clip}\0{query}") else ""

    def _is_second(self, name: str) -> bool:
        digest = hashlib.sha256(name.encode()).digest()[:12]
        if digest in self.seen:
            return True
        self.seen.add(digest)
        return False

    def _group(self, record: Record) -> str:
        """Return the record's group under `balance`."""
        values = {"source": record["source"], "kind": record["kind"], "span": span_bin(record)}
        return " / ".join(values[name] for name in self.recipe.balance)

    def draw(self) -> list[set[int]]:
        """Return the line numbers of the drawn records of each input; [] where none is drawn."""
        usable = []
        for source, ranked in zip(self.recipe.inputs, self.usable, strict=True):
            ranked = sorted(ranked)
            kept = ranked[: source.cap] if source.cap is not None else ranked
            self.left_out["cap"] += len(ranked) - len(kept)
            usable.append(kept)
        total = self.recipe.total
        if self.recipe.balance:
            chosen = self._balanced(usable, sum(map(len, usable)) if total is None else total)
        else:
            chosen = [ranked[:number] for ranked, number in zip(usable, self._weighted(usable, total), strict=True)]
        self.left_out["not_drawn"] += sum(map(len, usable)) - sum(map(len, chosen))
        self.left_out = +self.left_out
        return [{number for _, number, _ in ranked} for ranked in chosen] if any(chosen) else []

    def _weighted(self, usable: list[list[tuple[float, int, str]]], total: int | None) -> list[int]:
        """Return how many records to take of each input, by the weights.

        With a `total` an input that has too few gives all it has and the others fill up; without one the ratio is
        kept, and the scarcest input decides.
        """
        sizes = [len(ranked) for ranked in usable]
        given = [source.weight for source in self.recipe.inputs]
        if all(weight is None for weight in given):
            given = [float(size) for size in sizes]
            total = sum(sizes) if total is None else total
        weights = [1.0 if weight is None else float(weight) for weight in given]
        if total is not None:
            return filled(sizes, weights, total)
        scale = min(
            (size / weight for size, weight in zip(sizes, weights, strict=True) if size and weight), default=0.0
        )
        return [min(size, math.floor(weight * scale + 1e-9)) for size, weight in zip(sizes, weights, strict=True)]

    def _balanced(self, usable: list[list[tuple[float, int, str]]], total: int) -> list[list[tuple[float, int, str]]]:
        """Draw the same number of records of each group, over all inputs."""
        groups: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
        for index, ranked in enumerate(usable):
            for rank, number, group in ranked:
                groups[group].append((rank, index, number))
        wanted = shares({group: len(groups[group]) for group in sorted(groups)}, total)
        chosen: list[list[tuple[float, int, str]]] = [[] for _ in usable]
        for group, members in groups.items():
            for rank, index, number in sorted(members)[: wanted[group]]:
                chosen[index].append((rank, number, group))
        return chosen

    def write(self, chosen: list[set[int]]) -> dict[str, Counter[str]]:
        """Read the inputs again and write the drawn records, some with a higher rate; return counts by name."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in ("input", "source", "kind", "span", "rate")}
        with RecordWriter(self.recipe.out) as writer:
            for source, numbers in zip(self.recipe.inputs, chosen, strict=True):
                for number, record in enumerate(_progress(source.tracks, "write")):
                    if number not in numbers:
                        continue
                    rate = self._rate(record)
                    writer.write(record | {"rate": rate} if rate else record)
                    counts["input"][source.tracks] += 1
                    counts["source"][record["source"]] += 1
                    counts["kind"][record["kind"]] += 1
                    counts["span"][span_bin(record) or "none"] += 1
                    counts["rate"][f"{rate or record.get('rate') or 1:g}"] += 1
        return counts

    def _rate(self, record: Record) -> float | None:
        """Choose a higher rate, within the frame budget, for a small share of the records; None for the others."""
        recipe = self.recipe
        if rank_of(recipe.seed, "rate", record["id"]) >= recipe.higher_rate_share or record["seconds"] is None:
            return None
        fitting = [rate for rate in recipe.higher_rates if record["seconds"] * rate <= recipe.frame_budget]
        if not fitting:
            return None
        return float(fitting[int(rank_of(recipe.seed, "which", record["id"]) * len(fitting))])

    def manifest(self, counts: dict[str, Counter[str]], digest: str) -> dict[str, Any]:
        """Return what the mixture is made of; nothing in it depends on the time or the machine."""
        inputs = [
            {"tracks": source.tracks, "sha256": file_digest(Path(source.tracks)), "read": read, "usable": len(usable)}
            | {"written": counts["input"][source.tracks]}
            for source, read, usable in zip(self.recipe.inputs, self.read, self.usable, strict=True)
        ]
        held_out = [*self.recipe.evaluation, *self.recipe.evaluation_videos]
        return {
            "manifest": MANIFEST_VERSION,
            "recipe": asdict(self.recipe),
            "seed": self.recipe.seed,
            "inputs": inputs,
            "evaluation": [{"path": path, "sha256": file_digest(Path(path))} for path in held_out],
            "evaluation_videos": len(self.held_out),
            "videos": sizes_digest((one.tracks for one in self.recipe.inputs), self.recipe.video_root),
            "read": sum(self.read),
            "written": sum(counts["kind"].values()),
            "left_out": dict(self.left_out),
            "examples": {reason: names for reason, names in self.examples.items() if names},
            "counts": {name: dict(counter) for name, counter in counts.items()},
            "sha256": digest,
            "versions": {
                "schema": SCHEMA_VERSION,
                "python": ".".join(platform.python_version_tuple()[:2]),
                "yaml": yaml.__version__,
            },
        }


def _progress(path: str, what: str) -> Iterator[Record]:
    yield from tqdm(
        read_records(path), desc=f"{what} {Path(path).name}", unit="record", mininterval=1.0, file=sys.stderr
    )


def table(manifest: dict[str, Any]) -> str:
    """Return the manifest in a few lines of text."""
    lines = [f"{manifest['recipe']['out']}: {manifest['written']} of {manifest['read']} records"]
    for item in manifest["inputs"]:
        lines.append(f"  {item['tracks']}: {item['written']} of {item['usable']} usable, {item['read']} read")
    for name in ("kind", "span", "rate"):
        lines.append(f"  {name}: " + ", ".join(f"{k} {n}" for k, n in sorted(manifest["counts"][name].items())))
    for reason, number in sorted(manifest["left_out"].items()):
        lines.append(f"  left out, {reason}: {number} {' '.join(manifest['examples'].get(reason, [])[:3])}".rstrip())
    return "\n".join(lines)
