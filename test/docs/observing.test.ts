import Fastify from 'fastify'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ERRORS } from '../../lib/errors.js'
import websocket, { type WebSocketServerStats } from '../../lib/index.js'
import { renderErrorTable } from '../support/error-table.js'
import { cellsOf, ROOT } from '../support/examples.js'
import { Client, refusal, runChecks, start } from './support.js'

runChecks({
  async errors (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/parse`)
    client.socket.send('{"x":1,"y":2}')
    t.equal(await client.text(), '3')
    client.socket.send('no JSON')
    t.strictSame(await client.closed, { code: 1011, reason: 'our fault' })
    t.equal(await (async () => {
      const next = await Client.open(t, `${url}/parse`)
      next.socket.send('{"x":2,"y":2}')
      return next.text()
    })(), '4', 'the process lives')
  },

  // The table is generated from the catalogue, and the catalogue has every code that is in the sources, and no other.
  async codes (t, { text }) {
    t.equal(text.trim(), renderErrorTable())
    const sources = (await readdir(join(ROOT, 'lib'), { recursive: true })).filter(name => name.endsWith('.ts'))
    const used = new Set<string>()
    for (const name of sources) {
      const source = await readFile(join(ROOT, 'lib', name), 'utf8')
      for (const [, code] of source.matchAll(/'(FST_WS_ERR_\w+)'/g)) used.add(code!)
    }
    t.strictSame([...used].sort(), Object.keys(ERRORS).sort())
  },

  async logs (t, { text }) {
    const lines: string[] = []
    const app = Fastify({ logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
    t.teardown(() => app.close())
    await app.register(websocket)
    app.get('/', { websocket: true }, connection => {
      connection.on('message', data => connection.send(data))
    })
    const client = await app.injectWS('/')
    client.send('hello')
    await once(client, 'message')
    client.close(1000)
    await once(client, 'close')
    await app.close()

    const printed = text.trim().split('\n').map(line => JSON.parse(line))
    const written = lines.map(line => JSON.parse(line)).filter(line => printed.some(({ msg }) => msg === line.msg))
    t.strictSame(written.map(shape), printed.map(shape))

    /** What does not change from one time to the next, and the names of what does. */
    function shape (line: Record<string, unknown>): unknown {
      const { time, pid, hostname, responseTime, duration, connectionId, ...rest } = line
      return { rest, kinds: [time, pid, hostname, responseTime, duration, connectionId].map(value => typeof value), names: Object.keys(line) }
    }
  },

  async metrics (t, example) {
    const log = t.capture(console, 'log')
    const { app, url } = await start(t, example)
    const client = await Client.open(t, `${url}/echo`)
    client.socket.send('hello')
    await client.text()
    t.match(await refusal(`${url}/echo`, { origin: 'https://evil.example' }), { status: 403 })
    await refusal(`${url}/nowhere`)
    const { topics, ...stats } = (await app.inject('/stats')).json<WebSocketServerStats>()
    t.match(topics, { broker: 'memory', isUp: true, topics: 0, published: 0 })
    t.strictSame(stats, {
      open: 1,
      pending: 0,
      opened: 1,
      refused: { FST_WS_ERR_ORIGIN: 1, 404: 1 },
      received: { messages: 1, bytes: 5 },
      sent: { messages: 1, bytes: 5 },
      queued: 0
    })
    t.strictSame(log().map(({ args }) => args[0]), ['127.0.0.1 was refused with 403: FST_WS_ERR_ORIGIN', '127.0.0.1 was refused with 404: 404'])
  },

  async stats (t, { text }) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(websocket)
    await app.ready()
    const names = cellsOf(text).flatMap(([name]) => name!.replaceAll('`', '').split(', '))
    t.strictSame(names, Object.keys(app.websocketServer.stats).sort((a, b) => names.indexOf(a) - names.indexOf(b)))
  },

  // The table has every channel that there is in the sources, with a type that is exported.
  async channels (t, { text }) {
    const rows = cellsOf(text).map(([name, type]) => ({ name: name!.replaceAll('`', ''), type: type!.replaceAll('`', '') }))
    const source = await readFile(join(ROOT, 'lib/server/diagnostics.ts'), 'utf8')
    t.strictSame(rows.map(({ name }) => name).sort(), [...source.matchAll(/channel\('(.+)'\)/g)].map(([, name]) => name).sort())
    const types = await readFile(join(ROOT, 'types/diagnostics.ts'), 'utf8')
    for (const { name, type } of rows) t.ok(types.includes(`On \`${name}\``) && types.includes(`export interface ${type} {`), type)
  }
})
