"""Replace groups whose rewards do not vary by groups of other prompts in GRPO (DAPO's dynamic sampling).

Such a group has advantages of 0 and teaches nothing. Every run logs the share of them as `frac_reward_zero_std`;
`dynamic_sampling` is the largest number of rounds in which they are replaced.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from trl.trainer.utils import nanstd, split_pixel_values_by_grid, unsplit_pixel_values_by_grid

# How the fields of TRL's rollout are padded: on the prompt's side, the completion's, both one after the other, or not.
LEFT = {"prompt_ids", "prompt_mask"}
RIGHT = {
    "completion_ids",
    "completion_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
}
BOTH = {"mm_token_type_ids", "token_type_ids"}
ROWS = {"advantages"}
LISTS = {"pixel_values", "image_grid_thw", "num_images"}  # one entry a row, once split
WHOLE = {"num_items_in_batch"}

# GDPO in TRL's words: each reward is normalised in its group, then their sum over the whole rollout.
EACH_NORMALISED = "normalize_then_sum"


class DynamicSampling:
    """Mixin for GRPOTrainer that replaces flat groups of a rollout in at most `dynamic_sampling` rounds.

    It adds what TRL 1.16 lacks and can go when TRL has the like. It overrides `_generate_and_score_completions`. After
    a rollout every process draws groups of other prompts, as many as the process with the most flat groups has. The
    prompts follow from seed, step, round and process, so that a resumed run draws the same ones.

    Groups must lie whole on a process. Advantages must be scaled within groups (`scale_rewards: group` or `none`) or,
    with GDPO (`multi_objective_aggregation: normalize_then_sum`), over the rollout that is kept, for which they are
    computed once more. `recipe.preflight` checks both.

    Logs `dynamic_sampling/replaced` and `dynamic_sampling/left`: shares of a rollout's groups, 0 to 1.
    """

    dynamic_sampling: int = 0
    _rewards: torch.Tensor

    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        """Compute rewards as upstream, (samples of all processes, functions), and keep them for `_flat_groups`."""
        self._rewards = super()._calculate_rewards(*args)  # type: ignore[misc]
        return self._rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        draw = super()._generate_and_score_completions  # type: ignore[misc]
        output: dict[str, Any] = draw(inputs)
        trainer: Any = self
        if not self.dynamic_sampling or not trainer.model.training:
            return output
        each, device = trainer.num_generations, trainer.accelerator.device
        groups = len(inputs) // each
        # Whole groups are replaced, never single answers: an advantage is an answer's reward against the mean of its
        # own group, so an answer from elsewhere would be judged against a mean that it took no part in.
        flat, replaced = self._flat_groups(groups), 0
        rewards = self._own_rewards(len(inputs))
        for attempt in range(self.dynamic_sampling):
            # The maximum over all processes, since generating and scoring gather across them: a process without flat
            # groups that skipped the draw would leave the others waiting for ever. It throws its fresh groups away.
            wanted = int(trainer.accelerator.gather(torch.tensor([len(flat)], device=device)).max())
            if wanted == 0:
                break
            fresh = draw(self._other_rows(min(wanted, groups), attempt))
            still_flat = set(self._flat_groups(min(wanted, groups)))
            pairs = list(zip(flat, [new for new in range(wanted) if new not in still_flat], strict=False))
            output = exchange(output, fresh, pairs, each, trainer._tokenizer.pad_token_id)
            # A process keeps its own rewards too, because each draw overwrites what `_calculate_rewards` noted.
            fresh_rewards = self._own_rewards(min(wanted, groups) * each)
            for old, new in pairs:
                rewards[old * each : (old + 1) * each] = fresh_rewards[new * each : (new + 1) * each]
            flat, replaced = flat[len(pairs) :], replaced + len(pairs)
        if trainer.multi_objective_aggregation == EACH_NORMALISED:
            # TRL scaled each draw by the spread of that whole draw; the rollout that is kept is a mixture of draws.
            everywhere = trainer.accelerator.gather(rewards)
            advantages = normalised_advantages(everywhere, trainer.reward_weights.to(device), each)
            first = trainer.accelerator.process_index * len(inputs)
            output["advantages"] = advantages[first : first + len(inputs)]
        # The loss is divided by the tokens of the whole batch, and the new answers have other lengths.
        output["num_items_in_batch"] = trainer.accelerator.gather(output["completion_mask"].sum()).sum()
        shares = torch.tensor([replaced / groups, len(flat) / groups], device=device)
        means = trainer.accelerator.gather(shares).view(-1, 2).mean(dim=0).tolist()
        for name, mean in zip(("replaced", "left"), means, strict=True):
            trainer._metrics["train"][f"dynamic_sampling/{name}"].append(mean)
        return output

    def _flat_groups(self, groups: int) -> list[int]:
        """Return the indices of this process's groups whose rewards do not vary, or that have none."""
        trainer: Any = self
        weights = trainer.reward_weights.to(self._rewards.device)
        separately = trainer.multi_objective_aggregation == EACH_NORMALISED
        process = trainer.accelerator.process_index
        return flat_groups(self._rewards, weights, trainer.num_generations, process, groups, separately=separately)

    def _own_rewards(self, samples: int) -> torch.Tensor:
        """Return a copy of this process's rewards of the last draw: (samples, functions)."""
        first = samples * int(self.accelerator.process_index)  # type: ignore[attr-defined]
        return self._rewards[first : first + samples].clone()

    def _other_rows(self, groups: int, attempt: int) -> list[dict[str, Any]]:
        """Draw the rows of `groups` prompts, each repeated once for each sample."""
        trainer: Any = self
        key = (trainer.args.seed, trainer.state.global_step, attempt, trainer.accelerator.process_index)
        chance = random.Random(repr(key))
        size = len(trainer.train_dataset)
        chosen = chance.sample(range(size), groups) if groups <= size else chance.choices(range(size), k=groups)
        rows = [trainer.train_dataset[index] for index in chosen]
        return [dict(row) for row in rows for _ in range(trainer.num_generations)]


