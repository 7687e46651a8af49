import { Buffer } from 'node:buffer'
import { EMPTY } from '../common.js'
import { countBuffer } from './early-collections.js'

// Long texts are encoded into a buffer that is used again once the kernel has taken its content. With a slow peer the buffer
// waits as well. So it is at most six times as long as the text, and texts behind it have memory of their own.

/** The longest text, in bytes that it may take, for which memory is kept. */
export const LONGEST_SPARE = 1024 * 1024

/** The length of that memory is a multiple of this, in bytes. */
const STEP = 16 * 1024

/** It is up to this many times as long as needed. */
const MOST = 2

let spare = EMPTY
let spareUser: object | null = null

/** @returns memory for at least this many bytes, which the user has until it releases it */
export function takeSpare (user: object, bytes: number): Buffer {
  if (spareUser !== null || spare.length < bytes || spare.length > bytes * MOST) {
    const length = Math.ceil(bytes / STEP) * STEP
    countBuffer(length)
    spare = Buffer.allocUnsafeSlow(length)
  }
  spareUser = user
  return spare
}

export function usesSpare (user: object): boolean {
  return spareUser === user
}

/** @param isFree whether nothing refers to the content any more */
export function releaseSpare (isFree: boolean): void {
  if (!isFree) spare = EMPTY
  spareUser = null
}
