import type { FastifyInstance } from 'fastify'
import { once } from 'node:events'
import type { InjectedWebSocket } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'

export type Answer = Record<string, unknown>

/** A client of the topics protocol on `/live`. */
export class TopicsClient {
  private readonly answers: Answer[] = []
  private readonly connection: InjectedWebSocket
  private wake: () => void = () => {}

  constructor (connection: InjectedWebSocket) {
    this.connection = connection
    connection.on('message', data => {
      const answer = JSON.parse(String(data)) as Answer
      if (Object.keys(answer).length > 0 && !('hello' in answer)) this.answers.push(answer)
      this.wake()
    })
  }

  send (message: unknown): void {
    this.connection.send(JSON.stringify(message))
  }

  /** @returns the next message of the server */
  async next (): Promise<Answer> {
    while (this.answers.length === 0) await new Promise<void>(resolve => { this.wake = resolve })
    return this.answers.shift()!
  }

  async ask (message: unknown): Promise<Answer> {
    this.send(message)
    return this.next()
  }

  subscribe (topic: string, since: string | null = null): Promise<Answer> {
    return this.ask({ subscribe: { [topic]: since } })
  }

  publish (topic: string, message: unknown): Promise<Answer> {
    return this.ask({ publish: topic, message, id: 'a' })
  }

  async close (): Promise<void> {
    this.connection.close()
    await once(this.connection, 'close')
  }
}

export async function connectTopics (t: Teardown, app: FastifyInstance, path = '/live', headers: Record<string, string> = {}): Promise<TopicsClient> {
  const connection = await app.injectWS(path, { headers })
  t.teardown(() => connection.terminate())
  return new TopicsClient(connection)
}
