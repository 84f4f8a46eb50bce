"""Sentences for the leak checker, and its precision and recall on them.

    python -m tests.helpers.leak_sentences

TABLE was written while the checker was; SECOND, THIRD and FOURTH when it stood, each measured once before what it
found was mended (precision 1.000, 1.000 and 0.975, recall 0.909, 0.911 and 0.929). FINAL was written after that, and
nothing was changed for it.
"""

from __future__ import annotations

from data_prep.leaks.checking import verdict

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

SECOND = [
    *_about(
        6, 11, 30,
        """
        The woman picks up the cup somewhere between second 14 and second 18.
        You can see it at 00:21 when the curtain falls.
        He starts walking in the eighteenth second.
        She is on screen from the 15th until the 22nd second.
        Roughly twenty seconds in, the door swings open.
        The clip's closing moments show her taking the bag.
        It all happens in the first three seconds.
        The dog turns around at the twenty-second mark.
        By second fifteen he has reached the car.
        The kick comes about five seconds before the video ends.
        In the last tenth of the clip, she kneels.
        At roughly two thirds of the video the lights go out.
        He only appears 85% of the way through.
        It is right when the video begins that he jumps.
        Frame 25 shows the catch most clearly.
        The whole action is over by 3 s.
        Watch from 0:16 onwards.
        The interval runs from sixteen to twenty-one.
        The event: 15-19.
        Sometime after the 20-second point the boy laughs.
        The man is embraced at second 1.
        In the final minute of the match, at 0:27, he shoots.
        It lasts for twenty seconds.
        The relevant part is seconds 20 through 24, when the ball comes back.
        The best evidence lies in 17s, 18s and 19s.
        Towards the very end, the man with the hat stands up.
        The action occurs during the latter third of the video.
        He is seated in the region (412, 88, 640, 512).
        Bounding box approximately [0.31, 0.22, 0.58, 0.91].
        The left boundary is around 412 and the right one around 640.
        The cup is at roughly 45% horizontally and 60% vertically.
        She stands at x = 0.35.
        The target moves from (100, 220) to (180, 240).
        It sits about four hundred pixels from the top.
        The object is centred near 512, 300.
        Its top-left corner is 88 and 412.
        The dog fills the area between 30% and 55% of the width.
        In normalised coordinates it is close to 0.5.
        The box is 228 wide and 424 high.
        The target is two fifths of the way from the left border.
        {"bbox_2d": [88, 412, 240, 640], "label": "dog"}
        The y-coordinate drops from 600 to 450 as he crouches.
        <|begin_of_box|>88 412 240 640<|end_of_box|>
        The man's position is 512 by 300 in the image.
        It goes from second 6 to second 25 without a pause.
        At the conclusion of the footage she sings.
        Seventeen seconds have passed when the man stands up.
        The throw is visible at about the 0:18 mark.
        At timestamp 19.5 the goalkeeper dives.
        The second half of the clip contains the event.
        """,
        """
        The woman picks up the cup somewhere between second 7 and second 10.
        You can see it at 00:08 when the curtain falls.
        He starts walking in the seventh second.
        She is on screen from the 7th until the 12th second.
        Roughly eight seconds in, the door swings open.
        The dog turns around at the ten-second mark.
        In the first half of the clip, she kneels.
        A third of the way through the video the lights go out.
        Frame 9 shows the catch most clearly.
        The interval runs from six to eleven.
        The event: 6-11.
        It lasts for six seconds.
        The best evidence lies in 7s, 8s and 9s.
        The red team's number 17 is the one who shoots.
        Seventeen people are in the room, four of them standing.
        A girl of about six holds her mother's hand.
        The 18-year-old on the left wears a cap.
        He is in his twenties and has short hair.
        She takes two steps, stops, and then takes three more.
        The clock tower in the background shows half past three.
        A banner with the words "since 1998" hangs above the door.
        They wait for twenty seconds or so, as the traffic light is red.
        He leaves the frame for a second and comes back.
        Ten seconds later another dog shows up, which is not the target.
        The cup stands at the end of the counter.
        The second half of the sentence names the object: a red cup.
        The first part of the query is about the action.
        At the beginning of the event he is partly hidden by the door.
        The swimmer in the middle lane is the fastest of the eight.
        He turns halfway through the door and looks back.
        The truck is about ten metres long.
        Two thirds of the seats are empty.
        There is a 90% chance that the one in blue is meant, since only he carries a cup.
        The ratio of adults to children is about 2 to 1.
        The car in the right lane overtakes two others.
        Third from the right is a woman with an umbrella.
        I compare the three dogs: size, colour, collar.
        He first lifts one arm, then both.
        The one closest to the camera is the target, the other two are distractors.
        Size 42 shoes stand next to door 15.
        It is the first of the two jumps that the sentence means.
        The crowd of 200 cheers.
        The man on the 3rd step of the stairs wears grey.
        The finish line is crossed by runner number 8.
        The upper left corner is dark, so the cat is hard to see there.
        They are playing best of 5.
        The couple at table 20 leaves.
        At the end of the corridor stands a statue.
        His opponent, aged 30, wears white.
        The ball bounces 4 times before she catches it.
        """,
    ),
    *_about(
        40, 58, 60,
        """
        In the first quarter of the video he reads.
        At 0:12 he reads.
        At the start she reads.
        Midway through the clip the reading stops.
        Thirty seconds into the video the man stands up.
        """,
        """
        In the last quarter of the video he reads.
        At 0:52 he reads.
        In the closing moments she reads.
        Until shortly before the end of the clip he reads.
        Fifty seconds into the video the man stands up.
        """,
    ),
]  # fmt: skip


