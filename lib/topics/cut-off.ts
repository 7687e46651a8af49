import type { Receiver } from './local-topic.js'

/** Closes clients that this process cannot serve, since it cannot reach the broker: another process may. */
export class CutOff {
  isDown = false
  private readonly timeout: number
  private readonly receivers: () => Iterable<Receiver>
  private timer: NodeJS.Timeout | null = null

  /** @param timeout milliseconds; `Infinity`: clients stay */
  constructor (timeout: number, receivers: () => Iterable<Receiver>) {
    this.timeout = timeout
    this.receivers = receivers
  }

  change (isUp: boolean): void {
    this.isDown = !isUp
    this.close()
    if (this.isDown && this.timeout !== Infinity) this.timer = setTimeout(this.cut, this.timeout).unref()
  }

  close (): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  /** Clients that connect meanwhile have as long. */
  private readonly cut = (): void => {
    this.timer = setTimeout(this.cut, this.timeout).unref()
    for (const receiver of this.receivers()) receiver.onCutOff()
  }
}
