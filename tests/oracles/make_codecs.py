"""Writes tests/oracles/codecs: small compressed frames, and what other people's decoders make of them.

Made data only. Run in an environment of exactly these versions (Python 3.11):

    pip install numpy==2.4.6 pillow==13.0.0 pydicom==3.0.2 pylibjpeg==2.1.0 pylibjpeg-libjpeg==2.5.0 \
        pylibjpeg-openjpeg==2.6.0 pylibjpeg-rle==2.2.0 pyjpegls==1.5.1
    python tests/oracles/make_codecs.py

Encoders: CharLS (pyjpegls), OpenJPEG, pylibjpeg-rle and Pillow. No package for Python writes lossless JPEG, DCT of 12 bits or
JPEG-LS with restarts and coding parameters: the encoders below do, and libjpeg (T. Richter's, in pylibjpeg-libjpeg) or
CharLS must decode what they write.
"""

import io
import json
import math
import pathlib

import jpeg_ls
import libjpeg
import numpy as np
import openjpeg
import rle
from openjpeg.utils import encode_array as openjpeg_encode
from PIL import Image

OUT = pathlib.Path(__file__).parent / "codecs"
OUT.mkdir(exist_ok=True)
for old in OUT.iterdir():
    old.unlink()

BASELINE, EXTENDED, LOSSLESS, FIRST_ORDER = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS, NEAR, J2K_LOSSLESS, J2K = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91))
RLE = "1.2.840.10008.1.2.5"
rng = np.random.default_rng(0)
index = []


def bits16(values):
    return np.asarray(values).astype(np.int64).astype(np.uint16)


def write(name, uid, stream, values, stored, signed=False, allocated=16, tolerance=0, refused=None):
    """`values`: what must be decoded, negative ones as two's complement; equal ones are written once."""
    (OUT / name).write_bytes(bytes(stream))
    rows, columns = values.shape
    raw = bits16(values).astype("<u2").tobytes()
    same = [p.name for p in OUT.glob("*.raw") if p.read_bytes() == raw]
    if not same:
        same = [name.rsplit(".", 1)[0] + ".raw"]
        (OUT / same[0]).write_bytes(raw)
    index.append({
        "stream": name, "uid": uid, "rows": rows, "columns": columns, "bits_allocated": allocated, "bits_stored": stored,
        "signed": signed, "values": same[0], "tolerance": tolerance, "refused": refused,
    })


# --- images -----------------------------------------------------------------------------------------------------------
def slice_like(rows, columns):
    """A body with lungs in HU, noise, an edge and constant padding around."""
    y, x = np.mgrid[:rows, :columns]
    y, x = (y - rows / 2) / (rows / 2), (x - columns / 2) / (columns / 2)
    hu = np.where(x**2 + y**2 / 0.7 < 0.8, 40.0, -1000.0)
    hu[((x - 0.4) ** 2 + y**2 / 1.5 < 0.08) | ((x + 0.4) ** 2 + y**2 / 1.5 < 0.08)] = -850
    hu[np.hypot(x, y - 0.5) < 0.12] = 900
    hu = np.round(hu + rng.normal(0, 12, hu.shape)).astype(int)
    hu[x**2 + y**2 > 1.1] = -2000
    return hu


