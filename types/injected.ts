import type { WebSocketConnectionData, WebSocketConnectionOf, WebSocketConnectionTypes } from './connection.js'

/** The client's end of a connection that `injectWS` has opened. */
export interface InjectedWebSocketOf<Types extends WebSocketConnectionTypes> extends WebSocketConnectionOf<Types> {
  /** A client has no route: the value is `null`, and the type lets nobody use it. */
  readonly route: never
  // Nor has it topics: these throw.
  readonly subscriptions: never
  readonly subscribe: never
  readonly unsubscribe: never
  readonly isSubscribed: never
  readonly publish: never
}

/** The client's end of a connection: `Receive` and `Send` as the client sees them. */
export type InjectedWebSocket<Receive = unknown, Send = unknown> =
  InjectedWebSocketOf<{ receive: Receive, send: (message: Send) => void, data: WebSocketConnectionData }>
