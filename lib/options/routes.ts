import type {
  HeartbeatOptions, PerMessageDeflateOptions, RateLimitOptions, SelectSubprotocol, TopicsProtocolOptions, WebSocketRouteOptions
} from '../../types/options.js'
import { describe, OptionError } from '../errors.js'
import { isToken } from '../protocol/header-fields.js'
import { MIN_DEFLATE_WINDOW_BITS } from '../protocol/permessage-deflate.js'
import {
  check, checkBoolean, checkBytes, checkCount, checkFunction, checkInteger, checkTimeout, isTimeout, nested, refuse, TIMEOUT, type Checks
} from './check.js'
import { checkOrigin } from './origin.js'
import { DEFLATE_DEFAULTS, HEARTBEAT_DEFAULTS, RATE_LIMIT_DEFAULTS, TOPICS_PROTOCOL_DEFAULTS, type RouteSettings } from './settings.js'

const DEFLATE_CHECKS: Checks<PerMessageDeflateOptions> = {
  serverNoContextTakeover: checkBoolean,
  clientNoContextTakeover: checkBoolean,
  serverMaxWindowBits: checkInteger(MIN_DEFLATE_WINDOW_BITS, 15),
  clientMaxWindowBits: checkInteger(8, 15),
  threshold: checkInteger(0),
  level: checkInteger(0, 9),
  memLevel: checkInteger(1, 9)
}

const RATE_LIMIT_CHECKS: Checks<RateLimitOptions> = {
  messages: checkInteger(1),
  bytes: checkInteger(1),
  window: checkTimeout
}

const HEARTBEAT_CHECKS: Checks<HeartbeatOptions> = {
  interval: checkTimeout,
  timeout: checkTimeout
}

export const checkPerMessageDeflate = nested(DEFLATE_CHECKS, 'true, false or an object of options', true, false)

/** The options that the plugin takes as the defaults of all routes. */
export const DEFAULT_CHECKS: Checks<Omit<WebSocketRouteOptions, 'topics'>> = {
  maxPayload: checkBytes,
  maxBufferedAmount: checkBytes,
  maxConnections: checkCount('connections'),
  rateLimit: checkRateLimit,
  heartbeat: nested(HEARTBEAT_CHECKS, 'false or an object of options, or true for the defaults', true, false),
  idleTimeout: check<false | number>(`false or ${TIMEOUT}`, value => value === false || isTimeout(value)),
  perMessageDeflate: checkPerMessageDeflate,
  protocols: checkProtocols,
  origin: checkOrigin,
  onInvalidMessage: checkFunction,
  errorHandler: checkFunction
}

const TOPICS_PROTOCOL_CHECKS: Checks<TopicsProtocolOptions> = {
  beat: checkTimeout
}

export const ROUTE_CHECKS: Checks<WebSocketRouteOptions> = {
  ...DEFAULT_CHECKS,
  topics: nested(TOPICS_PROTOCOL_CHECKS, 'true, false or an object of options', true, false)
}

function checkRateLimit (value: unknown, name: string): false | RateLimitOptions {
  const options = nested(RATE_LIMIT_CHECKS, 'false or an object of options', false as const)(value, name)
  if (options !== false && options.messages === undefined && options.bytes === undefined) {
    throw new OptionError(`${name} must have 'messages', 'bytes' or both`)
  }
  return options
}

function checkProtocols (value: unknown, name: string): readonly string[] | SelectSubprotocol {
  if (typeof value === 'function') return value as SelectSubprotocol
  if (!Array.isArray(value)) return refuse(name, 'an array of subprotocols or a function', value)
  for (const protocol of value) {
    // RFC 6455 §4.1: a subprotocol is a token.
    if (typeof protocol !== 'string' || !isToken(protocol)) {
      throw new OptionError(`${name} must have tokens without spaces or separators as its elements, not ${describe(protocol)}`)
    }
  }
  if (new Set(value).size !== value.length) throw new OptionError(`${name} must not have an element twice`)
  return [...value] as string[]
}

/** Fills in the options that are not given from the defaults, which are the plugin's for a route. */
export function resolveRoute (options: WebSocketRouteOptions, defaults: RouteSettings): RouteSettings {
  return {
    maxPayload: options.maxPayload ?? defaults.maxPayload,
    maxBufferedAmount: options.maxBufferedAmount ?? defaults.maxBufferedAmount,
    maxConnections: options.maxConnections ?? defaults.maxConnections,
    rateLimit: resolveNested(options.rateLimit, defaults.rateLimit, RATE_LIMIT_DEFAULTS),
    heartbeat: resolveNested(options.heartbeat, defaults.heartbeat, HEARTBEAT_DEFAULTS),
    idleTimeout: options.idleTimeout === false ? Infinity : options.idleTimeout ?? defaults.idleTimeout,
    perMessageDeflate: resolveNested(options.perMessageDeflate, defaults.perMessageDeflate, DEFLATE_DEFAULTS),
    protocols: options.protocols ?? defaults.protocols,
    origin: options.origin ?? defaults.origin,
    onInvalidMessage: options.onInvalidMessage ?? defaults.onInvalidMessage,
    errorHandler: options.errorHandler ?? defaults.errorHandler,
    topics: resolveNested(options.topics, defaults.topics, TOPICS_PROTOCOL_DEFAULTS)
  }
}

/**
 * `true`, or an object with some of the options, takes the others from the defaults.
 *
 * @param fallback used where the defaults turn the feature off
 */
export function resolveNested<T extends object> (options: boolean | Partial<T> | undefined, defaults: T | null, fallback: T): T | null {
  if (options === undefined) return defaults
  if (options === false) return null
  return options === true ? defaults ?? fallback : { ...(defaults ?? fallback), ...options }
}
