"""Writes tests/oracles/images/ and tests/oracles/images.json: pictures by Pillow, resampling by Pillow, per-column
scaling by scikit-learn.

    pip install numpy==2.3.5 pillow==12.0.0 scikit-learn==1.8.0
    python tests/oracles/make_images.py

All pictures are made here; none is of a patient.
"""

import json
import pathlib

import numpy as np
from PIL import Image
from sklearn.preprocessing import MinMaxScaler

HERE = pathlib.Path(__file__).parent
FILES = HERE / "images"
FILES.mkdir(exist_ok=True)

H, W = 9, 13
rows, cols = np.mgrid[0:H, 0:W]
grey = ((rows * 29 + cols * 17) % 256).astype(np.uint8)
grey16 = (rows * 6151 + cols * 1009).astype(np.uint16)
color = np.stack([grey, np.roll(grey, 3, 1), 255 - grey], axis=-1)
alpha = ((rows * 31 + cols * 11) % 256).astype(np.uint8)
smooth = np.clip(rows * 20 + cols * 6, 0, 255).astype(np.uint8)

pictures = []


def luma(rgb):
    return np.asarray(Image.fromarray(rgb).convert("L"))


def over_black(values, a):
    # Exact rounding of values * a / 255.
    return ((values.astype(int) * a.astype(int) + 127) // 255).astype(np.uint8)


def add(name, image, expected, tolerance=0, **options):
    image.save(FILES / name, **options)
    expected = np.asarray(expected)
    pictures.append(
        {
            "file": name,
            "bits": 16 if expected.dtype == np.uint16 else 8,
            "dim": list(expected.shape),
            "tolerance": tolerance,
            "values": expected.astype(int).ravel().tolist(),
        }
    )


l8, rgb = Image.fromarray(grey), Image.fromarray(color)
add("l8.png", l8, grey)
add("rgb8-grey.png", Image.merge("RGB", [l8] * 3), grey)
add("rgb8.png", rgb, luma(color))
add("la8.png", Image.merge("LA", [l8, Image.fromarray(alpha)]), over_black(grey, alpha))
add("rgba8.png", Image.merge("RGBA", [*rgb.split(), Image.fromarray(alpha)]), over_black(luma(color), alpha))
add("l1.png", l8.point(lambda v: 255 * (v > 127)).convert("1"), np.where(grey > 127, 255, 0).astype(np.uint8))
palette = rgb.quantize(16)
add("palette.png", palette, luma(np.asarray(palette.convert("RGB"))))
add("l16.png", Image.fromarray(grey16), grey16)
add("l8.jpg", Image.fromarray(smooth), smooth, 3, quality=95)
for name, options in {"rgb.jpg": {}, "progressive.jpg": {"progressive": True}}.items():
    picture = Image.merge("RGB", [Image.fromarray(smooth)] * 3)
    add(name, picture, smooth, 3, quality=95, **options)
for compression in ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"]:
    add(f"l8-{compression}.tif", l8, grey, compression=compression)
add("l16.tif", Image.fromarray(grey16), grey16)
add("rgb8.tif", rgb, luma(color))
add("l1.tif", l8.point(lambda v: 255 * (v > 127)).convert("1"), np.where(grey > 127, 255, 0).astype(np.uint8))
# White is zero: Pillow inverts when it writes and when it reads.
add("white-is-zero.tif", l8, grey, tiffinfo={262: 0})
assert (np.asarray(Image.open(FILES / "white-is-zero.tif")) == grey).all()

# What must be refused.
Image.fromarray(grey).save(FILES / "two-pages.tif", save_all=True, append_images=[Image.fromarray(grey)])
Image.fromarray(grey.astype(np.float32)).save(FILES / "float.tif")
Image.fromarray(grey).save(FILES / "animation.png", save_all=True, append_images=[Image.fromarray(255 - grey)])

generator = np.random.default_rng(0)
resampled = []
for size, new in [((16, 16), (7, 7)), ((9, 13), (20, 31)), ((40, 24), (16, 16)), ((5, 64), (8, 8)), ((6, 6), (1, 1))]:
    image = generator.uniform(-1, 1, size).astype(np.float32)
    out = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR))
    resampled.append(
        {"input": image.ravel().tolist(), "dim": size, "size": new, "output": out.ravel().tolist()}
    )

columns = []
for size in [(8, 5), (16, 16)]:
    image = generator.uniform(-1024, 2000, size).astype(np.float32)
    image[:, 1] = -1000  # constant
    out = MinMaxScaler(feature_range=(-1, 1)).fit_transform(image)
    columns.append({"input": image.ravel().tolist(), "dim": size, "output": out.ravel().tolist()})

(HERE / "images.json").write_text(
    json.dumps({"pictures": pictures, "resampled": resampled, "columns": columns}) + "\n"
)