THIRD = [
    *_about(
        10, 14, 40,
        """
        Scanning the frames, the man bends over at around 17 s and straightens at about 21 s.
        The described action is confined to seconds 20 to 26, when the dog is in the air.
        She enters from the left at 0:02 and sits down.
        The cyclist falls in the thirtieth second.
        By the time we reach second 25 the pool is empty.
        I would place the event between the 20- and 25-second marks.
        The action starts immediately, at second zero.
        This is visible from the very first frame of the video.
        Nothing happens until the last ten seconds, when the cat jumps.
        The key moment comes three quarters of the way into the footage.
        It occurs within the final fifth of the clip.
        At the end of the recording, the older man shakes hands.
        At approximately thirty-three seconds, the child drops the toy.
        He kicks the ball at second 22 and again at second 24.
        From 18 to 23 s she is climbing.
        Most of the action falls between 0:19 and 0:24.
        Her turn comes after about half a minute.
        The scene in question is 25 seconds into the video.
        So the event window should be 19-24.
        There is a jump cut at 00:00:31, right when he waves.
        The event is at t = 33.
        Between twenty and twenty-four seconds the waiter pours the wine.
        At the clip's beginning the girl in pink is already dancing.
        The rough window is from the 20th to the 24th second.
        It happens when roughly 70 percent of the video has played.
        The man is inside [250, 180, 420, 760], so I follow him.
        His bounding box moves from x 250 to x 420.
        The tracked woman is centred at around (0.62, 0.48).
        She is about a quarter of the way in from the right edge.
        The ball's location is 310, 455 in that frame.
        The child occupies pixels 200 to 340.
        The top of the box is near 180 and the bottom near 760.
        The person is at 35% of the frame width.
        Relative position: 0.35, 0.72.
        He stays within 250-420 on the x-axis.
        The final answer is {"10": [{"label": "man-1", "bbox_2d": [250, 180, 420, 760]}]}.
        The dog's x-coordinate is about three hundred.
        Its size is 170x580 pixels.
        The action continues from second 10 up to second 30.
        It takes place early in the video, at about 4 seconds.
        In seconds 1, 2 and 3, he is already on the ladder.
        Shortly before the end of the video the man puts on the hat.
        The child can be seen jumping during the second quarter of a minute, at 0:29.
        It is at the 35th second that the woman smiles.
        The segment of interest: 20 s - 25 s.
        """,
        """
        Scanning the frames, the man bends over at around 10 s and straightens at about 14 s.
        The described action is confined to seconds 10 to 14, when the dog is in the air.
        She enters from the left at 0:11 and sits down.
        The cyclist falls in the twelfth second.
        I would place the event between the 10- and 14-second marks.
        The action starts a little after second ten.
        The key moment comes a third of the way into the footage.
        From 10 to 14 s she is climbing.
        Most of the action falls between 0:10 and 0:14.
        So the event window should be 10-14.
        It is over by the fifteenth second.
        The query mentions a white dog; there are two dogs, and only one of them is white.
        Three men in suits walk past a 10-year-old boy on a bicycle.
        The goalkeeper wears number 1, the striker number 9.
        He throws the ball with both hands, waits two seconds, and catches it.
        The brown dog is a distractor that comes within a metre of the white one.
        The taller of the two women, maybe fifty, carries a bag.
        He is the second from the right in the back row.
        The event is short, so its first and last seconds need care.
        In the seconds right after the jump another dog runs by.
        A sign on the wall reads "Open 9-17".
        The end of the leash is in her left hand.
        They stand at the end of a long queue.
        At the start of the slope there are four skiers.
        The first quarter of the pitch is in the shade.
        The beginning of the sentence names the target.
        He is half hidden by a car with the plate 4711.
        The woman lifts the box and puts it on top of two others.
        The man in the middle is not meant, nor the one at the right end of the bench.
        About 90% of the players wear white, the target wears red.
        I am sure that the target is the one in the red cap.
        It is the third of five cars in the lane.
        The light turns green twice.
        He holds a 2-litre bottle and three cups.
        The older sister, 15, pushes the younger one, 8.
        She does three somersaults within a few seconds.
        For the most part he is visible; a passing bus hides him for one second.
        The cat sits in the lower right corner next to two bowls.
        They dance for a while, then one of the two leaves.
        The red car overtakes car number 20 in lane 3.
        A group of 20 to 25 tourists stands behind them.
        He is closer to the camera than the other four.
        Their shirts show 20 and 24.
        The train on platform 25 leaves.
        He walks through the door at the far end of the hall.
        """,
    ),
]  # fmt: skip


