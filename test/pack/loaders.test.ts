import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'
import { ROOT } from '../support/examples.js'
import { createPackedProject, packPackage, run } from '../support/packed.js'

// Programs that load TypeScript or bundle, and the runners of tests: an echo through each.

const HERE = join(ROOT, 'test/pack')
const toolOf = (name: string): string => join(HERE, 'node_modules', name)

const COMMONJS = { module: 'commonjs', moduleResolution: 'node10', target: 'es2022', strict: true, esModuleInterop: true, types: ['node'], skipLibCheck: true }

t.test('loaders', async t => {
  const project = await createPackedProject(t, await packPackage(t), HERE)
  const node = async (...args: string[]): Promise<string> => run(project, process.execPath, ...args)
  const write = async (name: string, content: object): Promise<void> => writeFile(join(project, name), JSON.stringify(content))
  await write('package.json', { private: true })
  await write('tsconfig.json', { compilerOptions: COMMONJS, exclude: ['node_modules'] })

  await write('babel.config.json', { presets: [['@babel/preset-env', { targets: { node: 'current' } }], '@babel/preset-typescript'] })
  await write('babel-jest.json', { testMatch: ['**/jest/*.test.*'] })
  await write('ts-jest.json', { testMatch: ['**/jest/typed.test.ts'], transform: { '\\.ts$': 'ts-jest' } })
  await write('plain-jest.json', { testMatch: ['**/jest/required.test.js'], transform: {} })
  for (const version of [29, 30]) {
    for (const [transform, count] of [['plain', 1], ['babel', 3], ['ts', 1]] as const) {
      t.test(`Jest ${version} with ${transform === 'plain' ? 'CommonJS' : `${transform}-jest`}`, async t => {
        const output = await node(join(toolOf(`jest-${version}`), 'bin/jest.js'), '--ci', '--json', '--silent', '--config', `${transform}-jest.json`)
        t.has(JSON.parse(output), { success: true, numPassedTests: count })
      })
    }
  }

  t.test('vitest', async t => {
    const output = await node(join(toolOf('vitest'), 'vitest.mjs'), 'run', '--dir', 'vitest', '--reporter', 'json')
    t.has(JSON.parse(output), { success: true, numPassedTests: 2 })
  })

  t.test('ts-node', async t => {
    t.equal(await node(join(toolOf('ts-node'), 'dist/bin.js'), 'echo-app.ts'), 'echoed\n')
  })

  t.test('tsx', async t => {
    await writeFile(join(project, 'echo-app.mts'), await readFile(join(project, 'echo-app.ts')))
    for (const name of ['echo-app.ts', 'echo-app.mts']) t.equal(await node('--import', 'tsx', name), 'echoed\n', name)
  })

  const canStrip = process.allowedNodeEnvironmentFlags.has('--experimental-strip-types')
  t.test('Node without types', { skip: !canStrip && 'this Node does not remove types' }, async t => {
    await writeFile(join(project, 'stripped.mts'), await readFile(join(project, 'echo-app.ts')))
    t.equal(await node('--experimental-strip-types', 'stripped.mts'), 'echoed\n')
  })

  t.test('esbuild', async t => {
    for (const [entry, format] of [['imported.mjs', 'esm'], ['imported.mjs', 'cjs'], ['required.cjs', 'cjs'], ['imported-dynamically.cjs', 'cjs']] as const) {
      const outfile = join(project, 'bundles', `${entry}.${format === 'esm' ? 'mjs' : 'cjs'}`)
      // Fastify requires modules of Node, which a bundle that is an ES module has to be given
      const js = format === 'esm' ? "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" : ''
      await build({
        absWorkingDir: project, entryPoints: [entry], outfile, format, bundle: true, minify: true, platform: 'node', banner: { js }, logLevel: 'silent'
      })
      t.match(await node(outfile), /^(echoed\n)+$/, `${entry} as ${format}`)
    }
  })

  t.test('webpack', async t => {
    const webpack = createRequire(pathToFileURL(join(HERE, 'package.json')))('webpack') as
      (options: object, callback: (err: Error | null, stats?: { toJson (): { errors: object[], warnings: object[] } }) => void) => void
    const entries = ['imported.mjs', 'imported-dynamically.cjs', 'required.cjs']
    const options = entries.map(entry => ({
      mode: 'production', context: project, target: 'node20', entry: `./${entry}`, output: { path: join(project, 'packed'), filename: `${entry}.cjs` }, optimization: { minimize: false }
    }))
    const stats = await new Promise<{ errors: object[], warnings: object[] }>((resolve, reject) => {
      webpack(options, (err, stats) => err === null ? resolve(stats!.toJson()) : reject(err))
    })
    t.strictSame([...stats.errors, ...stats.warnings], [])
    for (const name of entries) t.match(await node(join('packed', `${name}.cjs`)), /^(echoed\n)+$/, name)
  })
})
