import type { Connection } from '../connection/connection.js'
import type { Session } from '../connection/session.js'
import { PlaceList } from './place-list.js'

/** The properties in which a session keeps its places. */
type PlaceKey = 'place' | 'routePlace'

/** Open connections. */
export class SessionList extends PlaceList<PlaceKey, Session> {
  private set: Set<Connection> | null = null

  /** The connections as a Set, for apps. It is made when it is first asked for, and then kept as the list is. */
  get clients (): Set<Connection> {
    this.set ??= new Set(this.connections)
    return this.set
  }

  get connections (): Connection[] {
    return this.all.filter(session => session !== null).map(connectionOf)
  }

  override add (session: Session): void {
    super.add(session)
    this.set?.add(connectionOf(session))
  }

  override remove (session: Session): void {
    super.remove(session)
    this.set?.delete(connectionOf(session))
  }
}

export function connectionOf (session: Session): Connection {
  return session.connection as Connection
}
