import { STATUS_CODES } from 'node:http'
import { ERRORS } from '../errors.js'

/** A refusal in which Fastify's error handler has no part, in the form of Fastify's own. */
export interface Refusal {
  readonly headers: Record<string, string>
  readonly body: string
}

/** Describes a refusal by its status alone. */
export function describeRefusal (statusCode: 500 | 501 | 503): Refusal {
  const error = STATUS_CODES[statusCode]
  return {
    headers: {
      ...(statusCode === 503 ? ERRORS.FST_WS_ERR_CLOSING.headers : {}),
      'Content-Type': 'application/json; charset=utf-8'
    },
    body: JSON.stringify({ statusCode, error, message: error })
  }
}
