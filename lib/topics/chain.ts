import type { BrokerAnchor, BrokerMessage, BrokerPosition, BrokerRead } from '../../types/broker.js'

/** Gets the messages of a chain, and reads for it. Its functions may call the chain, except that `read` answers later. */
export interface ChainOwner {
  /** The next message. Each comes once, in order. */
  deliver (message: BrokerMessage): void
  /** Messages before `to` are gone. Those behind it follow. */
  lost (to: BrokerAnchor): void
  /** Reads the topic's history. `onRead` or `onReadFailed` answers. */
  read (since: BrokerAnchor | null, limit: number): void
  /** Calls `retry` in a moment. */
  later (): void
  /** Whether this message was delivered, as far as that is remembered. If it is not, the broker is asked. */
  isKnown (message: BrokerMessage): boolean
  /** An id for a place whose message is no longer known: no message has it, and no other chain. */
  unknownId (): string
}

/** Messages of one read. */
const READ_LIMIT = 1_000

/** Live messages that wait for a read. If there are more, the read finds them. */
const MAX_HELD = 1_000

/** How often a message that the broker's history does not contain yet is looked for: a replica may lag. */
const MAX_MISSES = 3

/** Most chains hold nothing: one array is enough for them. */
const NONE: BrokerMessage[] = []

type ChainState = 'new' | 'reading' | 'waiting' | 'live' | 'stopped'

/**
 * The order of one topic on this process. Whatever a broker does to live messages, and wherever its history goes, `deliver` gets
 * each message once and in order, or `lost` is called at the place where some are missing.
 *
 * A live message that names the last one as the one before it is the next. Anything else is compared with the history, read
 * from the last message on: if that is no longer there, with the same id, messages may be gone.
 *
 * No timers, no I/O.
 */
export class Chain {
  private readonly owner: ChainOwner
  private state: ChainState = 'new'
  private position: BrokerPosition | null = null
  private id = ''
  /** Live messages that are not delivered yet, as they came. */
  private held: BrokerMessage[] = NONE
  /** How many of `held` were there before the read under way: its result is newer than they are. */
  private heldBefore = 0
  /** How many reads did not contain a message that had come before them. */
  private misses = 0
  /** Whether the read under way may not contain everything that matters. */
  private isOutdated = false
  private isDelivering = false

  constructor (owner: ChainOwner) {
    this.owner = owner
  }

  /** The place of the last message that was delivered, or of the beginning; `null` before the first read. */
  get last (): BrokerAnchor | null {
    return this.position === null ? null : { epoch: this.position.epoch, offset: this.position.offset, id: this.id }
  }

  /** Whether all that is known about has been delivered. */
  get isLive (): boolean {
    return this.state === 'live'
  }

  /** The broker has confirmed the subscription. The chain begins at the top of the history. */
  start (): void {
    if (this.state === 'new') this.read()
  }

  /** A live message, which has a position. */
  receive (message: BrokerMessage): void {
    if (this.state === 'live' && !this.isDelivering && this.isNext(message)) {
      this.isDelivering = true
      this.deliver(message)
      this.isDelivering = false
    } else if (this.state !== 'stopped') {
      this.hold(message)
    }
    if (this.state === 'live' && !this.isDelivering) this.drain()
  }

  /** Live messages may have been lost, or the broker's history may have changed. */
  interrupted (): void {
    if (this.state === 'live' || this.state === 'waiting') this.read()
    else this.isOutdated = true
  }

  /** It is time to try again. */
  retry (): void {
    if (this.state === 'waiting') this.read()
  }

  onReadFailed (): void {
    if (this.state === 'reading') this.wait()
  }

  onRead (read: BrokerRead): void {
    if (this.state !== 'reading') return
    const isBeginning = this.position === null
    if (isBeginning) this.moveTo(read)
    else if (!this.follow(read)) return
    this.settle(isBeginning ? null : read.messages)
  }

  stop (): void {
    this.state = 'stopped'
    this.held = NONE
  }

