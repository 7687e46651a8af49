import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import type { AsyncApiInfo, AsyncApiOptions, AsyncApiSecurityScheme, AsyncApiServer, AsyncApiTransform } from '../types/asyncapi.js'
import type {
  CompatibilityOptions, HeartbeatOptions, InvalidMessageHandler, OptionsWithoutEffect, OriginPolicy, PerMessageDeflateOptions, RateLimitOptions, SelectSubprotocol, VerifyClient,
  WebSocketErrorHandler, WebSocketPluginOptions, WebSocketRouteOptions, WsPerMessageDeflateOptions
} from '../types/options.js'
import { describe, OptionError } from './errors.js'
import type { RateLimitSettings } from './connection/rate-limit.js'
import type { HeartbeatSettings } from './server/pulse.js'
import { MIN_DEFLATE_WINDOW_BITS, type DeflatePolicy } from './protocol/permessage-deflate.js'

/** permessage-deflate with every default filled in. */
export interface DeflateSettings extends DeflatePolicy {
  /** Bytes. */
  readonly threshold: number
  readonly level: number
  readonly memLevel: number
}

/** A route's options with every default filled in. */
export interface RouteSettings {
  /** Bytes of one message. */
  readonly maxPayload: number
  /** Bytes queued to one connection. */
  readonly maxBufferedAmount: number
  /** Connections of this route. */
  readonly maxConnections: number
  readonly rateLimit: RateLimitSettings | null
  readonly heartbeat: HeartbeatSettings | null
  /** Milliseconds. `Infinity` for none. */
  readonly idleTimeout: number
  readonly perMessageDeflate: DeflateSettings | null
  /** `null` if nobody has declared any. */
  readonly protocols: readonly string[] | SelectSubprotocol | null
  readonly origin: OriginPolicy
  readonly onInvalidMessage: InvalidMessageHandler | null
}

/** What `app.asyncapi()` says beyond what the routes say. */
export interface AsyncApiSettings {
  readonly info: AsyncApiInfo
  readonly servers: Record<string, AsyncApiServer> | null
  readonly id: string | null
  readonly defaultContentType: string | null
  readonly securitySchemes: Record<string, AsyncApiSecurityScheme> | null
  /** The URL that serves the document. */
  readonly route: string | null
  readonly transform: AsyncApiTransform | null
}

/** The plugin's options with every default filled in. */
export interface PluginSettings {
  readonly route: RouteSettings
  /** Connections of all routes. */
  readonly maxConnections: number
  /** Milliseconds. */
  readonly handshakeTimeout: number
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly errorHandler: WebSocketErrorHandler | null
  readonly preClose: NonNullable<WebSocketPluginOptions['preClose']> | null
  readonly verifyClient: VerifyClient | null
  readonly handleProtocols: NonNullable<CompatibilityOptions['handleProtocols']> | null
  readonly clientTracking: boolean
  readonly server: HttpServer | HttpsServer | null
  readonly asyncapi: AsyncApiSettings
  /** Names of options of `ws` that were given and have no effect. */
  readonly withoutEffect: readonly string[]
}

const DEFAULTS = {
  maxPayload: 1024 * 1024,
  maxBufferedAmount: 16 * 1024 * 1024,
  handshakeTimeout: 10_000,
  closeTimeout: 10_000
} as const

// Why these: docs/compression.md.
const DEFLATE_DEFAULTS: DeflateSettings = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 12,
  clientMaxWindowBits: 12,
  threshold: 1024,
  level: 3,
  memLevel: 5
}

const HEARTBEAT_DEFAULTS: HeartbeatSettings = { interval: 30_000, timeout: 30_000 }

const RATE_LIMIT_DEFAULTS: RateLimitSettings = { messages: Infinity, bytes: Infinity, window: 1000 }

const ASYNCAPI_INFO_DEFAULTS: AsyncApiInfo = { title: 'WebSocket API', version: '1.0.0' }

/** The longest delay of `setTimeout`, in milliseconds: a longer one fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** The properties of a type that are not there by a pattern. */
type KnownKeys<T> = keyof { [K in keyof T as `x-${string}` extends K ? never : K]: T[K] }

type Check<T> = (value: unknown, name: string) => T

