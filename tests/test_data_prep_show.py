"""What `python -m data_prep show` draws of records on real small films, and which problems it finds."""

import base64
import io
import json
import re

import av
import pytest
from PIL import Image, ImageColor

from data_prep.__main__ import main
from data_prep.drawing.boxes import TRUE, Layer
from data_prep.drawing.page import tile_values
from data_prep.show.cards import Card, tile_times
from data_prep.show.entries import Entry, layers_of, read_entries
from data_prep.show.problems import Kind, frozen_runs, problems_of
from data_prep.show.shots import shots_of
from tests.helpers.example_records import caption, grounding, scene, state
from tests.helpers.films import make_plain_video, make_video

HOSTILE = '<script>alert("x")</script> --><img src=x onerror=alert(1)>'
GREEN = ImageColor.getrgb(TRUE.colour)


def near(pixel, colour, by=60):
    return all(abs(a - b) < by for a, b in zip(pixel[:3], colour, strict=True))


def seconds(numbers, box=(0.25, 0.25, 0.75, 0.75)):
    return [state(second, box) for second in numbers]


def record(**changes):
    """A record of a film of 64 x 48 pixels, 10 frames a second, 5 seconds."""
    of_film = {"video": "film.mp4", "clip": [0.0, 5.0], "fps": 10, "width": 64, "height": 48, "seconds": 5}
    return grounding(id="mine/1", span=[1, 3], track=seconds([1, 2, 3])) | of_film | changes


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "film.mp4", 50, 10, size=(160, 120))
    return folder


def write(tmp_path, *records):
    path = tmp_path / "tracks.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def show(tmp_path, records, *words, out="page.html"):
    tracks = write(tmp_path, *records)
    assert main(["show", str(tracks), "--out", str(tmp_path / out), *map(str, words)]) == 0
    return tmp_path / out


def sources(page, kind):
    return [base64.b64decode(found) for found in re.findall(rf'src="data:{kind};base64,([^"]+)"', page)]


def kinds(one, number=0):
    return [problem.kind for problem in problems_of(Entry(number, one))]


def test_the_page_shows_the_record_on_its_video_and_needs_nothing_else(tmp_path, videos):
    page = show(tmp_path, [record()], "--video_root", videos).read_text()
    tiles = [Image.open(io.BytesIO(content)) for content in sources(page, "image/jpeg")]
    assert [tile.size for tile in tiles] == [(200, 150)] * 5
    # The box begins at a quarter of each side: its line there is green within the event, and not before it.
    for second, tile in enumerate(tiles):
        assert near(tile.getpixel((100, 38)), GREEN) == (second in (1, 2, 3)), second
    # One bar a tile, full in the event's seconds.
    widths = re.findall(
        r'<div class="bars"><i title="true">(?:<b style="[^"]*width: ([0-9.]+)%"></b>)?</i></div>', page
    )
    assert widths == ["", "100.0", "100.0", "100.0", ""]
    assert re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page) == []
    assert "<script" not in page
    assert "No problem was found." in page
    assert page.index("<!doctype html>") < 5


def test_the_film_holds_the_box_through_its_second(tmp_path, videos):
    page = show(tmp_path, [record()], "--video_root", videos).read_text()
    (content,) = sources(page, "video/mp4")
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 8)
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert len(frames) == 5 * 8
    assert frames[0].size == (384, 288)  # enlarged, or the caption would cover it
    with_box = [number for number, frame in enumerate(frames) if near(frame.getpixel((192, 73)), GREEN)]
    assert with_box == list(range(8, 32))


def test_texts_of_records_are_text(tmp_path, videos):
    one = record(id=HOSTILE, query=HOSTILE, label=HOSTILE, reasoning=HOSTILE, source=HOSTILE)
    two = record(video="../../etc/passwd", query="half \ud800 of a pair", id="mine/2")
    page = show(tmp_path, [one, two], "--video_root", videos).read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;") >= 5
    assert "half ? of a pair" in page
    assert "etc/passwd" in page  # the fault names it


