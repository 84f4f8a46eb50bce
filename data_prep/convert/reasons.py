"""Why a record of a source is left out: every reason there is, in one place."""

from enum import Enum


class Reason(str, Enum):
    """Reasons as they stand in reports."""

    def __str__(self) -> str:
        return self.value

    MALFORMED = "malformed"  # a field is missing or of another kind
    NO_QUERY = "no_query"  # nothing is left of the sentence
    BAD_SPAN = "bad_span"  # the event is empty or outside the clip
    BAD_FPS = "bad_fps"  # no video has this rate
    BAD_SIZE = "bad_size"  # no picture has this size
    NO_ANNOTATION = "no_annotation"  # the file with the boxes is missing or cannot be read
    NO_BOX = "no_box"  # the target has no visible box inside the event
    BAD_BOX = "bad_box"  # a box is not four finite numbers
    WRONG_LENGTH = "wrong_length"  # two files that go line by line differ in length
    AMBIGUOUS = "ambiguous"  # a class mask of several pieces: which object is meant?
    CROWDED = "crowded"  # a scene of more targets than are asked for at once
    BAD_MASK = "bad_mask"  # a mask that is no picture, or of another size than the video
    UNKNOWN_SIZE = "unknown_size"  # the source does not state the picture's size (--size, --video_root)
    UNKNOWN_FPS = "unknown_fps"  # the source does not state the rate (--fps, --video_root)
    UNKNOWN_LENGTH = "unknown_length"  # the source does not state the video's duration (--video_root)
    BAD_PATH = "bad_path"  # the video's path leads out of the video folder
    MISSING_VIDEO = "missing_video"  # no such video under --video_root
    UNREADABLE = "unreadable"  # the video cannot be read
    SHORTER_THAN_CLIP = "shorter_than_clip"  # the video ends, or has a gap, where the clip still goes on
    OTHER_SIZE = "other_size"  # the video's picture has another shape than the source states
    NO_TRUTH = "no_truth"  # a test split without annotations


class Drop(Exception):
    """An item cannot become a record, with the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
