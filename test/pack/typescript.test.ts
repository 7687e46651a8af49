import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/examples.js'
import { createPackedProject, packPackage, run } from '../support/packed.js'

// Every compiler that is supported reads the declarations, and the programs that it makes run. Fastify and @types/node are
// those of this folder: newer ones do not support TypeScript 5.4.

const HERE = join(ROOT, 'test/pack')

const COMPILERS = {
  5.4: 'test/pack/node_modules/typescript-5.4',
  5.5: 'test/pack/node_modules/typescript-5.5',
  5.9: 'test/pack/node_modules/typescript',
  6: 'node_modules/typescript',
  7: 'node_modules/typescript-7'
}

type Version = keyof typeof COMPILERS

/** Programs that are written once, and compiled as ES modules, as CommonJS, and for bundlers. */
const PROGRAMS = ['echo-app', 'merged', 'declared', 'subpaths']

const NODE = ['required.cts', ...PROGRAMS.flatMap(name => [`${name}.mts`, `${name}.cts`])]
const PLAIN = PROGRAMS.map(name => `${name}.ts`)

/** Options, and the files that they are for. */
const SETTINGS = {
  nodenext: { args: ['--module', 'nodenext'], files: NODE, programs: ['echo-app.mjs', 'echo-app.cjs'] },
  node16: { args: ['--module', 'node16'], files: NODE, programs: ['echo-app.mjs', 'echo-app.cjs'] },
  bundler: { args: ['--module', 'esnext', '--moduleResolution', 'bundler'], files: PLAIN, programs: ['echo-app.js'] },
  preserve: { args: ['--module', 'preserve'], files: [...PLAIN, 'required.cts'], programs: ['echo-app.js'] },
  node10: {
    args: ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop', 'true'],
    files: [...PLAIN, 'required.cts'],
    programs: ['echo-app.js']
  },
  'node10 without esModuleInterop': {
    args: ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop', 'false'],
    files: [...PLAIN, 'required.cts'],
    programs: ['echo-app.js']
  },
  'commonjs for a bundler': {
    args: ['--module', 'commonjs', '--moduleResolution', 'bundler'],
    files: [...PLAIN, 'required.cts'],
    programs: ['echo-app.js']
  }
}

type Setting = keyof typeof SETTINGS

/** In every version. */
const EVERYWHERE: Setting[] = ['nodenext', 'node16', 'bundler']

const RUNS: Record<Version, Setting[]> = {
  5.4: [...EVERYWHERE, 'preserve', 'node10', 'node10 without esModuleInterop'],
  5.5: [...EVERYWHERE, 'node10 without esModuleInterop'],
  5.9: [...EVERYWHERE, 'preserve', 'node10', 'node10 without esModuleInterop'],
  6: [...EVERYWHERE, 'preserve', 'node10 without esModuleInterop'],
  7: [...EVERYWHERE, 'preserve', 'commonjs for a bundler']
}

t.test('TypeScript', async t => {
  const project = await createPackedProject(t, await packPackage(t), HERE)
  for (const name of PROGRAMS) {
    for (const extension of ['mts', 'cts']) await copyFile(join(project, `${name}.ts`), join(project, `${name}.${extension}`))
  }

  for (const [version, settings] of Object.entries(RUNS) as unknown as Array<[Version, Setting[]]>) {
    for (const setting of settings) {
      t.test(`${version}: ${setting}`, async t => {
        const { args, files, programs } = SETTINGS[setting]
        const out = `out/${version} ${setting}`
        await mkdir(join(project, out), { recursive: true })
        const common = ['--strict', '--declaration', '--target', 'es2022', '--types', 'node', '--skipLibCheck', 'false', '--pretty', 'false', '--rootDir', '.', '--outDir', out]
        if (version >= 6) common.push('--ignoreConfig')
        if (setting.startsWith('node10') && version >= 6) common.push('--ignoreDeprecations', '6.0')

        const output = await run(project, process.execPath, join(ROOT, COMPILERS[version], 'bin/tsc'), ...common, ...args, ...files)
          .catch((err: Error) => err.message)
        const errors = output.match(/^.*\berror TS.*$/gm) ?? []
        // pino has a default import that needs esModuleInterop
        t.strictSame(errors.filter(error => !(setting.endsWith('without esModuleInterop') && error.includes('node_modules/pino/'))), [])

        await copyFile(join(project, 'echo.cjs'), join(project, out, 'echo.cjs'))
        const isModule = setting === 'bundler' || setting === 'preserve'
        await writeFile(join(project, out, 'package.json'), JSON.stringify({ type: isModule ? 'module' : 'commonjs' }))
        for (const program of programs) t.equal(await run(join(project, out), process.execPath, program), 'echoed\n', program)
        if (files === NODE) t.match(await readFile(join(project, out, 'declared.d.mts'), 'utf8'), /WebSocketConnection/)
      })
    }
  }
})
