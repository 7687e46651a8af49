import { FastifyOtelInstrumentation } from '@fastify/otel'
import { context, trace } from '@opentelemetry/api'
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import websocket from '../../../lib/index.js'
import { takeSpans } from './instrumentation.js'

// Prints the port of an app that has @fastify/otel before our plugin, or behind it: as its argument says.

const app = Fastify()
const otel = new FastifyOtelInstrumentation({ ignorePaths: ({ url }) => url === '/spans' })
if (process.argv[2] === 'before') await app.register(otel.plugin())
await app.register(websocket, { handshakeTimeout: 500 })
if (process.argv[2] === 'behind') await app.register(otel.plugin())

app.get('/spans', async () => takeSpans())

app.get('/echo/:name', {
  websocket: true,
  schema: { params: { type: 'object', properties: { name: { type: 'string', maxLength: 8 } } } }
}, connection => {
  const active = trace.getSpanContext(context.active())
  connection.on('message', data => {
    if (String(data) === 'whose trace?') connection.send(active?.traceId ?? 'none')
    else if (String(data) === 'whose message?') connection.send(trace.getSpanContext(context.active())?.spanId ?? 'none')
    else connection.send(data)
  })
})
app.get('/loop', { websocket: true, config: { otel: { instrumentHandler: false } } }, async connection => {
  for await (const message of connection) connection.send(message)
})
app.route({ method: 'GET', url: '/both', handler: async () => 'page', wsHandler: connection => connection.send('both') })
app.get('/broken', { websocket: true }, connection => {
  connection.on('message', () => { throw new Error('a bug') })
})
app.get('/private', { websocket: true, preHandler: async (_request, reply) => reply.code(401).send('no') }, () => {})

// These hooks wait until a request to /go-on releases them.
let goOn: Array<() => void> = []
const wait = (): Promise<void> => new Promise(resolve => { goOn.push(resolve) })
app.get('/slow', { websocket: true, preValidation: wait }, () => {})
app.get('/go-on', async () => {
  const waiting = goOn
  goOn = []
  for (const resolve of waiting) resolve()
  return waiting.length
})

app.get('/page', async () => 'page')

await app.listen({ port: 0, host: '127.0.0.1' })
console.log(`port ${(app.server.address() as AddressInfo).port}`)
