"""Which smoothing? m_vIoU and jitter of each kind on noisy tracks, synthetic and (with STVG_SAMPLES) real.

    STVG_SAMPLES=/path/to/samples python -m bench.smoothing

Each track gets one kind of noise, as a grounding model makes it: jitter in every box, one-second outliers, switches to
another place for one or two seconds, or all of them. Jitter is the mean second difference of the corners, times 100.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.smoothing_kinds import KINDS
from bench.table import Report, parser_of
from recipe.inference.smoothing import smooth
from stvg_rewards import Track, viou

Array = np.ndarray
SEEDS = 5


def line(rng: np.random.Generator, seconds: int = 20) -> Array:
    """Return boxes in straight motion."""
    start, speed = rng.uniform(0.1, 0.5, 2), rng.uniform(-0.01, 0.02, 2)
    size = rng.uniform(0.1, 0.3, 2)
    corners = start + np.arange(seconds)[:, None] * speed
    return np.clip(np.hstack([corners, corners + size]), 0, 1)


def fast(rng: np.random.Generator, seconds: int = 20) -> Array:
    """Return boxes with fast turns, like a dancer's."""
    t = np.arange(seconds)[:, None]
    centre = 0.5 + 0.3 * np.sin(t * rng.uniform(0.5, 1.2, 2) + rng.uniform(0, 6, 2))
    half = rng.uniform(0.05, 0.12, 2)
    return np.clip(np.hstack([centre - half, centre + half]), 0, 1)


def cut(rng: np.random.Generator, seconds: int = 20) -> Array:
    """Return boxes in straight motion with a camera cut in the middle."""
    one, two = line(rng, seconds), line(rng, seconds)
    shift = np.array([0.45, 0.4, 0.45, 0.4])
    return np.vstack([one[: seconds // 2] * 0.5, np.clip(two[seconds // 2 :] * 0.5 + shift, 0, 1)])


def samples() -> Path:
    """Return the folder of real annotations; a folder that does not exist where none is named."""
    return Path(os.environ.get("STVG_SAMPLES", "/nowhere")) / "samples"


def people() -> Iterator[Array]:
    """Return MOT15's boxes of each person, every fifth frame (the sequence at hand has three seconds), 640 x 480."""
    for path in sorted(samples().glob("mot15/train/*/gt/gt.txt")):
        rows = np.loadtxt(path, delimiter=",")
        for person in np.unique(rows[:, 1]):
            boxes = rows[rows[:, 1] == person]
            corners = np.hstack([boxes[:, 2:4], boxes[:, 2:4] + boxes[:, 4:6]]) / [640, 480, 640, 480]
            track = np.clip(corners[np.argsort(boxes[:, 0])][::5], 0, 1)
            if len(track) >= 8:
                yield track


def real_tracks() -> Iterator[Array]:
    """Return LaSOT's boxes, one a second at 30 frames a second, in runs without absence, by the largest coordinate."""
    for path in sorted(samples().glob("lasot_toolkit/annos/*.txt")):
        boxes = np.loadtxt(path, delimiter=",")
        absent = np.loadtxt(path.parent / "absent" / path.name)
        boxes[:, 2:] += boxes[:, :2]
        boxes = boxes / boxes.max(axis=0)[[2, 3, 2, 3]]
        rows = boxes[15::30][absent[15::30] == 0]
        good = (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1]) & (rows >= 0).all(1)
        rows = np.clip(rows[good], 0, 1)
        for begin in range(0, min(len(rows), 120) - 19, 20):
            yield rows[begin : begin + 20]


def jitter(rng: np.random.Generator, track: Array) -> Array:
    """Move every corner by a share of the box."""
    size = np.hstack([track[:, 2:] - track[:, :2]] * 2)
    return track + rng.normal(0, 0.08, track.shape) * size


def outliers(rng: np.random.Generator, track: Array) -> Array:
    """Move one box in eight to another part of the picture."""
    out = track.copy()
    for k in np.flatnonzero(rng.random(len(track)) < 1 / 8):
        out[k] = out[k] + np.tile(rng.uniform(-0.3, 0.3, 2), 2)
    return out


def switches(rng: np.random.Generator, track: Array) -> Array:
    """Make the boxes follow another object for one or two seconds, once in a track."""
    out = track.copy()
    begin = rng.integers(1, len(track) - 3)
    end = begin + rng.integers(1, 3)
    out[begin:end] = np.clip(out[begin:end] + np.tile(rng.choice([-0.4, 0.4], 2), 2), 0, 1)
    return out


def everything(rng: np.random.Generator, track: Array) -> Array:
    """Apply jitter, outliers and switches."""
    return jitter(rng, outliers(rng, switches(rng, track)))


def clean(rng: np.random.Generator, track: Array) -> Array:
    """Add no noise, to measure what smoothing costs a perfect answer."""
    return track


NOISES: list[Callable[[np.random.Generator, Array], Array]] = [clean, jitter, outliers, switches, everything]


def as_track(rows: Array) -> Track:
    """Return valid boxes by second."""
    rows = np.clip(rows, 0, 1)
    boxes = {k: (float(a), float(b), float(c), float(d)) for k, (a, b, c, d) in enumerate(rows) if a < c and b < d}
    return Track("x", boxes)


def measure(
    kind: str, tracks: list[Array], noise: Callable[[np.random.Generator, Array], Array], seeds: int
) -> tuple[float, float]:
    """Return (m_vIoU, jitter times 100), means over tracks and seeds."""
    scores, rough = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for rows in tracks:
            true, given = as_track(rows), as_track(noise(rng, rows))
            if not given.boxes or not true.boxes:
                continue
            span = (0, len(rows) - 1)
            smoothed = smooth(given.boxes, span, steady=KINDS[kind])
            scores.append(viou(Track("x", smoothed), true, predicted_span=span))
            steps = np.diff(np.array([smoothed[k] for k in sorted(smoothed)]), n=2, axis=0)
            rough.append(float(np.abs(steps).mean()) if len(steps) else 0.0)
    return float(np.mean(scores)), 100 * float(np.mean(rough))


def main() -> None:
    """Print the table as Markdown, m_vIoU (jitter) of each kind, and a row of the recipe's kind against none."""
    options = parser_of(__doc__).parse_args()
    count, seeds = (10, 1) if options.quick else (40, SEEDS)
    rng = np.random.default_rng(0)
    sources = {
        "straight": [line(rng) for _ in range(count)],
        "fast": [fast(rng) for _ in range(count)],
        "cut": [cut(rng) for _ in range(count)],
    }
    for name, real in (("LaSOT", list(real_tracks())), ("MOT15, 5 a second", list(people()))):
        if real:
            sources[f"{name} ({len(real)} runs)"] = real
    print(f"| tracks | noise | {' | '.join(KINDS)} |\n|---|---|{'---:|' * len(KINDS)}")
    totals: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for name, tracks in sources.items():
        for noise in NOISES:
            cells = []
            for kind in KINDS:
                score, rough = measure(kind, tracks, noise, seeds)
                totals[kind].append(score)
                cells.append(f"{score:.3f} ({rough:.1f})")
            print(f"| {name} | {noise.__name__} | {' | '.join(cells)} |")
    print(f"| mean | | {' | '.join(f'{np.mean(values):.3f}' for values in totals.values())} |")
    means = (float(np.mean(totals[kind])) for kind in ("outliers", "none"))
    Report("smoothing", options.rows).add(f"m_vIoU of noisy tracks, {len(sources)} kinds", *means, "", "not smoothed")


if __name__ == "__main__":
    main()
