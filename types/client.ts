// The types of `fastify-ws-routes/client`. Nothing here needs Node or a browser.

/**
 * The part of a WebSocket that the client uses: browsers, Node, Deno, Bun, React Native and `ws` have it. Their types of events
 * differ, and `never` is what all of them take.
 */
export interface Socket {
  /** 0 to 3, as in browsers: connecting, open, closing, closed. */
  readonly readyState: number
  /** Called when the connection is open. */
  onopen: ((event: never) => unknown) | null
  /** Called with an event that has the message in `data`. */
  onmessage: ((event: never) => unknown) | null
  /** Called when the connection fails. `onclose` follows. */
  onerror: ((event: never) => unknown) | null
  /** Called with an event that has `code` and `reason`. */
  onclose: ((event: never) => unknown) | null
  /** Sends a text message. */
  send (data: string): void
  /** Starts the close handshake. */
  close (code?: number, reason?: string): void
}

/** The constructor of WebSockets. */
export type SocketConstructor = new (url: string, protocols?: string[]) => Socket

/**
 * - `connecting`: a handshake is under way, or the URL or token is asked for.
 * - `open`: messages go both ways.
 * - `waiting`: the connection is lost, and another attempt follows.
 * - `closed`: by `close()`, or the server has refused the client for good.
 */
export type ClientState = 'connecting' | 'open' | 'waiting' | 'closed'

/** How a connection was closed for good. */
export interface ClientClosure {
  /** The close code of the server, or 1005 or 1006. */
  readonly code: number
  /** The server's reason, or `''`. */
  readonly reason: string
}

/** Where to connect to. A function is called for each attempt. In a page it may be relative: `'/live'`. `http:` stands for `ws:`. */
export type ClientUrl = string | URL | (() => string | URL | Promise<string | URL>)

/**
 * The options of both clients.
 *
 * @see docs/client.md
 */
export interface ConnectOptions {
  /**
   * Called for each attempt. The token goes to the server as the subprotocol `bearer.<token>`, behind the others: unlike in a
   * URL, nobody logs it there. One with other characters than letters, digits, `.`, `_` and `-` is encoded as base64url. If it
   * throws, `error` is emitted, and the attempt counts as failed.
   */
  token?: (() => string | null | undefined | Promise<string | null | undefined>) | undefined
  /** The constructor of WebSockets, where the runtime has none: that of `ws` on Node 20. Default: the global one. */
  WebSocket?: SocketConstructor | undefined
  /** The random pause before another attempt. */
  backoff?: {
    /** Milliseconds: the limit of the pause after the first failure, which doubles with each further one. Default 250. */
    base?: number | undefined
    /** Milliseconds: the highest limit. Default 30,000. */
    cap?: number | undefined
  } | undefined
  /** Milliseconds for an attempt, `url` and `token` included. Default 15 s. */
  connectTimeout?: number | undefined
  /** Limits of the messages that wait to be sent: further ones are refused. */
  outbox?: {
    /** Messages. Default 1,000. */
    messages?: number | undefined
    /** Bytes of their JSON. Default 1 MiB. */
    bytes?: number | undefined
  } | undefined
}

/** The options of `connectJson`. */
export interface ConnectJsonOptions extends ConnectOptions {
  /** Subprotocols to offer. Default none; `['json']` with a token, since browsers want the server to select one. */
  protocols?: readonly string[] | undefined
}

/** The events that both clients have. `on` returns a function that removes the listener. */
export interface ClientEvents {
  /** `closure` says why, in the state `closed`. */
  state: [state: ClientState, closure: ClientClosure | null]
  /** `url` or `token` failed, or the server has sent what cannot be read. The client goes on. */
  error: [error: unknown]
  [event: string]: unknown[]
}

/**
 * A client of a JSON route without topics.
 *
 * @see docs/client.md
 */
