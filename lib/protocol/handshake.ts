/**
 * The opening handshake of RFC 6455 §4 over HTTP/1.1, as pure functions: what
 * makes a request a valid handshake, what the answer must contain, and how a
 * refusal looks.
 */

import { hash, randomBytes } from 'node:crypto'
import { createError, type HandshakeError } from '../errors.js'
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

/** The parts of a request that the handshake rules read; Node's `IncomingMessage` fits. */
export interface HandshakeRequest {
  readonly method?: string | undefined
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  readonly headers: HeaderFields
  /** Names and values in turn, as received: only here repeated field lines can be told apart. */
  readonly rawHeaders: readonly string[]
}

/** Subprotocols and extensions that a client offers. */
export interface Offers {
  /** Subprotocols offered, the client's favourite first; empty if none. */
  readonly subprotocols: string[]
  /** Extensions offered, the client's favourite first; empty if none. */
  readonly extensions: ExtensionOffer[]
}

/** The contents of a valid handshake over HTTP/1.1. */
export interface Handshake extends Offers {
  /** `Sec-WebSocket-Key`, for {@link computeAccept}. */
  readonly key: string
}

/** The value of a field, `undefined` if absent; several lines are one list (RFC 9110 §5.3). */
function fieldValue (headers: HeaderFields, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Facts about the lines as received: `headers` drops some repeated ones, and all beyond `server.maxHeadersCount`. */
interface FieldLines {
  hosts: number
  versions: number
  keys: number
  /** The value of the last `Host`. */
  host: string
  hasBody: boolean
}

function readLines (rawHeaders: readonly string[]): FieldLines {
  const lines: FieldLines = { hosts: 0, versions: 0, keys: 0, host: '', hasBody: false }
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    // Few names have the length of one of these: only they are worth a copy in lower case.
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== 'host') break
        lines.hosts++
        lines.host = rawHeaders[i + 1]!
        break
      case 14:
        if (name.toLowerCase() === 'content-length' && !isZero(rawHeaders[i + 1]!)) lines.hasBody = true
        break
      case 17:
        switch (name.toLowerCase()) {
          case 'sec-websocket-key':
            lines.keys++
            break
          case 'transfer-encoding':
            lines.hasBody = true
        }
        break
      case 21:
        if (name.toLowerCase() === 'sec-websocket-version') lines.versions++
    }
  }
  return lines
}

/**
 * The 426 that says how to go on: with an upgrade to WebSocket, version 13.
 * It is the answer to a handshake of another version (RFC 6455 §4.4) and to
 * a plain request for something only WebSocket can give.
 *
 * A 426 must carry `Upgrade` (RFC 9110 §15.5.22), and a sender of `Upgrade`
 * must name it in `Connection` (§7.8). A caller that also closes the
 * connection has to add `close` to that list, not replace it. HTTP/2 has
 * neither field (RFC 9113 §8.2.2).
 *
 * @param httpVersionMajor the major HTTP version of the request
 */
