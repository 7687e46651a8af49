import { randomBytes } from 'node:crypto'
import type { Commands } from './commands.js'

/**
 * Makes sure that what the one connection publishes comes through the other. In a fail-over they may get to different servers,
 * and both may take commands: messages would be missing without a connection that breaks. An identity of the server, as in INFO,
 * may be asked for by few users, and is not that of a proxy between.
 */
export class Echo {
  readonly #commands: Commands
  readonly #channel: string
  readonly #timeout: number
  #expected: Buffer | null = null
  #heard: () => void = () => {}

  /** @param channel that nothing else of this package listens to @param timeout milliseconds for a message to come back */
  constructor (commands: Commands, channel: string, timeout: number) {
    this.#commands = commands
    this.#channel = channel
    this.#timeout = timeout
  }

  /** A message has come through the channel: processes hear each other. */
  receive (data: Buffer): void {
    if (this.#expected?.equals(data) === true) this.#heard()
  }

  /** Rejects, and breaks the connection for commands, if they are to different servers: both are opened again. */
  async check (): Promise<void> {
    await this.#commands.whenUp()
    const expected = this.#expected = randomBytes(12)
    let timer: NodeJS.Timeout | undefined
    const isHeard = new Promise<boolean>(resolve => {
      this.#heard = () => resolve(true)
      // Bytes that came while the event loop was blocked are read first.
      timer = setTimeout(() => setImmediate(() => setImmediate(() => resolve(false))), this.#timeout)
    })
    try {
      await this.#commands.send(this.#channel, ['PUBLISH', this.#channel, expected])
      if (await isHeard) return
    } finally {
      clearTimeout(timer)
    }
    const error = new Error(`messages do not come back from Redis within ${this.#timeout} ms: its connections may be to different servers`)
    this.#commands.break(error)
    throw error
  }
}
