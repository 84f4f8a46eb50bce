"""Media of rollouts as files, and each distinct prompt asked once; without vLLM."""

import json
from io import BytesIO
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import recipe  # noqa: F401  (first: it lets torchvision be imported)

# isort: split
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from transformers import Glm4vConfig, Qwen3VLConfig
from trl.generation.vllm_client import VLLMClient

from data_prep.stages import StageError
from recipe.inputs.pair_pictures import video_of
from recipe.rollouts.distinct import AskedOnce, runs_of_copies
from recipe.rollouts.media import media_of_video
from recipe.rollouts.media_files import MediaByFile, read_video, write_video
from recipe.rollouts.vllm import check_interleaved
from tests.helpers.video_rollouts import frames, row

ANSWER = {"token_ids": [5], "logprobs": {"content": [{"token": "token_id:5", "logprob": -1.0, "top_logprobs": []}]}}


def prompt(ids, *pictures):
    return {"prompt_token_ids": ids} | ({"multi_modal_data": {"image": list(pictures)}} if pictures else {})


def test_only_neighbours_with_the_same_ids_and_pictures_are_copies():
    red, again, blue = (Image.new("RGB", (2, 2), colour) for colour in ("red", "red", "blue"))
    assert runs_of_copies([]) == []
    assert runs_of_copies([prompt([1]), prompt([1]), prompt([2]), prompt([1])]) == [(0, 2), (2, 1), (3, 1)]
    # Equal pixels, as another process sends them, are a copy; the same ids with other pixels are another prompt.
    assert runs_of_copies([prompt([1], red), prompt([1], again), prompt([1], blue)]) == [(0, 2), (2, 1)]
    assert runs_of_copies([prompt([1], red), prompt([1], red, red), prompt([1])]) == [(0, 1), (1, 1), (2, 1)]


class Sampling(SimpleNamespace):
    def clone(self):
        return Sampling(**vars(self))


class Engine:
    """Answers each prompt with as many numbers as it is asked for, counted over all."""

    def __init__(self):
        self.asked, self.count = [], 0

    def __call__(self, prompts, sampling_params, use_tqdm):
        self.asked = list(zip(prompts, [sampling.n for sampling in sampling_params], strict=True))
        return [SimpleNamespace(prompt_token_ids=made["prompt_token_ids"] + [0], outputs=self.answers(number))
                for made, number in self.asked]  # fmt: skip

    def answers(self, number):
        self.count += number
        return list(range(self.count - number, self.count))


@pytest.mark.parametrize(
    ("temperature", "asked", "answers"), [(1.0, [3, 1], [0, 1, 2, 3]), (0.0, [1, 1], [0, 0, 0, 1])]
)
def test_copies_are_asked_for_at_once_and_each_gets_its_answer(temperature, asked, answers):
    engine, sampling = Engine(), Sampling(n=1, temperature=temperature)
    made = AskedOnce(engine)([prompt([1])] * 3 + [prompt([2])], sampling_params=sampling, use_tqdm=False)
    assert [number for _, number in engine.asked] == asked
    assert [one.outputs for one in made] == [[answer] for answer in answers]
    assert [one.prompt_token_ids for one in made] == [[1, 0]] * 3 + [[2, 0]]
    assert sampling.n == 1  # TRL's own is left as it was


def test_pairs_become_the_video_of_their_frames_once():
    pictures, engine = row(3, 0, "pairs")["images"], Engine()
    # TRL writes a list of one picture as the picture.
    prompts = [prompt([1], *pictures), prompt([1], *pictures)]
    prompts.append({"prompt_token_ids": [2], "multi_modal_data": {"image": pictures[0]}})
    AskedOnce(engine, media_of_video)(prompts, sampling_params=Sampling(n=1, temperature=1.0), use_tqdm=False)
    clips = [made["multi_modal_data"]["video"][0] for made, _ in engine.asked]
    assert [len(video) for video, _ in clips] == [6, 2]
    assert np.array_equal(clips[0][0], np.stack([np.asarray(frame) for frame in frames(6, 0)]))
    assert clips[0][1]["fps"] == 2.0
    assert clips[0][1]["do_sample_frames"] is False
    assert prompts[0]["multi_modal_data"] == {"image": pictures}


def test_a_file_holds_the_video_that_was_written(tmp_path):
    pictures = row(3, 1, "pairs")["images"]
    write_video(tmp_path / "0.safetensors", pictures)
    assert [path.name for path in tmp_path.iterdir()] == ["0.safetensors"]
    read, metadata = read_video((tmp_path / "0.safetensors").read_bytes())
    expected, stated = video_of(pictures)
    assert np.array_equal(read, expected)
    assert metadata == stated