export function createUpgradeRequiredError (
  httpVersionMajor = 1,
  code: 'FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED' | 'FST_WS_ERR_HANDSHAKE_VERSION' = 'FST_WS_ERR_HANDSHAKE_UPGRADE_REQUIRED'
): HandshakeError {
  return createError(code, undefined, {
    headers: {
      ...(httpVersionMajor < 2 ? { Connection: 'Upgrade', Upgrade: 'websocket' } : {}),
      'Sec-WebSocket-Version': PROTOCOL_VERSION
    }
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
    throw createError('FST_WS_ERR_HANDSHAKE_METHOD')
  }
  const { httpVersionMajor: major, httpVersionMinor: minor } = request
  if (major < 1 || (major === 1 && minor < 1)) {
    throw createError('FST_WS_ERR_HANDSHAKE_HTTP_VERSION')
  }
}

/** RFC 6455 §4.2.1 item 2; RFC 9112 §3.2 refuses more than one. */
function checkHost ({ hosts, host }: FieldLines): void {
  if (hosts !== 1 || host === '') {
    throw createError('FST_WS_ERR_HANDSHAKE_HOST')
  }
}

/** RFC 6455 §4.2.1 items 3 and 4. */
function checkUpgrade ({ headers }: HandshakeRequest): void {
  if (!isWebSocketUpgrade(headers)) {
    throw createError('FST_WS_ERR_HANDSHAKE_UPGRADE')
  }
  if (!hasToken(fieldValue(headers, 'connection'), 'upgrade')) {
    throw createError('FST_WS_ERR_HANDSHAKE_CONNECTION')
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
function checkNoBody ({ hasBody }: FieldLines): void {
  if (hasBody) {
    throw createError('FST_WS_ERR_HANDSHAKE_BODY')
  }
}

/**
 * RFC 6455 §4.2.1 item 6. The answer to another version, or none, names the right
 * one (§4.4); repeating the field, even with equal values, is malformed (§11.3.5).
 */
function checkVersion ({ httpVersionMajor, headers }: HandshakeRequest, { versions }: FieldLines): void {
  if (versions > 1) {
    throw createError('FST_WS_ERR_HANDSHAKE_VERSION', 'Sec-WebSocket-Version must not be repeated', { statusCode: 400 })
  }
  if (fieldValue(headers, 'sec-websocket-version') !== PROTOCOL_VERSION) {
    throw createUpgradeRequiredError(httpVersionMajor, 'FST_WS_ERR_HANDSHAKE_VERSION')
  }
}

/** RFC 6455 §4.2.1 item 5, §11.3.1: once, 16 bytes in base64; otherwise `null`. */
function readKey ({ headers }: HandshakeRequest, { keys }: FieldLines): string | null {
  const key = fieldValue(headers, 'sec-websocket-key')
  return key === undefined || keys !== 1 || !KEY_PATTERN.test(key) ? null : key
}

/**
 * Checks a client's opening handshake over HTTP/1.1 against RFC 6455 §4.2.1.
 * `Origin`, subprotocols and extensions are left to the route's options.
 *
 * The version is checked before the key, so that clients of the drafts, whose
 * keys look different, get an answer about the version and not about the key.
 *
 * @throws HandshakeError 400 if the request is malformed; 405 with `Allow` if
 *   it is not a GET; 426 with `Sec-WebSocket-Version` if it is not of version 13
 */
export function validateHandshake (request: HandshakeRequest): Handshake {
  checkRequestLine(request)
  const lines = readLines(request.rawHeaders)
  checkHost(lines)
  checkUpgrade(request)
  checkNoBody(lines)
  checkVersion(request, lines)
  const key = readKey(request, lines)
  if (key === null) throw createError('FST_WS_ERR_HANDSHAKE_KEY')
  const { subprotocols, extensions } = readOffers(request)
  return { key, subprotocols, extensions }
}

/**
 * Checks a client's opening handshake over HTTP/2, an extended CONNECT for
 * `websocket` (RFC 8441 §5): as over HTTP/1.1, except for the fields that HTTP/2
 * replaces. It needs no key, but some clients (undici 7 and 8) send one and
 * check the answer to it.
 *
 * @throws HandshakeError 400 if the request is malformed; 426 with
 *   `Sec-WebSocket-Version` if it is not of version 13
 */
export function validateExtendedConnect (request: HandshakeRequest): Offers & { readonly key: string | null } {
  if (!request.headers[':authority']) {
    throw createError('FST_WS_ERR_HANDSHAKE_HOST', 'A WebSocket handshake must have an :authority')
  }
  const lines = readLines(request.rawHeaders)
  checkNoBody(lines)
  checkVersion(request, lines)
  return { key: readKey(request, lines), ...readOffers(request) }
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
 * The server's favourite among the subprotocols that both sides speak, or `false`
 * if there is none. The field must then be missing from the answer; the
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
