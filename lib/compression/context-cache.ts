import type { ZlibContext } from './zlib-context.js'

/** Contexts that live at the same time: up to 48 MiB, with the default windows and memory level. */
const MAX_CONTEXTS = 1024

/** Holds a context until 1024 others were used later. The owner's history can replace it at any time. */
export interface ContextOwner {
  context: ZlibContext | null
}

/** The owners of contexts, in the order of use. The order is kept up to date only when the cache is half full. */
const owners = new Set<ContextOwner>()

export function keepContext (owner: ContextOwner, context: ZlibContext): void {
  owner.context = context
  owners.add(owner)
  if (owners.size <= MAX_CONTEXTS) return
  const [longestUnused] = owners
  dropContext(longestUnused!)
}

export function noteUse (owner: ContextOwner): void {
  if (owners.size < MAX_CONTEXTS / 2) return
  owners.delete(owner)
  owners.add(owner)
}

export function dropContext (owner: ContextOwner): void {
  owner.context?.close()
  owner.context = null
  owners.delete(owner)
}
