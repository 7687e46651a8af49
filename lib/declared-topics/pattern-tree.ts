import type { TopicPattern } from './pattern.js'

/** A pattern that stands for a name. */
export interface Match<T> {
  readonly value: T
  /** The name, between slashes. */
  readonly parts: readonly string[]
}

interface Node<T> {
  readonly texts: Map<string, Node<T>>
  parameter: Node<T> | null
  value: T | null
}

/**
 * Finds the pattern that stands for a name. A text is preferred to a parameter, at the first part where two patterns differ; so
 * the order of declarations does not matter. A router for URLs would decode names, or end them at a `?`.
 */
export class PatternTree<T> {
  private readonly root: Node<T> = createNode()
  /** The most parts of any pattern. */
  private depth = 0

  /** @returns the value of the pattern that stands for the same names, if there is one: then nothing is added */
  add (pattern: TopicPattern, value: T): T | null {
    let node = this.root
    for (const part of pattern.parts) {
      if ('parameter' in part) {
        node = node.parameter ??= createNode()
      } else {
        const next: Node<T> = node.texts.get(part.text) ?? createNode()
        node.texts.set(part.text, next)
        node = next
      }
    }
    if (node.value !== null) return node.value
    node.value = value
    this.depth = Math.max(this.depth, pattern.parts.length)
    return null
  }

  find (name: string): Match<T> | null {
    // One part more than any pattern has is enough to know.
    const parts = name.split('/', this.depth + 1)
    const value = find(this.root, parts, 0)
    return value === null ? null : { value, parts }
  }
}

function createNode<T> (): Node<T> {
  return { texts: new Map(), parameter: null, value: null }
}

/** Goes through each node of the tree once, at most. */
function find<T> (node: Node<T>, parts: readonly string[], i: number): T | null {
  if (i === parts.length) return node.value
  const part = parts[i]!
  const next = node.texts.get(part)
  const found = next === undefined ? null : find(next, parts, i + 1)
  if (found !== null || node.parameter === null || part === '') return found
  return find(node.parameter, parts, i + 1)
}
