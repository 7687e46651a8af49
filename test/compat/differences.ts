/** Where a published test does not pass, on purpose. */
export interface Difference {
  /** As in `base.test.js`. */
  file: string
  test: string
  why: string
  /** The title of the row in docs/migration.md that says what it was, what it is, and how to get it back. */
  row: string
  /** The test waits for what never comes. */
  hangs?: true
}

const OTHER_TEXT = 'the error says which option or route it is, and what it accepts'
const OTHER_CODE = 'the error has the code FST_WS_ERR_RESERVED_BITS'
const TOO_EARLY = 'the route is declared in the same tick as register, where neither plugin makes it a WebSocket route: here the app does not start'
const NO_HTTP_ERROR = 'a handler that throws closes with 1011, not 1006'
const NOT_FOUND = 'an upgrade for which there is no WebSocket route is answered 404, which the client of ws tells as an error'
const UPGRADE_REQUIRED = 'a plain request to a WebSocket route is answered 426'

export const DIFFERENCES: readonly Difference[] = [
  { file: 'base', test: 'Should fail if custom errorHandler is not a function', why: OTHER_TEXT, row: 'Wrong options and routes' },
  { file: 'base', test: 'Should fail if custom preClose is not a function', why: OTHER_TEXT, row: 'Wrong options and routes' },
  { file: 'base', test: 'Should run custom errorHandler when the raw socket emits an error', why: OTHER_CODE, row: 'Error codes' },
  { file: 'base', test: 'Should Handle WebSocket errors to avoid Node.js crashes', why: OTHER_CODE, row: 'Error codes' },
  { file: 'base', test: 'Should be able to pass clientTracking option in false to ws', why: TOO_EARLY, row: 'Routes declared too early' },
  { file: 'base', test: 'clashing upgrade handler', why: 'an upgrade for one of our routes is not shown to other listeners of the server', row: 'Other `upgrade` listeners' },
  { file: 'hooks', test: 'Should not run onError hook if reply was already hijacked (error thrown in websocket handler)', why: NO_HTTP_ERROR, row: 'Error thrown by a handler' },
  { file: 'hooks', test: 'Should not run preSerialization/onSend hooks', why: 'onSend runs for the 101, which is a reply', row: '`onSend`, `onResponse`, `request completed` in the log' },
  { file: 'router', test: 'Should close on unregistered path (with no wildcard route websocket handler defined)', why: NOT_FOUND, row: 'Upgrade to a route that has only HTTP' },
  { file: 'router', test: 'Should close the connection if a non-websocket route with path exists', why: NOT_FOUND, row: 'Upgrade to a route that has only HTTP' },
  { file: 'router', test: 'Should call wildcard route handler on unregistered path', why: TOO_EARLY, row: 'Routes declared too early' },
  { file: 'router', test: 'Should invoke the correct handler depending on the headers', why: 'the handshake of the test has no Host, and is answered 400', row: 'Handshakes that break RFC 6455', hangs: true },
  { file: 'router', test: 'Should throw on wrong HTTP method', why: OTHER_TEXT, row: 'Wrong options and routes' },
  { file: 'router', test: 'Should throw on an array with a non-GET method', why: OTHER_TEXT, row: 'Wrong options and routes' },
  { file: 'router', test: 'Should throw on invalid wsHandler', why: OTHER_TEXT, row: 'Wrong options and routes' },
  { file: 'router', test: 'Should accept an array of GET methods', why: UPGRADE_REQUIRED, row: 'Plain HTTP to a WebSocket route' },
  { file: 'router', test: 'Should reply 404 to HEAD requests on a websocket route', why: UPGRADE_REQUIRED, row: 'Plain HTTP to a WebSocket route' },
  { file: 'router', test: 'Should return 404 on http request', why: UPGRADE_REQUIRED, row: 'Plain HTTP to a WebSocket route' },
  { file: 'router', test: 'should call `destroy` when exception is thrown inside async handler', why: NO_HTTP_ERROR, row: 'Error thrown by a handler' }
]

/** Where the published test of the types does not compile, on purpose. */
export interface TypeDifference {
  /** The statement. */
  line: string
  times: number
  why: string
  row: string
}

export const TYPE_DIFFERENCES: readonly TypeDifference[] = [
  { line: 'expect(app.websocketServer).type.toBe<Server>()', times: 3, why: 'there is no server of ws underneath', row: '`app.websocketServer`' },
  { line: 'expect(this).type.toBe<FastifyInstance>()', times: 1, why: 'in a route with a type provider, `this` is the instance with that type provider', row: 'Types' },
  { line: 'expect(ws).type.toBe<WebSocket>()', times: 2, why: 'the client of `injectWS` is an `InjectedWebSocket`, which is a `WebSocket` without a route', row: 'Types' }
]
