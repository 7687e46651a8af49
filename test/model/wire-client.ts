import { Random } from '../../fuzz/random.js'
import type { KeptDeflater, KeptInflater } from '../compression/peer.js'
import { openStreams } from '../support/deflate-client.js'
import { close, frame, type ReceivedFrame } from '../support/raw-client.js'
import { contentOf, controlOf } from './contents.js'
import type { ConversationLog } from './conversation-log.js'
import type { ClientMessage, ClientStep } from './plan.js'
import type { Opener, Wire } from './transports.js'
import { later, wait } from './wait.js'

/** At most this many bytes are written one at a time. */
const SINGLE_BYTES = 300

/** The client of a conversation, made of bytes: what it sends is what the RFC allows. */
export class WireClient {
  private readonly log: ConversationLog
  private readonly random: Random
  private wire!: Wire
  private deflater: KeptDeflater | null = null
  private inflater: KeptInflater | null = null
  /** Frames that wait to be written. */
  private pending: Buffer[] = []
  /** Answers that wait until the frame that is being written is whole. */
  private answers: Buffer[] | null = null
  private isOver = false
  private onServerClose: () => void = () => {}
  private readonly serverClosed = new Promise<void>(resolve => { this.onServerClose = resolve })
  /** The message whose fragments are coming. */
  private partial: { opcode: number, isCompressed: boolean, parts: Buffer[] } | null = null

  constructor (log: ConversationLog) {
    this.log = log
    this.random = new Random(log.plan.id + 1)
  }

  async run (opener: Opener): Promise<void> {
    const { log } = this
    const { plan } = log
    this.wire = await opener.open(`/${plan.id % 2 === 0 ? 'even' : 'odd'}?id=${plan.id}`, plan.offer)
    const { raw, answered } = this.wire
    const received = this.receive(answered)
    if (!plan.isEarly) {
      await answered.catch(() => {})
      // The client receives whatever comes with the response before it acts.
      await wait(1)
    }
    if (!this.isOver) await this.act()
    await received
    // The server has ended; what it does not hear any more need not be said.
    raw.end()
    // Node's client of HTTP/2 keeps a stream that was paused when its end came.
    if (log.run.plan.transport.startsWith('http2')) later(20, () => raw.destroy())
    await raw.closed
    log.clientIsOver = true
    log.tell('client: closed')
    this.deflater?.close()
    this.inflater?.close()
  }

  // --- what it sends

  private async act (): Promise<void> {
    const { log } = this
    for (const step of log.plan.steps) {
      if (this.isOver || (log.gotClose !== null && log.plan.answer !== 'behind its steps')) break
      await this.step(step)
    }
    await this.flush()
    if (!this.isOver && log.gotClose === null) await this.end()
    if (this.isOver) return
    if (log.gotClose === null) await Promise.race([this.serverClosed, this.wire.raw.ended])
    if (log.gotClose !== null && log.clientClose === null && log.left === null) await this.answer()
  }

  private async step (step: ClientStep): Promise<void> {
    const { log } = this
    switch (step.do) {
      case 'message':
        return await this.message(step)
      case 'ping':
        return this.ping(controlOf('client', step.id, step.size).subarray(0, step.size))
      case 'pong':
        this.pending.push(frame(0xa, controlOf('client', step.id, step.size)))
        return
      case 'wait':
        await this.flush()
        return await wait(step.turns)
      case 'stop reading': {
        const { socket } = this.wire.raw
        log.tell(`client: reads nothing for ${step.turns} turns`)
        socket.pause()
        later(step.turns, () => socket.resume())
      }
    }
  }

  private async message ({ id, size, isBinary, isCompressed, fragments, pings }: ClientMessage): Promise<void> {
    const { log, pending } = this
    const bytes = contentOf(id, size, isBinary, log.plan.isJson)
    log.sent.push({ bytes, isBinary })
    const deflater = isCompressed ? this.deflater : null
    const payload = deflater === null ? bytes : await deflater.deflate(bytes)
    const each = Math.ceil(payload.length / fragments)
    for (let i = 0; i < fragments; i++) {
      const options = { fin: i === fragments - 1, rsv: deflater !== null && i === 0 ? 0x40 : 0, mask: this.random.next() }
      pending.push(frame(i > 0 ? 0x0 : isBinary ? 0x2 : 0x1, payload.subarray(i * each, (i + 1) * each), options))
      if (pings && i < fragments - 1) this.ping(controlOf('client', id * 10 + i, 0))
    }
    log.tell(`client: ${isBinary ? 'binary' : 'text'} ${log.sent.length - 1}, ${bytes.length} bytes${deflater === null ? '' : `, ${payload.length} compressed`}${fragments > 1 ? ` in ${fragments} fragments` : ''}`)
  }

  private ping (payload: Buffer): void {
    this.log.pings.push(payload)
    this.pending.push(frame(0x9, payload))
  }

  private pong (payload: Buffer): void {
    const bytes = frame(0xa, payload)
    if (this.answers === null) this.wire.raw.write(bytes)
    else this.answers.push(bytes)
  }

