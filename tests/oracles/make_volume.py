"""Volumes as nibabel, numpy and SimpleITK read, orient and resample them; writes tests/oracles/volume/.

    python -m venv v && v/bin/pip install nibabel==5.4.2 numpy==2.4.6 SimpleITK==2.5.7 && v/bin/python make_volume.py

The smoothing before a coarser grid is an explicit kernel (scipy's sampled Gaussian, cut off at 4 sigma) that ITK's own
convolution applies, with the outermost value beyond the edge.
"""

import gzip
import json
import math
import pathlib

import nibabel as nib
import numpy as np
import SimpleITK as sitk

FOLDER = pathlib.Path(__file__).parent / "volume"
SHAPE = (5, 4, 3)  # i, j, k


def affine_of(rng, shear=0.0):
    """A random turn or reflection, spacing and place, perhaps sheared."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    spacing = rng.uniform(0.5, 5.0, 3)
    affine = np.eye(4)
    affine[:3, :3] = (turn + shear * rng.normal(size=(3, 3))) * spacing
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return affine


def nifti(rng):
    """Files of every kind, with nibabel's values and affine."""
    cases = []

    def add(name, image, slope=None, edit=None, reading=None):
        """Scaling and raw edits are put into the bytes, since nibabel's writer has its own mind."""
        raw = bytearray(image.to_bytes())
        one = raw[344:348] == b"n+1\0"
        order = image.header.endianness
        if slope is not None:
            kind, at = ("f4", 112) if one else ("f8", 176)
            scaling = np.array(slope, order + kind).tobytes()
            raw[at : at + len(scaling)] = scaling
        for at, data in edit or []:
            raw[at : at + len(data)] = data
        path = FOLDER / name
        path.write_bytes(gzip.compress(bytes(raw), 9, mtime=0) if name.endswith(".gz") else bytes(raw))
        read = nib.load(path)
        affine = read.affine if reading is None else reading(read.affine)
        cases.append({
            "file": name,
            "shape": list(read.shape[:3]) + [1] * (3 - len(read.shape)),
            "values": np.asarray(read.dataobj, np.float64).ravel(order="F").tolist(),
            "affine": affine.tolist(),
            "codes": "".join(nib.aff2axcodes(affine)),
        })

    def image(dtype, version=1, order="<", affine=None, shape=SHAPE):
        kind = np.dtype(dtype)
        if kind.kind == "f":
            data = rng.normal(-300, 400, shape)
        else:
            info = np.iinfo(kind)
            data = rng.integers(max(info.min, -2000), min(info.max, 3000), shape, endpoint=True)
        cls = nib.Nifti1Image if version == 1 else nib.Nifti2Image
        header = (nib.Nifti1Header if version == 1 else nib.Nifti2Header)(endianness=order)
        header.set_data_dtype(kind)
        affine = affine_of(rng) if affine is None else affine
        made = cls(data.astype(kind), affine, header)
        made.set_sform(affine, 1)
        made.set_qform(None, 0)
        made.header.set_xyzt_units("mm", "sec")
        return made

    for dtype in ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]:
        add(f"{dtype}.nii", image(dtype), (1, 0))
    for version in (1, 2):
        for order, name in (("<", "little"), (">", "big")):
            add(f"n{version}_{name}.nii.gz", image("i2", version, order), (0.5, -100.25))
    add("slope0.nii", image("i2"), (0, 7))
    add("slope_nan.nii", image("i2"), (math.nan, math.nan))
    add("float_slope.nii", image("f4"), (2.2086, -1024))
    add("sheared.nii", image("i2", affine=affine_of(rng, 0.2)), (1, 0))
    for name, version in (("qform1.nii", 1), ("qform2.nii", 2)):
        made = image("i2", version)
        made.set_qform(affine_of(rng), 1)
        made.set_sform(None, 0)
        add(name, made, (1, 0))
    both = image("i2")
    both.set_qform(affine_of(rng), 2)
    add("both.nii", both, (1, 0))
    neither = image("i2")
    neither.set_sform(None, 0)
    neither.header["pixdim"][1:4] = [0.75, 0.5, 2.5]
    add("neither.nii", neither, (1, 0))
    # nibabel leaves units to the user: meters and micrometers are millimetres here.
    for name, code, factor in (("meters.nii", 1, 1e3), ("microns.nii", 3, 1e-3)):
        scale = lambda affine, factor=factor: np.diag([factor] * 3 + [1]) @ affine
        add(name, image("i2"), (1, 0), [(123, bytes([code]))], scale)
    extended = image("i2")
    extended.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"an extension that is skipped"))
    add("extension.nii", extended, (1, 0))
    add("one_volume.nii", image("i2", shape=(*SHAPE, 1)), (1, 0))
    add("one_slice.nii", image("i2", shape=SHAPE[:2]), (1, 0))
    return cases


