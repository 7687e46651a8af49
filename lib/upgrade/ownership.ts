import type { IncomingMessage } from 'node:http'
import type { PendingUpgrades } from './upgrades.js'
import type { RouteTable } from './route-table.js'

/** An instance of this plugin, as the servers that its routes are on know it. */
export interface Member {
  readonly routes: RouteTable
  readonly upgrades: PendingUpgrades
  /** Whether the server is closed with the instance's app. */
  readonly ownsServer: boolean
  /** Whether the instance answers 503 to everything. */
  readonly isClosing: boolean
  /** Ends what came over a server that another app closes, within `timeout` milliseconds. */
  leave (timeout: number): Promise<void>
}

/**
 * The instances of this plugin on one server, in several apps or in encapsulated contexts of one app. Each instance gets
 * the requests for its own routes; one of them answers requests that match no route of any instance.
 */
export class Members {
  private readonly listen: () => () => void
  /** The youngest first. */
  private members: Member[] = []
  private lastOwner: Member | null = null
  private stop: (() => void) | null = null

  /** @param listen begins to listen to the server. It returns a function that stops, and is called while there are members */
  constructor (listen: () => () => void) {
    this.listen = listen
  }

  /** Listens for an instance. @returns a function that ends it */
  join (member: Member): () => void {
    this.members.unshift(member)
    this.stop ??= this.listen()
    return () => {
      this.members = this.members.filter(other => other !== member)
      if (member.ownsServer) this.lastOwner = member
      if (this.members.length > 0) return
      this.stop?.()
      this.stop = null
    }
  }

  /** The members whose app does not close the server. */
  get guests (): readonly Member[] {
    return this.members.filter(({ ownsServer }) => !ownsServer)
  }

  /**
   * Returns the instance that a request for a WebSocket belongs to.
   *
   * @param isShared whether there are other listeners, to which requests for none of our routes belong
   * @returns `null` if the request belongs to another listener
   */
  ownerOf (isShared: boolean, request: IncomingMessage): Member | null {
    if (this.members.length < 2 && !isShared) return this.inCharge
    const claiming = this.members.filter(({ routes }) => routes.matches(request))
    return claiming.find(({ isClosing }) => !isClosing) ?? claiming[0] ?? (isShared ? null : this.inCharge)
  }

  /**
   * Answers what is for no route of any: the eldest that is not closing, one of the app's own before guests. The server's
   * owner does also when it has closed: the app's second server on `localhost` may have connections left.
   */
  get inCharge (): Member | null {
    const { members } = this
    return members.findLast(ownsServer) ?? members.findLast(isOpen) ?? members.at(-1) ?? this.lastOwner
  }
}

function ownsServer ({ ownsServer }: Member): boolean {
  return ownsServer
}

function isOpen ({ isClosing }: Member): boolean {
  return !isClosing
}
