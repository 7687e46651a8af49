import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { ROOT, type Example } from '../support/examples.js'
import { byName, Client, fileOf, refusal, replaceAll, runChecks, start, startProcess } from './support.js'

async function checkInstall (t: Test, { text }: Example): Promise<void> {
  const { name, peerDependencies, peerDependenciesMeta } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  t.strictSame(text.trim().split(' '), ['npm', 'install', ...Object.keys(peerDependencies).filter(peer => peerDependenciesMeta[peer]?.optional !== true), name])
}

runChecks({
  async install (t, example) {
    await checkInstall(t, example)
  },

  async 'install both' (t, example) {
    await checkInstall(t, example)
  },

  // The script of its page runs here, in a document that has only what it uses.
  async 'getting started' (t, example) {
    const { url } = await startProcess(t, fileOf(example))
    const response = await fetch(url.replace('ws:', 'http:'))
    t.match(response.headers.get('content-type'), /^text\/html/)
    const [, script] = /<script>([^]*)<\/script>/.exec(await response.text())!
    const pages = await Promise.all(['from one', 'from the other'].map(async value => {
      const shown: unknown[] = []
      const form = { onsubmit: (_event: object): void => {} }
      const document = { forms: [form], querySelector: () => ({ value }), createElement: () => 'br', body: { append: (text: unknown) => shown.push(text) } }
      const AsyncFunction = (async () => {}).constructor as FunctionConstructor
      const socket = await AsyncFunction('WebSocket', 'location', 'document', `${script}\nreturn socket`)(WebSocket, new URL(url), document) as WebSocket
      t.teardown(() => socket.terminate())
      return { socket, form, shown }
    }))
    await Promise.all(pages.map(({ socket }) => once(socket, 'open')))
    for (const { form } of pages) {
      const shown = Promise.all(pages.map(({ socket }) => once(socket, 'message')))
      form.onsubmit({ preventDefault: () => {} })
      await shown
    }
    for (const { shown } of pages) t.strictSame(shown, ['from one', 'from the other'])
  },

  async 'first test' (t, example) {
    const args = ['-u', 'NODE_OPTIONS', process.execPath, '--import=tsx', '--test', '--test-reporter=tap', fileOf(example)]
    const { stdout } = await promisify(execFile)('env', args)
    t.match(stdout, /ok 1 - everybody gets what somebody says/)
    t.match(stdout, /# pass 1\n# fail 0/)
  },

  async contribute (t, { text }) {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    for (const line of text.trim().split('\n')) {
      const [, script] = /^npm ci && npm (start|test)$/.exec(line) ?? []
      t.type(scripts[script!], 'string', line)
    }
    const [, example] = /^node --import tsx scripts\/example\.ts (\w+)$/.exec(scripts.start)!
    const { scripts: examples } = JSON.parse(await readFile(join(ROOT, 'examples/package.json'), 'utf8'))
    await access(join(ROOT, 'examples', examples[example!].split(' ').at(-1)))
  },

  async 'quick start' (t, example) {
    const { url, lines } = await startProcess(t, fileOf(example))
    const client = await Client.open(t, `${url}/echo`)
    for (const [data, isBinary] of [['hello', false], [Buffer.from([0, 255]), true]] as const) {
      client.socket.send(data)
      t.strictSame(await client.message(), { data: Buffer.from(data), isBinary })
    }
    client.socket.send(Buffer.alloc(64 * 1024))
    t.equal((await client.message()).data.length, 64 * 1024)
    client.socket.send(Buffer.alloc(64 * 1024 + 1))
    t.equal((await client.closed).code, 1009)
    t.match(lines.map(line => JSON.parse(line).msg), /Server listening/)
    t.ok(lines.some(line => JSON.parse(line).msg === 'hello'))
  },

  async 'quick start, page' (t, { text }) {
    const { url } = await startProcess(t, fileOf(byName.get('quick start')!))
    const script = replaceAll(text, { 'ws://localhost:3000': url })
    const said: unknown[] = []
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor
    const socket = await AsyncFunction('WebSocket', 'console', `${script}\nreturn socket`)(WebSocket, { log: (data: unknown) => said.push(data) }) as WebSocket
    t.teardown(() => socket.terminate())
    await once(socket, 'message')
    t.strictSame(said, ['hello'])
  },

  async commonjs (t, example) {
    const { url } = await startProcess(t, fileOf(example))
    t.equal(await (await Client.open(t, `${url}/hello`)).text(), 'hello')
  },

  async 'type provider' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/repeat/3`)
    client.socket.send('ab')
    t.equal(await client.text(), 'ababab')
    t.equal((await refusal(`${url}/repeat/11`)).status, 400)
    const player = await Client.open(t, `${url}/guess/7`)
    player.socket.send('{"number":7}')
    t.equal(await player.text(), '{"isRight":true}')
  },

  async overrides (t, { text }) {
    const { name, version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    t.strictSame(JSON.parse(`{${text}}`), { overrides: { '@fastify/websocket': `npm:${name}@^${version}` } })
  },

  async 'types of imports' (t, { text }) {
    const { name, types } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    t.strictSame(JSON.parse(text), { compilerOptions: { paths: { '@fastify/websocket': [types.replace('.', `./node_modules/${name}`)] } } })
  },

  // Both sides of the difference run, and the same client cannot tell them apart.
  async moving (t, { text }) {
    for (const [side, origin] of [['-', 'https://app.example.com'], ['+', 'https://app.example.com']] as const) {
      const lines = text.split('\n').filter(line => line.startsWith(' ') || line.startsWith(side)).map(line => line.slice(1))
      const program = `import Fastify from 'fastify'\n${lines.join('\n')}\n`
      const example: Example = { name: `moving ${side === '-' ? 'from' : 'to'}`, language: 'mjs', text: program, place: '' }
      await writeFile(fileOf(example), program)
      const { url } = await start(t, example)
      const clients = [await Client.open(t, `${url}/chat`, ['chat.v1'], { origin }), await Client.open(t, `${url}/chat`)] as const
      t.equal(clients[0].socket.protocol, 'chat.v1')
      t.match(clients[0].socket.extensions, /^permessage-deflate/)
      clients[1].socket.send('hello')
      for (const client of clients) t.equal(await client.text(), 'hello', example.name)
      clients[0].socket.send(Buffer.alloc(1048577))
      t.equal((await clients[0].closed).code, 1009)
    }
  }
})
