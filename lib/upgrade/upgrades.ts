import type { Duplex } from 'node:stream'
import { NO_CONTEXT, runInContext } from '../async-context.js'
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
  private timer: NodeJS.Timeout | null = null
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
    this.expectEnd()
    // Fastify does so itself, unless told not to; then a hook could hold up the end.
    if (this.isClosing || isServerClosing) upgrade.refuse(503, CLOSING)
    upgrade.route()
  }

  /**
   * Watches the time of all handshakes with one timer, which goes on when the last one is over: in most cases the next follows,
   * and Node would make and sort in a list for each.
   */
  private expectEnd (): void {
    if (this.timer === null) this.setTimer(this.timeouts.handshakeTimeout)
    else if (this.pending.size === 1) this.timer.ref()
  }

  private setTimer (milliseconds: number): void {
    // The timer belongs to all handshakes, and to the context of none.
    runInContext(NO_CONTEXT, () => { this.timer = setTimeout(this.onTime, milliseconds) }, undefined)
  }

  private readonly onTime = (): void => {
    this.timer = null
    const now = performance.now()
    let next = Infinity
    for (const upgrade of this.pending.all) {
      if (upgrade === null) continue
      if (upgrade.dueAt <= now) upgrade.onTimeout()
      else if (upgrade.dueAt < next) next = upgrade.dueAt
    }
    // A handshake may have begun meanwhile.
    if (next < Infinity && this.timer === null) this.setTimer(Math.ceil(next - now))
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
    if (this.pending.size === 0) this.timer?.unref()
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
