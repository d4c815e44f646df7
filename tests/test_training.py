"""The chapters that train: killed in the middle, and on two processes."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from .course import script

# A small training of each chapter, and how far the validation loss must fall in the end: below which share of which first value in the log.
# Chapter 4 has learned most of it by its first evaluation, so its training loss at the start is the measure.
SMALL = {
    "pii-detection-encoder.ipynb": ({"TRAIN_SIZE": 1200, "VALID_SIZE": 120, "TEST_SIZE": 60, "EPOCHS": 2}, "eval_loss", 0.6),
    "qa-decoder.ipynb": ({"TRAIN_SIZE": 600, "BATCH": 12, "TEST_SIZE": 40, "EPOCHS": 1}, "loss", 0.6),
    "pii-masking-encode-decode.ipynb": ({"TRAIN_SIZE": 500, "BATCH": 32, "VALID_SIZE": 60, "TEST_SIZE": 40, "EPOCHS": 1}, "eval_loss", 0.75),
}
# Into files: what two processes print comes out mixed.
RESULT = """
share = f"{trainer.args.process_index}-of-{trainer.args.world_size}"
Path(f"weights-{share}").write_text(repr(float(sum(p.detach().double().abs().sum() for p in trainer.model.parameters()))))
Path(f"log-{share}").write_text(json.dumps(trainer.state.log_history))
"""
# What accelerate launch does for several GPUs. On CPUs it starts one process alone unless MPI is there, whatever --num_processes says.
TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def run(folder, *command, output=None):
    return subprocess.Popen([sys.executable, *command], cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"}, text=True,
                            stdout=output.open("w") if output else subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def finish(process) -> str:
    text = process.communicate(timeout=400)[0]
    assert process.returncode == 0, text
    return text


def read_log(folder, processes: int) -> list[dict]:
    return json.loads((folder / f"log-0-of-{processes}").read_text())


@pytest.fixture(scope="module", params=SMALL)
def trained(request, tmp_path_factory):
    """The folder of a chapter's training script, what one process printed that was killed at its first checkpoint, with a half-written one
    put beside it, and started again, and the fall its loss must show."""
    folder = tmp_path_factory.mktemp("training")
    parameters, *fall = SMALL[request.param]
    (folder / "chapter.py").write_text(script(request.param, "trained", **parameters) + RESULT, encoding="utf-8")
    first = run(folder, "chapter.py")
    deadline = time.monotonic() + 240
    while not list(folder.glob("outputs/*/run-*/checkpoint-*/trainer_state.json")):
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[0]
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    half_written = next(folder.glob("outputs/*/run-*")) / "checkpoint-99999"
    half_written.mkdir()
    (half_written / "trainer_state.json").write_text('{"epoch": 3.9, "glo')
    text = finish(run(folder, "chapter.py"))
    assert not half_written.exists(), text
    return folder, text, fall


def test_a_killed_training_goes_on_from_its_last_checkpoint(trained):
    folder, text, _ = trained
    resumed, log = int(re.search(r"從 checkpoint-(\d+) 接著練", text)[1]), read_log(folder, 1)
    assert 0 < resumed < 99999
    assert log[0]["step"] <= resumed < log[-1]["step"]  # the log of the first run was kept, and steps were added


def test_two_processes_learn_as_one_does(trained):
    """Two CPU processes and the global batch of one: both end with the same weights, and the validation loss falls as it does on one."""
    folder, _, (measure, share) = trained
    shutil.rmtree(folder / "outputs")  # or this run would go on from the end of the other
    text = finish(run(folder, *TWO_PROCESSES, "chapter.py"))
    assert "從頭開始練" in text, text
    one, other = ((folder / f"weights-{process}-of-2").read_text() for process in range(2))
    assert one == other  # apart, they would have learned each for itself
    ends = []
    for log in (read_log(folder, 1), read_log(folder, 2)):
        first = next(row[measure] for row in log if measure in row)
        evaluated = [row["eval_loss"] for row in log if "eval_loss" in row]
        print(f"first {measure} {first:.3f}, then evaluated", evaluated)
        assert len(evaluated) >= 4 and evaluated[-1] < share * first
        ends.append(evaluated[-1])
    assert ends[1] == pytest.approx(ends[0], rel=0.25)


@pytest.mark.skipif("KILLS" not in os.environ, reason="takes minutes: KILLS=20 pytest -n 0 tests/test_training.py -k any_moment kills each chapter a third as often")
@pytest.mark.parametrize("name", SMALL)
def test_killed_at_any_moment_the_next_run_goes_on(name, tmp_path, monkeypatch):
    """Kill -9 at random moments: in the download (its cache is new), in the training, or as soon as a checkpoint begins to be written. What
    the last run ends with is what a run that nobody killed ends with, within noise."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    source, rng, ends = script(name, "trained", **SMALL[name][0]) + RESULT, random.Random(name), []
    for folder, kills in ((tmp_path / "whole", 0), (tmp_path / "killed", -(-int(os.environ["KILLS"]) // len(SMALL)))):
        folder.mkdir()
        (folder / "chapter.py").write_text(source, encoding="utf-8")
        while kills:
            process, saved = run(folder, "chapter.py", output=folder / "output"), set(folder.glob("outputs/*/run-*/checkpoint-*"))
            while_saving, moment = rng.random() < 0.4, time.monotonic() + rng.uniform(1, longest)
            while process.poll() is None and (while_saving or time.monotonic() < moment):
                if while_saving and set(folder.glob("outputs/*/run-*/checkpoint-*")) - saved:
                    break
                time.sleep(0.002)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills -= 1
            assert process.wait() in (0, -signal.SIGKILL), (folder / "output").read_text()
        began = time.monotonic()
        finish(run(folder, "chapter.py"))
        longest = time.monotonic() - began
        ends.append([row["eval_loss"] for row in read_log(folder, 1) if "eval_loss" in row][-1])
    assert ends[1] == pytest.approx(ends[0], rel=0.25)
