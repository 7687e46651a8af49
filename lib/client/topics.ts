import type { ClientEvents, ClientTopic, ClientUrl, ConnectOptions, TopicsClient } from '../../types/client.js'
import { Limits } from './backlog.js'
import { Emitter } from './emitter.js'
import { ClientError } from './errors.js'
import { closedError, Line } from './line.js'
import { randomId } from './options.js'
import { Outbox } from './outbox.js'
import type { ServerMessage } from './server-message.js'
import { Topic, type TopicOwner } from './topic.js'

/** Topics in one request: a client comes back with all of its topics at once, and a message has a limit. */
const BATCH = 50

/** Beats without a word after which the line is dead. */
const PATIENCE = 2.5

/**
 * Connects to a route with topics, and stays connected.
 *
 * @throws {TypeError} if the URL is none, or the runtime has no WebSocket and none is given
 */
export function connect<Live = unknown> (url: ClientUrl, options: ConnectOptions = {}): TopicsClient<Live> {
  return new Topics(url, options) as unknown as TopicsClient<Live>
}

class Topics implements TopicOwner {
  readonly outbox: Outbox
  /** By which presence knows this client again over its reconnects. */
  readonly #secret = randomId()
  readonly #emitter = new Emitter<ClientEvents>()
  readonly #topics = new Map<string, Topic>()
  readonly #line: Line
  readonly #limits: Limits
  #waiting: Array<{ text: string, sent: () => void }> = []
  #joining = new Set<Topic>()

  constructor (url: ClientUrl, options: ConnectOptions) {
    this.#limits = new Limits(options.outbox)
    this.outbox = new Outbox(options.outbox, text => this.#line.send(text))
    this.#line = new Line(url, options, {
      protocols: ['topics.v1'],
      onState: (state, closure) => {
        if (state === 'closed') this.#end()
        this.#emitter.emit('state', state, closure)
      },
      onOpen: () => this.#opened(),
      onText: text => this.#read(text),
      onDown: () => { for (const topic of this.#topics.values()) topic.down() },
      onError: error => this.#emitter.emit('error', error)
    })
  }

  get state (): Line['state'] {
    return this.#line.state
  }

  get isClosed (): boolean {
    return this.#line.state === 'closed'
  }

  closedError (): ClientError {
    return closedError()
  }

  on (event: string, listener: (...args: unknown[]) => unknown): () => void {
    return this.#emitter.on(event, listener)
  }

  topic (name: string, { since = undefined }: { since?: string | undefined } = {}): ClientTopic {
    let topic = this.#topics.get(name)
    if (topic === undefined) this.#topics.set(name, topic = new Topic(name, since ?? null, this))
    return topic
  }

  send (message: unknown): void {
    if (this.isClosed) throw closedError()
    const text = JSON.stringify({ message })
    if (!this.#line.send(text)) this.#waiting.push({ text, sent: this.#limits.take(text) })
  }

  reconnect (): void {
    this.#line.open()
  }

  close (code?: number, reason?: string): void {
    this.#line.close(code, reason)
    for (const topic of this.#topics.values()) topic.close()
    this.#topics.clear()
    this.#emitter.clear()
  }

  // --- what topics ask for

  join (topic: Topic): void {
    if (this.#joining.size === 0) queueMicrotask(() => this.#sendJoins())
    this.#joining.add(topic)
  }

  leave (topic: Topic): void {
    if (!this.#joining.delete(topic)) this.#line.send(JSON.stringify({ unsubscribe: [topic.name] }))
  }

  rejoin (topic: Topic): void {
    this.leave(topic)
    this.join(topic)
  }

  #sendJoins (): void {
    // Without a connection this sends nothing: `#opened` asks for all topics again.
    const topics = [...this.#joining].filter(({ isWanted }) => isWanted)
    this.#joining.clear()
    for (let i = 0; i < topics.length; i += BATCH) {
      const subscribe = Object.fromEntries(topics.slice(i, i + BATCH).map(({ name, position }) => [name, position]))
      this.#line.send(JSON.stringify({ subscribe, client: this.#secret }))
    }
  }

  // --- what happens to the line

  #opened (): void {
    for (const topic of this.#topics.values()) if (topic.isWanted) this.#joining.add(topic)
    this.#sendJoins()
    this.outbox.resend(name => this.#topics.get(name)?.hasHistory !== false)
    for (const { text, sent } of this.#waiting.splice(0)) {
      this.#line.send(text)
      sent()
    }
  }

  #read (text: string): void {
    let message: ServerMessage
    try {
      message = JSON.parse(text) as ServerMessage
    } catch (error) {
      return this.#emitter.emit('error', error)
    }
    this.#take(message)
  }

  #take (message: ServerMessage): void {
    const { hello, subscribed, unsubscribed, published, refused, gap, lost, joined, left, presence, topic } = message
    if (hello !== undefined) this.#line.watch(hello.beat * PATIENCE)
    else if (subscribed !== undefined) this.#topics.get(subscribed)?.subscribed(message)
    else if (unsubscribed !== undefined) this.#unsubscribed(unsubscribed, message)
    else if (published !== undefined) this.outbox.published(published, message.at ?? null)
    else if (refused !== undefined) this.#refused(refused, message)
    else if (gap !== undefined) this.#topics.get(gap)?.gap()
    else if (lost !== undefined) this.#topics.get(lost)?.lost(message)
    else if (joined !== undefined) this.#topics.get(joined)?.joined(message.member!)
    else if (left !== undefined) this.#topics.get(left)?.left(message.member!)
    else if (presence !== undefined) this.#topics.get(presence)?.presence(message)
    else if (topic !== undefined) this.#topics.get(topic)?.received(message)
    else if ('message' in message) this.#emitter.emit('message', message.message)
  }

  #unsubscribed (name: string, message: ServerMessage): void {
    // Without a code it is the answer to a request.
    if (message.code !== undefined) this.#topics.get(name)?.refused(toError(message), message.retry === true)
  }

  #refused (request: string, message: ServerMessage): void {
    const error = toError(message)
    const { topic, id, retry = false } = message
    if (request === 'publish' && id !== undefined) this.outbox.refused(id, error, retry)
    else if (request === 'subscribe' && topic !== undefined) this.#topics.get(topic)?.refused(error, retry)
    else this.#emitter.emit('error', error)
  }

  /** Closed, by this side or by the server. */
  #end (): void {
    this.outbox.close(closedError())
    this.#waiting = []
  }
}

function toError ({ code = 'FST_WS_ERR_REFUSED', message }: ServerMessage): ClientError {
  return new ClientError(code, String(message))
}
