"""Serve a checkpoint with vLLM behind an OpenAI-compatible endpoint, for `recipe.ground --backend openai`.

    .venv-vllm/bin/python -m recipe.serve runs/tiny/grpo-tiou_mviou-s0 --port 8000
    .venv-vllm/bin/python -m recipe.serve runs/tiny/sft --rollouts --port 8001

With --rollouts it serves `recipe.grpo --use_vllm true --vllm_mode server`: vLLM gets the words that TRL's own
`trl vllm-serve` gives it, and on a CPU weights come by file (`recipe.rollouts.vllm_cpu_weights`) instead of by NCCL.

It listens on 127.0.0.1 only, unless --host says otherwise: it asks nobody for a key, and with --rollouts whoever
reaches it may replace the weights.

It is `vllm serve` with safetensors only and no videos; further words go to that command. On a CPU it also applies what
`recipe.rollouts.vllm_cpu` holds, in the engine's process too, and names the device, which that build does not find by
itself.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

from data_prep.stages import StageError
from recipe.cli import OneLineParser, run
from recipe.inputs.loading import check_checkpoint, template_in_place
from recipe.rollouts.vllm import check_installed

ROLLOUTS = "--rollouts"
HOST = ["--host", "127.0.0.1"]
WORDS = ["--load-format", "safetensors", "--limit-mm-per-prompt", '{"video": 0}']


def parse(argv: list[str] | None = None) -> tuple[str, list[str]]:
    """Return the checkpoint and the further words of `vllm serve`.

    Raises:
        StageError: No checkpoint is named.
        SystemExit: Help was asked for, and printed.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        help_of_command().print_help()
        sys.exit(0)
    if not argv or argv[0].startswith("-"):
        raise StageError("expected a checkpoint first: python -m recipe.serve runs/tiny/sft [words of vllm serve]")
    return argv[0], argv[1:]


def help_of_command() -> OneLineParser:
    """Return a parser that tells what the command takes; the words themselves are read by vLLM."""
    parser = OneLineParser(
        prog="python -m recipe.serve",
        usage="%(prog)s CHECKPOINT [--rollouts] [words of vllm serve]",
        description=(__doc__ or "").splitlines()[0],
        epilog="Further words go to `vllm serve`, such as --max-model-len; `vllm serve --help=all` lists them.",
    )
    parser.add_argument("CHECKPOINT", help="folder of the checkpoint; comes first")
    parser.add_argument(
        ROLLOUTS, action="store_true", help="serve recipe.grpo --vllm_mode server instead of questions"
    )
    parser.add_argument("--port", help="of vLLM: port to listen on (default: 8000)")
    parser.add_argument("--host", help="of vLLM: address to listen on (default: 127.0.0.1, this machine only)")
    return parser


def main(checkpoint: str, others: list[str]) -> None:
    """Serve until stopped.

    Raises:
        StageError: vLLM is not installed here, there is no such checkpoint, or vLLM refuses a word.
    """
    check_installed()
    check_checkpoint(checkpoint)
    from vllm.platforms import current_platform

    options = [*template_words(checkpoint), *words_of(others)]
    if ROLLOUTS in others:
        options = [*rollout_words(on_cpu=current_platform.is_cpu()), *options]
        os.environ["VLLM_SERVER_DEV_MODE"] = "1"  # where the routes are that weights and caches are reset by
    if current_platform.is_cpu():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        options = ["--enforce-eager", "--dtype", "float32", *options]
        fix_cpu()
    import uvloop
    from vllm.entrypoints.cli.serve import make_arg_parser, run_server, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class OneLine(FlexibleArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise StageError(message)

    # Not through the `vllm` command: that looks its version up under the name of the CUDA build.
    args = make_arg_parser(OneLine()).parse_args([checkpoint, *options])
    args.model = args.model_tag or checkpoint
    validate_parsed_serve_args(args)
    uvloop.run(run_server(args))


def template_words(checkpoint: str) -> list[str]:
    """Return what makes vLLM write prompts as a stage does, for a checkpoint whose own chat template cannot train.

    What a stage has saved needs no words: the template lies with it.
    """
    path = template_in_place(checkpoint)
    return ["--chat-template", str(path)] if path else []


def words_of(others: list[str]) -> list[str]:
    """Return what `vllm serve` is told: this recipe's words, then the user's, which win.

    >>> words_of(["--port", "1", "--rollouts"])[:2]
    ['--host', '127.0.0.1']
    """
    return [*HOST, *WORDS, *(word for word in others if word != ROLLOUTS)]


def rollout_words(*, on_cpu: bool) -> list[str]:
    """Return the options for serving a trainer: as `trl vllm-serve` sets them, but with weights by file on a CPU."""
    from trl.scripts.vllm_serve import ScriptArguments, build_command

    options = build_command(ScriptArguments(model=""))
    options = options[options.index("--weight-transfer-config") :]
    options.append("--enable-scale-out")  # the routes that process pictures apart from generating
    if on_cpu:
        from recipe.rollouts import vllm_cpu_weights

        options[1] = json.dumps({"backend": vllm_cpu_weights.BACKEND})
        options += ["--worker-extension-cls", "recipe.rollouts.vllm_cpu_weights.WorkerExtension"]
    return options


def fix_cpu() -> None:
    """Apply the fixes of `recipe.rollouts.vllm_cpu`, without the options of an engine in this process."""
    from recipe.rollouts import vllm_cpu

    vllm_cpu.inspect_models_in_process()


if __name__ == "__main__":
    run(parse, main)
