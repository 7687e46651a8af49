import { JsonMessages, type Validation } from '../connection/json-messages.js'

/** The JSON messages of a route's own beside the protocol: each is a member of an object. */
export class WrappedMessages extends JsonMessages {
  override read (data: Buffer, isBinary: boolean): Validation {
    const parsed = this.parse(data, isBinary)
    if ('error' in parsed) return parsed
    // The session has passed it on because it is there.
    const value: unknown = Reflect.get(parsed.value as object, 'message')
    return this.validate === null ? { value } : this.validate(value)
  }

  override write (value: unknown): string {
    return `{"message":${super.write(value)}}`
  }
}
