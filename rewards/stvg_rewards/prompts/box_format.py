"""How a model is told to write boxes: the order of the four numbers, and their unit."""

from __future__ import annotations

from dataclasses import dataclass

CORNERS = {
    "xyxy": "[x_min, y_min, x_max, y_max]",
    "yxyx": "[y_min, x_min, y_max, x_max]",
    "xywh": "[x_min, y_min, width, height]",
}
UNITS = ("thousandths", "pixels", "unit")


@dataclass(frozen=True)
class BoxFormat:
    """The order and the unit of boxes in a prompt and in its answers.

    Attributes:
        order: "xyxy", "yxyx" (Gemini's) or "xywh": see `CORNERS`.
        unit: "thousandths" (0 to 1000 of width and height), "pixels" (of the frame that is shown) or "unit" (0 to 1 of
            width and height).

    Raises:
        ValueError: An order or a unit that is none of these.
    """

    order: str = "xyxy"
    unit: str = "thousandths"

    def __post_init__(self) -> None:
        if self.order not in tuple(CORNERS):
            raise ValueError(f"box_order is {self.order!r}, expected one of {', '.join(CORNERS)}")
        if self.unit not in UNITS:
            raise ValueError(f"box_unit is {self.unit!r}, expected one of {', '.join(UNITS)}")

    def __str__(self) -> str:
        return f"{self.order} in {self.unit}"

    def scale(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return (x, y): what the model's numbers are divided by to give [0, 1] of the picture.

        Args:
            frame_size: (width, height) of the frames that are shown, pixels.
        """
        return {"thousandths": (1000, 1000), "pixels": frame_size, "unit": (1, 1)}[self.unit]

    def unit_in_words(self, frame_size: tuple[int, int]) -> str:
        """Return what a prompt says of the unit, to follow "boxes are ...".

        >>> BoxFormat().unit_in_words((448, 336))
        "in thousandths of the picture's width and height, whole numbers from 0 to 1000"
        """
        width, height = frame_size
        return {
            "thousandths": "in thousandths of the picture's width and height, whole numbers from 0 to 1000",
            "pixels": f"in pixels of the frames shown, which are {width} wide and {height} high",
            "unit": "in fractions of the picture's width and height, numbers from 0 to 1 with three decimals",
        }[self.unit]

    def example(self, box: tuple[int, int, int, int], frame_size: tuple[int, int]) -> str:
        """Return a box as an example in a prompt writes it.

        Args:
            box: (x_min, y_min, x_max, y_max) in thousandths of width and height.

        >>> BoxFormat().example((102, 310, 298, 644), (448, 336))
        '[102, 310, 298, 644]'
        >>> BoxFormat("xywh", "unit").example((102, 310, 298, 644), (448, 336))
        '[0.102, 0.31, 0.196, 0.334]'
        """
        left, top, right, bottom = box
        listed = {
            "xyxy": (left, top, right, bottom),
            "yxyx": (top, left, bottom, right),
            "xywh": (left, top, right - left, bottom - top),
        }[self.order]
        scale = self.scale(frame_size)
        sides = (scale[1], scale[0]) if self.order == "yxyx" else scale
        return "[" + ", ".join(self._number(value, sides[index % 2]) for index, value in enumerate(listed)) + "]"

    def _number(self, thousandths: int, side: int) -> str:
        return f"{thousandths / 1000:g}" if self.unit == "unit" else str(round(thousandths * side / 1000))
