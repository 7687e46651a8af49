import type { BrokerMessage } from '../../types/broker.js'

// The bytes that go through a channel: lines of text, and the data. The scripts write the second form too.
//   0 LF id LF data                      a message that is not kept
//   1 LF epoch LF offset LF id LF data   a message of the history; the one before it has the offset before it

const LF = 0x0a

export function announce (id: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`0\n${id}\n`), data])
}

/** @returns `null` for what this version does not understand */
export function readAnnouncement (bytes: Buffer): BrokerMessage | null {
  if (bytes[1] !== LF) return null
  const kind = bytes[0]
  if (kind === 0x30) {
    const end = bytes.indexOf(LF, 2)
    return end === -1 ? null : { id: bytes.toString('latin1', 2, end), data: bytes.subarray(end + 1), position: null, previous: null }
  }
  if (kind !== 0x31) return null
  const epochEnd = bytes.indexOf(LF, 2)
  const offsetEnd = bytes.indexOf(LF, epochEnd + 1)
  const idEnd = bytes.indexOf(LF, offsetEnd + 1)
  if (epochEnd === -1 || offsetEnd === -1 || idEnd === -1) return null
  const offset = Number(bytes.toString('latin1', epochEnd + 1, offsetEnd))
  if (!Number.isSafeInteger(offset) || offset < 1) return null
  return {
    id: bytes.toString('latin1', offsetEnd + 1, idEnd),
    // It may be kept: not with all that came in the same read.
    data: Buffer.from(bytes.subarray(idEnd + 1)),
    position: { epoch: bytes.toString('latin1', 2, epochEnd), offset },
    previous: offset - 1
  }
}
