// node polars.mjs FEATURES: reads FEATURES.parquet with polars, and holds its vectors against the rows of FEATURES.npy.
import { readFileSync } from 'node:fs'
import pl from 'nodejs-polars'

const features = process.argv[2]
const frame = pl.readParquet(features + '.parquet')
console.log(frame.groupBy('label').len().sort('label').head(4).toString())

const npy = readFileSync(features + '.npy')
const data = npy.subarray(10 + npy.readUInt16LE(8)) // after the magic, the version and the header
let at = 0
for (const vector of frame.getColumn('vector')) {
  for (const number of vector) {
    if (number !== data.readFloatLE(at)) throw new Error(`number ${at / 4} is ${number}, in the npy file ${data.readFloatLE(at)}`)
    at += 4
  }
}
if (at !== data.length) throw new Error(`${at / 4} numbers, in the npy file ${data.length / 4}`)
console.log(`${frame.shape.height} vectors, ${at / 4} numbers: those of the npy file`)
