"""Reference scans for tests/pure/augment_scan.rs, from scipy.ndimage, with TorchIO as a second opinion.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1
    venv/bin/python tests/oracles/make_augment_scan.py [--torchio]

Writes tests/oracles/augment_scan/: settings.json, scan.npy (int16, HU) and changed.npy (float32, HU, one scan for each of
the settings). A made scan only; all is computed in float64. With `--torchio` (torchio 1.2.1, torch 2.13.0, SimpleITK) nothing is
written: rotations about single axes, shift and size are compared with `torchio.Affine`, which asks SimpleITK.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

OUT = Path(__file__).parent / "augment_scan"
SHAPE = (12, 14, 16)
SPACING = 1.5
AIR = -1024

DEFAULT = {"flip": [False] * 3, "rotate": [0.0] * 3, "translate": [0.0] * 3, "scale": 0.0, "blur": None}

SETTINGS = [
    {"rotate": [17.0, 0.0, 0.0]},
    {"rotate": [0.0, -33.0, 0.0]},
    {"rotate": [0.0, 0.0, 71.0]},
    {"rotate": [12.0, -25.0, 40.0]},
    {"translate": [2.0, -3.1, 0.4]},
    {"scale": 0.3},
    {"scale": -0.4},
    {"flip": [True, False, True]},
    {"flip": [False, True, False], "rotate": [-9.0, 14.0, 160.0], "translate": [1.0, 4.0, -2.5], "scale": 0.12},
    {"blur": 0.8},
    {"blur": 2.3},
    {"rotate": [5.0, 5.0, -5.0], "translate": [-1.0, 0.5, 3.0], "scale": -0.05, "blur": 0.5},
]


def made():
    """A smooth scene of -1024 to about 1000 HU, some noise, and a few voxels that are much denser."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5)
    scan = 700 * smooth / np.abs(smooth).max() + rng.normal(scale=60, size=SHAPE) - 200
    scan[tuple(rng.integers(0, side, 5) for side in SHAPE)] = 3000
    return np.clip(np.round(scan), AIR, 3071).astype(np.int16)


def about(axis, degrees):
    """Right-handed about one of (D, H, W)."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = cos
    turn[first, second], turn[second, first] = -sin, sin
    return turn


def backwards(settings):
    """Output index -> scan index: matrix and offset."""
    center = (np.array(SHAPE) - 1) / 2
    d, h, w = settings["rotate"]
    flip = np.diag([-1.0 if flipped else 1.0 for flipped in settings["flip"]])
    forwards = about(2, w) @ about(1, h) @ about(0, d) @ ((1 + settings["scale"]) * np.eye(3)) @ flip
    matrix = np.linalg.inv(forwards)
    return matrix, center - matrix @ (center + np.array(settings["translate"]) / SPACING)


def changed(scan, settings):
    scan = scan.astype(np.float64)
    matrix, offset = backwards(settings)
    # A scan lies in air: its outermost voxels fade into it.
    scan = ndimage.affine_transform(scan, matrix, offset, order=1, mode="grid-constant", cval=AIR)
    if settings["blur"]:
        scan = ndimage.gaussian_filter(scan, settings["blur"], mode="nearest", truncate=4.0)
    return scan


def second_opinion(scan):
    import torch
    import torchio

    # Air on the outermost voxels: there, both ways to treat the border agree.
    framed = np.full_like(scan, AIR)
    framed[1:-1, 1:-1, 1:-1] = scan[1:-1, 1:-1, 1:-1]
    # TorchIO's axes are ours, in their order.
    image = torchio.ScalarImage(tensor=torch.from_numpy(framed[None].astype(np.float64)),
                                affine=np.diag([SPACING] * 3 + [1.0]))
    for settings in [DEFAULT | settings for settings in SETTINGS]:
        turns = np.count_nonzero(settings["rotate"])
        # Of combined rotations TorchIO has another order; flips and smoothing are transforms of their own.
        if turns > 1 or settings["blur"] or any(settings["flip"]):
            continue
        affine = torchio.Affine(scales=1 + settings["scale"], degrees=settings["rotate"],
                                translation=settings["translate"], center="image", default_pad_value=AIR,
                                image_interpolation="linear")
        found = affine(image).data[0].numpy()
        print(f"{np.abs(found - changed(framed, settings)).max():.1e} HU apart from TorchIO: {settings}")


def main():
    scan = made()
    if "--torchio" in sys.argv[1:]:
        second_opinion(scan)
        return
    OUT.mkdir(exist_ok=True)
    settings = [DEFAULT | settings for settings in SETTINGS]
    (OUT / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    np.save(OUT / "scan.npy", scan)
    np.save(OUT / "changed.npy", np.stack([changed(scan, one) for one in settings]).astype(np.float32))


if __name__ == "__main__":
    main()
