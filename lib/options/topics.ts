import type { Broker } from '../../types/broker.js'
import type { TopicOptions } from '../../types/topics.js'
import { check, checkInteger, checkTimeout, isObject, isTimeout, nested, refuse, TIMEOUT, type Checks } from './check.js'
import { TOPIC_DEFAULTS, type TopicLimits } from './settings.js'

const METHODS = ['start', 'subscribe', 'unsubscribe', 'publish', 'read', 'close'] as const

const TOPIC_CHECKS: Checks<TopicOptions> = {
  maxSubscriptions: checkInteger(1),
  maxTopics: checkInteger(1),
  publishTimeout: checkTimeout,
  waitForBroker: checkTimeout,
  cutOffTimeout: check<false | number>(`false or ${TIMEOUT}`, value => value === false || isTimeout(value))
}

export const checkTopics = nested(TOPIC_CHECKS, 'an object of options')

/** @throws {OptionError} if it is not what `redis()`, `nats()` and brokers of one's own are */
export function checkBroker (value: unknown, name: string): Broker {
  const expected = 'a broker, such as that of redis({ client }) from fastify-ws-routes/redis'
  if (!isObject(value)) return refuse(name, expected, value)
  const missing = METHODS.find(method => typeof Reflect.get(value, method) !== 'function')
  if (missing !== undefined) return refuse(name, `${expected}, with a method '${missing}'`, value)
  if (!isObject(Reflect.get(value, 'presence'))) return refuse(name, `${expected}, with an object 'presence'`, value)
  return value as Broker
}

export function resolveTopics ({ cutOffTimeout, ...options }: TopicOptions): TopicLimits {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  return { ...TOPIC_DEFAULTS, ...given, cutOffTimeout: cutOffTimeout === false ? Infinity : cutOffTimeout ?? TOPIC_DEFAULTS.cutOffTimeout }
}
