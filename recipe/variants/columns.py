"""The columns that a row gives to the rewards, beside its completion."""

REWARD_COLUMNS = ("track", "tracks", "span", "intervals", "seconds", "duration", "box_scale")
