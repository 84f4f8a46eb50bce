"""Boxes at the right pixels, spans at the right place on the bars."""

import pytest
from PIL import Image, ImageColor

from data_prep.drawing.boxes import (
    PREDICTED,
    RL,
    SFT,
    TRACK,
    TRUE,
    Layer,
    Look,
    contact_strip,
    draw_boxes,
    legend,
    pixel_corners,
    time_bars,
)
from data_prep.drawing.overlay import Overlay, draw
from data_prep.drawing.sheet import contact_sheet

GREY, WHITE = (100, 100, 100), (255, 255, 255)


def colour(look):
    return ImageColor.getrgb(look.colour)


def test_no_box_is_the_enlarged_frame():
    frame = Image.new("RGB", (24, 12), GREY)
    picture = draw_boxes(frame, [], side=96)
    assert picture.size == (96, 48)
    assert set(picture.get_flattened_data()) == {GREY}
    assert set(draw_boxes(frame, [(TRUE, None)], side=96).get_flattened_data()) == {GREY}


def test_a_box_is_drawn_on_its_outermost_pixels():
    # Half-open [24, 72) x [12, 36) of 96 x 48: the line covers columns 24, 25 and 70, 71, rows 12, 13 and 34, 35.
    picture = draw_boxes(Image.new("RGB", (96, 48), GREY), [(TRUE, (0.25, 0.25, 0.75, 0.75))], side=96)
    drawn = {(x, y) for x in range(96) for y in range(48) if picture.getpixel((x, y)) == colour(TRUE)}
    inside = {(x, y) for x in range(24, 72) for y in range(12, 36)}
    hole = {(x, y) for x in range(26, 70) for y in range(14, 34)}
    assert drawn == inside - hole


def test_boxes_that_agree_are_all_seen():
    box = (0.1, 0.1, 0.9, 0.9)
    picture = draw_boxes(Image.new("RGB", (100, 100), GREY), [(look, box) for look in (TRUE, SFT, RL)], side=100)
    seen = set(picture.get_flattened_data())
    assert {colour(TRUE), colour(SFT), colour(RL), GREY, WHITE} == seen


@pytest.mark.parametrize("look", [TRUE, SFT, RL])
@pytest.mark.parametrize("paper", ["own", "white", "black", GREY])
def test_a_box_shows_on_any_colour(look, paper):
    """Each line of the box differs much from the picture, its colour's own included."""
    ground = look.colour if paper == "own" else paper
    picture = draw_boxes(Image.new("RGB", (100, 100), ground), [(look, (0.2, 0.2, 0.8, 0.8))], side=100).convert("L")
    plain = Image.new("RGB", (1, 1), ground).convert("L").getpixel((0, 0))
    for x in range(25, 70, 10):  # across the upper line with its halo, a dash or more at a time
        part = [picture.getpixel((x + dx, y)) for dx in range(10) for y in range(19, 24)]
        assert max(abs(pixel - plain) for pixel in part) > 25, x


def test_a_small_box_is_drawn_around_what_it_holds():
    picture = draw_boxes(Image.new("RGB", (100, 100), GREY), [(TRUE, (0.5, 0.5, 0.54, 0.54))], side=100)
    inside = {picture.getpixel((x, y)) for x in range(51, 53) for y in range(51, 53)}
    assert inside == {GREY}
    assert picture.getpixel((52, 49)) == picture.getpixel((48, 52)) == colour(TRUE)


def test_a_dashed_line_has_gaps():
    picture = draw_boxes(Image.new("RGB", (100, 100), GREY), [(Look("x", "#ff0000", dash=5), (0, 0, 1, 1))], side=100)
    top = [picture.getpixel((x, 0)) for x in range(20)]
    assert top == [(255, 0, 0)] * 5 + [WHITE] * 5 + [(255, 0, 0)] * 5 + [WHITE] * 5


@pytest.mark.parametrize(
    ("box", "corners", "remark"),
    [
        ((0, 0, 1, 1), (0, 0, 99, 49), "the whole picture"),
        ((0.5, 0.5, 0.5, 0.5), (50, 25, 50, 25), "an empty box is one pixel"),
        ((0.999, 0.999, 1, 1), (99, 49, 99, 49), "never outside"),
        ((-0.5, -0.5, 1.5, 1.5), (0, 0, 99, 49), "nor of a box that is"),
        ((3, 3, 4, 4), (99, 49, 99, 49), "nor of one that is nowhere"),
    ],
)
def test_pixel_corners(box, corners, remark):
    assert pixel_corners(box, (100, 50)) == corners, remark


