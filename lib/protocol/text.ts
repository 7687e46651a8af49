import { isAscii, isUtf8, transcode } from 'node:buffer'
import { NODE_MAJOR } from '../common.js'
import { isWanted } from '../optimizations.js'
import { receivedBytes } from './received-text.js'

// V8's own conversions of text that is not ASCII are slow on older versions: by way of UTF-16 it takes a tenth to a third
// of the time (measured on Node 20, 22, 24 and 26, for 1 KiB to 64 KiB). `transcode` is there if Node has ICU.
const canTranscode = isWanted('transcode') && typeof transcode === 'function'
const DECODES = canTranscode && NODE_MAJOR < 24
const ENCODES = canTranscode && NODE_MAJOR < 26
/** Strings of one byte per character are encoded fast from here on, ASCII everywhere. */
const LATIN1_IS_FAST = NODE_MAJOR >= 22

/** Size limits, in bytes and in code units, within which the detour through UTF-16 is faster. */
const DECODE_FROM = 1024
const ENCODE_FROM = 16 * 1024
const UP_TO = 16 * 1024 * 1024

const REPLACEMENT = '\ufffd'

/** V8 stores a string of other characters in one byte each, and then it does not look at them to find that nothing matches. */
const WIDE = /[\u0100-\uffff]/

/** @param bytes well-formed UTF-8 */
export function decodeText (bytes: Buffer): string {
  if (!DECODES || bytes.length < DECODE_FROM || bytes.length > UP_TO) return bytes.toString()
  if (isAscii(bytes)) return bytes.toString('latin1')
  return transcode(bytes, 'utf8', 'utf16le').toString('utf16le')
}

/**
 * Decodes a range of bytes that nobody has checked.
 *
 * @returns `undefined` if they are not well-formed UTF-8
 */
export function decodeChecked (bytes: Buffer, start: number, end: number): string | undefined {
  if (DECODES) {
    const range = bytes.subarray(start, end)
    return isUtf8(range) ? decodeText(range) : undefined
  }
  const text = bytes.toString('utf8', start, end)
  // The decoder replaces bytes that are not well-formed with U+FFFD. Looking for that takes a seventh of the time of `isUtf8`, and few texts contain it.
  return text.includes(REPLACEMENT) && !isUtf8(bytes.subarray(start, end)) ? undefined : text
}

/** Whether `buffer.write(text)` is the fastest way to encode. */
export function isWrittenFast (text: string): boolean {
  if (!ENCODES || text.length < ENCODE_FROM || text.length > UP_TO) return true
  return !WIDE.test(text) && (LATIN1_IS_FAST || Buffer.byteLength(text) === text.length)
}

/** The text as UTF-8. A surrogate without the other half becomes U+FFFD, as the WHATWG says (Encoding Standard, "UTF-8 encode"). */
export function encodeText (text: string): Buffer {
  const received = receivedBytes(text)
  if (received !== null) return Buffer.from(received)
  if (isWrittenFast(text)) return Buffer.from(text)
  try {
    return transcode(Buffer.from(text, 'utf16le'), 'utf16le', 'utf8')
  } catch {
    // It knows no replacement.
    return Buffer.from(text)
  }
}
