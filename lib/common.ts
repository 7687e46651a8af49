// Values that every layer shares. This module imports nothing.

/** The one empty buffer. */
export const EMPTY = Buffer.alloc(0)

/** The major version of Node: where a version behaves differently, or is faster in another way. */
export const NODE_MAJOR = Number(process.versions.node.split('.')[0])

export function noop (): void {}
