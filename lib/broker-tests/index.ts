/**
 * Tests for a broker of your own.
 *
 * @see docs/topics.md
 * @module fastify-ws-routes/broker-tests
 */

import { faults } from './faults.js'
import { histories } from './histories.js'
import { messages } from './messages.js'
import { members } from './members.js'
import type { BrokerContractOptions, BrokerTest } from './options.js'
import { Processes } from './processes.js'
import { reads } from './reads.js'
import { topics } from './topics.js'

export type * from '../../types/broker.js'
export type { BrokerContractOptions, BrokerTest } from './options.js'

/**
 * Returns the tests that every broker has to pass: each sentence of the interface `Broker`, and what the topics of this
 * package rely on. `run` of each rejects with an `AssertionError` where the broker falls short, so any runner can run them:
 *
 * ```ts
 * for (const { name, run } of brokerContract({ create: () => myBroker() })) test(name, run)
 * ```
 *
 * Each test has topics and processes of its own, and closes the brokers that it has created. They may run one after the
 * other, or without `stop`, `wipe` and `interrupt` also at a time, against one engine.
 */
export function brokerContract (options: BrokerContractOptions): BrokerTest[] {
  const groups = { topics, messages, histories, reads, members, faults: faults(options) }
  return Object.entries(groups).flatMap(([group, checks]) => Object.entries(checks).map(([name, check]) => ({
    name: `${group}: ${name}`,
    async run () {
      const processes = new Processes(options)
      try {
        await check(processes)
        processes.verify()
      } finally {
        await processes.close()
      }
    }
  })))
}
