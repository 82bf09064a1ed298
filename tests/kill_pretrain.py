#!/usr/bin/env python3
"""Kills a training at random moments, ten times in a row, and looks at what is left. Python's standard library only.

    python3 tests/kill_pretrain.py target/debug/hounsfield RECIPE [--kills 10] [--every 5] [--seed 0] [--set KEY=VALUE ...]

Every kill is SIGKILL, after a random time of up to three checkpoints, every other one counted from the first step. After each, all checkpoints must be whole (each file
says how long it is) but a temporary one, no line of metrics.jsonl but the last may be torn, and the newest checkpoint
may lie behind the last step in the log by less than the steps between two checkpoints. In the end the training
is let run, and beside it one that nobody kills: both must leave the same encoder, byte for byte. Prints a line for each kill.
"""

import argparse
import hashlib
import json
import pathlib
import random
import signal
import struct
import subprocess
import tempfile
import time


def length(path):
    """What a safetensors file says of its own length."""
    with open(path, "rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(header))
    ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
    return 8 + header + max(ends)


def newest(run):
    """Step of the newest checkpoint; every one must be whole."""
    steps = [0]
    for path in (run / "checkpoints").glob("step-*.safetensors"):
        found, said = path.stat().st_size, length(path)
        assert found == said, f"{path.name} has {found} bytes and says {said}"
        steps.append(int(path.stem.split("-")[1]))
    return max(steps)


def logged(run):
    """The last step in the log; only its last line may be torn."""
    path, step = run / "metrics.jsonl", 0
    lines = path.read_text().split("\n") if path.exists() else [""]
    for number, line in enumerate(lines):
        try:
            step = json.loads(line)["step"]
        except ValueError:
            assert number == len(lines) - 1, f"line {number + 1} of metrics.jsonl is torn, and not the last"
    return step


def wait_for_step(child, run):
    """Waits until this process has logged a step beyond the newest checkpoint: before, it reads slices and builds networks."""
    from_step, log, started = newest(run), run / "metrics.jsonl", time.time()
    while child.poll() is None:
        # What an earlier process logged beyond the checkpoint is cut off first.
        if log.exists() and log.stat().st_mtime > started and logged(run) > from_step:
            return
        time.sleep(0.02)


def hashes(run, names):
    return [hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names]


def hammer(description, subcommand, overrides, outputs):
    """Trains and kills by the arguments of the command line; `outputs` are files of the run that must not differ in the end."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("recipe")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", type=int, default=5, help="steps between two checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="override a key of the recipe")
    args = parser.parse_args()
    dice = random.Random(args.seed)
    overrides = [f"checkpoint.every={args.every}", *overrides, *args.set]
    with tempfile.TemporaryDirectory() as folder:
        run, whole = pathlib.Path(folder, "cut"), pathlib.Path(folder, "whole")

        def command(where):
            sets = [word for key in overrides for word in ("--set", key)]
            return [args.program, "--quiet", subcommand, args.recipe, "--run-dir", where, "--threads", "1", "--device", "cpu", *sets]

        start = time.monotonic()
        subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL)
        steps = newest(whole)
        pause = 3 * args.every * (time.monotonic() - start) / steps
        done = 0
        for kill in range(1, args.kills + 1):
            child = subprocess.Popen(command(run), stdout=subprocess.DEVNULL)
            if kill % 2:
                wait_for_step(child, run)
            try:
                child.wait(dice.uniform(0.05, pause))
                print(f"kill {kill}: too late, the training had ended with {child.returncode}")
                assert child.returncode == 0
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
            at, kept = logged(run), newest(run)
            assert kept >= done, f"a checkpoint was lost: {done} was there, {kept} is"
            assert at - kept < args.every + 1, f"step {at} was logged, and the newest checkpoint is of step {kept}"
            print(f"kill {kill}: step {at} logged, checkpoint {kept} whole")
            done = kept
        subprocess.run(command(run), check=True, stdout=subprocess.DEVNULL)
        assert newest(run) == steps and hashes(run, outputs) == hashes(whole, outputs), f"{outputs} differ"
    print(f"{steps} steps: the same {', '.join(outputs)} as without a kill")


if __name__ == "__main__":
    hammer(__doc__, "pretrain", ["watch.log_every=1"], ["encoder/weights.safetensors"])
