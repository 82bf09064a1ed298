"""Reference numbers for tests/pure/distances.rs, from scipy, scikit-learn and scikit-image.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, scikit-image 0.26.0:

    python -m venv venv
    venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 scikit-image==0.26.0
    venv/bin/python tests/oracles/make_images_distance.py

Writes tests/oracles/distances/distances.json. Made data only. Features are whole numbers of 64ths and pixels of 128ths,
so that 32-bit numbers hold them exactly; the file has the whole numbers.
"""

import json
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity
from sklearn.metrics.pairwise import polynomial_kernel

OUT = Path(__file__).parent / "distances" / "distances.json"


def frechet(x, y):
    """Heusel et al.'s formula on numpy's covariances and scipy's root of a matrix."""
    c, d = (np.atleast_2d(np.cov(s, rowvar=False)) for s in [x, y])
    between = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return between + np.trace(c) + np.trace(d) - 2 * np.trace(sqrtm(c @ d)).real


def kernel(x, y):
    """Binkowski et al.'s unbiased estimator on scikit-learn's kernel, whose gamma is 1 / features."""
    k = [polynomial_kernel(a, b, degree=3, coef0=1) for a, b in [(x, x), (y, y), (x, y)]]
    within = [(k[i].sum() - np.trace(k[i])) / (len(s) * (len(s) - 1)) for i, s in enumerate([x, y])]
    return sum(within) - 2 * k[2].mean()


def features():
    """Correlated, shifted, skewed and few rows, down to fewer than features."""
    rng = np.random.default_rng(1)
    cases = []
    sizes = [(60, 45, 6, 0.0), (40, 90, 5, 1.5), (30, 30, 1, -0.5), (9, 40, 12, 0.2), (8, 6, 15, 0.7)]
    for n, m, width, shift in sizes:
        mix = rng.normal(size=(width, width))
        first = np.round(64 * rng.normal(size=(n, width)) @ mix).astype(int)
        second = np.round(64 * (rng.exponential(size=(m, width)) @ mix.T + shift)).astype(int)
        x, y = first / 64, second / 64
        cases.append({
            "first": first.tolist(),
            "second": second.tolist(),
            "frechet": frechet(x, y),
            "kernel": kernel(x, y),
        })
    return cases


def images():
    """Noise, a ramp, a disc and one window alone, in [-1, 1] and in a wider range."""
    rng = np.random.default_rng(2)
    cases = []
    sizes = [(11, 11, 0.3, 2.0), (16, 27, 0.1, 2.0), (33, 20, 1.0, 2.0), (24, 24, 0.2, 5.0)]
    for height, width, noise, data_range in sizes:
        rows, columns = np.mgrid[:height, :width]
        disc = np.hypot(rows - height / 2, columns - width / 3) < height / 3
        scene = np.clip(0.6 * disc - 0.5 + 0.4 * columns / width, -1, 1)
        first = np.round(128 * scene).astype(int)
        second = np.round(128 * np.clip(0.9 * scene + noise * rng.normal(size=scene.shape), -1, 1)).astype(int)
        options = dict(data_range=data_range, gaussian_weights=True, use_sample_covariance=False)
        cases.append({
            "first": first.tolist(),
            "second": second.tolist(),
            "data_range": data_range,
            "ssim": structural_similarity(first / 128, second / 128, **options),
        })
    return cases


def main():
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"features": features(), "images": images()}) + "\n")


if __name__ == "__main__":
    main()
