"""Trains the models that every peer scores, and the rows they score: `models.py FOLDER`."""

import pathlib
import sys

import lightgbm
import numpy
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

FEATURES, ROWS, TRAINING_ROWS = 40, 200, 50_000
SHAPES = [(100, 31), (300, 8), (500, 31), (300, 31), (200, 127)]

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = numpy.random.default_rng(1)
x = random.normal(size=(TRAINING_ROWS, FEATURES)).astype("f4")
weights = random.normal(size=(FEATURES, 8))
y = numpy.tanh(x @ weights).sum(axis=1) + x[:, 0] * x[:, 1] + random.normal(size=TRAINING_ROWS)
random.normal(size=(ROWS, FEATURES)).astype("<f4").tofile(folder / "x.f32")
for trees, leaves in SHAPES:
    name = folder / f"{trees}x{leaves}"
    if name.with_suffix(".onnx").exists():
        continue
    settings = dict(objective="regression", num_leaves=leaves, min_data_in_leaf=20, verbose=-1, num_threads=1, seed=1)
    model = lightgbm.train(settings, lightgbm.Dataset(x, y), trees)
    model.save_model(name.with_suffix(".txt"))
    onnx = convert_lightgbm(model, initial_types=[("features", FloatTensorType([None, FEATURES]))], target_opset=15)
    name.with_suffix(".onnx").write_bytes(onnx.SerializeToString())
