import fc from 'fast-check'
import type { WebSocketError } from '../../lib/errors.js'
import { FrameDecoder } from '../../lib/protocol/frame-decoder.js'
import type { FrameDecoderOptions, FrameSink } from '../../lib/protocol/frame-sink.js'
import { arbitraryCharacter } from '../support/arbitraries.js'

/** An event of the decoder, as data. */
export type DecoderEvent =
  | { type: 'message' | 'compressed', data: Buffer, isBinary: boolean }
  | { type: 'ping' | 'pong', data: Buffer }
  | { type: 'close', code: number, reason: Buffer }
  | { type: 'error', name: string, code: string, closeCode: number, message: string }

/** Keeps what it was handed, not copies: what is overwritten later shows up when the events are compared. */
export class Recorder implements FrameSink {
  readonly events: DecoderEvent[] = []
  /** What a test does inside of an event. */
  onEvent: (event: DecoderEvent) => void = () => {}

  /** A text that comes as a string is the same event as its bytes. */
  takesStrings = false
  texts = 0

  onText (text: string, bytes: number): void {
    const data = Buffer.from(text)
    if (data.length !== bytes) throw new Error(`${bytes} bytes are counted for a text of ${data.length}`)
    this.texts++
    this.add({ type: 'message', data, isBinary: false })
  }

  onMessage (data: Buffer, isBinary: boolean): void { this.add({ type: 'message', data, isBinary }) }
  onCompressedMessage (data: Buffer, isBinary: boolean): void { this.add({ type: 'compressed', data, isBinary }) }
  onPing (data: Buffer): void { this.add({ type: 'ping', data }) }
  onPong (data: Buffer): void { this.add({ type: 'pong', data }) }
  onClose (code: number, reason: Buffer): void { this.add({ type: 'close', code, reason }) }
  onError ({ name, code, closeCode, message }: WebSocketError): void { this.add({ type: 'error', name, code, closeCode, message }) }

  private add (event: DecoderEvent): void {
    this.events.push(event)
    this.onEvent(event)
  }
}

export interface Decoding {
  decoder: FrameDecoder
  recorder: Recorder
  events: DecoderEvent[]
}

export function createDecoder (options: Partial<FrameDecoderOptions> = {}): Decoding {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder, { role: 'server', maxPayload: 64 * 1024 * 1024, ...options })
  return { decoder, recorder, events: recorder.events }
}

/** Decodes chunks, each from a copy, since the decoder unmasks in place. */
export function decodeAll (chunks: Iterable<Uint8Array>, options: Partial<FrameDecoderOptions> = {}): DecoderEvent[] {
  const { decoder, events } = createDecoder(options)
  for (const chunk of chunks) decoder.decode(ownCopy(chunk))
  return events
}

/** A copy with an ArrayBuffer of its own, as chunks from a socket have it. */
export function ownCopy (bytes: Uint8Array): Buffer {
  return Buffer.from(new Uint8Array(bytes).buffer)
}

/** Events in a form that is compared quickly, however long their payloads are. */
export function toComparable (events: readonly DecoderEvent[]): string[] {
  return events.map(event => {
    switch (event.type) {
      case 'message':
      case 'compressed': return `${event.type} ${event.isBinary ? 'binary' : 'text'} ${event.data.toString('latin1')}`
      case 'close': return `close ${event.code} ${event.reason.toString('latin1')}`
      case 'error': return `error ${event.name} ${event.code} ${event.closeCode} ${event.message}`
      default: return `${event.type} ${event.data.toString('latin1')}`
    }
  })
}

/** A frame to be encoded, by whatever encoder. */
export interface FrameSpec {
  opcode: number
  fin: boolean
  payload: Buffer
}

/** Frames that a peer may send one after another, and what the other side must make of them. */
export interface Conversation {
  frames: FrameSpec[]
  events: DecoderEvent[]
}

