import type { ClientState, ConnectOptions, Socket } from '../../types/client.js'
import { ClientError } from './errors.js'
import { Pauses } from '../pauses.js'
import { absolute, BACKOFF, CONNECT_TIMEOUT, constructorOf, isFinal, offers, retryHint, STABLE } from './options.js'

/** Gets what happens on a line. */
export interface LineUser {
  /** Subprotocols, besides the token's. */
  readonly protocols: readonly string[]
  onState (state: ClientState, detail: { code: number, reason: string } | null): void
  /** The handshake is done. */
  onOpen (): void
  onText (text: string): void
  /** The connection is lost, or closed. Follows each `onOpen` once. */
  onDown (): void
  /** `url` or `token` failed, or another attempt did. It is tried again. */
  onError (error: unknown): void
}

interface Page {
  addEventListener? (event: string, listener: () => void): void
  removeEventListener? (event: string, listener: () => void): void
}

const page = globalThis as Page & { document?: Page & { visibilityState?: string }, navigator?: { onLine?: boolean } }

/** One WebSocket after the other, as long as it makes sense, with pauses as the server and the law of full jitter want them. */
export class Line {
  state: ClientState = 'connecting'
  readonly #url: string | URL | (() => string | URL | Promise<string | URL>)
  readonly #options: ConnectOptions
  readonly #user: LineUser
  #socket: Socket | null = null
  #isOpen = false
  /** By `close`. */
  #isEnded = false
  /** Attempts that failed in a row. */
  readonly #pauses: Pauses
  #openedAt = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #watchdog: ReturnType<typeof setTimeout> | undefined
  /** Milliseconds of silence after which the line is dead; 0: not known. */
  #patience = 0
  #heardAt = 0
  /** The number of the attempt under way: an older one has no say any more. */
  #attempt = 0

  constructor (url: string | URL | (() => string | URL | Promise<string | URL>), options: ConnectOptions, user: LineUser) {
    constructorOf(options)
    if (typeof url !== 'function') absolute(url)
    this.#url = url
    this.#options = options
    this.#user = user
    const { base = BACKOFF.base, cap = BACKOFF.cap } = options.backoff ?? {}
    this.#pauses = new Pauses({ first: base, most: cap, jitter: 1 })
    page.addEventListener?.('online', this.#hurry)
    page.addEventListener?.('offline', this.#goneOffline)
    page.document?.addEventListener?.('visibilitychange', this.#shown)
    // Behind whoever has made the client, who adds listeners.
    queueMicrotask(() => { if (this.state === 'connecting') this.open() })
  }

  /** Connects now, also if the server has closed it for good. */
  open (): void {
    if (this.#socket !== null || this.#isEnded) return
    clearTimeout(this.#timer)
    this.#connect().catch(error => this.#user.onError(error))
  }

  /** @returns whether it went to the socket */
  send (text: string): boolean {
    if (!this.#isOpen) return false
    this.#socket!.send(text)
    return true
  }

  /** Something has to come every so often. @param patience milliseconds of silence after which the line is dead */
  watch (patience: number): void {
    this.#patience = patience
    this.#heardAt = Date.now()
    clearTimeout(this.#watchdog)
    this.#watchdog = setTimeout(this.#look, patience)
  }

  close (code = 1000, reason = ''): void {
    this.#isEnded = true
    page.removeEventListener?.('online', this.#hurry)
    page.removeEventListener?.('offline', this.#goneOffline)
    page.document?.removeEventListener?.('visibilitychange', this.#shown)
    this.#drop(code, reason)
    this.#change('closed', { code, reason })
  }

  /** Gives the line up and connects again. */
  renew (): void {
    this.#drop()
    this.#wait(0)
  }

  async #connect (): Promise<void> {
    const attempt = ++this.#attempt
    this.#change('connecting', null)
    this.#timer = setTimeout(() => this.renew(), this.#options.connectTimeout ?? CONNECT_TIMEOUT)
    let url, token
    try {
      url = absolute(typeof this.#url === 'function' ? await this.#url() : this.#url)
      token = await this.#options.token?.()
    } catch (error) {
      if (attempt !== this.#attempt) return
      this.#user.onError(error)
      return this.renew()
    }
    // Meanwhile it was closed, or given up.
    if (attempt !== this.#attempt) return
    const WebSocket = constructorOf(this.#options)
    const socket = this.#socket = new WebSocket(url, offers(this.#user.protocols, token))
    socket.onopen = () => { if (this.#socket === socket) this.#opened() }
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      if (this.#socket !== socket) return
      this.#heardAt = Date.now()
      if (typeof data === 'string') this.#user.onText(data)
    }
    // `close` follows. Without a listener, ws would throw.
    socket.onerror = () => {}
    socket.onclose = ({ code, reason }: { readonly code: number, readonly reason: string }) => { if (this.#socket === socket) this.#closed(code, reason) }
  }

  #opened (): void {
    clearTimeout(this.#timer)
    this.#isOpen = true
    this.#openedAt = Date.now()
    this.#change('open', null)
    this.#user.onOpen()
  }

  #closed (code: number, reason: string): void {
    this.#drop()
    if (isFinal(code)) return this.#change('closed', { code, reason })
    this.#wait(retryHint(reason))
  }

  /** Nothing that the socket still does is heard. */
  #drop (code?: number, reason?: string): void {
    this.#attempt++
    clearTimeout(this.#timer)
    clearTimeout(this.#watchdog)
    this.#patience = 0
    const socket = this.#socket
    const wasOpen = this.#isOpen
    this.#socket = null
    this.#isOpen = false
    if (wasOpen && Date.now() - this.#openedAt >= STABLE) this.#pauses.reset()
    if (socket !== null && socket.readyState < 2) socket.close(code, reason)
    if (wasOpen) this.#user.onDown()
  }

  /** Full jitter: any time up to a limit that doubles with each failure, so that clients do not come in waves. */
  #wait (hint: number): void {
    const pause = this.#pauses.next()
    // Where there is no network, an attempt in vain now and then is enough.
    const delay = page.navigator?.onLine === false ? this.#pauses.most : hint + pause
    this.#timer = setTimeout(() => this.open(), delay)
    this.#change('waiting', null)
  }

  #change (state: ClientState, detail: { code: number, reason: string } | null): void {
    if (this.state === state) return
    this.state = state
    this.#user.onState(state, detail)
  }

  /** Timers of hidden pages come late, and those of a machine that has slept. */
  readonly #look = (): void => {
    if (this.#patience === 0) return
    const silence = Date.now() - this.#heardAt
    if (silence >= this.#patience) this.renew()
    else this.#watchdog = setTimeout(this.#look, this.#patience - silence)
  }

  readonly #hurry = (): void => {
    if (this.state === 'waiting') this.open()
  }

  readonly #goneOffline = (): void => {
    if (this.state !== 'closed') this.renew()
  }

  readonly #shown = (): void => {
    if (page.document!.visibilityState === 'hidden') return
    this.#hurry()
    if (this.#patience > 0) {
      clearTimeout(this.#watchdog)
      this.#look()
    }
  }
}

export function closedError (): ClientError {
  return new ClientError('closed', 'the client is closed')
}
