"""A function's docstring begins with an imperative verb, so that each is read as a sentence and not as a caption."""

import ast
import re
from pathlib import Path

import pytest

ROOMS = ("rewards/stvg_rewards", "data_prep", "recipe", "bench", "fuzz")

# The first words that are allowed: extend the list with a verb in the imperative, in order, and with nothing else.
VERBS = """
    Add Answer Append Apply Arrange Ask Begin Bring Build Call Check Choose Close Collect Compare Complete
    Compose Compute Convert Copy Count Declare Decode Delete Discard Draw Encode End Estimate Evaluate Expand Fill
    Find Fit Forget Free Generate Give Ground Group Hold Ignore Import Join Judge Keep Leave Let Load Lock Log Look
    Make Mark Measure Move Open Parse Place Predict Print Probe Provide Put Raise Read Refuse Remember Rename Replace
    Return Run Sample Save Say Score Send Serve Set Share Smooth Split Start Stop Switch Sync Take Tell Time Train
    Update Validate Wait Wrap Write Yield
"""


def own_functions(tree: ast.AST):
    """Yield a file's functions and methods: not those inside other functions, and no properties."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from own_functions(node)
        elif not any(ast.unparse(decorator).endswith(("property", ".setter")) for decorator in node.decorator_list):
            yield node


def without_verb(path: str, source: str) -> list[str]:
    """Return a line for each docstring of a function that does not begin with one of VERBS."""
    faults = []
    for function in own_functions(ast.parse(source)):
        if docstring := ast.get_docstring(function):
            first = docstring.split()[0].rstrip(",.:")
            if first not in VERBS.split():
                faults.append(
                    f"{path}:{function.lineno}: {function.name}'s docstring begins with {first!r}; begin it with a"
                    ' verb in the imperative ("Return ...", "Write ..."), or add it to VERBS in tests/test_english.py'
                )
    return faults


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_of_functions_begin_with_a_verb(room):
    files = sorted(Path(room).rglob("*.py"))
    assert files
    faults = [fault for path in files for fault in without_verb(str(path), path.read_text())]
    assert not faults, "\n" + "\n".join(faults)


def test_the_list_of_verbs_is_sorted_and_has_no_word_twice():
    assert sorted(set(VERBS.split())) == VERBS.split()


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ('def f():\n    """Return the box of each second."""', None),
        ("def f():\n    return 1", None),  # no docstring is a matter of its own
        ('class A:\n    @property\n    def boxes(self):\n        """The boxes."""', None),
        ('class A:\n    @functools.cached_property\n    def boxes(self):\n        """The boxes."""', None),
        ('def f():\n    """Return g."""\n    def g():\n        """The boxes."""', None),
        ('def f():\n    """Evaluate, then print."""', None),
        ('def f():\n    """The box of each second."""', "The"),
        ('class A:\n    async def f(self):\n        """Whether it is whole."""', "Whether"),
        ('def f():\n    """Returns the box."""', "Returns"),
        ('if True:\n    def f():\n        """(name, value) of each."""', "(name"),
    ],
)
def test_the_rule_itself(source, first):
    faults = without_verb("recipe/a.py", source)
    if first is None:
        assert faults == []
    else:
        (fault,) = faults
        assert re.match(r"recipe/a\.py:\d+: (f|boxes)'s docstring begins with '" + re.escape(first), fault)
        assert "begin it with a verb" in fault
