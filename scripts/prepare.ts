// node --import tsx scripts/prepare.ts [FOLDER...]
//
// Brings a clone from any state to one in which tests and examples run: builds the package, and installs what the manifests
// in these folders lock. What is up to date already is left alone.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** When a file was changed last; 0 if it is not there. */
export function timeOf (...path: string[]): number {
  return statSync(join(ROOT, ...path), { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** Runs npm to its end. */
function npm (...args: string[]): void {
  const { status } = spawnSync('npm', args, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) throw new Error(`npm ${args.join(' ')} failed`)
}

/** Whether dist/ has what the sources are now. */
export function isBuilt (): boolean {
  const sources = ['lib', 'types'].flatMap(folder => readdirSync(join(ROOT, folder), { recursive: true }).map(name => timeOf(folder, String(name))))
  return Math.max(...sources, timeOf('tsconfig.json'), timeOf('tsconfig.build.json'), timeOf('scripts/build.ts')) <= timeOf('dist/lib/index.js')
}

/** Builds the package into dist/. */
export function build (): void {
  if (!isBuilt()) npm('run', '--silent', 'build')
}

/** @param folder with package.json and package-lock.json, below the root */
export function install (folder: string): void {
  const lock = readFileSync(join(ROOT, folder, 'package-lock.json'), 'utf8')
  // A copy of the lock, since times of files change with every checkout.
  const installed = join(ROOT, folder, 'node_modules/.installed-lock.json')
  if (existsSync(installed) && readFileSync(installed, 'utf8') === lock) return
  console.log(`npm ci --prefix ${folder}`)
  npm('ci', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error')
  writeFileSync(installed, lock)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build()
  for (const folder of process.argv.slice(2)) install(folder)
}
