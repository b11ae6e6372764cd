"""A peer that scores in a loop: `peers.py NAME FOLDER SHAPE CALLS`; a line on standard input starts a run.

A run prints microseconds a row; the first line printed is the scores. One thread each, arrays built before.
"""

import ctypes
import sys
import time

import numpy

name, folder, shape, calls = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
x = numpy.fromfile(f"{folder}/x.f32", "<f4").reshape(-1, 40)
rows = len(x)


def lightgbm_c():
    import lightgbm

    booster = lightgbm.Booster(model_file=f"{folder}/{shape}.txt")
    library, out, length = lightgbm.basic._LIB, numpy.zeros(rows), ctypes.c_int64()
    pointer = lambda a: a.ctypes.data_as(ctypes.c_void_p)
    arguments = (
        booster._handle, pointer(x), ctypes.c_int(0), ctypes.c_int32(rows), ctypes.c_int32(x.shape[1]), ctypes.c_int(1),
        ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(-1), b"num_threads=1", ctypes.byref(length), pointer(out),
    )

    def run(keep=booster):
        if library.LGBM_BoosterPredictForMat(*arguments) != 0:
            raise RuntimeError("LightGBM fails")

    return run, out


def onnxruntime_native():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{folder}/{shape}.onnx", options, providers=["CPUExecutionProvider"])
    out = numpy.zeros((rows, 1), "f4")
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, x)
    binding.bind_output(
        session.get_outputs()[0].name, "cpu", 0, numpy.float32, out.shape, out.ctypes.data
    )
    return lambda: session.run_with_iobinding(binding), out


def compiled():
    import os

    import tl2cgen
    import treelite

    library = f"{folder}/{shape}.tl2cgen.so"
    model = treelite.frontend.load_lightgbm_model(f"{folder}/{shape}.txt")
    if not os.path.exists(library):
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 8}, verbose=False)
    predictor = tl2cgen.Predictor(library, nthread=1)
    data, out = tl2cgen.DMatrix(x.astype("f8")), numpy.zeros(rows)

    def run():
        out[:] = predictor.predict(data).ravel()

    return run, out


run, out = {"lightgbm": lightgbm_c, "onnxruntime": onnxruntime_native, "tl2cgen": compiled}[name]()
run()
print(" ".join(repr(float(s)) for s in out.ravel()), flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    for _ in range(calls):
        run()
    print((time.perf_counter() - started) / calls / rows * 1e6, flush=True)
