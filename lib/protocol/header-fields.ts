/**
 * Header field values of the opening handshake, read the way RFC 9110 §5.6
 * defines them. Every function reads its input once, by character code and
 * without regular expressions, because any client can send this input: time and
 * memory are linear in its length whatever it contains.
 * Names from the peer never become property keys.
 */

import { createError } from '../errors.js'

/**
 * A parameter of an extension offer: its name, and its value unquoted, or
 * `true` where it stands without one.
 */
export type ExtensionParameter = readonly [name: string, value: string | true]

/** One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1). */
export interface ExtensionOffer {
  /** The extension's name as sent. */
  readonly name: string
  /**
   * In the order sent and with duplicates: RFC 7692 §7.1 declines an offer
   * that repeats a parameter, so the negotiation has to see it.
   */
  readonly params: readonly ExtensionParameter[]
}

const HTAB = 0x09
const SPACE = 0x20
const DOUBLE_QUOTE = 0x22
const COMMA = 0x2c
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const BACKSLASH = 0x5c

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~" +
  '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 1 at the code of every `tchar` (RFC 9110 §5.6.2); codes from 128 on are none. */
const IS_TOKEN_CHARACTER = new Uint8Array(128)
for (let i = 0; i < TOKEN_CHARACTERS.length; i++) {
  IS_TOKEN_CHARACTER[TOKEN_CHARACTERS.charCodeAt(i)] = 1
}

function isTokenCharacter (code: number): boolean {
  return code < 128 && IS_TOKEN_CHARACTER[code] === 1
}

/** Whether a text is a `token` (RFC 9110 §5.6.2): of at least one character, all of them `tchar`. */
export function isToken (text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (!isTokenCharacter(text.charCodeAt(i))) return false
  }
  return text.length > 0
}

/** Optional whitespace, `OWS` (RFC 9110 §5.6.3). */
function isWhitespace (code: number): boolean {
  return code === SPACE || code === HTAB
}

/**
 * Lower case for ASCII only: `toLowerCase` folds some characters beyond it to
 * ASCII letters (U+212A to `k`), and tokens must not compare equal to those.
 */
function toLowerAscii (code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code
}

/** Whether `value` from `start` to `end` (exclusive) is `token` in any letter case. */
function rangeEqualsIgnoringCase (value: string, start: number, end: number, token: string): boolean {
  if (end - start !== token.length) return false
  for (let i = 0; i < token.length; i++) {
    if (toLowerAscii(value.charCodeAt(start + i)) !== toLowerAscii(token.charCodeAt(i))) return false
  }
  return true
}

/**
 * Whether the comma list `value` (`Connection`, `Upgrade`) has `token` as an
 * element, in any letter case.
 *
 * Elements are compared whole: `websocket/13` is not `websocket` (RFC 6455
 * §4.2.1), and elements that are no token (`HTTP/2.0`, RFC 9110 §7.8) or are
 * empty (§5.6.1.2) are passed over rather than spoiling the list.
 *
 * @param value the field's value, `undefined` if the field is absent
 */
export function hasToken (value: string | undefined, token: string): boolean {
  if (value === undefined) return false
  let elementStart = 0
  while (elementStart <= value.length) {
    const comma = value.indexOf(',', elementStart)
    const elementEnd = comma === -1 ? value.length : comma
    let start = elementStart
    let end = elementEnd
    while (start < end && isWhitespace(value.charCodeAt(start))) start++
    while (end > start && isWhitespace(value.charCodeAt(end - 1))) end--
    if (rangeEqualsIgnoringCase(value, start, end, token)) return true
    elementStart = elementEnd + 1
  }
  return false
}

type FieldErrorCode = 'FST_WS_ERR_HANDSHAKE_SUBPROTOCOL' | 'FST_WS_ERR_HANDSHAKE_EXTENSIONS'

/**
 * Reads the value of one field of the handshake from left to right; it never
 * goes back.
 */
class FieldReader {
  readonly #fieldName: string
  readonly #errorCode: FieldErrorCode
  readonly #value: string
  #offset = 0

  /** @param errorCode the `code` of the HandshakeError where the value breaks its grammar */
  constructor (fieldName: string, errorCode: FieldErrorCode, value: string) {
    this.#fieldName = fieldName
    this.#errorCode = errorCode
    this.#value = value
  }

  get atEnd (): boolean {
    return this.#offset === this.#value.length
  }

