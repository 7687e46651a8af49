import { constants, inflateRawSync } from 'node:zlib'
import { MessageInflater } from '../lib/compression/message-inflater.js'
import { WebSocketError } from '../lib/errors.js'
import { FrameDecoder } from '../lib/protocol/frame-decoder.js'
import type { FrameDecoderOptions, FrameSink } from '../lib/protocol/frame-sink.js'
import { retainedBytes } from '../test/support/retained-bytes.js'
import { utf8State, decodeByTheBook, type ReferenceEvent, type ReferenceOptions } from './reference-decoder.js'
import { FuzzFailure, type Input } from './input.js'
import { hashOf, Random } from './random.js'

/** Creates the decoder under test: `FrameDecoder`, or a faulty one that tests the fuzzer itself. */
export type CreateDecoder = (sink: FrameSink, options: FrameDecoderOptions, isCompressionAgreed: boolean) => FrameDecoder

const createFrameDecoder: CreateDecoder = (sink, options, isCompressionAgreed) => new FrameDecoder(sink, options, isCompressionAgreed)

const LIMITS = [100, 1000, 65536, 1024 * 1024]

/** A header and a control frame that are incomplete, and the smallest buffer of a message. */
const OVERHEAD = 14 + 125 + 256

/** As the decoder documents it. */
const GROWTH = 4

class Recorder implements FrameSink {
  readonly events: string[] = []
  /** Inside of each event. */
  onEvent: () => void = () => {}

  takesStrings = false

  onText (text: string): void { this.onMessage(Buffer.from(text), false) }
  onMessage (data: Buffer, isBinary: boolean): void { this.add(describe({ type: 'message', data, isBinary })) }
  onCompressedMessage (data: Buffer, isBinary: boolean): void { this.add(describe({ type: 'compressed', data, isBinary })) }
  onPing (data: Buffer): void { this.add(describe({ type: 'ping', data })) }
  onPong (data: Buffer): void { this.add(describe({ type: 'pong', data })) }
  onClose (code: number, reason: Buffer): void { this.add(describe({ type: 'close', code, reason })) }
  onError ({ closeCode }: WebSocketError): void { this.add(describe({ type: 'error', closeCode })) }

  private add (event: string): void {
    this.events.push(event)
    this.onEvent()
  }
}

function describe (event: ReferenceEvent): string {
  switch (event.type) {
    case 'message':
    case 'compressed': return `${event.type} ${event.isBinary ? 'binary' : 'text'} ${event.data.toString('latin1')}`
    case 'close': return `close ${event.code} ${event.reason.toString('latin1')}`
    case 'error': return `error ${event.closeCode}`
    default: return `${event.type} ${event.data.toString('latin1')}`
  }
}

/**
 * Gives an input to the decoder, in many slicings, with pauses and without.
 *
 * @returns what kind of things happened, for inputs that lead to new ones to be kept
 * @throws {FuzzFailure}
 */
export async function checkDecoder (input: Input, createDecoder = createFrameDecoder): Promise<string> {
  const random = new Random(hashOf(input.bytes))
  const options: ReferenceOptions = {
    role: input.mode === 'client' ? 'client' : 'server',
    maxPayload: random.pick(LIMITS),
    isCompressionAgreed: input.mode === 'deflate'
  }
  const reference = decodeByTheBook(input.bytes, options)
  const expected = reference.map(describe)
  const slicings: [string, () => number][] = [
    ['whole', () => input.bytes.length],
    ['in pieces', () => 1 + random.below(random.chance(0.5) ? 16 : 300)]
  ]
  // Byte by byte, what is long takes too long.
  if (input.bytes.length <= 4096) slicings.push(['byte by byte', () => 1])
  for (const [name, next] of slicings) {
    for (const isPaused of [false, true]) {
      for (const takesStrings of [false, true]) {
        const events = run(input, options, createDecoder, next, isPaused ? random : null, takesStrings)
        compare(`${name}${isPaused ? ', with pauses' : ''}${takesStrings ? ', as strings' : ''}`, events, expected, input)
      }
    }
  }
  if (options.isCompressionAgreed) await checkInflater(input, reference, options.maxPayload, random)
  return reference.map(event => event.type === 'error' ? `error ${event.closeCode}` : event.type).slice(0, 6).join()
}

function run (input: Input, options: ReferenceOptions, createDecoder: CreateDecoder, next: () => number, pausing: Random | null, takesStrings: boolean): string[] {
  const recorder = new Recorder()
  recorder.takesStrings = takesStrings
  const decoder = createDecoder(recorder, options, options.isCompressionAgreed)
  if (pausing !== null) recorder.onEvent = () => { if (pausing.chance(0.5)) decoder.pause() }
  const limit = options.isCompressionAgreed ? options.maxPayload + Math.floor(options.maxPayload / 8) + 125 : options.maxPayload
  try {
    for (let at = 0; at < input.bytes.length;) {
      const end = Math.min(at + next(), input.bytes.length)
      // A copy with nothing else in its memory, as chunks from a socket are: the decoder unmasks in place.
      decoder.decode(Buffer.from(new Uint8Array(input.bytes.subarray(at, end)).buffer))
      at = end
      const retained = retainedBytes(decoder)
      const unread = decoder.isPaused ? input.bytes.length : 0
      const most = Math.min(limit, GROWTH * at) + OVERHEAD + unread
      if (retained > most) throw new FuzzFailure(`${retained} bytes are kept of ${at}, more than ${most}`, input)
      if (pausing === null || pausing.chance(0.5)) while (decoder.isPaused) decoder.resume()
    }
    while (decoder.isPaused) decoder.resume()
  } catch (error) {
    if (error instanceof FuzzFailure) throw error
    throw new FuzzFailure(`the decoder threw ${String(error)}`, input, { cause: error })
  }
  return recorder.events
}

