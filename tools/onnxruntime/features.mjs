// node features.mjs MODEL.onnx INPUT COUNT OUT: runs the network on COUNT pictures as one batch and writes every output to
// OUT/NAME.f32. INPUT holds them as MODEL.onnx.json says: normalised float32, or bytes.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ort from 'onnxruntime-node'

const [model, file, count, out] = process.argv.slice(2)
const { input } = JSON.parse(readFileSync(`${model}.json`)).graph
const bytes = readFileSync(file)
const pixels = input.type === 'uint8' ? new Uint8Array(bytes) : new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
const session = await ort.InferenceSession.create(model)
const outputs = await session.run({ [input.name]: new ort.Tensor(input.type, pixels, [Number(count), ...input.shape.slice(1)]) })
for (const [name, { data }] of Object.entries(outputs)) {
  writeFileSync(join(out, `${name}.f32`), Buffer.from(data.buffer, data.byteOffset, data.byteLength))
}
