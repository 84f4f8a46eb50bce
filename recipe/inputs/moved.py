"""Module paths that the documentation printed before the folders of `recipe`: they still run, and name the new one.

It can go with the next release.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from types import ModuleType

MOVED = {
    "before_after": "studies.before_after",
    "figure3": "studies.figure3",
    "figure4": "studies.figure4",
    "fps_study": "studies.frame_rates",
    "paper_mini": "studies.paper_mini",
    "plan": "checks.plan",
    "report": "studies.report",
    "retention": "studies.retention",
    "retention_study": "studies.questions",
    "reward_study": "studies.rewards",
    "sft_rows": "inputs.export",
    "study_floor": "studies.floor",
    "study_lift": "studies.lift",
    "table1": "studies.table1",
    "videomme": "evaluation.videomme",
}


class Moved(MetaPathFinder):
    """Finds a module under its old name, and says once where it is now."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package != "recipe" or name not in MOVED:
            return None
        new = f"recipe.{MOVED[name]}"
        spec = find_spec(new)
        if spec is None or spec.origin is None:
            return None
        print(f"{fullname} is now {new}; the old name goes with the next release", file=sys.stderr)
        return spec_from_file_location(fullname, spec.origin)


def install() -> None:
    """Let old names be found, after everything else."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())
