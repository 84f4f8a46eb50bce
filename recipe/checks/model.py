"""Check the checkpoint: what LoRA would adapt, and whether tokenizer and chat template keep the tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from recipe.checks.findings import Finding, refuse, warn
from recipe.inputs.families import is_vision

LANGUAGE_LAYER = re.compile(r"(?:^|\.)language_model\.layers\.\d+\.(.+)")


def adapted(layers: Sequence[str], targets: str | Sequence[str]) -> list[str]:
    """Return the linear layers that PEFT would adapt.

    A text as target is a pattern of full names; a list holds endings of names.
    """
    if targets == "all-linear":
        return [name for name in layers if not name.endswith("lm_head")]
    if isinstance(targets, str):
        return [name for name in layers if re.fullmatch(targets, name)]
    return [name for name in layers if any(name == end or name.endswith(f".{end}") for end in targets)]


def lora_covers_the_language_model(layers: Sequence[str], targets: str | Sequence[str]) -> list[Finding]:
    """Check that LoRA adapts every layer of the language model and nothing else.

    Args:
        layers: full names of the model's linear layers.
    """
    chosen = adapted(layers, targets)
    language = {name: match.group(1) for name in layers if (match := LANGUAGE_LAYER.search(name))}
    hint = "leave lora_target_modules out for the family's own"
    if not any(name in language for name in chosen):
        return [refuse("LoRA", f"{targets!r} misses the language model: none of its layers match; {hint}")]
    findings = []
    vision = [name for name in chosen if is_vision(name)]
    if vision:
        findings.append(
            warn(
                "LoRA",
                f"{targets!r} touches {len(vision)} layers of the vision tower ({vision[0]}, ...); {hint}",
            )
        )
    missed = sorted({kind for name, kind in language.items() if name not in chosen})
    if missed:
        findings.append(warn("LoRA", f"{targets!r} leaves out the language model's {', '.join(missed)}; {hint}"))
    return findings


def tags_survive(
    tags: Sequence[str],
    image_token: str,
    pieces: Mapping[str, int],
    special: Sequence[str],
    rendered: str,
    images: int,
) -> list[Finding]:
    """Check that tokenizer and chat template keep what the answer contract and the pictures need.

    Args:
        tags: reasoning and answer tags of the family that a completion of the data has.
        image_token: stands for a picture.
        pieces: tokens that the tokenizer makes of each tag and of the image token.
        special: tokens that decoding skips.
        rendered: a prompt of the data with its completion, as the chat template writes them.
        images: how many pictures that prompt has.
    """
    findings = []
    if pieces[image_token] != 1:
        findings.append(refuse("tags", f"the tokenizer does not know {image_token}, which stands for a picture"))
    if rendered.count(image_token) != images:
        findings.append(
            refuse(
                "tags",
                f"the chat template writes {rendered.count(image_token)} {image_token} for a prompt with "
                f"{images} pictures",
            )
        )
    dropped = [tag for tag in tags if tag not in rendered]
    if dropped:
        findings.append(
            refuse("tags", f"the chat template drops {', '.join(dropped)} of a completion, which is trained without")
        )
    skipped = [tag for tag in tags if tag in special]
    if skipped:
        findings.append(
            warn(
                "tags",
                f"{', '.join(skipped)} are special tokens, which TRL skips when it decodes: rewards see answers "
                "without them, so JSON in the reasoning may be taken for the answer",
            )
        )
    spelt = [f"{tag} ({pieces[tag]} tokens)" for tag in tags if pieces[tag] > 1]
    if spelt:
        findings.append(warn("tags", f"the tokenizer spells {', '.join(spelt)}: to be learnt piece by piece"))
    return findings
