"""Checks an ONNX file in full and prints what shape inference says of its outputs, as JSON."""
import json
import sys

import onnx

model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def port(value):
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "type": {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.INT64: "int64"}[tensor.elem_type],
        "shape": [d.dim_param or d.dim_value for d in tensor.shape.dim],
    }


def declared():
    """Shapes that inference finds on its own: the nodes behind the outputs, whose shapes the file does not state."""
    shapes = {v.name: port(v)["shape"] for v in inferred.graph.value_info}
    sources = {node.output[0]: node.input[0] for node in model.graph.node}
    return {o.name: shapes[sources[o.name]] for o in model.graph.output}


print(json.dumps({
    "ir": model.ir_version,
    "opset": model.opset_import[0].version,
    "inputs": [port(v) for v in inferred.graph.input],
    "outputs": [port(v) for v in inferred.graph.output],
    "inferred": declared(),
    "metadata": {p.key: json.loads(p.value) for p in model.metadata_props},
}))
