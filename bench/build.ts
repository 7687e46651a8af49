// Everything is built anew for each run, into a folder of its own: what is measured is what `npm run build` makes of
// lib/ as it was at the start, and no process has to compile TypeScript first.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const BENCH = dirname(fileURLToPath(import.meta.url))
export const ROOT = dirname(BENCH)

export interface Build {
  folder: string
  /** A file of bench/, as JavaScript. */
  script: (file: string) => string
  /** The generator in C, or why there is none. */
  load: { path: string } | { missing: string }
}

/** @param modules a folder with node_modules: the peers installed there are found, since the build is beneath it */
export function build (modules = BENCH): Build {
  const cache = join(modules, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'run-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'))
  execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', join(BENCH, 'tsconfig.json'), '--outDir', folder], { stdio: 'inherit' })
  execFileSync(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts/build.ts'), join(folder, 'package')], { cwd: ROOT, stdio: 'inherit' })
  writeFileSync(join(folder, 'lib/index.js'), "export { default } from '../package/lib/index.mjs'\n")
  writeFileSync(join(folder, 'lib/redis/index.js'), "export { redis } from '../../package/lib/redis/index.mjs'\n")
  return { folder, script: file => join(folder, 'bench', file), load: compileLoad(join(folder, 'load')) }
}

/** load.c, on the spot. */
export function compileLoad (path: string): Build['load'] {
  if (process.platform !== 'linux') return { missing: 'it needs Linux' }
  try {
    execFileSync('cc', ['-O2', '-o', path, join(BENCH, 'load.c')], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    // Behind the command, what the compiler says.
    return { missing: (error as Error).message.split('\n').slice(0, 3).join(' ') }
  }
  return { path }
}

/** The version of a package as the servers find it. */
export function versionOf (name: string): string | null {
  const path = [BENCH, ROOT].map(folder => join(folder, 'node_modules', name, 'package.json')).find(existsSync)
  return path === undefined ? null : (createRequire(import.meta.url)(path) as { version: string }).version
}
