import { UniqueNames } from './names.js'

/** A part of the path that varies. */
export interface PathParameter {
  /** As the address has it. */
  readonly name: string
  /** As `request.params` has it. */
  readonly key: string
  /** The regular expression that the route wants it to match. */
  readonly pattern: string | null
}

/** A path of a channel, with its parameters in braces. */
export interface Address {
  readonly text: string
  readonly parameters: readonly PathParameter[]
}

// As in find-my-way, whose routes with one are two.
const OPTIONAL_PARAMETER = /(\/:[^/()]*?)\?(\/?)/

/** What a URL of Fastify's stands for. */
export function addressesOf (url: string): Address[] {
  if (!OPTIONAL_PARAMETER.test(url)) return [parse(url)]
  return [parse(url.replace(OPTIONAL_PARAMETER, '$1$2')), parse(url.replace(OPTIONAL_PARAMETER, '$2') || '/')]
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

/** Braces are those of parameters, and AsyncAPI allows neither query nor fragment. */
function escapeLiteral (character: string): string {
  return '{}?#'.includes(character) ? encodeURIComponent(character) : character
}
