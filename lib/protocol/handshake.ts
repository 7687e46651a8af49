/**
 * The opening handshake of RFC 6455 §4 over HTTP/1.1, as pure functions: what
 * makes a request a valid handshake, what the answer must contain, and how a
 * refusal looks.
 */

import { hash, randomBytes } from 'node:crypto'
import { HandshakeError, type ErrorCode } from '../errors.js'
import { hasToken, parseExtensions, parseSubprotocols, type ExtensionOffer } from './header-fields.js'

/** Appended to the key before hashing (RFC 6455 §1.3). */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The only version RFC 6455 defines (§4.1 item 9). */
const PROTOCOL_VERSION = '13'

/** Bytes of the nonce in `Sec-WebSocket-Key` (RFC 6455 §4.1 item 7). */
const KEY_BYTES = 16

/**
 * 16 bytes in base64: 21 characters, one that carries the last two bits and
 * four zero bits (RFC 4648 §3.5), and the padding.
 */
const KEY_PATTERN = /^[A-Za-z0-9+/]{21}[AQgw]==$/

/** Header fields as Node gives them: names in lower case, repeated lines joined. */
export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>

/** What the handshake rules look at; Node's `IncomingMessage` fits. */
export interface HandshakeRequest {
  readonly method?: string | undefined
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  readonly headers: HeaderFields
  /** Names and values in turn, as received: only here repeated field lines can be told apart. */
  readonly rawHeaders: readonly string[]
}

/** What a client asks for beside the connection. */
export interface Offers {
  /** Subprotocols offered, the client's favourite first; empty if none. */
  readonly subprotocols: string[]
  /** Extensions offered, the client's favourite first; empty if none. */
  readonly extensions: ExtensionOffer[]
}

/** What a valid handshake over HTTP/1.1 says. */
export interface Handshake extends Offers {
  /** `Sec-WebSocket-Key`, for {@link computeAccept}. */
  readonly key: string
}

/** The value of a field, `undefined` if absent; several lines are one list (RFC 9110 §5.3). */
function fieldValue (headers: HeaderFields, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/**
 * The values of every line of the field `name` (in lower case) as received.
 * Unlike `headers` these are complete: Node drops some repeated lines there,
 * and all lines beyond `server.maxHeadersCount`.
 */
function fieldLines (rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const lineName = rawHeaders[i] as string
    if (lineName.length === name.length && lineName.toLowerCase() === name) values.push(rawHeaders[i + 1] as string)
  }
  return values
}

function badRequest (message: string, code: ErrorCode): HandshakeError {
  return new HandshakeError(message, code, 400)
}

/**
 * The 426 that says how to go on: with an upgrade to WebSocket, version 13.
 * It is the answer to a handshake of another version (RFC 6455 §4.4) and to
 * a plain request for something only WebSocket can give.
 *
 * A 426 must carry `Upgrade` (RFC 9110 §15.5.22), and whoever sends `Upgrade`
 * must name it in `Connection` (§7.8). A caller that also closes the
 * connection has to add `close` to that list, not replace it. HTTP/2 has
 * neither field (RFC 9113 §8.2.2).
 *
 * @param httpVersionMajor that of the request
 * @param message what the client reads
 * @param code defaults to `FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED`
 */
export function createUpgradeRequiredError (
  httpVersionMajor = 1,
  message = 'Upgrade to WebSocket required',
  code: ErrorCode = 'FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED'
): HandshakeError {
  return new HandshakeError(message, code, 426, {
    ...(httpVersionMajor < 2 ? { Connection: 'Upgrade', Upgrade: 'websocket' } : {}),
    'Sec-WebSocket-Version': PROTOCOL_VERSION
  })
}

/**
 * Whether the request asks for an upgrade to WebSocket, be it valid or not.
 * If it does not, it is an ordinary HTTP request: a server may ignore
 * `Upgrade` (RFC 9110 §7.8).
 */
export function isWebSocketUpgrade (headers: HeaderFields): boolean {
  return hasToken(fieldValue(headers, 'upgrade'), 'websocket')
}

/** RFC 6455 §4.2.1 item 1: a GET request, HTTP/1.1 or higher. */
function checkRequestLine (request: HandshakeRequest): void {
  if (request.method !== 'GET') {
    throw new HandshakeError('A WebSocket handshake must use GET', 'FST_WS_ERR_HANDSHAKE_METHOD', 405, { Allow: 'GET' })
  }
  const { httpVersionMajor: major, httpVersionMinor: minor } = request
  if (major < 1 || (major === 1 && minor < 1)) {
    throw badRequest('A WebSocket handshake needs HTTP/1.1 or higher', 'FST_WS_ERR_HANDSHAKE_HTTP_VERSION')
  }
}

/** RFC 6455 §4.2.1 item 2; RFC 9112 §3.2 refuses more than one. */
function checkHost ({ rawHeaders }: HandshakeRequest): void {
  const hosts = fieldLines(rawHeaders, 'host')
  if (hosts.length !== 1 || hosts[0] === '') {
    throw badRequest('A WebSocket handshake must have exactly one Host', 'FST_WS_ERR_HANDSHAKE_HOST')
  }
}

/** RFC 6455 §4.2.1 items 3 and 4. */
function checkUpgrade ({ headers }: HandshakeRequest): void {
  if (!isWebSocketUpgrade(headers)) {
    throw badRequest('Upgrade must contain websocket', 'FST_WS_ERR_HANDSHAKE_UPGRADE')
  }
  if (!hasToken(fieldValue(headers, 'connection'), 'upgrade')) {
    throw badRequest('Connection must contain Upgrade', 'FST_WS_ERR_HANDSHAKE_CONNECTION')
  }
}