  private read (): void {
    this.state = 'reading'
    this.isOutdated = false
    this.heldBefore = this.held.length
    this.owner.read(this.last, this.position === null ? 0 : READ_LIMIT)
  }

  private wait (): void {
    this.state = 'waiting'
    this.owner.later()
  }

  /** Delivers what was read. @returns whether the history is done with for now */
  private follow ({ top, topId, messages, isComplete }: BrokerRead): boolean {
    if (!isComplete || top.epoch !== this.position!.epoch || top.offset < this.position!.offset) return this.lose({ top, topId })
    this.isDelivering = true
    for (const message of messages) {
      if (message.position === null || message.position.offset <= this.position!.offset) continue
      this.deliver(message)
      if (this.state !== 'reading') break
    }
    this.isDelivering = false
    if (this.state !== 'reading') return false
    if (this.position!.offset >= top.offset) return true
    if (messages.length === 0) return this.lose({ top, topId })
    this.read()
    return false
  }

  private lose (read: Pick<BrokerRead, 'top' | 'topId'>): boolean {
    this.moveTo(read)
    this.owner.lost(this.last!)
    return this.state === 'reading'
  }

  private moveTo ({ top, topId }: Pick<BrokerRead, 'top' | 'topId'>): void {
    this.position = top
    this.id = top.offset === 0 ? '' : topId ?? this.owner.unknownId()
  }

  private hold (message: BrokerMessage): void {
    if (this.held.length >= MAX_HELD) {
      this.held = NONE
      this.heldBefore = 0
      this.isOutdated = true
    }
    if (this.held.length === 0) this.held = [message]
    else this.held.push(message)
  }

  /** Goes on with the live messages. @param read the messages that the history had; `null` if the chain has just begun at its top */
  private settle (read: readonly BrokerMessage[] | null): void {
    const { epoch, offset } = this.position!
    const ids = new Map(read?.map(({ id, position }) => [position!.offset, id]))
    const isOpen = ({ id, position }: BrokerMessage, index: number): boolean => {
      const isBehind = position!.epoch === epoch && position!.offset > offset
      if (index < this.heldBefore) return isBehind
      // A message that came after the read began may be newer than its result, as others with the same offsets are.
      return read === null ? isBehind || position!.epoch !== epoch : ids.get(position!.offset) !== id
    }
    const before = this.held.slice(0, this.heldBefore).filter(isOpen)
    this.held = this.held.filter(isOpen)
    if (before.length === 0) this.misses = 0
    if (this.isOutdated) return this.read()
    if (before.length > 0) {
      // They may follow in their offsets, and yet be of a history that the broker has lost.
      if (this.misses++ < MAX_MISSES) return this.wait()
      this.held.splice(0, before.length)
      this.misses = 0
    }
    this.state = 'live'
    this.drain()
  }

  /** Delivers live messages as long as each is the next. */
  private drain (): void {
    this.isDelivering = true
    while (this.state === 'live' && this.held.length > 0) {
      const message = this.held[0]!
      const isNext = this.isNext(message)
      if (isNext || this.isRepeated(message)) {
        this.held.shift()
        if (isNext) this.deliver(message)
      } else {
        this.read()
      }
    }
    this.isDelivering = false
    if (this.held.length === 0) this.held = NONE
    if (this.state === 'live' && this.isOutdated) this.read()
  }

  private isNext ({ position, previous }: BrokerMessage): boolean {
    return previous === this.position!.offset && position!.offset > previous && position!.epoch === this.position!.epoch
  }

  private isRepeated (message: BrokerMessage): boolean {
    const { epoch, offset } = message.position!
    if (epoch !== this.position!.epoch || offset > this.position!.offset) return false
    return offset === this.position!.offset ? message.id === this.id : this.owner.isKnown(message)
  }

  private deliver (message: BrokerMessage): void {
    this.position = message.position
    this.id = message.id
    this.owner.deliver(message)
  }
}
