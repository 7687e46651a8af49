// npm run build:wasm: assembles lib/protocol/frame-kernel.wat into lib/protocol/frame-kernel.ts.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import wabt from 'wabt'

const SOURCE = new URL('../../lib/protocol/frame-kernel.wat', import.meta.url)
const TARGET = new URL('../../lib/protocol/frame-kernel.ts', import.meta.url)
const EMBEDDED = /(const MODULE = )'[^']*'/

/** The module as it should be embedded: base64. */
export async function assemble (): Promise<string> {
  const module = (await wabt()).parseWat('frame-kernel.wat', readFileSync(SOURCE, 'utf8'), { simd: true })
  return Buffer.from(module.toBinary({}).buffer).toString('base64')
}

/** The module as it is embedded. */
export function embedded (): string {
  return /const MODULE = '([^']*)'/.exec(readFileSync(TARGET, 'utf8'))![1]!
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(TARGET, readFileSync(TARGET, 'utf8').replace(EMBEDDED, `$1'${await assemble()}'`))
}
