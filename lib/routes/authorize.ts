import type { FastifyRequest } from 'fastify'
import { TLSSocket } from 'node:tls'
import type { OriginPolicy, OriginRule, VerifyClient } from '../../types/options.js'
import { createError, HandshakeError } from '../errors.js'
import { catchRejection, whenSettled } from '../thenable.js'

/** @throws {HandshakeError} (or rejects with one) if the origin or `verifyClient` refuses */
export function authorize (origin: OriginPolicy, verifyClient: VerifyClient | null, request: FastifyRequest): void | Promise<void> {
  return whenSettled(isOriginAllowed(origin, request), isOriginAllowed => {
    if (!isOriginAllowed) throw createError('FST_WS_ERR_ORIGIN', describeOrigin(origin, request))
    if (verifyClient !== null) return verify(verifyClient, request)
  })
}

/**
 * Whether the page that makes this request may (RFC 6455 §10.2). A request without `Origin` is not a
 * browser's, and could claim any.
 */
function isOriginAllowed (policy: OriginPolicy, request: FastifyRequest): boolean | Promise<boolean> {
  const { origin } = request.headers
  if (origin === undefined || policy === '*') return true
  if (typeof policy === 'function') return whenSettled(policy(origin, request), verdict => isAllowed(verdict, "'origin'", request))
  if (typeof policy === 'string' || policy instanceof RegExp) return matches(policy, origin, request)
  return policy.some(rule => matches(rule, origin, request))
}

/** The longest origin that an answer and the log repeat: 253 characters of a host, and a scheme and port. */
const MAX_SHOWN = 300

/** Explains the refusal to a developer who sees it in the browser's console or in the log. */
function describeOrigin (policy: OriginPolicy, request: FastifyRequest): string {
  const origin = String(request.headers.origin).slice(0, MAX_SHOWN)
  if (typeof policy === 'function') return `Origin '${origin}' is not allowed by the function in option 'origin'`
  const isSameHost = policy === 'same-origin' || (Array.isArray(policy) && policy.includes('same-origin'))
  const host = request.host.slice(0, MAX_SHOWN)
  return `Origin '${origin}' is not allowed by option 'origin'` + (isSameHost ? `: 'same-origin' means the host of the request, '${host}'` : '')
}

function matches (rule: OriginRule, origin: string, request: FastifyRequest): boolean {
  if (rule === '*') return true
  if (rule === 'same-origin') return isSameOrigin(origin, request.host)
  if (typeof rule === 'string') return rule.toLowerCase() === origin.toLowerCase()
  // A global or sticky RegExp remembers where it was.
  rule.lastIndex = 0
  return rule.test(origin)
}

/**
 * Compares host and port, with the default port of the origin's scheme. Not the scheme: behind a proxy that
 * ends TLS the request says `http` where the page is `https`.
 */
function isSameOrigin (origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  const own = `${protocol}//${host}`
  return originHost !== '' && URL.canParse(own) && new URL(own).host === originHost
}

/** `verifyClient` as `ws` calls it. @throws {HandshakeError} if it refuses */
function verify (verifyClient: VerifyClient, request: FastifyRequest): void | Promise<void> {
  const info = { origin: request.headers.origin, secure: request.raw.socket instanceof TLSSocket, req: request.raw }
  if (verifyClient.length < 2) {
    // The types know no async function here, and `ws` would take its promise for a yes.
    return whenSettled((verifyClient as (from: typeof info) => unknown)(info), verdict => {
      if (!isAllowed(verdict, "'verifyClient'", request)) throw createError('FST_WS_ERR_VERIFY_CLIENT')
    })
  }
  return new Promise((resolve, reject) => {
    const returned = verifyClient(info, (verdict, statusCode = 401, message = 'Unauthorized', headers = {}) => {
      if (isAllowed(verdict, "the callback of 'verifyClient'", request)) resolve()
      else reject(new HandshakeError(message, 'FST_WS_ERR_VERIFY_CLIENT', statusCode, headers))
    })
    // An async function calls its callback, but may fail before.
    catchRejection(returned, reject)
  })
}

/**
 * Whether a user's function lets a client in: only `true` does. Anything else refuses; what is not `false` is probably a
 * mistake and is logged, by its type alone, since it may be a secret.
 *
 * @param name of the option
 */
function isAllowed (verdict: unknown, name: string, request: FastifyRequest): boolean {
  if (typeof verdict !== 'boolean') {
    request.log.warn(`${name} answered with a value of type ${verdict === null ? 'null' : typeof verdict}: only true lets a client in`)
  }
  return verdict === true
}
