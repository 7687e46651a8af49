import type { ClientEvents, ClientUrl, ConnectJsonOptions, JsonClient } from '../../types/client.js'
import { Limits } from './backlog.js'
import { Emitter } from './emitter.js'
import { closedError, Line } from './line.js'
import { Queue } from './queue.js'

/**
 * Connects to a JSON route, and stays connected.
 *
 * @throws {TypeError} if the URL is none, or the runtime has no WebSocket and none is given
 */
export function connectJson<Receive = unknown, Send = unknown> (url: ClientUrl, options: ConnectJsonOptions = {}): JsonClient<Receive, Send> {
  const emitter = new Emitter<ClientEvents>()
  const limits = new Limits(options.outbox)
  const queues = new Set<Queue<Receive>>()
  let waiting: Array<{ text: string, sent: () => void }> = []
  const line = new Line(url, options, {
    protocols: options.protocols ?? (options.token === undefined ? [] : ['json']),
    onState: (state, closure) => emitter.emit('state', state, closure),
    onOpen () {
      const texts = waiting
      waiting = []
      for (const { text, sent } of texts) {
        line.send(text)
        sent()
      }
    },
    onText (text) {
      let message
      try {
        message = JSON.parse(text) as Receive
      } catch (error) {
        return emitter.emit('error', error)
      }
      emitter.emit('message', message)
      for (const queue of queues) queue.push(message)
    },
    onDown () {},
    onError: error => emitter.emit('error', error)
  })
  return {
    get state () { return line.state },
    on: (event: string, listener: (...args: never[]) => unknown) => emitter.on(event, listener as (...args: unknown[]) => unknown),
    send (message) {
      if (line.state === 'closed') throw closedError()
      const text = JSON.stringify(message)
      if (!line.send(text)) waiting.push({ text, sent: limits.take(text) })
    },
    reconnect: () => line.open(),
    close (code, reason) {
      waiting = []
      line.close(code, reason)
      for (const queue of queues) queue.end(null)
      emitter.clear()
    },
    [Symbol.asyncIterator] () {
      const queue = new Queue<Receive>(queue => queues.delete(queue))
      queues.add(queue)
      if (line.state === 'closed') queue.end(null)
      return queue
    }
  }
}