const ROUTE_CHECKS: { [K in keyof WebSocketRouteOptions]-?: Check<NonNullable<WebSocketRouteOptions[K]>> } = {
  maxPayload: checkBytes,
  maxBufferedAmount: checkBytes,
  maxConnections: checkMaxConnections,
  rateLimit: checkRateLimit,
  heartbeat: checkHeartbeat,
  idleTimeout: checkIdleTimeout,
  perMessageDeflate: checkPerMessageDeflate,
  protocols: checkProtocols,
  origin: checkOrigin,
  onInvalidMessage: checkFunction
}

const PLUGIN_CHECKS: { [K in Exclude<keyof WebSocketPluginOptions, keyof WebSocketRouteOptions>]-?: Check<NonNullable<WebSocketPluginOptions[K]>> } = {
  handshakeTimeout: checkTimeout,
  closeTimeout: checkTimeout,
  errorHandler: checkFunction,
  preClose: checkFunction,
  options: checkCompatibilityOptions,
  asyncapi: checkAsyncApi
}

const ASYNCAPI_CHECKS: { [K in keyof AsyncApiOptions]-?: Check<NonNullable<AsyncApiOptions[K]>> } = {
  info: checkAsyncApiInfo,
  servers: checkNamedObjects<AsyncApiServer>('a server', ['host', 'protocol']),
  id: checkUri,
  defaultContentType: checkText,
  securitySchemes: checkNamedObjects<AsyncApiSecurityScheme>('a security scheme', ['type']),
  route: checkRoute,
  transform: checkFunction
}

const ASYNCAPI_INFO_CHECKS: { [K in KnownKeys<AsyncApiInfo>]-?: Check<NonNullable<AsyncApiInfo[K]>> } = {
  title: checkText,
  version: checkText,
  description: checkText,
  termsOfService: checkUri,
  contact: checkObject,
  license: checkObject,
  tags: checkArray,
  externalDocs: checkObject
}

const DEFLATE_CHECKS: { [K in keyof PerMessageDeflateOptions]-?: Check<NonNullable<PerMessageDeflateOptions[K]>> } = {
  serverNoContextTakeover: checkBoolean,
  clientNoContextTakeover: checkBoolean,
  serverMaxWindowBits: checkInteger(MIN_DEFLATE_WINDOW_BITS, 15),
  clientMaxWindowBits: checkInteger(8, 15),
  threshold: checkInteger(0, Number.MAX_SAFE_INTEGER),
  level: checkInteger(0, 9),
  memLevel: checkInteger(1, 9)
}

const RATE_LIMIT_CHECKS: { [K in keyof RateLimitOptions]-?: Check<NonNullable<RateLimitOptions[K]>> } = {
  messages: checkInteger(1, Number.MAX_SAFE_INTEGER),
  bytes: checkInteger(1, Number.MAX_SAFE_INTEGER),
  window: checkTimeout
}

const HEARTBEAT_CHECKS: { [K in keyof HeartbeatOptions]-?: Check<NonNullable<HeartbeatOptions[K]>> } = {
  interval: checkTimeout,
  timeout: checkTimeout
}

const COMPATIBILITY_CHECKS: { [K in keyof EffectiveCompatibilityOptions]-?: Check<NonNullable<CompatibilityOptions[K]>> } = {
  maxPayload: checkBytes,
  perMessageDeflate: checkWsPerMessageDeflate,
  verifyClient: checkFunction,
  handleProtocols: checkFunction,
  clientTracking: checkBoolean,
  closeTimeout: checkTimeout,
  server: checkServer
}

/** What they set is fixed here, or has another limit, and no application stops working without them. */
const WITHOUT_EFFECT: { [K in keyof OptionsWithoutEffect]-?: true } = {
  path: true,
  host: true,
  backlog: true,
  allowSynchronousEvents: true,
  autoPong: true,
  skipUTF8Validation: true,
  maxBufferedChunks: true,
  maxFragments: true,
  maxPendingAutoPongs: true
}

/** The options that `ws` itself sets to `null` where none is given. */
const NULL_BY_DEFAULT: readonly string[] = ['verifyClient', 'handleProtocols', 'server'] satisfies Array<keyof CompatibilityOptions>

type EffectiveCompatibilityOptions = Omit<CompatibilityOptions, keyof OptionsWithoutEffect>

/**
 * @throws {OptionError} naming the option and what it accepts
 */
