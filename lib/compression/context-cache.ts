import type { ZlibContext } from './zlib-context.js'

/** Contexts that live at the same time: 48 MiB at most, with the default windows and memory level. */
const MAX_CONTEXTS = 1024

/** Has a context, as long as others are not used more: one that can be made again from the owner's history. */
export interface ContextOwner {
  context: ZlibContext | null
}

/** In the order of use, as far as it matters. */
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
