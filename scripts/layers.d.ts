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
export function layerOf (file: string): string