export function resolvePluginOptions (options: WebSocketPluginOptions): PluginSettings {
  const checked = checkOptions({ ...ROUTE_CHECKS, ...PLUGIN_CHECKS }, options, '', ['prefix', 'logLevel', 'logSerializers', 'name', 'encapsulate', 'skipOverride'])
  const compatibility = checked.options ?? {}
  // All routes together have what the plugin says, and each of them no limit of its own.
  const { maxConnections = Infinity, ...ofRoutes } = checked
  return {
    route: resolveRoute(ofRoutes, {
      maxPayload: compatibility.maxPayload ?? DEFAULTS.maxPayload,
      maxBufferedAmount: DEFAULTS.maxBufferedAmount,
      maxConnections: Infinity,
      rateLimit: null,
      heartbeat: HEARTBEAT_DEFAULTS,
      idleTimeout: Infinity,
      perMessageDeflate: resolveDeflate(compatibility.perMessageDeflate ?? false, null),
      protocols: null,
      origin: 'same-origin',
      onInvalidMessage: null
    }),
    maxConnections,
    handshakeTimeout: checked.handshakeTimeout ?? DEFAULTS.handshakeTimeout,
    closeTimeout: checked.closeTimeout ?? compatibility.closeTimeout ?? DEFAULTS.closeTimeout,
    errorHandler: checked.errorHandler ?? null,
    preClose: checked.preClose ?? null,
    verifyClient: compatibility.verifyClient ?? null,
    handleProtocols: compatibility.handleProtocols ?? null,
    clientTracking: compatibility.clientTracking ?? true,
    server: compatibility.server ?? null,
    asyncapi: resolveAsyncApi(checked.asyncapi ?? {}),
    withoutEffect: Object.entries(options.options ?? {}).filter(([name, value]) => isWithoutEffect(name) && value != null).map(([name]) => name)
  }
}

/**
 * @param options what the route declared as `websocket`
 * @param route how to name the route in an error
 * @throws {OptionError} naming the route, the option and what it accepts
 */
export function resolveRouteOptions (options: unknown, defaults: RouteSettings, route: string): RouteSettings {
  if (options === true || options === undefined) return defaults
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new OptionError(`${route}: option 'websocket' must be a boolean or an object of options, not ${describe(options)}`)
  }
  return resolveRoute(checkOptions(ROUTE_CHECKS, options, `${route}: `), defaults)
}

function resolveRoute (options: WebSocketRouteOptions, defaults: RouteSettings): RouteSettings {
  return {
    maxPayload: options.maxPayload ?? defaults.maxPayload,
    maxBufferedAmount: options.maxBufferedAmount ?? defaults.maxBufferedAmount,
    maxConnections: options.maxConnections ?? defaults.maxConnections,
    rateLimit: options.rateLimit === undefined ? defaults.rateLimit : resolveRateLimit(options.rateLimit, defaults.rateLimit),
    heartbeat: options.heartbeat === undefined ? defaults.heartbeat : resolveHeartbeat(options.heartbeat, defaults.heartbeat),
    idleTimeout: options.idleTimeout === false ? Infinity : options.idleTimeout ?? defaults.idleTimeout,
    perMessageDeflate: options.perMessageDeflate === undefined
      ? defaults.perMessageDeflate
      : resolveDeflate(options.perMessageDeflate, defaults.perMessageDeflate),
    protocols: options.protocols ?? defaults.protocols,
    origin: options.origin ?? defaults.origin,
    onInvalidMessage: options.onInvalidMessage ?? defaults.onInvalidMessage
  }
}

/** A route that says `true`, or only some options, has the others from the plugin. */
function resolveDeflate (options: boolean | PerMessageDeflateOptions, defaults: DeflateSettings | null): DeflateSettings | null {
  if (options === false) return null
  const base = defaults ?? DEFLATE_DEFAULTS
  return options === true ? base : { ...base, ...options }
}

/** As with compression, a route that says only some of them has the others from the plugin. */
function resolveRateLimit (options: false | RateLimitOptions, defaults: RateLimitSettings | null): RateLimitSettings | null {
  return options === false ? null : { ...(defaults ?? RATE_LIMIT_DEFAULTS), ...options }
}

function resolveHeartbeat (options: false | HeartbeatOptions, defaults: HeartbeatSettings | null): HeartbeatSettings | null {
  return options === false ? null : { ...(defaults ?? HEARTBEAT_DEFAULTS), ...options }
}

function resolveAsyncApi (options: AsyncApiOptions): AsyncApiSettings {
  return {
    info: { ...ASYNCAPI_INFO_DEFAULTS, ...options.info },
    servers: options.servers ?? null,
    id: options.id ?? null,
    defaultContentType: options.defaultContentType ?? null,
    securitySchemes: options.securitySchemes ?? null,
    route: options.route === false ? null : options.route ?? null,
    transform: options.transform ?? null
  }
}

