// node bench.mjs MODEL.onnx… [--batch N] [--threads N] [--seconds N]: pictures a second of ONNX Runtime on exported
// networks, one JSON line each: the median batch of those of the given seconds, after two that do not count.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { cpus } from 'node:os'
import ort from 'onnxruntime-node'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { batch: { type: 'string', default: '64' }, threads: { type: 'string', default: '0' }, seconds: { type: 'string', default: '10' } },
})
const batch = Number(values.batch)

for (const path of positionals) {
  const { input } = JSON.parse(readFileSync(`${path}.json`)).graph
  const shape = [batch, ...input.shape.slice(1)]
  const size = shape.reduce((a, b) => a * b)
  const data = input.type === 'uint8' ? new Uint8Array(size) : new Float32Array(size)
  for (let i = 0; i < size; i++) data[i] = input.type === 'uint8' ? i % 251 : Math.sin(i)
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: Number(values.threads) })
  const pixels = new ort.Tensor(input.type, data, shape)
  const times = []
  for (const end = performance.now() + 1000 * Number(values.seconds); times.length < 5 || performance.now() < end; ) {
    const start = performance.now()
    await session.run({ pixels })
    times.push(performance.now() - start)
  }
  const counted = times.slice(2).sort((a, b) => a - b)
  const median = counted[Math.floor(counted.length / 2)]
  console.log(JSON.stringify({
    model: path, batch, threads: Number(values.threads) || 'all', batches: counted.length,
    images_per_second: Number((1000 * batch / median).toFixed(1)), onnxruntime: ort.env.versions?.node ?? '', cpu: cpus()[0].model,
  }))
}
