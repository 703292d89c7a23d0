// node duckdb.mjs FILE.sql: runs the statements of a file and prints their rows.
import { readFileSync } from 'node:fs'
import { DuckDBInstance } from '@duckdb/node-api'

const connection = await (await DuckDBInstance.create()).connect()
const statements = await connection.extractStatements(readFileSync(process.argv[2], 'utf8'))
for (let i = 0; i < statements.count; i++) {
  const reader = await (await statements.prepare(i)).runAndReadAll()
  const rows = reader.getRowsJson().map((row) => row.map((value) => (Array.isArray(value) ? `[${value}]` : value)))
  console.log([reader.columnNames(), ...rows].map((row) => row.join('  ')).join('\n') + '\n')
}
