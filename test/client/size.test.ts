import { build } from 'esbuild'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import t from 'tap'

// What a page has to load.

const CLIENT = fileURLToPath(new URL('../../lib/client/', import.meta.url))

/** Bytes of a page that uses these exports, minified and gzipped. */
async function sizeOf (exported: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `export ${exported} from './index.ts'`, resolveDir: CLIENT, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022'
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

t.test('at most 6 KB for all, and 3 KB for JSON routes alone', async t => {
  const all = await sizeOf('*')
  t.ok(all <= 6_000, `all: ${all} bytes`)
  const json = await sizeOf('{ connectJson }')
  t.ok(json <= 3_000, `connectJson: ${json} bytes`)
})

t.test('nothing of Node', async t => {
  for (const name of await readdir(CLIENT)) {
    t.notMatch(await readFile(new URL(name, new URL('../../lib/client/', import.meta.url)), 'utf8'), /\bprocess\b(?!es)|\bBuffer\b|from 'node:|\brequire\b/, name)
  }
})
