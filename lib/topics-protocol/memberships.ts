import { createHash } from 'node:crypto'
import type { Session } from '../connection/session.js'
import { createError } from '../errors.js'
import { CloseCode } from '../protocol/close-codes.js'
import type { Hub } from '../topics/hub.js'
import type { LocalTopic } from '../topics/local-topic.js'
import type { MemberList } from '../topics/member-view.js'
import type { PresenceSettings } from '../topics/settings.js'

/** Close codes of a client that does not come back: it has closed by itself, and not because its page is left or loaded anew (1001). */
const FAREWELLS: readonly number[] = [CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RECEIVED]

/** The member that a subscription makes of a client. */
interface Membership {
  readonly id: string
  readonly settings: PresenceSettings
  /** Whether a later connection can be the same member. */
  readonly canReturn: boolean
}

/** A client in the topics with presence that it has subscribed to. */
export class Memberships {
  private readonly session: Session
  private readonly hub: Hub
  /** By topic. `null` before the first. */
  private topics: Map<string, Membership> | null = null

  constructor (session: Session, hub: Hub) {
    this.session = session
    this.hub = hub
  }

  has (topic: LocalTopic): boolean {
    return this.topics !== null && this.topics.has(topic.name)
  }

  /**
   * @param secret of the client, by which it is known again
   * @param info JSON
   */
  enter ({ name, settings: { presence } }: LocalTopic, secret: string | null, info: string): void {
    // The others get the id, and may not find out the secret.
    const id = secret === null ? this.session.extras.id : createHash('sha256').update(secret).digest('base64url').slice(0, 22)
    this.topics ??= new Map()
    this.topics.set(name, { id, settings: presence!, canReturn: secret !== null })
    this.hub.presence.enter(name, { id, info }, presence!)
  }

  /** @param callback gets the members, or an error if they cannot be read in time */
  list ({ name, settings: { presence } }: LocalTopic, callback: (list: MemberList | Error) => void): void {
    const end = this.hub.deadlines.add(() => {
      cancel()
      callback(createError('FST_WS_ERR_PRESENCE'))
    })
    const cancel = this.hub.presence.list(name, presence!, list => {
      end()
      callback(list)
    })
  }

  /** The client has unsubscribed. */
  leave (topic: string): void {
    const membership = this.topics?.get(topic)
    if (membership === undefined) return
    this.topics!.delete(topic)
    this.hub.presence.leave(topic, membership.id, true, membership.settings)
  }

  /** The connection is over. */
  end (): void {
    const isFarewell = FAREWELLS.includes(this.session.end.code)
    for (const [topic, { id, settings, canReturn }] of this.topics ?? []) this.hub.presence.leave(topic, id, isFarewell || !canReturn, settings)
    this.topics = null
  }
}
