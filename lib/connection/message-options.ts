import { createError, describe } from '../errors.js'

/**
 * Checks the options of a method that sends messages, as far as most of them have them.
 *
 * @throws {TypeError} if they are no object, or one of them has another type
 */
export function checkMessageOptions (method: string, options: unknown): void {
  if (typeof options !== 'object' || options === null) throw createError('FST_WS_ERR_INVALID_ARGUMENT', `the options of ${method} must be an object, not ${describe(options)}`)
  const { binary, compress, fin } = options as { binary?: unknown, compress?: unknown, fin?: unknown }
  if (typeof binary !== 'boolean' && binary !== undefined) refuse(method, 'binary', binary)
  if (typeof compress !== 'boolean' && compress !== undefined) refuse(method, 'compress', compress)
  if (typeof fin !== 'boolean' && fin !== undefined) refuse(method, 'fin', fin)
}

function refuse (method: string, name: string, value: unknown): never {
  throw createError('FST_WS_ERR_INVALID_ARGUMENT', `option '${name}' of ${method} must be true or false, not ${describe(value)}`)
}
