"""Serve a checkpoint with vLLM behind an OpenAI-compatible endpoint, for `recipe.ground --backend openai`.

    .venv-vllm/bin/python -m recipe.serve runs/tiny/grpo-tiou_mviou-s0 --port 8000

It is `vllm serve` with safetensors only and no videos; further words go to that command. On a CPU it also applies what
`recipe.vllm_cpu` holds, in the engine's process too, and names the device, which that build does not find by itself.
"""

from __future__ import annotations

import os
import sys

from data_prep.stages import StageError
from recipe.cli import run
from recipe.loading import check_checkpoint
from recipe.vllm_rollout import check_installed

WORDS = ["--load-format", "safetensors", "--limit-mm-per-prompt", '{"video": 0}']


def parse(words: list[str] | None = None) -> tuple[str, list[str]]:
    """(checkpoint, further words of `vllm serve`).

    Raises:
        StageError: no checkpoint is named.
    """
    words = list(sys.argv[1:] if words is None else words)
    if not words or words[0].startswith("-"):
        raise StageError("expected a checkpoint first: python -m recipe.serve runs/tiny/sft [words of vllm serve]")
    return words[0], words[1:]


def main(checkpoint: str, others: list[str]) -> None:
    """Serve until stopped.

    Raises:
        StageError: vLLM is not installed here, or no checkpoint there.
    """
    check_installed()
    check_checkpoint(checkpoint)
    from vllm.platforms import current_platform

    words = [*WORDS, *others]
    if current_platform.is_cpu():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        words = ["--enforce-eager", "--dtype", "float32", *words]
        fix_cpu()
    import uvloop
    from vllm.entrypoints.cli.serve import make_arg_parser, run_server, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    # Not through the `vllm` command: that looks its version up under the name of the CUDA build.
    args = make_arg_parser(FlexibleArgumentParser()).parse_args([checkpoint, *words])
    args.model = args.model_tag or checkpoint
    validate_parsed_serve_args(args)
    uvloop.run(run_server(args))


def fix_cpu() -> None:
    """What `recipe.vllm_cpu` holds, without the options of an engine in this process."""
    from recipe import vllm_cpu

    vllm_cpu.inspect_models_in_process()


if __name__ == "__main__":
    run(parse, main)
