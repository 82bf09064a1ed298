"""Small CT files of every way in which pixels are written, and what pydicom reads from them.

Made noise, no patient. Writes tests/oracles/dicom/NAME.dcm and expected.json.

    pip install numpy==2.4.6 pydicom==3.0.2
    python tests/oracles/make_dicom.py

`stored` are the stored values of all frames: pydicom's `pixel_array`, except where `by` says `numpy`: pydicom leaves
High Bit and overlays in the pixels alone, and there the values are those that were written. `hu` is pydicom's
`apply_rescale`, frame by frame with the frame's own numbers, and -1024 where `padding` was written.
"""

import io
import json
import struct
from pathlib import Path

import numpy as np
from pydicom import Dataset, Sequence, dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.pixels.processing import apply_rescale
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

HERE = Path(__file__).parent / "dicom"
SIDE = 16
random = np.random.default_rng(5)
expected = {}


def noise(low, high, frames=1, rows=SIDE, columns=SIDE):
    """Noise with the ends of the range in it."""
    pixels = random.integers(low, high + 1, (frames, rows, columns))
    pixels[:, 0, :2] = low, high
    return pixels


def image(pixels, *, stored=16, allocated=16, high=None, signed=True, rescale=(1, -1024), syntax=ExplicitVRLittleEndian,
          vr="OW", words=None, **more):
    """A CT file of frames [N, H, W]; `words` are what is written, where that is more than the stored values."""
    frames, rows, columns = pixels.shape
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = more.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = "2.25.3"
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = "2.25.1"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.4", "2.25.5"
    data.Modality = "CT"
    data.PatientName, data.PatientID = "MADE^NOISE", "MADE"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, stored - 1 if high is None else high
    data.PixelRepresentation = int(signed)
    if frames > 1:
        data.NumberOfFrames = frames
    if rescale:
        data.RescaleSlope, data.RescaleIntercept = rescale
    for keyword, value in more.items():
        setattr(data, keyword, value)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    words = pixels if words is None else words
    if allocated == 16:
        written = (words & 0xFFFF).astype(order + "u2").tobytes()
    else:
        written = (words & 0xFF).astype("u1").tobytes()
        written += bytes(len(written) % 2)
        if order == ">" and vr == "OW":
            written = np.frombuffer(written, "<u2").astype(">u2").tobytes()
    if not syntax.is_encapsulated:
        data.PixelData = written
        data["PixelData"].VR = vr
    return data


def rle(data, pixels, fragments=1, table="basic"):
    """Compresses, each frame in so many fragments."""
    pixels = pixels.astype(f"<i{data.BitsAllocated // 8}" if data.PixelRepresentation else f"<u{data.BitsAllocated // 8}")
    frames = []
    for frame in pixels:
        options = dict(rows=data.Rows, columns=data.Columns, samples_per_pixel=1, bits_allocated=data.BitsAllocated,
                       bits_stored=data.BitsStored, pixel_representation=data.PixelRepresentation, number_of_frames=1,
                       photometric_interpretation="MONOCHROME2")
        frames.append(RLELosslessEncoder.encode(np.squeeze(frame), encoding_plugin="pydicom", **options))
    if table == "extended":
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        data.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=table == "basic")
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


def enhanced(pixels, rescales, **more):
    """Enhanced CT: the orientation for all frames, a place and a rescale for each."""
    data = image(pixels, rescale=None, SOPClassUID=EnhancedCTImageStorage, **more)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.75, 0.5], 2.5
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for at, (slope, intercept) in enumerate(rescales):
        frame, place, values, kind = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-10.5, 20, 100 - 2.5 * at]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, intercept, "HU"
        kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        frame.PlanePositionSequence = Sequence([place])
        frame.PixelValueTransformationSequence = Sequence([values])
        frame.CTImageFrameTypeSequence = Sequence([kind])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return data


def rescaled(pixels, data, at):
    """Hounsfield units of a frame with its own numbers."""
    if "PerFrameFunctionalGroupsSequence" in data:
        data = data.PerFrameFunctionalGroupsSequence[at].PixelValueTransformationSequence[0]
    return apply_rescale(pixels, data)


