"""Damaged and made-up annotation files: every reader counts them or says one line, and nothing else happens."""

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.convert import json_stream
from tests.helpers.layouts import hcstvg_record, mask, png, rle_of, sav_file, vidor, vidstg_record, vuestg, write

OF_ROWS = ("--size", "100x100", "--fps", "10")


def make_vidstg(root):
    vidor(root / "vidor")
    return write(root / "val_annotations.json", [vidstg_record()] * 2)


def make_vidor(root):
    write(root / "val_annotations.json", [vidstg_record()] * 2)
    return vidor(root / "vidor", frames=35)


def make_mot(root):
    write(root / "seqinfo.ini", "[Sequence]\nframeRate=10\n")
    return write(root / "gt" / "gt.txt", "1,1,5,5,9,9,1,1,1\n2,1,5,5,9,9,1,1,1\n1,2,5,5,9,9,1,1,1\n")


def make_seqinfo(root):
    write(root / "gt" / "gt.txt", "1,1,5,5,9,9,1,1,1\n")
    return write(root / "seqinfo.ini", "[Sequence]\nname=a\nimDir=img1\nframeRate=10\nseqLength=4\nimWidth=50\n")


def make_got10k(root):
    folder = root / "train" / "GOT-10k_Train_000001"
    write(folder / "groundtruth.txt", "1,1,5,5\n" * 4)
    write(folder / "cover.label", "8\n" * 4)
    write(folder / "absence.label", "0\n" * 4)
    return write(folder / "meta_info.ini", "[METAINFO]\nanno_fps: 10Hz\nobject_class: bear\nresolution: (20, 10)\n")


def make_lasot(root):
    write(root / "annos" / "absent" / "cat-1.txt", "0\n" * 4)
    return write(root / "annos" / "cat-1.txt", "11,11,20,20\n" * 4)


def make_mask(root):
    path = root / "judo" / "mask" / "00000.png"
    png(path, mask(o61=(4, 2, 8, 6)))
    return path


def make_sav(root):
    sav_file(root / "a.json", [rle_of(mask(o1=(4, 2, 8, 6))), rle_of(mask())])
    return root / "a.json"


def make_tnl2k(root):
    write(root / "ball" / "language.txt", "the ball")
    return write(root / "ball" / "groundtruth.txt", "11,11,20,20\n" * 4)


def expressions(**fields):
    sentences = {"0": {"exp": "a cat"} | fields, "1": {"exp": "two cats", "obj_id": ["1"], "anno_id": [1, 2]}}
    return {"videos": {"v": {"expressions": sentences, "frames": ["00000", "00005"]}}}


def make_mevis(root):
    write(root / "mask_dict.json", {"1": [rle_of(mask(o1=(4, 2, 8, 6))), None], "2": [rle_of(mask()), None]})
    return write(root / "meta_expressions.json", expressions(anno_id=[1]))


def make_revos(root):
    write(root / "meta_expressions_train_.json", expressions(anno_id=[1]))
    return write(root / "mask_dict.json", {"1": [rle_of(mask(o1=(4, 2, 8, 6))), None], "2": [None, None]})


def make_refer_youtube_vos(root):
    for number in (0, 5):
        png(root / "train" / "Annotations" / "v" / f"{number:05}.png", mask(o1=(4, 2, 8, 6)))
    return write(root / "meta_expressions" / "train" / "meta_expressions.json", expressions(obj_id="1"))


# File that is damaged, of a source that is read from the folder around it.
FILES = {
    "vidstg": ("vidstg", make_vidstg),
    "vidor": ("vidstg", make_vidor),
    "hcstvg": ("hcstvg", lambda root: write(root / "val_v2.json", {"a.mp4": hcstvg_record(bbox=[[1, 2, 3, 4]] * 3)})),
    "vuestg": ("vuestg", vuestg),
    "mot": ("mot", make_mot),
    "seqinfo": ("mot", make_seqinfo),
    "trackingnet": ("trackingnet", lambda root: write(root / "anno" / "v_0.txt", "1.5,1,5,5\r\n" * 4)),
    "got10k": ("got10k", make_got10k),
    "lasot": ("lasot", make_lasot),
    "vspw": ("vspw", make_mask),
    "davis": ("davis", make_mask),
    "sav": ("sav", make_sav),
    "activitynet": (
        "activitynet",
        lambda root: write(root / "val_1.json", {"v": {"duration": 9, "timestamps": [[0, 4]], "sentences": ["a"]}}),
    ),
    "nextgqa": (
        "nextgqa",
        lambda root: write(
            root / "nextgqa_val.json",
            [{"id": "1", "video": "a.mp4", "question": "?", "options": ["(A) x"], "answer": "(A)", "duration": 9}],
        ),
    ),
    "qvhighlights": (
        "qvhighlights",
        lambda root: write(
            root / "a.jsonl",
            '{"qid": 1, "query": "a", "duration": 9, "vid": "v", "relevant_windows": [[2, 4], [6, 8]]}\n',
        ),
    ),
    "timelens": (
        "timelens",
        lambda root: write(root / "a-timelens.json", {"v": {"duration": 9, "spans": [[1, 2]], "queries": ["a"]}}),
    ),
    "tnl2k": ("tnl2k", make_tnl2k),
    "mevis": ("mevis", make_mevis),
    "revos": ("revos", make_revos),
    "refer-youtube-vos": ("refer-youtube-vos", make_refer_youtube_vos),
    "qa": (
        "qa",
        lambda root: write(root / "q.jsonl", '{"video": "a.mp4", "question": "?", "options": ["x"], "answer": "A"}\n'),
    ),
}


