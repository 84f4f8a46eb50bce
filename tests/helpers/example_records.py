"""Records of each kind, to be changed by the tests."""


def state(second, box=(0.1, 0.2, 0.3, 0.4)):
    return {"second": second, "box": list(box)}


def grounding(**changes):
    return {
        "schema": 1,
        "id": "vidstg/test/2401",
        "source": "vidstg",
        "split": "test",
        "kind": "declarative",
        "video": "0000/2401.mp4",
        "clip": [0.0, 10.01],
        "fps": 29.97,
        "width": 640,
        "height": 480,
        "seconds": 10,
        "query": "the dog runs to the child",
        "label": "dog-1",
        "span": [6, 8],
        "track": [state(6), state(8)],
        "answer": None,
    } | changes


def scene(**changes):
    tracks = [{"label": "person-1", "track": [state(0)]}, {"label": "person-2", "track": []}]
    return grounding(kind="scene", label=None, span=None, track=None, tracks=tracks) | changes


def question(**changes):
    nothing = dict.fromkeys(("fps", "width", "height", "label", "span", "track"))
    return grounding(kind="qa", query="what runs?", answer="a dog") | nothing | changes


def caption(**changes):
    return question(kind="caption", query="Describe the video.", answer="A dog runs.") | changes


def events(**changes):
    """Return a sentence that happens twice; the target is hidden in second 8."""
    twice = {"span": None, "spans": [[1, 3], [6.5, 9]], "track": [state(1), state(2), state(6), state(7)]}
    return grounding(schema=2) | twice | changes


def temporal(**changes):
    """Return a sentence of which it is known when it happens, and not where."""
    nothing = dict.fromkeys(("span", "track", "label", "fps", "width", "height"))
    return events(task="temporal", spans=[[2.5, 4.0], [7, 9.3]]) | nothing | changes


def no_target(**changes):
    """Return a sentence that nothing in the clip fits."""
    return without(temporal(no_target=True), "spans", "task") | changes


def without(record, *fields):
    return {field: value for field, value in record.items() if field not in fields}


VALID = [
    (grounding(), "all fields"),
    (grounding(kind="interrogative"), "a question about the target"),
    (grounding(kind="tracking"), "a tracking prompt"),
    (grounding(track=[]), "a span without any visible box"),
    (grounding(clip=[2, 12.02], fps=30), "whole numbers are numbers"),
    (grounding(track=[state(6, (0, 0, 1, 1))], span=[6, 6]), "the whole picture, one second"),
    (grounding(seconds=1, clip=[0, 0.04], span=[0, 0], track=[state(0)]), "a clip of one frame"),
    (grounding(rate=2), "a frame rate of its own"),
    (grounding(rate=None), "or none"),
    (grounding(reasoning="first when, then where", generated=[1, {"a": None}]), "added fields"),
    (without(grounding(), "answer"), "answer may be missing"),
    (grounding(answer="because"), "or be there"),
    (events(), "two events"),
    (events(no_target=False, task=None), "what is not said may be there as such"),
    (events(spans=[[6, 8.2]], track=[state(8)]), "one event, which a time ends within a second"),
    (events(spans=[[0, 10]], track=[state(9)]), "one event that schema 1 could say"),
    (events(schema=2.0), "a version may be written as a float"),
    (temporal(), "times without boxes"),
    (temporal(spans=[[0, 10.0]], fps=25, width=4, height=3, label="dog-1"), "with all that could be known"),
    (without(temporal(), "span", "track", "label", "fps", "width", "height"), "times without boxes, in short"),
    (no_target(), "a sentence without a target"),
    (without(no_target(), "span", "track", "label", "fps", "width", "height"), "and in short"),
    (scene(), "a scene"),
    (scene(span=[0, 3]), "a scene with a span"),
    (without(scene(), "label", "span", "track", "answer"), "a scene without what it has not"),
    (question(), "a question"),
    (caption(), "a caption"),
    (without(question(), "label", "span", "track", "fps", "width", "height"), "a question in short"),
    (question(fps=25.0, width=10, height=20), "a question with a known size"),
    (question(clip=None, seconds=None), "a question about the whole file"),
    (grounding(video="folder with spaces/ünïcode/..mp4"), "two dots inside a name"),
    (grounding(query="  l'élève 走る 🏃 "), "any script"),
]