def write(name, data, pixels, by="pydicom", padding=None, change=None):
    """Writes a file, reads it with pydicom, and notes what came out."""
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    content = buffer.getvalue() if change is None else change(buffer.getvalue())
    (HERE / f"{name}.dcm").write_bytes(content)
    read = dcmread(io.BytesIO(content), force=True)
    if "TransferSyntaxUID" not in read.file_meta:
        read.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    found = read.pixel_array.astype(int).reshape(pixels.shape)
    if by == "pydicom":
        assert (found == pixels).all(), name
    entry = {"by": by, "stored": pixels.ravel().tolist(), "shape": list(pixels.shape)}
    if "RescaleSlope" in read or "PerFrameFunctionalGroupsSequence" in read:
        hu = np.stack([rescaled(frame, read, at) for at, frame in enumerate(pixels)])
        hidden = np.zeros(pixels.shape, bool) if padding is None else padding
        hu[hidden] = -1024
        entry["hu"] = [float(value) for value in hu.ravel()]
        entry["padded"] = [int(frame.sum()) for frame in hidden]
        seen = np.where(hidden, np.nan, hu)
        entry["range"] = [[float(np.nanmin(frame)), float(np.nanmax(frame))] for frame in seen]
    expected[name] = entry


def as_unknown(content):
    """Every element of an explicit little-endian file as UN, as some converters write them."""
    data = dcmread(io.BytesIO(content))
    head = content.index(b"\x08\x00\x16\x00UI")
    body = b""
    for element in data:
        buffer = io.BytesIO()
        single = Dataset()
        single.add(element)
        dcmwrite(buffer, single, implicit_vr=True, little_endian=True)
        raw = buffer.getvalue()
        vr = b"OW" if element.keyword == "PixelData" else b"UN"
        body += raw[:4] + vr + b"\0\0" + raw[4:]
    return content[:head] + body


signed = noise(-1000, 3000)
write("implicit", image(signed, syntax=ImplicitVRLittleEndian), signed)
write("explicit", image(signed, rescale=(2.5, -100.25)), signed)
write("big_endian", image(signed, syntax=ExplicitVRBigEndian), signed)
write("deflated", image(signed, syntax=DeflatedExplicitVRLittleEndian), signed)
write("no_preamble", image(signed), signed, change=lambda content: content[132:])
write("no_meta", image(signed, syntax=ImplicitVRLittleEndian), signed,
      change=lambda content: content[content.index(b"\x08\x00\x08\x00"):])
write("unknown_representations", image(signed), signed, change=as_unknown)
write("trailing_junk", image(signed), signed, change=lambda content: content + b"\xfc\xff\xfc\xffOB\0\0\x40\0\0\0" + bytes(9))
write("monochrome1", image(signed, PhotometricInterpretation="MONOCHROME1"), signed)
write("no_rescale", image(signed, rescale=None), signed)

eight = dict(stored=8, allocated=8, signed=False, rescale=(4, -1000))
bytes_ = noise(0, 255)
odd = noise(0, 255, frames=2, rows=5, columns=3)
write("8_bit_ob", image(bytes_, vr="OB", **eight), bytes_)
write("8_bit_ow", image(bytes_, vr="OW", **eight), bytes_)
write("8_bit_ob_big_endian", image(bytes_, vr="OB", syntax=ExplicitVRBigEndian, **eight), bytes_)
write("8_bit_ow_big_endian", image(bytes_, vr="OW", syntax=ExplicitVRBigEndian, **eight), bytes_)
write("8_bit_odd_frames", image(odd, vr="OB", **eight), odd)
write("8_bit_odd_frames_big_endian", image(odd, vr="OW", syntax=ExplicitVRBigEndian, **eight), odd)
write("8_bit_signed", image(bytes_ - 128, vr="OB", stored=8, allocated=8), bytes_ - 128)

