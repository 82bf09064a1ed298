#!/usr/bin/env python3
"""Random changes of scans with hounsfield beside scipy.ndimage, TorchIO and PyTorch: same scan, same change, taking turns.

    pip install numpy scipy torch torchio
    python benches/compare_augment.py [--sides 64 128] [--rounds 15]

From int16 HU in memory to float32 in [-1, 1]. Builds `benches/augment.rs`, checks that moves and smoothing give the same numbers
in all programs, and lets each make one change a round. What counts is the ratio within a round: its median, and the range from
the 10th to the 90th percentile. scipy and TorchIO's moves (SimpleITK) run with the threads that they start with, PyTorch with as
many as hounsfield. TorchIO takes part without its random draws, which are next to nothing. "tensors" is what one would write in
PyTorch: `affine_grid` and `grid_sample`, a separable `conv3d`, `randn`.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import numpy as np
import torch
import torch.nn.functional as F
import torchio
from scipy import ndimage

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPACING, AIR = 1.5, -1024
ROTATE, TRANSLATE = (10.0, -7.0, 5.0), (3.0, 4.0, -8.0)
SHIFT, SIGMA, NOISE = 12.0, 1.0, 20.0
WHAT = ["window", "move", "smooth", "noise", "all"]
RNG = np.random.default_rng(0)


def build(profile):
    """Builds the bench and returns its path."""
    cmd = ["cargo", "bench", "--bench", "augment", "--no-run", "--profile", profile, "--message-format",
           "json-render-diagnostics"]
    out = subprocess.run(cmd, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = [json.loads(line).get("executable") for line in out.splitlines() if line.startswith("{")]
    return [path for path in made if path][-1]


def made(side):
    """The scan of `benches/augment.rs`."""
    d, h, w = np.indices((side,) * 3)
    return ((d * 131 + h * 37 + w * 71) % 2025 - 1024).astype(np.int16)


def backwards(side):
    """Output index -> scan index: matrix and offset."""
    turn = np.eye(3)
    for axis, degrees in enumerate(ROTATE):
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[first, first] = about[second, second] = cos
        about[first, second], about[second, first] = -sin, sin
        turn = about @ turn
    center = np.full(3, (side - 1) / 2)
    return turn.T, center - turn.T @ (center + np.array(TRANSLATE) / SPACING)


def parts(what):
    """Whether a change moves, smooths and adds noise."""
    return what in ("move", "all"), what in ("smooth", "all"), what in ("noise", "all")


def with_scipy(what, scan):
    moves, smooths, noise = parts(what)
    x = scan.astype(np.float32)
    if moves:
        x = ndimage.affine_transform(x, *backwards(scan.shape[0]), order=1, mode="grid-constant", cval=AIR)
    if what == "all":
        x += np.float32(SHIFT)
    if smooths:
        x = ndimage.gaussian_filter(x, SIGMA, mode="nearest", truncate=4.0)
    if noise:
        x += np.float32(NOISE) * RNG.standard_normal(x.shape, dtype=np.float32)
    x *= np.float32(1 / 1024)
    return np.clip(x, -1, 1, out=x)


def with_torchio(what, scan):
    moves, smooths, noise = parts(what)
    image = torchio.ScalarImage(tensor=torch.from_numpy(scan)[None].float(), affine=np.diag([SPACING] * 3 + [1.0]))
    if moves:
        # Of combined rotations TorchIO has another order: the same work, other numbers.
        image = torchio.Affine(scales=1, degrees=ROTATE, translation=TRANSLATE, center="image", default_pad_value=AIR,
                               image_interpolation="linear")(image)
    if smooths:
        image = torchio.Blur(std=(SIGMA * SPACING,) * 3)(image)
    if noise:
        image = torchio.Noise(mean=0.0, std=NOISE, seed=0)(image)
    x = image.data[0].float()
    if what == "all":
        x = x + SHIFT
    return (x / 1024).clamp_(-1, 1).numpy()


def with_tensors(what, scan):
    moves, smooths, noise = parts(what)
    side = scan.shape[0]
    x = torch.from_numpy(scan).float()[None, None]
    with torch.no_grad():
        if moves:
            matrix, offset = backwards(side)
            # The same map in PyTorch's places, which go from -1 to 1 between the outer faces and name W first.
            center = (side - 1) / 2
            shift = (offset + matrix @ np.full(3, center) - center) * 2 / side
            theta = torch.from_numpy(np.concatenate([matrix[::-1, ::-1], shift[::-1, None]], 1)).float()[None]
            grid = F.affine_grid(theta, [1, 1, side, side, side], align_corners=False)
            x = F.grid_sample(x - AIR, grid, align_corners=False) + AIR
        if what == "all":
            x = x + SHIFT
        if smooths:
            radius = int(4 * SIGMA + 0.5)
            kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SIGMA) ** 2)
            kernel = torch.from_numpy((kernel / kernel.sum()).astype(np.float32))
            for axis in range(3):
                pad, shape = [0] * 6, [1] * 5
                pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
                shape[2 + axis] = len(kernel)
                x = F.conv3d(F.pad(x, pad, mode="replicate"), kernel.reshape(shape))
        if noise:
            x = x + NOISE * torch.randn_like(x)
        return (x / 1024).clamp_(-1, 1)[0, 0].numpy()


OTHERS = {"scipy": with_scipy, "TorchIO": with_torchio, "tensors": with_tensors}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128], help="voxels along each axis")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--profile", default="bench", help="cargo profile")
    parser.add_argument("--binary", help="the bench, where it is built already")
    args = parser.parse_args()
    child = subprocess.Popen([args.binary or build(args.profile), "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(line):
        child.stdin.write(f"{line}\n".encode())
        child.stdin.flush()

    ask("threads")
    threads = int(child.stdout.readline())
    torch.set_num_threads(threads)
    print(f"{os.cpu_count()} cores, {threads} threads of hounsfield and of PyTorch {torch.__version__}; scipy "
          f"{__import__('scipy').__version__}, TorchIO {torchio.__version__}; milliseconds are medians")
    for side in args.sides:
        scan = made(side)
        for what in WHAT:
            if what in ("move", "smooth"):
                ask(f"values {what} {side}")
                ours = np.frombuffer(child.stdout.read(4 * side**3), np.float32).reshape(scan.shape)
                for name, other in OTHERS.items():
                    if (what, name) == ("move", "TorchIO"):
                        continue
                    # TorchIO's smoothing mirrors the border.
                    inside = slice(8, -8) if name == "TorchIO" else slice(None)
                    apart = 1024 * np.abs(ours - other(what, scan))[inside, inside, inside].max()
                    assert apart < (0.3 if name == "tensors" else 0.01), f"{what}: {name} is {apart} HU apart"

            def hounsfield():
                ask(f"time {what} {side}")
                return float(child.stdout.readline())

            def timed(other):
                start = time.perf_counter()
                other(what, scan)
                return time.perf_counter() - start

            seconds = {name: [] for name in ["hounsfield", *OTHERS]}
            for turn in range(args.rounds + 1):
                once = {"hounsfield": hounsfield()} | {name: timed(other) for name, other in OTHERS.items()}
                if turn:  # The first one warms up.
                    for name, value in once.items():
                        seconds[name].append(value)
            line = f"{side:4} {what:7} hounsfield {1000 * statistics.median(seconds['hounsfield']):8.2f} ms"
            for name in OTHERS:
                ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds["hounsfield"])]
                low, high = np.percentile(ratios, [10, 90])
                line += f"; {name} {1000 * statistics.median(seconds[name]):.1f} ms, {statistics.median(ratios):.1f}x ({low:.1f} to {high:.1f})"
            print(line, flush=True)


if __name__ == "__main__":
    main()
