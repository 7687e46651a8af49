import type { BrokerMessage } from '../../types/broker.js'
import type { TopicPosition } from '../../types/topics.js'
import { SharedMessage } from '../connection/shared-message.js'
import { Opcode } from '../protocol/opcodes.js'
import { EnvelopeKind, type Envelope } from './envelope.js'

/** One message of a topic on its way to the receivers of this process: framed once for each form that they want. */
export class Delivery {
  readonly message: BrokerMessage
  readonly payload: Buffer
  private readonly envelope: Envelope
  private raw: SharedMessage | null = null
  private written: SharedMessage | null = null

  constructor (message: BrokerMessage, envelope: Envelope) {
    this.message = message
    this.envelope = envelope
    this.payload = envelope.payload
  }

  get isBinary (): boolean {
    return this.envelope.kind === EnvelopeKind.BINARY
  }

  /** `null` where the topic has no history. */
  get position (): TopicPosition | null {
    const { position, id } = this.message
    return position === null ? null : { epoch: position.epoch, offset: position.offset, id }
  }

  /** The message itself. */
  toRaw (): SharedMessage {
    this.raw ??= new SharedMessage(this.isBinary ? Opcode.BINARY : Opcode.TEXT, this.payload, this.envelope.compress)
    return this.raw
  }

  /** The message within another one, as the topics protocol has it. @param write called for the first receiver, and for all of them */
  toText (write: (delivery: Delivery) => Buffer): SharedMessage {
    this.written ??= new SharedMessage(Opcode.TEXT, write(this), this.envelope.compress)
    return this.written
  }
}
