export interface Layer {
  name: string
  /** Modules of Node, without `node:`. */
  node?: string[]
  packages?: string[]
  /** Globals that it may not use. */
  without?: string[]
  /** Whether it may read the environment. */
  env?: boolean
}

export const LAYERS: Layer[]
export const EXCEPTIONS: Record<string, string[]>
export const SPLIT: Record<string, string[]>
export function layerOf (file: string): string