@pytest.mark.parametrize(
    ("changes", "found", "remark"),
    [
        ({}, [], "nothing is wrong"),
        ({"track": seconds([1, 2, 3], (0.5, 0.5, 1.2, 0.9))}, [Kind.INVALID, Kind.OUTSIDE_PICTURE], "to the right"),
        ({"track": seconds([1, 2, 3], (-0.1, 0.5, 0.2, 0.9))}, [Kind.INVALID, Kind.OUTSIDE_PICTURE], "to the left"),
        ({"track": seconds([1, 2, 3, 4])}, [Kind.INVALID, Kind.OUTSIDE_SPAN], "a box after the event"),
        ({"track": []}, [Kind.NO_BOX], "a span without boxes is valid and teaches no place"),
        ({"track": seconds([1, 3])}, [Kind.GAPS], "a hidden second"),
        ({"track": seconds([1, 2], (0.0, 0.0, 0.1, 0.1)) + seconds([3], (0.8, 0.8, 0.9, 0.9))}, [Kind.JUMP], "far"),
        ({"track": seconds([1, 2], (0.0, 0.0, 0.1, 0.1)) + seconds([3], (0.15, 0.0, 0.25, 0.1))}, [], "a step"),
        ({"track": seconds([1, 2], (0.4, 0.4, 0.5, 0.5)) + seconds([3], (0.1, 0.1, 0.9, 0.9))}, [Kind.GROWS], "x 64"),
        ({"track": "none"}, [Kind.INVALID, Kind.NO_BOX], "no list"),
        ({"span": [3, 1]}, [Kind.INVALID], "a span that ends before it begins"),
        ({"schema": 1, "seconds": -1}, [Kind.INVALID], "no length"),
    ],
)
def test_problems_of_a_record(tmp_path, changes, found, remark):
    (entry,) = read_entries(write(tmp_path, record(**changes)))
    assert [problem.kind for problem in problems_of(entry)] == found, remark


def test_boxes_in_pixels_are_told(tmp_path):
    (entry,) = read_entries(write(tmp_path, record(track=seconds([1, 2, 3], (10, 10, 50, 40)))))
    (problem,) = [found for found in problems_of(entry) if found.kind is Kind.OUTSIDE_PICTURE]
    assert "they look like pixels: divide by the picture's width and height" in problem.text


def test_several_events_no_target_and_times_without_boxes():
    twice = record(schema=2, span=None, spans=[[0, 2], [3.5, 4.5]], track=seconds([0, 1, 3, 4]))
    # [3.5, 4.5) touches the seconds 3 and 4.
    assert Entry(0, twice).spans == [(0, 1), (3, 4)]
    assert kinds(twice) == []
    assert kinds(twice | {"track": seconds([0, 1, 2, 3, 4])}) == [Kind.OUTSIDE_SPAN]
    assert kinds(twice | {"track": None, "task": "temporal"}) == []
    nothing = record(schema=2, span=None, track=None, no_target=True)
    assert kinds(nothing) == []
    assert [layer.spans for layer in layers_of(Entry(0, nothing))] == [[]]


def test_a_scenes_objects_have_looks_of_their_own():
    one = scene(tracks=[{"label": "dog-1", "track": seconds([0, 1, 4])}, {"label": "cat-1", "track": []}])
    first, second = layers_of(Entry(0, one))
    assert (first.look.name, first.spans, second.spans) == ("dog-1", [(0, 1), (4, 4)], [])
    assert first.look.colour != second.look.colour


def card_problems(one, videos):
    card = Card.of(Entry(0, one), videos)
    list(card.moving(64, videos))
    return {problem.kind: problem.text for problem in card.problems}


def test_problems_of_videos(videos):
    make_plain_video(videos / "still.mp4", (200, 10, 10), 5)
    (videos / "text.mp4").write_text("no video")
    assert card_problems(record(), videos) == {}
    assert card_problems(record(video="still.mp4"), videos) == {Kind.FROZEN: "one picture stands at seconds 0 to 4"}
    assert Kind.VIDEO in card_problems(record(video="text.mp4"), videos)
    assert "no such file" in card_problems(record(video="gone.mp4"), videos)[Kind.VIDEO]
    assert "its last frame is at 4.90 s" in card_problems(record(seconds=9, clip=[0, 9]), videos)[Kind.SHORTER]
    assert Kind.SIZE in card_problems(record(width=48, height=64), videos)


