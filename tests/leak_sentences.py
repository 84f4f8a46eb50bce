"""Sentences for the leak checker, and its precision and recall on them.

    python -m tests.leak_sentences

TABLE was written while the checker was; HELD_OUT after it, and nothing was changed for it.
"""

from __future__ import annotations

from data_prep.leaks import verdict

# (sentence, whether it leaks, first and last true second, seconds of the clip)
Case = tuple[str, bool, int, int, int]


def _about(first: int, last: int, seconds: int, leaking: str, passing: str) -> list[Case]:
    cases = [(line.strip(), True, first, last, seconds) for line in leaking.strip().splitlines()]
    return cases + [(line.strip(), False, first, last, seconds) for line in passing.strip().splitlines()]


TABLE = [
    *_about(
        3, 8, 20,
        """
        The jump happens from second 10 to second 14.
        Between seconds 12 and 15 he picks up the bag.
        Seconds 3 to 12 show the dog running.
        Around 0:15 the woman turns to the door.
        The event covers 0:03-0:14.
        At the end he sits down.
        At the end of the clip the man waves.
        Towards the end of the video she leaves.
        From second twelve until second sixteen the child runs.
        It begins at fifteen seconds.
        In the fifteenth second the ball is thrown.
        The action starts at 12 and ends at 16.
        About 14 s in, he kneels.
        He stands up 12 seconds into the clip.
        The 13-second mark is where it begins.
        Halfway through the video she claps, and again in the final moments.
        Two thirds of the way through, the cat leaps.
        In the last quarter of the clip the car turns.
        During the second half of the video he drinks.
        At 80% of the clip the door opens.
        In the last five seconds the boy falls.
        The moment comes two seconds before the end of the clip.
        Right at the start the man bows.
        The first second already shows the fall.
        t = 14 is when the player shoots.
        Look at frames 12 to 17 for the throw.
        Seconds 5, 6, 7 and 13 matter most.
        It takes place between 11 and 15.
        The window is 12-16.
        She dances from 00:00:11 to 00:00:15.
        The event lasts fifteen seconds.
        He enters at the 12s mark.
        After sixteen seconds, the light goes out.
        The man is at [102, 310, 298, 644].
        The target occupies (0.12, 0.30) to (0.45, 0.80).
        His box is 102, 310, 298, 644 at that time.
        Its left edge is at 120 and its top edge at 300.
        She stands about 30% from the left of the frame.
        The dog sits at x=120, y=300.
        The person is near 0.45 horizontally.
        It is about 120 pixels from the border.
        The ball is centred at 430.
        Its x coordinate is one hundred and twenty.
        {"3": [{"label": "dog-1", "bbox_2d": [1, 2, 3, 4]}]}
        The box spans 20 percent to 40 percent of the width.
        The car is a third of the way across the frame.
        """,
        """
        The jump happens from second 3 to second 8.
        Seconds 3 to 8 show the dog running.
        Around 0:07 the woman turns to the door.
        From second four until second nine the child runs.
        It begins at about three seconds.
        In the fifth second the ball is thrown.
        The action starts at 3 and ends at 8.
        About 4 s in, he kneels.
        In the first half of the video he drinks.
        A third of the way through the clip, the cat leaps.
        Two men stand beside a 5-year-old girl.
        Three of the five players wear red.
        The boy, aged 12, holds 3 balloons.
        A man in his 30s wears the number 23 shirt.
        The second man from the left is the target.
        The second one is taller than the first.
        He waits for three seconds before he jumps.
        Two seconds later the dog follows.
        A second later she turns.
        He holds it for a split second.
        A man stands at the end of the table.
        At the far end of the pool a swimmer turns.
        The runners wait at the start line.
        In the second half of the pool there are two swimmers.
        At the end of the jump he lands on both feet.
        Halfway across the street he stops.
        The cat in the middle of the room is a distractor.
        The person at the upper left wears a hat.
        The left third of the frame is empty.
        She is 100% certain to be the one in the red dress.
        A sign offers 50% off.
        The score is 3:12 on the scoreboard.
        He runs at 15 km/h past a 12-storey building.
        Players 4, 7, 10 and 23 wear white.
        First find the dog, then follow it.
        Finally he sits down after the others have left.
        The person in red is picked because only she carries a bag.
        Between 12 and 15 people watch.
        Children from 12 to 15 years old play football.
        The event takes about six seconds.
        One of the two dogs is brown, the other one white.
        The 20-second clip shows a street.
        He sits at table 12 with four friends.
        The man is 180 cm tall and carries 2 bags.
        It is 10:15 pm on the clock.
        The bounding box should follow the smaller of two dogs.
        """,
    ),
    *_about(
        15, 18, 20,
        """
        In the first half of the video he drinks.
        At the beginning of the clip she waves.
        Early in the video the dog barks.
        A few seconds in, he jumps.
        Seconds 3 to 8 show the dog running.
        Halfway through, the man turns.
        """,
        """
        At the end he sits down.
        Towards the end of the video she leaves.
        In the last five seconds the boy falls.
        During the second half of the video he drinks.
        Two seconds before the end of the clip she waves.
        In the sixteenth second the ball is thrown.
        """,
    ),
    *_about(
        70, 80, 120,
        """
        At 0:45 the man enters.
        About two minutes in, the door opens.
        At minute 0 the car stops.
        It happens 30 seconds after the start.
        """,
        """
        At 1:12 the man enters.
        About a minute and fifteen seconds in, the door opens.
        In the middle of the clip he stumbles.
        It happens 75 seconds after the start.
        """,
    ),
]  # fmt: skip

HELD_OUT: list[Case] = []


def measure(cases: list[Case]) -> tuple[float, float, list[Case]]:
    """(precision, recall, the cases that are judged wrongly) of "leak"."""
    found = [(case, verdict(case[0], case[2:4], case[4]) != "ok") for case in cases]
    both = sum(case[1] and leak for case, leak in found)
    wrong = [case for case, leak in found if case[1] != leak]
    return both / sum(leak for _, leak in found), both / sum(case[1] for case in cases), wrong


def main() -> None:
    """Print both measures for each set, and each mistake."""
    for name, cases in (("table", TABLE), ("held out", HELD_OUT)):
        precision, recall, wrong = measure(cases)
        leaking = sum(case[1] for case in cases)
        print(
            f"{name}: {len(cases)} sentences, {leaking} leaking: precision {precision:.3f}, recall {recall:.3f}"
        )
        for sentence, leaks, first, last, seconds in wrong:
            found = verdict(sentence, (first, last), seconds)
            print(f"  {'missed' if leaks else 'wrongly found'} [{first}, {last}] of {seconds}: {sentence}  -> {found}")


if __name__ == "__main__":
    main()
