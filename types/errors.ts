import type { IncomingHttpHeaders } from 'node:http'

/** One rule that a message breaks, in the form in which Fastify's validators report it. */
export interface InvalidMessagePart {
  /** The keyword of the schema, such as `required`. */
  keyword: string
  /** JSON Pointer to the value. */
  instancePath: string
  /** JSON Pointer to the rule, in a URI fragment. */
  schemaPath: string
  /** Values that belong to the keyword, such as `missingProperty`. */
  params: Record<string, unknown>
  /** The rule in words, if the validator has some. */
  message?: string
}

/**
 * Why a message never reached the `json` listeners.
 *
 * @see docs/json-messages.md
 */
export interface InvalidMessage extends Error {
  /** `FST_WS_ERR_INVALID_MESSAGE`, `FST_WS_ERR_INVALID_JSON` or `FST_WS_ERR_BINARY_MESSAGE`. */
  readonly code: string
  /** The close code that the connection is closed with by default: 1008, 1007 or 1003 (RFC 6455 §7.4.1). */
  readonly closeCode: number
  /** The rules that the message breaks; `undefined` if it did not run, or does not report details. */
  readonly validation: readonly InvalidMessagePart[] | undefined
  /** `'message'` if the validator of the `receive` schema found the error. */
  readonly validationContext: 'message' | undefined
}

/**
 * Rejection of `injectWS` when the app answers with a status other than 101, or 200 over HTTP/2.
 *
 * @see docs/testing.md
 */
export interface InjectWSError extends Error {
  /** Stable identifier. */
  code: 'FST_WS_ERR_UNEXPECTED_RESPONSE'
  /** The status of the answer. */
  statusCode: number
  /** The header fields of the answer. */
  headers: IncomingHttpHeaders
  /** The body of the answer, as text. */
  body: string
}
