import type { ConnectOptions } from '../../types/client.js'
import { Limits } from './backlog.js'
import { ClientError } from './errors.js'
import { randomId } from './options.js'

/** Servers know an id again for 5 minutes at most. In milliseconds, with time for the way. */
const KNOWN_AGAIN = 4.5 * 60_000

/** Milliseconds before a message that the server did not take is sent again: the first time, and at most. */
const RETRY = { first: 1_000, most: 30_000 }

interface Publication {
  readonly topic: string
  readonly text: string
  readonly resolve: (at: string | null) => void
  readonly reject: (error: Error) => void
  readonly done: () => void
  /** 0: it was never sent. */
  firstSent: number
  delay: number
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Messages that the server has not answered yet, in the order in which they were published. */
export class Outbox {
  readonly #limits: Limits
  readonly #send: (text: string) => boolean
  readonly #publications = new Map<string, Publication>()

  /** @param send returns whether there is a connection */
  constructor (options: ConnectOptions['outbox'], send: (text: string) => boolean) {
    this.#limits = new Limits(options)
    this.#send = send
  }

  publish (topic: string, message: unknown, id = randomId()): Promise<string | null> {
    return new Promise((resolve, reject) => {
      if (this.#publications.has(id)) throw new ClientError('outbox', `a message with the id '${id}' waits already`)
      const text = JSON.stringify({ publish: topic, message, id })
      const publication: Publication = { topic, text, resolve, reject, done: this.#limits.take(text), firstSent: 0, delay: RETRY.first, timer: undefined }
      this.#publications.set(id, publication)
      this.#try(publication)
    })
  }

  /** The server has it. */
  published (id: string, at: string | null): void {
    this.#end(id)?.resolve(at)
  }

  refused (id: string, error: ClientError, retry: boolean): void {
    const publication = this.#publications.get(id)
    if (publication === undefined) return
    if (!retry) return this.#end(id)!.reject(error)
    clearTimeout(publication.timer)
    publication.timer = setTimeout(() => this.#try(publication), publication.delay)
    publication.delay = Math.min(RETRY.most, publication.delay * 2)
  }

  /**
   * There is a connection again: everything is sent again, in its order.
   *
   * @param isOnce whether the topic stores a message once, however often it comes
   */
  resend (isOnce: (topic: string) => boolean): void {
    for (const [id, publication] of this.#publications) {
      const { firstSent, topic } = publication
      if (firstSent > 0 && (Date.now() - firstSent > KNOWN_AGAIN || !isOnce(topic))) {
        this.#end(id)!.reject(new ClientError('unknown', 'the connection was lost before the server answered: it may have the message or not'))
      } else {
        clearTimeout(publication.timer)
        this.#try(publication)
      }
    }
  }

  close (error: Error): void {
    for (const id of [...this.#publications.keys()]) this.#end(id)!.reject(error)
  }

  #try (publication: Publication): void {
    if (this.#send(publication.text)) publication.firstSent ||= Date.now()
  }

  #end (id: string): Publication | undefined {
    const publication = this.#publications.get(id)
    if (publication === undefined) return undefined
    this.#publications.delete(id)
    clearTimeout(publication.timer)
    publication.done()
    return publication
  }
}
