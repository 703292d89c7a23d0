// node features.mjs MODEL.onnx INPUT.f32 COUNT OUT: runs the network on COUNT normalised pictures, float32 as they lie in
// INPUT.f32, once as one batch, and writes every output to OUT/NAME.f32.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ort from 'onnxruntime-node'

const [model, input, count, out] = process.argv.slice(2)
const bytes = readFileSync(input)
const pixels = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
const side = Math.round(Math.sqrt(pixels.length / 3 / count))
const session = await ort.InferenceSession.create(model)
const outputs = await session.run({ pixels: new ort.Tensor('float32', pixels, [Number(count), 3, side, side]) })
for (const [name, { data }] of Object.entries(outputs)) {
  writeFileSync(join(out, `${name}.f32`), Buffer.from(data.buffer, data.byteOffset, data.byteLength))
}
