import { cellsOf } from '../support/examples.js'
import { byName, Client, namesOf, runChecks, start } from './support.js'

runChecks({
  async asyncapi (t, example) {
    const { app, url } = await start(t, example)
    const printed: unknown = JSON.parse(byName.get('asyncapi document')!.text)
    t.strictSame(app.asyncapi(), printed)
    t.strictSame((await app.inject('/asyncapi.json')).json(), printed)
    const client = await Client.open(t, `${url}/rooms/a`, ['chat.v1'])
    client.socket.send('{"type":"typing","on":true}')
    client.socket.send('{"type":"say","text":"hello"}')
    t.strictSame(JSON.parse(await client.text()), { type: 'said', by: { name: 'somebody' }, text: 'hello' })
  },

  // That it is valid, test/asyncapi says.
  async 'asyncapi document' (t, { text }) {
    t.match(JSON.parse(text), { asyncapi: '3.0.0' })
  },

  async 'asyncapi options' (t, { text }) {
    t.strictSame(cellsOf(text).map(([option]) => option!.replaceAll('`', '')).sort(), (await namesOf(unknown => ({ asyncapi: unknown }))).sort())
  },

  async 'asyncapi transform' (t, example) {
    const { app, url } = await start(t, example)
    const { properties } = app.asyncapi().components.messages!.bid!.payload as { properties: object }
    t.strictSame(properties, { type: { const: 'bid' }, cents: { type: 'integer' } })
    const client = await Client.open(t, `${url}/bids`)
    client.socket.send('{"type":"bid","cents":100}')
    t.strictSame(JSON.parse(await client.text()), { type: 'bid', cents: 100 })
    client.socket.send('{"type":"bid","cents":0.5}')
    t.equal((await client.closed).code, 1008)
  },

  async 'asyncapi swagger' (t, example) {
    const { app, url } = await start(t, example)
    const { swagger } = app as unknown as { swagger (): { paths: object } }
    t.strictSame(swagger.call(app).paths, {
      '/news': { get: { summary: 'News, as they come', responses: { 101: { description: 'Switching Protocols' } } } }
    })
    t.strictSame(Object.keys(app.asyncapi().operations), ['sendNews'])
    t.strictSame(JSON.parse(await (await Client.open(t, `${url}/news`)).text()), { headline: 'It works' })
  }
})
