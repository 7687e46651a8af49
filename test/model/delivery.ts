/** A message as it was sent. */
export interface Message {
  readonly bytes: Buffer
  readonly isBinary: boolean
}

/**
 * Where in what the client sends somebody is who gets its messages, each once and in order. Messages may be equal, and
 * some may be dropped where nobody listens: so that may be several places.
 */
export class Delivery {
  private readonly sent: readonly Message[]
  private places = new Set([0])
  /** Whether it may be any place behind the first of them as well. */
  private mayHaveGap = false

  constructor (sent: readonly Message[]) {
    this.sent = sent
  }

  /** Messages may be dropped before the next one. */
  allowGap (): void {
    this.mayHaveGap = true
  }

  /** @returns the messages of which one came: none, if none of them may come now */
  take (isIt: (message: Message) => boolean): Message[] {
    const places = new Set<number>()
    const found: Message[] = []
    const first = Math.min(...this.places)
    for (let place = first; place < this.sent.length; place++) {
      if (!this.mayHaveGap && !this.places.has(place)) continue
      const message = this.sent[place]!
      if (!isIt(message)) continue
      places.add(place + 1)
      found.push(message)
    }
    if (found.length === 0) return found
    this.places = places
    this.mayHaveGap = false
    return found
  }

  /** Whether the first `count` messages may be all that came. */
  mayBeAt (count: number): boolean {
    return this.places.has(count) || (this.mayHaveGap && count >= Math.min(...this.places))
  }

  /** For people. */
  get place (): string {
    return `${[...this.places].join(' or ')}${this.mayHaveGap ? ' or later' : ''}`
  }
}
