"""Writes tests/oracles/tables: small files by pandas, pyarrow, openpyxl and numpy, and what they hold, as JSON.

Made data only. Run in an environment of exactly these versions (Python 3.11):

    pip install numpy==2.3.5 pandas==2.3.3 pyarrow==22.0.0 openpyxl==3.1.5
    python tests/oracles/make_tables.py
"""

import csv
import datetime as dt
import decimal
import json
import pathlib

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent / "tables"
OUT.mkdir(exist_ok=True)
expected = {}


def expect(name, columns):
    """`columns`: name -> cells; text stands for text, a number for any text that parses to it, None for null."""
    expected[name] = [[column, list(cells)] for column, cells in columns.items()]


# --- Parquet: every flat type, with nulls -----------------------------------------------------------------------------
utc = dt.timezone.utc
stamps = [dt.datetime(2020, 1, 2, 3, 4, 5, 678901), None, dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2024, 2, 29)]
stamp_text = ["2020-01-02T03:04:05.678901", None, "1969-12-31T23:59:59", "2024-02-29"]
types = {
    "bool": (pa.bool_(), [True, False, None, True], ["true", "false", None, "true"]),
    "int8": (pa.int8(), [-128, None, 0, 127], None),
    "uint8": (pa.uint8(), [255, 0, None, 1], None),
    "int32": (pa.int32(), [-(2**31), 2**31 - 1, None, 0], None),
    "uint32": (pa.uint32(), [2**32 - 1, None, 0, 1], None),
    "int64": (pa.int64(), [-(2**63), 2**63 - 1, None, 0], [str(-(2**63)), str(2**63 - 1), None, "0"]),
    "uint64": (pa.uint64(), [2**64 - 1, None, 0, 1], [str(2**64 - 1), None, "0", "1"]),
    "float16": (pa.float16(), [np.float16(0.1), None, np.float16(-65504), np.float16(6e-8)], None),
    "float32": (pa.float32(), [np.float32(0.1), None, np.float32(-1e-30), np.float32(3e38)], None),
    "float64": (pa.float64(), [0.1, None, -1e300, 101.0], [0.1, None, -1e300, "101"]),
    "text": (pa.string(), ["São Paulo", None, "a\nb", "漢字 😀"], None),
    "large": (pa.large_string(), ["x", None, "007", "true"], None),
    "category": (pa.dictionary(pa.int32(), pa.string()), ["covid", "cap", None, "covid"], None),
    "bytes": (pa.binary(), [b"abc", None, b"d", b"e"], ["abc", None, "d", "e"]),
    "date": (pa.date32(), [dt.date(2020, 2, 29), None, dt.date(1900, 1, 1), dt.date(1970, 1, 1)],
             ["2020-02-29", None, "1900-01-01", "1970-01-01"]),
    "stamp_us": (pa.timestamp("us"), stamps, stamp_text),
    "stamp_ns": (pa.timestamp("ns"), stamps, stamp_text),
    "stamp_utc": (pa.timestamp("ms", tz="UTC"), [dt.datetime(2020, 1, 2, tzinfo=utc), None, None, None],
                  ["2020-01-02T00:00:00Z", None, None, None]),
    "time": (pa.time64("us"), [dt.time(23, 59, 58, 500000), None, dt.time(0, 0), None], ["23:59:58.5", None, "00:00:00", None]),
    "decimal9": (pa.decimal128(9, 2), [decimal.Decimal("-0.05"), None, decimal.Decimal("1234567.89"), decimal.Decimal(0)],
                 ["-0.05", None, "1234567.89", "0.00"]),
    "decimal30": (pa.decimal128(30, 5), [decimal.Decimal("-12345678901234567890.12345"), None, decimal.Decimal(1), None],
                  ["-12345678901234567890.12345", None, "1.00000", None]),
    "none": (pa.string(), [None] * 4, None),
}
table = pa.table({name: pa.array(cells, type=kind) for name, (kind, cells, _) in types.items()})
columns = {}
for name, (kind, cells, text) in types.items():
    columns[name] = text or [None if c is None else c if isinstance(c, str) else float(c) for c in cells]
for compression in ["none", "snappy", "gzip", "zstd", "lz4"]:
    pq.write_table(table, OUT / f"types_{compression}.parquet", compression=compression)
    expect(f"types_{compression}.parquet", columns)
pq.write_table(table, OUT / "types_v2.parquet", version="2.6", data_page_version="2.0", row_group_size=3)
expect("types_v2.parquet", columns)