ct = slice_like(46, 53)
twelve = np.clip(ct + 1024, 0, 4095)
eight = np.clip((ct + 1024) // 8, 0, 255)
noise = rng.integers(0, 65536, (19, 23))
flat = np.full((40, 70), 1000)
flat[20:, 33:] = 1003
two = rng.integers(0, 4, (9, 31))
column, row = twelve[:, 20:21], twelve[20:21, :]


# --- JPEG: markers and Huffman codes ----------------------------------------------------------------------------------
def marker(code, body=None):
    return bytes([0xFF, code]) + (b"" if body is None else (len(body) + 2).to_bytes(2, "big") + bytes(body))


def table(place, lengths):
    """DHT segment and codes. `lengths`: symbol -> length of its code."""
    order = sorted(lengths, key=lambda symbol: (lengths[symbol], symbol))
    codes, code, last = {}, 0, 0
    for symbol in order:
        code <<= lengths[symbol] - last
        last = lengths[symbol]
        codes[symbol] = (code, last)
        code += 1
    assert code < 1 << last, "a code of all ones"
    counts = [sum(length == n for length in lengths.values()) for n in range(1, 17)]
    return marker(0xC4, bytes([place, *counts, *order])), codes


class Bits:
    def __init__(self):
        self.text = []

    def put(self, value, length):
        if length:
            self.text.append(format(value, f"0{length}b"))

    def stuffed(self):
        """T.81: ones fill the last byte, a zero byte follows 0xFF."""
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def put_difference(bits, codes, difference):
    size = abs(difference).bit_length()
    bits.put(*codes[size])
    if size < 16:
        bits.put(difference if difference >= 0 else difference + (1 << size) - 1, size)


# --- JPEG lossless, T.81 annex H --------------------------------------------------------------------------------------
# Short and long codes, so that a decoder's look-up and what is beyond it are both met.
CATEGORIES = {0: 2, 1: 3, 2: 3, 3: 3, 4: 4, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 12: 11, 13: 12, 14: 13, 15: 14, 16: 15}


def encode_lossless(values, precision, predictor, point=0, restart_lines=0):
    values = bits16(values).astype(int) >> point
    rows, columns = values.shape
    dht, codes = table(0, CATEGORIES)
    out = marker(0xD8)
    out += marker(0xC3, [precision, *rows.to_bytes(2, "big"), *columns.to_bytes(2, "big"), 1, 1, 0x11, 0])
    out += dht
    if restart_lines:
        out += marker(0xDD, (restart_lines * columns).to_bytes(2, "big"))
    out += marker(0xDA, [1, 1, 0, predictor, 0, point])
    every = restart_lines or rows
    for number, first in enumerate(range(0, rows, every)):
        if number:
            out += marker(0xD0 + (number - 1) % 8)
        bits = Bits()
        for y in range(first, min(first + every, rows)):
            for x in range(columns):
                if y == first:
                    prediction = 1 << (precision - point - 1) if x == 0 else values[y, x - 1]
                elif x == 0:
                    prediction = values[y - 1, x]
                else:
                    a, b, c = (int(v) for v in (values[y, x - 1], values[y - 1, x], values[y - 1, x - 1]))
                    prediction = [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1][predictor - 1]
                difference = (int(values[y, x]) - int(prediction)) & 0xFFFF
                put_difference(bits, codes, difference if difference <= 32768 else difference - 65536)
        out += bits.stuffed()
    return out + marker(0xD9)


for predictor in range(1, 8):
    stream = encode_lossless(ct, 16, predictor)
    assert np.array_equal(libjpeg.decode(stream), bits16(ct)), predictor
    write(f"lossless_{predictor}.jpg", FIRST_ORDER if predictor == 1 else LOSSLESS, stream, ct, 16, signed=True)
for name, values, precision, predictor, point, lines in [
    ("lossless_12.jpg", twelve, 12, 4, 0, 0),
    ("lossless_restart.jpg", twelve, 12, 7, 0, 4),
    ("lossless_noise.jpg", noise, 16, 1, 0, 0),
    ("lossless_2bit.jpg", two, 2, 5, 0, 0),
    ("lossless_column.jpg", column, 12, 4, 0, 0),
    ("lossless_row.jpg", row, 12, 6, 0, 0),
]:
    stream = encode_lossless(values, precision, predictor, point, lines)
    theirs = libjpeg.decode(stream)
    assert np.array_equal(theirs, values), name
    write(name, LOSSLESS, stream, values, precision)
# libjpeg saturates where there is a point transform; Pillow's libjpeg-turbo shifts, as DICOM wants the values.
for name, values, point in [("lossless_8.jpg", eight, 0), ("lossless_point.jpg", eight & ~3, 2)]:
    stream = encode_lossless(values, 8, 6, point)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stream))), values), name
    write(name, LOSSLESS, stream, values, 8, allocated=8)


