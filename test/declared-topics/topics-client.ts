import type { FastifyInstance } from 'fastify'
import type { Teardown } from '../support/app.js'
import { ProtocolClient, type Message } from '../topics-protocol/support.js'

export type Answer = Message

/** A client of the topics protocol, with words for what declarations decide about. */
export class TopicsClient {
  private readonly client: ProtocolClient

  constructor (client: ProtocolClient) {
    this.client = client
  }

  send (message: unknown): void {
    this.client.send(message)
  }

  next (): Promise<Answer> {
    return this.client.next()
  }

  ask (message: unknown): Promise<Answer> {
    return this.client.ask(message)
  }

  subscribe (topic: string, since: string | null = null): Promise<Answer> {
    return this.ask({ subscribe: { [topic]: since } })
  }

  publish (topic: string, message: unknown): Promise<Answer> {
    return this.ask({ publish: topic, message, id: 'a' })
  }

  async close (): Promise<void> {
    this.client.socket.close()
    await this.client.closed
  }
}

export async function connectTopics (t: Teardown, app: FastifyInstance, path = '/live', headers: Record<string, string> = {}): Promise<TopicsClient> {
  return new TopicsClient(await ProtocolClient.open(t, app, path, { headers }))
}
