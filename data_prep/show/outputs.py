"""What `show` writes: one page, a folder of sheets and films with an index, or one video of all records."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.drawing.boxes import Look
from data_prep.drawing.film import encode_film
from data_prep.drawing.page import as_uri, page_environment, tile_values
from data_prep.drawing.sheet import write_sheet
from data_prep.files import atomic_write
from data_prep.show.cards import Card
from data_prep.show.problems import Kind

TEMPLATES = Path(__file__).parent / "templates"
PAGE_SIDE, FILM_SIDE = 480, 960  # pixels of a film's longer side: inside a page, in a file of its own
VIDEO_RATE = 8  # pictures a second of the video of all records
INDEX = "index.html"
FACTS = ("source", "split", "kind", "video", "label")


@dataclass
class Told:
    """What was found in the records that are shown, for the page's head and the last line.

    Attributes:
        kinds: how many records have each kind of problem.
        wrong: records with a problem that is more than a hint.
    """

    shown: int = 0
    wrong: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)

    def add(self, card: Card) -> None:
        """Count a card that is drawn."""
        self.shown += 1
        self.wrong += any(not problem.is_hint for problem in card.problems)
        self.kinds.update({problem.kind for problem in card.problems})


def write_page(path: Path, cards: Iterator[Card], about: dict[str, Any], root: Path | None) -> Told:
    """Write one page that holds everything, and opens without a server or a network.

    Args:
        about: what the template's head says of the file; see `data_prep.show.command`.
        root: the video root.
    """

    def film(card: Card, _: int) -> str | None:
        content = _encoded(card, PAGE_SIDE, root)
        return as_uri(content, "video/mp4") if content else None

    return _write_cards(path, cards, about, film)


def write_folder(folder: Path, cards: Iterator[Card], about: dict[str, Any], root: Path | None) -> Told:
    """Write a sheet (PNG) and a film (MP4) of each record, and a page that shows them."""

    def film(card: Card, number: int) -> str | None:
        stem = f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', card.entry.text('id'))[:80] or 'record'}"
        content = _encoded(card, FILM_SIDE, root)
        if content is None:
            return None
        with atomic_write(folder / f"{stem}.mp4", "wb") as out:
            out.write(content)
        if (sheet := card.sheet()) is not None:
            write_sheet(folder / f"{stem}.png", sheet)
        return f"{stem}.mp4"

    return _write_cards(folder / INDEX, cards, about, film)


def write_video(path: Path, cards: Sequence[Card], root: Path | None) -> Told:
    """Write one MP4 with the clips of all records after each other.

    Raises:
        ValueError: No record has anything to show.
    """
    told = Told()
    sizes = [card.film_size(FILM_SIDE) for card in cards if card.shots is not None]
    if not sizes:
        raise ValueError(f"{path}: no record has a clip that can be shown")

    def pictures() -> Iterator[Any]:
        for card in cards:
            times = max(1, round(VIDEO_RATE / card.shots.rate)) if card.shots else 1
            for picture in card.moving(FILM_SIDE, root):
                for _ in range(times):
                    yield picture
            card.tiles.clear()
            told.add(card)

    size = (max(width for width, _ in sizes), max(height for _, height in sizes))
    content = encode_film(pictures(), VIDEO_RATE, size=size, crf=22)
    with atomic_write(path, "wb") as out:
        out.write(content)
    return told


def _encoded(card: Card, side: int, root: Path | None) -> bytes | None:
    """Return a card's film; its tiles and problems are complete afterwards."""
    if card.shots is None:
        return None
    pictures = card.moving(side, root)
    first = next(pictures, None)
    if first is None:
        return None

    def all_of_them() -> Iterator[Any]:
        yield first
        yield from pictures

    crf = 28 if side == PAGE_SIDE else 22
    return encode_film(all_of_them(), card.shots.rate, size=card.film_size(side), crf=crf)


def _write_cards(path: Path, cards: Iterator[Card], about: dict[str, Any], film: Any) -> Told:
    """Write a page: the cards aside first, because its head counts what was found in them."""
    environment, told = page_environment(TEMPLATES), Told()
    card_template = environment.get_template("card.html")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as body:
        for number, card in enumerate(cards):
            source = film(card, number)
            body.write(_writable(card_template.render(card=_values(card), film=source, key=number)))
            card.tiles.clear()
            told.add(card)
        page = environment.get_template("show.html").render(told=told, kinds=_kinds(told, about), **about)
        head, _, tail = page.partition("<!--cards-->")  # no text of a record can be a comment: `<` is escaped
        body.seek(0)
        with atomic_write(path) as out:
            out.write(_writable(head))
            shutil.copyfileobj(body, out)
            out.write(_writable(tail))
    return told


def _writable(text: str) -> str:
    """Return text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _kinds(told: Told, about: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return (problem, records of the whole file, records shown), in the order of `Kind`."""
    in_file: Counter[Kind] = about["in_file"]
    return [(str(kind), in_file[kind], told.kinds[kind]) for kind in Kind if in_file[kind] or told.kinds[kind]]


def _values(card: Card) -> dict[str, Any]:
    """Return what the template shows of a card."""
    entry, shots = card.entry, card.shots
    first = [f"seconds {a} to {b}" if a != b else f"second {a}" for a, b in entry.spans[:20]]
    boxes = sum(len(boxes) for _, boxes in entry.tracks)
    facts = [(name, entry.text(name)) for name in FACTS if entry.text(name)]
    if entry.clip:
        facts.append(("clip", f"{entry.clip[0]:g} to {entry.clip[1]:g} s of the file"))
    if shots:
        facts.append(("seconds", str(shots.seconds)))
    if entry.has_event or boxes:
        facts.append(("event", ", ".join(first) or "not said"))
        facts.append(("boxes", f"{boxes}, in {len(card.layers)} objects" if len(card.layers) > 1 else str(boxes)))
    if entry.no_target:
        facts.append(("event", "none: nothing in the clip fits the sentence"))
    looks: list[Look] = [layer.look for layer in card.layers]
    return {
        "id": entry.text("id") or entry.where,
        "query": entry.text("query"),
        "answer": entry.text("answer"),
        "reasoning": entry.text("reasoning"),
        "facts": facts,
        "problems": sorted(card.problems, key=lambda problem: list(Kind).index(problem.kind)),
        "looks": looks if len(looks) > 1 else [],
        "tiles": [tile_values(tile, second, card.layers, window) for second, tile, window in card.tiles],
        "pace": shots.pace if shots else 1.0,
        "grey": shots is not None and shots.path is None,
    }
