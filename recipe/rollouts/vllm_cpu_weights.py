"""Send weights from the trainer to a vLLM server on a machine without a GPU, through a safetensors file.

TRL and vLLM 0.31 send weights by NCCL, which a CPU does not have. Both ends are here. vLLM's worker receives with an
engine that is registered as `file` when this module is imported (`recipe.serve --rollouts` has the worker import it).
The trainer sends with a client (`recipe.rollouts.vllm`). Trainer and server share a file system. With a GPU nothing of
this is used. The module needs vLLM.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from trl.generation.vllm_client import VLLMClient
from vllm.distributed.weight_transfer import WeightTransferEngine, WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import WeightTransferInitInfo, WeightTransferUpdateInfo

from recipe.rollouts import vllm_cpu
from recipe.rollouts.media_files import MediaByFile

BACKEND = "file"


@dataclass
class FileInit(WeightTransferInitInfo):
    """The settings of a transfer: none, because a file needs no meeting of both sides."""


@dataclass
class FileUpdate(WeightTransferUpdateInfo):
    """Where the weights lie: a safetensors file."""

    path: str


class FileEngine(WeightTransferEngine):
    """The worker's side: loads the file that an update names."""

    init_info_cls = FileInit
    update_info_cls = FileUpdate

    # vLLM calls each of these methods. Those without a body have nothing to do here: NCCL's engine joins the trainer's
    # process group in the first, and prepares and ends a layer by layer reload in the others.

    def init_transfer_engine(self, init_info: FileInit) -> None: ...

    def start_weight_update(self) -> None: ...

    def receive_weights(self, update_info: FileUpdate) -> None:
        self.model.load_weights(iter(load_file(update_info.path).items()))

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Update weights as upstream does, without waiting for an accelerator."""
        self.receive_weights(self.parse_update_info(update_info))

    def finish_weight_update(self) -> None: ...

    def shutdown(self) -> None: ...


class WorkerExtension:
    """A class for `--worker-extension-cls` to name, so that the worker imports this module before its model.

    The worker is a process of its own: an engine that the server's process registered would be unknown there.
    """


class FileClient(MediaByFile, VLLMClient):
    """The trainer's side: TRL's client, except for the way of the weights and of pictures."""

    def init_communicator(self, device: torch.device | str | int = 0) -> None:
        """Check that the server receives by file.

        Raises:
            RuntimeError: It does not.
        """
        backend = (self.get_server_info()["weight_transfer_config"] or {}).get("backend")
        if backend != BACKEND:
            raise RuntimeError(
                f"the vLLM server at {self.base_url} receives weights by {backend}, and without a GPU they travel by "
                "file: start it with python -m recipe.serve CHECKPOINT --rollouts"
            )
        self._post(f"{self.base_url}/init_weight_transfer_engine", json={"init_info": {}})

    def update_named_params(
        self, metadata: list[tuple[str, str, list[int]]], named_params: Iterator[tuple[str, torch.Tensor]]
    ) -> None:
        """Write the weights, have the server load them, delete the file."""
        with tempfile.TemporaryDirectory(prefix="weights-") as folder:
            path = Path(folder) / "model.safetensors"
            save_file({name: value.detach().clone().contiguous() for name, value in named_params}, path)
            self._start_weight_update()
            self._post(f"{self.base_url}/update_weights", json={"update_info": {"path": str(path)}})
            self._finish_weight_update()


WeightTransferEngineFactory.register_engine(BACKEND, FileEngine)
vllm_cpu.keep_linear_weights_loadable()
