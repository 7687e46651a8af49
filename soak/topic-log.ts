/** A place in the history of a topic. */
export interface Place {
  readonly epoch: string
  readonly offset: number
  readonly id: string
}

/** The messages that one client has received of one topic with history. */
export class TopicLog {
  private readonly name: string
  /** Parts between resets. */
  private readonly parts: Place[][] = [[]]
  private readonly seen = new Set<string>()

  constructor (name: string) {
    this.name = name
  }

  received (place: Place): void {
    this.parts.at(-1)!.push(place)
    this.seen.add(keyOf(place))
  }

  /** Messages may be missing here, and the client knows. */
  reset (): void {
    this.parts.push([])
  }

  has (place: Place): boolean {
    return this.seen.has(keyOf(place))
  }

  all (): Place[] {
    return this.parts.flat()
  }

  /** @param known all messages of the topic @returns what is lost, doubled or out of order */
  check (known: readonly Place[]): string[] {
    const problems: string[] = []
    const ids = new Map<string, number>()
    for (const { id } of this.all()) ids.set(id, (ids.get(id) ?? 0) + 1)
    for (const [id, count] of ids) if (count > 1) problems.push(`${this.name}: ${id} has come ${count} times`)
    for (const part of this.parts) problems.push(...this.checkPart(part, known))
    return problems
  }

  private checkPart (part: readonly Place[], known: readonly Place[]): string[] {
    const problems: string[] = []
    for (let i = 1; i < part.length; i++) {
      const [before, place] = [part[i - 1]!, part[i]!]
      if (place.epoch !== before.epoch) problems.push(`${this.name}: epoch ${place.epoch} follows ${before.epoch} without a reset`)
      else if (place.offset <= before.offset) problems.push(`${this.name}: offset ${place.offset} follows ${before.offset}`)
    }
    const [first, last] = [part[0], part.at(-1)]
    if (first === undefined || last === undefined) return problems
    const here = new Set(part.map(keyOf))
    for (const place of known) {
      const isBetween = place.epoch === first.epoch && place.offset > first.offset && place.offset < last.offset
      if (isBetween && !here.has(keyOf(place))) problems.push(`${this.name}: ${keyOf(place)} is lost, between ${keyOf(first)} and ${keyOf(last)}`)
    }
    return problems
  }
}

function keyOf ({ epoch, offset, id }: Place): string {
  return `${epoch}.${offset}.${id}`
}
