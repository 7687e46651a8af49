import type { FastifyRequest } from 'fastify'
import type { OriginPolicy, OriginRule } from '../../types/options.js'
import { isAllowed } from './verdict.js'
import { whenSettled } from '../thenable.js'

/**
 * Whether the page that makes this request may (RFC 6455 §10.2). A request without `Origin` is not a
 * browser's, and could claim any.
 */
export function isOriginAllowed (policy: OriginPolicy, request: FastifyRequest): boolean | Promise<boolean> {
  const { origin } = request.headers
  if (origin === undefined || policy === '*') return true
  if (typeof policy === 'function') return whenSettled(policy(origin, request), verdict => isAllowed(verdict, "'origin'", request))
  if (typeof policy === 'string' || policy instanceof RegExp) return matches(policy, origin, request)
  return policy.some(rule => matches(rule, origin, request))
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