def test_time_bars():
    # 4 seconds on 80 pixels: span 1..2 covers pixels 20..59 of its bar; a span past the end is cut.
    bars = time_bars(4, [(TRUE, (1, 2)), (SFT, None), (RL, (3, 9))], width=80, row=12)
    rows = [[bars.getpixel((x, 12 * index + 6)) for x in range(80)] for index in range(3)]
    assert [x for x in range(80) if rows[0][x] == colour(TRUE)] == list(range(20, 60))
    assert colour(SFT) not in rows[1]
    assert [x for x in range(80) if rows[2][x] == colour(RL)] == list(range(60, 80))


def test_contact_strip():
    strip = contact_strip([Image.new("RGB", (10, 8), GREY), Image.new("RGB", (6, 4), (1, 2, 3))], gap=4)
    assert strip.size == (20, 8)
    assert strip.getpixel((14, 0)) == (1, 2, 3)
    assert strip.getpixel((12, 0)) == (255, 255, 255)


def bar(picture, row, look):
    """The columns of a row of pixels that have a look's colour."""
    return [x for x in range(picture.width) if picture.getpixel((x, row)) == colour(look)]


def overlaid(second, *spans):
    """400 x 120 grey pixels with the overlay of a clip of 4 seconds: 100 pixels a second, bars of 4 rows."""
    layers = [Layer(look, span) for look, span in spans]
    return draw(Image.new("RGB", (400, 120), GREY), 0, second, Overlay("a cat", 4, layers))


def test_the_bars_of_a_video_show_both_spans_and_the_time():
    # The true bar holds rows 110 to 113, the predicted one below it 115 to 118; a span's last second belongs to it.
    picture = overlaid(3.5, (TRUE, (0, 0)), (PREDICTED, [(1, 1), (2, 2)]))
    for row in range(110, 114):
        assert bar(picture, row, TRUE) == list(range(100))
    for row in range(115, 119):
        assert bar(picture, row, PREDICTED) == list(range(100, 300))
    assert bar(picture, 114, PREDICTED) == bar(picture, 114, TRUE) == []
    for row in range(110, 119):
        assert picture.getpixel((350, row)) == WHITE, "3.5 of 4 seconds have gone by"
        assert picture.getpixel((340, row)) != WHITE


def test_a_bar_without_a_span_is_empty_and_one_past_the_end_is_cut():
    picture = overlaid(0.0, (TRUE, (3, 9)), (PREDICTED, None))
    assert bar(picture, 117, PREDICTED) == []
    assert picture.getpixel((200, 117)) == ImageColor.getrgb(TRACK)
    assert bar(picture, 112, TRUE) == list(range(300, 400))


def test_one_system_has_one_bar():
    picture = overlaid(0.0, (PREDICTED, (3, 3)))
    assert bar(picture, 116, PREDICTED) == list(range(300, 400))
    assert picture.getpixel((395, 113)) == GREY


def test_the_bars_of_a_video_are_named_where_there_are_two():
    names = [overlaid(0.0, *spans).crop((200, 70, 400, 108)) for spans in
             ([(TRUE, None)], [(TRUE, None), (PREDICTED, None)])]  # fmt: skip
    found = [{pixel for _, pixel in picture.getcolors(1 << 16)} for picture in names]
    assert colour(TRUE) not in found[0]
    assert {colour(TRUE), colour(PREDICTED)} <= found[1]


def test_bars_lie_below_their_tiles():
    # Four tiles of 20 pixels, 4 apart: second 1 is the second tile, from pixel 24 to 43.
    bars = time_bars(4, [(TRUE, (1, 1))], width=92, tiles=4, gap=4)
    assert bar(bars, 6, TRUE) == list(range(24, 44))
    assert bars.getpixel((22, 6)) == WHITE
    # The same of a part of a clip: seconds 2 and 3 on two tiles.
    assert bar(time_bars(4, [(TRUE, (3, 3))], width=44, tiles=2, gap=4, window=(2, 4)), 6, TRUE) == list(range(24, 44))


def test_a_sheets_bars_lie_below_each_row():
    frames = [Image.new("RGB", (100, 50), GREY)] * 3
    sheet = contact_sheet(frames, [Layer(TRUE, (1, 2)), Layer(PREDICTED, (0, 0))], tile=100, columns=2)
    # A row is a caption of 16 pixels, a tile of 50 and two bars of 12; rows are 4 apart.
    first, second = 16 + 50 + 6, 16 + 50 + 24 + 4 + 16 + 50 + 6
    assert bar(sheet, first, TRUE) == list(range(104, 204))
    assert bar(sheet, first + 12, PREDICTED) == list(range(100))
    assert bar(sheet, second, TRUE) == list(range(100))
    assert bar(sheet, second + 12, PREDICTED) == []


def test_the_legend_names_each_look_and_wraps():
    wide, narrow = legend([TRUE, SFT, RL], 400), legend([TRUE, SFT, RL], 80)
    assert (wide.size, narrow.size) == ((400, 18), (80, 54))
    for look in (TRUE, SFT, RL):
        assert colour(look) in {pixel for _, pixel in narrow.getcolors(1 << 16)}
