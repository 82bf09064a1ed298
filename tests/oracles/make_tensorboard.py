"""Records of TensorBoard's own writer for src/journal/tensorboard.rs.

Made with Python 3.11, tensorboard 2.21.0, protobuf 7.36.2:

    python -m venv venv && venv/bin/pip install tensorboard==2.21.0 protobuf==7.36.2
    venv/bin/python tests/oracles/make_tensorboard.py

Writes tests/oracles/tensorboard/records.json: names and the bytes of one TFRecord each, in hexadecimal.
"""

import io
import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).parent / "tensorboard" / "records.json"
TIME = 1_700_000_000.25


def record(**fields):
    file = io.BytesIO()
    RecordWriter(file).write(Event(wall_time=TIME, **fields).SerializeToString(deterministic=True))
    return file.getvalue().hex()


def summary(step, **value):
    return record(step=step, summary=Summary(value=[Summary.Value(**value)]))


def main():
    picture = Summary.Image(height=130, width=200, colorspace=1, encoded_image_string=b"the bytes of a PNG")
    text = TensorProto(
        dtype=DT_STRING,
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        string_val=["seed = 1 # Größe".encode()],
    )
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    records = {
        "version": record(file_version="brain.Event:2"),
        "session_start": record(step=301, session_log=SessionLog(status=SessionLog.START)),
        "scalar": summary(300, tag="loss/encoder", simple_value=-0.1),
        "scalar_nan": summary(0, tag="loss", simple_value=float("nan")),
        "image": summary(70_000, tag="samples", image=picture),
        "text": summary(1, tag="recipe", tensor=text, metadata=plugin),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
