"""Run a stage of the recipe and stop it at a chosen place: `python -m tests.helpers.interrupted NAME WHERE STEP ...`.

WHERE is `between` (SIGKILL after a step), `within` (SIGKILL while the step's checkpoint is being written), `ctrl-c`
(SIGINT after a step), `ended` (SIGKILL after the last checkpoint, before the model is saved), `saving` (SIGKILL in the
middle of writing the model) or `never`. The reward is exchanged for one that an untrained model earns some of.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

import recipe  # noqa: F401  (before transformers)

from transformers import Trainer, TrainerCallback  # isort: skip


class Stop(TrainerCallback):
    def __init__(self, step, with_signal):
        self.step, self.signal = step, with_signal

    def on_step_end(self, args, state, control, **kwargs):
        # One step later than a checkpoint would do: there is work to be lost.
        if state.global_step == self.step and self.signal == signal.SIGINT:
            os.killpg(0, self.signal)  # as a terminal does: the workers that decode frames get it too
        elif state.global_step == self.step:
            os.kill(os.getpid(), self.signal)


def stop_within(step):
    """Kill in the middle of writing a checkpoint: the weights are there, the generator's state is not."""
    upstream = Trainer._save_rng_state

    def save(self, output_dir):
        if self.state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        upstream(self, output_dir)

    Trainer._save_rng_state = save


def stop_at_the_end(where):
    """Kill when training has ended: before the model is written, or with half of it written."""

    def save(trainer, model_args):
        if where == "saving":
            (Path(trainer.args.output_dir) / "model.safetensors").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    from recipe.training import ending

    ending.save_whole = save


def variety_reward(completions, **kwargs):
    """Count the different characters of a completion, which vary within a group even before any training."""
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


def main(name, where, step, argv):
    from recipe import cli, rewards

    rewards.REWARDS["tiou_mviou"] = [variety_reward]
    stage = importlib.import_module("recipe.grpo" if name == "grpo" else "recipe.training.supervised")
    if where == "within":
        stop_within(step)
    elif where in ("ended", "saving"):
        stop_at_the_end(where)
    elif where != "never":
        upstream = stage.MarkComplete
        with_signal = signal.SIGINT if where == "ctrl-c" else signal.SIGKILL

        class MarkAndStop(upstream, Stop):
            def __init__(self, *args):
                upstream.__init__(self, *args)
                Stop.__init__(self, step, with_signal)

        stage.MarkComplete = MarkAndStop
    run = stage.main if name == "grpo" else lambda *arguments: stage.main(name, *arguments)
    cli.run(lambda: stage.parse(argv), run)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
