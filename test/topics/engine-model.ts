import type { BrokerAnchor, BrokerMessage, BrokerRead } from '../../types/broker.js'

/** A publication, with the one before it in the history that it was added to. */
export interface Publication extends BrokerMessage {
  readonly position: { readonly epoch: string, readonly offset: number }
  readonly parent: Publication | null
}

let ids = 0

/** The history of one topic in an engine that can lose it, or its end, or its beginning. */
export class EngineModel {
  epochs = 0
  history: Publication[] = []
  /** The first of `history` that is kept. */
  private kept = 0

  get epoch (): string {
    return `e${this.epochs}`
  }

  get top (): Publication | null {
    return this.history.at(-1) ?? null
  }

  /** @param step from the last offset to this one, as in an engine that counts other topics too */
  publish (step = 1, isPreviousKnown = true): Publication {
    const parent = this.top
    const offset = (parent?.position.offset ?? 0) + step
    const publication: Publication = {
      id: `m${ids++}`,
      data: Buffer.from('data'),
      position: { epoch: this.epoch, offset },
      previous: isPreviousKnown ? parent?.position.offset ?? 0 : null,
      parent
    }
    this.history.push(publication)
    return publication
  }

  /** The newest are gone, as after a fail-over to a replica that lags. */
  goBack (count: number): void {
    this.history = this.history.slice(0, Math.max(0, this.history.length - count))
    this.kept = Math.min(this.kept, this.history.length)
  }

  wipe (): void {
    this.epochs++
    this.history = []
    this.kept = 0
  }

  /** The oldest are gone. */
  trim (count: number): void {
    this.kept = Math.min(this.history.length, this.kept + count)
  }

  /** @param knowsTop whether the engine knows the id at the top though its message is gone */
  read (since: BrokerAnchor | null, limit: number, knowsTop = true): BrokerRead {
    const { history, kept, epoch } = this
    const messages = history.slice(kept)
    const last = this.top
    const topId = last !== null && (messages.length > 0 || knowsTop) ? last.id : null
    const top = { epoch, offset: last?.position.offset ?? 0 }
    if (since === null) return { top, topId, messages: limit === 0 ? [] : messages.slice(-limit), isComplete: true }
    const after = messages.filter(({ position }) => since.epoch !== epoch || position.offset > since.offset)
    const isTop = since.offset === top.offset && since.id === topId
    const isKept = since.offset === 0 ? kept === 0 && since.id === '' : isTop || messages.some(({ position, id }) => position.offset === since.offset && id === since.id)
    return { top, topId, messages: after.slice(0, limit), isComplete: since.epoch === epoch && isKept }
  }
}

/** A receiver that checks what it gets: everything behind a position that it held, once and in order, or a notice. */
export class Witness {
  at: BrokerAnchor | null = null
  received = 0
  lostCount = 0
  private readonly engine: EngineModel
  /** Publications by place. */
  private readonly all: Map<string, Publication>

  constructor (engine: EngineModel, all: Map<string, Publication>) {
    this.engine = engine
    this.all = all
  }

  begin (at: BrokerAnchor): void {
    this.at = at
  }

  lost (at: BrokerAnchor): void {
    this.lostCount++
    this.at = at
  }

  deliver (message: BrokerMessage): void {
    const publication = this.all.get(message.id)!
    const { parent } = publication
    const at = this.at!
    const expected = parent === null ? at.offset === 0 : parent.position.offset === at.offset && (parent.id === at.id || at.id.startsWith('?'))
    if (!expected || publication.position.epoch !== at.epoch) {
      throw new Error(`${place(message)} is not what follows ${at.epoch}.${at.offset}.${at.id}, but ${parent === null ? 'the first' : `what follows ${place(parent)}`}`)
    }
    this.received++
    this.at = { ...publication.position, id: publication.id }
  }

  get isAtTop (): boolean {
    const { top, epoch } = this.engine
    return this.at!.epoch === epoch && this.at!.offset === (top?.position.offset ?? 0)
  }
}

function place ({ id, position }: BrokerMessage): string {
  return `${position!.epoch}.${position!.offset}.${id}`
}