def a_file_of(tensor):
    return safetensors.numpy.save({"frames": tensor}, metadata={"video": json.dumps({})})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes that cannot be read"),
        (b"\x80\x04N.", "4 bytes that cannot be read"),  # a pickle
        (a_file_of(np.zeros((2, 4, 4, 3), np.uint8))[:-1], "cannot be read"),  # cut short
        (a_file_of(np.zeros((2, 4, 4, 3), np.float32)), "frames of float32"),
        (a_file_of(np.zeros((4, 4, 3), np.uint8)), r"shape \(4, 4, 3\)"),
    ],
)
def test_other_bytes_are_no_video(data, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_video(data)
    assert "\n" not in str(error.value)


class Client(MediaByFile, VLLMClient):
    """The client, without a server: it notes what is sent, and reads the files as the server would."""

    def __init__(self, root, *, video=False):
        self.base_url, self.model, self.picture_token, self.video = "http://server:8000", "m", 9, video
        self.root, self.sent, self.read, self.both = root, [], [], Lock()

    def get_server_info(self):
        return {"model_config": {"allowed_local_media_path": str(self.root or "")}}

    def _post(self, url, json):
        assert url == "http://server:8000/inference/v1/generate"
        read = [Path(part["url"].removeprefix("file://")).read_bytes() for part in json["content_parts"]]
        with self.both:  # prompts are sent from several threads
            self.sent.append(json)
            self.read.append(read)
        choices = [ANSWER] * json["sampling_params"]["n"]
        return {"choices": choices, "prompt_token_ids": [*json["token_ids"], 0]}


def asked(client, images, ids):
    features = client.image_features(images)
    return client.generate(prompts=ids, features=features, n=2)


def test_pictures_go_by_file_and_one_token_each(tmp_path):
    client, pictures = Client(tmp_path), frames(3, 0)
    made = asked(client, [pictures[:2], pictures[2:]], [[1, 9, 9, 2, 9, 9], [3, 9, 9]])
    order = sorted(range(2), key=lambda index: client.sent[index]["token_ids"])
    assert [client.sent[index]["token_ids"] for index in order] == [[1, 9, 2, 9], [3, 9]]
    read = [Image.open(BytesIO(data)) for index in order for data in client.read[index]]
    assert [picture.tobytes() for picture in read] == [picture.tobytes() for picture in pictures]
    assert made["prompt_ids"] == [[1, 9, 2, 9, 0], [3, 9, 0]]  # as the server read them
    assert made["completion_ids"] == [[5]] * 4
    assert made["logprobs"] == [[[-1.0]]] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_video_goes_by_file_and_is_deleted_even_after_an_error(tmp_path, monkeypatch):
    client, pictures = Client(tmp_path, video=True), row(3, 0, "pairs")["images"]
    asked(client, [pictures], [[1, 8, 2]])
    assert [part["type"] for part in client.sent[0]["content_parts"]] == ["video_url"]
    assert np.array_equal(read_video(client.read[0][0])[0], video_of(pictures)[0])
    monkeypatch.setattr(client, "_post", lambda url, json: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asked(client, [pictures], [[1, 8, 2]])
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_a_folder_gets_pictures_as_upstream_sends_them(monkeypatch):
    monkeypatch.setattr(VLLMClient, "image_features", lambda self, images: [{"of": len(one)} for one in images])
    monkeypatch.setattr(VLLMClient, "_generate_from_features", lambda self, prompts, features, sampling: features)
    assert asked(Client(None), [frames(2, 0)], [[1, 9, 9]]) == [{"of": 2}]
    with pytest.raises(StageError, match=r"--rollouts --video-units pairs") as error:
        Client(None, video=True).image_features([row(1, 0, "pairs")["images"]])
    assert "\n" not in str(error.value)


def test_a_folder_that_only_the_server_has_is_refused(tmp_path):
    with pytest.raises(StageError, match=r"reads files from .*elsewhere, which is not here.*both see"):
        Client(tmp_path / "elsewhere").image_features([frames(1, 0)])


def test_a_config_that_vllm_reads_otherwise_is_refused():
    check_interleaved(Glm4vConfig())
    config = Qwen3VLConfig()
    with pytest.raises(StageError, match="mrope_interleaved"):
        check_interleaved(config)
    config.text_config.rope_parameters = {"rope_type": "default", "rope_theta": 1e4, "mrope_interleaved": True}
    check_interleaved(config)