  /** Refuses the handshake: the next characters break the grammar. */
  fail (): never {
    throw createError(this.#errorCode, `${this.#fieldName} is malformed at offset ${this.#offset}`)
  }

  /** Steps over whitespace and, if it comes next, `delimiter` with the whitespace behind it. */
  skipDelimiter (delimiter: number): boolean {
    this.#skipWhitespace()
    if (this.#value.charCodeAt(this.#offset) !== delimiter) return false
    this.#offset++
    this.#skipWhitespace()
    return true
  }

  #skipWhitespace (): void {
    while (isWhitespace(this.#value.charCodeAt(this.#offset))) this.#offset++
  }

  /** `token` (RFC 9110 §5.6.2). */
  readToken (): string {
    const start = this.#offset
    while (isTokenCharacter(this.#value.charCodeAt(this.#offset))) this.#offset++
    if (this.#offset === start) this.fail()
    return this.#value.slice(start, this.#offset)
  }

  /** `token / quoted-string`, the latter unescaped. */
  readTokenOrQuotedToken (): string {
    return this.#value.charCodeAt(this.#offset) === DOUBLE_QUOTE ? this.#readQuotedToken() : this.readToken()
  }

  /**
   * `quoted-string` (RFC 9110 §5.6.4) whose content, once unescaped, is a
   * token: RFC 6455 §9.1 allows no other. Since no `tchar` is a quote or a
   * backslash, looking at each unescaped character settles both rules.
   */
  #readQuotedToken (): string {
    this.#offset++
    let content = ''
    let runStart = this.#offset
    for (;;) {
      const code = this.#value.charCodeAt(this.#offset)
      if (code === DOUBLE_QUOTE) break
      if (code === BACKSLASH) {
        content += this.#value.slice(runStart, this.#offset)
        this.#offset++
        runStart = this.#offset
      }
      if (!isTokenCharacter(this.#value.charCodeAt(this.#offset))) this.fail()
      this.#offset++
    }
    content += this.#value.slice(runStart, this.#offset)
    if (content === '') this.fail()
    this.#offset++
    return content
  }
}

/**
 * Reads `1#element` as a recipient must (RFC 9110 §5.6.1.2): empty elements
 * are skipped, but at least one element has to be there.
 */
function readList<Element> (reader: FieldReader, readElement: (reader: FieldReader) => Element): Element[] {
  const elements: Element[] = []
  for (;;) {
    while (reader.skipDelimiter(COMMA));
    if (reader.atEnd) break
    elements.push(readElement(reader))
    if (!reader.skipDelimiter(COMMA) && !reader.atEnd) reader.fail()
  }
  if (elements.length === 0) reader.fail()
  return elements
}

function readToken (reader: FieldReader): string {
  return reader.readToken()
}

/** `extension-param = token [ "=" (token | quoted-string) ]` (RFC 6455 §9.1). */
function readExtensionParameter (reader: FieldReader): ExtensionParameter {
  const name = reader.readToken()
  // §9.1 takes its grammar from RFC 2616, whose "implied *LWS" rule allows
  // whitespace around every delimiter, "=" included.
  return [name, reader.skipDelimiter(EQUALS) ? reader.readTokenOrQuotedToken() : true]
}

/** `extension = extension-token *( ";" extension-param )` (RFC 6455 §9.1). */
function readExtensionOffer (reader: FieldReader): ExtensionOffer {
  const name = reader.readToken()
  const params: ExtensionParameter[] = []
  while (reader.skipDelimiter(SEMICOLON)) params.push(readExtensionParameter(reader))
  return { name, params }
}

/**
 * The subprotocols of a `Sec-WebSocket-Protocol` request field, in the
 * client's order of preference.
 *
 * @param value the field's value; several field lines joined by commas
 * @throws HandshakeError 400 (`FST_WS_ERR_HANDSHAKE_SUBPROTOCOL`) unless the
 *   value is a list of at least one token, each different from the others
 *   (RFC 6455 §4.1 item 10; letter case counts)
 */
export function parseSubprotocols (value: string): string[] {
  const code = 'FST_WS_ERR_HANDSHAKE_SUBPROTOCOL'
  const subprotocols = readList(new FieldReader('Sec-WebSocket-Protocol', code, value), readToken)
  if (new Set(subprotocols).size !== subprotocols.length) {
    throw createError(code, 'Sec-WebSocket-Protocol contains a subprotocol more than once')
  }
  return subprotocols
}

/**
 * The offers of a `Sec-WebSocket-Extensions` field, in the client's order of
 * preference. The same extension may be offered several times (RFC 7692 §5).
 * The extension decides what a parameter means and whether it is allowed.
 *
 * @param value the field's value; several field lines joined by commas
 * @throws HandshakeError 400 (`FST_WS_ERR_HANDSHAKE_EXTENSIONS`) if the value
 *   does not follow the grammar of RFC 6455 §9.1, which also wants every
 *   quoted value to be a token once it is unescaped
 */
export function parseExtensions (value: string): ExtensionOffer[] {
  const code = 'FST_WS_ERR_HANDSHAKE_EXTENSIONS'
  return readList(new FieldReader('Sec-WebSocket-Extensions', code, value), readExtensionOffer)
}
