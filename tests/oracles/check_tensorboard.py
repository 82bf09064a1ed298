"""Reads a folder of event files with TensorBoard's own reader and prints what is in it.

Run by hand, e.g. on the events of a run that was killed and resumed:

    python -m venv venv && venv/bin/pip install tensorboard==2.21.0 pillow==13.0.0 "setuptools<80"
    venv/bin/python tests/oracles/check_tensorboard.py FOLDER

Fails where a record is torn, a step stands twice or not in order, or an image is no PNG of the size in its event.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader


def steps(events):
    found = [event.step for event in events]
    assert found == sorted(set(found)), f"steps stand twice or not in order: {found}"
    return found


def main():
    folder = Path(sys.argv[1])
    files = sorted(folder.glob("*tfevents*"))
    assert files, f"no event files: {folder}"
    for file in files:
        records = list(RawEventFileLoader(str(file)).Load())
        size = sum(len(record) + 16 for record in records)
        assert size == file.stat().st_size, f"{file} has {file.stat().st_size} bytes, its whole records have {size}"
        print(f"{file.name}: {len(records)} records")
    run = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()
    for tag in sorted(run.Tags()["scalars"]):
        events = run.Scalars(tag)
        print(f"scalar {tag}: steps {steps(events)}, values {[round(event.value, 6) for event in events]}")
    for tag in sorted(run.Tags()["images"]):
        events = run.Images(tag)
        for event in events:
            image = Image.open(io.BytesIO(event.encoded_image_string))
            assert (image.format, image.size) == ("PNG", (event.width, event.height)), image
        print(f"image {tag}: steps {steps(events)}, {image.width} x {image.height} {image.mode}")
    for tag in sorted(run.Tags()["tensors"]):
        events = run.Tensors(tag)
        plugin = run.SummaryMetadata(tag).plugin_data.plugin_name
        print(f"{plugin} {tag}: steps {steps(events)}, {events[-1].tensor_proto.string_val[0].decode()!r}")


if __name__ == "__main__":
    main()
