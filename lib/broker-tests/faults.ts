import assert from 'node:assert/strict'
import type { BrokerContractOptions } from './options.js'
import { anchorOf, topicName, within, type Checks, type Process } from './processes.js'

/** Milliseconds in which a broker that knows that its engine is away has to reject. */
const AT_ONCE = 1_000

/** Waits until messages of a topic are delivered again. */
async function recover (process: Process, topic: string): Promise<void> {
  await process.until('interrupted() for the topic', () => process.wasInterrupted(topic))
}

/** Checks that a message is delivered to all. */
async function checkDelivery (processes: readonly Process[], topic: string, id: string): Promise<void> {
  await processes[0]!.store(topic, id)
  for (const process of processes) await process.until(`message ${id}`, () => process.idsOf(topic).includes(id))
}

const isUp = ({ states }: Process): boolean => states.at(-1) !== false

/** @returns the tests for the hooks that there are */
export function faults (options: BrokerContractOptions): Checks {
  const checks: Checks = {}
  const { createUnreachable, interrupt, stop, restart, wipe } = options

  if (createUnreachable !== undefined) {
    checks['start rejects with an error if the engine cannot be reached'] = async processes => {
      const broker = await createUnreachable()
      const starting = broker.start({ message () {}, interrupted () {}, state () {} })
      await assert.rejects(within(processes.patience, starting, 'start() to reject'), (err: unknown) => {
        assert.ok(err instanceof Error && !(err instanceof assert.AssertionError), String(err))
        assert.ok(err.message.length > 10, 'the message says what is wrong')
        return true
      })
      await within(processes.patience, broker.close(), 'close() to resolve')
    }
  }

  if (interrupt !== undefined) {
    checks['a broken connection is made again, and interrupted is called'] = async processes => {
      const [kept, plain] = [topicName(), topicName()]
      const pair = await processes.pair(kept, plain)
      const [one, two] = pair
      const first = await one.store(kept, 'a')
      await interrupt()
      for (const process of pair) for (const topic of [kept, plain]) await recover(process, topic)
      for (const process of pair) await process.until('the engine to be reached', () => isUp(process))
      await checkDelivery(pair, kept, 'b')
      await one.publish(plain, 'c', null)
      await two.messages(plain, 1)
      const read = await two.broker.read(kept, first, 10)
      assert.deepEqual(read.messages.map(({ id }) => id), ['b'])
      assert.equal(read.isComplete, true)
    }

    checks['members stay over a broken connection'] = async processes => {
      const topic = topicName()
      const [one, two] = await processes.pair(topic)
      await one.broker.presence.renew(one.name, 60_000)
      await one.broker.presence.enter(one.name, [{ topic, id: 'a', data: Buffer.alloc(0) }])
      await interrupt()
      for (const process of [one, two]) await recover(process, topic)
      assert.equal(await one.broker.presence.renew(one.name, 60_000), true)
      assert.equal(await two.broker.presence.count(topic), 1)
    }

    checks['a subscription that was dropped is not made again'] = async processes => {
      const [kept, dropped] = [topicName(), topicName()]
      const pair = await processes.pair(kept, dropped)
      await pair[1].broker.unsubscribe([dropped])
      await interrupt()
      for (const process of pair) await recover(process, kept)
      await pair[0].publish(dropped, 'a', null)
      await checkDelivery(pair, kept, 'b')
      assert.deepEqual(pair[1].of(dropped), [])
    }
  }

  if (stop !== undefined && restart !== undefined) {
    checks['an engine that is away rejects at once, and goes on with its data when it is back'] = async processes => {
      const topic = topicName()
      const pair = await processes.pair(topic)
      const [one, two] = pair
      const first = await one.store(topic, 'a')
      for (const process of pair) await process.messages(topic, 1)
      await stop()
      try {
        for (const process of pair) await process.until('state(false)', () => process.states.at(-1) === false)
        for (const history of [null, { messages: 10, seconds: 60 }]) {
          await assert.rejects(within(AT_ONCE, one.broker.publish(topic, { id: 'lost', data: Buffer.alloc(0), history }), 'publish() to reject'),
            (err: unknown) => err instanceof Error && !(err instanceof assert.AssertionError))
        }
      } finally {
        await restart()
      }
      for (const process of pair) {
        await recover(process, topic)
        await process.until('state(true)', () => process.states.at(-1) === true)
      }
      await checkDelivery(pair, topic, 'b')
      const read = await two.broker.read(topic, first, 10)
      assert.deepEqual(read.messages.map(({ id }) => id), ['b'], 'and nothing that was rejected at once')
      assert.equal(read.isComplete, true)
      for (const { states } of pair) assert.deepEqual(states.filter((state, index) => state === (states[index - 1] ?? true)), [], 'state() is called when it changes')
    }

    checks['a broker whose engine is away can be closed'] = async processes => {
      const [one, two] = await processes.pair(topicName())
      await stop()
      try {
        await one.close()
        await two.until('state(false)', () => two.states.at(-1) === false)
        await two.close()
      } finally {
        await restart()
      }
    }
  }

  if (wipe !== undefined) {
    checks['an engine that has lost its data begins another epoch'] = async processes => {
      const topic = topicName()
      const pair = await processes.pair(topic)
      const [one, two] = pair
      const last = await one.store(topic, 'a')
      await wipe()
      for (const process of pair) await process.until('the engine to be reached', () => isUp(process))
      assert.equal((await two.broker.read(topic, last, 10)).isComplete, false)
      const next = await one.store(topic, 'a')
      assert.notEqual(next.epoch, last.epoch)
      const { messages, isComplete } = await two.broker.read(topic, last, 10)
      assert.equal(isComplete, false)
      if (messages.length > 0) assert.deepEqual(anchorOf(messages.at(-1)!), next)
      assert.equal(await one.broker.presence.renew(one.name, 60_000), false)
    }
  }
  return checks
}