def check(source, root):
    """One conversion: accounted for, or refused; never anything outside the folder of outputs."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "o.jsonl"
        vidor_root = ("--vidor", str(root / "vidor")) if source == "vidstg" else ()
        code = main([source, "--annotations", str(root), *vidor_root, *OF_ROWS, "--out", str(out)])
        assert code in (0, 2)
        assert all(path.name.startswith("o.jsonl") for path in Path(name).iterdir())
        if code:  # at most the report, where all was dropped
            assert {path.name for path in Path(name).iterdir()} <= {"o.jsonl.report.json", "o.jsonl.questions.jsonl"}
            return None
        report = json.loads(Path(f"{out}.report.json").read_text())
        lines = out.read_text().splitlines()
        assert report["read"] == report["written"] + sum(report["dropped"].values()) >= 1
        assert len(lines) == report["written"]
        for line in lines:
            assert json.loads(line, parse_constant=lambda text: pytest.fail(text))
        return report


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(name, tmp_path):
    source, make = FILES[name]
    make(tmp_path)
    assert check(source, tmp_path)["written"] >= 1


PIECES = st.sampled_from([b"", b"1e308", b"NaN", b"null", b"../", *(bytes([c]) for c in b'\0-{]"\\,\n\xff')])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12)
@given(data=st.data())
def test_damaged_bytes(name, data):
    source, make = FILES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        content = path.read_bytes()
        for _ in range(data.draw(st.integers(1, 3))):
            begin = data.draw(st.integers(0, len(content)))
            end = min(begin + data.draw(st.sampled_from([0, 1, 4, 10**6])), len(content))
            content = content[:begin] + data.draw(PIECES) + content[end:]
        path.write_bytes(content)
        check(source, Path(folder))


SCALARS = st.sampled_from(
    [None, True, 0, -1, 2**63, 10**30, 1.5, -1e308, float("nan"), float("inf")]
    + ["", "\xa0", "x", "../x", "/x", "\ud800", "a\0b"]
)
KEYS = st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda some: st.lists(some, max_size=3) | st.dictionaries(KEYS, some, max_size=2), max_leaves=5
)


def replaced(document, data):
    """The document with one value, anywhere in it, replaced or removed."""
    inner = list(range(len(document))) if isinstance(document, list) else list(document)
    if not inner:
        return data.draw(VALUES)
    key = data.draw(st.sampled_from(inner))
    if isinstance(document[key], (list, dict)) and data.draw(st.integers(0, 4)):
        document[key] = replaced(document[key], data)
    elif data.draw(st.integers(0, 5)):
        document[key] = data.draw(VALUES)
    else:
        del document[key]
    return document


NEW = ["qvhighlights", "timelens", "mevis", "revos", "refer-youtube-vos"]


@pytest.mark.parametrize("name", ["vidstg", "vidor", "hcstvg", "sav", "activitynet", "nextgqa", "qa", *NEW])
@settings(max_examples=30)
@given(data=st.data())
def test_values_of_another_kind(name, data):
    source, make = FILES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        path.write_text(json.dumps(replaced(json.loads(path.read_text()), data)))
        check(source, Path(folder))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        gzip.compress(b'[{"a": 1}]' * 100)[:40],
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\x7f\xff\xff\xff\x7f\x08\0\0\0\0\0\0\0\0",
    ],
    ids=["empty", "brackets", "objects", "truncated gz", "enormous png"],
)
def test_other_files_in_its_place(name, content, tmp_path):
    source, make = FILES[name]
    make(tmp_path).write_bytes(content)
    report = check(source, tmp_path)
    assert report is None or name in ("seqinfo", "got10k") or report["written"] == 0


ODD_TEXTS = st.text('"\\[]{},: a\n', max_size=6)


@given(st.lists(st.recursive(st.none() | st.integers(-9, 9) | ODD_TEXTS, st.lists, max_leaves=4)), st.integers(1, 40))
def test_json_is_cut_at_the_right_commas(entries, block):
    whole = json_stream.BLOCK
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.json", json.dumps(entries))
        pairs = write(Path(folder) / "b.json", json.dumps({str(entry): entry for entry in entries}, indent=1))
        try:
            json_stream.BLOCK = block
            assert list(json_stream.read_list(path)) == entries
            assert dict(json_stream.read_object(pairs)) == json.loads(pairs.read_text())
        finally:
            json_stream.BLOCK = whole


def test_a_key_twice_is_two_entries(tmp_path):
    path = write(tmp_path / "a.json", '{"a": 1, "a": 2}')
    assert list(json_stream.read_object(path)) == [("a", 1), ("a", 2)]


def test_nan_in_one_entry_leaves_the_others(tmp_path):
    path = write(tmp_path / "a.json", '[{"a": 1}, {"a": NaN}, {"a": 1e999}]')
    first, second, third = json_stream.read_list(path)
    assert (first, third["a"]) == ({"a": 1}, float("inf"))
    assert second["a"] != second["a"]


@pytest.mark.parametrize("content", ["[1,]", "[,1]", "[1 2]", "[1}", "[1] x", '{"a": 1]', "[1", '["a]', "\ufeff"])
def test_no_list(tmp_path, content):
    path = write(tmp_path / "a.json", content)
    with pytest.raises(json_stream.RecordError, match="not a whole JSON list"):
        list(json_stream.read_list(path))
