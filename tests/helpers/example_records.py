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
