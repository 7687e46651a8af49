/** Where and how to connect, beside the URL. */
export interface OpenOptions {
  protocols?: string[]
  headers?: Record<string, string>
  /** The certificate to trust, as PEM and as a file. */
  ca?: { cert: string, certFile: string }
  /** A Unix socket to connect to instead of the URL's host. */
  socketPath?: string
}

export interface CloseEvent {
  /** 1005: the server's Close frame had no code; 1006: there was no Close frame. */
  code: number
  reason: string
}

/** A connection of somebody else's client: the same few methods around each. */
export interface OpenClient {
  readonly protocol: string
  send (data: string | Buffer): void
  /** The next message; rejects if the connection ends before. */
  next (): Promise<string | Buffer>
  close (code?: number, reason?: string): void
  /** Resolves when the client says that the connection is over. */
  readonly closed: Promise<CloseEvent>
  /** Sends a Ping and resolves to the payload of the Pong. */
  ping? (data: string): Promise<string>
}

/** Somebody else's WebSocket client. */
export interface Client {
  readonly name: string
  /** Whether its API can send a Ping. */
  readonly canPing: boolean
  /** Whether its API, as that of browsers, closes with 1000 and 3000–4999 only. */
  readonly isLikeBrowsers: boolean
  readonly canCloseWithoutCode: boolean
  /** Whether it takes the body of a refusal. Others stop reading, and keep a connection open whose server has more to say. */
  readonly readsRefusals: boolean
  /** Why it never tells that it was refused, where it does not. */
  readonly missesRefusals?: string
  /** @throws {Refused} if the server answers with something else than 101 */
  open (url: string, options?: OpenOptions): Promise<OpenClient>
}

/** The server did not switch protocols. `null`: what this client does not tell. */
export class Refused extends Error {
  readonly status: number | null
  readonly body: string | null

  constructor (status: number | null, body: string | null) {
    super(`refused with ${status ?? 'an unknown status'}`)
    this.status = status
    this.body = body
  }
}

/** Messages between the one who pushes and the one who awaits them. */
export class Inbox {
  readonly closed: Promise<CloseEvent>
  private resolveClosed!: (event: CloseEvent) => void
  private readonly messages: (string | Buffer)[] = []
  private readonly waiting: { resolve: (message: string | Buffer) => void, reject: (error: Error) => void }[] = []
  private over: CloseEvent | null = null

  constructor () {
    this.closed = new Promise(resolve => { this.resolveClosed = resolve })
  }

  push (message: string | Buffer): void {
    const waiting = this.waiting.shift()
    if (waiting === undefined) this.messages.push(message)
    else waiting.resolve(message)
  }

  end (code: number, reason: string): void {
    this.over = { code, reason }
    for (const { reject } of this.waiting.splice(0)) reject(this.endError(this.over))
    this.resolveClosed(this.over)
  }

  next (): Promise<string | Buffer> {
    const message = this.messages.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.over !== null) return Promise.reject(this.endError(this.over))
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  private endError ({ code, reason }: CloseEvent): Error {
    return new Error(`closed with ${code} ${JSON.stringify(reason)} while a message was awaited`)
  }
}
