// node embed.mjs NETWORK.onnx FEATURES.parquet COUNT: makes features of the first pictures of FEATURES.parquet from their
// files, by sharp and ONNX Runtime, and tells how near they are to those in it. NETWORK.onnx is an export with --uint8.
import { readFileSync } from 'node:fs'
import { DuckDBInstance } from '@duckdb/node-api'
import ort from 'onnxruntime-node'
import sharp from 'sharp'

const [network, file, count] = process.argv.slice(2)
const { graph: { input, outputs } } = JSON.parse(readFileSync(`${network}.json`))
const side = input.shape[1] // [batch, side, side, 3]

// As FILE.json says: the short side to `side`, bicubic, the middle square; RGB bytes row by row.
const pixels = async (path) =>
  sharp(path).rotate().resize(side, side, { kernel: 'cubic' })
    .flatten({ background: 'white' }).toColourspace('srgb').raw().toBuffer()

const connection = await (await DuckDBInstance.create()).connect()
const reader = await connection.runAndReadAll('SELECT path, vector FROM read_parquet($1) LIMIT $2', [file, Number(count)])
const rows = reader.getRowsJS()

const session = await ort.InferenceSession.create(network)
const bytes = Uint8Array.from(Buffer.concat(await Promise.all(rows.map(([path]) => pixels(path)))))
const results = await session.run({ [input.name]: new ort.Tensor('uint8', bytes, [rows.length, side, side, 3]) })
const { name } = outputs.find(({ name }) => name.startsWith('layer_')) ?? outputs[0]
const { data, dims: [, dim] } = results[name]

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0)
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
const likeness = rows.map(([, vector], i) => cosine(data.subarray(i * dim, (i + 1) * dim), vector))
  .sort((a, b) => a - b)
console.log(`${name}: ${results[name].dims}; first values ${[...data.subarray(0, 3)].map((x) => x.toFixed(4))}`)
console.log(`cosine with pretrain extract: median ${likeness[likeness.length >> 1].toFixed(6)}, lowest ${likeness[0].toFixed(6)}`)
if (!(likeness[0] > 0.95)) throw new Error('features differ by more than decoding explains')
