"""Scans on a network's grid as SimpleITK and numpy make them; writes tests/oracles/scans/.

    python -m venv v && v/bin/pip install nibabel==5.4.2 numpy==2.4.6 SimpleITK==2.5.7 && v/bin/python make_scans.py

Written from the description of `transforms::ScanInput`: axial order, one resampling (as in make_volume.py), air around it.
The volumes are NIfTI files in another order of the axes, read by nibabel.
"""

import json
import math
import pathlib

import nibabel as nib
import numpy as np
import SimpleITK as sitk

FOLDER = pathlib.Path(__file__).parent / "scans"
AIR = -1024.0


def kernel(ratio):
    """The Gaussian that widens a voxel to `ratio` voxels, both by their width at half height."""
    variance = (ratio**2 - 1) / (8 * math.log(2))
    if variance <= 0:
        return np.ones(1)
    reach = int(4 * math.sqrt(variance) + 0.5)
    weights = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / variance)
    return weights / weights.sum()


def resample(image, spacing):
    """Smoothed where an axis grows coarser, linear onto a grid of the same centre."""
    smooth = sitk.Cast(image, sitk.sitkFloat64)
    old, size = image.GetSpacing(), image.GetSize()
    for axis in range(3):  # x, y, z
        weights = kernel(spacing / old[axis])
        if len(weights) > 1:
            shape = [1, 1, 1]
            shape[2 - axis] = len(weights)
            line = sitk.GetImageFromArray(weights.reshape(shape))
            line.SetSpacing(old)
            line.SetDirection(image.GetDirection())
            smooth = sitk.Convolution(smooth, line, False, sitk.ConvolutionImageFilter.ZERO_FLUX_NEUMANN_PAD)
    count = [max(1, math.floor(n * s / spacing + 0.5)) for n, s in zip(size, old)]
    first = [((n - 1) - (m - 1) * spacing / s) / 2 for n, m, s in zip(size, count, old)]
    grid = sitk.ResampleImageFilter()
    grid.SetInterpolator(sitk.sitkLinear)
    grid.SetSize(count)
    grid.SetOutputSpacing([spacing] * 3)
    grid.SetOutputDirection(image.GetDirection())
    grid.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint(first))
    grid.SetOutputPixelType(sitk.sitkFloat64)
    grid.SetDefaultPixelValue(1e9)
    return grid.Execute(smooth)


def fitted(image, spacing, size, fit):
    """`size` is D, H, W; the image is in ITK's order of axial slices from the head to the feet."""
    extent = [n * s for n, s in zip(image.GetSize(), image.GetSpacing())][::-1]
    if fit == "shrink" and any(math.floor(e / spacing + 0.5) > n for e, n in zip(extent, size)):
        spacing = max([spacing] + [e / n for e, n in zip(extent, size)])
    out = resample(image, spacing)
    voxels = sitk.GetArrayFromImage(out)
    first = []
    for axis, length in enumerate(size):
        n = voxels.shape[axis]
        cut, put = max(n - length, 0), max(length - n, 0)
        voxels = np.take(voxels, range(cut // 2, n - (cut - cut // 2)), axis)
        pads = [(0, 0)] * 3
        pads[axis] = (put // 2, put - put // 2)
        voxels = np.pad(voxels, pads, constant_values=AIR)
        first.append(cut // 2 - put // 2)
    origin = out.TransformContinuousIndexToPhysicalPoint([float(i) for i in first[::-1]])
    return np.clip(voxels, AIR, 32767), spacing, origin


def main():
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(11)
    cases = []
    for name, codes, shape, zooms, spacing, size, fit in [
        ("ras.nii", "RAS", (14, 12, 9), (2.0, 2.5, 5.0), 3.0, (16, 12, 10), "shrink"),
        ("lps.nii", "LPS", (14, 12, 9), (2.0, 2.5, 5.0), 2.0, (12, 12, 12), "shrink"),
        ("sar.nii", "SAR", (9, 12, 14), (5.0, 2.5, 2.0), 2.0, (12, 12, 8), "crop"),
        ("tilted.nii", "RAS", (12, 12, 8), (1.5, 1.5, 4.0), 3.0, (10, 8, 8), "crop"),
    ]:
        values = rng.integers(-1100, 1500, shape).astype(np.int16)
        order = nib.orientations.axcodes2ornt(codes)
        # An affine whose axes go where the code says, perhaps sheared as a tilted gantry shears.
        to_ras = nib.orientations.inv_ornt_aff(order, shape)
        affine = np.diag([*(np.abs(to_ras[:3, :3]) @ np.array(zooms)), 1.0]) @ to_ras
        if name == "tilted.nii":
            affine[1, 2] = 0.3 * affine[2, 2]
        affine[:3, 3] = rng.uniform(-200, 200, 3)
        image = nib.Nifti1Image(values, affine)
        image.set_sform(affine, 1)
        image.set_qform(None, 0)
        nib.save(image, FOLDER / name)
        read = nib.load(FOLDER / name)
        turned = nib.as_closest_canonical(read).as_reoriented([[0, -1], [1, -1], [2, -1]])  # LPI
        data = np.asarray(turned.dataobj, np.float64)
        lps = np.diag([-1, -1, 1, 1]) @ turned.affine
        lengths = np.linalg.norm(lps[:3, :3], axis=0)
        directions = lps[:3, :3] / lengths
        volume = sitk.GetImageFromArray(data.transpose(2, 1, 0))
        volume.SetSpacing(lengths.tolist())
        # ITK takes any three directions that span a space.
        volume.SetDirection(directions.ravel().tolist())
        volume.SetOrigin(lps[:3, 3].tolist())
        voxels, step, origin = fitted(volume, spacing, size, fit)
        cases.append({
            "file": name,
            "spacing": spacing,
            "size": size,
            "fit": fit,
            "new_spacing": step,
            "new_origin": origin,
            "new_voxels": np.round(voxels.ravel(), 3).tolist(),
        })
    versions = {"nibabel": nib.__version__, "numpy": np.__version__, "SimpleITK": sitk.Version.VersionString()}
    (FOLDER / "scans.json").write_text(json.dumps({"versions": versions, "fitted": cases}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
