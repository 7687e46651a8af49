import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../errors.js'
import { PlaceList } from '../server/place-list.js'
import { PendingUpgrade, type Dispatch, type UpgradeOwner, type UpgradeTimeouts } from './pending-upgrade.js'
import type { UpgradeTransport } from './transport.js'

/** As what is thrown where a handshake gets that far. */
const CLOSING: ErrorCode = 'FST_WS_ERR_CLOSING'

/** The handshakes under way, whatever they came with. */
export class PendingUpgrades implements UpgradeOwner {
  readonly timeouts: UpgradeTimeouts
  readonly dispatch: Dispatch
  readonly onRefused: UpgradeOwner['onRefused']
  private readonly pending = new PlaceList<'place', PendingUpgrade>('place')
  /** Sockets that hooks of the app have taken, for which a server that closes would wait. */
  private readonly hijacked = new Set<Duplex>()
  private readonly waiting: (() => void)[] = []
  /** Whether the app is closing. */
  isClosing = false

  /**
   * @param onRefused told of each upgrade that does not become a connection
   */
  constructor (dispatch: Dispatch, timeouts: UpgradeTimeouts, onRefused: UpgradeOwner['onRefused']) {
    this.dispatch = dispatch
    this.timeouts = timeouts
    this.onRefused = onRefused
  }

  /**
   * Sends an upgrade through the router.
   *
   * @param isServerClosing whether the server that it came over is being closed
   */
  begin (transport: UpgradeTransport, isServerClosing: boolean): void {
    const upgrade = new PendingUpgrade(transport, this)
    this.pending.add(upgrade)
    // Fastify does so itself, unless told not to; then a hook could hold up the end.
    if (this.isClosing || isServerClosing) upgrade.refuse(503, CLOSING)
    upgrade.route()
  }

  /** Answers 503 to all new upgrades. */
  startClosing (): void {
    this.isClosing = true
  }

  /**
   * Answers 503 to those there are. Resolves when they are done, and the app has ended what it has hijacked; after `timeout`
   * milliseconds all that are left are destroyed.
   */
  async refuseAll (timeout: number): Promise<void> {
    for (const upgrade of this.pending.all) upgrade?.refuse(503, CLOSING)
    if (this.isEmpty) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        for (const upgrade of this.pending.all) upgrade?.abort()
        for (const socket of this.hijacked) socket.destroy()
      }, timeout)
      this.waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  readonly onDone = (upgrade: PendingUpgrade): void => {
    this.pending.remove(upgrade)
    this.resolveIfEmpty()
  }

  readonly onHijacked = (socket: Duplex): void => {
    if (socket.destroyed) return
    this.hijacked.add(socket)
    socket.once('close', () => {
      this.hijacked.delete(socket)
      this.resolveIfEmpty()
    })
  }

  private get isEmpty (): boolean {
    return this.pending.size + this.hijacked.size === 0
  }

  private resolveIfEmpty (): void {
    if (this.isEmpty) for (const resolve of this.waiting.splice(0)) resolve()
  }
}
