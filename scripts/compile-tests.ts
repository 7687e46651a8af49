// Bundles the library's tests, with the sources that they import, into a folder in which they run without a loader.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, transform, type BuildOptions, type Plugin } from 'esbuild'
import { filesIn } from './files.js'
import { ROOT } from './prepare.js'

/** Below the root, since modules look for packages in the folders above them. */
const COMPILED = join(ROOT, '.tap/compiled')

/** Tests of other suites have packages of their own, which are not above the compiled modules. */
const OTHERS = /^test[\\/](brokers|compat|examples|interop|load|matrix|pack|runtimes|site)[\\/]/

/** Programs that tests start with `compiledProgram` of test/support/programs.ts. */
const PROGRAMS = [
  'fuzz/server.ts',
  'test/faults/client.ts',
  'test/faults/fault-server.ts',
  'test/fuzz/ws-server.ts',
  'test/model/worker.ts',
  'test/model/wrong.ts',
  'test/server/throwing-subscribers.ts'
]

/** Tests find it there before the installed one, and tap knows by the names of the folders that it is no part of a test's stack. */
const TAP = join(COMPILED, 'node_modules/tap')

const OPTIONS: BuildOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning'
}

/**
 * Loaders, and a module for each source, cost each test process, of which there are as many as files, more time than most
 * tests need. What several tests import is in chunks that they share.
 */
export async function compileTests (): Promise<void> {
  await mkdir(COMPILED, { recursive: true })
  const tests = filesIn('test').filter(path => path.endsWith('.test.ts') && !OTHERS.test(path))
  const { metafile } = await build({
    ...OPTIONS,
    entryPoints: [...tests, ...PROGRAMS],
    outdir: COMPILED,
    outbase: ROOT,
    splitting: true,
    chunkNames: 'chunks/[hash]',
    packages: 'external',
    // "sideEffects" of package.json is for the package
    ignoreAnnotations: true,
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    plugins: [PLACES_OF_SOURCES]
  })
  await removeOthers(new Set(Object.keys(metafile.outputs).map(path => relative(COMPILED, join(ROOT, path)))))
}

/** Puts tap, with the plugins that it was built with, into one file: finding its 300 modules takes longer than running them. */
export async function compileTap (): Promise<void> {
  const banner = "import { createRequire as requireOf } from 'node:module'\nconst require = requireOf(import.meta.url)"
  await build({ ...OPTIONS, entryPoints: ['node_modules/tap/dist/esm/index.js'], outfile: join(TAP, 'index.js'), banner: { js: banner } })
  await writeFile(join(TAP, 'package.json'), '{ "type": "module", "main": "index.js" }\n')
}

/** A module finds files beside its source, wherever it is compiled to. */
const PLACES_OF_SOURCES: Plugin = {
  name: 'places-of-sources',
  setup (build) {
    build.onLoad({ filter: /\.[jt]s$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      if (!source.includes('import.meta.')) return { contents: source, loader: 'ts' }
      const { code } = await transform(source, {
        loader: 'ts',
        format: 'esm',
        tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
        sourcemap: 'inline',
        sourcesContent: false,
        sourcefile: path,
        define: {
          'import.meta.url': JSON.stringify(pathToFileURL(path).href),
          'import.meta.filename': JSON.stringify(path),
          'import.meta.dirname': JSON.stringify(dirname(path))
        }
      })
      return { contents: code, loader: 'js' }
    })
  }
}

/** Modules that an earlier run wrote of other sources. */
async function removeOthers (names: Set<string>): Promise<void> {
  const there = await readdir(COMPILED, { recursive: true })
  const others = there.filter(name => /\.js(\.map)?$/.test(name) && !name.startsWith('node_modules') && !names.has(name))
  await Promise.all(others.map(name => rm(join(COMPILED, name))))
}