def orientations(rng):
    """Codes of random affines, plain and sheared."""
    affines = [np.round(affine_of(rng, shear), 5) for shear in (0.0, 0.15) for _ in range(100)]
    return [{"affine": affine.tolist(), "codes": "".join(nib.aff2axcodes(affine))} for affine in affines]


def kernel(ratio):
    """The Gaussian that widens a voxel to `ratio` voxels, both by their width at half height."""
    variance = (ratio**2 - 1) / (8 * math.log(2))
    if variance <= 0:
        return np.ones(1)
    reach = int(4 * math.sqrt(variance) + 0.5)
    weights = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / variance)
    return weights / weights.sum()


def resampled(rng):
    """sitk.Convolution along each axis that grows coarser, then sitk.Resample, linear, onto a grid of the same centre."""
    cases = []
    for spacing, new in [
        ([2.5, 0.8, 0.7], [1.0, 0.5, 0.5]),
        ([2.5, 0.8, 0.7], [2.5, 0.7, 0.6]),
        ([1.0, 0.8, 0.7], [3.0, 1.5, 1.0]),
        ([2.5, 0.8, 0.7], [1.0, 1.0, 1.0]),
        ([5.0, 0.7, 0.7], [2.0, 2.9, 1.3]),
    ]:
        size = (8, 12, 11)  # D, H, W
        voxels = rng.integers(-1024, 1500, size).astype(np.float32)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        if np.linalg.det(turn) < 0:
            turn[:, 0] *= -1
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing(spacing[::-1])
        image.SetOrigin(rng.uniform(-200, 200, 3).tolist())
        image.SetDirection(turn.ravel().tolist())
        smooth = sitk.Cast(image, sitk.sitkFloat64)
        for axis in range(3):  # x, y, z
            weights = kernel(new[2 - axis] / spacing[2 - axis])
            if len(weights) > 1:
                shape = [1, 1, 1]
                shape[axis] = len(weights)
                line = sitk.GetImageFromArray(weights.reshape(shape[::-1]))
                line.SetSpacing(image.GetSpacing())
                line.SetDirection(image.GetDirection())
                smooth = sitk.Convolution(smooth, line, False, sitk.ConvolutionImageFilter.ZERO_FLUX_NEUMANN_PAD)
        count = [max(1, math.floor(n * old / s + 0.5)) for n, old, s in zip(size, spacing, new)]
        first = [((n - 1) - (m - 1) * s / old) / 2 for n, m, old, s in zip(size, count, spacing, new)]
        grid = sitk.ResampleImageFilter()
        grid.SetInterpolator(sitk.sitkLinear)
        grid.SetSize(count[::-1])
        grid.SetOutputSpacing(new[::-1])
        grid.SetOutputDirection(image.GetDirection())
        grid.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint(first[::-1]))
        grid.SetOutputPixelType(sitk.sitkFloat64)
        grid.SetDefaultPixelValue(1e9)
        out = grid.Execute(smooth)
        cases.append({
            "size": size,
            "voxels": voxels.ravel().astype(int).tolist(),
            "origin": image.GetOrigin(),
            "spacing": spacing,
            "directions": turn.T[::-1].tolist(),
            "new_spacing": new,
            "new_size": count,
            "new_origin": out.GetOrigin(),
            "new_voxels": np.round(sitk.GetArrayFromImage(out).ravel(), 4).tolist(),
        })
    return cases


def arrays(rng):
    """Arrays that numpy wrote."""
    cases = []
    for dtype, order, shape in [
        ("<f4", "C", (3, 4, 5)),
        ("<f4", "F", (3, 4, 5)),
        (">f8", "C", (3, 4, 5)),
        ("<i2", "F", (3, 4, 5)),
        (">i4", "C", (2, 3, 4)),
        ("|i1", "C", (4, 5)),
        ("<i8", "F", (4, 5)),
    ]:
        values = rng.integers(-100, 100, shape).astype(dtype)
        values = np.asarray(values, order=order)
        name = f"{dtype[1:]}_{'big' if dtype[0] == '>' else 'little'}_{order}_{len(shape)}d.npy"
        np.save(FOLDER / name, values)
        cases.append({"file": name, "shape": list(shape), "values": values.ravel(order="C").astype(float).tolist()})
    return cases


def main():
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(6)
    answers = {
        "versions": {"nibabel": nib.__version__, "numpy": np.__version__, "SimpleITK": sitk.Version.VersionString()},
        "nifti": nifti(rng),
        "orientations": orientations(rng),
        "resampled": resampled(rng),
        "arrays": arrays(rng),
    }
    (FOLDER / "volume.json").write_text(json.dumps(answers, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
