"""Process that measures one inference engine with one file, started by `inference.py`.

    python benchmarks/inference_process.py '{"engine": "litert", "path": ..., "threads": 2, ...}'

It writes one JSON line after the first run, and then one for each line of its standard input, which
is the number of seconds to measure. Imports are part of the measured start.
"""

import json
import os
import resource
import sys
import time

STARTED = time.perf_counter()


def litert(task):
    """LiteRT interpreter on one crop."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=task["path"], num_threads=task["threads"])
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    source = runner.get_input_details()["image"]["index"]
    targets = {name: detail["index"] for name, detail in runner.get_output_details().items()}
    crop = _crop(task)

    def step():
        interpreter.set_tensor(source, crop)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in targets.items()}["landmarks"]

    return step


def onnx(task):
    """ONNX Runtime session on one crop."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    session = onnxruntime.InferenceSession(
        task["path"], options, providers=["CPUExecutionProvider"]
    )
    crop = _crop(task)
    names = ["landmarks", *(o.name for o in session.get_outputs() if o.name != "landmarks")]
    return lambda: session.run(names, {"image": crop})[0]


def torch(task):
    """Equal PyTorch network, as TorchScript."""
    import torch

    torch.set_num_threads(task["threads"])
    module = torch.jit.load(task["path"])
    crop = torch.from_numpy(_crop(task))

    def step():
        with torch.inference_mode():
            return module(crop).numpy()

    return step


def tf_function(task):
    """Keras network in a tf.function that is traced once."""
    import tensorflow as tf

    network, crop = _keras(task)
    run = tf.function(
        lambda image: network(image, training=False),
        input_signature=[tf.TensorSpec(crop.shape, tf.uint8)],
    )
    return lambda: {name: value.numpy() for name, value in run(crop).items()}["landmarks"]


def keras_predict(task):
    """``predict`` of the Keras network."""
    network, crop = _keras(task)
    return lambda: network.predict(crop, verbose=0)["landmarks"]


def facemesh(task):
    """MediaPipe's FaceMesh network on a black crop of 192 px; it has no signature."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=task["path"], num_threads=task["threads"])
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    crop = np.zeros(source["shape"], np.float32)

    def step():
        interpreter.set_tensor(source["index"], crop)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return step


def dlib(task):
    """dlib's regression trees in a box that covers most of an image; single-threaded."""
    import dlib
    import numpy as np

    predictor = dlib.shape_predictor(task["path"])
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    box = dlib.rectangle(10, 10, 117, 117)

    def step():
        points = predictor(image, box).parts()
        return np.array([[(point.x, point.y) for point in points]], np.float32)

    return step


def landmarker(task):
    """Landmarker on a frame with one face of 320 px; also measures the network in each call."""
    import pathlib

    import numpy as np

    from wing_tf.inference import Landmarker

    spent = task["network_ms"] = []

    class Timed(Landmarker):
        def predict_crops(self, crops):
            begun = time.perf_counter()
            found = super().predict_crops(crops)
            spent.append(1e3 * (time.perf_counter() - begun))
            return found

    timed = Timed(pathlib.Path(task["path"]), num_threads=task["threads"])
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    box = np.array([[480.3, 200.2, 800.3, 520.2]])
    return lambda: timed(frame, box)[0].landmarks_px


ENGINES = {
    "litert": litert,
    "landmarker": landmarker,
    "onnx": onnx,
    "torch": torch,
    "tf_function": tf_function,
    "keras_predict": keras_predict,
    "facemesh": facemesh,
    "dlib": dlib,
}


def _crop(task):
    import numpy as np

    with np.load(task["expected"]) as arrays:
        return arrays["crop"]


def _keras(task):
    import keras

    import wing_tf.models  # noqa: F401  (registers the layers)

    return keras.saving.load_model(task["path"], compile=False), _crop(task)


def main():
    """Measures until the standard input ends."""
    # Libraries print to stdout, so it is redirected to stderr, and a copy is kept for the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**facts):
        facts["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(facts), file=answers, flush=True)

    task = json.loads(sys.argv[1])
    step = ENGINES[task["engine"]](task)
    landmarks = step()
    first_ms = 1e3 * (time.perf_counter() - STARTED)
    difference = None
    if task["engine"] not in ("dlib", "facemesh", "landmarker"):
        import numpy as np

        with np.load(task["expected"]) as arrays:
            difference = float(np.abs(landmarks - arrays["landmarks"]).max())
    answer(load_and_first_ms=first_ms, difference_px=difference)
    for line in sys.stdin:
        for _ in range(3):
            step()
        task.get("network_ms", []).clear()
        times, begun = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - begun < float(line):
            one = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - one))
        answer(ms=times, network_ms=task.get("network_ms"))


if __name__ == "__main__":
    main()