  private async end (): Promise<void> {
    const { log, wire: { raw } } = this
    const { ending } = log.plan
    if (ending.how === 'close') {
      await this.sendClose(ending.code, ending.reason)
      if (ending.withFin) raw.end()
    } else if (ending.how === 'fin') {
      this.leave('fin')
    } else if (ending.how === 'reset') {
      this.leave('reset')
    }
  }

  private leave (how: 'fin' | 'reset'): void {
    const { log, wire } = this
    log.left = how
    log.noteClosing()
    log.tell(`client: ${how}`)
    if (how === 'fin') return wire.raw.end()
    log.allowMissingTail('the client has reset the connection')
    wire.reset()
  }

  private async answer (): Promise<void> {
    const { log } = this
    const { answer } = log.plan
    if (answer === 'never') return
    if (answer === 'with FIN') this.leave('fin')
    else await this.sendClose(log.gotClose!.code, '')
  }

  private async sendClose (code: number, reason: string): Promise<void> {
    const { log } = this
    log.clientClose = { code, reason }
    log.noteClosing()
    log.tell(`client: close ${code} ${reason}`)
    this.pending.push(code === 1005 ? close() : close(code, reason))
    await this.flush()
  }

  private async flush (): Promise<void> {
    const { log, wire: { raw } } = this
    if (this.pending.length === 0) return
    const bytes = Buffer.concat(this.pending.splice(0))
    const count = log.sent.length
    this.answers = []
    let at = 0
    for (const { length, turns } of this.slices(bytes.length)) {
      raw.write(bytes.subarray(at, at + length))
      at += length
      await wait(turns)
    }
    log.written = count
    if (log.clientClose === null && this.answers.length > 0) raw.write(Buffer.concat(this.answers))
    this.answers = null
  }

  private * slices (length: number): Generator<{ length: number, turns: number }> {
    const { random, log: { plan: { slices } } } = this
    let rest = length
    if (slices === 'bytes') for (const most = Math.max(0, rest - SINGLE_BYTES); rest > most && !this.isOver; rest--) yield { length: 1, turns: 1 }
    if (slices !== 'whole') {
      for (let pieces = random.below(8); pieces > 0 && rest > 0 && !this.isOver; pieces--) {
        const slice = Math.min(rest, random.below(random.chance(0.5) ? 30 : rest + 1))
        rest -= slice
        yield { length: slice, turns: random.below(3) }
      }
    }
    yield { length: rest, turns: 0 }
  }

  // --- what it gets

  private async receive (answered: Wire['answered']): Promise<void> {
    const { log, wire: { raw } } = this
    try {
      const { status, extensions } = await answered
      log.status = status
      log.tell(`client: answered ${status} ${extensions}`)
      if (status !== 101 && !(status === 200 && log.run.plan.transport.startsWith('http2'))) {
        this.isOver = true
        await raw.ended
        log.refusal = raw.received.toString()
        return
      }
      if (extensions !== '') ({ deflater: this.deflater, inflater: this.inflater } = openStreams(extensions))
      for (;;) await this.onFrame(await raw.frame())
    } catch (error) {
      log.tell(`client: no more (${(error as Error).message})`)
      log.isCleanEnd = await raw.ended
      log.leftover = raw.received.length
    } finally {
      this.isOver = true
    }
  }

  private async onFrame (received: ReceivedFrame): Promise<void> {
    const { log } = this
    const { opcode, fin, rsv, masked, payload } = received
    if (masked) log.fault('the server masks')
    if (log.gotClose !== null) log.fault(`opcode ${opcode} behind the Close frame`)
    if (opcode < 0x8) return await this.onData(opcode, fin, rsv === 0x40, payload)
    if (opcode === 0x8) {
      log.gotClose = payload.length === 0 ? { code: 1005, reason: '' } : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      log.tell(`client: got close ${log.gotClose.code} ${log.gotClose.reason}`)
      this.onServerClose()
    } else if (opcode === 0x9) {
      log.got.push({ type: 'ping', bytes: payload })
      if (log.clientClose === null && log.left === null) this.pong(payload)
    } else {
      log.got.push({ type: 'pong', bytes: payload })
    }
  }

  private async onData (opcode: number, fin: boolean, isCompressed: boolean, payload: Buffer): Promise<void> {
    const { log } = this
    if ((opcode === 0x0) !== (this.partial !== null)) log.fault(`opcode ${opcode} ${this.partial === null ? 'without a beginning' : 'within a message'}`)
    this.partial ??= { opcode, isCompressed, parts: [] }
    this.partial.parts.push(payload)
    if (!fin) return
    const { partial } = this
    this.partial = null
    const whole = Buffer.concat(partial.parts)
    if (partial.isCompressed && this.inflater === null) log.fault('a compressed message, which was not agreed on')
    const bytes = partial.isCompressed && this.inflater !== null ? await this.inflater.inflate(whole) : whole
    log.got.push({ type: 'message', bytes, isBinary: partial.opcode === 0x2 })
  }
}
