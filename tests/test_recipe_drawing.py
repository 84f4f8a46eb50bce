"""Boxes at the right pixels, spans at the right place on the bars."""

import pytest
from PIL import Image, ImageColor

from recipe.drawing.boxes import RL, SFT, TRUE, Look, contact_strip, draw_boxes, pixel_corners, time_bars
from recipe.drawing.overlay import PREDICTED, Overlay, draw

GREY = (100, 100, 100)


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
    assert {colour(TRUE), colour(SFT), colour(RL), GREY} == seen


def test_a_dashed_line_has_gaps():
    picture = draw_boxes(Image.new("RGB", (100, 100), GREY), [(Look("x", "#ff0000", dash=5), (0, 0, 1, 1))], side=100)
    top = [picture.getpixel((x, 0)) == (255, 0, 0) for x in range(20)]
    assert top == [True] * 5 + [False] * 5 + [True] * 5 + [False] * 5


@pytest.mark.parametrize(
    ("box", "corners", "remark"),
    [
        ((0, 0, 1, 1), (0, 0, 99, 49), "the whole picture"),
        ((0.5, 0.5, 0.5, 0.5), (50, 25, 50, 25), "an empty box is one pixel"),
        ((0.999, 0.999, 1, 1), (99, 49, 99, 49), "never outside"),
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


def overlaid(second, **spans):
    """400 x 120 grey pixels with the overlay of a clip of 4 seconds: 100 pixels a second, bars of 4 rows."""
    return draw(Image.new("RGB", (400, 120), GREY), 0, second, Overlay("a cat", "cat", 4, boxes={}, **spans))


def test_the_bars_of_a_video_show_both_spans_and_the_time():
    # The predicted bar holds rows 116 to 119, the true one 111 to 114; a span's last second belongs to it.
    picture = overlaid(3.5, span=(1, 2), true_span=(0, 0))
    for row in range(116, 120):
        assert bar(picture, row, PREDICTED) == list(range(100, 300))
    for row in range(111, 115):
        assert bar(picture, row, TRUE) == list(range(100))
    assert bar(picture, 115, PREDICTED) == bar(picture, 115, TRUE) == []
    for row in range(111, 120):
        assert picture.getpixel((350, row)) == (255, 255, 255), "3.5 of 4 seconds have gone by"
        assert picture.getpixel((340, row)) != (255, 255, 255)


def test_a_bar_without_a_span_is_empty_and_one_past_the_end_is_cut():
    picture = overlaid(0.0, span=None, true_span=(3, 9))
    assert bar(picture, 118, PREDICTED) == []
    assert picture.getpixel((200, 118)) == ImageColor.getrgb("#303030")
    assert bar(picture, 113, TRUE) == list(range(300, 400))


def test_without_a_true_span_there_is_one_bar():
    picture = overlaid(0.0, span=(3, 3))
    assert bar(picture, 116, PREDICTED) == list(range(300, 400))
    assert picture.getpixel((395, 113)) == GREY
