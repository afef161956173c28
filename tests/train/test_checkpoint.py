"""Checkpoints: whole or absent under SIGKILL, and every flipped bit and lost byte found."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.train import checkpoint as ck


def files(seed: int) -> dict:
    g = torch.Generator().manual_seed(seed)
    return {
        "model.safetensors": {"w": torch.randn(5, 3, generator=g), "b": torch.randn(3, generator=g)},
        "optimizer.safetensors": {"w.exp_avg": torch.zeros(5, 3), "step": torch.tensor(float(seed))},
        "state.json": {"step": seed, "items": seed * 128, "name": "Größe"},
    }


def save(run: Path, step: int) -> Path:
    return ck.save(ck.step_folder(run, step), files(step), metadata={"step": step})


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    folder = save(tmp_path, 3)
    loaded = ck.load(folder)
    assert folder == tmp_path / "checkpoints" / "step-00000003"
    for name, value in files(3).items():
        if name.endswith(".json"):
            assert loaded.documents[name] == value
        else:
            assert loaded.tensors[name].keys() == value.keys()
            assert all(torch.equal(loaded.tensors[name][k], v) for k, v in value.items())
    assert loaded.metadata == {"step": 3}


def test_tied_and_strided_tensors_are_saved(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tied = {"a": base, "b": base, "transposed": base.T, "row": base[1], "none": torch.zeros(0)}
    tied["half"] = base.half()
    loaded = ck.load(ck.save(tmp_path / "step-1", {"model.safetensors": tied})).tensors["model.safetensors"]
    assert all(torch.equal(loaded[k], v) and loaded[k].dtype == v.dtype for k, v in tied.items())


FILES = [*files(0), ck.MANIFEST]


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found_and_the_file_named(tmp_path: Path, name: str) -> None:
    save(tmp_path, 1)
    folder = save(tmp_path, 2)
    path = folder / name
    whole = path.read_bytes()
    rng = random.Random(0)
    positions = {0, 8 * len(whole) - 1} | {rng.randrange(8 * len(whole)) for _ in range(60)}
    if name == ck.MANIFEST:  # where a bit can change a meaning: one in each byte
        positions |= {8 * k + rng.randrange(8) for k in range(len(whole))}
    for position in positions:
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=name):
            ck.verify(folder)
    with pytest.raises(UserError, match=r"step-00000002.*Use the previous .*step-00000001") as error:
        ck.load(folder)
    assert name in str(error.value)
    found = ck.latest(tmp_path)
    assert found.folder == ck.step_folder(tmp_path, 1)
    assert len(found.messages) == 1
    assert name in found.messages[0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0.0, 0.5, -1])
def test_every_truncation_is_found(tmp_path: Path, name: str, kept: float) -> None:
    folder = save(tmp_path, 1)
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if kept < 0 else whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=rf"{name}.*no other valid checkpoint"):
        ck.load(folder)
    path.unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        ck.load(folder)


def test_unknown_format_is_refused_by_number_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)
    monkeypatch.setattr(ck, "FORMAT", 7)
    folder = save(tmp_path, 2)
    monkeypatch.undo()
    for look in (lambda: ck.load(folder), lambda: ck.latest(tmp_path)):
        with pytest.raises(ck.UnknownFormat, match=r"format 7.*reads format 1"):
            look()


def test_a_manifest_cannot_reach_outside(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    body = json.loads((folder / ck.MANIFEST).read_text())
    body.pop("sha256")
    body["files"]["../secret.json"] = {"size": 0, "sha256": ""}
    body["sha256"] = hashlib.sha256(ck._json(body)).hexdigest()
    (folder / ck.MANIFEST).write_bytes(ck._json(body))
    with pytest.raises(UserError, match="outside the checkpoint"):
        ck.load(folder)


def test_a_valid_checkpoint_is_never_overwritten_and_a_damaged_one_is_kept_aside(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    with pytest.raises(UserError, match="never overwritten"):
        save(tmp_path, 1)
    ck.verify(folder)
    assert not list(folder.parent.glob(".tmp-*"))
    (folder / "state.json").write_bytes(b"{}")
    save(tmp_path, 1)
    ck.verify(folder)
    assert (folder.parent / "step-00000001.damaged-1" / "state.json").read_bytes() == b"{}"
    assert ck.steps(tmp_path) == [folder]


def test_prune_keeps_the_newest_valid_and_never_fewer_than_two(tmp_path: Path) -> None:
    folders = [save(tmp_path, step) for step in (1, 2, 3, 20, 100)]
    assert ck.steps(tmp_path) == folders[::-1]
    assert ck.prune(tmp_path, 4) == [folders[0]]
    (folders[4] / "state.json").write_bytes(b"")
    assert ck.prune(tmp_path, 0) == [folders[1]]  # 100 is damaged: 20 and 3 are the two valid ones
    assert ck.latest(tmp_path).folder == folders[3]
    assert not list((tmp_path / "checkpoints").glob(".tmp-*"))


def test_what_cannot_be_saved_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ck, "write_flushed", full)
    with pytest.raises(UserError, match=r"No space left.*Earlier checkpoints are untouched"):
        save(tmp_path, 2)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    with pytest.raises(ValueError, match="plain name"):
        ck.save(tmp_path / "x", {"../model.safetensors": {}})
    with pytest.raises(ValueError, match="safetensors"):
        ck.save(tmp_path / "x", {"model.pt": {}})


def test_weights_hash_depends_on_bits_names_and_shapes_only() -> None:
    w = torch.arange(6.0).reshape(2, 3)
    h = ck.weights_hash({"a": w, "b": torch.ones(())})
    assert h == ck.weights_hash({"b": torch.ones(()), "a": w.T.contiguous().T})
    changed = w.clone()
    changed[1, 2] = torch.nextafter(changed[1, 2], torch.tensor(9.0))
    others = [{"a": changed}, {"a": w.reshape(3, 2)}, {"a": w.double()}, {"c": w}]
    hashes = {ck.weights_hash({"b": torch.ones(()), **other}) for other in others}
    assert len(hashes | {h}) == 5


# Imports torch once and measures a save, then forks one writer for each line of its input and kills it after the
# given number of saves' time (not seconds: the machine may be busy).
WRITER = """
import os, signal, sys, time, torch
from pathlib import Path
from pellucid.train import checkpoint as ck
torch.set_num_threads(1)
run = Path(sys.argv[1])

