import type { TopicPattern } from '../declared-topics/pattern.js'
import { UniqueNames } from './names.js'

/** A part of the path that varies. */
export interface PathParameter {
  /** Its name in the address. */
  readonly name: string
  /** Its name in `request.params`. */
  readonly key: string
  /** The regular expression that it must match. */
  readonly pattern: string | null
}

/** A path of a channel, with its parameters in braces. */
export interface Address {
  readonly text: string
  readonly parameters: readonly PathParameter[]
}

// find-my-way registers a route with an optional parameter as two routes.
const OPTIONAL_PARAMETER = /(\/:[^/()]*?)\?(\/?)/

/** The addresses that a URL of Fastify's stands for. */
export function addressesOf (url: string): Address[] {
  if (!OPTIONAL_PARAMETER.test(url)) return [parse(url)]
  return [parse(url.replace(OPTIONAL_PARAMETER, '$1$2')), parse(url.replace(OPTIONAL_PARAMETER, '$2') || '/')]
}

/** The address that the pattern of a topic stands for. */
export function addressOfTopic ({ parts }: TopicPattern): Address {
  const names = new UniqueNames()
  const parameters: PathParameter[] = []
  const texts = parts.map(part => {
    if ('text' in part) return [...part.text].map(escapeLiteral).join('')
    const name = names.take(part.parameter)
    parameters.push({ name, key: part.parameter, pattern: null })
    return `{${name}}`
  })
  return { text: texts.join('/'), parameters }
}

function parse (url: string): Address {
  const names = new UniqueNames()
  const parameters: PathParameter[] = []
  let text = ''
  for (let i = 0; i < url.length;) {
    if (url[i] === '*') {
      text += addParameter('*', null)
      i++
    } else if (url[i] === ':' && url[i + 1] === ':') {
      text += ':'
      i += 2
    } else if (url[i] === ':') {
      const key = /^[^/\-.(]*/.exec(url.slice(i + 1))![0]
      i += 1 + key.length
      const end = url[i] === '(' ? closingParenthesis(url, i) : i - 1
      text += addParameter(key, end < i ? null : url.slice(i + 1, end))
      i = end + 1
    } else {
      text += escapeLiteral(url[i]!)
      i++
    }
  }
  return { text, parameters }

  function addParameter (key: string, pattern: string | null): string {
    const name = names.take(key === '*' ? 'wildcard' : key.replace(/[^\w-]/g, '_'))
    parameters.push({ name, key, pattern })
    return `{${name}}`
  }
}

function closingParenthesis (url: string, start: number): number {
  let depth = 0
  for (let i = start; i < url.length; i++) {
    if (url[i] === '\\') i++
    else if (url[i] === '(') depth++
    else if (url[i] === ')' && --depth === 0) return i
  }
  return url.length - 1
}

/** AsyncAPI reserves braces for parameters, and allows neither query nor fragment. */
function escapeLiteral (character: string): string {
  return '{}?#'.includes(character) ? encodeURIComponent(character) : character
}
