"""A stage whose rollouts depend on nothing but their place in the global batch: for one process against several.

    python -m torch.distributed.run --nproc_per_node 2 -m tests.helpers.two_processes NAME words...

For GRPO the answers are drawn from a generator that is seeded by the rollout's number and the answer's place among
those of all ranks, and so is their reward: whether one process or two make them, they are the same. The second rank
saves late, and a checkpoint that is marked before says so.
"""

import importlib
import os
import sys
import time
from pathlib import Path

import recipe  # noqa: F401  (before transformers)

# isort: split
import torch
from transformers import Trainer

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))


def same_answers(trainer_class):
    """Make the trainer's rollouts a function of their place alone: 4 to 12 tokens of text, and no model asked.

    The last answer of every second rollout holds a video's token, as one that is sampled may: the rows of its process
    cannot share their prompts.
    """

    def generate(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
        self.rollouts_made = getattr(self, "rollouts_made", 0) + 1
        offset = self.accelerator.process_index * len(prompt_ids)
        answers = []
        for index in range(offset, offset + len(prompt_ids)):
            draw = torch.Generator().manual_seed(1000 * self.rollouts_made + index)
            length = int(torch.randint(4, 13, (), generator=draw))
            answers.append(torch.randint(100, 160, (length,), generator=draw).tolist())
        if self.accelerator.process_index == RANKS - 1 and self.rollouts_made % 2 == 0:
            answers[-1][1] = self.model.config.video_token_id
        return answers, None

    trainer_class._generate_single_turn = generate


def variety_reward(completions, **kwargs):
    """Count the different characters of a completion, which vary within a group."""
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


def save_late():
    """Delay the second rank's part of a checkpoint by a second after the first's."""
    upstream = Trainer._save_rng_state

    def save(self, output_dir):
        if RANK == 1:
            time.sleep(1)
        upstream(self, output_dir)

    Trainer._save_rng_state = save


def check_marks(module):
    """Check that a marker exists only where every rank's part does."""
    upstream = module.MarkComplete.on_save

    def on_save(self, args, state, control, **kwargs):
        upstream(self, args, state, control, **kwargs)
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if RANK == 0 and RANKS == 2 and not (folder / "rng_state_1.pth").exists():
            raise RuntimeError(f"{folder} is marked as whole and rank 1 has not written its part")

    module.MarkComplete.on_save = on_save


def main(name, argv):
    from recipe import cli, rewards
    from recipe.training import trainers

    rewards.REWARDS["tiou_mviou"] = [variety_reward]
    module = importlib.import_module("recipe.grpo" if name == "grpo" else "recipe.training.supervised")
    same_answers(trainers.GroundingGRPOTrainer)
    save_late()
    check_marks(module)
    run = module.main if name == "grpo" else lambda *arguments: module.main(name, *arguments)
    cli.run(lambda: module.parse(argv), run)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
