// The app of the tests in this folder, run by Deno or Bun, with the built package: they do not run TypeScript as tsx does. It
// prints its port, and closes when its input ends. FASTIFY_OPTIONS says what Fastify gets.

import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import Fastify from 'fastify'
import websocket from '../../dist/lib/index.mjs'

const LARGE = 32 * 1024 * 1024

const { FASTIFY_OPTIONS = '{}' } = process.env
const app = Fastify(JSON.parse(FASTIFY_OPTIONS))
await app.register(websocket, { maxPayload: LARGE, perMessageDeflate: true, closeTimeout: 2000 })

// As `echoRoutes` of test/conformance has them.
app.get('/', { websocket: true }, connection => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})
app.get('/digest', { websocket: true }, connection => {
  connection.on('message', (data, isBinary) => {
    connection.send(`${isBinary ? 'binary' : 'text'} of ${data.length} bytes, ${createHash('sha1').update(data).digest('hex')}`)
  })
})

const names = new AsyncLocalStorage()
app.get('/name', { websocket: true, onRequest: (request, _reply, done) => names.run(request.query.name, done) }, connection => {
  connection.on('message', () => connection.send(names.getStore()))
  connection.on('ping', () => connection.send(`ping ${names.getStore()}`))
})

app.get('/refused', {
  websocket: true,
  async preHandler (_request, reply) { return reply.code(401).header('www-authenticate', 'Basic').send({ error: 'no'.repeat(50_000) }) }
}, () => {})
app.get('/cookies', { websocket: true, async preHandler (_request, reply) { reply.header('set-cookie', ['a=1', 'b=2']) } }, connection => connection.send('hello'))
app.get('/iterator', { websocket: true }, async connection => {
  await new Promise(resolve => setTimeout(resolve, 20))
  for await (const message of connection) connection.send(message)
})
app.get('/throws', { websocket: true }, connection => {
  connection.on('message', () => { throw new Error('a listener that throws') })
})
app.get('/broadcast', { websocket: true }, connection => {
  connection.on('message', data => app.websocketServer.broadcast(data, { binary: false }))
})
app.get('/flood', { websocket: true }, async connection => {
  const chunk = Buffer.alloc(64 * 1024)
  for (let i = 0; i < 200; i++) {
    if (!connection.send(chunk)) await new Promise(resolve => connection.once('drain', resolve))
  }
  connection.close(1000, 'all sent')
})
app.get('/http', async () => 'plain')
app.get('/injected', async () => {
  const client = await app.injectWS('/')
  const answer = new Promise(resolve => client.once('message', data => resolve(data.toString())))
  client.send('in memory')
  const text = await answer
  client.terminate()
  return text
})

process.stdin.resume()
process.stdin.on('end', async () => {
  await app.close()
  process.exit()
})

await app.listen({ port: 0, host: '127.0.0.1' })
// As text: a number may get a colour.
console.log(String(app.server.address().port))
