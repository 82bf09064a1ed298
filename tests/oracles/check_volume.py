"""Reads volumes that hounsfield wrote: check_volume.py FILE.nii[.gz] or FILE.npy ...; prints a line of JSON for each.

Called by tests/pure/volume.rs where HOUNSFIELD_PYTHON names a Python that has nibabel; with SimpleITK, the geometry that ITK
sees is printed too.
"""

import json
import sys

import numpy as np

for path in sys.argv[1:]:
    if path.endswith(".npy"):
        values = np.load(path)
        print(json.dumps({"shape": values.shape, "dtype": values.dtype.name, "values": values.ravel().tolist()}))
        continue
    import nibabel

    image = nibabel.load(path)
    said = {
        "kind": type(image).__name__,
        "shape": image.shape,
        "dtype": image.get_data_dtype().name,
        "values": np.asarray(image.dataobj, np.float64).ravel(order="F").tolist(),
        "affine": image.affine.tolist(),
        "qform": None if image.header["qform_code"] == 0 else image.get_qform().tolist(),
        "codes": "".join(nibabel.aff2axcodes(image.affine)),
        "units": image.header.get_xyzt_units()[0],
        "slope": image.dataobj.slope,
    }
    try:
        import SimpleITK

        seen = SimpleITK.ReadImage(path)
        said["itk"] = {"origin": seen.GetOrigin(), "spacing": seen.GetSpacing(), "direction": seen.GetDirection()}
    except (ImportError, RuntimeError):
        pass
    print(json.dumps(said))
