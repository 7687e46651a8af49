// node --import tsx scripts/docs.ts build|dev [ARGUMENT OF VITEPRESS...]
//
// Builds the site of docs/ into docs/.vitepress/dist, or serves it while its files are edited. Both write the API reference first,
// from the types, into docs/api.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { install, ROOT } from './prepare.js'
import { brokenLinks } from './site-links.js'

const DOCS = join(ROOT, 'docs')

export const SITE = join(DOCS, '.vitepress/dist')

/** Runs a program of docs/ to its end. */
async function run (program: string, ...args: string[]): Promise<void> {
  // tap hands its loader down in NODE_OPTIONS
  const child = spawn(process.execPath, [join(DOCS, 'node_modules', program), ...args], { cwd: DOCS, stdio: 'inherit', env: { ...process.env, NODE_OPTIONS: '' } })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  })
  if (code !== 0) throw new Error(`${program} failed`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, ...args] = process.argv.slice(2)
  if (command !== 'build' && command !== 'dev') throw new Error('usage: scripts/docs.ts build|dev [ARGUMENT OF VITEPRESS...]')
  install('docs')
  await run('typedoc/bin/typedoc', '--options', 'typedoc.js')
  await run('vitepress/bin/vitepress.js', command, '.', ...args)
  if (command === 'build') {
    const broken = await brokenLinks(SITE)
    for (const { page, href, why } of broken) console.error(`${page}: ${href}: ${why}`)
    if (broken.length > 0) throw new Error(`${broken.length} broken links`)
  }
}