def write(step, report):
    os.write(report, b"ready\\n")
    while True:
        w = {"w": torch.full((40_000,), float(step))}
        files = {"model.safetensors": w, "ema.safetensors": w, "state.json": {"step": step}}
        ck.save(ck.step_folder(run, step), files)
        ck.prune(run, 2)
        os.write(report, b"%d\\n" % step)
        step += 1

began = time.perf_counter()
w = {"w": torch.zeros(40_000)}
for k in range(3):
    ck.save(run / "trial" / str(k), {"model.safetensors": w, "ema.safetensors": w, "state.json": {}})
unit = (time.perf_counter() - began) / 3

for line in sys.stdin:
    step, delay = line.split()
    seen, report = os.pipe()
    child = os.fork()
    if not child:
        write(int(step), report)
    os.close(report)
    with open(seen) as lines:
        assert lines.readline() == "ready\\n"
        time.sleep(float(delay) * unit)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        print(*lines.read().split(), flush=True)
"""


def test_sigkill_at_random_moments_always_leaves_a_valid_latest(tmp_path: Path) -> None:
    """Fifteen kills; what was reported as saved must be there, whole, and nothing torn may carry a name.

    More, up to a hundred, where none of the fifteen fell into a save or hardly a save was finished.
    """
    rng = random.Random(1)
    step, torn = 1, 0
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for kills in range(100):
            if kills >= 15 and torn and step > 3:
                break
            print(step, 3 * rng.random(), file=killer.stdin, flush=True)
            reported = [int(word) for word in killer.stdout.readline().split()]
            torn += len(list((tmp_path / "checkpoints").glob(".tmp-*")))
            found = ck.latest(tmp_path)
            assert found.messages == []  # no half checkpoint under a real name
            # A kill may fall between the rename and the report, so one more than was reported may be there.
            last = reported[-1] if reported else step - 1
            if found.folder is None:
                assert last == 0
                continue
            loaded = ck.load(found.folder)
            state = loaded.documents["state.json"]["step"]
            assert state in (last, last + 1)
            assert torch.all(loaded.tensors["ema.safetensors"]["w"] == float(state))
            step = state + 1
        killer.stdin.close()
    assert killer.returncode == 0
    assert torn > 0, "no kill fell into a save: the test tested nothing"
    assert step > 3, "hardly a save was finished: the test tested nothing"
    ck.clean(tmp_path / "checkpoints")
    assert all(p.name.startswith("step-") for p in (tmp_path / "checkpoints").iterdir())
