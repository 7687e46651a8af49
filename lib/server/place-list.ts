/** The place of what is in no list. */
export const NOWHERE = -1

/** Below this length empty places are left as they are. */
const SHORTEST_TO_TIDY = 32

/**
 * Members that come and go, in the order in which they came, each of which knows its place.
 *
 * A `Set` would do, but V8 links the tables that a Set has outgrown to their successors, and they keep what was in them. So as
 * soon as one has become old, all that was ever in the Set survives until the next full collection: with sockets and
 * requests that is half the garbage of a handshake, and each piece is copied twice.
 */
export class PlaceList<Key extends string, Member extends Record<Key, number>> {
  size = 0
  private readonly key: Key
  private places: (Member | null)[] = []

  /** @param key of the property in which a member keeps its place, `NOWHERE` at first */
  constructor (key: Key) {
    this.key = key
  }

  /** The members, and `null` for empty places. Members that are added during an iteration come at the end. */
  get all (): readonly (Member | null)[] {
    return this.places
  }

  add (member: Member): void {
    if (this.places.length >= SHORTEST_TO_TIDY && this.size <= this.places.length / 2) this.tidy()
    this.put(member)
    this.size++
  }

  /** Removes a member, if it is in the list. */
  remove (member: Member): void {
    const place = member[this.key]
    if (place === NOWHERE) return
    this.places[place] = null
    member[this.key] = NOWHERE as Member[Key]
    this.size--
  }

  /** Into a new array: somebody may be looking at this one. */
  private tidy (): void {
    const { places } = this
    this.places = []
    for (const member of places) if (member !== null) this.put(member)
  }

  private put (member: Member): void {
    member[this.key] = this.places.push(member) - 1 as Member[Key]
  }
}
