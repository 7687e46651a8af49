import { noop } from '../common.js'
import { FrameDecoder } from '../protocol/frame-decoder.js'
import type { FrameBudget, FrameSink } from '../protocol/frame-sink.js'
import { connectionMemory } from './connection-memory.js'
import { countBuffer } from './early-collections.js'
import type { ConnectionSettings } from './settings.js'

// Most chunks end with a message, and then a decoder retains nothing: the next connection can use it. So an idle connection
// has none, which would be a tenth of its memory.

/** A decoder that is not lent keeps no connection alive. */
const nobody: FrameSink = { takesStrings: false, onText: noop, onMessage: noop, onCompressedMessage: noop, onPing: noop, onPong: noop, onClose: noop, onError: noop }

/** The decoder that nobody uses. One is enough: another connection is read only within an event of the first. */
let spare: FrameDecoder | null = null

/** Lends a decoder that retains nothing. */
export function borrowDecoder (sink: FrameSink, settings: ConnectionSettings, isCompressionAgreed: boolean, budget: FrameBudget | null): FrameDecoder {
  const decoder = spare
  if (decoder === null) return new FrameDecoder(sink, settings, isCompressionAgreed, budget, connectionMemory)
  spare = null
  decoder.assign(sink, settings, isCompressionAgreed, budget)
  return decoder
}

/** Takes a decoder back that retains nothing. @returns the one that its connection has now */
export function returnDecoder (decoder: FrameDecoder, settings: ConnectionSettings): null {
  decoder.assign(nobody, settings, false, null)
  spare = decoder
  return null
}

/** Ignores whatever is left. It retains nothing, so all connections whose decoder was not lent when they ended have this one. */
const ended = new FrameDecoder(nobody, { role: 'server', maxPayload: 0 }, false, null, connectionMemory)
ended.end()

/** @returns a decoder that has ended, for a connection that has this one */
export function endDecoder (decoder: FrameDecoder | null): FrameDecoder {
  decoder?.end()
  return decoder ?? ended
}

/** @param bytes a chunk, or how many bytes there are in the shared one; `null`: what the decoder kept when it was paused */
export function feed (decoder: FrameDecoder, bytes: Buffer | number | null): void {
  if (bytes === null) decoder.resume()
  else if (typeof bytes === 'number') decoder.decodeLent(bytes)
  else {
    countBuffer(bytes.length)
    decoder.decode(bytes)
  }
}