/** Whether a `Content-Length` announces no content: nothing but zeros. */
function isZero (contentLength: string): boolean {
  return /^0+$/.test(contentLength)
}

/**
 * After the header section comes the first frame, so a body would be read as
 * frames by us and as a body by a proxy in between: request smuggling.
 */
function checkNoBody ({ rawHeaders }: HandshakeRequest): void {
  if (fieldLines(rawHeaders, 'transfer-encoding').length > 0 ||
    !fieldLines(rawHeaders, 'content-length').every(isZero)) {
    throw badRequest('A WebSocket handshake must not have a body', 'FST_WS_ERR_HANDSHAKE_BODY')
  }
}

/**
 * RFC 6455 §4.2.1 item 6. Another version, or none, is told the right one
 * (§4.4); repeating the field, even with equal values, is malformed (§11.3.5).
 */
function checkVersion ({ httpVersionMajor, headers, rawHeaders }: HandshakeRequest): void {
  if (fieldLines(rawHeaders, 'sec-websocket-version').length > 1) {
    throw badRequest('Sec-WebSocket-Version must not be repeated', 'FST_WS_ERR_HANDSHAKE_VERSION')
  }
  if (fieldValue(headers, 'sec-websocket-version') !== PROTOCOL_VERSION) {
    throw createUpgradeRequiredError(
      httpVersionMajor, `Sec-WebSocket-Version must be ${PROTOCOL_VERSION}`, 'FST_WS_ERR_HANDSHAKE_VERSION')
  }
}

/** RFC 6455 §4.2.1 item 5, §11.3.1: once, 16 bytes in base64; otherwise `null`. */
function readKey ({ headers, rawHeaders }: HandshakeRequest): string | null {
  const key = fieldValue(headers, 'sec-websocket-key')
  return key === undefined || fieldLines(rawHeaders, 'sec-websocket-key').length !== 1 || !KEY_PATTERN.test(key) ? null : key
}

/**
 * Checks a client's opening handshake over HTTP/1.1 against RFC 6455 §4.2.1.
 * `Origin`, subprotocols and extensions are left to the route's options.
 *
 * The version is checked before the key, so that clients of the drafts, whose
 * keys look different, are told the version instead of a bad key.
 *
 * @throws HandshakeError 400 if the request is malformed; 405 with `Allow` if
 *   it is not a GET; 426 with `Sec-WebSocket-Version` if it is not of version 13
 */
export function validateHandshake (request: HandshakeRequest): Handshake {
  checkRequestLine(request)
  checkHost(request)
  checkUpgrade(request)
  checkNoBody(request)
  checkVersion(request)
  const key = readKey(request)
  if (key === null) throw badRequest('Sec-WebSocket-Key must be there once, 16 bytes in base64', 'FST_WS_ERR_HANDSHAKE_KEY')
  return { key, ...readOffers(request) }
}

/**
 * Checks a client's opening handshake over HTTP/2, an extended CONNECT for
 * `websocket` (RFC 8441 §5): as over HTTP/1.1, but for what HTTP/2 has its own
 * ways to say. It has no key; but there are clients (undici 7 and 8) that send
 * one, and want their answer.
 *
 * @throws HandshakeError 400 if the request is malformed; 426 with
 *   `Sec-WebSocket-Version` if it is not of version 13
 */
export function validateExtendedConnect (request: HandshakeRequest): Offers & { readonly key: string | null } {
  if (!request.headers[':authority']) {
    throw badRequest('A WebSocket handshake must have an :authority', 'FST_WS_ERR_HANDSHAKE_HOST')
  }
  checkNoBody(request)
  checkVersion(request)
  return { key: readKey(request), ...readOffers(request) }
}

function readOffers (request: HandshakeRequest): Offers {
  const subprotocols = fieldValue(request.headers, 'sec-websocket-protocol')
  const extensions = fieldValue(request.headers, 'sec-websocket-extensions')
  return {
    subprotocols: subprotocols === undefined ? [] : parseSubprotocols(subprotocols),
    extensions: extensions === undefined ? [] : parseExtensions(extensions)
  }
}

/**
 * The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2 item 5.4).
 *
 * @param key `Sec-WebSocket-Key` as sent, not decoded
 */
export function computeAccept (key: string): string {
  return hash('sha1', key + ACCEPT_GUID, 'base64')
}

/**
 * The subprotocol both sides speak that the server likes best, or `false` if
 * there is none. The field must then be missing from the answer; the
 * connection may still be opened (RFC 6455 §4.2.2 item 5.5).
 *
 * @param offered what the client offers
 * @param supported what the server speaks, best first
 */
export function selectSubprotocol (offered: readonly string[], supported: readonly string[]): string | false {
  const offers = new Set(offered)
  return supported.find(subprotocol => offers.has(subprotocol)) ?? false
}

/** A new random `Sec-WebSocket-Key` for a client (RFC 6455 §4.1 item 7). */
export function createKey (): string {
  return randomBytes(KEY_BYTES).toString('base64')
}

/**
 * Whether the server's answer belongs to the client's key (RFC 6455 §4.1, the
 * client's check 4).
 *
 * @param key the `Sec-WebSocket-Key` that was sent
 * @param accept the `Sec-WebSocket-Accept` received, `undefined` if absent
 */
export function verifyAccept (key: string, accept: string | undefined): boolean {
  return accept?.trim() === computeAccept(key)
}
