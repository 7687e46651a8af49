import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import type { CompatibilityOptions, OptionsWithoutEffect, PerMessageDeflateOptions, WsPerMessageDeflateOptions } from '../../types/options.js'
import { check, checkBoolean, checkBytes, checkFunction, checkObject, checkOptions, checkTimeout, isObject, type Checks } from './check.js'
import { checkPerMessageDeflate } from './routes.js'

type EffectiveOptions = Omit<CompatibilityOptions, keyof OptionsWithoutEffect>

const COMPATIBILITY_CHECKS: Checks<EffectiveOptions> = {
  maxPayload: checkBytes,
  perMessageDeflate: checkWsPerMessageDeflate,
  verifyClient: checkFunction,
  handleProtocols: checkFunction,
  clientTracking: checkBoolean,
  closeTimeout: checkTimeout,
  server: check('a server of node:http or node:https', value => value instanceof HttpServer || value instanceof HttpsServer)
}

/** Options accepted without effect: the values they set are fixed here, or limited otherwise, and no app depends on them. */
const WITHOUT_EFFECT: { readonly [K in keyof OptionsWithoutEffect]-?: true } = {
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

/** The options with the names of `ws` and `@fastify/websocket`, nested under `options`. */
export function checkCompatibilityOptions (value: unknown, name: string): CompatibilityOptions {
  const given = Object.fromEntries(Object.entries(checkObject(value, name)).filter(([option, value]) =>
    !isWithoutEffect(option) && !(value === null && NULL_BY_DEFAULT.includes(option))))
  return checkOptions(COMPATIBILITY_CHECKS, given, `${name}: `)
}

/** @returns the names of the options that are given and have no effect */
export function optionsWithoutEffect (options: object): string[] {
  return Object.entries(options).filter(([name, value]) => isWithoutEffect(name) && value != null).map(([name]) => name)
}

function isWithoutEffect (option: string): boolean {
  return Object.hasOwn(WITHOUT_EFFECT, option)
}

/** `ws` nests zlib's options, and a window may be `true` or `false`. */
function checkWsPerMessageDeflate (value: unknown, name: string): boolean | PerMessageDeflateOptions {
  if (!isObject(value)) return checkPerMessageDeflate(value, name)
  const { zlibDeflateOptions, zlibInflateOptions, concurrencyLimit, ...own } = value as WsPerMessageDeflateOptions
  const { level, memLevel } = zlibDeflateOptions ?? {}
  const options: Record<string, unknown> = { level, memLevel, ...own }
  for (const bits of ['serverMaxWindowBits', 'clientMaxWindowBits']) if (typeof options[bits] === 'boolean') delete options[bits]
  // zlib's own default.
  if (options.level === -1) options.level = 6
  return checkPerMessageDeflate(options, name)
}