FOURTH = [
    *_about(
        4, 9, 24,
        """
        I notice that he starts to climb at second 16 and reaches the top at second 21.
        The laughing child can only be seen from 0:17 to 0:22.
        Her wave begins at the fifteenth second and finishes three seconds later.
        That is what happens in the frames between seventeen and twenty seconds.
        The dive is somewhere in the 16-20 s range.
        The bus pulls in around fourteen seconds into the recording.
        It is only at the tail end of the clip that the dog shakes itself.
        He drops the plate in the last second.
        The moment when she lets go of the rope is near the 18 second mark.
        In the clip's second half the man in grey picks up the ball.
        The described action is visible for the whole time from second 0 to second 23.
        Look at second 22: the hat falls.
        The event ends at 20s sharp.
        He does it about ninety percent of the way through the clip.
        After 15.5 seconds the girl turns to the window.
        The rope snaps at time 17.
        Seconds nineteen and twenty are the decisive ones.
        When the recording begins, the bride is already throwing the bouquet.
        The throw is over after the first second.
        From the outset the man is seen pushing the cart.
        The time span is 15 to 20.
        Start at 15 s, stop at 20 s.
        Five sixths of the way through the video he collapses.
        She appears no earlier than second 14.
        The event takes place from the 13th second onward.
        The relevant frames are 15, 16 and 17.
        His box is 120 wide and starts at 300.
        He is found around x=540 and y=220.
        The upper edge lies at 0.18, the lower one at 0.73.
        I track the box (0.22, 0.18, 0.41, 0.73).
        She moves from pixel column 200 to pixel column 600.
        The dog is about 15 percent from the right-hand side.
        [540, 220, 610, 420] is where the cup is.
        The cup's coordinates are 540, 220, 610, 420.
        The person takes up 40% of the width of the frame.
        The man is placed at roughly (five hundred, two hundred).
        The point 480, 350 is on his chest.
        "bbox_2d": [540, 220, 610, 420]
        The left side of the box is at 540.
        It spans 300 to 640 in the horizontal direction.
        The event covers seconds 4 to 19.
        It lasts nineteen seconds.
        """,
        """
        I notice that he starts to climb at second 4 and reaches the top at second 9.
        The laughing child can only be seen from 0:04 to 0:09.
        Her wave begins at the fifth second and finishes three seconds later.
        That is what happens in the frames between five and eight seconds.
        The bus pulls in around six seconds into the recording.
        The moment when she lets go of the rope is near the 8 second mark.
        After 5.5 seconds the girl turns to the window.
        The time span is 4 to 9.
        Start at 4 s, stop at 9 s.
        It lasts about six seconds.
        In the clip's first half the man in grey picks up the ball.
        The bride, in her late thirties, throws the bouquet to five women.
        Two of the three horses are brown; the white one is meant.
        A boy of 8 and a girl of 11 run side by side.
        He wears the number 21 shirt and runs past two defenders.
        The last person in the row turns around first.
        The dog at the front end of the boat is the target.
        In the second row, third from the left, sits the man with the hat.
        The woman needs about two seconds for the turn, so the outer seconds must be checked.
        Every few seconds a car passes and hides him.
        They shake hands at the end of the meeting, but the query asks for the greeting.
        The first half of the description applies to both men.
        A poster announces a 20% discount.
        The house number is 114.
        The kettle holds 1.7 litres.
        He is roughly 2 metres away from the other man.
        There were 40 people in the audience, most of them seated.
        She scores twice and wins 2-0.
        The kite is at the upper right, then at the centre of the picture.
        The girl's second attempt is the one that succeeds.
        The two cats swap sides in between, so the collar is what counts.
        The red ball is the bigger of the two.
        A man with a bag over his shoulder comes in first, a second one follows.
        He looks at 3 different screens.
        The girl in the middle of the group holds a balloon.
        The queue begins at the counter and ends at the door.
        The boat with the number 12 on its sail turns first.
        The player opens the box, takes out 2 dice and rolls them.
        The older dog, which is 14, lies down.
        The toddler takes its first steps towards the end of the carpet.
        A tower with 25 floors stands in the background.
        The target never leaves the left part of the frame.
        """,
    ),
]  # fmt: skip


