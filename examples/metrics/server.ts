// An echo server whose figures Prometheus can collect at /metrics. PORT and HOST say where it listens.
//
//   npm run example metrics

import Fastify from 'fastify'
import websocket, { WebSocketError, type WebSocketClosed, type WebSocketFailed, type WebSocketServerStats } from 'fastify-ws-routes'
import diagnosticsChannel from 'node:diagnostics_channel'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
await app.register(websocket, { maxConnections: 10_000 })

app.get('/echo', { websocket: true }, connection => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})

// Everybody here gets what anybody here says.
app.get('/chat', { websocket: true }, async connection => {
  connection.on('text', text => connection.publish('chat', text))
  await connection.subscribe('chat')
})

const registry = new Registry()
const registers = [registry]

// The server keeps these counts anyway; they are read when metrics are requested.
gauge('websocket_connections', 'Connections that are open', stats => stats.open)
gauge('websocket_handshakes_pending', 'Handshakes under way', stats => stats.pending)
gauge('websocket_queued_bytes', 'Bytes that wait for clients', stats => stats.queued)
counter('websocket_connections_total', 'Connections so far', [], stats => [[{}, stats.opened]])
counter('websocket_refused_total', 'Handshakes that were refused', ['reason'], stats =>
  Object.entries(stats.refused).map(([reason, count]) => [{ reason }, count]))
counter('websocket_messages_total', 'Messages', ['direction'], ({ received, sent }) =>
  [[{ direction: 'received' }, received.messages], [{ direction: 'sent' }, sent.messages]])
counter('websocket_bytes_total', 'Bytes of payloads', ['direction'], ({ received, sent }) =>
  [[{ direction: 'received' }, received.bytes], [{ direction: 'sent' }, sent.bytes]])

gauge('websocket_topics', 'Topics that this process has subscribed to', ({ topics }) => topics.topics)
gauge('websocket_topic_subscriptions', 'Subscriptions of connections', ({ topics }) => topics.subscriptions)
gauge('websocket_broker_up', 'Whether the broker can be reached: 1 or 0', ({ topics }) => Number(topics.isUp))
gauge('websocket_topic_publish_p99_seconds', 'How long the broker takes for 99 % of all messages', ({ topics }) => (topics.publishLatency.p99 ?? NaN) / 1000)
counter('websocket_topic_published_total', 'Messages that the broker has taken, or not', ['result'], ({ topics }) =>
  [[{ result: 'taken' }, topics.published], [{ result: 'failed' }, topics.failed]])
counter('websocket_topic_delivered_total', 'Messages of topics, once for each connection', [], ({ topics }) => [[{}, topics.delivered]])
counter('websocket_topic_gaps_total', 'Times that a subscriber has missed messages', [], ({ topics }) => [[{}, topics.gaps]])
counter('websocket_topic_resumed_total', 'Subscriptions that went on where the client was, or could not', ['result'], ({ topics }) =>
  [[{ result: 'recovered' }, topics.recovered], [{ result: 'reset' }, topics.reset]])
counter('websocket_topic_reads_total', 'Reads of histories at the broker', [], ({ topics }) => [[{}, topics.reads]])
counter('websocket_topic_skipped_total', 'Messages of unknown versions', [], ({ topics }) => [[{}, topics.skipped]])
counter('websocket_broker_reconnects_total', 'Times that the broker was lost and is back', [], ({ topics }) => [[{}, topics.reconnects]])

// The server does not keep these; they are recorded as events occur.
const duration = new Histogram({
  name: 'websocket_connection_duration_seconds',
  help: 'How long connections lasted, by close code',
  labelNames: ['code'],
  buckets: [1, 10, 60, 600, 3600, 86_400],
  registers
})
diagnosticsChannel.subscribe('fastify-ws-routes.close', message => {
  const closed = message as WebSocketClosed
  if (closed.server === app.websocketServer) duration.observe({ code: closed.code }, closed.duration / 1000)
})
const errors = new Counter({
  name: 'websocket_errors_total',
  help: 'Rules that clients broke, by code, and what our own code threw',
  labelNames: ['code'],
  registers
})
diagnosticsChannel.subscribe('fastify-ws-routes.error', message => {
  const { server, error } = message as WebSocketFailed
  if (server === app.websocketServer) errors.inc({ code: error instanceof WebSocketError ? error.code : 'ours' })
})

app.get('/metrics', async (_request, reply) => {
  reply.type(registry.contentType)
  return registry.metrics()
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`Metrics are at ${address}/metrics`)

function gauge (name: string, help: string, read: (stats: WebSocketServerStats) => number): void {
  registry.registerMetric(new Gauge({ name, help, registers: [], collect () { this.set(read(app.websocketServer.stats)) } }))
}

function counter (name: string, help: string, labelNames: string[], read: (stats: WebSocketServerStats) => Array<[Record<string, string>, number]>): void {
  registry.registerMetric(new Counter({
    name,
    help,
    labelNames,
    registers: [],
    collect () {
      this.reset()
      for (const [labels, count] of read(app.websocketServer.stats)) this.inc(labels, count)
    }
  }))
}
