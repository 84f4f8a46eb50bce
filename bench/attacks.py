"""Texts made to break a reader, and the time that each takes: a character costs the same however long the text is.

    python -m bench.attacks

Measures, for each reader, its worst attack in CPU nanoseconds a character at a million characters against the bare
`json.loads` of plain answers, and the largest growth of a character's cost since 100,000 characters: 1 would be
linear, 10 quadratic.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from bench.table import Report, parser_of
from stvg_rewards import Track, format_answer, parse_answer, parse_box, parse_intervals, parse_point, parse_tracks

ENTRY = '{"label": "a", "bbox_2d": [1, 2, 3, 4]}'
READERS: dict[str, Callable[[str], object]] = {
    "answer": parse_answer,
    "tracks": parse_tracks,
    "intervals": parse_intervals,
    "box": parse_box,
    "point": parse_point,
}
SHORT, LONG = 100_000, 1_000_000

# Each makes a text of about n characters.
ATTACKS: dict[str, Callable[[int], str]] = {
    "open braces": lambda n: "{" * n,
    "open brackets": lambda n: "[" * n,
    "open objects": lambda n: '{"a":' * (n // 5),
    "open lists of objects": lambda n: '{"0":[' * (n // 6),
    "deep list": lambda n: '{"0":' + "[" * (n // 2) + "]" * (n // 2) + "}",
    "deep object": lambda n: '{"0":' * (n // 6) + "0" + "}" * (n // 6),
    "closing braces": lambda n: "}" * n,
    "wrong closers": lambda n: '{"0": [' + "}]" * (n // 2),
    "brackets left open": lambda n: '{"0": [' + '[{"a":' * (n // 12) + "}]" * (n // 12),
    "empty objects": lambda n: "{}" * (n // 2),
    "broken objects": lambda n: '{"a" }' * (n // 6),
    "braces and spaces": lambda n: "{ " * (n // 2),
    "brace and spaces": lambda n: "{" + " " * n,
    "quotes": lambda n: '{"' + '"' * n,
    "backslashes": lambda n: '{"' + "\\" * n,
    "escaped quotes": lambda n: '{"' + '\\"' * (n // 2),
    "open string": lambda n: '{"a": "' + "b" * n,
    "open strings": lambda n: '{"a": "b\n' * (n // 9),
    "commas": lambda n: '{"0": [' + "," * n,
    "colons": lambda n: '{"0"' + ":" * n,
    "many keys": lambda n: "{" + ",".join(f'"{k}":[]' for k in range(n // 11)) + "}",
    "one key many times": lambda n: "{" + ",".join(['"0":[]'] * (n // 7)) + "}",
    "many labels": lambda n: '{"0":[' + ",".join(f'{{"label":"{k}"}}' for k in range(n // 18)) + "]}",
    "one label many times": lambda n: '{"0":[' + ",".join([ENTRY] * (n // 40)) + "]}",
    "long number": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,' + "9" * n + "]}]}",
    "long fraction": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,0.' + "9" * n + "]}]}",
    "long exponent": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,1e' + "9" * n + "]}]}",
    "many long numbers": lambda n: '{"0":[{"label":"a","bbox_2d":[' + ",".join(["9" * 300] * (n // 301)) + "]}]}",
    "long key": lambda n: '{"' + "9" * n + '":[]}',
    "key of zeros": lambda n: '{"0.' + "0" * n + 'x":[]}',
    "key of spaces": lambda n: '{"3' + " " * n + 'x":[]}',
    "reasoning tags": lambda n: "</think>" * (n // 8),
    "slashes": lambda n: "/" * n,
    "fences": lambda n: "```json\n" * (n // 8),
    "NUL": lambda n: "\x00" * n,
    "lone surrogates": lambda n: '{"\ud800' * (n // 3),
    "escaped surrogates": lambda n: '{"0":[{"label":"' + "\\ud800" * (n // 6) + '"}]}',
    "NaN": lambda n: '{"0":[{"label":"a","bbox_2d":[' + ",".join(["NaN", "-Infinity"] * (n // 14)) + "]}]}",
    "pairs in words": lambda n: "1 to " * (n // 5),
    "clock without end": lambda n: "1:" * (n // 2),
    "list of numbers": lambda n: "[" + "1," * (n // 2),
    "list of pairs": lambda n: "[" + "[1,2]," * (n // 6) + "[1,2]]",
    "numbers far apart": lambda n: "1" + " " * n + "to 2",
    "boxes without end": lambda n: "[         1         " * (n // 20),
    "open answers": lambda n: "<answer>" * (n // 8),
    "one object a second": lambda n: "\n".join(f'{{"{k}":[{ENTRY}]}}' for k in range(n // 50)),
    "one second many times": lambda n: f'{{"0":[{ENTRY}]}}' * (n // 46),
    "records": lambda n: "[" + ",".join(f'{{"second":{k},{ENTRY[1:]}' for k in range(n // 56)),
    "records in lists": lambda n: f'[{{"second":0,{ENTRY[1:]}]' * (n // 54),
    "objects far apart": lambda n: '{"0":[]}' + " ,[" * (n // 3) + '{"1":[]}',
    "keys in lists": lambda n: '{"0":[' + "".join(f'{{}},"{k}":[' for k in range(n // 12)),
    "a key in deep lists": lambda n: '{"0":' + "[" * n + '"1":[]}',
    "boxes without labels": lambda n: '{"0":[' + ",".join(["[1,2,3,4]"] * (n // 10)) + "]}",
    "named starts": lambda n: "start: 1, " * (n // 10),
    "named times": lambda n: '{"start": 1, "end": 2}, ' * (n // 24),
    "units": lambda n: "1 seconds " * (n // 10),
}


def per_character(read: Callable[[str], object], text: str) -> float:
    """Return CPU nanoseconds a character, the lower of two measurements."""
    spent = []
    for _ in range(2):
        begin = time.process_time()
        read(text)
        spent.append(time.process_time() - begin)
    return min(spent) / len(text) * 1e9


def main() -> None:
    """Measure every reader."""
    options = parser_of(__doc__).parse_args()
    report = Report("attacks", options.rows)
    short, long = (SHORT // 10, LONG // 10) if options.quick else (SHORT, LONG)
    track = Track("person-1", dict.fromkeys(range(60), (0.1, 0.2, 0.3, 0.4)))
    bare = per_character(json.loads, "[" + ",".join([format_answer(track, scale=(1000, 1000))] * 250) + "]")
    for name, read in READERS.items():
        costs, growths = {}, {}
        for attack, make in ATTACKS.items():
            costs[attack] = per_character(read, make(long))
            # Below a nanosecond a character the clock shows little else than itself.
            growths[attack] = costs[attack] / max(1.0, per_character(read, make(short)))
        worst, steepest = max(costs, key=costs.__getitem__), max(growths, key=growths.__getitem__)
        report.add(
            f"{name}: a character of its worst attack ({worst}); in texts 10 times as long "
            f"{growths[steepest]:.1f} times as much at most ({steepest})",
            costs[worst],
            bare,
            "ns",
            "json.loads of plain answers",
        )


if __name__ == "__main__":
    main()
