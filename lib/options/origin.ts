import type { OriginPolicy, OriginRule } from '../../types/options.js'
import { describe, OptionError } from '../errors.js'
import { refuse } from './check.js'

const ACCEPTED = "'same-origin', '*', an origin such as 'https://example.com', a RegExp, an array of these, or a function"

export function checkOrigin (value: unknown, name: string): OriginPolicy {
  if (typeof value === 'function') return value as OriginPolicy
  if (!Array.isArray(value)) return checkRule(value, name)
  if (value.length === 0) throw new OptionError(`${name} must be ${ACCEPTED}, not an empty array, which refuses every page: for that, use () => false`)
  return value.map(rule => checkRule(rule, name))
}

function checkRule (value: unknown, name: string): OriginRule {
  if (value === 'same-origin' || value === '*' || value === 'null' || value instanceof RegExp) return value
  if (typeof value !== 'string') return refuse(name, ACCEPTED, value)
  return checkSerialized(value, name)
}

/** RFC 6454 §6.2: an origin is a scheme, a host and a port, in the one form in which browsers send it. */
function checkSerialized (value: string, name: string): string {
  const sent = serialize(value)
  if (sent === null) return refuse(name, ACCEPTED, value)
  if (sent.includes('*')) return mismatch(value, name, 'a pattern is a RegExp, such as /^https:\\/\\/[a-z0-9-]+\\.example\\.com$/')
  if (sent !== value.toLowerCase()) return mismatch(value, name, `browsers send ${describe(sent)}`)
  return value
}

/** @throws {OptionError} since no browser sends such an origin */
function mismatch (value: string, name: string, hint: string): never {
  throw new OptionError(`${name} must be ${ACCEPTED}, not ${describe(value)}: ${hint}`)
}

/** @returns the origin of the URL as browsers send it; `null` if it is no URL with a host */
function serialize (value: string): string | null {
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(value) || /\s/.test(value) || !URL.canParse(value)) return null
  const { protocol, host } = new URL(value)
  return host === '' ? null : `${protocol}//${host}`.toLowerCase()
}

/** Returns the rules of a policy that match part of an origin: `/example\.com$/` lets `https://evil-example.com` in. */
export function unanchoredRules (policy: OriginPolicy): RegExp[] {
  const rules: readonly unknown[] = Array.isArray(policy) ? policy : [policy]
  return rules.filter(rule => rule instanceof RegExp).filter(({ source }) => !isAnchored(source))
}

function isAnchored (source: string): boolean {
  // Escapes and character classes cannot be anchors, alternatives or groups.
  const plain = source.replace(/\\.|\[(?:\\.|[^\]\\])*\]/gs, 'x')
  return plain.startsWith('^') && plain.endsWith('$') && !hasAlternatives(plain)
}

/** Whether `|` stands outside of all groups, where it ends the reach of an anchor. */
function hasAlternatives (plain: string): boolean {
  let depth = 0
  for (const character of plain) {
    if (character === '(') depth++
    else if (character === ')') depth--
    else if (character === '|' && depth === 0) return true
  }
  return false
}
