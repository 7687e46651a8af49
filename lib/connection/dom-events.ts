import type {
  WebSocketCloseEvent, WebSocketConnection, WebSocketErrorEvent, WebSocketEvent, WebSocketEventListener, WebSocketEventMap,
  WebSocketMessageEvent
} from '../../types/connection.js'
import { decodeText } from '../protocol/text.js'

/** The events that have a browser's form. */
export type DomEventType = keyof WebSocketEventMap

export const DOM_EVENT_TYPES: readonly DomEventType[] = ['open', 'message', 'close', 'error']

/** A listener of the emitter that stands for one that was added in the browser's way. */
export interface DomListener {
  (this: WebSocketConnection, ...args: unknown[]): unknown
  domListener: WebSocketEventListener<never>
  /** Whether it was set as an `on…` property. */
  isProperty: boolean
}

type Message = string | Buffer | ArrayBuffer | Buffer[] | Blob

function makeEvent (type: DomEventType, target: WebSocketConnection, args: unknown[], wasClean: boolean): WebSocketEvent {
  switch (type) {
    case 'message': {
      const [data, isBinary] = args as [Message, boolean]
      return { type, target, data: isBinary ? data : decodeText(data as Buffer) } as WebSocketMessageEvent
    }
    case 'close': {
      const [code, reason] = args as [number, Buffer]
      return { type, target, code, reason: reason.toString(), wasClean } as WebSocketCloseEvent
    }
    case 'error': {
      const [error] = args as [Error]
      return { type, target, error, message: error.message } as WebSocketErrorEvent
    }
    default:
      return { type, target }
  }
}

/** Wraps a browser's listener, a function or an object with `handleEvent`, as one for the emitter. */
export function toDomListener (
  type: DomEventType,
  listener: WebSocketEventListener<never>,
  isProperty: boolean,
  wasClean: (connection: WebSocketConnection) => boolean
): DomListener {
  const wrapper = function (this: WebSocketConnection, ...args: unknown[]): unknown {
    const event = makeEvent(type, this, args, type === 'close' && wasClean(this)) as never
    return typeof listener === 'function' ? listener.call(this, event) : listener.handleEvent(event)
  } as DomListener
  wrapper.domListener = listener
  wrapper.isProperty = isProperty
  return wrapper
}