/** Checks all options of an object; `undefined` stands for the default. `ignored` are what Fastify itself reads from there. */
function checkOptions<T extends object> (
  checks: { [K in keyof T]-?: Check<NonNullable<T[K]>> },
  options: object,
  context: string,
  ignored: readonly string[] = []
): T {
  const checked: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || ignored.includes(name)) continue
    if (!Object.hasOwn(checks, name)) {
      throw new OptionError(`${context}unknown option '${name}'; there are ${Object.keys(checks).join(', ')}`)
    }
    checked[name] = (checks as Record<string, Check<unknown>>)[name]!(value, `${context}option '${name}'`)
  }
  return checked as T
}

function checkBytes (value: unknown, name: string): number {
  if (value === Infinity) return Infinity
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new OptionError(`${name} must be a number of bytes, an integer from 0 to 2^53 - 1, or Infinity, not ${describe(value)}`)
  }
  return value
}

function checkMaxConnections (value: unknown, name: string): number {
  if (value === Infinity) return Infinity
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw new OptionError(`${name} must be a number of connections, an integer from 1 to 2^53 - 1, or Infinity, not ${describe(value)}`)
  }
  return value
}

function checkHeartbeat (value: unknown, name: string): false | HeartbeatOptions {
  return value === false ? false : checkOptions<HeartbeatOptions>(HEARTBEAT_CHECKS, checkNested(value, name), `${name}: `)
}

function checkIdleTimeout (value: unknown, name: string): false | number {
  return value === false ? false : checkTimeout(value, name, 'false or ')
}

/** An object of options that may also be `false`. */
function checkNested (value: unknown, name: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new OptionError(`${name} must be false or an object of options, not ${describe(value)}`)
}

function checkRateLimit (value: unknown, name: string): false | RateLimitOptions {
  if (value === false) return false
  const options = checkOptions<RateLimitOptions>(RATE_LIMIT_CHECKS, checkNested(value, name), `${name}: `)
  if (options.messages === undefined && options.bytes === undefined) throw new OptionError(`${name} must have 'messages', 'bytes' or both`)
  return options
}

function checkPerMessageDeflate (value: unknown, name: string): boolean | PerMessageDeflateOptions {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(`${name} must be true, false or an object of options, not ${describe(value)}`)
  }
  return checkOptions(DEFLATE_CHECKS, value, `${name}: `)
}

/** As `ws` has it: zlib's options are nested, and a window may be `true` or `false`. */
function checkWsPerMessageDeflate (value: unknown, name: string): boolean | PerMessageDeflateOptions {
  if (typeof value !== 'object' || value === null) return checkPerMessageDeflate(value, name)
  const { zlibDeflateOptions, zlibInflateOptions, concurrencyLimit, ...own } = value as WsPerMessageDeflateOptions
  const { level, memLevel } = zlibDeflateOptions ?? {}
  const options: Record<string, unknown> = { level, memLevel, ...own }
  for (const bits of ['serverMaxWindowBits', 'clientMaxWindowBits']) if (typeof options[bits] === 'boolean') delete options[bits]
  // zlib's own default.
  if (options.level === -1) options.level = 6
  return checkPerMessageDeflate(options, name)
}

function checkInteger (min: number, max: number): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw new OptionError(`${name} must be an integer from ${min} to ${max}, not ${describe(value)}`)
    }
    return value
  }
}

function checkTimeout (value: unknown, name: string, or = ''): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_TIMEOUT) {
    throw new OptionError(`${name} must be ${or}a number of milliseconds, an integer from 1 to ${MAX_TIMEOUT}, not ${describe(value)}`)
  }
  return value
}

function checkFunction<T extends (...args: never[]) => unknown> (value: unknown, name: string): T {
  if (typeof value !== 'function') throw new OptionError(`${name} must be a function, not ${describe(value)}`)
  return value as T
}

function checkBoolean (value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw new OptionError(`${name} must be true or false, not ${describe(value)}`)
  return value
}

function checkText (value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw new OptionError(`${name} must be a string that is not empty, not ${describe(value)}`)
  return value
}

function checkUri (value: unknown, name: string): string {
  if (typeof value !== 'string' || !URL.canParse(value)) throw new OptionError(`${name} must be an absolute URI, not ${describe(value)}`)
  return value
}

