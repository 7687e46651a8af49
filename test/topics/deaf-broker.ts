import type { BrokerEvents, BrokerMessage } from '../../lib/index.js'
import { MemoryBroker } from '../../lib/topics/memory-broker.js'

/** A broker whose announcements do not arrive while it is deaf. */
export class DeafBroker extends MemoryBroker {
  isDeaf = false
  own: BrokerEvents | null = null

  override start (events: BrokerEvents): Promise<void> {
    this.own = events
    return super.start({
      message: (topic: string, message: BrokerMessage) => { if (!this.isDeaf) events.message(topic, message) },
      interrupted: topics => events.interrupted(topics),
      state: (isUp, error) => events.state(isUp, error)
    })
  }
}
