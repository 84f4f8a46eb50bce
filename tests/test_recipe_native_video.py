"""Native video as pairs of frames: ids, pixels and logits are those of each family's stock processor and model."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, ProcessorMixin

from recipe.inputs.families import FAMILIES
from recipe.inputs.native_video import NativeVideoProcessor, accept_native_video, pairs_of, split, stack, video_of

NATIVE = sorted(set(FAMILIES) - {"qwen2_5_vl"})
SIDE = 48


def frames_of(count, seed=0):
    """So many different frames, as pictures."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return [Image.fromarray(frame) for frame in pixels]


def asked(pictures):
    """A row's message with its pictures filled in, as TRL hands it over."""
    parts = [{"type": "image", "image": picture} for picture in pictures]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "where is the red ball?"}]}]


def native(folder, clips, rate):
    """What a plain AutoProcessor makes of the videos of the same frames, and the text that it expanded."""
    processor = AutoProcessor.from_pretrained(folder, padding_side="left")
    question = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "where is the red ball?"}]}
    texts = processor.apply_chat_template([[question]] * len(clips), add_generation_prompt=True)
    videos = [np.stack([np.asarray(frame) for frame in clip]) for clip in clips]
    described = [
        {"fps": rate, "total_num_frames": len(clip), "frames_indices": list(range(len(clip)))} for clip in clips
    ]
    made = processor(
        text=texts,
        videos=videos,
        video_metadata=described,
        do_sample_frames=False,
        padding=True,
        return_tensors="pt",
    )
    return made, [processor.tokenizer(text)["input_ids"] for text in texts]


def ours(folder, clips, rate):
    processor = NativeVideoProcessor(AutoProcessor.from_pretrained(folder, padding_side="left"))
    made = processor.apply_chat_template(
        [asked(pairs_of(clip, rate)) for clip in clips],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    return made, processor


@pytest.mark.parametrize("rate", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", NATIVE)
def test_pairs_are_the_native_video_of_the_same_frames(name, rate, family_checkpoints):
    """Two clips of different lengths in a batch, one with an odd number of frames: bit for bit."""
    clips = [frames_of(3), frames_of(8, seed=1)]
    stock, unexpanded = native(family_checkpoints / name, clips, rate)
    made, processor = ours(family_checkpoints / name, clips, rate)
    assert made["input_ids"].equal(stock["input_ids"])
    assert made["attention_mask"].equal(stock["attention_mask"])
    assert made["pixel_values"].equal(stock["pixel_values_videos"])
    assert made["image_grid_thw"].tolist() == [[1, 4, 4]] * 6
    assert set(made) == {"input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw"}
    assert int(made["mm_token_type_ids"].sum()) == 6 * 4
    for ids, mask, short in zip(made["input_ids"], made["attention_mask"].bool(), unexpanded, strict=True):
        assert processor.unexpanded(ids[mask].tolist()) == short
    if rate == 2.0:
        model = AutoModelForImageTextToText.from_pretrained(family_checkpoints / name).eval()
        with torch.no_grad():
            plain = model(**stock).logits
            hooked = accept_native_video(model)(**made).logits
        assert hooked[made["attention_mask"].bool()].equal(plain[made["attention_mask"].bool()])
        assert not hooked.isnan().any()


def test_a_clip_of_one_frame(family_checkpoints):
    """The stock processor refuses a video of one frame; here the patch holds it twice, at its own time."""
    made, processor = ours(family_checkpoints / "qwen3_vl", [frames_of(1)], 1.0)
    assert made["image_grid_thw"].tolist() == [[1, 4, 4]]
    assert "<0.0 seconds>" in processor.decode(made["input_ids"][0])
    halves = made["pixel_values"].reshape(16, 3, 2, -1)  # patches, channels, frames, pixels of a patch
    assert halves[:, :, 0].equal(halves[:, :, 1])


def test_the_processor_passes_for_the_family_s_and_saves_it(family_checkpoints, tmp_path):
    stock = AutoProcessor.from_pretrained(family_checkpoints / "glm4v")
    processor = NativeVideoProcessor(stock)
    assert isinstance(processor, ProcessorMixin)
    assert processor.tokenizer is stock.tokenizer
    assert processor.batch_decode([[5, 6]]) == stock.batch_decode([[5, 6]])
    processor.chat_template = "{{ messages }}"
    assert stock.chat_template == "{{ messages }}"
    stock.save_pretrained(tmp_path / "stock")
    pickle.loads(pickle.dumps(processor)).save_pretrained(tmp_path / "ours")
    names = sorted(path.name for path in (tmp_path / "stock").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "ours").iterdir())
    for name in names:
        assert (tmp_path / "stock" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes(), name
    text = ["a text without pictures"]
    assert processor(text=text)["input_ids"] == stock(text=text)["input_ids"]
    assert processor(images=None, text=text[0])["input_ids"] == stock(text=text)["input_ids"]


def test_pictures_without_their_placeholder_are_refused(family_checkpoints):
    processor = NativeVideoProcessor(AutoProcessor.from_pretrained(family_checkpoints / "glm4v"))
    with pytest.raises(ValueError, match=r"text 1 of 2: 0 of <\|video\|> for 1 pictures, expected one video a prompt"):
        processor(images=[[], pairs_of(frames_of(2), 2.0)], text=["a", "b"])
    with pytest.raises(ValueError, match="whose video has no end"):
        processor.unexpanded([processor.tokenizer.convert_tokens_to_ids("<|begin_of_video|>"), 1])


def test_a_sampled_video_token_is_no_picture(family_checkpoints):
    """GRPO scores what was sampled: a video token among it has nothing behind it."""
    made, processor = ours(family_checkpoints / "qwen3_vl", [frames_of(4)], 2.0)
    model = accept_native_video(AutoModelForImageTextToText.from_pretrained(family_checkpoints / "qwen3_vl").eval())
    answer = torch.tensor([[processor.video_token_id, 7]])
    made["input_ids"] = torch.cat([made["input_ids"], answer], 1)
    for name, fill in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        made[name] = torch.cat([made[name], torch.full_like(answer, fill)], 1)
    with torch.no_grad():
        assert model(**made).logits.shape[1] == made["input_ids"].shape[1]


def test_pictures_and_their_video():
    frames = frames_of(5)
    pictures = pairs_of(frames, 1.0)
    assert [picture.size for picture in pictures] == [(SIDE, 2 * SIDE)] * 3
    assert [np.asarray(half).tolist() for half in split(pictures[1])] == [np.asarray(f).tolist() for f in frames[2:4]]
    video, described = video_of(pictures)
    assert video.shape == (6, SIDE, SIDE, 3)
    assert np.array_equal(video[:5], np.stack([np.asarray(frame) for frame in frames]))
    assert np.array_equal(video[5], video[4])
    assert described["frames_indices"] == [0, 1, 2, 3, 4, 4]
    assert (described["fps"], described["duration"], described["width"]) == (1.0, 6.0, SIDE)
    assert video_of(pictures, 2)[1]["fps"] == 2.0
    with pytest.raises(ValueError, match="state no frame rate"):
        video_of([stack(*frames[:2])])
    with pytest.raises(ValueError, match="expected one size"):
        stack(frames[0], frames[1].resize((24, 24)))
    with pytest.raises(ValueError, match="at least one"):
        video_of([])
