import type { FastifyRequest } from 'fastify'
import type { Session } from '../connection/session.js'
import type { TopicsProtocolSettings } from '../options/settings.js'
import { Beats } from './beats.js'
import type { TopicsProtocol } from './protocol.js'
import { TopicSession } from './topic-session.js'

/** One route that speaks the topics protocol. */
export class TopicsRoute {
  private readonly protocol: TopicsProtocol
  readonly hasHandler: boolean
  private readonly beats: Beats

  /** @param hasHandler whether the app gets the messages that are not the protocol's */
  constructor (protocol: TopicsProtocol, { beat }: TopicsProtocolSettings, hasHandler: boolean) {
    this.protocol = protocol
    this.hasHandler = hasHandler
    this.beats = new Beats(beat)
  }

  /** Speaks the protocol on a new connection. */
  open (session: Session, request: FastifyRequest): void {
    if (session.maySend) new TopicSession(session, request, this.protocol, this.hasHandler).begin(this.beats)
  }
}
