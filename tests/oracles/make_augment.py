"""Reference images for tests/pure/augment.rs, from scipy.ndimage.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1
    venv/bin/python tests/oracles/make_augment.py

Writes tests/oracles/augment/augment.json. Made images only; all is computed in float64.
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

OUT = Path(__file__).parent / "augment" / "augment.json"

DEFAULT = {"flip_horizontal": False, "flip_vertical": False, "rotate": 0.0, "translate": [0.0, 0.0],
           "start": [0.0, 0.0], "extent": [1.0, 1.0]}

rng = np.random.default_rng(0)


def made(height, width):
    """A smooth scene with some noise in [-1, 1], in steps of 0.001."""
    smooth = ndimage.gaussian_filter(rng.normal(size=(height, width)), 2)
    image = 0.8 * smooth / np.abs(smooth).max() + 0.2 * rng.uniform(-1, 1, (height, width))
    return np.round(image, 3)


def framed(image):
    """Air on the outermost pixels: there, all ways to treat the border agree."""
    image = image.copy()
    image[[0, -1], :] = image[:, [0, -1]] = -1
    return image


def shift(rows, columns):
    return np.array([[1, 0, rows], [0, 1, columns], [0, 0, 1]], float)


def scale(rows, columns):
    return np.diag([rows, columns, 1.0])


def backwards(settings, shape, size):
    """Output index -> image index, as a product of plain steps in homogeneous coordinates (row, column, 1)."""
    height, width = shape
    (top, left), (crop_height, crop_width) = settings["start"], settings["extent"]
    angle = np.deg2rad(settings["rotate"])
    # Rows run down: what lies on the right goes up, which is anticlockwise as one looks at it.
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    flip = scale(-1 if settings["flip_vertical"] else 1, -1 if settings["flip_horizontal"] else 1)
    down, right = settings["translate"]
    forwards = (
        shift(-0.5, -0.5)
        @ scale(size / (crop_height * height), size / (crop_width * width))
        @ shift(-top * height, -left * width)
        @ shift(down * height, right * width)
        @ shift(height / 2, width / 2)
        @ turn
        @ flip
        @ shift(-height / 2, -width / 2)
        @ shift(0.5, 0.5)
    )
    return np.linalg.inv(forwards)


def moved():
    """affine_transform on framed images, and map_coordinates with the nearest pixel up to half a pixel outside."""
    cases = []
    for settings, shape, size in [
        ({"rotate": 17.0, "translate": [0.03, -0.08]}, (16, 16), 16),
        ({"rotate": -63.5, "translate": [0.2, 0.11], "flip_horizontal": True}, (16, 16), 11),
        ({"rotate": 5.0, "start": [0.1, 0.25], "extent": [0.7, 0.6]}, (16, 16), 16),
        ({"rotate": 171.0, "translate": [-0.05, 0.3], "start": [0.31, 0.0], "extent": [0.5, 1.0],
          "flip_vertical": True}, (16, 16), 13),
        ({"rotate": 30.0, "translate": [0.1, 0.02], "start": [0.05, 0.1], "extent": [0.9, 0.77]}, (13, 19), 15),
        ({"translate": [0.013, 0.021], "flip_horizontal": True, "flip_vertical": True}, (19, 13), 24),
    ]:
        settings = DEFAULT | settings
        image = made(*shape)
        matrix = backwards(settings, shape, size)
        constant = ndimage.affine_transform(
            framed(image), matrix[:2, :2], matrix[:2, 2], (size, size), order=1, mode="constant", cval=-1.0)
        output = np.indices((size, size))
        places = np.einsum("ij,jrc->irc", matrix[:2, :2], output) + matrix[:2, 2, None, None]
        nearest = ndimage.map_coordinates(image, places, order=1, mode="nearest")
        last = np.array(shape)[:, None, None] - 0.5
        outside = ((places < -0.5) | (places > last)).any(0)
        nearest[outside] = -1
        # No pixel hangs on the rounding of a place at the border.
        assert min(np.abs(places + 0.5).min(), np.abs(places - last).min()) > 1e-6
        cases.append(
            settings | {"size": size, "image": image, "constant": constant, "nearest": nearest})
    return cases


def blurred():
    cases = []
    for shape, sigma in [((12, 17), 0.12), ((12, 17), 0.7), ((16, 16), 2.0), ((5, 9), 3.3)]:
        image = made(*shape)
        cases.append({"sigma": sigma, "image": image, "blurred": ndimage.gaussian_filter(image, sigma, truncate=4.0)})
    return cases


def main():
    OUT.parent.mkdir(exist_ok=True)
    rows = lambda image: np.round(image, 6).tolist()
    OUT.write_text(json.dumps({"moved": moved(), "blurred": blurred()}, default=rows) + "\n")


if __name__ == "__main__":
    main()
