"""Miniature copies of the data sets of the paper in their published layouts: annotations, H.264 videos and pictures.

Each lies in the folder that `recipe/configs/full/data.yaml` names. A red square moves from left to right over grey;
boxes are its own.
"""

import json
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.helpers.films import X264
from tests.helpers.layouts import mask, png, rle_of, sav_file, write

WIDTH, HEIGHT, SIDE = 64, 48, 16


def left_of(frame, count):
    """Return the square's left edge on a frame, pixels."""
    return frame * (WIDTH - SIDE) // max(count - 1, 1)


def picture(frame, count):
    """Return a frame: a red square, 16 pixels down, on grey."""
    drawn = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    left = left_of(frame, count)
    drawn[SIDE : 2 * SIDE, left : left + SIDE] = (220, 30, 30)
    return drawn


def boxes(count):
    """Return the square's (left, top, width, height) on each frame."""
    return [(left_of(frame, count), SIDE, SIDE, SIDE) for frame in range(count)]


def film(path, count, rate):
    """Write an H.264 video of `count` frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options=X264)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in range(count):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(frame, count), "rgb24")))
        out.mux(stream.encode(None))


def pictures(folder, count, name="{:08d}.jpg", first=1):
    """Write the frames as numbered pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(count):
        Image.fromarray(picture(frame, count)).save(folder / name.format(frame + first))


def rows(values):
    """Return rows of numbers as lines with commas."""
    return "\n".join(",".join(map(str, row)) for row in values) + "\n"


def vidstg(root):
    """VidSTG's sentences and VidOR's boxes and videos: six clips to train on, two of val, two of test."""
    splits = {"train": range(1000, 1006), "val": range(2000, 2002), "test": range(3000, 3002)}
    for split, vids in splits.items():
        records = []
        for vid in vids:
            folder = f"{vid // 1000:04d}"
            listed = [
                [{"tid": 1, "bbox": {"xmin": x, "ymin": y, "xmax": x + w - 1, "ymax": y + h - 1}, "generated": 1}]
                for x, y, w, h in boxes(60)
            ]
            part = "validation" if split == "test" else "training"
            annotation = {"version": "VERSION 1.0", "video_path": f"{folder}/{vid}.mp4", "trajectories": listed}
            write(root / f"vidor/annotation/{part}/{folder}/{vid}.json", annotation)
            film(root / f"vidor/video/{folder}/{vid}.mp4", 60, 10)
            begin = 10 * (vid % 3)
            records.append(
                {"vid": str(vid), "fps": 10, "frame_count": 60, "width": WIDTH, "height": HEIGHT}
                | {"used_segment": {"begin_fid": 0, "end_fid": 59}}
                | {"temporal_gt": {"begin_fid": begin, "end_fid": begin + 30}}
                | {"subject/objects": [{"tid": 0, "category": "dog"}, {"tid": 1, "category": "adult"}]}
                | {"captions": [{"description": f"an adult in red walks past dog {vid}", "target_id": 1}]}
                | {"questions": [{"description": f"who walks past dog {vid}?", "target_id": 1}]}
            )
        write(root / f"vidstg/annotations/{split}_annotations.json", records)


def hcstvg(root):
    """HC-STVG v2 (train, val) with its published keys, and v1's test: clips of 20 seconds."""

    def clips(videos, names, v2):
        records = {}
        for name in names:
            film(videos / name, 100, 5)
            size = {"img_size": [HEIGHT, WIDTH]} if v2 else {"width": WIDTH, "height": HEIGHT}
            said = {"English" if v2 else "caption": f"The man in red of {name[:-4]} walks to the door."}
            seen = {"bbox": [list(box) for box in boxes(100)[25:60]], "st_frame": 26, "img_num": 100}
            records[name] = seen | {"st_time": 5.0, "ed_time": 12.0} | size | said
        return records

    v2 = root / "hcstvg2"
    write(v2 / "anno_v2/train_v2.json", clips(v2 / "video_parts/0", [f"{n}_train.mp4" for n in range(5)], True))
    write(v2 / "anno_v2/val_v2.json", clips(v2 / "video_parts/1", ["8_val.mp4"], True))
    write(v2 / "anno_v2/query_v2.json", {"9_test.mp4": "The man sits down."})
    write(root / "hcstvg1/annotations/test.json", clips(root / "hcstvg1/videos", ["7_first.mp4"], False))


