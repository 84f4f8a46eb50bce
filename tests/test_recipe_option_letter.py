"""The option that an answer names: sentences as models write them, in both readings."""

import subprocess
import sys

import pytest

from recipe.evaluation.option_letter import official_letter, option_letter

# sentence, our reading, the benchmark's.
TABLE = [
    # letters by themselves
    ("B", "B", "B"),
    ("b", "B", ""),
    ("(c)", "C", ""),
    ("(D)", "D", "D"),
    ("E.", "E", "E"),
    ("**F**", "F", "F"),
    ("  G\n", "G", "G"),
    ("Option H", "H", "H"),
    ("[A]", "A", "A"),
    # a letter, then its text
    ("A. A man walks in", "A", "A"),
    ("B) a dog", "B", "B"),
    ("(C) Because of the rain", "C", "C"),
    ("D: the red car", "D", "D"),
    ("F because he runs", "F", "F"),
    ("**E.** The door", "E", "E"),
    # stock phrases
    ("The best answer is B", "B", "B"),
    ("The answer is D.", "D", "D"),
    ("Final Answer: H.", "H", "H"),
    ("Answer: G", "G", "G"),
    ("answer: (E)", "E", "E"),
    ("The correct option is C, the kitchen.", "C", "C"),
    ("**Answer:** B", "B", "B"),
    ("The answer is: **A**", "A", "A"),
    ("The correct answer is option F.", "F", "F"),
    ("My answer would be D", "D", "D"),
    ("The answer is A because he falls.", "A", "A"),
    ("The answer is most likely E.", "E", "E"),
    ("\\boxed{C}", "C", "C"),
    ("So \\boxed{\\text{D}}", "D", "D"),
    ("<answer>B</answer>", "B", "B"),
    # words that begin with A to H
    ("Considering the whole video, the best option is D.", "D", "C"),
    ("Based on the frames, the best option is D.", "D", "B"),
    ("After the goal, the answer is F.", "F", "A"),
    ("Both men leave. Answer: E", "E", "B"),
    ("Given this, it is C.", "C", "G"),
    ("He opens the door, so I choose G.", "G", "H"),
    ("From the clip I think B.", "B", "F"),
    ("Clearly option A is correct.", "A", "C"),
    ("Every frame shows (H).", "H", "E"),
    ("During the scene B is the best choice.", "B", "D"),
    ("DNA evidence. Therefore, D.", "D", "D"),
    ("Hence E", "E", "H"),
    # articles and other letters that are none
    ("A man walks into the room.", "", "A"),
    ("The answer is A man walking.", "", "A"),
    ("Answer: A dog", "", "A"),
    ("Everything happens at once.", "", "E"),
    ("He wears a C-shaped ring.", "", "H"),
    ("An F-16 lands.", "", "A"),
    ("Four people, A-team style, and it is B's turn.", "", "F"),
    ("The video shows Vitamin C tablets.", "", "C"),
    ("i do not know", "", ""),
    ("", "", ""),
    ("none of it", "", ""),
    # several
    ("The answer is A or B.", "", "A"),
    ("It could be option C or option D.", "", "C"),
    ("Option A is wrong. The answer is B.", "B", "A"),
    ("The answer is A. Wait, the answer is C.", "C", "A"),
    ("The answer is not A but C.", "C", "A"),
    ("Answer: B. Option A is wrong because of the hat.", "B", "B"),
    # reasoning
    ("<think>Clearly A.</think>\nFinal Answer: H.", "H", "H"),
    ("<think>A or B", "", "A"),
    ("<think>The answer is B. </think> C", "C", "C"),
    ("the answer is B</think>The man leaves.\nD", "D", "D"),
]


@pytest.mark.parametrize(("text", "ours", "official"), TABLE)
def test_table(text, ours, official):
    assert option_letter(text) == ours
    assert official_letter(text) == official


def test_the_table_is_of_sixty_sentences():
    assert len({text for text, _, _ in TABLE}) == len(TABLE) >= 60


def test_a_letter_never_comes_out_of_a_word():
    for word in (
        "Considering",
        "Based",
        "After",
        "Both",
        "Given",
        "He",
        "From",
        "During",
        "Each",
        "Dad's",
        "Ha-ha",
        "A's",
    ):
        for sentence in (
            word,
            f"{word} it.",
            f"The answer is {word}.",
            f"I think {word}, so {word}",
            f"Option: {word}",
        ):
            assert option_letter(sentence) == "", sentence


HOSTILE = """
from recipe.evaluation.option_letter import option_letter
UNITS = ("A ", "answer is ", "(", "A or ", "**",
    "so ", "option ", "\\\\n", " ", "most likely ", "A is ", "<answer>")
for unit in UNITS:
    option_letter(unit * (100_000 // len(unit)))
    option_letter("The answer is " + unit * (100_000 // len(unit)))
print("read")
"""


def test_long_repetitions_end():
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=60)
    assert done.stdout == "read\n", done.stderr[-2000:]
