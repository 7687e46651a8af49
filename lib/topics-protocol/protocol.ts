import type { Hub } from '../topics/hub.js'
import type { Policies } from './policies.js'
import { Snapshots } from './snapshots.js'

/** The name of the subprotocol. */
export const SUBPROTOCOL = 'topics.v1'

/** The topics protocol of one app. */
export class TopicsProtocol {
  readonly hub: Hub
  readonly snapshots: Snapshots
  /** `null` as long as no topic is declared. */
  policies: Policies | null = null

  constructor (hub: Hub) {
    this.hub = hub
    this.snapshots = new Snapshots(hub.settings.publishTimeout)
  }
}
