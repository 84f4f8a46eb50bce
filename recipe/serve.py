"""Serve a checkpoint with vLLM behind an OpenAI-compatible endpoint, for `recipe.ground --backend openai`.

    .venv-vllm/bin/python -m recipe.serve runs/tiny/grpo-tiou_mviou-s0 --port 8000
    .venv-vllm/bin/python -m recipe.serve runs/tiny/sft --rollouts --port 8001

With --rollouts it serves `recipe.grpo --use_vllm true --vllm_mode server`: vLLM gets the words that TRL's own
`trl vllm-serve` gives it, and on a CPU weights come by file (`recipe.rollouts.vllm_cpu_weights`) instead of by NCCL.
Pictures and videos come as files (`recipe.rollouts.media_files`) in a folder that this command makes, and none outside
of it are read; --allowed-local-media-path names another, which trainer and server must both see.
--video-units pairs goes with a stage that says `video_units: pairs`.

It listens on 127.0.0.1 only, unless --host says otherwise: it asks nobody for a key, and with --rollouts whoever
reaches it may replace the weights.

It uses all GPUs that are visible: a copy of the model on each, or with --rollouts, whose weights are exchanged, the
language model split among them and the vision tower copied. --tensor-parallel-size and --data-parallel-size say
otherwise.

It is `vllm serve` with safetensors only, and no videos unless --video-units says so; further words go to that command.
On a CPU it also applies what `recipe.rollouts.vllm_cpu` holds, in the engine's process too, and names the device,
which that build does not find by itself.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from typing import NoReturn

import torch

from data_prep.stages import StageError
from recipe.cli import OneLineParser, run
from recipe.inputs.loading import check_checkpoint, load_config, template_in_place
from recipe.rollouts import media_files
from recipe.rollouts.media import media_options
from recipe.rollouts.vllm import check_installed

ROLLOUTS = "--rollouts"
# A question's frames come with their times, which vLLM takes from those who ask only where it is told to.
TIMES = "--trust-request-mm-kwargs"
UNITS, MEDIA_ROOT = "--video-units", "--allowed-local-media-path"
HOST = ["--host", "127.0.0.1"]
WORDS = ["--load-format", "safetensors"]


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
    parser.add_argument(
        UNITS, choices=("frames", "pairs"), help="what the stage's video_units is: pairs takes a video a prompt"
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
    if not current_platform.is_cpu():
        heads = load_config(checkpoint).get_text_config().num_attention_heads
        options += parallel_words(others, gpus=torch.cuda.device_count(), heads=heads)
    if ROLLOUTS in others:
        options = [*rollout_words(on_cpu=current_platform.is_cpu()), *media_words(others), *options]
        media_files.register_loader()
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


def parallel_words(others: list[str], *, gpus: int, heads: int) -> list[str]:
    """Return what spreads the model over the GPUs, where the user's own words leave it open.

    Args:
        others: the words of the command, --rollouts among them.
        gpus: that are visible.
        heads: of the language model's attention, which tensor parallelism splits.

    Raises:
        StageError: More GPUs are asked for than there are, or the heads cannot be split so.

    >>> parallel_words([], gpus=8, heads=32)
    ['--data-parallel-size', '8']
    >>> parallel_words(["-tp", "2"], gpus=8, heads=32)
    ['--mm-encoder-tp-mode', 'data', '--data-parallel-size', '4']
    >>> parallel_words(["--rollouts"], gpus=6, heads=32)
    ['--tensor-parallel-size', '4', '--mm-encoder-tp-mode', 'data']
    """
    own = OneLineParser(add_help=False, allow_abbrev=False)
    for name, short in (("tensor", "-tp"), ("data", "-dp"), ("pipeline", "-pp")):
        own.add_argument(f"--{name}-parallel-size", f"--{name}_parallel_size", short, type=int)
    try:
        asked, rest = own.parse_known_args(others)
    except ValueError as error:
        raise StageError(str(error)) from None
    words: list[str] = []
    tensor, pipeline = asked.tensor_parallel_size, asked.pipeline_parallel_size or 1
    if tensor is None and ROLLOUTS in others:
        tensor = max(size for size in range(1, max(gpus, 1) + 1) if heads % size == 0)
        words += ["--tensor-parallel-size", str(tensor)] if tensor > 1 else []
    each = (tensor or 1) * pipeline
    copies = 1 if asked.data_parallel_size is None else asked.data_parallel_size
    if min(each, copies) < 1 or each * copies > max(gpus, 1) or heads % (tensor or 1):
        raise StageError(
            f"tensor x pipeline x data parallel size is {tensor or 1} x {pipeline} x {copies}: expected at most the "
            f"{gpus} GPUs that are visible, and a tensor parallel size that divides the model's {heads} heads; leave "
            "them out to use all GPUs"
        )
    if each > pipeline and not any(word.startswith("--mm-encoder-tp-mode") for word in rest):
        words += ["--mm-encoder-tp-mode", "data"]  # a vision tower's heads, 12 or 16, need not divide
    if asked.data_parallel_size is None and ROLLOUTS not in others and gpus // each > 1:
        words += ["--data-parallel-size", str(gpus // each)]
    return words


def words_of(others: list[str]) -> list[str]:
    """Return what `vllm serve` is told: this recipe's words, then the user's, which win.

    Raises:
        StageError: --video-units is neither frames nor pairs.

    >>> words_of(["--port", "1", "--rollouts"])[:2]
    ['--host', '127.0.0.1']
    """
    own = OneLineParser(add_help=False, allow_abbrev=False)
    own.add_argument(UNITS, "--video_units", choices=("frames", "pairs"), default="frames")
    try:
        asked, rest = own.parse_known_args(others)
    except ValueError as error:
        raise StageError(str(error)) from None
    media = media_options(video=asked.video_units == "pairs")
    words = [word for name, value in media.items() for word in (f"--{name.replace('_', '-')}", json.dumps(value))]
    if asked.video_units == "pairs" and ROLLOUTS not in rest:
        words.append(TIMES)
    return [*HOST, *WORDS, *words, *(word for word in rest if word != ROLLOUTS)]


def media_words(others: list[str]) -> list[str]:
    """Return what lets a server of rollouts read the files that a trainer writes, in a new folder unless one is named.

    The new folder goes when the server ends.
    """
    words = ["--media-io-kwargs", json.dumps({"video": {"video_backend": media_files.BACKEND}})]
    if any(word.replace("_", "-").startswith(MEDIA_ROOT) for word in others):
        return words
    root = tempfile.mkdtemp(prefix="rollouts-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return [*words, MEDIA_ROOT, root]


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
