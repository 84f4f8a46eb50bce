"""Which logged metrics the comparison and the dashboard show, by section: (name in the log, title)."""

from __future__ import annotations

SECTIONS: dict[str, list[tuple[str, str]]] = {
    "Learning": [
        ("held_out/m_vIoU", "held-out m_vIoU, greedy"),
        ("held_out/m_tIoU", "held-out m_tIoU, greedy"),
        ("held_out/vIoU@0.5", "held-out vIoU@0.5, greedy"),
        ("vIoU", "vIoU of sampled answers"),
        ("tIoU", "tIoU of sampled answers"),
        ("mvIoU", "mvIoU of sampled answers"),
    ],
    "Signs of reward hacking": [
        ("span_ratio", "predicted / true span"),
        ("one_second_rate", "answers of one second"),
        ("whole_clip_rate", "answers over the whole clip"),
        ("gap_rate", "seconds without a box"),
        ("label_switches", "label switches"),
        ("empty_intersection_rate", "spans that miss the event"),
        ("parse_rate", "answers that can be read"),
        ("salvage_rate", "answers read from broken JSON"),
        ("discarded_states", "discarded states an answer"),
        ("within_one_rate", "answers with all boxes within 1"),
        ("beyond_scale_rate", "answers with boxes beyond the scale"),
    ],
    "Optimisation": [
        ("clip_ratio/region_mean", "tokens clipped"),
        ("entropy", "entropy"),
        ("frac_reward_zero_std", "groups without variance"),
        ("completions/mean_length", "completion length, tokens"),
    ],
    "Cost": [
        ("seconds/rollout", "rollout, seconds a step"),
        ("seconds/update", "update, seconds a step"),
        ("seconds/reward", "reward, seconds a step"),
        ("seconds/decode", "decoding, seconds a step"),
    ],
}