twelve = noise(0, 4095)
write("12_bit", image(twelve, stored=12, signed=False), twelve)
low = noise(-1000, 2047)
write("12_bit_signed", image(low, stored=12), low)
write("12_bit_upper_bits_clear", image(low, stored=12, words=low & 0xFFF), low)
write("12_bit_high_bit_15", image(twelve, stored=12, high=15, signed=False, words=twelve << 4 | 5), twelve, by="numpy")
fourteen = noise(-1900, 8191)
write("14_bit_signed", image(fourteen, stored=14), fourteen)
write("overlay_in_upper_bits", image(twelve, stored=12, signed=False, words=twelve | noise(0, 15) << 12), twelve, by="numpy")
with_plane = image(twelve, stored=12, signed=False, words=twelve | 0xF000)
with_plane.add_new((0x6000, 0x0100), "US", 16)
with_plane.add_new((0x6000, 0x0102), "US", 12)
write("overlay_everywhere", with_plane, twelve, by="numpy")

write("rle", rle(image(signed, syntax=RLELossless), signed), signed)
write("rle_three_fragments", rle(image(signed, syntax=RLELossless), signed, 3), signed)
write("rle_three_fragments_no_table", rle(image(signed, syntax=RLELossless), signed, 3, None), signed)
write("rle_8_bit", rle(image(bytes_, syntax=RLELossless, **eight), bytes_), bytes_)

stack = noise(-1000, 3000, frames=3, rows=8)
rescales = [(1, -24), (2, -1000.5), (0.5, 0)]
write("frames", image(stack), stack)
write("enhanced", enhanced(stack, rescales), stack)
write("enhanced_implicit", enhanced(stack, rescales, syntax=ImplicitVRLittleEndian), stack)
write("enhanced_big_endian", enhanced(stack, rescales, syntax=ExplicitVRBigEndian), stack)
compressed = dict(syntax=RLELossless)
write("enhanced_rle", rle(enhanced(stack, rescales, **compressed), stack), stack)
write("enhanced_rle_no_table", rle(enhanced(stack, rescales, **compressed), stack, table=None), stack)
write("enhanced_rle_extended_table", rle(enhanced(stack, rescales, **compressed), stack, table="extended"), stack)
write("enhanced_rle_two_fragments", rle(enhanced(stack, rescales, **compressed), stack, 2), stack)

hole = random.random((1, SIDE, SIDE)) < 0.3
padded = np.where(hole, -2000, signed)
write("padding_named", image(padded, PixelPaddingValue=-2000), padded, padding=hole)
write("padding_unnamed", image(padded), padded, padding=hole)
write("padding_unnamed_14_bit", image(padded, stored=14), padded, padding=hole)
lowest = np.where(hole, -32768, signed)
write("padding_lowest", image(lowest), lowest, padding=hole)
lowest = np.where(hole, -2048, signed)
write("lowest_of_12_bits", image(lowest, rescale=(1, 0)), lowest)
positive = np.where(hole, 63536, noise(0, 3000))
write("padding_63536", image(positive, signed=False), positive, padding=hole)
write("padding_63536_12_bit", image(positive & 0xFFF, stored=12, signed=False, words=positive), positive & 0xFFF,
      by="numpy", padding=hole)
write("padding_zero", image(np.where(hole, 0, twelve | 1), stored=12, signed=False, rescale=(1, -1000),
      PixelPaddingValue=0), np.where(hole, 0, twelve | 1), padding=hole)
ring = np.where(hole, -1500, np.maximum(signed, -900))
ring[0, 1] = -1400
edge = ring < -1300
write("padding_range", image(ring, PixelPaddingValue=-1500, PixelPaddingRangeLimit=-1400), ring, padding=edge)

# A padding value of the wrong sign: pydicom won't write it, so that the bytes are changed.
wrong = image(padded, PixelPaddingValue=-2000)
write("padding_of_wrong_sign", wrong, padded, padding=hole,
      change=lambda content: content.replace(b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US"))

with open(HERE / "expected.json", "w") as file:
    rows = [f"{json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in expected.items()]
    file.write("{\n" + ",\n".join(rows) + "\n}\n")
print(len(expected), "files")
