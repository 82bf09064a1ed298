"""Makes a folder of many small CT files and times `hounsfield index` on it, with its peak memory.

    python benches/index_many.py target/release/hounsfield --files 100000 --folder /tmp/many

Files are 32 x 32, in series of 200 under two folders of 1,000 patients and more; every hundredth is no image. pydicom 3 makes
one file, whose identities are replaced by others of the same length, so that a hundred thousand take seconds.
"""

import argparse
import os
import resource
import subprocess
import time
from pathlib import Path

import numpy
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SLICES = 200


def template() -> bytes:
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = CTImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    file.SOPClassUID = CTImageStorage
    file.SOPInstanceUID = "2.25.9000000000"
    file.StudyInstanceUID = "2.25.8000000000"
    file.SeriesInstanceUID = "2.25.7000000000"
    file.PatientID = "P000000"
    file.PatientName = "Made^Up"
    file.Modality = "CT"
    file.Manufacturer = "MADE"
    file.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    file.ImagePositionPatient = [-16, -16, "0000.0"]
    file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    file.PixelSpacing = [1, 1]
    file.SliceThickness = 2
    file.Rows = file.Columns = 32
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelRepresentation = 0
    file.RescaleSlope, file.RescaleIntercept = 1, -1024
    pixels = numpy.zeros((32, 32), "<u2")
    pixels[8:24, 8:24] = 1060
    file.PixelData = pixels.tobytes()
    out = Path("/tmp") / f"template-{os.getpid()}.dcm"
    file.save_as(out, enforce_file_format=True)
    content = out.read_bytes()
    out.unlink()
    return content


def make(folder: Path, files: int) -> None:
    content = template()
    for at in range(files):
        series, slice = divmod(at, SLICES)
        path = folder / f"{series:06d}" / f"{(slice * 77) % SLICES:04d}"
        if slice == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        if at % 100 == 99:
            path.write_text("no image")
            continue
        one = content.replace(b"2.25.9000000000", b"2.25.9%09d" % at)
        one = one.replace(b"2.25.8000000000", b"2.25.8%09d" % series)
        one = one.replace(b"2.25.7000000000", b"2.25.7%09d" % series)
        one = one.replace(b"P000000", b"P%06d" % (series // 2))
        one = one.replace(b"0000.0", b"%06.1f" % (slice * 2))
        # The last pixels, so that no two slices are alike.
        one = one[:-4] + at.to_bytes(4, "little")
        path.write_bytes(one)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("hounsfield", help="the program to time")
    arguments.add_argument("--files", type=int, default=100_000)
    arguments.add_argument("--folder", type=Path, required=True, help="where the files go; made where it is missing")
    arguments.add_argument("--threads", type=int, action="append", help="may be given several times")
    given = arguments.parse_args()
    scans = given.folder / "scans"
    if not scans.exists():
        start = time.time()
        make(scans, given.files)
        print(f"made {given.files} files in {time.time() - start:.1f} s")
    for threads in given.threads or [os.cpu_count()]:
        out = given.folder / "cohort.csv"
        start, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [given.hounsfield, "-q", "index", scans, "--out", out, "--threads", threads, "--salt", given.folder / "salt"]
        subprocess.run([str(word) for word in command], check=True)
        wall, after = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rate = given.files / wall
        print(f"{threads} threads: {wall:.1f} s, {cpu:.1f} cpu-s, {rate:.0f} files/s, peak {after.ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