function compare (name: string, events: readonly string[], expected: readonly string[], input: Input): void {
  for (let i = 0; i < Math.max(events.length, expected.length); i++) {
    if (events[i] === expected[i]) continue
    throw new FuzzFailure(`${name}: event ${i} is ${shorten(events[i])} and not ${shorten(expected[i])}`, input)
  }
}

function shorten (event: string | undefined): string {
  return event === undefined ? 'missing' : JSON.stringify(event.length > 80 ? `${event.slice(0, 80)}… (${event.length})` : event)
}

/** As `Connection` has it. */
const SYNC_LIMIT = 256 * 1024

/** The window that all zlib streams can be inflated with: what refers further back is wrong everywhere. */
const WINDOW_BITS = 15

/**
 * Inflates the compressed messages in the ways that `Connection` may: here and on another thread. They have to agree, and
 * what they accept, zlib by itself has to inflate to the same.
 */
async function checkInflater (input: Input, events: readonly ReferenceEvent[], maxPayload: number, random: Random): Promise<void> {
  const settings = { windowBits: WINDOW_BITS, contextTakeover: random.chance(0.7), maxPayload }
  const inflaters = [new MessageInflater(settings), new MessageInflater(settings)] as const
  let window = Buffer.alloc(0)
  try {
    for (const event of events) {
      if (event.type !== 'compressed') continue
      const [here, there] = await Promise.all([inflate(inflaters[0], event.data, false), inflate(inflaters[1], event.data, true)])
      if (typeof here === 'number' || typeof there === 'number') {
        // A message may be both too long and wrong; which of them is found first is left to zlib.
        if (typeof here !== typeof there) throw new FuzzFailure(`inflated on this thread: ${outcome(here)}, on another: ${outcome(there)}`, input)
        return
      }
      if (!here.equals(there)) throw new FuzzFailure(`inflated on this thread it is another message than on another: ${here.length} and ${there.length} bytes`, input)
      const byItself = naiveInflate(event.data, window, maxPayload)
      if (byItself === null) throw new FuzzFailure('what zlib does not inflate was inflated', input)
      // zlib by itself stops at a final block.
      if (!here.subarray(0, byItself.length).equals(byItself)) throw new FuzzFailure('inflated to something else than zlib does by itself', input)
      if (settings.contextTakeover) window = Buffer.concat([window, here]).subarray(-(1 << WINDOW_BITS))
      for (const { retainedBytes } of inflaters) {
        if (retainedBytes > 1.25 * (1 << WINDOW_BITS)) throw new FuzzFailure(`${retainedBytes} bytes are kept between messages`, input)
      }
    }
  } finally {
    for (const inflater of inflaters) inflater.close()
  }
}

/** @returns the message, or the close code of the error */
export async function inflate (inflater: MessageInflater, payload: Buffer, elsewhere: boolean): Promise<Buffer | number> {
  try {
    const message = elsewhere ? null : inflater.inflate(Buffer.from(payload), SYNC_LIMIT)
    return message ?? await new Promise<Buffer>((resolve, reject) => {
      inflater.inflateAsync(Buffer.from(payload), (error, message) => error === null ? resolve(message) : reject(error))
    })
  } catch (error) {
    if (error instanceof WebSocketError) return error.closeCode
    throw error
  }
}

function outcome (result: Buffer | number): string {
  return typeof result === 'number' ? `${result}` : `${result.length} bytes`
}

function naiveInflate (payload: Buffer, dictionary: Buffer, maxPayload: number): Buffer | null {
  if (payload.length === 0) return payload
  try {
    return inflateRawSync(Buffer.concat([payload, Buffer.of(0, 0, 0xff, 0xff)]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: maxPayload + 1,
      ...(dictionary.length > 0 ? { dictionary } : {})
    })
  } catch {
    return null
  }
}

/** Predicts the answers of a server with these limits: it echoes messages, answers Pings, and closes on errors. */
export async function predict (bytes: Buffer, options: ReferenceOptions, windowBits: number): Promise<ReferenceEvent[]> {
  const predicted: ReferenceEvent[] = []
  const inflater = new MessageInflater({ windowBits, contextTakeover: true, maxPayload: options.maxPayload })
  let isTooBig = false
  try {
    for (const event of decodeByTheBook(bytes, options)) {
      if (isTooBig && event.type !== 'close') continue
      if (event.type !== 'compressed') {
        predicted.push(event)
        continue
      }
      const message = await inflate(inflater, event.data, false)
      const closeCode = typeof message === 'number' ? message : event.isBinary || utf8State(message) === 'complete' ? 0 : 1007
      if (closeCode === 0) {
        predicted.push({ type: 'message', isBinary: event.isBinary, data: message as Buffer })
        continue
      }
      predicted.push({ type: 'error', closeCode })
      if (closeCode !== 1009) break
      isTooBig = true
    }
  } finally {
    inflater.close()
  }
  return predicted
}
