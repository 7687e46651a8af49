import { Deadlines } from '../topics/deadlines.js'
import type { Hub } from '../topics/hub.js'
import type { Policies } from './policies.js'
import { Snapshots } from './snapshots.js'

/** The name of the subprotocol. */
export const SUBPROTOCOL = 'topics.v1'

/** Milliseconds in which the app has to decide about a request: one that never does may not hold clients for ever. */
const DECISION_TIMEOUT = 30_000

/** The topics protocol of one app. */
export class TopicsProtocol {
  readonly hub: Hub
  readonly snapshots: Snapshots
  readonly decisions = new Deadlines(DECISION_TIMEOUT)
  /** `null` as long as no topic is declared. */
  policies: Policies | null = null

  constructor (hub: Hub) {
    this.hub = hub
    this.snapshots = new Snapshots(hub.settings.publishTimeout)
  }
}
