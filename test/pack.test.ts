import t from 'tap'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runCompiler } from './support/compiler.js'

// What users get: the tarball, installed beside Fastify into an empty project, then imported, required
// and type-checked there.

const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs a program as a user's shell would: without what `npm run` and tap hand down to child processes. */
async function run (cwd: string, command: string, ...args: string[]): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) =>
    !/^(npm_(command|execpath|lifecycle_.*|node_execpath|package_.*|config_(local|global)_prefix)|INIT_CWD|NODE_OPTIONS)$/.test(name)))
  try {
    // tap adds its loader to NODE_OPTIONS of every child process; `env -u` takes it out again
    const { stdout } = await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', command, ...args], { cwd, env })
    return stdout
  } catch (err) {
    const { stdout, stderr } = err as { stdout?: string, stderr?: string }
    throw new Error([`${command} ${args.join(' ')} failed`, stdout, stderr].join('\n'), { cause: err })
  }
}

async function versionOf (name: string): Promise<string> {
  return JSON.parse(await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8')).version
}

/** Packs a copy of the sources, so that dist/, which other tests may be using, stays as it is. */
async function pack (folder: string): Promise<{ tarball: string, paths: string[] }> {
  const copy = join(folder, 'copy')
  await mkdir(copy)
  const names = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'lib', 'types', 'docs', 'README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE']
  for (const name of names) {
    await cp(join(root, name), join(copy, name), { recursive: true }).catch((err) => {
      if (err.code !== 'ENOENT') throw err
    })
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  await run(copy, 'npm', 'run', 'prepack')
  const [{ filename, files }] = JSON.parse(await run(copy, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder))
  return { tarball: join(folder, filename), paths: files.map((file: { path: string }) => file.path) }
}

const echo = `
const app = Fastify()
await app.register(websocket)
app.get('/echo', { websocket: true }, (connection, request) => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})
await app.ready()
const client = await app.injectWS('/echo')
for (const [message, isBinary] of [['hello', false], [Buffer.from([0, 255]), true]]) {
  const echoed = once(client, 'message')
  client.send(message)
  assert.deepEqual(await echoed, [Buffer.from(message), isBinary])
}
await app.close()
console.log('echoed')
`

const imported = `
import assert from 'node:assert/strict'
import { once } from 'node:events'
import Fastify from 'fastify'
import websocket from 'fastify-ws-routes'

assert.equal(typeof websocket, 'function')
${echo}`

const required = `
const assert = require('node:assert/strict')
const { once } = require('node:events')
const Fastify = require('fastify')
const websocket = require('fastify-ws-routes')

assert.equal(typeof websocket, 'function')
assert.match(require('fastify-ws-routes/package.json').version, /^\\d/)

async function main () {
  assert.equal(websocket, (await import('fastify-ws-routes')).default)
${echo}}

main()
`

const typed = `
const app = Fastify()
app.register(websocket)
app.get('/echo', { websocket: true }, (connection, request) => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  const path: string = request.url
  // @ts-expect-error a path is no number
  const wrong: number = request.url
})
interface Messages { Receive: { type: 'say', text: string } | { type: 'leave' }, Send: { ack: number } }
app.get<Messages>('/json', { websocket: true, schema: { receive: {}, send: {} } }, async connection => {
  for await (const message of connection.json()) {
    if (message.type === 'say') connection.sendJson({ ack: message.text.length })
    // @ts-expect-error nothing else is sent
    else connection.route?.broadcastJson({ left: true })
  }
})
// @ts-expect-error a connection has no such method
app.get('/wrong', { websocket: true }, (connection) => connection.noSuchMethod())
`

t.test('the packed package', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-ws-routes-pack-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { tarball, paths } = await pack(folder)

  t.test('holds what it should, and no more', async (t) => {
    for (const path of [
      'package.json', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'dist/lib/index.js', 'dist/lib/index.js.map', 'dist/lib/index.d.ts',
      'dist/lib/index.d.ts.map', 'dist/types/connection.d.ts', 'lib/index.ts', 'types/connection.ts'
    ]) {
      t.ok(paths.includes(path), path)
    }
    t.strictSame(paths.filter((path) => !/^(dist|lib|types|docs)\/|^[^/]+\.(json|md)$|^LICENSE$/.test(path)), [])
  })

  t.test('runs nothing when it is installed, and npm does not ask whether it may', async t => {
    const { scripts } = JSON.parse(await run(folder, 'tar', '--extract', '--to-stdout', '--file', tarball, 'package/package.json'))
    t.strictSame(Object.keys(scripts).filter(name => /^(pre|post)?(install|prepare|publish|dependencies)|^prepublish/.test(name)), [])
  })

  const user = join(folder, 'user')
  await mkdir(user)
  await writeFile(join(user, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  try {
    await run(user, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund',
      '--fetch-retries=1', '--fetch-retry-mintimeout=1000', tarball,
      `fastify@${await versionOf('fastify')}`, `@types/node@${await versionOf('@types/node')}`)
  } catch (err) {
    const online = await run(user, 'npm', 'view', '--fetch-retries=0', 'fastify', 'version').then(() => true, () => false)
    if (online || process.env.REQUIRE_SYSTEM_PACKAGES) throw err
    t.pass('installs', { skip: 'no package registry can be reached' })
    return
  }

  t.test('can be imported', async (t) => {
    await writeFile(join(user, 'imported.mjs'), imported)
    t.equal(await run(user, process.execPath, 'imported.mjs'), 'echoed\n')
  })

  t.test('can be required, which gives the plugin itself', async (t) => {
    await writeFile(join(user, 'required.cjs'), required)
    t.equal(await run(user, process.execPath, 'required.cjs'), 'echoed\n')
  })

  t.test('can be type-checked', async (t) => {
    await writeFile(join(user, 'imported.ts'),
      `import Fastify from 'fastify'\nimport websocket from 'fastify-ws-routes'\n${typed}`)
    await writeFile(join(user, 'required.cts'),
      `import Fastify = require('fastify')\nimport websocket = require('fastify-ws-routes')\n${typed}`)
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node', '--skipLibCheck', 'false']

    t.test('as a Node program', async t => {
      const { output } = await runCompiler([...options, '--module', 'nodenext', 'imported.ts', 'required.cts'], user)
      t.equal(output, '')
    })

    t.test('for a bundler', async t => {
      const { output } = await runCompiler([...options, '--module', 'preserve', '--moduleResolution', 'bundler', 'imported.ts'], user)
      t.equal(output, '')
    })
  })
})
