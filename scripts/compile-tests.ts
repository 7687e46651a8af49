// Compiles the library's tests, and the sources that they import, into a folder in which they run without a loader.

import { readFileSync, statSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transform } from 'esbuild'
import { filesIn } from './files.js'
import { ROOT } from './prepare.js'

/** Below the root, since modules look for packages in the folders above them. */
export const COMPILED = join(ROOT, '.tap/compiled')

/** Folders that tests of the library import from. */
const FOLDERS = ['lib', 'test', 'scripts', 'bench', 'fuzz', 'soak', 'docs/.vitepress']

/** Tests of other suites have packages of their own, which are not above the compiled modules; the site is built. */
const OTHERS = /^docs[\\/]\.vitepress[\\/](cache|dist)[\\/]|^test[\\/](brokers|compat|examples|interop|load|matrix|pack|runtimes|site)[\\/].*\.test\.ts$/

/** Loaders cost each test process, of which there are as many as files, more time than most tests need. */
export async function compileTests (): Promise<void> {
  const sources = FOLDERS.flatMap(folder => filesIn(folder))
    .filter(path => /(?<!\.d)\.[jt]s$/.test(path) && !OTHERS.test(path))
  await removeOthers(new Set(sources.map(compiledName)))
  const tsconfigRaw = readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')
  await Promise.all(sources.map(path => compile(path, tsconfigRaw)))
}

function compiledName (path: string): string {
  return path.replace(/\.ts$/, '.js')
}

/** Modules whose sources are gone. */
async function removeOthers (names: Set<string>): Promise<void> {
  const there = await readdir(COMPILED, { recursive: true }).catch(() => [])
  await Promise.all(there.filter(name => name.endsWith('.js') && !names.has(name)).map(name => rm(join(COMPILED, name))))
}

async function compile (path: string, tsconfigRaw: string): Promise<void> {
  const [source, target] = [join(ROOT, path), join(COMPILED, compiledName(path))]
  if (statSync(source).mtimeMs <= (statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0)) return
  const { code } = await transform(await readFile(source, 'utf8'), {
    loader: 'ts',
    format: 'esm',
    target: 'node20',
    tsconfigRaw,
    sourcemap: 'inline',
    sourcesContent: false,
    sourcefile: source,
    // what a module looks for beside itself is beside its source
    define: {
      'import.meta.url': JSON.stringify(pathToFileURL(source).href),
      'import.meta.filename': JSON.stringify(source),
      'import.meta.dirname': JSON.stringify(dirname(source))
    }
  })
  await mkdir(dirname(target), { recursive: true })
  await writeFile(target, code)
}
