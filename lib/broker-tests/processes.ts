import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Broker, BrokerAnchor, BrokerEvents, BrokerMessage, BrokerPosition, TopicHistory } from '../../types/broker.js'
import type { BrokerContractOptions } from './options.js'

const DEFAULT_PATIENCE = 10_000
const DEFAULT_LEASE = 1_000

/** Milliseconds after which a message that has not come is taken not to come. Too short, it finds less, and nothing wrong. */
const SILENCE = 50

/** A message that is kept long enough for a test. */
export const HISTORY: TopicHistory = { messages: 10_000, seconds: 60 }

/** The checks of one group, by name. */
export type Checks = Record<string, (processes: Processes) => Promise<void>>

type ProcessState = 'created' | 'started' | 'closed'

/** A broker, as one process has it, and what it has called. */
export class Process implements BrokerEvents {
  readonly broker: Broker
  /** Unique: the name of its lease. */
  readonly name = `process-${unique()}`
  readonly received: Array<{ readonly topic: string, readonly message: BrokerMessage }> = []
  /** The arguments of each `interrupted`. */
  readonly interruptions: Array<readonly string[] | undefined> = []
  readonly states: boolean[] = []
  readonly faults: string[] = []
  private phase: ProcessState = 'created'
  private readonly patience: number
  private readonly waiting = new Set<() => void>()

  constructor (broker: Broker, patience: number) {
    this.broker = broker
    this.patience = patience
  }

  async start (): Promise<void> {
    this.phase = 'started'
    await this.broker.start(this)
  }

  async close (): Promise<void> {
    if (this.phase !== 'started') return
    const closing = this.broker.close()
    this.phase = 'closed'
    await within(this.patience, closing, 'close() to resolve')
  }

  message (topic: string, message: BrokerMessage): void {
    this.called('message')
    this.received.push({ topic, message })
    this.changed()
  }

  interrupted (topics?: readonly string[]): void {
    this.called('interrupted')
    this.interruptions.push(topics)
    this.changed()
  }

  state (isUp: boolean): void {
    this.called('state')
    this.states.push(isUp)
    this.changed()
  }

  of (topic: string): BrokerMessage[] {
    return this.received.filter(received => received.topic === topic).map(({ message }) => message)
  }

  idsOf (topic: string): string[] {
    return this.of(topic).map(({ id }) => id)
  }

  /** Waits until a condition holds, which only events of this broker change. */
  async until (what: string, condition: () => boolean): Promise<void> {
    const waited = new Promise<void>(resolve => {
      const check = (): void => {
        if (!condition()) return
        this.waiting.delete(check)
        resolve()
      }
      this.waiting.add(check)
      check()
    })
    await within(this.patience, waited, what)
  }

  /** @returns the messages of a topic, as soon as there are this many */
  async messages (topic: string, count: number): Promise<BrokerMessage[]> {
    await this.until(`${count} messages of topic ${JSON.stringify(topic)}`, () => this.of(topic).length >= count)
    return this.of(topic)
  }

  wasInterrupted (topic: string): boolean {
    return this.interruptions.some(topics => topics === undefined || topics.includes(topic))
  }

  async publish (topic: string, id: string, history: TopicHistory | null = HISTORY, data: Buffer = Buffer.from(id)): Promise<BrokerPosition | null> {
    return await within(this.patience, this.broker.publish(topic, { id, data, history }), 'publish() to settle')
  }

  /** Publishes a message that gets a position. */
  async store (topic: string, id: string, history: TopicHistory = HISTORY, data: Buffer = Buffer.from(id)): Promise<BrokerAnchor> {
    const position = await this.publish(topic, id, history, data)
    assert.ok(position !== null, 'publish() with history resolves with a position')
    checkPosition(position)
    return { ...position, id }
  }

  private called (event: string): void {
    if (this.phase !== 'started') this.faults.push(`${event} was called on a broker that is ${this.phase}`)
  }

  private changed (): void {
    for (const check of [...this.waiting]) check()
  }
}

/** The processes of one test. */
export class Processes {
  readonly options: BrokerContractOptions
  readonly lease: number
  private readonly all: Process[] = []

  constructor (options: BrokerContractOptions) {
    this.options = options
    this.lease = options.lease ?? DEFAULT_LEASE
  }

  get patience (): number {
    return this.options.patience ?? DEFAULT_PATIENCE
  }

  async start (): Promise<Process> {
    const process = new Process(await this.options.create(), this.patience)
    this.all.push(process)
    await within(this.patience, process.start(), 'start() to resolve')
    return process
  }

  /** Starts two processes that have both subscribed to the topics. */
  async pair (...topics: string[]): Promise<[Process, Process]> {
    const pair: [Process, Process] = [await this.start(), await this.start()]
    if (topics.length > 0) await Promise.all(pair.map(({ broker }) => broker.subscribe(topics)))
    return pair
  }

  async sleep (milliseconds: number): Promise<void> {
    await (this.options.sleep?.(milliseconds) ?? wait(milliseconds))
  }

  /** Fails if a broker has called an event at a wrong time. */
  verify (): void {
    assert.deepEqual(this.all.flatMap(({ faults }) => faults), [])
  }

  async close (): Promise<void> {
    await Promise.all(this.all.map(process => process.close()))
  }
}

/** @returns a part of a name that nobody else has */
export function unique (): string {
  return randomBytes(6).toString('hex')
}

export function topicName (): string {
  return `contract/${unique()}`
}

export function wait (milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** Waits for messages that are not to come. */
export function silence (): Promise<void> {
  return wait(SILENCE)
}

export async function within<Result> (milliseconds: number, promise: Promise<Result>, what: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `waited ${milliseconds} ms for ${what}` })), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export function checkPosition ({ epoch, offset }: BrokerPosition): void {
  assert.match(epoch, /^[\w-]{1,64}$/, 'an epoch has 1 to 64 letters, digits, - and _')
  assert.ok(Number.isSafeInteger(offset) && offset >= 1, `an offset is an integer from 1, not ${offset}`)
}

/** @returns the place of a message that has one */
export function anchorOf ({ id, position }: BrokerMessage): BrokerAnchor {
  assert.ok(position !== null, `message ${id} has a position`)
  return { ...position, id }
}

/** Checks that messages follow each other. */
export function checkChain (messages: readonly BrokerMessage[], last: BrokerPosition | null = null): void {
  for (const message of messages) {
    const position = anchorOf(message)
    checkPosition(position)
    if (last !== null) {
      assert.equal(position.epoch, last.epoch, 'the epoch stays the same')
      assert.ok(position.offset > last.offset, `offset ${position.offset} is above ${last.offset}`)
    }
    if (message.previous !== null) assert.equal(message.previous, last === null ? 0 : last.offset, `previous of offset ${position.offset}`)
    last = position
  }
}
