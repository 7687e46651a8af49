/** Why the client could not do what it was asked for. */
export class ClientError extends Error {
  /** Always `'ClientError'`. */
  override readonly name = 'ClientError'
  /**
   * Stable: a code of the server or of its app; or `'closed'` (the client was closed), `'outbox'` (too much waits to be sent),
   * `'unknown'` (the connection was lost before the server answered, and sending again could store the message twice).
   */
  readonly code: string

  constructor (code: string, message: string) {
    super(message)
    this.code = code
  }
}