# --- JPEG DCT, T.81 annexes A and F -----------------------------------------------------------------------------------
ZIGZAG = sorted(((y, x) for y in range(8) for x in range(8)),
                key=lambda p: (p[0] + p[1], p[0] if (p[0] + p[1]) % 2 else p[1]))
DCT = np.array([[math.sqrt((1 if k else 0.5) / 4) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(8)]
                for k in range(8)])


def encode_dct(values, precision, frame=0xC1, step=6, restart=0):
    """The stream, and the pixels of an inverse DCT in floats."""
    rows, columns = values.shape
    padded = np.pad(values, ((0, -rows % 8), (0, -columns % 8)), "edge") - (1 << (precision - 1))
    steps = np.array([[step + 2 * (y + x) for x in range(8)] for y in range(8)])
    dc_segment, dc = table(0x00, {size: 3 + size // 2 for size in range(16)})
    ac_symbols = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 15)]
    ac_segment, ac = table(0x10, {symbol: 4 if symbol < 4 else 9 if symbol & 15 < 8 else 13 for symbol in ac_symbols})
    out = marker(0xD8) + marker(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    out += marker(0xDB, [0, *(steps[p] for p in ZIGZAG)])
    out += marker(frame, [precision, *rows.to_bytes(2, "big"), *columns.to_bytes(2, "big"), 1, 1, 0x11, 0])
    out += dc_segment + ac_segment
    if restart:
        out += marker(0xDD, restart.to_bytes(2, "big"))
    out += marker(0xDA, [1, 1, 0x00, 0, 63, 0])
    bits, last, number, exact = Bits(), 0, 0, np.zeros(padded.shape)
    for y in range(0, padded.shape[0], 8):
        for x in range(0, padded.shape[1], 8):
            if restart and number and number % restart == 0:
                out += bits.stuffed() + marker(0xD0 + (number // restart - 1) % 8)
                bits, last = Bits(), 0
            number += 1
            block = np.round(DCT @ padded[y:y + 8, x:x + 8] @ DCT.T / steps).astype(int)
            exact[y:y + 8, x:x + 8] = DCT.T @ (block * steps) @ DCT
            put_difference(bits, dc, int(block[0, 0]) - last)
            last, run = int(block[0, 0]), 0
            for p in ZIGZAG[1:]:
                value = int(block[p])
                if value == 0:
                    run += 1
                    continue
                while run > 15:
                    bits.put(*ac[0xF0])
                    run -= 16
                size = abs(value).bit_length()
                bits.put(*ac[run << 4 | size])
                bits.put(value if value > 0 else value + (1 << size) - 1, size)
                run = 0
            if run:
                bits.put(*ac[0x00])
    exact = np.clip(np.round(exact + (1 << (precision - 1))), 0, (1 << precision) - 1)[:rows, :columns].astype(int)
    return out + bits.stuffed() + marker(0xD9), exact


for name, values, precision, restart in [
    ("extended_12.jpg", twelve, 12, 0), ("extended_12_restart.jpg", twelve, 12, 5),
    ("extended_12_noise.jpg", noise % 4096, 12, 0), ("extended_8.jpg", eight, 8, 0), ("extended_row.jpg", row, 12, 2),
]:
    stream, exact = encode_dct(values, precision, restart=restart)
    # libjpeg's own inverse DCT is within 1 of the floats, and within 2 on noise.
    assert np.abs(libjpeg.decode(stream) - exact).max() <= (2 if "noise" in name else 1), name
    write(name, EXTENDED, stream, exact, precision, allocated=8 if precision == 8 else 16, tolerance=1)


def pillow(values, **options):
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(out, "jpeg", **options)
    return out.getvalue(), np.asarray(Image.open(out))


# Pillow decodes with libjpeg-turbo, whose inverse DCT ours copies.
for name, options in [("baseline.jpg", {"quality": 90}), ("baseline_restart.jpg", {"quality": 30, "restart_marker_blocks": 3})]:
    stream, values = pillow(eight, **options)
    write(name, BASELINE, stream, values, 8, allocated=8)
stream, values = pillow(eight, quality=90, progressive=True)
write("progressive.jpg", EXTENDED, stream, values, 8, allocated=8, refused="progressive")
out = io.BytesIO()
Image.fromarray(np.stack([eight] * 3, 2).astype(np.uint8)).save(out, "jpeg")
write("colour.jpg", BASELINE, out.getvalue(), eight, 8, allocated=8, refused="3 components")


# --- JPEG-LS ----------------------------------------------------------------------------------------------------------
def charls(values, stored, near=0):
    raw = bits16(values) & ((1 << stored) - 1)
    raw = raw.astype("u1" if stored <= 8 else "<u2").tobytes()
    rows, columns = values.shape
    return bytes(jpeg_ls.encode_pixel_data(raw, near, rows=rows, columns=columns, samples_per_pixel=1, bits_stored=stored))


def charls_decoded(stream):
    return jpeg_ls.decode(np.frombuffer(stream, np.uint8))


for name, values, stored, signed, near in [
    ("ls_signed.jls", ct, 16, True, 0), ("ls_signed_13.jls", ct, 13, True, 0), ("ls_12.jls", twelve, 12, False, 0),
    ("ls_8.jls", eight, 8, False, 0), ("ls_2.jls", two, 2, False, 0), ("ls_noise.jls", noise, 16, False, 0),
    ("ls_flat.jls", flat, 16, False, 0), ("ls_near_1.jls", twelve, 12, False, 1), ("ls_near_9.jls", twelve, 12, False, 9),
    ("ls_near_8bit.jls", eight, 8, False, 3), ("ls_near_noise.jls", noise, 16, False, 40), ("ls_near_flat.jls", flat, 16, False, 4),
    ("ls_column.jls", column, 12, False, 0), ("ls_row.jls", row, 12, False, 0), ("ls_near_column.jls", column, 12, False, 2),
]:
    stream = charls(values, stored, near)
    decoded = charls_decoded(stream).astype(int)
    if signed:
        decoded = (decoded << (16 - stored)).astype(np.uint16).astype(np.int16) >> (16 - stored)
    assert np.abs(decoded - values).max() <= near, name
    write(name, NEAR if near else JPEG_LS, stream, decoded, stored, signed, 8 if stored <= 8 else 16)


def encode_jpeg_ls(values, precision, near=0, preset=None, restart_lines=0):
    """T.87 annexes A and C. `preset`: MAXVAL, T1, T2, T3, RESET."""
    rows, columns = values.shape
    out = marker(0xD8)
    out += marker(0xF7, [precision, *rows.to_bytes(2, "big"), *columns.to_bytes(2, "big"), 1, 1, 0x11, 0])
    if preset:
        out += marker(0xF8, b"\x01" + b"".join(v.to_bytes(2, "big") for v in preset))
    if restart_lines:
        out += marker(0xDD, restart_lines.to_bytes(2, "big"))
    out += marker(0xDA, [1, 1, 0, near, 0, 0])
    maximum, t1, t2, t3, reset = preset
    step = 2 * near + 1
    size = (maximum + 2 * near) // step + 1
    qbpp, bpp = math.ceil(math.log2(size)), max(2, math.ceil(math.log2(maximum + 1)))
    limit = 2 * (bpp + max(8, bpp))
    runs = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15]

    def gradient(d):
        for value, threshold in ((4, t3), (3, t2), (2, t1)):
            if abs(d) >= threshold:
                return value if d > 0 else -value
        return 0 if abs(d) <= near else 1 if d > 0 else -1

    def quantized(error):
        return (error + near) // step if error > 0 else -((near - error) // step)

    def wrapped(error):
        error = error + size if error < 0 else error
        return error - size if error >= (size + 1) // 2 else error

    def rebuilt(prediction, error):
        value = prediction + error * step
        value = value + size * step if value < -near else value - size * step if value > maximum + near else value
        return min(max(value, 0), maximum)

    def golomb(bits, k, value, limit):
        if value >> k < limit - qbpp - 1:
            bits.put(1, (value >> k) + 1)
            bits.put(value & ((1 << k) - 1), k)
        else:
            bits.put(1, limit - qbpp)
            bits.put(value - 1, qbpp)

    every = restart_lines or rows
    for number, first in enumerate(range(0, rows, every)):
        if number:
            out += marker(0xD0 + (number - 1) % 8)
        bits, run_index = Bits(), 0
        A, B, C, N = [max(2, (size + 32) // 64)] * 367, [0] * 367, [0] * 367, [1] * 367
        above, edge = [0] * columns, 0
        for y in range(first, min(first + every, rows)):
            line, x = [0] * columns, 0
            while x < columns:
                ra, rb = line[x - 1] if x else above[0], above[x]
                rc = above[x - 1] if x else edge
                rd = above[x + 1] if x + 1 < columns else rb
                value = int(values[y, x])
                context = 81 * gradient(rd - rb) + 9 * gradient(rb - rc) + gradient(rc - ra)
                if context:
                    sign, q = (1, context) if context > 0 else (-1, -context)
                    px = min(ra, rb) if rc >= max(ra, rb) else max(ra, rb) if rc <= min(ra, rb) else ra + rb - rc
                    px = min(max(px + sign * C[q], 0), maximum)
                    error = quantized(sign * (value - px))
                    line[x] = rebuilt(px, sign * error)
                    error = wrapped(error)
                    k = 0
                    while N[q] << k < A[q]:
                        k += 1
                    if near == 0 and k == 0 and 2 * B[q] <= -N[q]:
                        mapped = 2 * error + 1 if error >= 0 else -2 * (error + 1)
                    else:
                        mapped = 2 * error if error >= 0 else -2 * error - 1
                    golomb(bits, k, mapped, limit)
                    B[q] += error * step
                    A[q] += abs(error)
                    if N[q] == reset:
                        A[q], B[q], N[q] = A[q] >> 1, B[q] >> 1, N[q] >> 1
                    N[q] += 1
                    if B[q] <= -N[q]:
                        B[q], C[q] = max(B[q] + N[q], 1 - N[q]), max(C[q] - 1, -128)
                    elif B[q] > 0:
                        B[q], C[q] = min(B[q] - N[q], 0), min(C[q] + 1, 127)
                    x += 1
                    continue
                start = x
                while x < columns and abs(int(values[y, x]) - ra) <= near:
                    line[x] = ra
                    x += 1
                length = x - start
                while length >= 1 << runs[run_index]:
                    bits.put(1, 1)
                    length -= 1 << runs[run_index]
                    run_index = min(run_index + 1, 31)
                if x == columns:
                    if length:
                        bits.put(1, 1)
                    continue
                bits.put(0, 1)
                bits.put(length, runs[run_index])
                rb, value = above[x], int(values[y, x])
                alike = int(abs(ra - rb) <= near)
                q, px = 365 + alike, ra if alike else rb
                sign = -1 if not alike and ra > rb else 1
                error = quantized(sign * (value - px))
                line[x] = rebuilt(px, sign * error)
                error = wrapped(error)
                k, total = 0, A[q] + (N[q] >> 1 if alike else 0)
                while N[q] << k < total:
                    k += 1
                odd = (k == 0 and error > 0 and 2 * B[q] < N[q]) or (error < 0 and (2 * B[q] >= N[q] or k != 0))
                mapped = 2 * abs(error) - alike - odd
                golomb(bits, k, mapped, limit - runs[run_index] - 1)
                B[q] += error < 0
                A[q] += (mapped + 1 - alike) >> 1
                if N[q] == reset:
                    A[q], B[q], N[q] = A[q] >> 1, B[q] >> 1, N[q] >> 1
                N[q] += 1
                run_index = max(run_index - 1, 0)
                x += 1
            edge, above = above[0], line
        # T.87: a zero bit follows a byte 0xFF, and zeros fill the last byte.
        text, coded = "".join(bits.text), bytearray()
        while text:
            width = 7 if coded and coded[-1] == 0xFF else 8
            coded.append(int(text[:width].ljust(width, "0"), 2))
            text = text[width:]
        if coded[-1] == 0xFF:
            coded.append(0)
        out += coded
    return out + marker(0xD9)


for name, values, precision, near, preset, lines in [
    ("ls_preset.jls", twelve, 12, 0, (3000, 5, 40, 100, 31), 0), ("ls_restart.jls", twelve, 12, 0, (4095, 18, 67, 276, 64), 4),
    ("ls_restart_near.jls", twelve, 12, 2, (4095, 24, 77, 290, 64), 7),
]:
    stream = encode_jpeg_ls(values, precision, near, preset, lines)
    # CharLS refuses a MAXVAL other than 2^P - 1.
    decoded = libjpeg.decode(stream).astype(int)
    assert np.abs(decoded - values).max() <= near, name
    write(name, NEAR if near else JPEG_LS, stream, decoded, precision)

# --- JPEG 2000 --------------------------------------------------------------------------------------------------------
for name, values, stored, signed in [
    ("j2k_signed.j2k", ct, 16, True), ("j2k_signed_12.j2k", np.clip(ct, -2048, 2047), 12, True), ("j2k_12.j2k", twelve, 12, False),
    ("j2k_8.j2k", eight, 8, False), ("j2k_noise.j2k", np.tile(noise, (2, 2)), 16, False), ("j2k_flat.j2k", flat, 16, False),
]:
    kind = ("i" if signed else "u") + ("1" if stored <= 8 else "2")
    stream = openjpeg_encode(values.astype(kind), bits_stored=stored, photometric_interpretation=2)
    assert np.array_equal(openjpeg.decode(stream), values), name
    write(name, J2K_LOSSLESS, stream, values, stored, signed, 8 if stored <= 8 else 16)
# OpenJPEG and hayro-jpeg2000 round the irreversible transform's floats each in its way.
for name, values, signed, ratio in [("j2k_lossy.j2k", twelve, False, 4), ("j2k_lossy_signed.j2k", np.clip(ct, -2048, 2047), True, 6)]:
    stream = openjpeg_encode(values.astype("i2" if signed else "u2"), bits_stored=12, photometric_interpretation=2,
                                   compression_ratios=[ratio])
    write(name, J2K, stream, openjpeg.decode(stream), 12, signed, tolerance=1)
# The sign's bit of the stream is cleared: writers do, and pydicom takes the data set's word.
stream = bytearray(openjpeg_encode(bits16(np.clip(ct, -2048, 2047)) & 0xFFF, bits_stored=12, photometric_interpretation=2))
write("j2k_sign_of_data_set.j2k", J2K_LOSSLESS, stream, np.clip(ct, -2048, 2047), 12, signed=True)
jp2 = openjpeg_encode(twelve.astype("u2"), bits_stored=12, photometric_interpretation=2, codec_format=1)
write("j2k_boxes.jp2", J2K_LOSSLESS, jp2, twelve, 12)

# --- RLE --------------------------------------------------------------------------------------------------------------
for name, values, stored, signed in [
    ("rle_signed.rle", ct, 16, True), ("rle_12.rle", twelve, 12, False), ("rle_8.rle", eight, 8, False),
    ("rle_noise.rle", noise, 16, False), ("rle_flat.rle", flat, 16, False),
    ("rle_column.rle", column, 12, False),
]:
    raw = bits16(values).astype("u1" if stored <= 8 else "<u2").tobytes()
    rows, columns = values.shape
    stream = rle.encode_pixel_data(raw, rows=rows, columns=columns, samples_per_pixel=1, bits_allocated=8 if stored <= 8 else 16,
                                   number_of_frames=1, byteorder="<")
    write(name, RLE, stream, values, stored, signed, 8 if stored <= 8 else 16)

(OUT / "index.json").write_text(json.dumps(index, indent=0) + "\n")
print(len(index), "streams,", sum(p.stat().st_size for p in OUT.iterdir()) // 1024, "KiB")
