import type { BinaryType } from '../../types/messages.js'

// All that happens in one run of the model, as data: so it can be made from a seed, printed, kept, and made smaller.

/** Turns of the event loop. */
export type Turns = number

export const TRANSPORTS = ['tcp', 'tls', 'http2', 'http2-tls', 'inject', 'inject-http2'] as const
export type Transport = typeof TRANSPORTS[number]

/** The options of `perMessageDeflate`. */
export interface DeflatePlan {
  threshold: number
  level: number
  memLevel: number
  serverMaxWindowBits: number
  clientMaxWindowBits: number
  serverNoContextTakeover: boolean
  clientNoContextTakeover: boolean
}

/** How the plugin's `errorHandler` acts; `none`: there is none, and the default logs and closes with 1011. */
export type ErrorHandlerPlan = 'none' | 'keeps' | 'closes' | 'terminates' | 'throws' | 'rejects' | 'thenable'

/** One app with its clients, from its start to its end. */
export interface Plan {
  transport: Transport
  deflate: DeflatePlan | null
  /** Milliseconds. */
  closeTimeout: number
  /** Milliseconds between two Pings of the heartbeat, if there is one. */
  heartbeat: number | null
  errorHandler: ErrorHandlerPlan
  conversations: Conversation[]
  /** From outside of any connection. */
  elsewhere: { after: Turns, act: Broadcast | { do: 'close server' } | { do: 'close app' } }[]
}

/** How what the client writes is cut. */
export type Slices = 'whole' | 'bytes' | 'random'

/** One connection: the client, and what the app does with it. */
export interface Conversation {
  /** Its name in the trace, whatever is taken out of the plan. */
  id: number
  /** `Sec-WebSocket-Extensions`. */
  offer: string | null
  /** Whether the client sends without waiting for the 101. */
  isEarly: boolean
  slices: Slices
  steps: ClientStep[]
  ending: ClientEnding
  /** The client's answer when the server's Close frame comes first. */
  answer: 'at once' | 'behind its steps' | 'with FIN' | 'never'
  /** Whether all messages are JSON. */
  isJson: boolean
  /** How long a hook takes before the handshake is accepted. */
  hook: Turns
  /** Whether the hook takes the socket and answers by itself. */
  isHijacked: boolean
  app: AppPlan
}

export type ClientStep =
  | ClientMessage
  | { do: 'ping', id: number, size: number }
  | { do: 'pong', id: number, size: number }
  /** The client writes its pending frames and then nothing for a while. */
  | { do: 'wait', turns: Turns }
  /** Reads nothing for a while, but goes on sending. */
  | { do: 'stop reading', turns: Turns }

export interface ClientMessage {
  do: 'message'
  /** The content is generated from it. */
  id: number
  size: number
  isBinary: boolean
  isCompressed: boolean
  fragments: number
  /** A Ping between every two fragments. */
  pings: boolean
}

export type ClientEnding =
  /** `code` 1005: a Close frame without one. */
  | { how: 'close', code: number, reason: string, withFin: boolean }
  | { how: 'fin' }
  | { how: 'reset' }
  /** Leaves it to the server. */
  | { how: 'wait' }

export interface AppPlan {
  /** `detached`: it returns at once, and its phases run on. */
  handler: 'async' | 'detached'
  /** The delay before the app listens. */
  listensAfter: Turns
  /** The listeners that get the messages, one after another. */
  phases: Phase[]
  /** When its `close` listener is added. */
  closeListener: 'at once' | 'late' | 'never'
  rules: Rule[]
}

export const LISTENERS = ['on', 'prependListener', 'once', 'addEventListener', 'onmessage'] as const
export type ConsumerKind = typeof LISTENERS[number] | 'json' | 'loop' | 'json loop' | 'stream'

export interface Phase {
  kind: ConsumerKind
  /** Messages; then it leaves. `null`: it stays to the end. */
  count: number | null
  /** The time that the body of a loop takes for each message. */
  busy: Turns
  /** Until the next phase. */
  gap: Turns
}

/** `turn`: from elsewhere, `nth` turns after the handler was called. */
export const MOMENTS = ['open', 'message', 'ping', 'pong', 'drain', 'close', 'error', 'callback', 'turn'] as const
export type Moment = typeof MOMENTS[number]

export interface Rule {
  on: Moment
  /** The first is 0. */
  nth: number
  acts: Act[]
}

export interface Broadcast {
  do: 'broadcast'
  id: number
  size: number
  isBinary: boolean
  compress: boolean
  scope: 'route' | 'server'
  except: 'nobody' | 'itself' | 'some'
  filter: 'none' | 'some' | 'throws'
}

/** Kinds of memory that `send` takes. */
export const MEMORIES = ['string', 'Buffer', 'Uint8Array', 'ArrayBuffer', 'DataView'] as const

export type Act =
  | { do: 'send', id: number, size: number, memory: typeof MEMORIES[number], isBinary: boolean, compress: boolean, fragments: number, gap: Turns, hasCallback: boolean, times: number }
  | { do: 'send json', id: number, size: number, hasCallback: boolean }
  | { do: 'ping', id: number, size: number, hasCallback: boolean }
  | { do: 'pong', id: number, size: number, hasCallback: boolean }
  | Broadcast
  | { do: 'close', code: number | null, reason: string }
  | { do: 'terminate' }
  | { do: 'pause', turns: Turns }
  | { do: 'binaryType', type: BinaryType }
  /** One more listener, for a while. */
  | { do: 'observe', turns: Turns }
  /** The acts that follow are delayed. */
  | { do: 'await', turns: Turns }
  | { do: 'close server' }
  | { do: 'close app' }
  /** Behind it nothing is done. */
  | { do: 'throw', how: 'throw' | 'reject' | 'thenable' | 'no error' }
  | { do: 'return', what: 'thenable that never settles' | 'thenable that throws' | 'function' }
