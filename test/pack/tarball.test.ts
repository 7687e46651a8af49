import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as api from '../../lib/index.js'
import { runCompiler } from '../support/compiler.js'
import { createPackedProject, packPackage, run } from '../support/packed.js'

// What users get: the tarball, in the module systems of Node and for the compiler. test/pack has the other ways to load it.

/** Bytes of the tarball, and of the files in it. README.md and docs/getting-started.md state both. */
const MOST_PACKED = 280_000
const MOST_UNPACKED = 1_150_000

/** Entries besides that of the plugin. */
const SUBPATHS = ['redis', 'nats', 'broker-tests']

t.test('the packed package', async t => {
  const packed = await packPackage(t)
  const project = await createPackedProject(t, packed)

  t.test('holds what it should, and no more', async t => {
    const { paths } = packed
    for (const path of ['package.json', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'dist/package.json', 'dist/types/connection.d.ts',
      ...['bundle.js', 'index.js', 'index.d.ts', 'index.mjs', 'index.d.mts'].map(name => `dist/lib/${name}`),
      ...SUBPATHS.flatMap(folder => ['index.js', 'index.d.ts', 'index.mjs', 'index.d.mts'].map(name => `dist/lib/${folder}/${name}`))]) {
      t.ok(paths.includes(path), path)
    }
    t.strictSame(paths.filter(path => !/^dist\/|^[^/]+\.(json|md)$|^LICENSE$/.test(path)), [])
  })

  t.test('is as small as the docs say', async t => {
    t.ok(packed.size < MOST_PACKED, `${packed.size} bytes`)
    t.ok(packed.unpackedSize < MOST_UNPACKED, `${packed.unpackedSize} bytes unpacked`)
    for (const file of ['README.md', 'docs/getting-started.md']) {
      const text = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
      const [, size, unpacked] = /tarball has (\d+) KB \((\d\.\d+) MB unpacked\)/.exec(text) ?? []
      t.ok(Math.abs(packed.size / 1000 - Number(size)) < 20, `${file} states ${size} KB`)
      t.ok(Math.abs(packed.unpackedSize / 1e6 - Number(unpacked)) < 0.1, `${file} states ${unpacked} MB`)
    }
  })

  t.test('has no reference to a file that it does not have', async t => {
    for (const path of packed.paths.filter(path => /\.(js|mjs|ts|mts)$/.test(path))) {
      const text = await readFile(join(project, 'node_modules/fastify-ws-routes', path), 'utf8')
      for (const [, url] of text.matchAll(/^\/\/# sourceMappingURL=(.*)$/gm)) t.ok(packed.paths.includes(join(path, '..', url!)), `${path}: ${url}`)
    }
  })

  t.test('runs nothing when it is installed, and npm does not ask whether it may', async t => {
    const { scripts } = JSON.parse(await readFile(join(project, 'node_modules/fastify-ws-routes/package.json'), 'utf8'))
    t.strictSame(Object.keys(scripts).filter(name => /^(pre|post)?(install|prepare|publish|dependencies)|^prepublish/.test(name)), [])
  })

  for (const program of ['imported.mjs', 'imported-dynamically.mjs', 'imported-dynamically.cjs', 'required.cjs', 'both.mjs']) {
    t.test(program, async t => {
      t.match(await run(project, process.execPath, program), /^(echoed\n)+$/)
    })
  }

  t.test('can be required where `require` does not load ES modules: on Node 22.0 to 22.11, in Jest, in Electron', async t => {
    t.match(await run(project, process.execPath, '--no-experimental-require-module', 'required.cjs'), /^(echoed\n)+$/)
  })

  t.test('exports what lib/index.ts exports', async t => {
    const names = JSON.parse(await run(project, process.execPath, '-p', "JSON.stringify(Object.keys(require('fastify-ws-routes')).sort())"))
    t.strictSame(names, Object.keys(api).sort())
  })

  t.test('has subpaths, of which the plugin loads nothing', async t => {
    const bundle = await readFile(join(project, 'node_modules/fastify-ws-routes/dist/lib/bundle.js'), 'utf8')
    for (const name of SUBPATHS) {
      t.notMatch(bundle, `// lib/${name}/`)
      const [required, imported] = JSON.parse(await run(project, process.execPath, '-p', `
        const required = require('fastify-ws-routes/${name}')
        import('fastify-ws-routes/${name}').then(imported => console.log(JSON.stringify([Object.keys(required), Object.keys(imported)])))
        ''`)) as [string[], string[]]
      t.strictSame(imported.sort(), required.sort(), name)
    }
  })

  t.test('has each class of error once, for subpaths too', async t => {
    t.equal(await run(project, process.execPath, '-p', `
      const { OptionError } = require('fastify-ws-routes')
      try { require('fastify-ws-routes/redis').redis({}) } catch (error) { error instanceof OptionError }`), 'true\n')
  })

  t.test('can be type-checked, from both module systems', async t => {
    // the same program is an ES module, a CommonJS module, and what a bundler takes
    const text = await readFile(join(project, 'echo-app.ts'), 'utf8')
    for (const name of ['echo-app.mts', 'echo-app.cts']) await writeFile(join(project, name), text)
    await writeFile(join(project, 'merged.mts'), await readFile(join(project, 'merged.ts')))
    await writeFile(join(project, 'package.json'), '{ "private": true, "type": "commonjs" }')
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node', '--skipLibCheck', 'false', '--ignoreConfig']
    const files = ['echo-app.ts', 'required.cts', 'merged.ts']

    const nodejs = await runCompiler([...options, '--module', 'nodenext', 'echo-app.mts', 'echo-app.cts', 'merged.mts', ...files], project)
    t.equal(nodejs.output, '', 'by Node')
    const bundler = await runCompiler([...options, '--module', 'preserve', ...files], project)
    t.equal(bundler.output, '', 'by a bundler')
  })
})