def mot(folder, rate=5, count=10, digits=6):
    """A sequence of the MOTChallenge's layout, with two targets."""
    pictures(folder / "img1", count, f"{{:0{digits}d}}.jpg")
    listed = [(n + 1, 1, *box, 1, 1, 1) for n, box in enumerate(boxes(count))]
    listed += [(n + 1, 2, WIDTH - SIDE - x, 1, SIDE, SIDE, 1, 1, 1) for n, (x, *_) in enumerate(boxes(count))]
    write(folder / "gt/gt.txt", rows(listed))
    info = f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={rate}\nseqLength={count}\n"
    write(folder / "seqinfo.ini", f"{info}imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n")


def one_object(root):
    """TrackingNet, GOT-10k and LaSOT: one object a sequence."""
    write(root / "trackingnet/TRAIN_0/anno/abc_0.txt", rows(boxes(60)))
    pictures(root / "trackingnet/TRAIN_0/frames/abc_0", 60, "{}.jpg", 0)
    got = root / "got10k/train/GOT-10k_Train_000001"
    pictures(got, 20)
    write(got / "groundtruth.txt", rows(boxes(20)))
    write(got / "absence.label", "0\n" * 20)
    write(got / "cover.label", "8\n" * 20)
    meta = f"anno_fps: 10Hz\nobject_class: square\nmotion_class: sliding\nresolution: ({WIDTH}, {HEIGHT})\n"
    write(got / "meta_info.ini", f"[METAINFO]\n{meta}")
    write(root / "got10k/train/list.txt", "GOT-10k_Train_000001\n")
    lasot = root / "lasot/square/square-1"
    pictures(lasot / "img", 60)
    write(lasot / "groundtruth.txt", rows((x + 1, y + 1, w, h) for x, y, w, h in boxes(60)))
    for name in ("full_occlusion", "out_of_view"):
        write(lasot / f"{name}.txt", ",".join("0" * 60))
    write(lasot / "nlp.txt", "red square that slides to the right")


def masks(root):
    """VSPW's class masks (61 is person there) and SA-V's masklets."""
    video = root / "vspw/data/1_abc"
    pictures(video / "origin", 15, first=30)
    for frame, (x, y, w, h) in enumerate(boxes(15)):
        png(video / f"mask/{frame + 30:08d}.png", mask(HEIGHT, WIDTH, o61=(x, y, x + w, y + h)), "L")
    write(root / "vspw/train.txt", "1_abc\n")
    at = boxes(48)[::4]
    drawn = [rle_of(mask(HEIGHT, WIDTH, o1=(x, y, x + w, y + h))) for x, y, w, h in at]
    sizes = {"video_width": WIDTH, "video_height": HEIGHT, "video_frame_count": 48.0}
    sav_file(root / "sav/sav_train/sav_000/sav_1_manual.json", drawn, **sizes)
    film(root / "sav/sav_train/sav_000/sav_1.mp4", 48, 24)


def texts(root):
    """ActivityNet's captions, and NExT-GQA's questions about VidOR's videos."""
    film(root / "activitynet/videos/v_abcdefghijk.mp4", 40, 10)
    said = {"duration": 4.0, "timestamps": [[0, 2], [1, 4]], "sentences": ["A square appears.", " It slides away."]}
    write(root / "activitynet/captions/train.json", {"v_abcdefghijk": said})
    write(root / "activitynet/captions/train_ids.json", ["v_abcdefghijk"])
    options = ["(A) it jumps", "(B) it slides"]
    asked = {"id": "1000_1", "video": "0001/1000.mp4", "question": "what does the square do", "options": options}
    asked |= {"duration": 6, "glue": [[1.0, 3.0]], "answer": "(B)"}
    # 2000 is a validation video of VidSTG: its question must stay out.
    held_out = asked | {"id": "2000_1", "video": "0002/2000.mp4"}
    write(root / "nextgqa/nextgqa_train.json", [asked, held_out])


def make_datasets(root):
    """Write all data sets below `root`."""
    vidstg(root)
    hcstvg(root)
    mot(root / "sportsmot/dataset/train/v_abc_c001")
    for split, number in (("train", 1), ("val", 4)):
        mot(root / f"dancetrack/{split}/dancetrack{number:04d}", digits=8)
    one_object(root)
    masks(root)
    texts(root)
    return root


def lines_of(path):
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


ROOT = Path(__file__).parents[2]
PLAN = ROOT / "recipe/configs/full/data.yaml"


def make_folder(folder):
    """Write to a folder what a full-size run needs in the repository's root: the data sets and the mixtures' YAML."""
    make_datasets(folder / "data")
    (folder / "data_prep").mkdir()
    (folder / "data_prep/mixtures").symlink_to(ROOT / "data_prep/mixtures")
    return folder