FINAL = [
    *_about(
        5, 7, 16,
        """
        The waiter trips between the tenth and the twelfth second.
        He is not there before 0:10, then he walks in.
        Around second 11 the older woman gets up; she sits again by second 13.
        The fall is to be found at 12 to 13 seconds.
        It is during the last four seconds that the balloon bursts.
        The beginning of the clip shows the handshake.
        Near the end of the clip the dog catches the disc.
        The juggler drops a ball thirteen seconds into the clip.
        In the opening second she is on the swing.
        Two seconds before the end, the lights change.
        The relevant span is 10 to 13.
        From 10.5 s to 12.5 s the horse jumps.
        The gate opens at the 11-second mark and closes at the 14-second mark.
        When the footage starts, the cook is chopping.
        The action is confined to the final third of the recording.
        It can be seen 75% of the way through the footage.
        This goes on until 0:13.
        I see it in frames 10, 11 and 12.
        The climb lasts for twelve seconds.
        At fourteen seconds sharp the referee whistles.
        The swimmer is at (0.42, 0.61) when she turns.
        The bag's box is [310, 440, 395, 560].
        It is about 60% across the frame.
        The head is near pixel 310.
        x runs from 310 to 395.
        The lamp stands at 0.9 of the picture's width.
        The bike moves 80 pixels to the right.
        The left edge of the sign is at 310.
        The car is at 310, 440, 395, 560.
        He starts in second 1 and stops in second 15.
        """,
        """
        The waiter trips between the sixth and the eighth second.
        He is not there before 0:05, then he walks in.
        Around second 5 the older woman gets up; she sits again by second 7.
        The fall is to be found at 5 to 7 seconds.
        The relevant span is 5 to 7.
        From 5.5 s to 7.5 s the horse jumps.
        The juggler drops a ball six seconds into the clip.
        In the first half of the clip the lights change.
        Of the nine riders, number 4 is meant.
        Both girls are about eleven; the one with the braid throws the ball.
        He opens the second drawer from the top and takes out three spoons.
        The 70-year-old on the bench watches two pigeons.
        She waits a second or two and then waves.
        The lorry stops at the end of the lane.
        The painter starts with the left half of the wall.
        His shirt says 88, the other one's says 12.
        It is half past ten on the church clock.
        The twins differ in one thing: only one of them wears glasses.
        At the beginning of the bridge there is a sign.
        The last of the four runners falls behind.
        More than half of the chairs are empty.
        Four to six people stand around the stall.
        A single glance of half a second is enough to tell them apart.
        The cook is on the right, the waiter at the far left.
        She claps three times, the others twice.
        He weighs 90 kg and is 1.90 m tall.
        The rope is ten metres long.
        Bus 75 hides the target for a moment.
        There is only one dog, so nothing can be confused.
        The boy in row 3, seat 12, stands up.
        """,
    ),
]  # fmt: skip


def measure(cases: list[Case]) -> tuple[float, float, list[Case]]:
    """Return (precision, recall, the cases that are judged wrongly) of "leak"."""
    judged = [(case, verdict(case[0], case[2:4], case[4]) != "ok") for case in cases]
    both = sum(case[1] and leak for case, leak in judged)
    wrong = [case for case, leak in judged if case[1] != leak]
    return both / sum(leak for _, leak in judged), both / sum(case[1] for case in cases), wrong


def main() -> None:
    """Print both measures for each set, and each mistake."""
    for name, cases in (("table", TABLE), ("second", SECOND), ("third", THIRD), ("fourth", FOURTH), ("final", FINAL)):
        precision, recall, wrong = measure(cases)
        leaking = sum(case[1] for case in cases)
        print(f"{name}: {len(cases)} sentences, {leaking} leaking: precision {precision:.3f}, recall {recall:.3f}")
        for sentence, leaks, first, last, seconds in wrong:
            judged = verdict(sentence, (first, last), seconds)
            print(
                f"  {'missed' if leaks else 'wrongly found'} [{first}, {last}] of {seconds}: {sentence}  -> {judged}"
            )


if __name__ == "__main__":
    main()
