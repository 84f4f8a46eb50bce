"""Bad input is one line and exit code 2; a fault of the program keeps its traceback."""

import importlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import SafetensorError

from data_prep.records import RecordError
from data_prep.stages import StageError
from data_prep.video.sampling import VideoError
from recipe.cli import Parser, run
from recipe.evaluate import EvalArguments
from tests.helpers import forked


def ends(parse, main=lambda *_: None):
    with pytest.raises(SystemExit) as end:
        run(parse, main)
    return end.value.code


def raising(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize(
    "error",
    [
        StageError("runs/x: no such\n  folder"),
        VideoError("a.mp4", "nothing decodes"),
        FileNotFoundError(2, "No such file", "tracks.jsonl"),
        OSError(28, "No space left on device", "runs/tiny/sft"),
    ],
)
def test_the_users_faults_are_one_line(error, capsys):
    assert ends(lambda: (), raising(error)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


def test_bad_settings_are_one_line(capsys):
    assert ends(raising(ValueError("--tracks is missing"))) == 2
    assert ends(raising(yaml.YAMLError("line 3:\n  bad"))) == 2
    assert capsys.readouterr().err == "error: --tracks is missing\nerror: line 3: bad\n"


def test_an_interrupt_says_how_to_go_on(capsys):
    assert ends(lambda: (), raising(KeyboardInterrupt())) == 130
    assert "goes on" in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(lambda: (), raising(ZeroDivisionError()))


def test_it_ends_well():
    assert ends(lambda: (1, 2), lambda a, b: None) == 0


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_whoever_was_writing(capsys):
    """torch raises a RuntimeError of its own where the disk is full."""
    assert ends(lambda: (), lambda: torch.save(torch.zeros(9000), "/dev/full")) == 2
    assert ends(lambda: (), raising(SafetensorError("I/O error: No space left on device (os error 28)"))) == 2
    both = capsys.readouterr().err.splitlines()
    assert both == ["error: [Errno 28] No space left on device; free some and run the same command again"] * 2


def test_a_full_disk_behind_another_error(capsys):
    def main():
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("could not write") from error

    assert ends(lambda: (), main) == 2
    with pytest.raises(RuntimeError):
        run(lambda: (), raising(RuntimeError("PytorchStreamReader failed reading zip archive")))


class Broken(torch.utils.data.Dataset):
    """Rows whose reading fails as the error says."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (VideoError("a.mp4", "no frame of it decodes"), "error: a.mp4: no frame of it decodes"),
        (RecordError("record x: bad"), "error: record x: bad"),
        (FileNotFoundError(2, "No such file", "b.mp4"), "error: [Errno 2] No such file: 'b.mp4'"),
    ],
)
def test_faults_of_the_data_are_one_line_in_a_worker_too(error, line, workers, capsys):
    batches = iter(torch.utils.data.DataLoader(Broken(error), num_workers=workers))
    try:
        assert ends(lambda: (), lambda: list(batches)) == 2
    finally:
        if workers:  # left to the garbage collector, a worker is waited for 5 seconds
            batches._shutdown_workers()
    assert capsys.readouterr().err == line + "\n"


@dataclass
class Settings:
    learning_rate: float = 0.1
    tracks: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("yaml_text", "words", "message"),
    [
        ("learning_rat: 1", (), "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ("zzz: 1", (), "unknown key 'zzz'; --help lists the known ones"),
        ("learning_rate: fast", (), "argument --learning_rate: invalid float value: 'fast'"),
        ("learning_rate: 1", ("--learning_rate", "x"), "invalid float value: 'x'"),
        ("learning_rate: 1", ("--nonsense", "x"), "--nonsense"),
        ("- a list", (), "expected a YAML mapping of settings"),
        ("a: [1", (), "expected ',' or ']'"),
    ],
)
def test_wrong_settings_are_one_line_that_names_them(tmp_path, capsys, yaml_text, words, message):
    path = tmp_path / "config.yaml"
    path.write_text(yaml_text)
    assert ends(lambda: Parser((Settings,)).parse_args_and_config(["--config", str(path), *words])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert ("unknown key" in error) == (f"error: {path}: unknown key" in error), "the file is named"


TINY_EVAL = "--config recipe/configs/tiny/eval.yaml"

# Every command of the recipe: its other words, a typo, and what is meant.
TYPOS = {
    "app": ("--model m", "--prot", "--port"),
    "studies.before_after": ("--config recipe/configs/tiny/eval.yaml", "--limt", "--max_records"),
    "compare": ("runs/a", "--metrc", "--metric"),
    "cpt": ("--config recipe/configs/tiny/cpt.yaml", "--learning_rat", "--learning_rate"),
    "dashboard": ("", "--entitty", "--entity"),
    "evaluate": ("--tracks a", "--repeat", "--repeats"),
    "studies.figure3": ("", "--question", "--questions"),
    "studies.figure4": ("--config recipe/configs/tiny/figure4.yaml", "--agian", "--again"),
    "studies.frame_rates": (
        f"{TINY_EVAL} --config recipe/configs/tiny/frame-rates.yaml",
        "--rate",
        "--rates",
    ),
    "ground": ("a.mp4 q --model m", "--overla", "--overlay"),
    "grpo": ("--config recipe/configs/tiny/grpo.yaml", "--rewrad", "--reward"),
    "studies.paper_mini": (
        f"{TINY_EVAL} --config recipe/configs/tiny/paper-mini.yaml",
        "--pages",
        "--page",
    ),
    "checks.plan": ("", "--recpe", "--recipe"),
    "preflight": ("--config recipe/configs/tiny/grpo.yaml", "--rewrad", "--reward"),
    "studies.report": ("--config recipe/configs/tiny/eval.yaml", "--pictur", "--picture"),
    "studies.video_units": (f"{TINY_EVAL} --config recipe/configs/tiny/video-units.yaml", "--armz", "--arms"),
    "studies.retention": (
        f"{TINY_EVAL} --config recipe/configs/tiny/retention.yaml",
        "--modl",
        "--model",
    ),
    "studies.questions": (
        f"{TINY_EVAL} --config recipe/configs/tiny/retention-study.yaml",
        "--question",
        "--questions",
    ),
    "studies.rewards": (
        f"{TINY_EVAL} --config recipe/configs/tiny/rewards.yaml",
        "--seds",
        "--seeds",
    ),
    "sft": ("--config recipe/configs/tiny/sft.yaml", "--max_stps", "--max_steps"),
    "inputs.export": ("--config recipe/configs/tiny/traces.yaml", "--famly", "--family"),
    "studies.floor": ("", "--sampels", "--samples"),
    "studies.lift": (
        f"{TINY_EVAL} --config recipe/configs/tiny/lift.yaml",
        "--seds",
        "--seeds",
    ),
    "studies.table1": ("", "--ot", "--out"),
    "tiny": ("--config recipe/configs/tiny/model.yaml", "--layer", "--layers"),
    "tool": ("--root . --model m", "--window_", "--window"),
    "evaluation.videomme": ("--questions a --predictions b", "--outt", "--out"),
}


def test_the_list_holds_every_command_but_serve():
    """serve hands its words to vLLM, whose parser is not ours; other commands start an engine's process."""
    made = {
        ".".join(path.with_suffix("").parts[1:])
        for path in Path("recipe").rglob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    }
    assert made - {"serve", "inference.engine_worker"} == TYPOS.keys()


@pytest.mark.parametrize("command", TYPOS)
def test_a_typo_gets_a_suggestion_in_every_command(command, capsys):
    words, typo, meant = TYPOS[command]
    parse = importlib.import_module(f"recipe.{command}").parse
    required = ["--samples", "x"] if command == "studies.floor" else []
    assert ends(lambda: parse([*words.split(), *required, typo, "1"])) == 2
    assert capsys.readouterr().err == f"error: unknown option '{typo}'; did you mean '{meant}'?\n"


@pytest.mark.parametrize("command", TYPOS)
def test_help_is_no_fault(command, capsys):
    parse = importlib.import_module(f"recipe.{command}").parse
    assert ends(lambda: parse(["--help"])) == 0
    assert "usage:" in capsys.readouterr().out


def test_help_of_every_command_spells_options_with_underscores(capsys):
    for command in TYPOS:
        parse = importlib.import_module(f"recipe.{command}").parse
        assert ends(lambda parse=parse: parse(["--help"])) == 0
        shown = set(re.findall(r"^ +(?:-\w, )?(--[a-z]\w*-[\w-]+)", capsys.readouterr().out, re.MULTILINE))
        assert shown == set(), command


@pytest.mark.parametrize("command", ["cpt", "sft", "grpo"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset_name", "trl-lib/tldr"], "dataset_name is 'trl-lib/tldr'"),
        (["--dataset-config=main"], "dataset_config is 'main'"),
        (["--dataset_train_split", "test"], "dataset_train_split is 'test'"),
        (["--dataset_streaming", "true"], "dataset_streaming is True"),
        (["--ignore_bias_buffers", "true"], "ignore_bias_buffers is True"),
    ],
)
def test_settings_that_a_stage_would_ignore_are_refused(command, words, said, capsys):
    parse = importlib.import_module(f"recipe.{command}").parse
    assert ends(lambda: parse(["--config", f"recipe/configs/tiny/{command}.yaml", *words])) == 2
    printed = capsys.readouterr().err
    assert printed == (
        f"error: {said}, but only TRL's own scripts read it, no stage of this recipe; leave it out and name track "
        "files (JSONL) with --tracks\n"
    )


def test_such_a_setting_in_a_yaml_file_is_refused_and_help_does_not_show_it(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("dataset_name: x\noutput_dir: out\n")
    parse = importlib.import_module("recipe.sft").parse
    assert ends(lambda: parse(["--config", str(tmp_path / "a.yaml")])) == 2
    assert "dataset_name is 'x'" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text("dataset_name: null\noutput_dir: out\n")  # as good as none
    assert parse(["--config", str(tmp_path / "a.yaml")])[0].dataset_name is None
    assert ends(lambda: parse(["--help"])) == 0
    shown = capsys.readouterr().out
    assert "--dataset_name" not in shown
    assert "--tracks" in shown


def test_options_of_dataclasses_have_old_spellings_too(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("tracks: t\nlimit: 3\nframes: f\n")
    (tmp_path / "b.yaml").write_text("tracks: t\nmax_records: 3\nframe_annotations: f\n")
    parse = Parser((EvalArguments,)).parse_args_and_config
    made = [parse(["--config", str(tmp_path / name)]) for name in ("a.yaml", "b.yaml")]
    made.append(parse(["--tracks", "t", "--max_records", "3", "--frame-annotations", "f"]))
    assert capsys.readouterr().err == ""
    made.append(parse(["--tracks=t", "--limit=3", "--frames", "f"]))
    assert made == [(EvalArguments(tracks="t", limit=3, frames="f"),)] * 4
    assert capsys.readouterr().err == (
        "--limit is now --max_records; the old spelling goes with the next release\n"
        "--frames is now --frame_annotations; the old spelling goes with the next release\n"
    )


# As a user starts it, from its `__main__` on: help ends well, and a bad flag in one line with code 2.
STARTED = ("data_prep", "recipe.evaluate", "recipe.ground", "recipe.serve")


@pytest.mark.parametrize("module", STARTED)
def test_help_and_a_bad_flag_in_a_process(module):
    helped = forked.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    assert f"usage: python -m {module}" in helped.stdout or "usage: evaluate.py" in helped.stdout
    wrong = forked.run([sys.executable, "-m", module, "--no-such-flag"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")
    assert wrong.stderr.count("\n") == 1


def test_config_without_a_file(tmp_path, capsys):
    for words in (["--config"], ["--config", str(tmp_path / "no.yaml")]):
        assert ends(lambda words=words: Parser((Settings,)).parse_args_and_config(words)) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: --config: no file named after it"
    assert "no.yaml" in second


def test_right_settings_arrive_and_the_command_line_wins(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("learning_rate: 1e-3\ntracks: [a, b]")
    parse = Parser((Settings,)).parse_args_and_config
    assert parse(["--config", str(path)]) == (Settings(1e-3, ["a", "b"]),)
    assert parse(["--config", str(path), "--learning_rate", "2"]) == (Settings(2.0, ["a", "b"]),)


@dataclass
class Overlaid:
    rate: float = 0.1
    steps: int = 1
    names: list[str] = field(default_factory=list)


def test_a_later_settings_file_beats_an_earlier_one_and_the_command_line_both(tmp_path):
    (tmp_path / "a.yaml").write_text("rate: 0.5\nsteps: 5\nnames: [x]\n")
    (tmp_path / "b.yaml").write_text("rate: 0.7\n")
    both = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    assert Parser((Overlaid,)).parse_args_and_config(both) == (Overlaid(0.7, 5, ["x"]),)
    assert Parser((Overlaid,)).parse_args_and_config(both[2:] + both[:2]) == (Overlaid(0.5, 5, ["x"]),)
    assert Parser((Overlaid,)).parse_args_and_config([*both, "--rate", "0.9"]) == (Overlaid(0.9, 5, ["x"]),)
    (tmp_path / "b.yaml").write_text("raet: 0.7\n")
    with pytest.raises(ValueError, match=r"/b\.yaml: unknown key 'raet'; did you mean 'rate'"):
        Parser((Overlaid,)).parse_args_and_config(both)
    (tmp_path / "b.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"b\.yaml: holds a list, expected a YAML mapping of settings"):
        Parser((Overlaid,)).parse_args_and_config(both)


def test_settings_for_a_gpu_are_read_anywhere():
    """And only read: what TrainingArguments asks of the machine elsewhere is as it was."""
    from transformers import training_args
    from trl import SFTConfig

    upstream = training_args.is_torch_bf16_gpu_available
    words = ["--output_dir", "unused", "--bf16", "true"]
    (settings,) = Parser((SFTConfig,)).parse_args_and_config(words)
    assert settings.bf16
    assert training_args.is_torch_bf16_gpu_available is upstream
    with pytest.raises(ValueError):
        Parser((SFTConfig,)).parse_args_and_config([*words, "--fp16", "true"])
    assert training_args.is_torch_bf16_gpu_available is upstream
