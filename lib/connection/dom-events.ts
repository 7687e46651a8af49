import type { EventEmitter } from 'node:events'
import type {
  WebSocketCloseEvent, WebSocketConnection, WebSocketErrorEvent, WebSocketEvent, WebSocketEventListener, WebSocketEventMap,
  WebSocketMessageEvent
} from '../../types/connection.js'
import { decodeText } from '../protocol/text.js'

/** The events that have a browser's form. */
type DomEventType = keyof WebSocketEventMap

const DOM_EVENT_TYPES: readonly DomEventType[] = ['open', 'message', 'close', 'error']

/** Tells whether both sides of a connection have sent a Close frame (RFC 6455 §7.1.4). */
type WasClean = (connection: WebSocketConnection) => boolean

/** A listener of the emitter that stands for one that was added in the browser's way. */
interface DomListener {
  (this: WebSocketConnection, ...args: unknown[]): unknown
  domListener: WebSocketEventListener<never>
  /** Whether it was set as an `on…` property. */
  isProperty: boolean
}

/** Whether a listener of `message` was added in the browser's way: then it takes text as a string too. */
export function takesString (listener: unknown): boolean {
  return typeof listener === 'function' && 'domListener' in listener
}

type Message = string | Buffer | ArrayBuffer | Buffer[] | Blob

/** The members that `installDomEvents` adds. */
export type DomEvents = Pick<WebSocketConnection, 'addEventListener' | 'removeEventListener' | `on${DomEventType}`>

/** Adds the browser's ways to listen to the prototype of an emitter with the events of a connection. */
export function installDomEvents (prototype: EventEmitter, wasClean: WasClean): void {
  const methods: Pick<DomEvents, 'addEventListener' | 'removeEventListener'> & ThisType<WebSocketConnection> = {
    addEventListener (type, listener, options) {
      if (find(this, type, false, listener) !== undefined) return
      const wrapper = wrap(type, listener as WebSocketEventListener<never>, false, wasClean)
      if (options?.once === true) this.once(type, wrapper as never)
      else this.on(type, wrapper as never)
    },
    removeEventListener (type, listener) {
      const wrapper = find(this, type, false, listener)
      if (wrapper !== undefined) this.removeListener(type, wrapper as never)
    }
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true })
  }
  for (const type of DOM_EVENT_TYPES) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      get (this: WebSocketConnection) {
        return find(this, type, true)?.domListener ?? null
      },
      set (this: WebSocketConnection, handler: unknown) {
        const previous = find(this, type, true)
        if (previous !== undefined) this.removeListener(type, previous as never)
        if (typeof handler === 'function') this.on(type, wrap(type, handler as WebSocketEventListener<never>, true, wasClean) as never)
      }
    })
  }
}

function find (connection: WebSocketConnection, type: DomEventType, isProperty: boolean, listener?: unknown): DomListener | undefined {
  return (connection.listeners(type) as unknown as DomListener[]).find(candidate =>
    candidate.domListener !== undefined && candidate.isProperty === isProperty && (isProperty || candidate.domListener === listener))
}

/** Wraps a browser's listener, a function or an object with `handleEvent`, as one for the emitter. */
function wrap (type: DomEventType, listener: WebSocketEventListener<never>, isProperty: boolean, wasClean: WasClean): DomListener {
  const wrapper = function (this: WebSocketConnection, ...args: unknown[]): unknown {
    const event = makeEvent(type, this, args, wasClean) as never
    return typeof listener === 'function' ? listener.call(this, event) : listener.handleEvent(event)
  } as DomListener
  wrapper.domListener = listener
  wrapper.isProperty = isProperty
  return wrapper
}

function makeEvent (type: DomEventType, target: WebSocketConnection, args: unknown[], wasClean: WasClean): WebSocketEvent {
  switch (type) {
    case 'message': {
      const [data, isBinary] = args as [Message, boolean]
      return { type, target, data: isBinary || typeof data === 'string' ? data : decodeText(data as Buffer) } as WebSocketMessageEvent
    }
    case 'close': {
      const [code, reason] = args as [number, Buffer]
      return { type, target, code, reason: reason.toString(), wasClean: wasClean(target) } as WebSocketCloseEvent
    }
    case 'error': {
      const [error] = args as [Error]
      return { type, target, error, message: error.message } as WebSocketErrorEvent
    }
    default:
      return { type, target }
  }
}