export interface JsonClient<Receive = unknown, Send = unknown> extends AsyncIterable<Receive> {
  /** The state as of now. */
  readonly state: ClientState
  /**
   * Calls the listener with each message.
   *
   * @returns a function that removes the listener
   */
  on (event: 'message', listener: (message: Receive) => unknown): () => void
  /**
   * Calls the listener when the state changes.
   *
   * @returns a function that removes the listener
   */
  on (event: 'state', listener: (...args: ClientEvents['state']) => unknown): () => void
  /**
   * Calls the listener with errors of `url` and `token`, and with messages that cannot be read.
   *
   * @returns a function that removes the listener
   */
  on (event: 'error', listener: (...args: ClientEvents['error']) => unknown): () => void
  /**
   * Sends a message, now or when there is a connection. Without topics nothing says whether it has arrived: a message that was
   * handed to a connection which is lost then is not sent again.
   *
   * @throws {ClientError} `outbox` if too much waits already, `closed` if the client is closed
   */
  send (message: Send): void
  /** Connects again after the server has closed for good. */
  reconnect (): void
  /** Ends it: loops end, and nothing is left behind. */
  close (code?: number, reason?: string): void
}

/** The types of a declared topic, as the client sees them. */
export interface TopicContract {
  /** `rooms/:room` */
  readonly pattern: string
  /** The messages that clients publish. */
  readonly publish: unknown
  /** The messages that subscribers receive. */
  readonly message: unknown
  /** Information about a member. */
  readonly member: unknown
}

/** A value of the server's that carries the types of a topic: what `app.topic` returns. */
export interface TopicCarrier {
  /** Exists for the compiler alone. */
  readonly '~types'?: TopicContract | undefined
}

/** A topic that is declared in a plugin with a prefix: `Prefixed<'v1', typeof rooms>`. */
export interface Prefixed<Prefix extends string, Carrier extends TopicCarrier> {
  /** Exists for the compiler alone. */
  readonly '~types'?: PrefixedContract<Prefix, TypesOf<Carrier>>
}

interface PrefixedContract<Prefix extends string, Contract extends TopicContract> extends TopicContract {
  readonly pattern: `${Prefix}/${Contract['pattern']}`
  readonly publish: Contract['publish']
  readonly message: Contract['message']
  readonly member: Contract['member']
}

type TypesOf<Carrier> = Carrier extends { readonly '~types'?: infer Types } ? Extract<Types, TopicContract> : never

/** All topics of an app: `{ rooms: typeof rooms, prices: typeof prices }`, or one: `typeof rooms`. */
type ContractsOf<Live> = Live extends TopicCarrier ? ('~types' extends keyof Live ? TypesOf<Live> : TypesOf<Live[keyof Live]>) : TypesOf<Live[keyof Live]>

/** The names that a pattern stands for. A double colon is a colon of the name. */
export type NamesOf<Pattern extends string> = Pattern extends `${infer Part}/${infer Rest}` ? `${NamesOfPart<Part>}/${NamesOf<Rest>}` : NamesOfPart<Pattern>

type NamesOfPart<Part extends string> = Part extends `::${infer Rest}` ? `:${Rest}` : Part extends `:${string}` ? string : Part

/** The names of all topics of `Live`. Without types: any. */
export type TopicName<Live> = [ContractsOf<Live>] extends [never] ? string : NameOf<ContractsOf<Live>>

type NameOf<Contract extends TopicContract> = Contract extends TopicContract ? NamesOf<Contract['pattern']> : never

/** The types of the topic with this name. */
export type ContractOf<Live, Name extends string> = [ContractsOf<Live>] extends [never] ? AnyContract : Matching<ContractsOf<Live>, Name>

type Matching<Contract extends TopicContract, Name extends string> = Contract extends TopicContract ? Name extends NamesOf<Contract['pattern']> ? Contract : never : never

interface AnyContract extends TopicContract {
  readonly pattern: string
}

/** A member of a topic with presence. */
export interface ClientMember<Info = unknown> {
  /** Unique within the topic. It stays the same when a client comes back within the grace period. */
  readonly id: string
  /** The value that the server gives about the member. */
  readonly info: Info
}

