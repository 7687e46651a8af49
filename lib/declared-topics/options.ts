import type { TopicHistory } from '../../types/broker.js'
import type { TopicSchema } from '../../types/declared-topics.js'
import {
  check, checkArray, checkBoolean, checkFunction, checkInteger, checkOptions, checkText, isIntegerFrom, isObject, nested, refuse, type Checks
} from '../options/check.js'
import { OptionError } from '../errors.js'
import type { Params } from './pattern.js'

/** A callback of a declaration, called with its instance as `this`. */
type Callback = (...args: unknown[]) => unknown

export interface PresenceDeclaration {
  info?: Callback
  grace?: number
  max?: number
}

/** The options of a declaration, without the types that they have for the app. */
export interface Declared {
  schema?: TopicSchema
  onSubscribe?: Callback
  onPublish?: Callback
  history?: false | TopicHistory
  presence?: false | PresenceDeclaration
  snapshot?: (params: Params) => unknown
}

/** Seconds of about 68 years: as many as a broker can count in. */
const MAX_SECONDS = 2 ** 31 - 1

const HISTORY_CHECKS: Checks<TopicHistory> = {
  messages: check('a number of messages, an integer from 1 to 2^31 - 1', isIntegerFrom(1, 2 ** 31 - 1)),
  seconds: check('a number of seconds, an integer from 1 to 2^31 - 1', isIntegerFrom(1, MAX_SECONDS))
}

const PRESENCE_CHECKS: Checks<PresenceDeclaration> = {
  info: checkFunction,
  grace: check('a number of milliseconds, an integer from 0 to 2^31 - 1', isIntegerFrom(0, 2 ** 31 - 1)),
  max: checkInteger(1)
}

const SCHEMA_CHECKS: Checks<TopicSchema> = {
  params: checkSchema,
  publish: checkSchema,
  message: checkSchema,
  member: checkSchema,
  hide: checkBoolean,
  deprecated: checkBoolean,
  tags: checkArray,
  description: checkText,
  summary: checkText,
  operationId: checkText
}

const CHECKS: Checks<Declared> = {
  schema: nested(SCHEMA_CHECKS, 'an object of schemas: params, publish, message, member'),
  onSubscribe: checkFunction,
  onPublish: checkFunction,
  history: checkHistory,
  presence: nested(PRESENCE_CHECKS, 'false or an object of options: info, grace, max', false as const),
  snapshot: checkFunction
}

/** @throws {OptionError} @param topic begins the messages of errors: `topic 'rooms/:room'` */
export function checkDeclaration (options: unknown, topic: string): Declared {
  if (options === undefined) return {}
  if (!isObject(options)) return refuse(`${topic}: the second argument`, 'an object of options', options)
  const declared = checkOptions(CHECKS, options, `${topic}: `)
  if (declared.schema?.member !== undefined && !isObject(declared.presence)) {
    throw new OptionError(`${topic}: the schema 'member' is for what 'presence.info' returns, and there is no option 'presence'`)
  }
  return declared
}

function checkHistory (value: unknown, name: string): false | TopicHistory {
  const history = nested(HISTORY_CHECKS, 'false or an object of both messages and seconds', false as const)(value, name)
  if (history === false) return false
  const missing = (['messages', 'seconds'] as const).find(option => history[option] === undefined)
  if (missing !== undefined) throw new OptionError(`${name} must have both 'messages' and 'seconds', and has no '${missing}'`)
  return history
}

/** A JSON schema, or the schema of a library, which may be a function. */
function checkSchema (value: unknown, name: string): NonNullable<unknown> {
  if (typeof value === 'boolean' || typeof value === 'function' || isObject(value)) return value
  return refuse(name, 'a schema', value)
}