def test_a_link_out_of_the_root_is_not_followed(tmp_path, videos):
    make_video(tmp_path / "secret.mp4", 10, 10)
    (videos / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    card = Card.of(Entry(0, record(video="link.mp4")), videos)
    assert card.shots.path is None
    assert "a link to" in card.problems[0].text


def test_frozen_runs():
    moving = [(k, Image.linear_gradient("L").rotate(k * 7)) for k in range(4)]
    still = [(k, moving[3][1]) for k in range(4, 6)]
    assert frozen_runs(moving) == []
    assert frozen_runs(moving + still) == [(3, 5)]
    assert frozen_runs(still) == []  # two are too few


def test_each_tile_stands_for_an_equal_part_and_shows_a_box_of_it():
    one = record(seconds=96, clip=[0, 96], span=[3, 3], track=seconds([3]))
    shots = shots_of(Entry(0, one), None)
    chosen = tile_times(shots, layers_of(Entry(0, one)))
    assert len(chosen) == 48
    assert chosen[3.5] == (2, 4)  # second 3, which has a box, and not second 2
    assert chosen[95.5] == (94, 96)
    values = tile_values(Image.new("RGB", (64, 48)), 3, [Layer(TRUE, (3, 3))], chosen[3.5])
    assert values["bars"][0]["parts"] == [(50.0, 50.0)]  # the second half of the tile


def test_a_long_clip_is_a_fast_film():
    one = record(seconds=1000, clip=[0, 1000])
    shots = shots_of(Entry(0, one), None)
    assert (len(shots.times), shots.rate) == (200, pytest.approx(4))
    assert shots.pace == pytest.approx(20)  # one second in five, four a second


def test_without_videos_boxes_stand_on_grey(tmp_path):
    page = show(tmp_path, [record(), caption(), {"id": "q", "video": "a.mp4", "query": "who?"}]).read_text()
    assert "No --video_root was given" in page
    assert len(sources(page, "image/jpeg")) == 5 + 10  # a question without a length has no tiles
    assert "who?" in page


def test_a_question_about_the_whole_file(tmp_path, videos):
    page = show(tmp_path, [caption(video="film.mp4", clip=None, seconds=None)], "--video_root", videos).read_text()
    assert len(sources(page, "image/jpeg")) == 5
    assert "A dog runs." in page


def test_half_of_what_is_shown_has_problems(tmp_path, capsys):
    good = [record(id=f"good/{n}") for n in range(40)]
    bad = [record(id=f"bad/{n}", track=[]) for n in range(3)]
    page = show(tmp_path, [*good[:20], *bad, *good[20:]], "--max_records", 4).read_text()
    shown = re.findall(r'<p class="note">((?:good|bad)/\d+) ', page)
    assert shown == ["good/10", "bad/0", "bad/1", "good/29"]  # a quarter and three quarters through the other 41
    assert re.search(
        r'span without any box</td><td data-label="in the file">3</td><td data-label="shown here">2<', page
    )
    assert "page.html: 4 of 43 records, 2 with problems" in capsys.readouterr().out


def test_records_are_shown_by_name(tmp_path):
    records = [record(id=f"a/{n}") for n in range(9)]
    page = show(tmp_path, records, "--records", "a/7,a/2").read_text()
    assert re.findall(r'<p class="note">(a/\d) ', page) == ["a/2", "a/7"]


def test_a_folder_has_a_sheet_and_a_film_of_each(tmp_path, videos):
    folder = show(tmp_path, [record(id="a/../b"), record(id="c")], "--video_root", videos, out="shown")
    assert sorted(path.name for path in folder.iterdir()) == [
        "000-a_.._b.mp4", "000-a_.._b.png", "001-c.mp4", "001-c.png", "index.html",
    ]  # fmt: skip
    with Image.open(folder / "001-c.png") as sheet:
        assert GREEN in {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
    assert 'src="001-c.mp4"' in (folder / "index.html").read_text()


def test_a_video_has_the_clips_one_after_the_other(tmp_path, videos):
    make_video(videos / "tall.mp4", 20, 10, size=(64, 96))
    tall = record(id="t", video="tall.mp4", clip=[0, 2], seconds=2, width=64, height=96, span=[0, 0], track=[])
    path = show(tmp_path, [record(), tall], "--video_root", videos, out="all.mp4")
    with av.open(str(path)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert len(frames) == (5 + 2) * 8
    assert {frame.size for frame in frames} == {(384, 384)}  # 384 x 288 and 256 x 384 both fit
    assert near(frames[12].getpixel((192, 48 + 73)), GREEN)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "o.avi"], "--out o.avi: expected a page (.html), a video (.mp4) or a folder"),
        (["--out", "tracks.jsonl"], "one of the inputs"),
        (["--max_records", "0"], "--max_records 0, expected at least 1"),
        (["--video_root", "nowhere"], "--video_root nowhere: no such folder"),
        (["--records", "b"], "no record 'b'"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, record())
    assert main(["show", "tracks.jsonl", *words]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


def test_a_line_that_is_no_json_is_an_error_with_its_place(tmp_path, capsys):
    path = write(tmp_path, record())
    path.write_text(path.read_text() + "{\n")
    assert main(["show", str(path)]) == 2
    assert "tracks.jsonl:2: no JSON" in capsys.readouterr().err


def test_an_empty_file_is_an_error(tmp_path, capsys):
    assert main(["show", str(write(tmp_path))]) == 2
    assert "no record in it" in capsys.readouterr().err
