"""Writes blob_yunet.onnx: a network with YuNet's outputs that finds pure red squares.

python tests/golden/make_blob_yunet.py      (needs onnx, which the tests do not)

YuNet's own file may not be had everywhere; this one lets OpenCV's FaceDetectorYN run for real. Each
of the three grids (a cell is 8, 16, 32 px) says how red its cells are: the mean over a cell of
(R - G - B) / 255, so a score needs RGB put in the right order. A cell's box is its own square.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 320  # OpenCV 4 runs it at any size


def main():
    nodes, constants, outputs = [], {}, []

    def constant(name, value):
        constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    # BGR in, one channel of redness out.
    constant("red_of_bgr", np.array([-1, -1, 1], np.float32).reshape(1, 3, 1, 1) / 255)
    nodes.append(helper.make_node("Conv", ["input", "red_of_bgr"], ["signed"]))
    nodes.append(helper.make_node("Relu", ["signed"], ["red"]))
    for stride in (8, 16, 32):
        cells = (SIDE // stride) ** 2
        nodes.append(
            helper.make_node(
                "AveragePool",
                ["red"],
                [f"cells_{stride}"],
                kernel_shape=[stride, stride],
                strides=[stride, stride],
            )
        )
        # A face's center is (cell + offset) * stride, its side exp(log side) * stride.
        heads = {"cls": ([1.0], [0.0]), "obj": ([1.0], [0.0])}
        heads["bbox"] = ([0.0] * 4, [0.5, 0.5, 0.0, 0.0])
        heads["kps"] = ([0.0] * 10, [0.5] * 10)
        for head, (weight, bias) in heads.items():
            name, width = f"{head}_{stride}", len(bias)
            constant(f"{name}_weight", np.array(weight, np.float32).reshape(-1, 1, 1, 1))
            constant(f"{name}_bias", np.array(bias, np.float32))
            constant(f"{name}_shape", np.array([1, -1, width], np.int64))
            nodes += [
                helper.make_node(
                    "Conv",
                    [f"cells_{stride}", f"{name}_weight", f"{name}_bias"],
                    [f"{name}_map"],
                ),
                helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_last", f"{name}_shape"], [name]),
            ]
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, cells, width])
            )
    order = ("cls", "obj", "bbox", "kps")
    outputs.sort(key=lambda output: order.index(output.name.split("_")[0]))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "blob_yunet", [image], outputs, list(constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, pathlib.Path(__file__).with_name("blob_yunet.onnx"))


if __name__ == "__main__":
    main()
