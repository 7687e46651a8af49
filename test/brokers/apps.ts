import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { WebSocket } from 'ws'
import { connect, type ClientTopic } from '../../lib/client/index.js'
import websocket, { type Broker } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'

// Apps with topics, and clients on them.

export interface Running {
  readonly app: FastifyInstance
  readonly url: string
}

/** An app with `rooms/:room`, which have a history, `prices`, which has none, and `people/:room`, with presence. */
export async function startApp (t: Teardown, broker: Broker): Promise<Running> {
  const app = Fastify({ forceCloseConnections: true }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, { broker, topics: { publishTimeout: 1_000 }, closeTimeout: 500 })
  app.topic('rooms/:room', { schema: { publish: { type: 'integer' }, message: { type: 'integer' } }, history: { messages: 1_000, seconds: 60 } })
  app.topic('prices', { schema: { publish: { type: 'integer' }, message: { type: 'integer' } } })
  app.topic('people/:room', {
    schema: { message: { type: 'integer' } },
    history: { messages: 1_000, seconds: 60 },
    presence: { info: (_connection, request) => (request.query as { name?: string }).name ?? null }
  })
  app.get('/live', { websocket: { topics: { beat: 1_000 } } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/live` }
}

/** A client that has subscribed to one topic, and what it has got. */
export interface Subscriber {
  readonly topic: ClientTopic
  readonly got: unknown[]
  resets: number
  gaps: number
  /** What is known of its members, and how often that has changed. */
  members: unknown[]
  changes: number
  /** Waits until it has got this many messages. */
  until (count: number): Promise<void>
}

export async function subscribe (t: Teardown, { url }: { url: string | (() => string) }, name: string, options = {}): Promise<Subscriber> {
  const client = connect(url, { WebSocket, backoff: { base: 10 } })
  t.teardown(() => client.close())
  const topic = client.topic(name, options)
  let wake = (): void => {}
  const subscriber: Subscriber = {
    topic,
    got: [],
    resets: 0,
    gaps: 0,
    members: [],
    changes: 0,
    async until (count) { while (subscriber.got.length < count) await new Promise<void>(resolve => { wake = resolve }) }
  }
  topic.on('message', message => {
    subscriber.got.push(message)
    wake()
  })
  topic.on('reset', () => { subscriber.resets++ })
  topic.on('gap', () => { subscriber.gaps++ })
  topic.on('presence', members => {
    subscriber.members = members.map(({ info }) => info)
    subscriber.changes++
  })
  await topic.subscribe()
  return subscriber
}

export async function until (isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise(resolve => setTimeout(resolve, 10))
}

/** The numbers from one to another. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

export const isUp = ({ app }: Running): boolean => app.websocketServer.stats.topics.isUp