/** The options of `topic`. */
export interface ClientTopicOptions {
  /** Go on behind this position, which an earlier page or process has kept. Default: from now on. */
  since?: string | undefined
}

/**
 * One topic, as a client sees it. It is subscribed from the first listener, loop or `subscribe` on, until `unsubscribe`.
 *
 * @see docs/client.md
 */
export interface ClientTopic<Contract extends TopicContract = TopicContract> extends AsyncIterable<Contract['message']> {
  /** The name of the topic, with its parameters filled in. */
  readonly name: string
  /** Whether it is live now. */
  readonly isLive: boolean
  /** The place of the last message, to go on from in another page; `null` without history. */
  readonly position: string | null
  /** The members, if the topic has presence, and not more than the server lists. */
  readonly members: ReadonlyArray<ClientMember<Contract['member']>>
  /** How many members there are; 0 without presence. */
  readonly count: number

  /** A message. In a topic with history: each exactly once, in order, unless `reset` comes in between. */
  on (event: 'message', listener: (message: Contract['message'], position: string | null, id: string) => unknown): () => void
  /**
   * The page's knowledge of the topic is out of date, and it loads the state anew: `snapshot`, if the server declares one, or in
   * its own way. `undefined` without one. Comes with the first subscription too if there is a snapshot, and never for nothing: not if all was recovered.
   */
  on (event: 'reset', listener: (snapshot: unknown) => unknown): () => void
  /** Messages of a topic without history were, or may have been, missed. */
  on (event: 'gap', listener: () => unknown): () => void
  /** Members have come or gone. */
  on (event: 'presence', listener: (members: ReadonlyArray<ClientMember<Contract['member']>>, count: number) => unknown): () => void
  /** It is live: for the first time, or again. */
  on (event: 'live', listener: () => unknown): () => void
  /** The server refuses the subscription, or has ended it. Loops throw the same error. */
  on (event: 'refused', listener: (error: Error & { readonly code: string }) => unknown): () => void

  /** Subscribes, if it is not. @returns when it is live; rejects with a `ClientError` if the server refuses */
  subscribe (): Promise<void>
  /** Unsubscribes: no listener is called any more, and loops end. Listeners stay, for the next `subscribe`. */
  unsubscribe (): void
  /**
   * Publishes, now or when there is a connection. It is sent again over a reconnect, under the same id, so that a topic with
   * history stores it once.
   *
   * @returns when the server has taken it: its position, or `null` without history
   * @throws {ClientError} (as a rejection) with the server's code if it refuses; `outbox` if too much waits already; `closed`;
   *   `unknown` if the connection was lost before the answer, and sending it again could store it twice
   */
  publish (message: Contract['publish'], options?: { id?: string | undefined }): Promise<string | null>
}

/**
 * A client of a route with topics.
 *
 * @see docs/client.md
 */
export interface TopicsClient<Live = unknown> {
  /** The state as of now. */
  readonly state: ClientState
  /**
   * Calls the listener when the state changes.
   *
   * @returns a function that removes the listener
   */
  on (event: 'state', listener: (...args: ClientEvents['state']) => unknown): () => void
  /**
   * Calls the listener with errors of `url` and `token`, and with messages that cannot be read.
   *
   * @returns a function that removes the listener
   */
  on (event: 'error', listener: (...args: ClientEvents['error']) => unknown): () => void
  /** A message of the route's own handler. */
  on (event: 'message', listener: (message: unknown) => unknown): () => void
  /** The topic of this name: always the same object. `since` counts when it is subscribed for the first time. */
  topic<const Name extends TopicName<Live>> (name: Name, options?: ClientTopicOptions): ClientTopic<ContractOf<Live, Name>>
  /** Sends a message to the route's own handler, as `JsonClient.send` does. */
  send (message: unknown): void
  /** Connects again after the server has closed for good. */
  reconnect (): void
  /** Ends it: loops end, what was not published rejects, and nothing is left behind. */
  close (code?: number, reason?: string): void
}