# --- Parquet: other encodings, many pages, INT96 ----------------------------------------------------------------------
rng = np.random.default_rng(0)
n = 500
long = {
    "i": [int(v) for v in rng.integers(-1000, 1000, n)],
    "f": [float(v) for v in rng.standard_normal(n).astype(np.float32)],
    "s": [f"row {v}" for v in rng.integers(0, 9, n)],
}
table = pa.table({"i": pa.array(long["i"], pa.int32()), "f": pa.array(long["f"], pa.float32()), "s": long["s"]})
encodings = {"i": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT", "s": "DELTA_BYTE_ARRAY"}
pq.write_table(table, OUT / "encodings.parquet", use_dictionary=False, column_encoding=encodings, data_page_size=512,
               row_group_size=200, compression="zstd")
expect("encodings.parquet", long)
int96 = pa.table({"t": pa.array(stamps, pa.timestamp("us"))})
pq.write_table(int96, OUT / "int96.parquet", use_deprecated_int96_timestamps=True)
expect("int96.parquet", {"t": stamp_text})

# --- pandas: an index that was not named, a nested column -------------------------------------------------------------
frame = pd.DataFrame({"label": ["a", "b", "c", "d"], "n": [1, 2, None, 4]})[lambda f: f.label != "b"]
frame.to_parquet(OUT / "pandas_index.parquet")
expect("pandas_index.parquet", {"label": ["a", "c", "d"], "n": ["1", None, "4"], "__index_level_0__": ["0", "2", "3"]})
pd.DataFrame({"id": [1], "box": [[1, 2, 3, 4]]}).to_parquet(OUT / "nested.parquet")

# --- Excel ------------------------------------------------------------------------------------------------------------
book = openpyxl.Workbook()
book.properties.created = book.properties.modified = dt.datetime(2020, 1, 1)
sheet = book.active
sheet.title = "slices"
rows = [
    ["id", "n", "x", "day", "when", "yes", "text"],
    ["s1", 7, 0.1, dt.date(2020, 2, 29), dt.datetime(2020, 1, 2, 3, 4, 5), True, "São Paulo"],
    ["s2", None, -1e-9, dt.date(1950, 1, 1), None, False, None],
    ["s3", 1e15, 3.0, None, dt.datetime(2024, 12, 31, 23, 59, 59), None, "007"],
]
for row in rows:
    sheet.append(row)
other = book.create_sheet("other")
other.append(["a"])
other.append([1])
book.save(OUT / "book.xlsx")
expect("book.xlsx", {
    "id": ["s1", "s2", "s3"], "n": ["7", None, "1000000000000000"], "x": [0.1, -1e-9, "3"],
    "day": ["2020-02-29", "1950-01-01", None], "when": ["2020-01-02T03:04:05", None, "2024-12-31T23:59:59"],
    "yes": ["true", "false", None], "text": ["São Paulo", None, "007"],
})

# --- CSV --------------------------------------------------------------------------------------------------------------
frame = pd.DataFrame({"id": ["a", "b", "c"], "note": ["línea uno\nlínea dos", 'dice "sí"', None], "x": [0.1, None, 3]})
cells = {"id": ["a", "b", "c"], "note": ["línea uno\nlínea dos", 'dice "sí"', None], "x": [0.1, None, 3.0]}
for name, sep, encoding in [("latin1", ",", "latin-1"), ("semicolon", ";", "utf-8-sig"), ("tab", "\t", "utf-16")]:
    frame.to_csv(OUT / f"{name}.csv", sep=sep, encoding=encoding, index=False)
    expect(f"{name}.csv", cells)

# --- NumPy ------------------------------------------------------------------------------------------------------------
values = rng.standard_normal((5, 3))
np.save(OUT / "f32.npy", values.astype("<f4"))
np.save(OUT / "f64_fortran.npy", np.asfortranarray(values))
np.save(OUT / "big_endian.npy", values.astype(">f4"))
np.save(OUT / "i16.npy", np.arange(6, dtype=np.int16).reshape(3, 2))
np.save(OUT / "f16.npy", values.astype(np.float16))
expected["npy"] = values.astype(np.float32).astype(float).tolist()

# --- the six files of Song 2020, written as their notebook does ---------------------------------------------------------
song = OUT / "song"
song.mkdir(exist_ok=True)
song_values = {}
for prefix, names in [("featureTrain", ["P001 (1)", "P001_2", "P002_1"]), ("featureTval", ["P003_1"]), ("featureTest", ["P004_1"])]:
    for layer, width in [("avepool_feat", 16), ("bn_crelu_feat", 32), ("default", 120), ("z_mean", 120),
                         ("z_sample", 120), ("z_stdev", 120)]:
        with open(song / f"{prefix}_{layer}.csv", "w", newline="") as file:
            writer = csv.writer(file, delimiter=" ")
            for name in names:
                vector = (rng.standard_normal(width) * 10.0 ** rng.integers(-3, 2)).astype(np.float32)
                if layer in ("avepool_feat", "bn_crelu_feat"):
                    writer.writerow([name, list(vector)])
                    read = vector
                else:
                    printed = str(vector).replace("\n", "").replace("\r", "")
                    writer.writerow([name, printed])
                    read = np.array(printed.strip("[]").split(), dtype=np.float32)
                song_values.setdefault(layer, []).append([name, prefix, read.astype(float).tolist()])
expected["song"] = song_values

(OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")
