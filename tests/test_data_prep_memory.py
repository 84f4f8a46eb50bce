"""Memory does not grow with the size of a source: ten times the records in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.layouts import hcstvg_record, mask, rle_of, sav_file, vidstg_record, write

ROOT = Path(__file__).parent.parent
# Not ru_maxrss: a new program begins there with the peak of the one that started it.
CHILD = """
import sys
from data_prep.__main__ import main
code = main(sys.argv[1:])
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("PEAK", peak.split()[1])
sys.exit(code)
"""


def vidstg(folder, times):
    """Sentences in one list, and a file of boxes for every tenth record."""
    box = {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 5}
    frames = [[{"tid": tid, "bbox": box, "generated": 1} for tid in (0, 1)]] * 60
    for vid in range(1000, 1000 + 60 * times):
        write(folder / "vidor" / f"{vid}.json", {"trajectories": frames})
    records = [vidstg_record(vid=str(1000 + n // 10)) for n in range(600 * times)]
    path = write(folder / "val_annotations.json", records)
    return ["--annotations", path, "--vidor", folder / "vidor"], 1200 * times


def hcstvg(folder, times):
    """One object of 3 MB, or 30."""
    box = [[10.5 + n % 7, 10, 20, 20] for n in range(150)]
    clips = {f"{n}.mp4": hcstvg_record(bbox=box, st_frame=1) for n in range(1200 * times)}
    return ["--annotations", write(folder / "val_v2.json", clips)], 1200 * times


def nextgqa(folder, times):
    """One list."""
    question = {
        "id": "1",
        "video": "a.mp4",
        "question": "why " * 20,
        "options": ["(A) x"],
        "answer": "(A)",
        "duration": 9,
    }
    return ["--annotations", write(folder / "nextgqa_val.json", [question] * (10_000 * times))], 10_000 * times


def trackingnet(folder, times):
    """A file a sequence."""
    for n in range(60 * times):
        write(folder / "anno" / f"v_{n}.txt", "1.5,2.5,30,40\n" * 400)
    return ["--annotations", folder, "--size", "100x100", "--fps", "30"], 60 * times


def sav(folder, times):
    """A file a video."""
    seen = rle_of(mask(o1=(4, 2, 8, 6)))
    for n in range(40 * times):
        sav_file(folder / f"sav_{n}_manual.json", [seen] * 50, video_frame_count=200.0)
    return ["--annotations", folder], 40 * times


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("make", [vidstg, hcstvg, nextgqa, trackingnet, sav])
def test_ten_times_the_records_in_the_same_memory(make, tmp_path):
    peaks = []
    for times in (1, 10):
        folder = tmp_path / str(times)
        options, count = make(folder, times)
        words = [make.__name__, *map(str, options), "--out", str(folder / "o.jsonl")]
        child = subprocess.run(
            [sys.executable, "-c", CHILD, *words], capture_output=True, text=True, cwd=ROOT, env=os.environ, check=True
        )
        assert json.loads((folder / "o.jsonl.report.json").read_text())["written"] == count
        peaks.append(int(child.stdout.split("PEAK")[1]))
    assert peaks[1] <= 1.2 * peaks[0], f"{peaks[0]} KiB, and for ten times the records {peaks[1]} KiB"
    print(f"{make.__name__}: {peaks[0] / 1024:.0f} MiB, {peaks[1] / 1024:.0f} MiB")
