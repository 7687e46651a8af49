// Values that every layer shares. This module imports nothing.

/** The one empty buffer. */
export const EMPTY = Buffer.alloc(0)

/** The major version of Node: where a version behaves differently, or is faster in another way. */
export const NODE_MAJOR = Number(process.versions.node.split('.')[0])

/** Whether the suite has passed on this major version of Node: a later one may use members that are not public for something else. */
export const IS_KNOWN_NODE = [20, 22, 24, 26].includes(NODE_MAJOR)

export function noop (): void {}