function checkRoute (value: unknown, name: string): false | string {
  if (value === false || (typeof value === 'string' && value.startsWith('/'))) return value
  throw new OptionError(`${name} must be false or a URL that begins with '/', not ${describe(value)}`)
}

function checkObject<T extends object> (value: unknown, name: string): T {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T
  throw new OptionError(`${name} must be an object, not ${describe(value)}`)
}

function checkArray<T> (value: unknown, name: string): T[] {
  if (!Array.isArray(value)) throw new OptionError(`${name} must be an array, not ${describe(value)}`)
  return value as T[]
}

function checkNamedObjects<T extends object> (kind: string, required: ReadonlyArray<keyof T & string>): Check<Record<string, T>> {
  return (value, name) => {
    const objects = checkObject<Record<string, T>>(value, name)
    for (const [key, object] of Object.entries(objects)) {
      // What names them refers to them as `#/…/name`, and AsyncAPI allows components no other characters.
      if (!/^[\w.-]+$/.test(key)) throw new OptionError(`${name} must have names of letters, digits, '.', '-' and '_', not ${describe(key)}`)
      checkObject(object, `${name}: '${key}'`)
      for (const property of required) {
        if (typeof object[property] !== 'string') throw new OptionError(`${name}: '${key}' must have '${property}', as ${kind} of AsyncAPI has`)
      }
    }
    return objects
  }
}

function checkAsyncApi (value: unknown, name: string): AsyncApiOptions {
  return checkOptions(ASYNCAPI_CHECKS, checkObject(value, name), `${name}: `)
}

function checkAsyncApiInfo (value: unknown, name: string): Partial<AsyncApiInfo> {
  const entries = Object.entries(checkObject(value, name))
  const extensions = entries.filter(([key]) => key.startsWith('x-'))
  const known = entries.filter(([key]) => !key.startsWith('x-'))
  return { ...checkOptions(ASYNCAPI_INFO_CHECKS, Object.fromEntries(known), `${name}: `), ...Object.fromEntries(extensions) }
}

function checkServer (value: unknown, name: string): HttpServer | HttpsServer {
  if (!(value instanceof HttpServer) && !(value instanceof HttpsServer)) {
    throw new OptionError(`${name} must be a server of node:http or node:https, not ${describe(value)}`)
  }
  return value
}

function checkProtocols (value: unknown, name: string): readonly string[] | SelectSubprotocol {
  if (typeof value === 'function') return value as SelectSubprotocol
  if (!Array.isArray(value)) throw new OptionError(`${name} must be an array of subprotocols or a function, not ${describe(value)}`)
  for (const protocol of value) {
    // RFC 6455 §4.1: a subprotocol is a token.
    if (typeof protocol !== 'string' || !TOKEN.test(protocol)) {
      throw new OptionError(`${name} must have tokens without spaces or separators as its elements, not ${describe(protocol)}`)
    }
  }
  if (new Set(value).size !== value.length) throw new OptionError(`${name} must not have an element twice`)
  return [...value] as string[]
}

function checkOrigin (value: unknown, name: string): OriginPolicy {
  if (typeof value === 'function') return value as OriginPolicy
  if (!Array.isArray(value)) return checkOriginRule(value, name)
  return value.map(rule => checkOriginRule(rule, name))
}

function checkOriginRule (value: unknown, name: string): string | RegExp {
  if (value === 'same-origin' || value === '*' || value instanceof RegExp) return value
  if (typeof value === 'string' && isOrigin(value)) return value
  throw new OptionError(
    `${name} must be 'same-origin', '*', an origin such as 'https://example.com', a RegExp, an array of these, or a function, not ${describe(value)}`
  )
}

/** RFC 6454 §6.2: scheme, host and port, and nothing else. `null` is the origin of sandboxed pages. */
function isOrigin (value: string): boolean {
  if (value === 'null') return true
  const scheme = value.indexOf('://')
  return scheme > 0 && URL.canParse(value) && !/[/?#\s]/.test(value.slice(scheme + 3))
}

function checkCompatibilityOptions (value: unknown, name: string): CompatibilityOptions {
  const given = Object.fromEntries(Object.entries(checkObject(value, name)).filter(([option, value]) =>
    !isWithoutEffect(option) && !(value === null && NULL_BY_DEFAULT.includes(option))))
  return checkOptions<EffectiveCompatibilityOptions>(COMPATIBILITY_CHECKS, given, `${name}: `)
}

function isWithoutEffect (option: string): boolean {
  return Object.hasOwn(WITHOUT_EFFECT, option)
}
