"""Seeded random input for the readers of texts and files from outside (fuzz/fuzz_readers.py)."""

import pytest

from fuzz import fuzz_readers
from fuzz.fuzz_readers import READERS, run


@pytest.mark.parametrize("reader", READERS)
def test_some_hundred_inputs(reader):
    run(reader, 300, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_a_hundred_thousand_inputs(reader):
    run(reader, 100_000, seed=0)


def test_a_reader_that_raises_is_found_and_its_input_shown(monkeypatch):
    monkeypatch.setattr(fuzz_readers, "reasoning_of", lambda text: text[:20])  # as if tags were left in
    with pytest.raises(AssertionError, match="reasoning, seed 0, input .* on "):
        run("reasoning", 300, seed=0)


def test_the_same_seed_reads_the_same(monkeypatch):
    seen = []
    monkeypatch.setattr(fuzz_readers, "leaks_in", lambda text, *rest: seen.append(text) or [])
    for _ in range(2):
        run("leaks", 20, seed=3)
    assert seen[:20] == seen[20:] and len(set(seen)) > 15
