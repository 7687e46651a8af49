import Fastify from 'fastify'
import websocket from '../../lib/index.js'
import { cellsOf } from '../support/examples.js'
import { Client, namesIn, namesOf, refusal, runChecks, start } from './support.js'

runChecks({
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
    const [, , compatibility] = cells.find(([option]) => option === '`options`')!
    const [, nested] = /: (`.+`), as in `ws`/.exec(compatibility!)!
    t.strictSame(nested!.replaceAll('`', '').split(', '), await namesOf(unknown => ({ options: unknown })))
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
