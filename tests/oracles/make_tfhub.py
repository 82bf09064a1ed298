"""Checkpoints as TensorFlow itself writes them, for src/convert/bundle/.

Made with Python 3.11, tensorflow-cpu 2.15.1, numpy 1.26.4, protobuf 4.25.3:

    python -m venv venv && venv/bin/pip install tensorflow-cpu==2.15.1 numpy==1.26.4 protobuf==4.25.3
    venv/bin/python tests/oracles/make_tfhub.py

Writes tests/oracles/tfhub/NAME.index with its data files, and expected.json: what TensorFlow's own reader finds in each
but the first, names to type, shape and values (floats of any width as the numbers they are; strings not at all).

- `blocks.tar.gz`: a module's folder whose index has three data blocks (1100 names of 508 letters); variable
  `i * 7919 % 1100` holds i, its half and its quarter, as many of them as `1 + i % 3`;
- `types`: float32, float64, float16, bfloat16, every integer, bool, string, scalars and shapes without values;
- `parts`: variables partitioned along each axis, some unevenly, one with a name of many bytes;
- `shards`: three savers' checkpoints merged to one of three data files, a partitioned variable across two of them;
- `objects`: a checkpoint of TensorFlow 2, whose names are those of objects.
"""

import gzip
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf

OUT = Path(__file__).parent / "tfhub"
raw = tf.raw_ops


def floats(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def halves(i):
    """Number i, its half and its quarter, as far as the shape goes."""
    return np.float32(i) / 2 ** np.arange(1 + i % 3, dtype=np.float32)


def pack(folder, archive):
    """As `tar -czf archive -C folder .` does it, without times and owners."""

    def plain(member):
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with open(archive, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder, ".", filter=plain)


def save(prefix, tensors, slices=()):
    """`tensors` by name; `slices` gives "shape slice" specifications as the savers of TensorFlow 1 write them."""
    items = [(name, "", tensor) for name, tensor in tensors.items()] + list(slices)
    raw.SaveV2(
        prefix=str(prefix),
        tensor_names=[item[0] for item in items],
        shape_and_slices=[item[1] for item in items],
        tensors=[item[2] for item in items],
    )


def parts(name, whole, cuts):
    """The parts of `whole`, cut along axis `cuts[0]` at the indices `cuts[1:]`."""
    axis, *at = cuts
    shape = " ".join(map(str, whole.shape))
    for start, end in zip([0, *at], [*at, whole.shape[axis]]):
        extents = ["-"] * whole.ndim
        extents[axis] = f"{start},{end - start}"
        piece = np.take(whole, range(start, end), axis)
        yield name, f"{shape} {':'.join(extents)}", tf.constant(piece)


def partitioned(prefix):
    """Through the savers of TensorFlow 1, as a module's author would have done it."""

    def different(shape, dtype, partition_info):
        return tf.constant(floats(sum(partition_info.var_offset), *shape), dtype)

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        partitioner = tf.compat.v1.fixed_size_partitioner
        for name, shape, number, axis in [
            ("embedding/rows", [7, 5], 3, 0),
            ("dense/columns", [4, 6], 2, 1),
            ("conv/w", [3, 3, 5, 4], 4, 2),
            ("vector", [300], 2, 0),
        ]:
            tf.compat.v1.get_variable(
                name,
                shape,
                initializer=different,
                partitioner=partitioner(number, axis),
            )
        tf.compat.v1.get_variable("whole", initializer=floats(3, 2, 3))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(write_version=2).save(
            session, str(prefix), write_meta_graph=False, write_state=False, latest_filename="unused"
        )


def expected(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    found = {}
    for name, shape in sorted(reader.get_variable_to_shape_map().items()):
        dtype = reader.get_variable_to_dtype_map()[name]
        value = reader.get_tensor(name)
        if dtype.is_floating:
            # The shortest text that is read back as the same 32-bit float; JSON has no infinities.
            values = [str(np.float32(v)) for v in np.asarray(value).ravel()]
        elif dtype == tf.string or dtype.is_complex:
            values = None
        else:
            values = np.asarray(value).astype(object).ravel().tolist()
        found[name] = {"dtype": dtype.name, "shape": shape, "values": values}
    return found


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    # The names differ at their beginning, so that the table can't shorten them.
    long = {f"{i * 7919 % 1100:04}/{'deep/' * 100}w": halves(i) for i in range(1100)}
    with tempfile.TemporaryDirectory() as scratch:
        Path(f"{scratch}/m/variables").mkdir(parents=True)
        save(f"{scratch}/m/variables/variables", {name: tf.constant(value) for name, value in long.items()})
        Path(f"{scratch}/m/tfhub_module.pb").write_bytes(b"\x08\x03")
        pack(f"{scratch}/m", OUT / "blocks.tar.gz")

    types = {
        "scalar": tf.constant(-2.5),
        "global_step": tf.constant(2**40 + 7, tf.int64),
        "none": tf.zeros([3, 0, 2]),
        "strings": tf.constant(["one", "", "drei\0"]),
        "no_strings": tf.constant([], tf.string),
        "specials": tf.constant([np.inf, -np.inf, -0.0, 1e-45]),
        "complex": tf.constant([1 + 2j], tf.complex64),
    }
    for dtype in "float32 float64 float16 bfloat16 bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split():
        types[f"of/{dtype}"] = tf.cast(tf.constant([[0, 1, 2], [3, 100, 7]]), dtype)
    types["of/int32_low"] = tf.constant([-(2**31), 2**31 - 1], tf.int32)
    types["of/int64_low"] = tf.constant([-(2**63), 2**63 - 1], tf.int64)
    save(OUT / "types", types)

    partitioned(OUT / "parts")

    with tempfile.TemporaryDirectory() as scratch:
        both = floats(11, 4, 3)
        first, second = parts("both", both, [0, 1])
        uneven = list(parts("größe/一\x7f", floats(12, 2, 400), [1, 70, 200]))
        save(f"{scratch}/a", {"a/w": floats(8, 5)}, [first, *uneven[:1]])
        save(f"{scratch}/b", {"b/w": floats(9, 2, 2)}, [second, *uneven[1:]])
        save(f"{scratch}/c", {"c/step": tf.constant(12, tf.int32)})
        raw.MergeV2Checkpoints(
            checkpoint_prefixes=[f"{scratch}/{name}" for name in "abc"],
            destination_prefix=str(OUT / "shards"),
            delete_old_dirs=False,
        )

    model = tf.Module()
    model.w = tf.Variable(floats(13, 2))
    tf.train.Checkpoint(model=model).write(str(OUT / "objects"))

    found = {name: expected(OUT / name) for name in ["types", "parts", "shards", "objects"]}
    lines = [f"{json.dumps(name)}: {json.dumps(content, ensure_ascii=False)}" for name, content in found.items()]
    (OUT / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
