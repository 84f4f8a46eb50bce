"""What an answer depends on: the one place that decides it, for every command that keeps answers.

Answers are kept under a key and never under a name: a checkpoint is known by the content of its files, a served model
by its name and address, prompt templates by their text, records by the digest of their file. Another key is another
file, and the first line of a file of answers says which: `{"about": {"key", "model", "settings", "contents"}}`.

A model id of the Hub counts by its name. A video counts by size and time of change, which each answer's line keeps
(`video_stamp`), so that one new video does not have all the others asked about again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.identity import checkpoint_identity, file_digest, stamp_of, text_digest
from data_prep.redaction import public as public
from data_prep.stamps import Difference, check_ended
from data_prep.video.rates import DYNAMIC, parse_policy
from recipe.inference.decoding import sampling_of
from recipe.inputs.arguments import StageArguments
from recipe.inputs.chat_templates import templates_digest
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.loading import check_checkpoint, model_identity
from recipe.inputs.prompts import prompts_digest
from recipe.inputs.video_units import stated_units

LONGEST_NAME = 80  # characters of a file name that are taken from a user's name


@dataclass(frozen=True)
class AnswerKey:
    """What all answers of one file depend on.

    Attributes:
        model: the checkpoint or the served model as it was named; shown, and not compared.
        settings: name -> JSON-like value, of videos, decoding and backend.
        contents: name -> digest of what is known by its content.
    """

    model: str
    settings: Mapping[str, Any]
    contents: Mapping[str, str]

    @property
    def short(self) -> str:
        """Return the key as 8 hex digits, for file names."""
        return text_digest(self.settings, self.contents)[:8]

    def describe(self) -> dict[str, Any]:
        """Return the key as JSON-like values: what the first line of a file of answers holds."""
        return {
            "key": self.short,
            "model": self.model,
            "settings": dict(self.settings),
            "contents": {name: _shortened(digest) for name, digest in self.contents.items()},
        }

    def first_line(self) -> str:
        """Return the first line of a file of answers, with its line end."""
        return json.dumps({"about": self.describe()}, ensure_ascii=False) + "\n"

    def differences(self, about: Mapping[str, Any]) -> list[str]:
        """Return in what answers differ from those that this key asks for: "temperature 0.0 -> 1.0" and the like.

        Args:
            about: what another key's `describe` gave.
        """
        now = self.describe()
        differences = _differing(_mapping(about.get("settings")), now["settings"])
        was, contents = _mapping(about.get("contents")), now["contents"]
        for name in sorted(was.keys() | contents.keys()):
            if was.get(name) == contents.get(name):
                continue
            if name == "model" and about.get("model") != self.model:
                differences.append(str(Difference("model", about.get("model"), self.model)))
            else:
                differences.append(str(Difference(f"input {name}")))
        return differences


def key_of(
    model: str | None,
    script_args: StageArguments,
    *,
    tracks: str | Path | None = None,
    backend: str = "hf",
    base_url: str = "",
    family: str = "",
    **decoding: Any,
) -> AnswerKey:
    """Return the key of a model's answers.

    Args:
        model: checkpoint folder or model id; for the backend "openai" the served model's name.
        script_args: prompts and what of a video is seen.
        tracks: the file of the records that are asked about; None for one video and sentence.
        backend: "hf", "vllm" or "openai".
        base_url, family: of a served model; a user and password in the address do not count and are not kept.
        decoding: all other settings that change answers, by name, as JSON-like values.

    Raises:
        StageError: There is no such checkpoint or track file, or a stage is not done with the checkpoint.
    """
    stated = {name: value for name, value in sampling_of(0.0).items() if name != "temperature"}
    settings = decoding | {"sampling": stated, "backend": backend, "max_frame_pixels": script_args.max_frame_pixels}
    settings["frame_rate"] = parse_policy(script_args.frame_rate)
    if settings["frame_rate"] == DYNAMIC:
        settings["frame_budget"] = script_args.frame_budget
    settings |= stated_units(script_args.video_units)
    contents = {"prompts": prompts_digest(script_args.prompts)}
    if backend == "openai":
        settings |= {"model": model, "base_url": public(base_url), "family": family}
        if (Path(model or "") / "config.json").is_file():  # frames and control tokens then follow its files
            contents["model"] = checkpoint_identity(model or "")
    else:
        name = check_checkpoint(model)
        check_ended(Path(name))
        contents["model"] = model_identity(name)
        contents["chat_templates"] = templates_digest()  # one may take the place of the checkpoint's own
    if tracks is not None:
        contents["tracks"] = file_digest(Path(tracks))
    return AnswerKey(model or "", json.loads(json.dumps(settings)), contents)


def key_in_training(model: str, builder: RowBuilder, tracks: str, **decoding: Any) -> AnswerKey:
    """Return what the answers of a model in training depend on, whose weights are no file yet.

    Args:
        model: where it is trained, and the step.
        builder: the stage's; it says what of a video is seen.
        tracks: the file of the records that are asked about.
        decoding: settings that change answers, by name.
    """
    settings = decoding | {"max_frame_pixels": builder.clips.max_pixels, "frame_rate": builder.clips.rate}
    settings |= stated_units(builder.clips.units)
    prompts = text_digest({name: template.template for name, template in builder.prompts.items()})
    return AnswerKey(model, settings, {"prompts": prompts, "tracks": file_digest(Path(tracks))})


def video_stamp(path: Path) -> str | None:
    """Return "size in bytes|time of change in ns" of a video or of a folder of pictures; None where there is none."""
    try:
        return "|".join(stamp_of(path).rsplit("|", 2)[1:])
    except OSError:
        return None


def file_name(text: str) -> str:
    """Return a name as one part of a path, with six digits of its digest where anything of it had to change.

    So names that look alike without their signs do not share a file.

    >>> file_name("Qwen3.5"), file_name("GPT-5"), file_name("GPT 5")
    ('Qwen3.5', 'GPT-5', 'GPT-5-4b738b')
    >>> file_name("模型甲") == file_name("模型乙")
    False
    """
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:LONGEST_NAME]
    return plain if plain and plain == text else f"{plain or 'name'}-{text_digest(text)[:6]}"


def check_known(key: AnswerKey, about: Mapping[str, Any] | None, path: Path) -> None:
    """Refuse answers that were made under another key.

    Args:
        about: what the first line of the file at `path` says; None: it says nothing.

    Raises:
        StageError: Names what differs and the ways on.
    """
    ways = "nothing was touched; choose another --out, or move that file away"
    if about is None:
        raise StageError(
            f"{path}: its first line does not say with which model and settings its answers were made, so they cannot "
            f"be told from others; {ways}"
        )
    if about.get("key") != key.short:
        differing = key.differences(about) or ["its key"]
        listed = "; ".join(differing[:6]) + ("; ..." if len(differing) > 6 else "")
        raise StageError(f"{path}: holds answers made with another {listed}; {ways}")


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted(was.keys() | now.keys())
    return [str(Difference(name, was.get(name), now.get(name))) for name in names if was.get(name) != now.get(name)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _shortened(digest: str) -> str:
    return digest if digest.startswith("id:") else digest[:16]
