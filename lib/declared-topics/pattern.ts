import { createError, describe, OptionError } from '../errors.js'
import { problemOfName } from '../topics/names.js'

/** Parameters of a name: strings, or what a schema has made of them. */
export type Params = Readonly<Record<string, unknown>>

/** A part of a pattern, between slashes. */
export type PatternPart = { readonly text: string } | { readonly parameter: string }

const PARAMETER = /^:[A-Za-z_]\w*$/

/** Clients of the topics protocol cannot name a topic that has one. */
const CONTROL = /\p{Cc}/u

/** The names that a declared topic has: `v1/rooms/:room`. */
export class TopicPattern {
  /** As in errors and in `asyncapi()`. */
  readonly text: string
  readonly parts: readonly PatternPart[]

  /** @throws {OptionError} if it is no pattern @param prefix of the instance: `/v1` */
  constructor (pattern: unknown, prefix: string) {
    if (typeof pattern !== 'string') throw new OptionError(`the pattern of a topic must be a string, such as 'rooms/:room', not ${describe(pattern)}`)
    const prefixParts = prefix.split('/').filter(part => part !== '')
    this.text = [...prefixParts, pattern].join('/')
    this.parts = [...prefixParts, ...pattern.split('/')].map(part => this.parse(part))
    const parameters = this.parameters
    const twice = parameters.find((name, i) => parameters.indexOf(name) !== i)
    if (twice !== undefined) throw this.error(`the parameter ':${twice}' is there twice`)
    // Parameters have at least one byte.
    const problem = problemOfName(this.parts.map(part => 'text' in part ? part.text : 'x').join('/'))
    if (problem !== null) throw this.error(`a name that it stands for ${problem}`)
  }

  get parameters (): string[] {
    return this.parts.flatMap(part => 'parameter' in part ? [part.parameter] : [])
  }

  /** @throws {TypeError} if a parameter is missing, or the result cannot be the name of a topic */
  nameOf (params: unknown): string {
    if (typeof params !== 'object' || params === null) throw this.misuse(`needs its parameters as an object, not ${describe(params)}`)
    const name = this.parts.map(part => 'text' in part ? part.text : this.textOf(part.parameter, params)).join('/')
    const problem = problemOfName(name)
    if (problem !== null) throw this.misuse(`has no such name: the name of a topic ${problem}`)
    return name
  }

  /** @param parts of a name that the pattern stands for */
  paramsOf (parts: readonly string[]): Record<string, string> {
    return Object.fromEntries(this.parts.flatMap((part, i) => 'parameter' in part ? [[part.parameter, parts[i]!]] : []))
  }

  private textOf (parameter: string, params: object): string {
    const value: unknown = Object.hasOwn(params, parameter) ? Reflect.get(params, parameter) : undefined
    if (value === undefined) throw this.misuse(`needs the parameter '${parameter}'`)
    if (!['string', 'number', 'bigint', 'boolean'].includes(typeof value)) throw this.misuse(`needs a string as its parameter '${parameter}', not ${describe(value)}`)
    const text = String(value)
    if (text === '' || text.includes('/') || CONTROL.test(text)) {
      throw this.misuse(`needs at least one character, and neither slashes nor control characters, in its parameter '${parameter}', not ${describe(text)}`)
    }
    return text
  }

  private parse (part: string): PatternPart {
    if (part === '') throw this.error("there must be at least one character before, between and behind slashes, as in 'rooms/:room'")
    if (CONTROL.test(part)) throw this.error('there must be no control characters')
    if (PARAMETER.test(part)) return { parameter: part.slice(1) }
    if (part.includes('*')) throw this.error("there are no wildcards: '*' stands for nothing; a parameter, such as ':room', stands for one part")
    const text = part.replaceAll('::', '\0')
    if (text.includes(':')) {
      throw this.error(`'${part}' is no parameter: one is a whole part between slashes, a colon and a name of letters, digits and '_', such as ':room'; '::' stands for a colon`)
    }
    return { text: text.replaceAll('\0', ':') }
  }

  private error (problem: string): OptionError {
    return new OptionError(`topic '${this.text}': ${problem}`)
  }

  private misuse (problem: string): TypeError {
    return createError('FST_WS_ERR_INVALID_ARGUMENT', `topic '${this.text}' ${problem}`)
  }
}
