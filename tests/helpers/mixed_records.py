"""Records of each kind of truth about the synthetic clips: one event, two, none, and times without boxes."""

from data_prep.records import RecordWriter, read_records

KINDS = ("one", "two", "times", "none")


def mixed(tiny_data):
    """Return one record of each kind, by name; each is about a clip of 4 seconds."""
    source = [record for record in read_records(tiny_data / "ground.jsonl") if record["seconds"] == 4]
    nothing = dict.fromkeys(("span", "track", "label", "fps", "width", "height"))
    box = source[0]["track"][0]["box"]
    ends = [{"second": 0, "box": box}, {"second": 3, "box": box}]
    when = {"reasoning": "in second 0 and in second 3 the shape moves"}
    found = {
        "one": source[0],
        "two": source[1] | {"schema": 2, "span": None, "spans": [[0, 1], [3, 4]], "track": ends} | when,
        "times": source[2] | nothing | {"schema": 2, "spans": [[0.5, 1.5], [3, 4]], "task": "temporal"},
        "none": source[3] | nothing | {"schema": 2, "no_target": True, "reasoning": "no red circle moves"},
    }
    return {name: found[name] | {"id": name} for name in KINDS}


def write_mixed(tiny_data, path):
    """Write these records to a track file; return its path."""
    with RecordWriter(path) as writer:
        for record in mixed(tiny_data).values():
            writer.write(record)
    return path