def normalised_advantages(rewards: torch.Tensor, weights: torch.Tensor, each: int) -> torch.Tensor:
    """Return the advantages of GDPO for a rollout, as TRL 1.16 computes them: (samples of all processes,).

    Args:
        rewards: (samples of all processes, functions), NaN where a function gave None.
        weights: (functions,).
        each: samples of a group.
    """
    groups = rewards.view(-1, each, rewards.shape[1])
    scaled = (groups - groups.nanmean(dim=1, keepdim=True)) / (nanstd(groups, dim=1, keepdim=True) + 1e-4)
    total = (scaled.view(rewards.shape) * weights).nansum(dim=1)
    total[torch.isnan(rewards).all(dim=1)] = torch.nan
    return torch.nan_to_num((total - total.nanmean()) / (nanstd(total) + 1e-4), nan=0.0)


def flat_groups(
    rewards: torch.Tensor, weights: torch.Tensor, each: int, process: int, groups: int, *, separately: bool = False
) -> list[int]:
    """Return the indices of a process's groups in which all weighted rewards are equal or missing.

    Args:
        rewards: (samples of all processes, functions), NaN where a function gave None.
        each: samples of a group.
        groups: how many a process has.
        separately: whether each function is normalised by itself (GDPO), so that a group teaches where any function
            varies; else the weighted sum must vary.

    >>> rewards = torch.tensor([[0.5], [0.5], [0.1], [0.2], [float("nan")], [float("nan")]])
    >>> flat_groups(rewards, torch.tensor([1.0]), each=2, process=0, groups=3)
    [0, 2]
    """
    if separately:
        values = rewards * weights
    else:
        values = (rewards * weights).nansum(dim=1, keepdim=True)
        values[torch.isnan(rewards).all(dim=1)] = torch.nan
    mine = values.view(-1, each, values.shape[1])[process * groups : (process + 1) * groups]
    spread = torch.nan_to_num(nanstd(mine, dim=1), nan=0.0)
    return torch.isclose(spread, torch.zeros_like(spread)).all(dim=1).nonzero().flatten().tolist()


def exchange(
    output: dict[str, Any], fresh: dict[str, Any], pairs: Sequence[tuple[int, int]], each: int, pad_token: int
) -> dict[str, Any]:
    """Return a rollout in which some groups are replaced by groups of another rollout.

    Args:
        output, fresh: what TRL's `_generate_and_score_completions` returns.
        pairs: (group of `output`, group of `fresh` that takes its place).
        each: samples of a group.
        pad_token: what ids are padded with.

    Raises:
        RuntimeError: A field that this function does not know: TRL has changed, and rows must not be mixed up.
    """
    unknown = output.keys() - LEFT - RIGHT - BOTH - ROWS - LISTS - WHOLE
    if unknown or output.keys() != fresh.keys():
        raise RuntimeError(f"dynamic_sampling: TRL's rollout has other fields than expected: {sorted(unknown)}")
    old = torch.tensor([group * each + sample for group, _ in pairs for sample in range(each)], dtype=torch.long)
    new = torch.tensor([group * each + sample for _, group in pairs for sample in range(each)], dtype=torch.long)
    if not len(old):
        return output
    prompts, fresh_prompts = output["prompt_ids"].shape[1], fresh["prompt_ids"].shape[1]
    completions, fresh_completions = output["completion_ids"].shape[1], fresh["completion_ids"].shape[1]
    width, length = max(prompts, fresh_prompts), max(completions, fresh_completions)
    result = unsplit_pixel_values_by_grid(_with_lists(output, fresh, old.tolist(), new.tolist()))
    for name in output.keys() - LISTS - WHOLE:
        a, b = output[name], fresh[name]
        filler = pad_token if name.endswith("_ids") and name not in BOTH else 0
        if name in LEFT:
            a, b = pad(a, (width - prompts, 0), value=filler), pad(b, (width - fresh_prompts, 0), value=filler)
        elif name in BOTH:
            a = pad(a, (width - prompts, length - completions))
            b = pad(b, (width - fresh_prompts, length - fresh_completions))
        elif name in RIGHT and a.shape[1] == completions and b.shape[1] == fresh_completions:  # else one a sample
            a = pad(a, (0, length - completions), value=filler)
            b = pad(b, (0, length - fresh_completions), value=filler)
        a = a.clone()
        a[old.to(a.device)] = b[new.to(b.device)]
        result[name] = a
    return result


def _with_lists(
    output: dict[str, Any], fresh: dict[str, Any], old: Sequence[int], new: Sequence[int]
) -> dict[str, Any]:
    """Return `output` with the pictures of rows `old` replaced by those of `fresh`'s rows `new`, one entry a row."""
    result = dict(split_pixel_values_by_grid(output))
    other = split_pixel_values_by_grid(fresh)
    for name in LISTS & output.keys():
        entries = list(result[name])
        for index, source in zip(old, new, strict=True):
            entries[index] = other[name][source]
        result[name] = entries
    return result
