import { tsImport } from 'tsx/esm/api'

/**
 * A second copy of the decoder, and of all that it imports, which has no fast path: which there are is found out when
 * the modules are loaded.
 */
export async function importPlainDecoder (): Promise<typeof import('../../lib/protocol/frame-decoder.js')> {
  const { FASTIFY_WS_ROUTES_WITHOUT: before } = process.env
  process.env.FASTIFY_WS_ROUTES_WITHOUT = 'all'
  try {
    const { kernel } = await tsImport('../../lib/protocol/frame-kernel.ts', import.meta.url) as typeof import('../../lib/protocol/frame-kernel.js')
    if (kernel !== null) throw new Error('the switch does not work')
    return await tsImport('../../lib/protocol/frame-decoder.ts', import.meta.url) as typeof import('../../lib/protocol/frame-decoder.js')
  } finally {
    if (before === undefined) delete process.env.FASTIFY_WS_ROUTES_WITHOUT
    else process.env.FASTIFY_WS_ROUTES_WITHOUT = before
  }
}
