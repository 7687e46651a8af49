import Fastify from 'fastify'
import type { Test } from 'tap'
import websocket from '../../lib/index.js'
import { resolvePluginOptions } from '../../lib/options/index.js'
import { cellsOf } from '../support/examples.js'
import { Client, namesIn, namesOf, refusal, runChecks, start } from './support.js'

/** The value that a cell says, in the units of the option. */
function valueOf (cell: string): unknown {
  const [, number, unit] = /^([\d,]+)(?: (MiB))?$/.exec(cell) ?? []
  if (number !== undefined) return Number(number.replaceAll(',', '')) * (unit === 'MiB' ? 1024 * 1024 : 1)
  const [, code] = /^`(.+)`$/.exec(cell) ?? []
  return code === 'false' ? false : code === 'Infinity' ? Infinity : code?.replaceAll("'", '')
}

/** Each default that is a value is that of the sources. */
function checkDefaults (t: Test, cells: string[][]): void {
  const { route, topics, ...plugin } = resolvePluginOptions({})
  const defaults = { ...plugin, ...route } as Record<string, unknown>
  let compared = 0
  for (const [option, type, cell] of cells) {
    t.not(type, '', option)
    const [, name] = /`(\w+)`/.exec(option!)!
    const value = valueOf(cell!)
    if (value === undefined) continue
    // `false` turns off what is null in the settings, and an infinite time.
    t.ok(defaults[name!] === value || (value === false && [null, Infinity].includes(defaults[name!] as null)), `${name}: ${cell}`)
    compared++
  }
  t.ok(compared >= 10, `${compared} defaults`)
  const [, , heartbeat] = cells.find(([option]) => option === '● `heartbeat`')!
  t.strictSame(heartbeat!.split(' and ').map(valueOf), Object.values(route.heartbeat!))
}

runChecks({
  async 'plugin and route' (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/upload`)
    client.socket.send(Buffer.alloc(64 * 1024 + 1))
    t.equal(await client.text(), '65537 bytes')
  },

  async routes (t, example) {
    const { app, url } = await start(t, example)
    t.equal(await (await Client.open(t, `${url}/hello`)).text(), 'hello')
    t.equal((await app.inject('/hello')).statusCode, 426)

    t.strictSame((await app.inject('/feed')).json(), { from: '/feed' })
    const feed = await Client.open(t, `${url}/feed`, ['feed.v1', 'feed.v2'])
    t.equal(await feed.text(), 'you speak feed.v2', 'the best that both speak')
    feed.socket.send('x'.repeat(1025))
    t.equal((await feed.closed).code, 1009)

    t.equal(await (await Client.open(t, `${url}/v1/rooms/tea`)).text(), 'good morning, tea')
  },

  async schema (t, example) {
    const { url } = await start(t, example)
    const client = await Client.open(t, `${url}/ticks?limit=3`)
    t.strictSame([await client.text(), await client.text(), await client.text()], ['1', '2', '3'])
    t.equal((await client.closed).code, 1000)
    t.equal((await refusal(`${url}/ticks`)).status, 400)
    t.equal((await refusal(`${url}/ticks?limit=101`)).status, 400)
  },

  // The table has all options that there are, and says rightly which of them a route may have.
  async options (t, { text }) {
    const cells = cellsOf(text)
    const rows = cells.map(([option]) => /^(● )?`(\w+)`$/.exec(option!)!)
    t.strictSame(new Set(rows.map(row => row[2])), new Set(await namesOf(unknown => unknown)))
    const [, , , compatibility] = cells.find(([option]) => option === '`options`')!
    const [, nested] = /: (`.+`), as in `ws`/.exec(compatibility!)!
    t.strictSame(nested!.replaceAll('`', '').split(', '), await namesOf(unknown => ({ options: unknown })))
    checkDefaults(t, cells)
    const app = Fastify()
    await app.register(websocket)
    let ofRoutes = ''
    try {
      app.get('/', { websocket: { unknown: 1 } as object }, () => {})
    } catch (error) {
      ofRoutes = (error as Error).message
    }
    t.strictSame(new Set(rows.filter(row => row[1] !== undefined).map(row => row[2])), new Set(namesIn(ofRoutes)))
  }
})
