import { constants, inflateRawSync } from 'node:zlib'
import { isWanted } from '../optimizations.js'

/** Bytes of the header of a stored block (RFC 1951 §3.2.4), byte-aligned as the first of a stream is. */
export const STORED_HEADER_LENGTH = 5

/**
 * Whether zlib's raw deflate streams accept a dictionary. A trial with a message that refers to one decides it: Deno
 * ignores the dictionary.
 */
export const hasDictionaries = isWanted('dictionaries') && isWorking()

function isWorking (): boolean {
  const dictionary = Buffer.from('what was sent before')
  // `sent before`, as a reference to that.
  const message = Buffer.from('426202000000ffff', 'hex')
  try {
    return inflateRawSync(message, { dictionary, finishFlush: constants.Z_SYNC_FLUSH }).toString() === 'sent before'
  } catch {
    return false
  }
}

/**
 * Makes a dictionary the first block of a stream, stored as it is: behind it zlib inflates as with the dictionary, and its
 * output begins with it.
 *
 * @param dictionary at most 65,535 bytes; a window is 32 KiB at most
 */
export function toStoredBlock (dictionary: Buffer): Buffer {
  const block = Buffer.allocUnsafe(STORED_HEADER_LENGTH + dictionary.length)
  block[0] = 0
  block.writeUInt16LE(dictionary.length, 1)
  block.writeUInt16LE(dictionary.length ^ 0xffff, 3)
  dictionary.copy(block, STORED_HEADER_LENGTH)
  return block
}