/** The lengths at which the length field or the decoder's way of storing changes, and everything small. */
const arbitraryLength = fc.oneof(
  { arbitrary: fc.nat(40), weight: 8 },
  { arbitrary: fc.constantFrom(124, 125, 126, 127, 128, 159, 160, 161, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097), weight: 4 },
  { arbitrary: fc.constantFrom(16383, 65534, 65535, 65536, 65537), weight: 1 }
)

/** Bytes that are not a pattern of period 4, which a wrong masking key could leave alone. */
function bytesOf (length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed | 1
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1103515245) + 12345
    bytes[i] = state >>> 16
  }
  return bytes
}

const arbitraryBytes = fc.tuple(arbitraryLength, fc.integer()).map(([length, seed]) => bytesOf(length, seed))

const arbitraryText = fc.oneof(
  fc.string({ unit: arbitraryCharacter, maxLength: 60 }).map(text => Buffer.from(text)),
  fc.tuple(arbitraryLength, fc.constantFrom('a', 'é', '€', '😀', 'aé€😀')).map(([length, unit]) => Buffer.from(unit.repeat(Math.ceil(length / unit.length))))
)

const arbitraryControl = fc.record({
  opcode: fc.constantFrom(0x9, 0xa),
  payload: fc.tuple(fc.nat(125), fc.integer()).map(([length, seed]) => bytesOf(length, seed))
})

/** A message, where it is cut into fragments (anywhere, also inside of a character), and what goes between them. */
const arbitraryMessage = fc.record({
  content: fc.oneof(
    arbitraryBytes.map(payload => ({ isBinary: true, payload })),
    arbitraryText.map(payload => ({ isBinary: false, payload }))
  ),
  cuts: fc.array(fc.nat(), { maxLength: 4 }),
  between: fc.array(arbitraryControl, { maxLength: 3 })
})

const arbitraryClose = fc.option(fc.record({
  code: fc.constantFrom(1000, 1001, 1011, 3000, 4999),
  reason: fc.string({ unit: arbitraryCharacter, maxLength: 10 }).map(reason => Buffer.from(reason))
}).filter(({ reason }) => reason.length <= 123))

export const arbitraryConversation: fc.Arbitrary<Conversation> = fc.record({
  messages: fc.array(arbitraryMessage, { maxLength: 6 }),
  close: arbitraryClose
}).map(({ messages, close }) => {
  const frames: FrameSpec[] = []
  const events: DecoderEvent[] = []
  for (const { content: { isBinary, payload }, cuts, between } of messages) {
    const ends = [...cuts.map(cut => cut % (payload.length + 1)).sort((a, b) => a - b), payload.length]
    const controls = [...between]
    let start = 0
    ends.forEach((end, index) => {
      frames.push({ opcode: index > 0 ? 0x0 : isBinary ? 0x2 : 0x1, fin: index === ends.length - 1, payload: payload.subarray(start, end) })
      start = end
      const control = controls.pop()
      if (control === undefined || index === ends.length - 1) return
      frames.push({ ...control, fin: true })
      events.push({ type: control.opcode === 0x9 ? 'ping' : 'pong', data: control.payload })
    })
    events.push({ type: 'message', data: payload, isBinary })
    for (const control of controls) {
      frames.push({ ...control, fin: true })
      events.push({ type: control.opcode === 0x9 ? 'ping' : 'pong', data: control.payload })
    }
  }
  if (close !== null) {
    const payload = Buffer.concat([Buffer.of(close.code >> 8, close.code & 0xff), close.reason])
    frames.push({ opcode: 0x8, fin: true, payload })
    events.push({ type: 'close', code: close.code, reason: close.reason })
  }
  return { frames, events }
})

/** Sizes of chunks, used in turn. */
export const arbitrarySlicing = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })),
  { minLength: 1, maxLength: 12 }
)

export function slice (bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

/** How many runs a property gets. All together take a few seconds. */
export const RUNS = 150
