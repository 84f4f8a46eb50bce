"""Give a vLLM server the pictures or the video of a prompt through files that trainer and server both see.

TRL 1.16 sends pictures as text, has the server return what its processor made of them as text (3.2 MB a frame of
448 x 448), and sends that back. vLLM's own route for ids takes media by address too: here an address is a file below
the folder that the server was allowed to read (`--allowed-local-media-path`), which it tells by itself. A picture is
an uncompressed PPM file, a native video one safetensors file with its frames: nothing is unpickled, nothing is lost.

Without such a folder pictures travel as upstream sends them, and videos are refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from data_prep.stages import StageError
from recipe.inputs.pair_pictures import video_of

BACKEND = "frames_file"  # the name of vLLM's video loader that reads these files
SENT_AT_ONCE = 64  # prompts, as upstream


def write_video(path: Path, pictures: Sequence[Any]) -> None:
    """Write the native video of a clip's pair pictures as one safetensors file.

    Args:
        path: of the file; it appears whole or not at all.
        pictures: as `recipe.inputs.pair_pictures.stack` makes them.
    """
    frames, metadata = video_of(pictures)
    aside = path.with_suffix(".part")
    safetensors.numpy.save_file({"frames": frames}, aside, metadata={"video": json.dumps(metadata)})
    aside.rename(path)


def read_video(data: bytes) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the frames (2 K, h, w, 3) and the metadata of a file that `write_video` wrote, from its bytes.

    Raises:
        ValueError: The bytes are no such file.
    """
    expected = "expected a safetensors file of frames as recipe.grpo writes it for its server"
    try:
        frames = safetensors.numpy.load(data)["frames"]
        size = int.from_bytes(data[:8], "little")
        metadata: dict[str, Any] = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["video"])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a video of {len(data)} bytes that cannot be read ({error!r}): {expected}") from None
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames of {frames.dtype} and shape {frames.shape}: {expected}")
    return frames, metadata


def register_loader() -> None:
    """Let vLLM read videos of this kind in this process: `video_backend` in its `--media-io-kwargs` names it."""
    from vllm.multimodal.video import VIDEO_LOADER_REGISTRY, VideoLoader

    class FramesFile(VideoLoader):
        @classmethod
        def load_bytes(cls, data: bytes, **options: Any) -> tuple[NDArray[np.uint8], dict[str, Any]]:
            return read_video(data)  # the options choose frames, and these are chosen already

    VIDEO_LOADER_REGISTRY.register(BACKEND)(FramesFile)


class MediaByFile:
    """Mixin for TRL's VLLMClient that sends media by file where the server allows it.

    It overrides the two methods that carry pictures. It can go when TRL sends ids with the addresses of media.

    Attributes:
        video: the pictures of a prompt are pairs of frames, and vLLM gets their native video.
        picture_token: the id that stands for a picture; vLLM expands one of it to a run itself.
    """

    video: bool = False
    picture_token: int
    base_url: str
    model: str

    _root: Path | None = None
    _asked: bool = False
    _folder: Path | None = None
    _parts: Sequence[list[dict[str, Any]]] = ()

    def image_features(self, images: list[list[Any] | None], **options: Any) -> list[Any]:
        """Write the media of each prompt, and leave nothing to be placed into its ids; else as upstream.

        Raises:
            StageError: A video, and a server that reads no files, or a folder of files that is not here.
        """
        root = self._media_root()
        if root is None:
            features: list[Any] = super().image_features(images, **options)  # type: ignore[misc]
            return features
        self._folder = Path(tempfile.mkdtemp(prefix="rollout-", dir=root))
        self._folder.chmod(0o755)  # mkdtemp's own is for this user only, and the server may be another
        with ThreadPoolExecutor() as pool:
            self._parts = list(pool.map(self._written, range(len(images)), images))
        return [None] * len(images)

    def _generate_from_features(
        self, prompts: list[list[int]], features: list[Any], sampling_params: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        """Generate from ids and the files written; return upstream's dictionary, prompts as the server read them."""
        if self._folder is None:
            upstream: dict[str, Any] = super()._generate_from_features(prompts, features, sampling_params, **options)  # type: ignore[misc]
            return upstream
        from trl.generation.vllm_client import parse_logprobs

        from recipe.rollouts.vllm import collapse_runs

        def send(index: int) -> Any:
            body = {
                "request_id": f"rollout-{uuid.uuid4().hex}",
                "model": self.model,
                "token_ids": collapse_runs(prompts[index], self.picture_token),
                "content_parts": self._parts[index],
                "return_token_ids": True,
                "sampling_params": sampling_params,
            }
            return self._post(f"{self.base_url}/inference/v1/generate", json=body)  # type: ignore[attr-defined]

        try:
            with ThreadPoolExecutor(max_workers=min(SENT_AT_ONCE, len(prompts))) as pool:
                responses = list(pool.map(send, range(len(prompts))))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._parts = None, ()
        choices = [choice for response in responses for choice in response["choices"]]
        logprobs, ids = parse_logprobs([choice["logprobs"] for choice in choices])
        return {
            "prompt_ids": [response["prompt_token_ids"] for response in responses],
            "completion_ids": [choice["token_ids"] for choice in choices],
            "logprobs": logprobs,
            "logprob_token_ids": ids,
        }

    def _written(self, number: int, pictures: list[Any] | None) -> list[dict[str, Any]]:
        """Write the media of a prompt and return the parts of a request that name them."""
        assert self._folder is not None
        if not pictures:
            return []
        if self.video:
            path = self._folder / f"{number}.safetensors"
            write_video(path, pictures)
            return [{"type": "video_url", "url": path.as_uri()}]
        parts = []
        for index, picture in enumerate(pictures):
            path = self._folder / f"{number}-{index}.ppm"
            picture.convert("RGB").save(path)
            parts.append({"type": "image_url", "url": path.as_uri()})
        return parts

    def _media_root(self) -> Path | None:
        """Return the folder that the server reads files from, asked once; None where it reads none."""
        if not self._asked:
            info = self.get_server_info()  # type: ignore[attr-defined]
            allowed = info["model_config"].get("allowed_local_media_path")
            self._root, self._asked = Path(allowed) if allowed else None, True
        if self._root is None and self.video:
            raise StageError(
                f"video_units pairs: the vLLM server at {self.base_url} reads no files, which videos travel by; start "
                "it with python -m recipe.serve CHECKPOINT --rollouts --video-units pairs"
            )
        if self._root is not None and not self._root.is_dir():
            raise StageError(
                f"the vLLM server at {self.base_url} reads files from {self._root}, which is not here: start it with "
                "--allowed-local-media-path and a folder that trainer and server both see"
            )
        return self._root
