import t from 'tap'
import { brokerContract } from '../../lib/broker-tests/index.js'
import { MemoryBroker, MemoryBus } from '../../lib/topics/memory-broker.js'

let time = 0
const bus = new MemoryBus(() => time)

const contract = brokerContract({
  create: () => new MemoryBroker(bus),
  patience: 2_000,
  async sleep (milliseconds) {
    time += milliseconds
    bus.sweep()
  }
})

for (const { name, run } of contract) t.test(name, run)
